//! Masks on the result, probing, and what a principal that masks bind is never allowed, whatever rules allow.
//!
//! Runs only for sessions that a mask binds. Every doubt about where a masked value could go is a refusal.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    CompiledMask, Lens, Policy, SessionView, built_in,
    classes::lower,
    condition::{Truth, Unknown},
    findings::Findings,
    index::Bits,
    rule::Probing,
};
use crate::{
    catalog::TEMP_SCHEMA,
    facts::{
        Access, Column, Facts, How, Kind, Lineage, Object, Operation, OutputColumn, SessionEffect,
        Use,
    },
    verdict::{OutputMask, Probe, Transform},
};

const UNMASKED_PRINCIPAL: &str = "a principal that no mask binds may run it";

/// Judges a statement against the masks that bind the session.
pub(super) fn judge(
    policy: &Policy,
    view: &SessionView,
    lens: Lens,
    facts: &Facts,
    findings: &mut Findings,
) {
    if view.modules.masks().is_empty() && is_out_of_reach(policy, view, facts) {
        return;
    }
    let shown = |mask: &CompiledMask| {
        let voice = policy.voice(mask.rule);
        voice.is_some_and(|voice| lens.shows_mode(voice.mode))
    };
    let all: Vec<(&CompiledMask, &Truth)> = view
        .residual
        .masks
        .iter()
        .filter_map(|bound| Some((policy.masks.get(bound.mask)?, &bound.truth)))
        .chain(view.modules.masks().iter().map(|mask| (mask, &Truth::True)))
        .filter(|(mask, _)| shown(mask))
        .collect();
    let bound: Vec<&CompiledMask> = all.iter().map(|(mask, _)| *mask).collect();
    if bound.is_empty() {
        return;
    }
    let binding = Binding { policy, bound };
    for (mask, truth) in &all {
        if let Truth::Unknown(why) = truth {
            binding.judge_unknown(mask, why, facts, findings);
        }
    }
    binding.judge_kind(facts, findings);
    binding.judge_relations(facts, findings);
    binding.judge_probing(facts, findings);
    binding.judge_copies(facts, findings);
    for (index, output) in facts.outputs.iter().flatten().enumerate() {
        binding.mask_output(index, output, facts, findings);
    }
}

/// Whether no mask of the policy can have a say: an ordinary read or write that names no column of a class that any mask on
/// the session masks. The common case, and so without allocation; whatever else it is, [`Binding`] says.
fn is_out_of_reach(policy: &Policy, view: &SessionView, facts: &Facts) -> bool {
    if view.residual.masks.is_empty() {
        return true;
    }
    let is_ordinary = match facts.kind {
        Kind::Select => facts.outputs.is_some(),
        Kind::Insert | Kind::Update | Kind::Delete => true,
        _ => false,
    };
    let is_harmless = |access: &Access| {
        let operation = matches!(
            access.operation,
            Operation::Read | Operation::Insert | Operation::Update | Operation::Delete
        );
        operation
            && match &access.object {
                Object::Relation { schema, name, .. } => !built_in::is_value_bearing(schema, name),
                _ => true,
            }
    };
    is_ordinary
        && facts.opaque.is_empty()
        && facts.session_effect == SessionEffect::None
        && facts.accesses.iter().all(is_harmless)
        && columns(facts).all(|column| {
            if built_in::is_value_bearing_column(column) {
                return false;
            }
            let classes = policy.classes.of(column);
            Bits::common([&classes, &view.residual.masked])
                .next()
                .is_none()
        })
}

/// The masks that bind a session.
struct Binding<'a> {
    policy: &'a Policy,
    bound: Vec<&'a CompiledMask>,
}

impl<'a> Binding<'a> {
    /// The masks on a column, each with the classes through which it masks it. A column of the server's catalogs that carries
    /// values may carry those of every class.
    fn masks_on(&self, column: &Column) -> Vec<(&'a CompiledMask, Bits)> {
        if built_in::is_value_bearing_column(column) {
            let every = self.bound.iter();
            return every.map(|mask| (*mask, mask.classes.clone())).collect();
        }
        let classes = self.policy.classes.of(column);
        self.bound
            .iter()
            .filter_map(|mask| Some((*mask, intersection(&classes, &mask.classes)?)))
            .collect()
    }

    /// Whether a mask on a column shows which values are equal.
    fn is_keyed(&self, column: &Column) -> bool {
        self.masks_on(column)
            .iter()
            .any(|(mask, _)| mask.mask.transform(&lower(&column.name)).is_keyed())
    }

    fn is_masked(&self, column: &Column) -> bool {
        !self.masks_on(column).is_empty()
    }

    /// A mask that may bind or not refuses whatever names a column that it would mask.
    fn judge_unknown(
        &self,
        mask: &CompiledMask,
        why: &Unknown,
        facts: &Facts,
        findings: &mut Findings,
    ) {
        let classes = |column: &Column| self.policy.classes.of(column);
        if columns(facts).any(|column| intersection(&classes(column), &mask.classes).is_some()) {
            let name = self.policy.voice(mask.rule).map_or("", |voice| voice.name);
            let message = format!("mask `{name}` can't be evaluated: {why}");
            self.refuse_by(mask, findings, &message, None);
        }
    }

    /// Refuses because masks bind the principal, not because of one column: every mask that binds it is named.
    fn refuse(&self, findings: &mut Findings, message: &str, hint: Option<&str>) {
        findings.refuse(None, message, hint);
        findings.refusal_rests_on(self.bound.iter().map(|mask| mask.rule));
    }

    /// What the statement is, before what it touches.
    fn judge_kind(&self, facts: &Facts, findings: &mut Findings) {
        for opaque in &facts.opaque {
            let message = format!(
                "masks bind this principal, and what {} does can't be bounded: {}",
                opaque.subject, opaque.reason
            );
            self.refuse(findings, &message, Some(UNMASKED_PRINCIPAL));
        }
        let does = |wanted: &[Operation]| {
            facts
                .accesses
                .iter()
                .any(|access| wanted.contains(&access.operation))
        };
        let changes_schema = facts.kind == Kind::Ddl
            || facts.session_effect == SessionEffect::Catalog
            || does(&[Operation::Create, Operation::Alter, Operation::Drop]);
        if changes_schema && !changes_only_temporary(facts) {
            // Source: ruling 3. Which other schema changes move no value is not told apart yet.
            let message = "masks bind this principal, and a schema change can move masked values out of their class";
            self.refuse(findings, message, Some(UNMASKED_PRINCIPAL));
        }
        if facts.kind == Kind::Maintain || does(&[Operation::Maintain]) {
            // Source: ruling 3: CLUSTER orders the rows on disk by values.
            let message =
                "masks bind this principal, and maintenance can order rows by masked values";
            self.refuse(findings, message, Some(UNMASKED_PRINCIPAL));
        }
        let rows_of_unknown_shape = facts.outputs.is_none()
            && match facts.kind {
                Kind::Select | Kind::CopyTo | Kind::Call | Kind::Replication | Kind::Other => true,
                Kind::Insert
                | Kind::Update
                | Kind::Delete
                | Kind::Merge
                | Kind::CopyFrom
                | Kind::Truncate
                | Kind::Ddl
                | Kind::Grant
                | Kind::Set
                | Kind::Show
                | Kind::Begin
                | Kind::Commit
                | Kind::Rollback
                | Kind::Savepoint
                | Kind::Explain
                | Kind::Listen
                | Kind::Lock
                | Kind::Maintain
                | Kind::Release
                | Kind::Empty => false,
            };
        if rows_of_unknown_shape {
            let message = "masks bind this principal, and the columns of this statement's result are not known";
            self.refuse(findings, message, Some(UNMASKED_PRINCIPAL));
        }
    }

    /// Relations that are out of bounds as a whole.
    fn judge_relations(&self, facts: &Facts, findings: &mut Findings) {
        for access in &facts.accesses {
            let (schema, name) = match &access.object {
                Object::Relation {
                    schema,
                    name,
                    oid: _,
                } => (schema, name),
                Object::Function { schema, name } if built_in::tells_of_changes(schema, name) => {
                    let message = format!(
                        "masks bind this principal, and {name} tells how much a write changed"
                    );
                    self.refuse(findings, &message, Some(UNMASKED_PRINCIPAL));
                    continue;
                }
                _ => continue,
            };
            if built_in::is_value_bearing(schema, name) {
                let message = format!(
                    "masks bind this principal, and {schema}.{name} carries values of other relations"
                );
                self.refuse(findings, &message, Some(UNMASKED_PRINCIPAL));
            }
            if facts.kind == Kind::Explain && self.may_have_masked_columns(schema, name) {
                let message =
                    format!("EXPLAIN tells of values, and columns of {schema}.{name} are masked");
                self.refuse(findings, &message, Some(UNMASKED_PRINCIPAL));
            }
        }
        let masked: BTreeSet<&Column> = columns(facts)
            .filter(|column| self.is_masked(column))
            .collect();
        for column in masked {
            if facts.kind == Kind::Explain {
                let message = format!("EXPLAIN tells of values, and {} is masked", path(column));
                self.refuse_on(column, findings, &message, Some(UNMASKED_PRINCIPAL));
            }
            // Source: ruling 4. A view can be locked and compared with what analysis read; what else is expanded can't.
            match reached(facts) {
                Reached::Itself => {}
                Reached::ThroughViews => findings.rests_on_views(),
                Reached::Otherwise(how, hint) => {
                    let message = format!("{} is masked and reached through {how}", path(column));
                    self.refuse_on(column, findings, &message, Some(hint));
                }
            }
        }
    }

    /// Whether a mask is on a class whose pattern spells out this relation or its schema. A pattern such as `*.*.card` says nothing
    /// of a relation; the columns that facts name decide there.
    fn may_have_masked_columns(&self, schema: &str, relation: &str) -> bool {
        let classes = self.policy.classes.of_relation(schema, relation);
        self.bound
            .iter()
            .any(|mask| intersection(&classes, &mask.classes).is_some())
    }

    /// Refuses because of one column: the masks on it are named.
    fn refuse_on(
        &self,
        column: &Column,
        findings: &mut Findings,
        message: &str,
        hint: Option<&str>,
    ) {
        for (mask, _) in self.masks_on(column) {
            self.refuse_by(mask, findings, message, hint);
        }
    }

    fn refuse_by(
        &self,
        mask: &CompiledMask,
        findings: &mut Findings,
        message: &str,
        hint: Option<&str>,
    ) {
        match self.policy.voice(mask.rule) {
            Some(voice) => findings.refuse(Some((mask.rule, voice.name)), message, hint),
            None => findings.refuse(None, message, hint),
        }
    }

    /// Masked columns that decide which rows there are, or how they come; and writes that tell whether a value exists.
    fn judge_probing(&self, facts: &Facts, findings: &mut Findings) {
        let used = facts
            .accesses
            .iter()
            .flat_map(|access: &Access| &access.columns);
        let uses = used.map(|column_use| (&*column_use.column, column_use.used));
        let written = facts
            .writes
            .iter()
            .map(|write| (&*write.column, Use::Write));
        let all: BTreeSet<(&Column, Use)> = uses.chain(written).collect();
        let looks_up = |column: &Column| {
            facts.lookups.len() == 1 && facts.lookups.iter().any(|lookup| **lookup == *column)
        };
        for (column, used) in all {
            let message = match used {
                Use::Filter => format!(
                    "{} is masked and may not decide which rows there are",
                    path(column)
                ),
                Use::Join => format!(
                    "{} is masked and may not decide how rows join",
                    path(column)
                ),
                Use::Group => format!(
                    "{} is masked and rows may not be grouped or made distinct by it",
                    path(column)
                ),
                Use::Sort => format!(
                    "{} is masked and rows may not be ordered by it",
                    path(column)
                ),
                Use::Compute => format!(
                    "{} is masked and may not go into a computation that can fail or be null because of its value",
                    path(column)
                ),
                Use::Write if column.constrained => {
                    format!(
                        "{} is masked and under a constraint: writing it tells whether a value exists",
                        path(column)
                    )
                }
                // Equal values have equal hashes: a client could write its guess and compare.
                Use::Write if self.is_keyed(column) => format!(
                    "{} is masked by a keyed hash: writing it would show the hash of a chosen value",
                    path(column)
                ),
                Use::Write | Use::Output | Use::Returning => continue,
            };
            let hint = format!("leave out column {}", column.name);
            for (mask, _) in self.masks_on(column) {
                match mask.mask.probing {
                    Probing::Deny => self.refuse_by(mask, findings, &message, Some(&hint)),
                    Probing::Lookup { per_hour } if used == Use::Filter && looks_up(column) => {
                        let probe = Probe {
                            column: Arc::from(path(column)),
                            per_hour,
                        };
                        findings.probe(mask.rule, probe);
                    }
                    Probing::Lookup { .. } => {
                        let message =
                            format!("{message}: only one = with a constant is let through");
                        self.refuse_by(mask, findings, &message, Some(&hint));
                    }
                    Probing::Allow => {}
                }
            }
        }
    }

    /// Masked values that would be written anywhere.
    fn judge_copies(&self, facts: &Facts, findings: &mut Findings) {
        for write in &facts.writes {
            for (column, how) in sources(&write.lineage) {
                let copies = match how {
                    How::Direct | How::Derived => true,
                    How::Safe => false,
                };
                if copies && self.is_masked(column) {
                    let message = format!(
                        "{} is masked and may not be copied into {}",
                        path(column),
                        path(&write.column)
                    );
                    self.refuse_on(
                        column,
                        findings,
                        &message,
                        Some(&format!("leave out column {}", column.name)),
                    );
                }
            }
        }
    }

    /// The mask on one column of the result, joined over everything it is computed from.
    fn mask_output(
        &self,
        index: usize,
        output: &OutputColumn,
        facts: &Facts,
        findings: &mut Findings,
    ) {
        let mut transform: Option<Transform> = None;
        let mut rules = BTreeSet::new();
        let mut classes = Bits::empty(self.policy.classes.names.len());
        let mut masked = BTreeSet::new();
        let mut of_catalogs = None;
        for (column, how) in sources(&output.lineage) {
            let is_of_catalogs = built_in::is_value_bearing_column(column);
            for (mask, through) in self.masks_on(column) {
                let asked = match is_of_catalogs {
                    true => Transform::Null,
                    false => mask.mask.transform(&lower(&column.name)).clone(),
                };
                let asked = match how {
                    How::Direct => asked,
                    // What is left of a computed value is not what the transform was written for.
                    How::Derived => asked.join(&Transform::Redact),
                    How::Safe => continue,
                };
                transform =
                    Some(transform.map_or_else(|| asked.clone(), |so_far| so_far.join(&asked)));
                rules.insert(mask.rule);
                match is_of_catalogs {
                    true => of_catalogs = Some(built_in::CATALOG_VALUES),
                    false => classes.add_all(&through),
                }
                masked.insert(path(column));
            }
        }
        let Some(transform) = transform else { return };
        // Where other values can stand beside the column's, as in a UNION, a client could have its own guesses hashed. What a view
        // calls a column may be a UNION too.
        let is_plain_column = output.origin.is_some_and(|origin| {
            let is_itself = |column: &Column| (column.relation_oid, column.attribute) == origin;
            !facts.through_views || sources(&output.lineage).all(|(column, _)| is_itself(column))
        });
        let transform = match transform.is_keyed() && !is_plain_column {
            true => transform.join(&Transform::Redact),
            false => transform,
        };
        let classes: Vec<&str> = classes
            .iter()
            .filter_map(|class| self.policy.classes.names.get(class))
            .map(|name| &**name)
            .chain(of_catalogs)
            .collect();
        let asking: Vec<_> = rules
            .iter()
            .filter_map(|&rule| self.policy.voice(rule))
            .collect();
        let controls: BTreeSet<&Arc<str>> =
            asking.iter().flat_map(|voice| voice.controls).collect();
        rules.iter().for_each(|&rule| findings.applied(rule));
        findings.mask(OutputMask {
            output: index,
            transform,
            rules: asking.iter().map(|voice| Arc::clone(voice.name)).collect(),
            class: Arc::from(classes.join(", ")),
            sources: masked.into_iter().map(Arc::from).collect(),
            controls: controls.into_iter().cloned().collect(),
        });
    }
}

/// How a statement reaches the columns that it names.
enum Reached {
    /// By its own text alone.
    Itself,
    /// Through views that can be held as they are while it runs.
    ThroughViews,
    /// Through something that can't: what, and what would work.
    Otherwise(&'static str, &'static str),
}

fn reached(facts: &Facts) -> Reached {
    match (facts.through_views, facts.views.is_empty(), facts.kind) {
        (false, _, _) => Reached::Itself,
        (true, false, Kind::Select) => Reached::ThroughViews,
        (true, false, Kind::CopyTo) if only_reads(facts) => Reached::ThroughViews,
        (true, false, _) => Reached::Otherwise(
            "a view, which only a SELECT of its own may do, or a COPY of one",
            "read it in a SELECT, or name the table itself",
        ),
        (true, true, _) => Reached::Otherwise(
            "a function, trigger, rule or materialised view, which can't be held as it was analysed while the statement runs",
            "read the table itself, or a plain view over it",
        ),
    }
}

fn only_reads(facts: &Facts) -> bool {
    facts
        .accesses
        .iter()
        .all(|access| matches!(access.operation, Operation::Read | Operation::CopyTo))
}

/// Every column that facts name, however it is used.
fn columns(facts: &Facts) -> impl Iterator<Item = &Column> {
    let used = facts
        .accesses
        .iter()
        .flat_map(|access| &access.columns)
        .map(|column_use| &*column_use.column);
    let shown = facts
        .outputs
        .iter()
        .flatten()
        .flat_map(|output| sources(&output.lineage))
        .map(|(column, _)| column);
    let written = facts.writes.iter().map(|write| &*write.column);
    let copied = facts
        .writes
        .iter()
        .flat_map(|write| sources(&write.lineage))
        .map(|(column, _)| column);
    used.chain(shown).chain(written).chain(copied)
}

fn sources(lineage: &Lineage) -> impl Iterator<Item = (&Column, How)> {
    lineage
        .sources
        .iter()
        .map(|source| (&*source.column, source.how))
}

fn path(column: &Column) -> String {
    format!("{}.{}.{}", column.schema, column.relation, column.name)
}

/// The common members, unless there are none.
fn intersection(left: &Bits, right: &Bits) -> Option<Bits> {
    let mut common = left.clone();
    common.keep_only(right);
    (!common.is_empty()).then_some(common)
}
/// Whether a schema change is of temporary relations alone: nothing of another relation gets a new place or name. What is
/// copied into them is a write like any other.
fn changes_only_temporary(facts: &Facts) -> bool {
    let is_temporary = |object: &Object| matches!(object, Object::Relation { schema, .. } if **schema == *TEMP_SCHEMA);
    let mut changes = facts
        .accesses
        .iter()
        .filter(|access| {
            matches!(
                access.operation,
                Operation::Create | Operation::Alter | Operation::Drop | Operation::Grant
            )
        })
        .peekable();
    changes.peek().is_some() && changes.all(|access| is_temporary(&access.object))
}
