//! `mask`, `with` and `probing`: transforms checked, columns checked against the classes they are about.

use std::{collections::BTreeMap, sync::Arc};

use provost_engine::{
    graph::{
        condition::Condition,
        rule::{ColumnPattern, Mask, Probing},
    },
    transform::DateUnit,
    verdict,
};

use super::{Check, schema};
use crate::{
    ast::{Argument, Name, PatternName, Span, Transform, With, WithOf},
    vocabulary::{self, PROBINGS},
};

/// How many lookups an hour `probing lookup` lets through where the policy names no number (ruling 2).
const LOOKUPS_DEFAULT: u32 = 20;

/// The clauses of a mask.
pub(super) struct Written<'w> {
    pub(super) classes: &'w [Name],
    pub(super) with: &'w [With],
    pub(super) probing: Option<(&'w Name, Option<&'w (Name, Name)>)>,
    pub(super) condition: Condition,
}

/// Lowers a mask. Without `with`, or where it says nothing of a column, the column is redacted.
pub(super) fn lower(written: Written<'_>, check: &mut Check<'_, '_>) -> Mask {
    let Written {
        classes,
        with,
        probing,
        condition,
    } = written;
    let mut mask = Mask {
        classes: Vec::new(),
        transforms: BTreeMap::new(),
        otherwise: verdict::Transform::Redact,
        condition,
        probing: probing.map_or(Probing::Deny, |(way, budget)| {
            lower_probing(way, budget, check)
        }),
    };
    let mut patterns: Vec<&ColumnPattern> = Vec::new();
    let mut all_resolved = true;
    for class in classes {
        match check.symbols.class(class, check.file, check.diagnostics) {
            Some(columns) => {
                let name: Arc<str> = Arc::from(&*class.value);
                if mask.classes.contains(&name) {
                    check.warn(
                        &class.span,
                        format!("`{name}` is listed already"),
                        "says nothing new",
                        Some("leave it out"),
                    );
                    continue;
                }
                mask.classes.push(name);
                patterns.extend(columns);
            }
            None => all_resolved = false,
        }
    }
    mask.classes.sort_unstable();
    let mut spans: BTreeMap<Arc<str>, &Span> = BTreeMap::new();
    let mut otherwise: Option<&Span> = None;
    for With { of, transform } in with {
        let Some(lowered) = lower_transform(transform, of, check) else {
            continue;
        };
        match of {
            WithOf::Column(column) => {
                if all_resolved && !patterns.is_empty() {
                    check_column(column, &patterns, check);
                }
                let key: Arc<str> = Arc::from(column.text.to_lowercase());
                spans.insert(Arc::clone(&key), &transform.span);
                if mask.transforms.insert(key, lowered).is_some() {
                    let message = format!("two transforms for column `{}`", column.text);
                    check.error(&column.span, message, "named again");
                }
            }
            WithOf::Otherwise(_) | WithOf::All => {
                let span = match of {
                    WithOf::Otherwise(span) => span,
                    WithOf::Column(_) | WithOf::All => &transform.span,
                };
                if matches!(of, WithOf::All) && with.len() > 1 {
                    check.error_with_help(
                        span,
                        "a transform without a column",
                        "for which column?",
                        "write `column: transform`, or `otherwise transform` for the rest",
                    );
                } else if otherwise.replace(&transform.span).is_some() {
                    check.error(span, "`otherwise` twice", "said again");
                }
                mask.otherwise = lowered;
            }
        }
    }
    schema::check_mask(&mask, &patterns, &spans, otherwise, check);
    mask
}

/// A transform for a column that no pattern of the classes can match is a slip.
fn check_column(column: &PatternName, patterns: &[&ColumnPattern], check: &mut Check<'_, '_>) {
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
        let error = check.file.error(&column.span, message, "no such column");
        check
            .diagnostics
            .push(error.with_nearest(&column.text, known));
    }
}

fn lower_probing(way: &Name, budget: Option<&(Name, Name)>, check: &mut Check<'_, '_>) -> Probing {
    if let Some((number, _)) = budget
        && way.value != "lookup"
    {
        check.error_with_help(
            &number.span,
            format!("`probing {}` has no number", way.value),
            "not expected here",
            "only lookups are counted: `probing lookup 20 per hour`",
        );
        return Probing::Deny;
    }
    match (&*way.value, budget) {
        ("deny", _) => Probing::Deny,
        ("allow", _) => Probing::Allow,
        ("lookup", None) => Probing::Lookup {
            per_hour: LOOKUPS_DEFAULT,
        },
        ("lookup", Some((number, span))) => {
            if span.value != "hour" {
                check.unknown(
                    "span of time",
                    &span.span,
                    &span.value,
                    ["hour"].into_iter(),
                );
            }
            let per_hour = check
                .amount(number, "lookups")
                .and_then(|amount| u32::try_from(amount).ok())
                .unwrap_or(LOOKUPS_DEFAULT);
            Probing::Lookup { per_hour }
        }
        (other, _) => {
            let known = PROBINGS.iter().map(|entry| entry.name);
            check.unknown("way of probing", &way.span, other, known);
            Probing::Deny
        }
    }
}

/// Lowers a transform as a mask or a test names it.
pub(super) fn lower_transform(
    transform: &Transform,
    of: &WithOf,
    check: &mut Check<'_, '_>,
) -> Option<verdict::Transform> {
    let Transform {
        words,
        argument,
        span,
    } = transform;
    match (&*words.value, argument) {
        ("redact", None) => Some(verdict::Transform::Redact),
        ("null", None) => Some(verdict::Transform::Null),
        ("hash", None) => Some(verdict::Transform::Hash),
        ("tokenize", None) => Some(verdict::Transform::Tokenize),
        ("keep domain", None) => Some(verdict::Transform::KeepDomain),
        ("last", Some(Argument::Number(number))) => {
            count(number, check).map(verdict::Transform::Last)
        }
        ("first", Some(Argument::Number(number))) => {
            count(number, check).map(verdict::Transform::First)
        }
        ("constant", Some(Argument::Text(text))) => {
            Some(verdict::Transform::Constant(Arc::from(&*text.value)))
        }
        ("round to", Some(Argument::Number(number))) => match number.value.parse() {
            Ok(granularity) => Some(verdict::Transform::RoundTo(granularity)),
            Err(why) => {
                let why: provost_engine::transform::GranularityError = why;
                let message = format!("`{}` is nothing to round to", number.value);
                check.error(&number.span, message, why.to_string());
                None
            }
        },
        ("truncate date", Some(Argument::Word(unit))) => {
            let found = DateUnit::from_name(&unit.value);
            if found.is_none() {
                let known = DateUnit::ALL.iter().map(|unit| unit.name());
                check.unknown("part of a date", &unit.span, &unit.value, known);
            }
            found.map(verdict::Transform::TruncateDate)
        }
        (known, _) if vocabulary::masks().any(|mask| mask.name == known) => {
            let argument = vocabulary::masks()
                .find(|mask| mask.name == known)
                .map(|mask| mask.argument)
                .unwrap_or_default();
            let help = if argument.is_empty() {
                format!("write `{known}` alone")
            } else {
                format!("behind `{known}` stands {argument}")
            };
            check.error_with_help(
                span,
                format!("`{known}` is not written like this"),
                "wrong argument",
                help,
            );
            None
        }
        (unknown, _) => {
            report_unknown(unknown, &words.span, of, check);
            None
        }
    }
}

fn report_unknown(unknown: &str, span: &Span, of: &WithOf, check: &mut Check<'_, '_>) {
    let error = check
        .file
        .error(span, format!("unknown mask `{unknown}`"), "no such mask");
    let known: Vec<&str> = vocabulary::masks().map(|mask| mask.name).collect();
    let meant = vocabulary::nearest_mask(unknown);
    let error = match meant {
        Some(meant) => error.with_help(format!("did you mean `{meant}`?")),
        None if matches!(of, WithOf::All)
            && crate::diagnostic::nearest(unknown, &["otherwise"]).is_some() =>
        {
            error.with_help("did you mean `otherwise`?")
        }
        None => error.with_help(format!("masks are {}", crate::diagnostic::quoted(&known))),
    };
    check.diagnostics.push(error);
}

fn count(number: &Name, check: &mut Check<'_, '_>) -> Option<u16> {
    match number.value.parse::<u16>() {
        Ok(count) if count > 0 => Some(count),
        Ok(_) | Err(_) => {
            let message = format!("`{}` is no number of characters", number.value);
            check.error(&number.span, message, "between 1 and 65535");
            None
        }
    }
}
