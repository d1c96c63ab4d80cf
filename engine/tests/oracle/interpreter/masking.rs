//! Masks: what comes back hidden, and what a principal that any mask binds is refused, whatever rules allow.

use std::{collections::BTreeSet, sync::Arc};

use provost_engine::{
    facts::{Column, Facts, How, Kind, Lineage, Object, Operation, SessionEffect, Use},
    graph::rule::{Effect, Mask, Probing, Rule},
    transform::Transform,
    verdict::{OutputMask, Probe},
};

use super::{
    Case, Findings,
    condition::{Answer, answer},
    pattern::{is_member, names_relation},
};

/// A mask that binds the principal, or may.
#[derive(Clone, Copy)]
struct Bound<'a> {
    rule: &'a Rule,
    mask: &'a Mask,
    answer: Answer,
}

/// Whether any mask binds the principal.
pub(super) fn read(case: Case<'_>, rules: &[&Rule], findings: &mut Findings) -> bool {
    let bound: Vec<Bound<'_>> = rules
        .iter()
        .filter_map(|rule| match &rule.effect {
            Effect::Mask(mask) => Some(Bound {
                rule,
                mask,
                answer: answer(&mask.condition, case, None),
            }),
            _ => None,
        })
        .filter(|bound| bound.answer != Answer::No)
        .collect();
    if bound.is_empty() {
        return false;
    }
    let masking = Masking { case, bound };
    if masking.is_out_of_bounds() {
        for bound in &masking.bound {
            findings.refusing.insert(Arc::clone(&bound.rule.name));
        }
        findings.refused = true;
        findings.reasons.insert(None);
    }
    masking.read_columns(findings);
    masking.read_uses(findings);
    masking.read_copies(findings);
    masking.read_outputs(findings);
    true
}

struct Masking<'a> {
    case: Case<'a>,
    bound: Vec<Bound<'a>>,
}

impl<'a> Masking<'a> {
    fn on(&self, column: &Column) -> Vec<Bound<'a>> {
        let set = self.case.set;
        self.bound
            .iter()
            .filter(|bound| {
                let mut classes = bound.mask.classes.iter();
                classes.any(|class| is_member(set, class, column))
            })
            .copied()
            .collect()
    }

    /// What is refused as a whole.
    fn is_out_of_bounds(&self) -> bool {
        let facts = self.case.facts;
        let does = |operation| {
            let mut accesses = facts.accesses.iter();
            accesses.any(|access| access.operation == operation)
        };
        let changes_schema = facts.kind == Kind::Ddl
            || facts.session_effect == SessionEffect::Catalog
            || does(Operation::Create)
            || does(Operation::Alter)
            || does(Operation::Drop);
        let unknown_result = facts.outputs.is_none()
            && matches!(
                facts.kind,
                Kind::Select | Kind::CopyTo | Kind::Call | Kind::Replication | Kind::Other
            );
        let out_of_bounds = |schema: &str, name: &str| {
            is_value_bearing(schema, name)
                || (facts.kind == Kind::Explain && self.masks_name(schema, name))
        };
        !facts.opaque.is_empty()
            || changes_schema
            || facts.kind == Kind::Maintain
            || does(Operation::Maintain)
            || unknown_result
            || facts.accesses.iter().any(|access| match &access.object {
                Object::Relation { schema, name, .. } => out_of_bounds(schema, name),
                _ => false,
            })
    }

    fn masks_name(&self, schema: &str, relation: &str) -> bool {
        self.bound.iter().any(|bound| {
            let mut classes = bound.mask.classes.iter();
            classes.any(|class| names_relation(self.case.set, class, schema, relation))
        })
    }

    /// Columns that may not be named at all: by a mask that can't be evaluated, in a plan, through a view.
    fn read_columns(&self, findings: &mut Findings) {
        let facts = self.case.facts;
        let only_copies = || {
            let reads = |operation| matches!(operation, Operation::Read | Operation::CopyTo);
            facts.accesses.iter().all(|access| reads(access.operation))
        };
        let may_rest_on_views = !facts.views.is_empty()
            && (facts.kind == Kind::Select || (facts.kind == Kind::CopyTo && only_copies()));
        for column in columns(facts) {
            for bound in self.on(column) {
                findings.rests_on_views |= facts.through_views;
                let refused = bound.answer != Answer::Yes
                    || facts.kind == Kind::Explain
                    || (facts.through_views && !may_rest_on_views);
                if refused {
                    findings.refuse(Some(bound.rule));
                }
            }
        }
    }

    fn is_keyed(&self, column: &Column) -> bool {
        let name = column.name.to_lowercase();
        self.on(column).into_iter().any(|bound| {
            let transform = bound.mask.transforms.get(&*name);
            matches!(
                transform.unwrap_or(&bound.mask.otherwise),
                Transform::Hash | Transform::Tokenize
            )
        })
    }

    /// Uses that would tell of a value without showing it.
    fn read_uses(&self, findings: &mut Findings) {
        let facts = self.case.facts;
        let read = facts.accesses.iter().flat_map(|access| &access.columns);
        let read = read.map(|used| (&*used.column, used.used));
        let written = facts.writes.iter();
        let written = written.map(|write| (&*write.column, Use::Write));
        for (column, used) in read.chain(written) {
            let tells = match used {
                Use::Filter | Use::Join | Use::Group | Use::Sort | Use::Compute => true,
                // A keyed mask shows which values are equal: of a guess that was written, too.
                Use::Write => column.constrained || self.is_keyed(column),
                Use::Output | Use::Returning => false,
            };
            if !tells {
                continue;
            }
            // The only lookup of the statement, and this use is that lookup.
            let lookups: Vec<&Arc<Column>> = facts.lookups.iter().collect();
            let is_lookup =
                used == Use::Filter && matches!(lookups.as_slice(), [only] if ***only == *column);
            for bound in self.on(column) {
                match bound.mask.probing {
                    Probing::Allow => {}
                    Probing::Lookup { per_hour } if is_lookup => {
                        findings.apply(bound.rule);
                        let column = Arc::from(path(column));
                        findings.probes.insert(Probe { column, per_hour });
                    }
                    Probing::Lookup { .. } | Probing::Deny => findings.refuse(Some(bound.rule)),
                }
            }
        }
    }

    /// A masked value is never copied.
    fn read_copies(&self, findings: &mut Findings) {
        for write in &self.case.facts.writes {
            for column in telling(&write.lineage) {
                for bound in self.on(column) {
                    findings.refuse(Some(bound.rule));
                }
            }
        }
    }

    fn read_outputs(&self, findings: &mut Findings) {
        for (index, output) in self.case.facts.outputs.iter().flatten().enumerate() {
            let mut asked = Vec::new();
            let (mut rules, mut classes) = (BTreeSet::new(), BTreeSet::new());
            let (mut sources, mut controls) = (BTreeSet::new(), BTreeSet::new());
            for source in &output.lineage.sources {
                if source.how == How::Safe {
                    continue;
                }
                for bound in self.on(&source.column) {
                    let name = source.column.name.to_lowercase();
                    let transform = bound.mask.transforms.get(&*name);
                    asked.push(transform.unwrap_or(&bound.mask.otherwise).clone());
                    if source.how == How::Derived {
                        asked.push(Transform::Redact);
                    }
                    findings.apply(bound.rule);
                    rules.insert(Arc::clone(&bound.rule.name));
                    controls.extend(bound.rule.controls.iter().cloned());
                    sources.insert(Arc::from(path(&source.column)));
                    let set = self.case.set;
                    let through = bound.mask.classes.iter();
                    let through = through.filter(|class| is_member(set, class, &source.column));
                    classes.extend(through.map(|class| class.to_string()));
                }
            }
            let Some(transform) = stronger(&asked) else {
                continue;
            };
            let keyed = matches!(transform, Transform::Hash | Transform::Tokenize);
            // Through a view only what is shown of a table itself is known to have no other values beside it.
            let mut sources_of = output.lineage.sources.iter().map(|source| &source.column);
            let may_be_mixed = match output.origin {
                None => true,
                Some(origin) => {
                    self.case.facts.through_views
                        && sources_of
                            .any(|column| (column.relation_oid, column.attribute) != origin)
                }
            };
            let transform = match keyed && may_be_mixed {
                true => Transform::Redact,
                false => transform,
            };
            findings.masks.push(OutputMask {
                output: index,
                transform,
                rules: rules.into_iter().collect(),
                class: Arc::from(classes.into_iter().collect::<Vec<_>>().join(", ")),
                sources: sources.into_iter().collect(),
                controls: controls.into_iter().collect(),
            });
        }
    }
}

/// The weakest transform that hides at least what each of these hides.
fn stronger(asked: &[Transform]) -> Option<Transform> {
    let (first, rest) = asked.split_first()?;
    if asked.contains(&Transform::Null) {
        return Some(Transform::Null);
    }
    let counts =
        |of: fn(&Transform) -> Option<u16>| -> Option<Vec<u16>> { asked.iter().map(of).collect() };
    let last = counts(|transform| match transform {
        Transform::Last(count) => Some(*count),
        _ => None,
    });
    let first_few = counts(|transform| match transform {
        Transform::First(count) => Some(*count),
        _ => None,
    });
    let least = |counts: Vec<u16>| counts.into_iter().min();
    if let Some(count) = last.and_then(least) {
        return Some(Transform::Last(count));
    }
    if let Some(count) = first_few.and_then(least) {
        return Some(Transform::First(count));
    }
    // Multiples and units have tests of their own beside the transforms.
    let same_family = asked.iter().all(|transform| {
        std::mem::discriminant(transform) == std::mem::discriminant(first)
            && matches!(
                transform,
                Transform::RoundTo(_) | Transform::TruncateDate(_)
            )
    });
    if same_family {
        return Some(
            rest.iter()
                .fold(first.clone(), |left, right| left.join(right)),
        );
    }
    if rest.iter().all(|transform| transform == first) {
        return Some(first.clone());
    }
    Some(Transform::Redact)
}

/// Of the relations that the generators know. The whole list has a test of its own: what a schema of the server's has and is not
/// on it counts.
fn is_value_bearing(schema: &str, relation: &str) -> bool {
    match schema {
        "pg_catalog" => relation != "pg_class",
        "information_schema" | "pg_toast" => true,
        _ => false,
    }
}

fn columns(facts: &Facts) -> BTreeSet<&Column> {
    let mut all = BTreeSet::new();
    for used in facts.accesses.iter().flat_map(|access| &access.columns) {
        all.insert(&*used.column);
    }
    for output in facts.outputs.iter().flatten() {
        all.extend(output.lineage.sources.iter().map(|source| &*source.column));
    }
    for write in &facts.writes {
        all.insert(&*write.column);
        all.extend(write.lineage.sources.iter().map(|source| &*source.column));
    }
    all
}

/// The columns that a value tells of.
fn telling(lineage: &Lineage) -> impl Iterator<Item = &Column> {
    lineage
        .sources
        .iter()
        .filter(|source| source.how != How::Safe)
        .map(|source| &*source.column)
}

fn path(column: &Column) -> String {
    format!("{}.{}.{}", column.schema, column.relation, column.name)
}
