//! Texts that analysis refused, as statements that may do anything to anything: what a policy must allow in full before the
//! server itself is asked what it says of such a text.
//!
//! Must never say less than everything: a rule that speaks of one operation speaks of these statements too.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use pg_query::{NodeEnum, protobuf::Token};

use super::{
    Binding, Statement, authority, caps, parameters, settings, shape, sweep,
    utility::transaction_kind,
};
use crate::{
    facts::{Access, CatalogVersion, Facts, Kind, Object, Opaque, Operation, SessionEffect},
    reason::Stating,
};

/// The subject of the one opaque entry of such a statement, and the sort of the object that it touches.
const ANYTHING: &str = "anything";
/// Settings, or beginnings of their names, that the gateway holds for every session: a text that speaks of one stays refused.
const HELD: [&str; 3] = [
    "client_encoding",
    "standard_conforming_strings",
    settings::OWN,
];

/// What one statement of the text is, as far as its grammar tells.
struct Outline {
    kind: Kind,
    span: Range<usize>,
    binding: Option<Binding>,
}

/// The statements of a text that can't be analysed, for `reason` (one line, no value of the text in it), each of which may do
/// anything. `None` where the text is over a limit, or about a setting that the gateway holds: then nobody may run it.
///
/// A text that the grammar refuses counts as one statement: a server of the same grammar refuses it as a whole.
#[must_use]
pub fn unbounded(text: &[u8], reason: &str, version: CatalogVersion) -> Option<Vec<Statement>> {
    let text = caps::check(text).ok()?;
    if speaks_of_held(text) {
        return None;
    }
    let tokens = authority::tokens(text);
    let opaque = Opaque {
        subject: ANYTHING.into(),
        reason: reason.into(),
    };
    let statement = |outline: Outline| {
        let own = tokens
            .as_deref()
            .map(|tokens| authority::within(tokens, &outline.span));
        let whole = outline.span.clone();
        Statement {
            facts: facts(text, own, outline.kind, opaque.clone(), version),
            literals: own.map_or_else(|| vec![whole], literals),
            span: outline.span,
            states: (outline.binding == Some(Binding::Everything)).then_some(Stating::Back),
            binding: outline.binding,
            rests_on: BTreeSet::new(),
            copy: None,
        }
    };
    Some(outlines(text)?.into_iter().map(statement).collect())
}

/// A command of the replication protocol, as a statement that may do anything, for `reason`. `None` where its text is over a limit.
///
/// Nothing in it counts as a literal: it names slots, positions and options, and compares no column with anything.
#[must_use]
pub fn replication_command(
    text: &[u8],
    reason: &str,
    version: CatalogVersion,
) -> Option<Statement> {
    let text = caps::check(text).ok()?;
    let opaque = Opaque {
        subject: ANYTHING.into(),
        reason: reason.into(),
    };
    let tokens = authority::tokens(text);
    Some(Statement {
        facts: facts(text, tokens.as_deref(), Kind::Replication, opaque, version),
        literals: Vec::new(),
        span: 0..text.len(),
        states: None,
        binding: None,
        rests_on: BTreeSet::new(),
        copy: None,
    })
}

/// Whether facts are those of a statement that analysis refused.
#[must_use]
pub fn is_unbounded(facts: &Facts) -> bool {
    facts
        .opaque
        .first()
        .is_some_and(|opaque| &*opaque.subject == ANYTHING)
}

fn facts(
    text: &str,
    tokens: Option<&[(Range<usize>, Token)]>,
    kind: Kind,
    opaque: Opaque,
    version: CatalogVersion,
) -> Facts {
    let access = |operation| Access {
        object: Object::Other {
            sort: ANYTHING.into(),
            schema: None,
            name: "".into(),
        },
        operation,
        columns: BTreeSet::new(),
        via: None,
        filtered: false,
        bounded: false,
        equalities: BTreeSet::new(),
    };
    let uses = tokens.map(|tokens| parameters(text, tokens));
    Facts {
        kind,
        accesses: Operation::ALL.into_iter().map(access).collect(),
        outputs: None,
        writes: Vec::new(),
        opaque: BTreeSet::from([opaque]),
        session_effect: session_effect(kind),
        through_views: false,
        views: BTreeSet::new(),
        limit: None,
        parameters: uses
            .and_then(|uses| uses.last_key_value().map(|(highest, _)| *highest))
            .unwrap_or(0),
        lookups: BTreeSet::new(),
        uncounted: true,
        fingerprint: tokens.map_or_else(
            || "0000000000000000".into(),
            |tokens| shape::fingerprint(text, tokens),
        ),
        catalog_version: version,
    }
}

/// Whatever is no query may have changed the catalog.
const fn session_effect(kind: Kind) -> SessionEffect {
    match kind {
        Kind::Select
        | Kind::Insert
        | Kind::Update
        | Kind::Delete
        | Kind::Merge
        | Kind::CopyTo
        | Kind::CopyFrom
        | Kind::Truncate
        | Kind::Show
        | Kind::Begin
        | Kind::Commit
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::Listen
        | Kind::Lock
        | Kind::Release
        | Kind::Replication
        | Kind::Empty => SessionEffect::None,
        Kind::Ddl
        | Kind::Grant
        | Kind::Set
        | Kind::Explain
        | Kind::Call
        | Kind::Maintain
        | Kind::Other => SessionEffect::Catalog,
    }
}

fn literals(tokens: &[(Range<usize>, Token)]) -> Vec<Range<usize>> {
    let literal = |(_, token): &&(Range<usize>, Token)| authority::is_literal(*token);
    let found = tokens.iter().filter(literal);
    found.map(|(range, _)| range.clone()).collect()
}

/// The statements of a text; `None` where there are too many, or none, or it is about a setting that is held.
fn outlines(text: &str) -> Option<Vec<Outline>> {
    let Ok(tree) = authority::parse(text) else {
        return Some(vec![Outline {
            kind: Kind::Other,
            span: 0..text.len(),
            binding: None,
        }]);
    };
    // However it is written: SET NAMES, quotes, escapes.
    if sweep::says(&tree, speaks_of_held) {
        return None;
    }
    if tree.stmts.is_empty() || tree.stmts.len() > super::STATEMENTS_MAX {
        return None;
    }
    let mut outlines = Vec::with_capacity(tree.stmts.len());
    for (index, statement) in tree.stmts.iter().enumerate() {
        let start = usize::try_from(statement.stmt_location).ok()?;
        let length = usize::try_from(statement.stmt_len).ok()?;
        let is_last = index.saturating_add(1) == tree.stmts.len();
        let end = if length == 0 || is_last {
            text.len()
        } else {
            start.saturating_add(length).min(text.len())
        };
        let node = statement.stmt.as_ref()?.node.as_ref()?;
        outlines.push(Outline {
            kind: kind(node),
            span: start..end,
            binding: binding(node),
        });
    }
    Some(outlines)
}

fn speaks_of_held(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    HELD.iter().any(|held| lower.contains(held))
}

fn kind(node: &NodeEnum) -> Kind {
    match node {
        NodeEnum::SelectStmt(select) if select.into_clause.is_none() => Kind::Select,
        NodeEnum::InsertStmt(_) => Kind::Insert,
        NodeEnum::UpdateStmt(_) => Kind::Update,
        NodeEnum::DeleteStmt(_) => Kind::Delete,
        NodeEnum::MergeStmt(_) => Kind::Merge,
        NodeEnum::CopyStmt(copy) if copy.is_from => Kind::CopyFrom,
        NodeEnum::CopyStmt(_) => Kind::CopyTo,
        NodeEnum::TruncateStmt(_) => Kind::Truncate,
        NodeEnum::VariableSetStmt(_) | NodeEnum::DiscardStmt(_) => Kind::Set,
        NodeEnum::VariableShowStmt(_) => Kind::Show,
        NodeEnum::ExplainStmt(_) => Kind::Explain,
        NodeEnum::CallStmt(_) | NodeEnum::DoStmt(_) => Kind::Call,
        NodeEnum::ListenStmt(_) | NodeEnum::NotifyStmt(_) | NodeEnum::UnlistenStmt(_) => {
            Kind::Listen
        }
        NodeEnum::LockStmt(_) => Kind::Lock,
        NodeEnum::FetchStmt(_) => Kind::Select,
        NodeEnum::ClosePortalStmt(_) | NodeEnum::DeallocateStmt(_) => Kind::Release,
        NodeEnum::TransactionStmt(transaction) => {
            transaction_kind(transaction.kind()).unwrap_or(Kind::Other)
        }
        _ => Kind::Other,
    }
}

/// What it does to names: one that it gives is known no more, for nobody can say what it stands for.
fn binding(node: &NodeEnum) -> Option<Binding> {
    let name = |name: &str| -> Arc<str> { name.into() };
    match node {
        NodeEnum::PrepareStmt(prepare) => Some(Binding::Deallocate(name(&prepare.name))),
        NodeEnum::DeallocateStmt(release) if release.name.is_empty() => {
            Some(Binding::DeallocateAll)
        }
        NodeEnum::DeallocateStmt(release) => Some(Binding::Deallocate(name(&release.name))),
        NodeEnum::DeclareCursorStmt(declare) => Some(Binding::Close(name(&declare.portalname))),
        NodeEnum::ClosePortalStmt(close) if close.portalname.is_empty() => Some(Binding::CloseAll),
        NodeEnum::ClosePortalStmt(close) => Some(Binding::Close(name(&close.portalname))),
        NodeEnum::DiscardStmt(_) => Some(Binding::Everything),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Binding, is_unbounded, replication_command, unbounded};
    use crate::facts::{CatalogVersion, Facts, Kind, Operation, SessionEffect};

    fn check(text: &str, expected: &[(&str, Kind, Option<Binding>)]) {
        let found = unbounded(text.as_bytes(), "it is not understood", CatalogVersion(7)).unwrap();
        let told: Vec<(&str, Kind, Option<Binding>)> = found
            .iter()
            .map(|one| {
                let span = text.get(one.span.clone()).unwrap().trim();
                (span, one.facts.kind, one.binding.clone())
            })
            .collect();
        assert_eq!(told, expected, "{text}");
        for statement in &found {
            assert!(is_unbounded(&statement.facts));
            assert_eq!(statement.facts.accesses.len(), Operation::ALL.len());
            assert_eq!(statement.facts.catalog_version, CatalogVersion(7));
        }
    }

    #[test]
    fn a_text_that_is_not_understood_may_do_anything() {
        check(
            "SELECT nothing FROM nowhere; CREATE TABLE t (a int)",
            &[
                ("SELECT nothing FROM nowhere", Kind::Select, None),
                ("CREATE TABLE t (a int)", Kind::Other, None),
            ],
        );
        check("SELEC 'x", &[("SELEC 'x", Kind::Other, None)]);
        check(
            "COPY nowhere FROM STDIN",
            &[("COPY nowhere FROM STDIN", Kind::CopyFrom, None)],
        );
        check(
            "PREPARE p AS SELECT nothing; DECLARE c CURSOR FOR SELECT nothing; DISCARD ALL; CLOSE ALL",
            &[
                (
                    "PREPARE p AS SELECT nothing",
                    Kind::Other,
                    Some(Binding::Deallocate("p".into())),
                ),
                (
                    "DECLARE c CURSOR FOR SELECT nothing",
                    Kind::Other,
                    Some(Binding::Close("c".into())),
                ),
                ("DISCARD ALL", Kind::Set, Some(Binding::Everything)),
                ("CLOSE ALL", Kind::Release, Some(Binding::CloseAll)),
            ],
        );
    }

    #[test]
    fn a_text_over_a_limit_or_about_a_held_setting_runs_for_nobody() {
        let long = format!("SELECT 1 {}", "-".repeat(300));
        for text in [
            &long,
            "SET NAMES 'latin1'",
            "SET Client_Encoding TO latin1",
            "DO 'SET standard_conforming_strings = off'",
            "RESET provost.principal",
            "SET provost . principal = 'x'; SELECT nothing FROM nowhere",
            "SET \"provost\".\"principal\" = 'x'; SELECT nothing FROM nowhere",
            "SELECT nothing FROM nowhere; SET U&\"\\0070rovost\".principal = 'x'",
            "ALTER FUNCTION nowhere() SET provost/**/.kind = 'x'",
            "ALTER ROLE nobody SET \"provost\".kind = 'x'",
            "SELECT nothing, set_config(E'pro\\u0076ost.kind', 'x', true)",
            "SELECT set_config(U&'\\0070rovost.kind', 'x', true) FROM nowhere",
            "SELECT nothing, set_config(E'client\\137encoding', 'latin1', true)",
        ] {
            let found = unbounded(text.as_bytes(), "", CatalogVersion(0));
            assert_eq!(found, None, "{text}");
        }
    }

    #[test]
    fn literals_are_found_or_all_of_it_is_one() {
        let literals = |text: &str| {
            let found = unbounded(text.as_bytes(), "", CatalogVersion(0)).unwrap();
            let spans = found.into_iter().next().unwrap().literals.into_iter();
            spans.map(|span| (span.start, span.end)).collect::<Vec<_>>()
        };
        assert_eq!(literals("SELECT 'a' FRM x"), [(7, 10)]);
        assert_eq!(literals("SELECT 'a"), [(0, 9)]);
    }

    #[test]
    fn a_replication_command_may_do_anything_and_shows_its_words() {
        let text = "START_REPLICATION SLOT s LOGICAL 0/16B3748 (publication_names '\"shop\"')";
        let statement = replication_command(text.as_bytes(), "why", CatalogVersion(0)).unwrap();
        let Facts {
            kind,
            accesses,
            session_effect,
            ..
        } = &statement.facts;
        assert_eq!(*kind, Kind::Replication);
        assert_eq!(accesses.len(), Operation::ALL.len());
        assert_eq!(*session_effect, SessionEffect::None);
        assert!(is_unbounded(&statement.facts));
        assert!(statement.literals.is_empty() && statement.span == (0..text.len()));
        assert!(replication_command(b"SHOW \xff", "why", CatalogVersion(0)).is_none());
    }
}
