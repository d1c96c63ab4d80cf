//! Text to [`Facts`]: PostgreSQL's own grammar is the authority, a second reader the witness, a catalog the ground
//! that names are resolved on. Must never miss a relation, a column, a function or an effect: what is not understood
//! is a [`Refusal`] or an opaque entry, never left out.
//!
//! ```text
//! caps -> authority (tree) -> utility | query | dml | definition (accesses in the book) -> sweep (nothing unseen) -> witness
//! ```

mod authority;
mod book;
mod call;
mod caps;
mod composite;
mod definition;
mod dml;
mod equality;
mod expanded;
mod expression;
mod extent;
mod from;
mod functions;
mod json;
mod names;
mod nodes;
mod partition;
mod patience;
mod predicate;
mod query;
mod readings;
mod refusal;
mod resolver;
mod routine;
mod scalar;
mod scope;
mod session_names;
mod settings;
mod shape;
mod sources;
mod sweep;
#[cfg(test)]
mod tests;
mod transaction;
mod types;
mod unbounded;
mod utility;
mod with;
mod witness;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{Arc, LazyLock},
};

use pg_query::{
    NodeEnum,
    protobuf::{LimitOption, Node, ParseResult, RawStmt, SetOperation, Token, a_const::Val},
};

pub(crate) use self::{
    authority::{parse, tokens},
    names::column_name,
    resolver::strings,
};
use self::{
    equality::Parameters, patience::Patience, readings::Tokens, resolver::Resolver,
    witness::Testimony,
};
pub use self::{
    patience::analyse_within,
    readings::Readings,
    refusal::Refusal,
    session_names::{Binding, Hold, NO_NAMES, Named, SessionNames, Temporary},
    transaction::{Chain, TransactionEffect, transaction_effect},
    unbounded::{is_unbounded, replication_command, unbounded},
};
use crate::{
    catalog::Catalog,
    copy::CopyOut,
    facts::{Access, Facts, Kind, Object, Operation, SessionEffect},
    reason::Stating,
};

/// Most statements that one text may have; more are refused.
const STATEMENTS_MAX: usize = 1000;

/// What text is analysed against.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The server's relations, columns, types and functions.
    pub catalog: &'a Catalog,
    /// The effective schemas, in order; `pg_catalog` is searched first unless it is named here.
    pub search_path: &'a [Arc<str>],
    /// The parameter types that Parse declared; shorter than the parameters used is fine.
    pub parameter_types: &'a [u32],
    /// What a disagreement of the witness does.
    pub witness: Witness,
    /// What the session has given names to: PREPARE and DECLARE, and the protocol's own. [`NO_NAMES`] where there is no session.
    pub names: &'a SessionNames,
}

/// The search path of who has said nothing about it.
static PUBLIC: LazyLock<[Arc<str>; 1]> = LazyLock::new(|| [Arc::from("public")]);

impl<'a> Context<'a> {
    /// That of a session which has given no names, whose search path is `public`, where there is such a schema.
    #[must_use]
    pub fn public(catalog: &'a Catalog, witness: Witness) -> Self {
        let search_path: &[Arc<str>] = match catalog.has_schema("public") {
            true => &*PUBLIC,
            false => &[],
        };
        Self {
            catalog,
            search_path,
            parameter_types: &[],
            witness,
            names: &NO_NAMES,
        }
    }
}

/// What a disagreement between the authority and the witness does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Witness {
    /// The statement is refused as ambiguous.
    #[default]
    Deny,
    /// The statement goes on with an opaque entry that says what differed.
    Record,
    /// The witness does not read at all.
    Off,
}

/// One statement of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Statement {
    /// What it would do.
    pub facts: Facts,
    /// Its bytes in the text.
    pub span: Range<usize>,
    /// Literal constants and comments in it, as bytes of the text, ascending: what evidence redacts.
    pub literals: Vec<Range<usize>>,
    /// What it does to the names of its session, once the server has completed it.
    pub binding: Option<Binding>,
    /// What it does to the reason that its session states.
    pub states: Option<Stating>,
    /// Names of the session's own that the facts rest on: for no other session, and not for this one later.
    pub rests_on: BTreeSet<Arc<str>>,
    /// The form of its data, where it is a `COPY ... TO STDOUT`.
    pub copy: Option<CopyOut>,
}

/// Reads `text` (the raw bytes of a Query or Parse, without the trailing NUL) and says what it would do.
/// A text without statements gives one of kind [`Kind::Empty`].
///
/// Needs a deep stack: run it on a thread with 64 MB.
///
/// # Errors
/// A [`Refusal`] for text that does not parse, is over a limit, names what the catalog does not know, or that
/// analysis does not understand yet.
pub fn analyse(text: &[u8], context: &Context<'_>) -> Result<Vec<Statement>, Refusal> {
    let text = caps::check(text)?;
    analyse_new(text, context, &mut Patience::Endless).map(|(found, ..)| found.statements)
}

/// What was found in a text.
struct Found {
    statements: Vec<Statement>,
    /// Whether anything but the facts' own equalities rests on what columns equal.
    rests_on_values: bool,
}

/// Analyses a text that nobody read before; with what it was read as.
fn analyse_new(
    text: &str,
    context: &Context<'_>,
    patience: &mut Patience,
) -> Result<(Found, ParseResult, Tokens), Refusal> {
    let tree = authority::parse(text).map_err(|refusal| in_characters(text, refusal))?;
    let Some(tokens) = authority::tokens(text) else {
        return Err(Refusal::not_understood("this text"));
    };
    let testimony = || Cow::Owned(witness::testimony(text));
    let found = analyse_read(text, (&tree, &tokens), testimony, context, patience)?;
    Ok((found, tree, tokens))
}

/// Analyses a text that both readers have read; the witness is heard where it has a say.
fn analyse_read<'t>(
    text: &str,
    (tree, tokens): (&ParseResult, &Tokens),
    testimony: impl FnOnce() -> Cow<'t, Testimony>,
    context: &Context<'_>,
    patience: &mut Patience,
) -> Result<Found, Refusal> {
    let (mut found, named) = read(text, (tree, tokens), context, patience)
        .map_err(|refusal| in_characters(text, refusal))?;
    if context.witness == Witness::Off {
        return Ok(found);
    }
    let facts: Vec<&Facts> = found
        .statements
        .iter()
        .map(|statement| &statement.facts)
        .collect();
    let Some(difference) = witness::disagreement(&testimony(), &facts, &named) else {
        return Ok(found);
    };
    if context.witness == Witness::Deny {
        return Err(Refusal::new(
            "0A000",
            "statement is ambiguous: two readers disagree about it",
        )
        .detail(format!("they see {difference}"))
        .hint("write it more plainly: one statement, no unusual comments or quoting"));
    }
    for statement in &mut found.statements {
        let reason = format!("two readers disagree: {difference}").into();
        statement.facts.opaque.insert(crate::facts::Opaque {
            subject: "witness".into(),
            reason,
        });
    }
    Ok(found)
}

/// The statement within a PREPARE or DECLARE, and how many types PREPARE names; `None` for any other text.
#[must_use]
pub fn named_statement(text: &str) -> Option<(&str, usize)> {
    caps::check(text.as_bytes()).ok()?;
    let tokens = authority::tokens(text)?;
    let mut words = tokens
        .into_iter()
        .filter(|(_, token)| !matches!(token, Token::SqlComment | Token::CComment));
    let (opening, end) = match words.next()?.1 {
        Token::Prepare => (Token::Prepare, Token::As),
        Token::Declare => (Token::Declare, Token::For),
        _ => return None,
    };
    let (mut depth, mut types) = (0_usize, 0_usize);
    for (range, token) in words {
        match token {
            Token::Ascii40 => {
                types = types.max(usize::from(depth == 0));
                depth = depth.saturating_add(1);
            }
            Token::Ascii41 => depth = depth.saturating_sub(1),
            Token::Ascii44 if depth == 1 => types = types.saturating_add(1),
            token if token == end && depth == 0 => {
                let types = if opening == Token::Prepare { types } else { 0 };
                return Some((text.get(range.end..)?, types));
            }
            _ => {}
        }
    }
    None
}

/// The literal constants and comments of a text that can't be analysed, by its tokens alone; `None` when even that fails.
#[must_use]
pub fn literal_spans(text: &str) -> Option<Vec<Range<usize>>> {
    // The lexer is quadratic in what the limits refuse.
    caps::check(text.as_bytes()).ok()?;
    let tokens = authority::tokens(text)?;
    Some(
        tokens
            .into_iter()
            .filter(|(_, token)| authority::is_literal(*token))
            .map(|(range, _)| range)
            .collect(),
    )
}

/// Functions of the server's own that read settings anew, or run SQL that a caller gives them.
const RUNS_SQL: [&str; 8] = [
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "cursor_to_xml",
    "cursor_to_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "pg_reload_conf",
];

/// Whether a statement can change the search path by a function that it calls. The server does not tell when that happens:
/// whoever keeps the session must ask it for its path before it reads the next statement.
#[must_use]
pub fn may_change_search_path(facts: &Facts) -> bool {
    // A body that analysis followed changes no path: where it tries to, it is opaque.
    let mut calls = facts
        .accesses
        .iter()
        .filter(|access| access.operation == Operation::Call);
    let unfollowed = facts.opaque.iter().any(|opaque| {
        let bounded = ["copy", "witness", "truncate", "result"];
        !opaque.subject.starts_with("pg_catalog.") && !bounded.contains(&&*opaque.subject)
    });
    unfollowed
        || calls.any(|access| match &access.object {
            Object::Function { schema, name } => {
                &**schema == "pg_catalog" && RUNS_SQL.contains(&&**name)
            }
            _ => false,
        })
}

/// The statements, and for each the names of relations that it writes itself.
fn read(
    text: &str,
    (tree, tokens): (&ParseResult, &Tokens),
    context: &Context<'_>,
    patience: &mut Patience,
) -> Result<(Found, Vec<BTreeSet<String>>), Refusal> {
    if context.catalog.server_version_num() < 160_000 {
        refuse_new_numbers(text, tokens)?;
    }
    if tree.stmts.len() > STATEMENTS_MAX {
        return Err(Refusal::new(
            "54000",
            format!("more than {STATEMENTS_MAX} statements in one text"),
        ));
    }
    let literals = |span: &Range<usize>| -> Vec<Range<usize>> {
        let literal = |(_, token): &&(Range<usize>, Token)| authority::is_literal(*token);
        let found = authority::within(tokens, span).iter().filter(literal);
        found.map(|(range, _)| range.clone()).collect()
    };
    let mut statements = Vec::with_capacity(tree.stmts.len().max(1));
    // What one statement of a text names the next may use.
    let mut given = Cow::Borrowed(context.names);
    let mut names = Vec::with_capacity(tree.stmts.len().max(1));
    let mut covered = 0;
    let mut rests_on_values = false;
    for (index, statement) in tree.stmts.iter().enumerate() {
        let start = usize::try_from(statement.stmt_location).unwrap_or(0);
        let length = usize::try_from(statement.stmt_len).unwrap_or(0);
        let end = if length == 0 {
            text.len()
        } else {
            start.saturating_add(length).min(text.len())
        };
        let end = if index.saturating_add(1) == tree.stmts.len() {
            text.len()
        } else {
            end
        };
        let own = authority::within(tokens, &(start..end));
        let uses = parameters(text, own);
        let parameters = Parameters {
            types: context.parameter_types,
            uses: &uses,
        };
        let words = text.get(start..end).unwrap_or(text);
        let now = Context {
            names: given.as_ref(),
            ..*context
        };
        let fingerprint = shape::fingerprint(text, own);
        let read = facts(statement, (words, fingerprint), &now, parameters, patience)?;
        if let Some(binding) = &read.binding {
            given.to_mut().apply(binding);
        }
        names.push(read.named);
        rests_on_values |= read.rests_on_values;
        // Comments between statements belong to one of them, so that evidence redacts them.
        let literals = literals(&(covered..end));
        covered = end;
        statements.push(Statement {
            facts: read.facts,
            literals,
            span: start..end,
            binding: read.binding,
            states: read.states,
            rests_on: read.rests_on,
            copy: read.copy,
        });
    }
    if statements.is_empty() {
        let (accesses, writes, opaque) = book::Book::default().finish();
        let facts = Facts {
            kind: Kind::Empty,
            accesses,
            outputs: None,
            writes,
            opaque,
            session_effect: SessionEffect::None,
            through_views: false,
            views: BTreeSet::new(),
            limit: None,
            parameters: 0,
            lookups: BTreeSet::new(),
            uncounted: false,
            fingerprint: "0000000000000000".into(),
            catalog_version: context.catalog.version(),
        };
        statements.push(Statement {
            facts,
            span: 0..text.len(),
            literals: literals(&(0..text.len())),
            binding: None,
            states: None,
            rests_on: BTreeSet::new(),
            copy: None,
        });
    }
    schema_change_alone(&statements)?;
    let found = Found {
        statements,
        rests_on_values,
    };
    Ok((found, names))
}

/// What reading one statement gives.
struct Read {
    facts: Facts,
    /// Names of relations that it writes itself.
    named: BTreeSet<String>,
    binding: Option<Binding>,
    states: Option<Stating>,
    rests_on: BTreeSet<Arc<str>>,
    copy: Option<CopyOut>,
    /// See [`Found::rests_on_values`].
    rests_on_values: bool,
}

fn facts(
    statement: &RawStmt,
    (text, fingerprint): (&str, Arc<str>),
    context: &Context<'_>,
    parameters: Parameters<'_>,
    patience: &mut Patience,
) -> Result<Read, Refusal> {
    let Some(node) = statement.stmt.as_ref().and_then(|node| node.node.as_ref()) else {
        return Err(Refusal::not_understood("this statement"));
    };
    let mut resolver = Resolver::new(context, parameters, text);
    resolver.work_max = patience.work_max();
    let outcome = read_with(&mut resolver, statement, node, fingerprint);
    patience.took(resolver.work)?;
    // Whoever met one may have passed over it, as the body of a function that can't be read.
    if resolver.lacking.is_empty() {
        outcome
    } else {
        Err(Refusal::lacking(resolver.lacking))
    }
}

/// What a statement does, by a resolver of its own.
fn read_with(
    resolver: &mut Resolver<'_>,
    statement: &RawStmt,
    node: &NodeEnum,
    fingerprint: Arc<str>,
) -> Result<Read, Refusal> {
    resolver.top = top_predicate(node).map(std::ptr::from_ref);
    resolver.limit = literal_limit(node);
    resolver.parameter_types(resolver.parameters.types)?;
    let mut reading = resolver.statement(node)?;
    resolver.sets_session(reading.session_effect);
    let changes_schema = matches!(reading.kind, Kind::Ddl | Kind::Grant)
        || resolver.session_effect == SessionEffect::Catalog;
    if changes_schema {
        resolver.run_event_triggers()?;
    }
    resolver.run_comparisons(reading.kind)?;
    resolver.run_set_off()?;
    reading.session_effect = resolver.session_effect;
    if let Some(unseen) = resolver.seen.missing(statement) {
        return Err(Refusal::not_understood(&format!(
            "{unseen} in this statement"
        )));
    }
    let (through_views, views) = std::mem::take(&mut resolver.expanded).finish();
    let named = std::mem::take(&mut resolver.named);
    let lookups = resolver.book.lookups();
    let binding = resolver.binding.take();
    let states = resolver.states.take();
    let rests_on = std::mem::take(&mut resolver.rests_on);
    let copy = resolver.copy_out.take();
    let uncounted = resolver.book.uncounted;
    let rests_on_values = resolver.book.rests_on_values;
    let (accesses, writes, mut opaque) = std::mem::take(&mut resolver.book).finish();
    let moves_path = |access: &Access| {
        access.operation == Operation::Session
            && matches!(&access.object, Object::Setting(name) if **name == *"search_path")
    };
    // A query that moves the path: functions that it calls may run by the new one.
    if through_views && reading.kind != Kind::Set && accesses.iter().any(moves_path) {
        opaque.insert(crate::facts::Opaque {
            subject: "search_path".into(),
            reason: "the statement moves the search path that functions which it calls are read by"
                .into(),
        });
    }
    // A LIMIT on what a WITH clause changed bounds what is shown, not what is changed.
    let changes = |access: &Access| {
        let operation = access.operation;
        matches!(
            operation,
            Operation::Insert | Operation::Update | Operation::Delete
        )
    };
    let limit = resolver.limit.filter(|_| !accesses.iter().any(changes));
    let facts = Facts {
        kind: reading.kind,
        accesses,
        outputs: reading.outputs,
        writes,
        opaque,
        session_effect: reading.session_effect,
        through_views,
        views,
        limit,
        parameters: resolver
            .parameters
            .uses
            .last_key_value()
            .map_or(0, |(highest, _)| *highest),
        lookups,
        uncounted,
        fingerprint,
        catalog_version: resolver.catalog.version(),
    };
    Ok(Read {
        facts,
        named,
        binding,
        states,
        rests_on,
        copy,
        rests_on_values,
    })
}

/// How often each parameter stands in a statement, by number. More than a message can bind count as the last.
fn parameters(text: &str, tokens: &[(Range<usize>, Token)]) -> BTreeMap<u16, usize> {
    let mut uses = BTreeMap::new();
    for (range, _) in tokens.iter().filter(|(_, token)| *token == Token::Param) {
        let digits = text
            .get(range.clone())
            .unwrap_or_default()
            .trim_start_matches('$');
        let count: &mut usize = uses.entry(digits.parse().unwrap_or(u16::MAX)).or_default();
        *count = count.saturating_add(1);
    }
    uses
}

/// The WHERE of a statement that is one plain SELECT, UPDATE or DELETE.
fn top_predicate(node: &NodeEnum) -> Option<&Node> {
    match node {
        NodeEnum::SelectStmt(select) if select.op() == SetOperation::SetopNone => {
            select.where_clause.as_deref()
        }
        NodeEnum::UpdateStmt(update) => update.where_clause.as_deref(),
        NodeEnum::DeleteStmt(delete) => delete.where_clause.as_deref(),
        _ => None,
    }
}

/// The LIMIT of a query that is the statement itself, where it is a plain number of rows.
fn literal_limit(node: &NodeEnum) -> Option<u64> {
    let NodeEnum::SelectStmt(select) = node else {
        return None;
    };
    // SELECT INTO gives no rows, and WITH TIES more than it says.
    if select.into_clause.is_some() || select.limit_option() == LimitOption::WithTies {
        return None;
    }
    let Some(NodeEnum::AConst(constant)) = &select.limit_count.as_deref()?.node else {
        return None;
    };
    match constant.val.as_ref()? {
        Val::Ival(number) => u64::try_from(number.ival).ok(),
        Val::Fval(number) => number.fval.parse().ok(),
        _ => None,
    }
}

/// A schema change next to other work would make the rest be read against a catalog that is gone.
fn schema_change_alone(statements: &[Statement]) -> Result<(), Refusal> {
    let control = |statement: &&Statement| {
        !matches!(
            statement.facts.kind,
            Kind::Begin | Kind::Commit | Kind::Rollback | Kind::Savepoint | Kind::Empty
        )
    };
    let work = statements.iter().filter(control).count();
    let changes = statements
        .iter()
        .any(|statement| statement.facts.session_effect == SessionEffect::Catalog);
    if changes && work > 1 {
        return Err(Refusal::new(
            "0A000",
            "a schema change can't share its text with other statements",
        )
        .hint("send it on its own; a transaction over several messages is fine"));
    }
    Ok(())
}

/// Before PostgreSQL 16, `0x1F` and `1_000` are a number and a name.
fn refuse_new_numbers(text: &str, tokens: &[(Range<usize>, Token)]) -> Result<(), Refusal> {
    for (range, token) in tokens
        .iter()
        .filter(|(_, token)| matches!(token, Token::Iconst | Token::Fconst))
    {
        let number = text.get(range.clone()).unwrap_or_default();
        let new = number.contains('_')
            || number
                .get(1..2)
                .is_some_and(|second| "xXoObB".contains(second));
        if new {
            let refusal = Refusal::newer(&format!("the number `{number}`"), 16);
            let location = i32::try_from(range.start).unwrap_or(-1);
            let _ = token;
            return Err(refusal.at(location));
        }
    }
    Ok(())
}

/// Positions come as bytes from 1 and go out as characters from 1.
fn in_characters(text: &str, mut refusal: Refusal) -> Refusal {
    let characters = |byte: u32| {
        let before = usize::try_from(byte).ok()?.checked_sub(1)?;
        u32::try_from(text.get(..before)?.chars().count().saturating_add(1)).ok()
    };
    refusal.position = refusal.position.and_then(characters);
    refusal
}
