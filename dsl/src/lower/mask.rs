//! `mask`, `with` and `probing`: transforms checked, columns checked against the classes they are about.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::{
    graph::{
        condition::Condition,
        rule::{ColumnPattern, Mask, Probing},
    },
    verdict,
};

use super::symbols::Symbols;
use crate::{
    ast::{Argument, Name, PatternName, Transform, With, WithOf},
    diagnostic::{Diagnostic, File},
};

/// The transforms of this version, as they are written.
const TRANSFORMS: &[&str] = &["redact", "null", "last", "first", "keep domain", "constant"];
/// Transforms of the language that are not there yet.
const TRANSFORMS_ABSENT: &[&str] = &["hash", "tokenize", "round to", "truncate date"];

/// Lowers a mask. Without `with`, or where it says nothing of a column, the column is redacted.
pub(super) fn lower(
    classes: &[Name],
    with: &[With],
    probing: Option<&Name>,
    file: &File,
    symbols: &Symbols<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Mask {
    let mut mask = Mask {
        classes: Vec::new(),
        transforms: BTreeMap::new(),
        otherwise: verdict::Transform::Redact,
        condition: Condition::Always,
        probing: probing.map_or(Probing::Deny, |word| lower_probing(word, file, diagnostics)),
    };
    let mut patterns: Vec<&ColumnPattern> = Vec::new();
    for class in classes {
        if let Some(columns) = symbols.class(class, file, diagnostics) {
            mask.classes.push(Arc::from(&*class.value));
            patterns.extend(columns);
        }
    }
    let all_resolved = mask.classes.len() == classes.len();
    let mut otherwise_seen = false;
    for With { of, transform } in with {
        let Some(lowered) = lower_transform(transform, file, diagnostics) else {
            continue;
        };
        match of {
            WithOf::Column(column) => {
                if all_resolved {
                    check_column(column, &patterns, file, diagnostics);
                }
                let key: Arc<str> = Arc::from(column.text.to_lowercase());
                if mask.transforms.insert(key, lowered).is_some() {
                    let message = format!("two transforms for column `{}`", column.text);
                    diagnostics.push(file.error(&column.span, message, "named again"));
                }
            }
            WithOf::Otherwise(_) | WithOf::All => {
                let span = match of {
                    WithOf::Otherwise(span) => span,
                    WithOf::Column(_) | WithOf::All => &transform.span,
                };
                if matches!(of, WithOf::All) && with.len() > 1 {
                    let error =
                        file.error(span, "a transform without a column", "for which column?");
                    diagnostics.push(error.with_help(
                        "write `column: transform`, or `otherwise transform` for the rest",
                    ));
                } else if std::mem::replace(&mut otherwise_seen, true) {
                    diagnostics.push(file.error(span, "`otherwise` twice", "said again"));
                }
                mask.otherwise = lowered;
            }
        }
    }
    mask
}

/// A transform for a column that no pattern of the classes can match is a slip.
fn check_column(
    column: &PatternName,
    patterns: &[&ColumnPattern],
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let name = column.text.to_lowercase();
    if !patterns
        .iter()
        .any(|pattern| pattern.column.to_lowercase().matches(&name))
    {
        let known = patterns
            .iter()
            .filter_map(|pattern| pattern.column.as_exact())
            .map(|name| &**name);
        let message = format!("column `{}` is not in the masked classes", column.text);
        diagnostics.push(
            file.error(&column.span, message, "no such column")
                .with_nearest(&column.text, known),
        );
    }
}

fn lower_probing(word: &Name, file: &File, diagnostics: &mut Vec<Diagnostic>) -> Probing {
    match &*word.value {
        "deny" => Probing::Deny,
        "allow" => Probing::Allow,
        "lookup" => {
            let error = file.error(
                &word.span,
                "`probing lookup` is not part of this version yet",
                "needs budgets",
            );
            diagnostics.push(error.with_help("write `probing deny`"));
            Probing::Deny
        }
        other => {
            let error = file.error(
                &word.span,
                format!("unknown way of probing `{other}`"),
                "no such way",
            );
            diagnostics.push(error.with_nearest(other, ["deny", "allow"].into_iter()));
            Probing::Deny
        }
    }
}

fn lower_transform(
    transform: &Transform,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<verdict::Transform> {
    let Transform {
        words,
        argument,
        span,
    } = transform;
    match (&*words.value, argument) {
        ("redact", None) => Some(verdict::Transform::Redact),
        ("null", None) => Some(verdict::Transform::Null),
        ("keep domain", None) => Some(verdict::Transform::KeepDomain),
        ("last", Some(Argument::Number(number))) => {
            count(number, file, diagnostics).map(verdict::Transform::Last)
        }
        ("first", Some(Argument::Number(number))) => {
            count(number, file, diagnostics).map(verdict::Transform::First)
        }
        ("constant", Some(Argument::Text(text))) => {
            Some(verdict::Transform::Constant(Arc::from(&*text.value)))
        }
        (known, _) if TRANSFORMS.contains(&known) => {
            let error = file.error(
                span,
                format!("`{known}` is not written like this"),
                "wrong argument",
            );
            diagnostics.push(error.with_help(HOW));
            None
        }
        (absent, _) if TRANSFORMS_ABSENT.contains(&absent) => {
            let error = file.error(
                &words.span,
                format!("the mask `{absent}` is not part of this version yet"),
                "not there yet",
            );
            diagnostics.push(error.with_help(HOW));
            None
        }
        (unknown, _) => {
            let error = file.error(
                &words.span,
                format!("unknown mask `{unknown}`"),
                "no such mask",
            );
            diagnostics.push(error.with_nearest(unknown, TRANSFORMS.iter().copied()));
            None
        }
    }
}

const HOW: &str =
    "masks are `redact`, `null`, `last 4`, `first 4`, `keep domain` and `constant \"text\"`";

fn count(number: &Name, file: &File, diagnostics: &mut Vec<Diagnostic>) -> Option<u16> {
    match number.value.parse::<u16>() {
        Ok(count) if count > 0 => Some(count),
        Ok(_) | Err(_) => {
            let message = format!("`{}` is no number of characters", number.value);
            diagnostics.push(file.error(&number.span, message, "between 1 and 65535"));
            None
        }
    }
}
