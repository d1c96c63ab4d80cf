//! One rule: exactly one effect, exactly one `for`, and only the clauses that its effect can have.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::Operation,
    graph::{
        condition::{self, Flag, Test},
        rule::{self, Effect, Mode, Operations, Rule, Scope, Subjects},
    },
};

use super::{mask, pattern, symbols::Symbols};
use crate::{
    ast::{Audience, Clause, ClauseKind, Condition, Control, Name, Pattern, Span, With},
    diagnostic::{Diagnostic, File},
};

/// Sets of operations, with what is in them. `opaque` is in none: whoever allows it says so.
pub(crate) const SETS: &[(&str, &[Operation])] = &[
    (
        "write",
        &[
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
            Operation::Truncate,
            Operation::CopyFrom,
        ],
    ),
    (
        "ddl",
        &[Operation::Create, Operation::Alter, Operation::Drop],
    ),
    ("admin", &[Operation::Grant, Operation::Maintain]),
    (
        "any",
        &[
            Operation::Read,
            Operation::Insert,
            Operation::Update,
            Operation::Delete,
            Operation::Truncate,
            Operation::Create,
            Operation::Alter,
            Operation::Drop,
            Operation::Grant,
            Operation::Call,
            Operation::CopyTo,
            Operation::CopyFrom,
            Operation::Session,
            Operation::Transaction,
            Operation::Listen,
            Operation::Maintain,
            Operation::Lock,
        ],
    ),
];

/// Attributes of the language that conditions can't ask for yet.
const ATTRIBUTES_ABSENT: &[&str] = &[
    "principal",
    "session",
    "statement",
    "access",
    "time",
    "kind",
    "limit",
    "tables",
    "functions",
    "opaque",
    "estimated_rows",
    "novel",
    "in_transaction",
    "parameters",
    "schema",
    "relation",
    "column",
    "operation",
    "use",
    "id",
    "groups",
    "claims",
    "on_behalf_of",
    "target",
    "database",
    "role",
    "client_address",
    "application",
    "tls",
    "authentication",
    "weekday",
    "hour",
    "zone",
];

/// Lowers a rule; `None` if it has a mistake (which was reported).
pub(super) fn lower(
    name: &Name,
    clauses: &[Clause],
    file: &File,
    symbols: &Symbols<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Rule> {
    let before = diagnostics.len();
    let parts = Parts::gather(clauses, file, diagnostics);
    // A clause that could not be read may have been the effect or the `for`: say nothing of what else is missing.
    let unread = clauses
        .iter()
        .any(|clause| clause.kind == ClauseKind::Error);
    let controls = parts
        .controls
        .iter()
        .filter_map(|control| symbols.control(control, file, diagnostics));
    let controls: BTreeSet<Arc<str>> = controls.collect();
    let subjects = parts
        .subjects
        .map(|(audience, except)| subjects(audience, except, file, symbols, diagnostics));
    if subjects.is_none() && !unread {
        let error = file.error(
            &name.span,
            format!("rule `{}` does not say for whom", name.value),
            "no `for`",
        );
        diagnostics.push(error.with_help("add `for anyone`, or `for` and groups"));
    }
    if parts.effect.is_none() && !unread {
        let error = file.error(
            &name.span,
            format!("rule `{}` does nothing", name.value),
            "no effect",
        );
        diagnostics.push(error.with_help("add `allow`, `deny` or `mask`"));
    }
    let effect = parts
        .effect
        .as_ref()
        .map(|(effect, _)| parts.lower_effect(effect, file, symbols, diagnostics));
    if unread || diagnostics.iter().skip(before).any(Diagnostic::is_error) {
        return None;
    }
    Some(Rule {
        name: Arc::from(&*name.value),
        effect: effect?,
        subjects: subjects?,
        because: parts.because.map(|text| Arc::from(&*text.value)),
        controls: controls.into_iter().collect(),
        mode: Mode::Enforce,
    })
}

/// The effect as written.
enum Written<'a> {
    Allow(&'a [Name], &'a [Pattern]),
    Deny(&'a [Name], &'a [Pattern]),
    Mask(&'a [Name]),
}

/// The clauses of a rule, each at most once (`satisfies` adds up).
#[derive(Default)]
struct Parts<'a> {
    effect: Option<(Written<'a>, &'a Span)>,
    subjects: Option<(&'a Audience, &'a [Name])>,
    condition: Option<(&'a Condition, &'a Span)>,
    with: Option<(&'a [With], &'a Span)>,
    probing: Option<(&'a Name, &'a Span)>,
    because: Option<&'a Name>,
    controls: Vec<&'a Control>,
}

impl<'a> Parts<'a> {
    fn gather(clauses: &'a [Clause], file: &File, diagnostics: &mut Vec<Diagnostic>) -> Self {
        let mut parts = Self::default();
        for Clause { kind, span } in clauses {
            let again = match kind {
                ClauseKind::Allow { operations, on } => parts
                    .effect
                    .replace((Written::Allow(operations, on), span))
                    .map(|_| "effect"),
                ClauseKind::Deny { operations, on } => parts
                    .effect
                    .replace((Written::Deny(operations, on), span))
                    .map(|_| "effect"),
                ClauseKind::Mask { classes } => parts
                    .effect
                    .replace((Written::Mask(classes), span))
                    .map(|_| "effect"),
                ClauseKind::For { audience, except } => {
                    parts.subjects.replace((audience, except)).map(|_| "`for`")
                }
                ClauseKind::When(condition) => {
                    parts.condition.replace((condition, span)).map(|_| "`when`")
                }
                ClauseKind::With(with) => parts.with.replace((with, span)).map(|_| "`with`"),
                ClauseKind::Probing(word) => {
                    parts.probing.replace((word, span)).map(|_| "`probing`")
                }
                ClauseKind::Because(text) => parts.because.replace(text).map(|_| "`because`"),
                ClauseKind::Satisfies(controls) => {
                    parts.controls.extend(controls);
                    None
                }
                ClauseKind::Error => None,
            };
            if let Some(what) = again {
                let error =
                    file.error(span, format!("a second {what} in one rule"), "one too many");
                diagnostics.push(error.with_help("write a rule of its own for it"));
            }
        }
        parts
    }

    fn lower_effect(
        &self,
        effect: &Written<'_>,
        file: &File,
        symbols: &Symbols<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Effect {
        let mut misplaced = |what: &str, span: Option<&Span>, help: &str| {
            if let Some(span) = span {
                diagnostics.push(file.error(span, what, "not in this rule").with_help(help));
            }
        };
        match effect {
            Written::Allow(operations, on) | Written::Deny(operations, on) => {
                let help = "only `mask` rules transform values";
                misplaced("`with` is for masks", self.with.map(|(_, span)| span), help);
                misplaced(
                    "`probing` is for masks",
                    self.probing.map(|(_, span)| span),
                    help,
                );
                let scope = Scope {
                    operations: lower_operations(operations, file, diagnostics),
                    objects: (!on.is_empty()).then(|| {
                        on.iter()
                            .flat_map(|one| pattern::objects(one, file, diagnostics))
                            .collect()
                    }),
                    condition: self
                        .condition
                        .map_or(condition::Condition::Always, |(condition, _)| {
                            lower_condition(condition, file, diagnostics)
                        }),
                };
                match effect {
                    Written::Deny(..) => Effect::Deny(scope),
                    Written::Allow(..) | Written::Mask(_) => Effect::Allow(scope),
                }
            }
            Written::Mask(classes) => {
                let help = "a mask holds for whomever it is for, whatever the statement";
                misplaced(
                    "`when` on a mask is not part of this version yet",
                    self.condition.map(|(_, span)| span),
                    help,
                );
                let with = self.with.map_or(&[][..], |(with, _)| with);
                Effect::Mask(mask::lower(
                    classes,
                    with,
                    self.probing.map(|(word, _)| word),
                    file,
                    symbols,
                    diagnostics,
                ))
            }
        }
    }
}

fn subjects(
    audience: &Audience,
    except: &[Name],
    file: &File,
    symbols: &Symbols<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Subjects {
    let mut groups = |names: &[Name]| {
        names
            .iter()
            .filter_map(|name| symbols.group(name, file, diagnostics))
            .collect::<Vec<_>>()
    };
    Subjects {
        audience: match audience {
            Audience::Anyone => rule::Audience::Anyone,
            Audience::Groups(names) => rule::Audience::Groups(groups(names)),
        },
        except: groups(except),
    }
}

fn lower_operations(names: &[Name], file: &File, diagnostics: &mut Vec<Diagnostic>) -> Operations {
    let mut operations = Operations::NONE;
    for name in names {
        let word = &*name.value;
        let one = Operation::ALL
            .iter()
            .find(|operation| operation.name() == word);
        let set = SETS
            .iter()
            .find(|(set, _)| *set == word)
            .map(|(_, members)| *members);
        match (one, set) {
            (Some(&operation), _) => operations = operations.with(operation),
            (None, Some(members)) => operations = operations.union(Operations::of(members)),
            (None, None) => {
                let known = Operation::ALL
                    .iter()
                    .map(|operation| operation.name())
                    .chain(SETS.iter().map(|(set, _)| *set));
                let error = file.error(
                    &name.span,
                    format!("unknown operation `{word}`"),
                    "no such operation",
                );
                diagnostics.push(error.with_nearest(word, known));
            }
        }
    }
    operations
}

fn lower_condition(
    condition: &Condition,
    file: &File,
    diagnostics: &mut Vec<Diagnostic>,
) -> condition::Condition {
    let mut lower = |inner: &Condition| lower_condition(inner, file, diagnostics);
    match condition {
        Condition::Not(inner) => condition::Condition::Not(Box::new(lower(inner))),
        Condition::And(left, right) => condition::Condition::All(vec![lower(left), lower(right)]),
        Condition::Or(left, right) => condition::Condition::Any(vec![lower(left), lower(right)]),
        Condition::Attribute(name) => match &*name.value {
            "filtered" => condition::Condition::Test(Test::Flag(Flag::Filtered)),
            "bounded" => condition::Condition::Test(Test::Flag(Flag::Bounded)),
            other => {
                let first = other.split('.').next().unwrap_or(other);
                let absent = ATTRIBUTES_ABSENT.contains(&first);
                let error = if absent {
                    file.error(
                        &name.span,
                        format!("`{other}` in a condition is not part of this version yet"),
                        "not there yet",
                    )
                    .with_help("conditions ask for `filtered` and `bounded` so far")
                } else {
                    file.error(
                        &name.span,
                        format!("unknown attribute `{other}`"),
                        "no such attribute",
                    )
                    .with_nearest(other, ["filtered", "bounded"].into_iter())
                };
                diagnostics.push(error);
                condition::Condition::Always
            }
        },
        Condition::Absent(name) => {
            let message = format!(
                "`{}` in a condition is not part of this version yet",
                name.value
            );
            let error = file.error(&name.span, message, "not there yet");
            diagnostics.push(error.with_help("conditions ask for `filtered` and `bounded` so far"));
            condition::Condition::Always
        }
    }
}
