//! Relations and what hangs on them: columns, keys, triggers, rules, policies.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{is_false, null_is_empty};
use crate::facts::Column;

/// A relation's kind: PostgreSQL's `pg_class.relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RelationKind {
    /// An ordinary table.
    #[serde(rename = "r")]
    Table,
    /// A partitioned table.
    #[serde(rename = "p")]
    Partitioned,
    /// A view.
    #[serde(rename = "v")]
    View,
    /// A materialised view.
    #[serde(rename = "m")]
    MaterialisedView,
    /// A foreign table.
    #[serde(rename = "f")]
    Foreign,
    /// A sequence.
    #[serde(rename = "S")]
    Sequence,
    /// A composite type.
    #[serde(rename = "c")]
    Composite,
}

impl RelationKind {
    /// Whether a query defines it: a view, materialised or not.
    #[must_use]
    pub const fn is_view(self) -> bool {
        matches!(self, Self::View | Self::MaterialisedView)
    }
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attribute {
    /// Attribute number, from 1; dropped ones are left out, the numbers stay.
    pub number: i16,
    /// Exact name.
    pub name: Arc<str>,
    /// The type's oid.
    #[serde(rename = "type")]
    pub type_oid: u32,
    /// NOT NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_null: bool,
    /// A unique, foreign-key, exclusion, check or domain constraint speaks about it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub constrained: bool,
    /// The default's expression as the server deparses it, or the generation expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Arc<str>>,
    /// `GENERATED ALWAYS AS (...)`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub generated: bool,
    /// `GENERATED ... AS IDENTITY`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub identity: bool,
    /// Its collation calls texts equal that differ in their bytes.
    #[serde(default, skip_serializing_if = "is_false")]
    pub nondeterministic: bool,
}

/// A user trigger that is enabled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trigger {
    /// Exact name.
    pub name: Arc<str>,
    /// `pg_trigger.tgtype`: 1 for each row, 2 before, 64 instead of; 4 insert, 8 delete, 16 update, 32 truncate.
    pub events: i16,
    /// The function that it calls: see [`super::Catalog::called`].
    #[serde(default)]
    pub function: u32,
    /// The columns of `UPDATE OF`; empty: any.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub columns: Vec<i16>,
    /// The transition table of old rows, by the name that the function knows it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_table: Option<Arc<str>>,
    /// The transition table of new rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_table: Option<Arc<str>>,
    /// Where it has a `WHEN` condition: the whole CREATE TRIGGER statement, names qualified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Arc<str>>,
}

/// When a trigger runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TriggerTiming {
    /// Before the row or the statement.
    Before,
    /// After it.
    After,
    /// In its place.
    InsteadOf,
}

impl Trigger {
    /// Whether it runs for each row, not once for the statement.
    #[must_use]
    pub const fn is_for_each_row(&self) -> bool {
        self.events & 1 != 0
    }

    /// When it runs.
    #[must_use]
    pub const fn timing(&self) -> TriggerTiming {
        match self.events & (2 | 64) {
            0 => TriggerTiming::After,
            2 => TriggerTiming::Before,
            _ => TriggerTiming::InsteadOf,
        }
    }
}

/// What a rule is for: `pg_rewrite.ev_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RuleEvent {
    /// SELECT; a view's own rule is not listed.
    #[serde(rename = "1")]
    Select,
    /// UPDATE.
    #[serde(rename = "2")]
    Update,
    /// INSERT.
    #[serde(rename = "3")]
    Insert,
    /// DELETE.
    #[serde(rename = "4")]
    Delete,
}

/// A rule other than a view's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// Exact name.
    pub name: Arc<str>,
    /// What it is for.
    pub event: RuleEvent,
    /// `DO INSTEAD`, not `DO ALSO`.
    pub instead: bool,
    /// It is not switched off.
    pub enabled: bool,
    /// The whole CREATE RULE statement, names qualified.
    pub definition: Arc<str>,
}

/// Whether row-level security filters a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RowSecurity {
    /// No.
    #[default]
    #[serde(rename = "o")]
    Off,
    /// For everybody but its owner and those who bypass it.
    #[serde(rename = "e")]
    Enabled,
    /// For its owner too.
    #[serde(rename = "f")]
    Forced,
}

impl RowSecurity {
    /// Whether it filters nothing.
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

/// A row-level security policy: its expressions run with the rights of the statement's user.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RowPolicy {
    /// Exact name.
    pub name: Arc<str>,
    /// `pg_policy.polcmd`: `r` select, `a` insert, `w` update, `d` delete, `*` all.
    pub command: char,
    /// It allows rows; else it takes some away.
    pub permissive: bool,
    /// The roles that it is for; empty: everybody.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub roles: Vec<Arc<str>>,
    /// `USING`, deparsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub using: Option<Arc<str>>,
    /// `WITH CHECK`, deparsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Arc<str>>,
}

/// A foreign key elsewhere that refers to this relation: it may write when this one is written, or forbid it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cascade {
    /// The referencing relation.
    pub oid: u32,
    /// `pg_constraint.confdeltype`: `c` deletes, `n` and `d` update, `a` and `r` forbid.
    pub on_delete: char,
    /// `pg_constraint.confupdtype`.
    pub on_update: char,
}

/// A foreign key: the referenced relation, the referencing attribute numbers, the referenced ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ForeignKey(pub u32, pub Vec<i16>, pub Vec<i16>);

/// A relation of the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Relation {
    /// Its oid.
    pub oid: u32,
    /// Exact schema name.
    pub schema: Arc<str>,
    /// Exact name.
    pub name: Arc<str>,
    /// What sort of relation.
    pub kind: RelationKind,
    /// Its columns, by number.
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// Unique keys that are immediate, whole and on plain columns: attribute numbers each.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub unique_keys: Vec<BTreeSet<i16>>,
    /// Oids of inheritance or partitioning parents.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub parents: Vec<u32>,
    /// The columns, by number, that decide which partition a row of a partitioned table is in.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "BTreeSet::is_empty"
    )]
    pub partition_key: BTreeSet<i16>,
    /// A view's definition, names qualified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Arc<str>>,
    /// The number of the transaction that made the definition what it is (`pg_rewrite.xmin`): another definition has another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_mark: Option<u32>,
    /// User triggers that are enabled.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub triggers: Vec<Trigger>,
    /// Rules other than a view's own.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub rules: Vec<Rule>,
    /// Whether row-level security filters it.
    #[serde(default, skip_serializing_if = "RowSecurity::is_off")]
    pub row_security: RowSecurity,
    /// Its row-level security policies, whether they are switched on or not.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub policies: Vec<RowPolicy>,
    /// Names of its indexes, which are in its schema.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub indexes: Vec<Arc<str>>,
    /// Foreign keys elsewhere that refer to it.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cascades: Vec<Cascade>,
    /// Expressions that every write evaluates, deparsed, where they call users' functions: checks, expressions and predicates
    /// of indexes, keys of the partitioned tables that it belongs to (several of one key in one text, with commas).
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub write_expressions: Vec<Arc<str>>,
    /// Foreign keys of this relation.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub foreign_keys: Vec<ForeignKey>,
    /// The columns as facts name them, in the order of `attributes`.
    #[serde(skip)]
    pub columns: Vec<Arc<Column>>,
}

impl Relation {
    /// One that nothing is known of yet.
    pub(crate) const fn new(
        oid: u32,
        schema: Arc<str>,
        name: Arc<str>,
        kind: RelationKind,
    ) -> Self {
        Self {
            oid,
            schema,
            name,
            kind,
            attributes: Vec::new(),
            unique_keys: Vec::new(),
            parents: Vec::new(),
            partition_key: BTreeSet::new(),
            definition: None,
            definition_mark: None,
            triggers: Vec::new(),
            rules: Vec::new(),
            row_security: RowSecurity::Off,
            policies: Vec::new(),
            indexes: Vec::new(),
            cascades: Vec::new(),
            write_expressions: Vec::new(),
            foreign_keys: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// The column with this exact name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Arc<Column>> {
        self.columns.iter().find(|column| &*column.name == name)
    }

    /// Whether it has a definition that was not read with the catalog.
    #[must_use]
    pub const fn lacks_definition(&self) -> bool {
        self.definition.is_none() && self.definition_mark.is_some()
    }

    /// Whether it is the server's own: pg_catalog or information_schema.
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(&*self.schema, "pg_catalog" | "information_schema")
    }
}
