//! A file of DDL to a [`Catalog`], where there is no server: PostgreSQL's own grammar, our own reading. Pure: text in,
//! catalog or errors out. Never ignores a statement silently: what can't change the analysis is skipped by name, anything
//! else that is not understood is an error that names it and its line.
//!
//! | part | holds |
//! |---|---|
//! | `server` | what PostgreSQL brings by itself (`postgres15.txt`, made by `postgres.sql`) |
//! | `draft`, `finish` | what has been read so far; the catalog that it comes to |
//! | `table`, `constraint`, `alter` | tables with their columns; constraints and indexes; changes, renames, drops |
//! | `view`, `infer` | views, and the types of their computed columns |
//! | `types`, `function` | types, domains; functions and aggregates |
//! | `routine` | operators, casts, triggers, rules, policies |
//! | `setting` | the search path |
//! | `text` | stored expressions and definitions with their names qualified |
//!
//! Oids are made up: they agree with no server's.

mod alter;
mod constraint;
mod draft;
mod finish;
mod function;
mod infer;
mod problem;
mod routine;
mod server;
mod setting;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod types;
mod view;

use std::ops::Range;

use pg_query::{
    NodeEnum,
    protobuf::{Node, Token},
};

pub use self::problem::Error;
use self::{draft::Draft, problem::Problem};
use crate::{
    catalog::{Catalog, RelationKind},
    facts::CatalogVersion,
    sql,
};

/// Most errors that are reported of one text; the rest is left out.
pub const ERRORS_MAX: usize = 50;

/// Reads the DDL of a database called `database`: what `pg_dump --schema-only` writes, or what people write by hand.
/// An empty text gives a database with nothing in it but what PostgreSQL brings.
///
/// Needs a deep stack: run it on a thread with 64 MB.
///
/// # Errors
/// Everything that is wrong, in the text's order, up to [`ERRORS_MAX`].
pub fn read(text: &str, database: &str) -> Result<Catalog, Vec<Error>> {
    let text = &without_psql(text);
    let tree = sql::parse(text).map_err(|refusal| {
        let at = refusal
            .position
            .and_then(|position| usize::try_from(position).ok()?.checked_sub(1))
            .unwrap_or(0);
        vec![error(
            text,
            at..at,
            "the text",
            Problem::new(refusal.message),
        )]
    })?;
    let tokens: Vec<Range<usize>> = sql::tokens(text)
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, token)| !matches!(token, Token::SqlComment | Token::CComment))
        .map(|(range, _)| range)
        .collect();
    let mut draft = Draft::new(database);
    let mut errors = Vec::new();
    for raw in &tree.stmts {
        let Some(node) = raw.stmt.as_deref() else {
            continue;
        };
        let Err(problem) = statement(&mut draft, node) else {
            continue;
        };
        if errors.len() < ERRORS_MAX {
            let start = usize::try_from(raw.stmt_location).unwrap_or(0);
            let length = usize::try_from(raw.stmt_len).unwrap_or(0);
            let end = if length == 0 {
                text.len()
            } else {
                start.saturating_add(length)
            };
            let first = tokens.partition_point(|token| token.start < start);
            let words = tokens.get(first..).unwrap_or_default();
            let start = words.first().map_or(start, |word| word.start);
            errors.push(error(text, start..end, &first_words(text, words), problem));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut hasher = blake3::Hasher::new();
    for part in [database.as_bytes(), text.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let version = hasher
        .finalize()
        .as_bytes()
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_be_bytes(*head));
    Ok(draft.assemble(CatalogVersion(version)))
}

fn error(text: &str, span: Range<usize>, statement: &str, problem: Problem) -> Error {
    let before = text.get(..span.start).unwrap_or_default();
    Error {
        line: before.matches('\n').count().saturating_add(1),
        span,
        statement: statement.to_owned(),
        message: problem.message,
        help: problem.help,
    }
}

/// `CREATE VIEW`, as it is written: the first words, until something that is no word.
fn first_words(text: &str, tokens: &[Range<usize>]) -> String {
    let words: Vec<String> = tokens
        .iter()
        .take(2)
        .filter_map(|range| text.get(range.clone()))
        .map(str::to_uppercase)
        .collect();
    words.join(" ")
}

/// Blanks the lines that `pg_dump` writes for psql alone; PostgreSQL's grammar refuses its other commands.
fn without_psql(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ") {
            out.extend(
                line.chars()
                    .map(|letter| if letter == '\n' { '\n' } else { ' ' }),
            );
        } else {
            out.push_str(line);
        }
    }
    out
}

/// Reads one statement.
fn statement(draft: &mut Draft, node: &Node) -> Result<(), Problem> {
    let Some(node) = &node.node else {
        return Err(Problem::not_understood("this statement"));
    };
    match node {
        NodeEnum::CreateSchemaStmt(create) => schema(draft, create),
        NodeEnum::CreateStmt(create) => table::create(draft, create, RelationKind::Table),
        NodeEnum::CreateForeignTableStmt(create) => match &create.base_stmt {
            Some(base) => table::create(draft, base, RelationKind::Foreign),
            None => Err(Problem::not_understood("this foreign table")),
        },
        NodeEnum::IndexStmt(index) => constraint::index(draft, index),
        NodeEnum::ViewStmt(view) => view::create(draft, view),
        NodeEnum::CreateTableAsStmt(create) => view::create_as(draft, create),
        NodeEnum::CreateSeqStmt(create) => match &create.sequence {
            Some(name)
                if create.if_not_exists
                    && draft.find(&name.schemaname, &name.relname).is_some() =>
            {
                Ok(())
            }
            Some(name) => table::create_sequence(draft, &name.schemaname, &name.relname),
            None => Err(Problem::not_understood("this sequence")),
        },
        NodeEnum::CreateEnumStmt(create) => types::create_enum(draft, create),
        NodeEnum::CompositeTypeStmt(create) => composite(draft, create),
        NodeEnum::CreateRangeStmt(create) => types::create_range(draft, create),
        NodeEnum::CreateDomainStmt(create) => types::create_domain(draft, create),
        NodeEnum::AlterDomainStmt(alter) => types::alter_domain(draft, alter),
        NodeEnum::CreateFunctionStmt(create) => function::create(draft, create),
        NodeEnum::AlterFunctionStmt(alter) => function::alter(draft, alter),
        NodeEnum::DefineStmt(define) => routine::define(draft, define),
        NodeEnum::CreateCastStmt(create) => routine::cast(draft, create),
        NodeEnum::CreateTrigStmt(create) => routine::trigger(draft, create),
        NodeEnum::RuleStmt(rule) => routine::rule(draft, rule),
        NodeEnum::CreatePolicyStmt(create) => routine::policy(draft, create),
        NodeEnum::AlterPolicyStmt(alter) => routine::alter_policy(draft, alter),
        NodeEnum::CreateEventTrigStmt(create) => routine::event_trigger(draft, create),
        NodeEnum::AlterEventTrigStmt(alter) => routine::switch_event_trigger(draft, alter),
        NodeEnum::CreateOpClassStmt(create) => routine::operator_class(draft, create),
        NodeEnum::CreateExtensionStmt(create) => routine::extension(create),
        NodeEnum::AlterTableStmt(alter) => alter::table(draft, alter),
        NodeEnum::RenameStmt(rename) => alter::rename(draft, rename),
        NodeEnum::AlterObjectSchemaStmt(alter) => alter::move_to(draft, alter),
        NodeEnum::DropStmt(drop) => alter::drop_objects(draft, drop),
        NodeEnum::SelectStmt(select) => setting::select(draft, select),
        NodeEnum::VariableSetStmt(set) => setting::set(draft, set),
        node if changes_nothing(node) => Ok(()),
        NodeEnum::DoStmt(_) => Err(Problem::new(
            "a DO block may do anything, so it can't stand in a schema",
        )
        .help("write what it makes as plain statements")),
        _ => Err(Problem::not_understood("this statement")
            .help("take it out of the schema if it changes no table, view, type or function")),
    }
}

/// Statements that make or change nothing that analysis knows of: rows, privileges, owners, comments, and objects that
/// no statement's accesses are about.
fn changes_nothing(node: &NodeEnum) -> bool {
    matches!(
        node,
        NodeEnum::CommentStmt(_)
            | NodeEnum::GrantStmt(_)
            | NodeEnum::GrantRoleStmt(_)
            | NodeEnum::AlterOwnerStmt(_)
            | NodeEnum::AlterDefaultPrivilegesStmt(_)
            | NodeEnum::SecLabelStmt(_)
            | NodeEnum::InsertStmt(_)
            | NodeEnum::UpdateStmt(_)
            | NodeEnum::DeleteStmt(_)
            | NodeEnum::TruncateStmt(_)
            | NodeEnum::RefreshMatViewStmt(_)
            | NodeEnum::TransactionStmt(_)
            | NodeEnum::LockStmt(_)
            | NodeEnum::VacuumStmt(_)
            | NodeEnum::ClusterStmt(_)
            | NodeEnum::ReindexStmt(_)
            | NodeEnum::CheckPointStmt(_)
            | NodeEnum::CreateStatsStmt(_)
            | NodeEnum::AlterStatsStmt(_)
            | NodeEnum::CreatePublicationStmt(_)
            | NodeEnum::AlterPublicationStmt(_)
            | NodeEnum::CreateSubscriptionStmt(_)
            | NodeEnum::AlterSubscriptionStmt(_)
            | NodeEnum::CreateFdwStmt(_)
            | NodeEnum::AlterFdwStmt(_)
            | NodeEnum::CreateForeignServerStmt(_)
            | NodeEnum::AlterForeignServerStmt(_)
            | NodeEnum::CreateUserMappingStmt(_)
            | NodeEnum::AlterUserMappingStmt(_)
            | NodeEnum::CreateRoleStmt(_)
            | NodeEnum::AlterRoleStmt(_)
            | NodeEnum::AlterRoleSetStmt(_)
            | NodeEnum::DropRoleStmt(_)
            | NodeEnum::CreatedbStmt(_)
            | NodeEnum::AlterDatabaseStmt(_)
            | NodeEnum::AlterDatabaseSetStmt(_)
            | NodeEnum::CreateTableSpaceStmt(_)
            | NodeEnum::CreateAmStmt(_)
            | NodeEnum::CreatePlangStmt(_)
            | NodeEnum::CreateTransformStmt(_)
            | NodeEnum::CreateConversionStmt(_)
            | NodeEnum::CreateOpFamilyStmt(_)
            | NodeEnum::AlterOpFamilyStmt(_)
            | NodeEnum::AlterOperatorStmt(_)
            | NodeEnum::AlterCollationStmt(_)
            | NodeEnum::AlterTsconfigurationStmt(_)
            | NodeEnum::AlterTsdictionaryStmt(_)
            // An enum's values and a sequence's settings are not known.
            | NodeEnum::AlterEnumStmt(_)
            | NodeEnum::AlterSeqStmt(_)
            | NodeEnum::AlterTypeStmt(_)
            | NodeEnum::AlterObjectDependsStmt(_)
    )
}

/// `CREATE SCHEMA`, with what is made in it.
fn schema(draft: &mut Draft, create: &pg_query::protobuf::CreateSchemaStmt) -> Result<(), Problem> {
    let name = match (&create.authrole, create.schemaname.as_str()) {
        (Some(role), "") => role.rolename.as_str(),
        (_, name) => name,
    };
    if draft.schemas.contains(name) {
        return match create.if_not_exists || name == "public" {
            true => Ok(()),
            false => Err(Problem::new(format!("schema `{name}` already exists"))),
        };
    }
    draft.touch();
    draft.schemas.insert(name.into());
    if create.schema_elts.is_empty() {
        return Ok(());
    }
    let outer = std::mem::replace(&mut draft.path, vec![name.into()]);
    let elements = create
        .schema_elts
        .iter()
        .try_for_each(|element| statement(draft, element));
    draft.path = outer;
    elements
}

/// `CREATE TYPE ... AS (...)`
fn composite(
    draft: &mut Draft,
    create: &pg_query::protobuf::CompositeTypeStmt,
) -> Result<(), Problem> {
    let Some(name) = &create.typevar else {
        return Err(Problem::not_understood("this type"));
    };
    let oid = draft.create(&name.schemaname, &name.relname, RelationKind::Composite)?;
    for node in &create.coldeflist {
        let Some(NodeEnum::ColumnDef(column)) = &node.node else {
            return Err(Problem::not_understood("this type"));
        };
        table::column(draft, oid, column)?;
    }
    Ok(())
}

/// The oid of a type of pg_catalog that PostgreSQL 15 has and users name: the same in every major.
pub(crate) fn server_type(name: &str) -> Option<u32> {
    match server::SERVER.type_oid(name) {
        0 => None,
        oid => Some(oid),
    }
}
