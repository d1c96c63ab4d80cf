//! What runs: users' functions, and the operators, casts and event triggers that call them. Bodies are as the server
//! stores them, never anything that a client said.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{is_false, null_is_empty};

/// A function's kind: PostgreSQL's `pg_proc.prokind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FunctionKind {
    /// An ordinary function.
    #[serde(rename = "f")]
    Function,
    /// A procedure.
    #[serde(rename = "p")]
    Procedure,
    /// An aggregate.
    #[serde(rename = "a")]
    Aggregate,
    /// A window function.
    #[serde(rename = "w")]
    Window,
}

/// The language that a function is written in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Arc<str>", into = "Arc<str>")]
pub enum Language {
    /// Compiled into the server.
    Internal,
    /// In a library that only a superuser can load.
    C,
    /// SQL.
    Sql,
    /// PL/pgSQL.
    PlPgSql,
    /// Another one, by its exact name.
    Other(Arc<str>),
}

impl From<Arc<str>> for Language {
    fn from(name: Arc<str>) -> Self {
        match &*name {
            "internal" => Self::Internal,
            "c" => Self::C,
            "sql" => Self::Sql,
            "plpgsql" => Self::PlPgSql,
            _ => Self::Other(name),
        }
    }
}

impl From<Language> for Arc<str> {
    fn from(language: Language) -> Self {
        match language {
            Language::Internal => "internal".into(),
            Language::C => "c".into(),
            Language::Sql => "sql".into(),
            Language::PlPgSql => "plpgsql".into(),
            Language::Other(name) => name,
        }
    }
}

/// What a function promises of its results: `pg_proc.provolatile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Volatility {
    /// The same for the same arguments, always.
    #[serde(rename = "i")]
    Immutable,
    /// The same within one statement.
    #[serde(rename = "s")]
    Stable,
    /// Anything, and it may write.
    #[serde(rename = "v")]
    Volatile,
}

/// How an argument is passed: `pg_proc.proargmodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ArgumentMode {
    /// `IN`.
    #[serde(rename = "i")]
    In,
    /// `OUT`.
    #[serde(rename = "o")]
    Out,
    /// `INOUT`.
    #[serde(rename = "b")]
    InOut,
    /// `VARIADIC`.
    #[serde(rename = "v")]
    Variadic,
    /// A column of `RETURNS TABLE`.
    #[serde(rename = "t")]
    Table,
}

impl ArgumentMode {
    /// Whether a caller passes it.
    #[must_use]
    pub const fn is_input(self) -> bool {
        matches!(self, Self::In | Self::InOut | Self::Variadic)
    }

    /// Whether the result has it.
    #[must_use]
    pub const fn is_output(self) -> bool {
        matches!(self, Self::Out | Self::InOut | Self::Table)
    }
}

/// An argument of a function, or a column of its result.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Argument {
    /// Exact name, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The type's oid.
    #[serde(rename = "type")]
    pub type_oid: u32,
    /// How it is passed.
    pub mode: ArgumentMode,
    /// The default's expression, deparsed with names qualified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Arc<str>>,
}

/// What runs when a function is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Body {
    /// Text in its language (`pg_proc.prosrc`), whose names are resolved when it runs: on [`Function::settings`]'
    /// `search_path`, else on the caller's.
    #[serde(rename = "text")]
    Text(Arc<str>),
    /// An SQL-standard body (`RETURN ...`, `BEGIN ATOMIC ... END`): the whole CREATE statement as the server deparses it,
    /// names qualified and bound since it was made. The grammar takes such a body in a CREATE statement only.
    #[serde(rename = "standard")]
    Standard(Arc<str>),
    /// Functions that an aggregate calls, by oid: transition, final, combine, serialise, deserialise, and those of moving
    /// windows. See [`super::Catalog::called`].
    #[serde(rename = "aggregate")]
    Aggregate(Vec<u32>),
    /// Machine code: the name of a symbol tells nothing.
    #[serde(rename = "compiled")]
    Compiled,
}

/// A user function, procedure, aggregate or window function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Function {
    /// Its oid.
    pub oid: u32,
    /// Exact schema name.
    pub schema: Arc<str>,
    /// Exact name.
    pub name: Arc<str>,
    /// What sort of function.
    pub kind: FunctionKind,
    /// What it is written in.
    pub language: Language,
    /// What it promises.
    pub volatility: Volatility,
    /// It is not run when an argument is NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub strict: bool,
    /// It runs with its owner's rights.
    #[serde(default, skip_serializing_if = "is_false")]
    pub security_definer: bool,
    /// `SET` clauses, `name=value` each. A `search_path` changes what its body's names mean.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub settings: Vec<Arc<str>>,
    /// Arguments of every mode, in order.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub arguments: Vec<Argument>,
    /// The result's type: `record` for several OUT arguments, `void` for none.
    pub result: u32,
    /// It gives any number of rows.
    #[serde(default, skip_serializing_if = "is_false")]
    pub returns_set: bool,
    /// What runs.
    pub body: Body,
    /// The extension that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<Arc<str>>,
}

impl Function {
    /// The arguments that a caller passes.
    pub fn inputs(&self) -> impl Iterator<Item = &Argument> {
        self.arguments
            .iter()
            .filter(|argument| argument.mode.is_input())
    }

    /// How many of the last inputs may be left out.
    #[must_use]
    pub fn defaults_count(&self) -> usize {
        self.inputs()
            .filter(|argument| argument.default.is_some())
            .count()
    }

    /// Compiled code that only computes is as trusted as the server itself: only a superuser installs it.
    #[must_use]
    pub fn is_trusted(&self) -> bool {
        matches!(self.language, Language::Internal | Language::C)
            && self.volatility != Volatility::Volatile
    }
}

/// A function that something in the catalog refers to by its oid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called<'a> {
    /// A user function.
    Users(&'a Arc<Function>),
    /// A function of pg_catalog that the server brings, by its exact name.
    Server(&'a Arc<str>),
}

/// A user operator.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Operator {
    /// Its oid.
    pub oid: u32,
    /// Exact schema name.
    pub schema: Arc<str>,
    /// Exact name.
    pub name: Arc<str>,
    /// The left argument's type; 0 for a prefix operator.
    pub left: u32,
    /// The right argument's type.
    pub right: u32,
    /// The result's type; 0 for an operator that is only declared.
    pub result: u32,
    /// The function that it calls: see [`super::Catalog::called`]. 0 for an operator that is only declared.
    pub function: u32,
    /// Its estimators, which the planner calls, where they are users' functions; 0 for none.
    pub estimators: [u32; 2],
    /// It calls a user's compiled function that only computes ([`Function::is_trusted`]). What one of the server's own does,
    /// its name tells.
    pub trusted: bool,
}

/// When a cast is applied: `pg_cast.castcontext`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CastContext {
    /// Wherever the types call for it.
    #[serde(rename = "i")]
    Implicit,
    /// On assignment to a column, or when it is written.
    #[serde(rename = "a")]
    Assignment,
    /// Only when it is written.
    #[serde(rename = "e")]
    Explicit,
}

/// A cast that users made and that calls a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cast {
    /// The type that it takes.
    pub source: u32,
    /// The type that it gives.
    pub target: u32,
    /// The function that it calls: see [`super::Catalog::called`].
    pub function: u32,
    /// When it is applied.
    pub context: CastContext,
    /// It calls a user's compiled function that only computes ([`Function::is_trusted`]). What one of the server's own does,
    /// its name tells.
    pub trusted: bool,
}

/// An event trigger that is enabled: commands of its event run its function.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventTrigger {
    /// Exact name.
    pub name: Arc<str>,
    /// `ddl_command_start`, `ddl_command_end`, `sql_drop`, `table_rewrite` or `login`.
    pub event: Arc<str>,
    /// The function that it calls.
    pub function: u32,
    /// The command tags that it is for; empty: all.
    #[serde(
        default,
        deserialize_with = "null_is_empty",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub tags: Vec<Arc<str>>,
}
