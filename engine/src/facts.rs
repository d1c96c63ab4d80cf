//! Facts: what a statement would do, as exactly as analysis can say it. Made by [`crate::sql`] only; read by [`crate::graph`].
//!
//! What analysis could not bound is said in [`Facts::opaque`], never left out.

use std::{collections::BTreeSet, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An operation of the policy language.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum Operation {
    /// Rows or a setting are read.
    Read,
    /// Rows are inserted.
    Insert,
    /// Rows are updated.
    Update,
    /// Rows are deleted.
    Delete,
    /// A relation is truncated.
    Truncate,
    /// An object is created.
    Create,
    /// An object is altered, renamed or commented on.
    Alter,
    /// An object is dropped.
    Drop,
    /// Privileges, roles or owners change.
    Grant,
    /// A function that is not known to be pure is called.
    Call,
    /// `COPY ... TO`.
    CopyTo,
    /// `COPY ... FROM`.
    CopyFrom,
    /// A session setting changes.
    Session,
    /// Transaction control.
    Transaction,
    /// `LISTEN`, `NOTIFY`.
    Listen,
    /// `VACUUM`, `ANALYZE`, `REINDEX`, `CLUSTER`, `CHECKPOINT` and the like.
    Maintain,
    /// Row or table locks are taken.
    Lock,
    /// Analysis could not bound what the statement does.
    Opaque,
}

impl Operation {
    /// Every operation, in the order of the enum.
    pub const ALL: [Self; 18] = [
        Self::Read,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Truncate,
        Self::Create,
        Self::Alter,
        Self::Drop,
        Self::Grant,
        Self::Call,
        Self::CopyTo,
        Self::CopyFrom,
        Self::Session,
        Self::Transaction,
        Self::Listen,
        Self::Maintain,
        Self::Lock,
        Self::Opaque,
    ];

    /// The name in the policy language and in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
            Self::Create => "create",
            Self::Alter => "alter",
            Self::Drop => "drop",
            Self::Grant => "grant",
            Self::Call => "call",
            Self::CopyTo => "copy-to",
            Self::CopyFrom => "copy-from",
            Self::Session => "session",
            Self::Transaction => "transaction",
            Self::Listen => "listen",
            Self::Maintain => "maintain",
            Self::Lock => "lock",
            Self::Opaque => "opaque",
        }
    }
}

/// How a column is used by an access.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// Its value, or something computed from it, is in the result.
    Output,
    /// It decides which rows there are (WHERE, HAVING, LIMIT, CASE conditions).
    Filter,
    /// It decides how rows join.
    Join,
    /// Rows are grouped or made distinct by it.
    Group,
    /// Rows are ordered by it.
    Sort,
    /// It goes into a computation that may fail, or whose being NULL or number of rows tells of its value, whatever
    /// becomes of the result: `1 / (x - 5)`, `nullif(x, 'a')`, `generate_series(1, x)`.
    Compute,
    /// It is written.
    Write,
    /// It is in RETURNING.
    Returning,
}

impl Use {
    /// Every use, in the order of the enum.
    pub const ALL: [Self; 8] = [
        Self::Output,
        Self::Filter,
        Self::Join,
        Self::Group,
        Self::Sort,
        Self::Compute,
        Self::Write,
        Self::Returning,
    ];

    /// The name in the policy language and in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Filter => "filter",
            Self::Join => "join",
            Self::Group => "group",
            Self::Sort => "sort",
            Self::Compute => "compute",
            Self::Write => "write",
            Self::Returning => "returning",
        }
    }
}

/// A base column: what classes and masks are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Column {
    /// The relation's oid.
    pub relation_oid: u32,
    /// The attribute number, from 1; negative for system columns.
    pub attribute: i16,
    /// The schema's exact name.
    pub schema: Arc<str>,
    /// The relation's exact name.
    pub relation: Arc<str>,
    /// The column's exact name.
    pub name: Arc<str>,
    /// The type's oid.
    pub type_oid: u32,
    /// Whether a unique, foreign-key, exclusion, check or domain constraint speaks about it
    /// (a write into it then tells whether a value exists).
    pub constrained: bool,
}

/// How an output value depends on a base column.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// The value is the column's value, unchanged.
    Direct,
    /// The value is computed from it.
    Derived,
    /// The computation is declared safe: it tells nothing of single values (`count`).
    Safe,
}

/// One base column an output is computed from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The column.
    pub column: Arc<Column>,
    /// How the value depends on it.
    pub how: How,
}

/// The base columns that a value is computed from. Inheritance parents' and children's columns of the same
/// name are members too, so that a class on any of them holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The sources, each (column, how) once.
    pub sources: BTreeSet<Source>,
}

/// A column of the statement's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputColumn {
    /// The result's column name.
    pub name: Arc<str>,
    /// Where its values come from.
    pub lineage: Lineage,
    /// The (relation oid, attribute number) that the server's RowDescription must show for it, where analysis knows:
    /// `None` means the server may show 0/0 or one of the lineage's direct sources.
    pub origin: Option<(u32, i16)>,
}

/// A column written, with where the written value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnWrite {
    /// The column written.
    pub column: Arc<Column>,
    /// The columns the new value is computed from; empty for literals, parameters and defaults.
    pub lineage: Lineage,
}

/// What an access is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Object {
    /// A table, view, sequence or other relation.
    Relation {
        /// Exact schema name.
        schema: Arc<str>,
        /// Exact relation name.
        name: Arc<str>,
        /// Its oid; 0 where it does not exist yet (CREATE).
        oid: u32,
    },
    /// A function or procedure.
    Function {
        /// Exact schema name.
        schema: Arc<str>,
        /// Exact function name.
        name: Arc<str>,
    },
    /// A session setting, lower-case name.
    Setting(Arc<str>),
    /// A notification channel.
    Channel(Arc<str>),
    /// A schema, role, database, extension, type or other named object that is neither relation nor function.
    Other {
        /// What sort of object, in SQL's words: `schema`, `role`, `extension`, `type`.
        sort: Arc<str>,
        /// Exact name of the schema that it lies in: that of a type, an operator, an index. `None`: it lies in none.
        #[serde(default)]
        schema: Option<Arc<str>>,
        /// Its name as written, without its schema; or empty.
        name: Arc<str>,
    },
    /// Nothing in particular: `SELECT 1`, `BEGIN`. Needs no rule that names it.
    Nothing,
}

/// One thing the statement does to one object. Every access must be covered by a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// What it is done to.
    pub object: Object,
    /// What is done.
    pub operation: Operation,
    /// Columns touched, each with its uses. Empty when the operation is on the whole object.
    pub columns: BTreeSet<ColumnUse>,
    /// The view through which the relation was reached, if any: `schema.name`.
    pub via: Option<Arc<str>>,
    /// Whether a predicate that is not constantly true limits this access's rows.
    pub filtered: bool,
    /// Whether equality or IN with constants on a unique key of this access's relation, ANDed at top level, limits it.
    pub bounded: bool,
    /// Equalities of this access's columns with constants, ANDed at top level: all of them limit its rows.
    #[serde(default)]
    pub equalities: BTreeSet<Equality>,
}

/// `column = constant`, where the server compares by equality of values and the constant's text is the value's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Equality {
    /// The column.
    pub column: Arc<Column>,
    /// What it equals.
    pub value: Constant,
}

/// A constant of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constant {
    /// A literal, in the text form that the server's type prints.
    Text(Arc<str>),
    /// The parameter of that number, from 1.
    Parameter(u16),
}

/// One use of one column.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ColumnUse {
    /// The column.
    pub column: Arc<Column>,
    /// How it is used.
    pub used: Use,
}

/// The statement's kind, PostgreSQL's command names.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `SELECT`, `VALUES`, `TABLE`.
    Select,
    /// `INSERT`.
    Insert,
    /// `UPDATE`.
    Update,
    /// `DELETE`.
    Delete,
    /// `MERGE`.
    Merge,
    /// `COPY ... TO`.
    CopyTo,
    /// `COPY ... FROM`.
    CopyFrom,
    /// `TRUNCATE`.
    Truncate,
    /// A schema change.
    Ddl,
    /// `GRANT`, `REVOKE`, role and ownership changes.
    Grant,
    /// `SET`, `RESET`, `DISCARD`.
    Set,
    /// `SHOW`.
    Show,
    /// `BEGIN`, `START TRANSACTION`.
    Begin,
    /// `COMMIT`, `END`.
    Commit,
    /// `ROLLBACK`, `ABORT`.
    Rollback,
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`.
    Savepoint,
    /// `EXPLAIN`.
    Explain,
    /// `CALL`, `DO`.
    Call,
    /// `LISTEN`, `NOTIFY`, `UNLISTEN`.
    Listen,
    /// `LOCK`.
    Lock,
    /// `VACUUM`, `ANALYZE` and other maintenance.
    Maintain,
    /// `CLOSE`, `DEALLOCATE`: letting go of something the session holds.
    Release,
    /// A command of the replication protocol: `START_REPLICATION`, `BASE_BACKUP` and the like.
    Replication,
    /// An empty query string or statement.
    Empty,
    /// Anything else.
    Other,
}

impl Kind {
    /// Every kind, in the order of the enum.
    pub const ALL: [Self; 25] = [
        Self::Select,
        Self::Insert,
        Self::Update,
        Self::Delete,
        Self::Merge,
        Self::CopyTo,
        Self::CopyFrom,
        Self::Truncate,
        Self::Ddl,
        Self::Grant,
        Self::Set,
        Self::Show,
        Self::Begin,
        Self::Commit,
        Self::Rollback,
        Self::Savepoint,
        Self::Explain,
        Self::Call,
        Self::Listen,
        Self::Lock,
        Self::Maintain,
        Self::Release,
        Self::Replication,
        Self::Empty,
        Self::Other,
    ];

    /// The name in the policy language and in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::CopyTo => "copy-to",
            Self::CopyFrom => "copy-from",
            Self::Truncate => "truncate",
            Self::Ddl => "ddl",
            Self::Grant => "grant",
            Self::Set => "set",
            Self::Show => "show",
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Rollback => "rollback",
            Self::Savepoint => "savepoint",
            Self::Explain => "explain",
            Self::Call => "call",
            Self::Listen => "listen",
            Self::Lock => "lock",
            Self::Maintain => "maintain",
            Self::Release => "release",
            Self::Replication => "replication",
            Self::Empty => "empty",
            Self::Other => "other",
        }
    }
}

/// What the statement does to the session's own state, so that later statements are read rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionEffect {
    /// Nothing that changes how later statements are read.
    None,
    /// The catalog changes: later statements wait, and the catalog is read again.
    Catalog,
    /// Prepared statements or cursors come or go: `PREPARE`, `DECLARE`, `CLOSE`, `DEALLOCATE`, `DISCARD`.
    Statements,
}

/// Something that analysis could not bound, with the reason in words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Opaque {
    /// What it is about: a function, a trigger, a node of the grammar.
    pub subject: Arc<str>,
    /// Why it could not be bounded; one line, lower-case.
    pub reason: Arc<str>,
}

/// Names a state of a catalog: equal versions mean equal analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CatalogVersion(pub u64);

/// What one statement would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The command.
    pub kind: Kind,
    /// Everything it does; never empty ([`Object::Nothing`] where it touches nothing).
    pub accesses: Vec<Access>,
    /// The result's columns, in order; `None` if the statement returns no rows, or its rows have a shape that analysis does not describe (then every principal bound by a mask is refused, or the kind's own rule applies: SHOW and EXPLAIN).
    pub outputs: Option<Vec<OutputColumn>>,
    /// Columns written and where the values come from.
    pub writes: Vec<ColumnWrite>,
    /// What could not be bounded. Not empty means: no principal that any mask binds may run it.
    pub opaque: BTreeSet<Opaque>,
    /// What it does to the session.
    pub session_effect: SessionEffect,
    /// Views (or functions) over other relations were expanded: analysis rests on their definitions.
    pub through_views: bool,
    /// The oids of the views among them, where nothing but views was expanded: whoever locks these and finds them as they were
    /// knows that the analysis holds. Empty where functions, triggers, rules or materialised views were expanded too.
    #[serde(default)]
    pub views: BTreeSet<u32>,
    /// The literal LIMIT (or FETCH FIRST) at top level, in rows.
    #[serde(default)]
    pub limit: Option<u64>,
    /// How many parameters (`$1`) the text has.
    #[serde(default)]
    pub parameters: u16,
    /// Columns whose only use in predicates is one equality with a literal or parameter, ANDed at top level of the whole
    /// statement: what `probing lookup` lets through (ruling 2).
    #[serde(default)]
    pub lookups: BTreeSet<Arc<Column>>,
    /// Whether it may change rows that the server's count of affected rows leaves out, by a WITH that writes, a foreign key that
    /// cascades or a rule. Functions and triggers are accesses of their own ([`Operation::Call`]), or in [`Facts::opaque`].
    #[serde(default)]
    pub uncounted: bool,
    /// A fingerprint of the statement's shape, literals left out; 16 hex digits.
    pub fingerprint: Arc<str>,
    /// The catalog that names were resolved against.
    pub catalog_version: CatalogVersion,
}

impl Facts {
    /// Accesses, columns, outputs, sources and the like, but for [`Access::equalities`]: how much there is to keep.
    #[must_use]
    pub fn parts(&self) -> usize {
        let accesses = self.accesses.iter().map(|access| 1 + access.columns.len());
        let outputs = self.outputs.iter().flatten();
        let outputs = outputs.map(|output| 1 + output.lineage.sources.len());
        let writes = self.writes.iter();
        let writes = writes.map(|write| 1 + write.lineage.sources.len());
        accesses.chain(outputs).chain(writes).sum::<usize>()
            + self.opaque.len()
            + self.views.len()
            + self.lookups.len()
    }

    /// Whether they differ in nothing but [`Access::equalities`].
    #[must_use]
    pub fn differ_in_equalities_alone(&self, other: &Self) -> bool {
        // A field that facts gain is compared here too, or does not compile.
        let Self {
            kind,
            accesses,
            outputs,
            writes,
            opaque,
            session_effect,
            through_views,
            views,
            limit,
            parameters,
            lookups,
            uncounted,
            fingerprint,
            catalog_version,
        } = self;
        let is_alike = |(one, other): (&Access, &Access)| {
            let Access {
                object,
                operation,
                columns,
                via,
                filtered,
                bounded,
                equalities: _,
            } = one;
            *object == other.object
                && *operation == other.operation
                && *columns == other.columns
                && *via == other.via
                && *filtered == other.filtered
                && *bounded == other.bounded
        };
        *fingerprint == other.fingerprint
            && *catalog_version == other.catalog_version
            && *kind == other.kind
            && accesses.len() == other.accesses.len()
            && accesses.iter().zip(&other.accesses).all(is_alike)
            && *outputs == other.outputs
            && *writes == other.writes
            && *opaque == other.opaque
            && *session_effect == other.session_effect
            && *through_views == other.through_views
            && *views == other.views
            && *limit == other.limit
            && *parameters == other.parameters
            && *lookups == other.lookups
            && *uncounted == other.uncounted
    }

    /// The same without [`Access::equalities`].
    #[must_use]
    pub fn without_equalities(&self) -> Self {
        let mut facts = self.clone();
        for access in &mut facts.accesses {
            access.equalities.clear();
        }
        facts
    }

    /// Whether it compares a column with a parameter, ANDed at top level: conditions may ask for the value.
    #[must_use]
    pub fn compares_values(&self) -> bool {
        self.accesses
            .iter()
            .flat_map(|access| &access.equalities)
            .any(|equality| matches!(equality.value, Constant::Parameter(_)))
    }
}
