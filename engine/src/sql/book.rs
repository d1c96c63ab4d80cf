//! The book that accesses, opaque entries and writes are noted in while a statement is read, and the lineage of
//! values. A column used once is in the book for ever; nothing is taken back but what a fixed point tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
};

use rustc_hash::FxHashMap;

pub(super) use super::sources::Origin;
use super::{extent::Extent, scope::Field, sources::Sources};
use crate::{
    catalog::{Catalog, Relation, RelationKind},
    facts::{
        Access, Column, ColumnUse, ColumnWrite, Constant, Equality, How, Lineage, Object, Opaque,
        Operation, Source, Use,
    },
};

/// What an expression's value is computed from.
#[derive(Debug, Clone, Default)]
pub(super) struct Value {
    pub(super) sources: Sources,
    /// What RowDescription must show for it.
    pub(super) described: Option<(u32, i16)>,
    /// The fields, where the value is a row whose fields are known one by one.
    pub(super) row: Option<Arc<Vec<Field>>>,
    /// It is surely no row and no array: to compare it with another value never fails. See `scalar.rs`.
    pub(super) plain: bool,
    /// How long it can be.
    pub(super) extent: Extent,
    /// It is a text without a type, which is read as the type that is asked for, or as text.
    pub(super) literal: bool,
}

impl Value {
    /// The same columns, each as computed from.
    pub(super) fn derived(self) -> Self {
        Self {
            sources: self.sources.map(derived),
            described: None,
            row: None,
            plain: false,
            extent: self.extent,
            literal: false,
        }
    }

    /// The same columns, each as safely summarised: by a number.
    pub(super) fn safe(self) -> Self {
        Self {
            sources: self.sources.map(|_| How::Safe),
            described: None,
            row: None,
            plain: true,
            extent: Extent::ONE,
            literal: false,
        }
    }

    /// Adds what another value is computed from, as it is: the value is either. Rows of as many fields stay rows.
    pub(super) fn add(&mut self, other: &Self) {
        self.sources.add(&other.sources);
        // Values that can stand at one place are of one type.
        self.plain |= other.plain;
        self.extent = self.extent.or(other.extent);
        self.literal &= other.literal;
        self.row = match (self.row.take(), &other.row) {
            (Some(mine), Some(theirs)) if mine.len() == theirs.len() => {
                let mut fields = mine.as_ref().clone();
                for (field, other) in fields.iter_mut().zip(theirs.iter()) {
                    field.value.add(&other.value);
                    field.value.described = None;
                }
                Some(Arc::new(fields))
            }
            _ => None,
        };
    }

    /// Adds what another value is computed from, as derived.
    pub(super) fn taint(&mut self, other: &Self) {
        self.row = None;
        self.literal = false;
        self.sources.add_as(&other.sources, derived);
    }

    /// Adds what something that is made of it gives, where that is more: the rest of it stays as it is.
    pub(super) fn taint_with(&mut self, given: &Self) {
        if !given.sources.is_empty() {
            self.taint(given);
        }
    }

    /// One field of the row, by its name; `None` where the fields are not known or none or several have it.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        let mut found = self
            .row
            .iter()
            .flat_map(|fields| fields.iter())
            .filter(|field| *field.name == *name);
        match (found.next(), found.next()) {
            (Some(field), None) => Some(Self {
                described: None,
                ..field.value.clone()
            }),
            _ => None,
        }
    }

    /// Without one column.
    pub(super) fn without(&self, column: &Column) -> Self {
        let mut value = Self::default();
        for origin in self
            .sources
            .iter()
            .filter(|origin| *origin.column != *column)
        {
            value.sources.insert(origin.clone());
        }
        value
    }

    /// The columns of a lineage, as of no access.
    pub(super) fn from_lineage(lineage: &Lineage) -> Self {
        let mut value = Self::default();
        for source in &lineage.sources {
            value.sources.insert(Origin {
                column: source.column.clone(),
                how: source.how,
                entry: None,
            });
        }
        value
    }

    pub(super) fn lineage(&self) -> Lineage {
        let sources = self.sources.iter().map(|origin| Source {
            column: origin.column.clone(),
            how: origin.how,
        });
        Lineage {
            sources: sources.collect(),
        }
    }
}

/// How a value computed from one that depends on a column so depends on it.
const fn derived(how: How) -> How {
    match how {
        How::Direct | How::Derived => How::Derived,
        How::Safe => How::Safe,
    }
}

#[derive(Debug, Clone)]
struct Entry {
    access: Access,
    relation: Option<Arc<Relation>>,
    /// Entries of descendants: what is noted here is noted there.
    mirrors: Vec<usize>,
    /// Columns compared for equality with constants, ANDed at top level.
    fixed: BTreeSet<i16>,
    /// Drop it at the end if no column was used.
    provisional: bool,
    /// Take `filtered`, `bounded` and `equalities` from this entry at the end.
    follows: Option<usize>,
}

/// A set of uses, whichever column they are of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses(u16);

impl Uses {
    const fn add(&mut self, used: Use) {
        self.0 |= 1 << used as u16;
    }

    const fn has(self, used: Use) -> bool {
        self.0 & (1 << used as u16) != 0
    }
}

/// Everything noted so far.
#[derive(Debug, Default)]
pub(super) struct Book {
    entries: Vec<Entry>,
    /// Uses are not noted: the expression being read is not evaluated by this statement.
    quiet: bool,
    /// How often a column was noted in a predicate, a join, a grouping, an order or a computation. Never taken back.
    probes: BTreeMap<Arc<Column>, usize>,
    /// How often a column was compared for equality with a constant, ANDed at the top of the statement.
    looked_up: BTreeMap<Arc<Column>, usize>,
    pub(super) opaque: BTreeSet<Opaque>,
    pub(super) writes: Vec<ColumnWrite>,
    /// See [`crate::facts::Facts::uncounted`]. Never taken back.
    pub(super) uncounted: bool,
    /// Whether anybody asked what columns equal. Never taken back.
    pub(super) rests_on_values: bool,
    /// How often anything was noted that is more than computing. Never taken back.
    effects: usize,
    /// What casts of users gave that did nothing but compute.
    casts: FxHashMap<(u32, u64), Vec<CastDone>>,
    /// What columns were used for, whichever.
    uses: Uses,
}

/// A cast that was read, from what, to what.
#[derive(Debug)]
struct CastDone {
    path: Vec<Arc<str>>,
    value: Value,
    given: Value,
    /// What the value was used for.
    uses: Uses,
}

/// Whether an access stays when no column of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Always,
    IfUsed,
}

/// Whether descendants of a relation are touched too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descend {
    All,
    Only,
}

impl Book {
    /// How far the book is written; [`Book::rewind`] goes back to it.
    pub(super) fn mark(&self) -> usize {
        self.entries.len()
    }

    /// Forgets the entries after `mark`: only for another try at the same text.
    pub(super) fn rewind(&mut self, mark: usize) {
        self.entries.truncate(mark);
    }

    /// What a cast gave of the very same value, where reading it again would note nothing new.
    pub(super) fn cast_done(
        &mut self,
        function: u32,
        path: &[Arc<str>],
        value: &Value,
    ) -> Option<Value> {
        let same = self.casts.get(&(function, value.sources.digest()))?;
        let done = same.iter().find(|done| {
            value.row.is_none()
                && (&done.value.sources, done.value.described, done.value.plain)
                    == (&value.sources, value.described, value.plain)
                && *done.path == *path
        })?;
        let (given, uses) = (done.given.clone(), done.uses);
        for used in Use::ALL {
            if uses.has(used) {
                self.used(value, used);
            }
        }
        Some(given)
    }

    /// Keeps what a cast gave that did nothing but compute.
    pub(super) fn cast_computed(
        &mut self,
        function: u32,
        path: &[Arc<str>],
        (value, given): (&Value, &Value),
        uses: Uses,
    ) {
        if value.row.is_some() {
            return;
        }
        let same = self
            .casts
            .entry((function, value.sources.digest()))
            .or_default();
        same.push(CastDone {
            path: path.to_vec(),
            value: value.clone(),
            given: given.clone(),
            uses,
        });
    }

    /// What columns were used for since this was last asked, whichever they were.
    pub(super) fn take_uses(&mut self) -> Uses {
        std::mem::take(&mut self.uses)
    }

    /// Adds to what columns were used for.
    pub(super) fn add_uses(&mut self, uses: Uses) {
        self.uses.0 |= uses.0;
    }

    /// Whether uses are not noted now.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether uses are noted from here on; gives back what it was.
    pub(super) fn set_quiet(&mut self, quiet: bool) -> bool {
        std::mem::replace(&mut self.quiet, quiet)
    }

    pub(super) fn opaque(&mut self, subject: &str, reason: &str) {
        self.touched();
        self.opaque.insert(Opaque {
            subject: subject.into(),
            reason: reason.into(),
        });
    }

    /// How often anything was noted: equal numbers mean that nothing happened between.
    pub(super) fn effects(&self) -> usize {
        self.effects
    }

    /// Notes that something happens which no access tells.
    pub(super) fn touched(&mut self) {
        self.effects = self.effects.saturating_add(1);
    }

    /// Whether an object other than a relation is made in a schema: a type or a function. An index hides nothing.
    pub(super) fn creates_in(&self, schema: &str) -> bool {
        let is_made = |access: &Access| match &access.object {
            Object::Other {
                sort,
                schema: Some(place),
                ..
            } => **place == *schema && &**sort != "index",
            Object::Function { schema: place, .. } => **place == *schema,
            _ => false,
        };
        let mut entries = self.entries.iter();
        entries.any(|entry| entry.access.operation == Operation::Create && is_made(&entry.access))
    }

    /// An access to something that is no relation of the catalog.
    pub(super) fn plain(&mut self, object: Object, operation: Operation) {
        self.touched();
        let access = Access {
            object,
            operation,
            columns: BTreeSet::new(),
            via: None,
            filtered: false,
            bounded: false,
            equalities: BTreeSet::new(),
        };
        let known = self.entries.iter().any(|entry| entry.access == access);
        if !known {
            self.push(access, None, Keep::Always);
        }
    }

    /// The entries of relations from `mark` on that are there to stay.
    pub(super) fn relations_from(&self, mark: usize) -> Vec<(usize, Arc<Relation>)> {
        let entries = self.entries.iter().enumerate().skip(mark);
        entries
            .filter(|(_, entry)| !entry.provisional || !entry.access.columns.is_empty())
            .filter_map(|(index, entry)| Some((index, entry.relation.clone()?)))
            .collect()
    }

    /// Locks on every relation that these entries read.
    pub(super) fn lock(&mut self, entries: Range<usize>) {
        let read = self.entries.get(entries).unwrap_or_default().iter();
        let objects: Vec<Object> = read
            .filter(|entry| entry.access.operation == Operation::Read && entry.relation.is_some())
            .map(|entry| entry.access.object.clone())
            .collect();
        for object in objects {
            self.plain(object, Operation::Lock);
        }
    }

    /// An access to a relation, with one to each descendant.
    pub(super) fn relation(
        &mut self,
        catalog: &Catalog,
        relation: &Arc<Relation>,
        operation: Operation,
        via: Option<&Arc<str>>,
        (descend, keep): (Descend, Keep),
    ) -> usize {
        let access = |relation: &Relation| Access {
            object: Object::Relation {
                schema: relation.schema.clone(),
                name: relation.name.clone(),
                oid: relation.oid,
            },
            operation,
            columns: BTreeSet::new(),
            via: via.cloned(),
            filtered: false,
            bounded: false,
            equalities: BTreeSet::new(),
        };
        let index = self.push(access(relation), Some(relation.clone()), keep);
        let descendants = if descend == Descend::All {
            catalog.descendants(relation.oid)
        } else {
            Vec::new()
        };
        let mirrors = descendants
            .iter()
            .map(|descendant| self.push(access(descendant), Some(descendant.clone()), keep));
        let mirrors: Vec<usize> = mirrors.collect();
        if let Some(entry) = self.entries.get_mut(index) {
            entry.mirrors = mirrors;
        }
        index
    }

    /// Makes `entry` take its row limits from `leader`.
    pub(super) fn follow(&mut self, entry: usize, leader: usize) {
        let mirrors = |book: &Self, index: usize| {
            book.entries
                .get(index)
                .map(|entry| entry.mirrors.clone())
                .unwrap_or_default()
        };
        for (follower, leader) in mirrors(self, entry)
            .into_iter()
            .zip(mirrors(self, leader))
            .chain([(entry, leader)])
        {
            if let Some(entry) = self.entries.get_mut(follower) {
                entry.follows = Some(leader);
            }
        }
    }

    /// Notes a use of every column that a value is computed from.
    pub(super) fn used(&mut self, value: &Value, used: Use) {
        for origin in &value.sources {
            if let Some(entry) = origin.entry {
                self.column_used(entry, &origin.column, used);
            }
        }
    }

    /// Notes a use of one column of an entry.
    pub(super) fn column_used(&mut self, entry: usize, column: &Arc<Column>, used: Use) {
        self.uses.add(used);
        if self.quiet {
            return;
        }
        match used {
            Use::Filter | Use::Join | Use::Group | Use::Sort | Use::Compute => {
                let count = self.probes.entry(column.clone()).or_default();
                *count = count.saturating_add(1);
            }
            Use::Output | Use::Write | Use::Returning => {}
        }
        let Some(noted) = self.entries.get_mut(entry) else {
            return;
        };
        noted.access.columns.insert(ColumnUse {
            column: column.clone(),
            used,
        });
        for mirror in noted.mirrors.clone() {
            let Some(noted) = self.entries.get_mut(mirror) else {
                continue;
            };
            let same = noted
                .relation
                .as_ref()
                .and_then(|relation| relation.column(&column.name).cloned());
            if let Some(same) = same {
                noted
                    .access
                    .columns
                    .insert(ColumnUse { column: same, used });
            }
        }
    }

    /// Notes that a predicate that is not constantly true speaks about these columns.
    pub(super) fn filtered(&mut self, value: &Value) {
        if self.quiet {
            return;
        }
        for index in value.sources.iter().filter_map(|origin| origin.entry) {
            if let Some(entry) = self.entries.get_mut(index) {
                entry.access.filtered = true;
                for mirror in entry.mirrors.clone() {
                    if let Some(entry) = self.entries.get_mut(mirror) {
                        entry.access.filtered = true;
                    }
                }
            }
        }
    }

    /// Notes that the columns go into a computation that can fail or tell of their values (see `Use::Compute`).
    pub(super) fn computed(&mut self, value: &Value) {
        self.used(value, Use::Compute);
    }

    /// Notes that a column of an entry is fixed to constants.
    pub(super) fn fixed(&mut self, index: usize, column: i16) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.fixed.insert(column);
        }
    }

    /// Notes that every row of an entry has this constant in a column. So do those of its descendants, whose column is
    /// of the same type. Never taken back: templates rest on it (`readings/template.rs`).
    pub(super) fn equals(&mut self, index: usize, column: &Arc<Column>, value: &Constant) {
        let Some(entry) = self.entries.get_mut(index) else {
            return;
        };
        entry.access.equalities.insert(Equality {
            column: column.clone(),
            value: value.clone(),
        });
        for mirror in entry.mirrors.clone() {
            let Some(entry) = self.entries.get_mut(mirror) else {
                continue;
            };
            let same = entry
                .relation
                .as_ref()
                .and_then(|relation| relation.column(&column.name).cloned());
            if let Some(column) = same.filter(|same| same.type_oid == column.type_oid) {
                entry.access.equalities.insert(Equality {
                    column,
                    value: value.clone(),
                });
            }
        }
    }

    /// What every row of an entry has in a column. From now on what is found may rest on it.
    pub(super) fn equal_to(
        &mut self,
        index: usize,
        column: &Column,
    ) -> impl Iterator<Item = &Constant> {
        self.rests_on_values = true;
        self.entries
            .get(index)
            .into_iter()
            .flat_map(|entry| &entry.access.equalities)
            .filter(move |equality| *equality.column == *column)
            .map(|equality| &equality.value)
    }

    /// Notes that a column is looked up: compared for equality with a constant, ANDed at the top of the statement.
    pub(super) fn looked_up(&mut self, column: &Arc<Column>) {
        let count = self.looked_up.entry(column.clone()).or_default();
        *count = count.saturating_add(1);
    }

    /// Columns that are looked up once and used in no other predicate.
    pub(super) fn lookups(&self) -> BTreeSet<Arc<Column>> {
        let once = |counts: &BTreeMap<Arc<Column>, usize>, column| counts.get(column) == Some(&1);
        self.looked_up
            .keys()
            .filter(|column| once(&self.looked_up, *column) && once(&self.probes, *column))
            .cloned()
            .collect()
    }

    fn push(&mut self, access: Access, relation: Option<Arc<Relation>>, keep: Keep) -> usize {
        self.touched();
        let entry = Entry {
            access,
            relation,
            mirrors: Vec::new(),
            fixed: BTreeSet::new(),
            provisional: keep == Keep::IfUsed,
            follows: None,
        };
        self.entries.push(entry);
        self.entries.len().saturating_sub(1)
    }

    /// Whether a column of this name is written in a relation.
    pub(super) fn is_written(&self, relation: u32, column: &str) -> bool {
        let same = |written: &Column| written.relation_oid == relation && *written.name == *column;
        self.writes.iter().any(|write| same(&write.column))
            || self.entries.iter().any(|entry| {
                entry
                    .access
                    .columns
                    .iter()
                    .any(|used| used.used == Use::Write && same(&used.column))
            })
    }

    /// Entries that follow another one's limits take them over.
    fn follow_leaders(&mut self) {
        if self.entries.iter().all(|entry| entry.follows.is_none()) {
            return;
        }
        let limits: Vec<(bool, bool, BTreeSet<Equality>)> = self
            .entries
            .iter()
            .map(|entry| {
                let access = &entry.access;
                (access.filtered, access.bounded, access.equalities.clone())
            })
            .collect();
        for entry in &mut self.entries {
            let leader = entry.follows.and_then(|leader| limits.get(leader));
            if let Some((filtered, bounded, equalities)) = leader {
                entry.access.filtered = *filtered;
                entry.access.bounded = *bounded;
                entry.access.equalities.clone_from(equalities);
            }
        }
    }

    /// The accesses, in the order they were met; never empty.
    pub(super) fn finish(mut self) -> (Vec<Access>, Vec<ColumnWrite>, BTreeSet<Opaque>) {
        for index in 0..self.entries.len() {
            let Some(entry) = self.entries.get(index) else {
                continue;
            };
            let Some(relation) = &entry.relation else {
                continue;
            };
            let bounded = relation
                .unique_keys
                .iter()
                .any(|key| !key.is_empty() && key.is_subset(&entry.fixed));
            let partitioned = relation.kind == RelationKind::Partitioned;
            let mirrors = entry.mirrors.clone();
            if let Some(entry) = self.entries.get_mut(index) {
                // A unique key of an inheritance parent says nothing of its children's rows.
                entry.access.bounded |= bounded;
            }
            for mirror in mirrors {
                if let Some(entry) = self.entries.get_mut(mirror) {
                    entry.access.bounded |= bounded && partitioned;
                }
            }
        }
        self.follow_leaders();
        for entry in &mut self.entries {
            let uses = &mut entry.access.columns;
            // What decides which rows there are says more than what is computed on the way.
            if !uses.iter().any(|noted| noted.used == Use::Compute) {
                continue;
            }
            let decisive: BTreeSet<Arc<Column>> = uses
                .iter()
                .filter(|noted| noted.used == Use::Filter)
                .map(|noted| noted.column.clone())
                .collect();
            uses.retain(|noted| noted.used != Use::Compute || !decisive.contains(&noted.column));
        }
        let kept = self
            .entries
            .into_iter()
            .filter(|entry| !entry.provisional || !entry.access.columns.is_empty());
        let mut accesses: Vec<Access> = kept.map(|entry| entry.access).collect();
        if accesses.is_empty() {
            let operation = Operation::Read;
            let columns = BTreeSet::new();
            accesses.push(Access {
                object: Object::Nothing,
                operation,
                columns,
                via: None,
                filtered: false,
                bounded: false,
                equalities: BTreeSet::new(),
            });
        }
        (accesses, self.writes, self.opaque)
    }
}
