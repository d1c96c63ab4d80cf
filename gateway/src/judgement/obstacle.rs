//! What keeps a statement from running before any rule is asked: a catalog that can't be relied on.

use std::sync::Arc;

use provost_engine::{
    facts::{Facts, Kind, Object, Operation},
    sql::Refusal,
    verdict::Reason,
};

use super::view::{Failure, is_independent};
use crate::look::TEMP;

/// How far the catalog can be relied on when a statement is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    /// A schema change ended and the catalog could not be read since.
    pub(super) unread: bool,
    /// The catalog is older than is allowed.
    pub(super) old: bool,
    /// A statement before it in the same text may have changed what its names mean.
    pub(super) lost: bool,
    /// The search path names `pg_temp`.
    pub(super) temporary: bool,
    /// A mask can bind the principal.
    pub(super) mask_bound: bool,
}

/// Why a statement with these facts can't be decided on this ground.
pub(super) fn find(facts: &Facts, ground: Ground) -> Option<Reason> {
    if matches!(facts.kind, Kind::Commit | Kind::Rollback | Kind::Empty) {
        return None;
    }
    if ground.unread {
        return Some(reason(
            "the schema changed and the catalog could not be read since, so the statement can't be analysed",
            "try again in a moment; if it stays so, tell the gateway's operator",
        ));
    }
    if ground.lost && !is_independent(facts) {
        return Some(reason(
            "a statement before it in the same text may change the search path, or what the session sees, so names may mean something else",
            "send each statement by itself",
        ));
    }
    if ground.temporary && creates_somewhere(facts) {
        return Some(reason(
            "the search path names pg_temp, so it is not certain where this would be created",
            "write the schema, or CREATE TEMP",
        ));
    }
    if ground.old && ground.mask_bound {
        return Some(reason(
            "the catalog could not be read for too long, so masks can't be relied on",
            "try again in a moment; if it stays so, tell the gateway's operator",
        ));
    }
    None
}

/// Why whoever a mask binds does not get what comes through a function while two relations share a name: the server keeps
/// what it made of a function's body although a relation came to be that hides another one.
pub(super) fn namesakes() -> Reason {
    reason(
        "a relation that is reached through a view or function has the name of another one on the search path, so the server may mean either",
        "drop or rename what shares its name, a temporary table perhaps",
    )
}

/// Whether a statement creates a relation that is not known to be temporary.
fn creates_somewhere(facts: &Facts) -> bool {
    facts.accesses.iter().any(|access| {
        access.operation == Operation::Create
            && matches!(&access.object, Object::Relation { schema, .. } if **schema != *TEMP)
    })
}

/// What a statement rests on that must be held as analysis read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rests {
    /// The views through which it reaches masked columns.
    OnViews,
    /// The relations whose rows it copies: the server says of no column of a COPY which one it is.
    OnCopied,
}

impl Rests {
    /// Why, and what is to be held.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::OnViews => ("a masked column is reached through a view", "a view"),
            Self::OnCopied => (
                "masks bind this principal, and a COPY does not tell which columns it copies",
                "a relation",
            ),
        }
    }

    const fn instead(self) -> &'static str {
        match self {
            Self::OnViews => "read the table itself",
            Self::OnCopied => "use SELECT",
        }
    }
}

/// Why a text with several statements does not get what must be held.
pub(super) fn not_alone(rests: Rests) -> Reason {
    let (why, held) = rests.words();
    reason(
        &format!("{why}: {held} is held for one statement at a time"),
        "send the statement by itself",
    )
}

/// Why a cursor, or a statement that SQL prepared, does not get it.
pub(super) fn named_by_sql() -> Reason {
    reason(
        "a masked column is reached through a view, by a cursor or a statement that SQL gave its name: the view may have been another one then",
        "send the SELECT itself, or prepare it with the protocol's own Parse",
    )
}

/// Why nothing is held in a failed transaction.
pub(super) fn failed_before(rests: Rests) -> Reason {
    let (_, held) = rests.words();
    reason(
        &format!("the transaction has failed, so {held} that the statement reads can't be held"),
        "roll the transaction back, then send it again",
    )
}

/// Why it is not shown where the server would show the definition of an older snapshot.
pub(super) fn old_snapshot(rests: Rests) -> Reason {
    let (why, _) = rests.words();
    reason(
        &format!(
            "{why}, and in this isolation level the server does not tell which definition it would use"
        ),
        &format!("use READ COMMITTED, or {}", rests.instead()),
    )
}

/// Why it is not shown where something could not be locked.
pub(super) fn not_held(rests: Rests) -> Reason {
    let (_, held) = rests.words();
    reason(
        &format!("{held} that the statement reads could not be held as it was analysed"),
        &format!(
            "{}; if debug_parallel_query or force_parallel_mode is on, switch it off",
            rests.instead()
        ),
    )
}

/// Why it is not shown where the server answered with an error.
pub(super) fn not_locked(rests: Rests, sqlstate: &str) -> Reason {
    let (_, held) = rests.words();
    let why = match sqlstate {
        "57014" | "55P03" | "40P01" => "in time: another session changes it",
        _ => "at all: the server answered with an error",
    };
    reason(
        &format!("{held} that the statement reads could not be locked {why}"),
        "send it again; an open transaction must be rolled back first",
    )
}

/// Why it is not shown where something is not what analysis read.
pub(super) fn changed(rests: Rests) -> Reason {
    let (_, held) = rests.words();
    reason(
        &format!("{held} that the statement reads, or one below it, has just changed"),
        "send it again; an open transaction must be rolled back first",
    )
}

/// The refusal of a statement before which the session could not be looked at.
pub(super) fn unseen(failure: &Failure) -> Refusal {
    let (sqlstate, detail, hint) = match failure {
        // A cancel request of the client's own, or its statement_timeout: the server's words.
        Failure::Server(sqlstate) if sqlstate == "57014" => (
            "57014",
            "canceling statement due to user request or timeout",
            "send it again",
        ),
        Failure::Server(sqlstate) if matches!(&**sqlstate, "55P03" | "40P01") => (
            "55P03",
            "another session has locked what must be read of the schema",
            "end the transaction, then try again",
        ),
        Failure::Server(_) => (
            "42501",
            "the server answered with an error when it was asked",
            "end the transaction, then try again; if it stays so, tell the gateway's operator",
        ),
        Failure::Malformed => (
            "42501",
            "the server's answer can't be read",
            "this is a defect of the gateway: tell its operator",
        ),
        Failure::NoRoom => (
            "53400",
            "too many sessions have temporary objects or uncommitted schema changes at once",
            "try again in a moment",
        ),
    };
    Refusal {
        sqlstate,
        message: "denied by policy: what this session's names mean could not be learned".to_owned(),
        detail: Some(detail.to_owned()),
        hint: Some(hint.to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

/// The refusal of a statement in a failed transaction, in PostgreSQL's own words.
pub(super) fn aborted() -> Refusal {
    Refusal {
        sqlstate: "25P02",
        message: "current transaction is aborted, commands ignored until end of transaction block"
            .to_owned(),
        detail: None,
        hint: None,
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

/// The refusal of a prepared statement or portal whose names may mean two things, in the words at which drivers prepare again.
pub(super) fn outdated() -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: "cached plan must not change result type".to_owned(),
        detail: Some(
            "the schema changed since it was prepared, and two schemas of the search path have a relation of one of its names: the server may still use the other one"
                .to_owned(),
        ),
        hint: Some("prepare it again, or write the name with its schema".to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

/// The refusal of a portal that was bound before the search path was moved, in the words at which drivers prepare again.
pub(super) fn moved() -> Refusal {
    Refusal {
        sqlstate: "0A000",
        message: "cached plan must not change result type".to_owned(),
        detail: Some(
            "the search path was moved, or the session's temporary objects changed, since it was bound: its names may mean something else now"
                .to_owned(),
        ),
        hint: Some("bind it again".to_owned()),
        position: None,
        unknown_name: false,
        lacking: Box::default(),
    }
}

/// Why a column that lost its class by a rename is not shown to whoever a mask binds (ruling 3).
pub(super) fn renamed() -> Reason {
    reason(
        "a column of this statement was renamed while the gateway ran, and its earlier name is in a masked class",
        "the class sticks to the column: name the new column in a class too, then the masks apply to it",
    )
}

fn reason(message: &str, hint: &str) -> Reason {
    Reason {
        rule: None,
        message: Arc::from(message),
        hint: Some(Arc::from(hint)),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use provost_engine::facts::{
        Access, CatalogVersion, Facts, Kind, Object, Operation, SessionEffect,
    };

    use super::{Ground, find};

    const SOLID: Ground = Ground {
        unread: false,
        old: false,
        lost: false,
        temporary: false,
        mask_bound: false,
    };

    fn facts(kind: Kind, object: Object) -> Facts {
        Facts {
            kind,
            accesses: vec![Access {
                object,
                operation: Operation::Read,
                columns: BTreeSet::new(),
                via: None,
                filtered: false,
                bounded: false,
                equalities: BTreeSet::new(),
            }],
            outputs: None,
            writes: Vec::new(),
            opaque: BTreeSet::new(),
            session_effect: SessionEffect::None,
            through_views: false,
            views: BTreeSet::new(),
            limit: None,
            parameters: 0,
            lookups: BTreeSet::new(),
            uncounted: false,
            fingerprint: Arc::from(""),
            catalog_version: CatalogVersion(0),
        }
    }

    fn check(kind: Kind, ground: Ground, expected: Option<&str>) {
        let facts = facts(kind, Object::Nothing);
        let found = find(&facts, ground).map(|reason| reason.message.to_string());
        match expected {
            None => assert_eq!(found, None, "{kind:?} {ground:?}"),
            Some(words) => assert!(
                found.as_ref().is_some_and(|found| found.contains(words)),
                "{kind:?} {ground:?}: {found:?}"
            ),
        }
    }

    #[test]
    fn only_what_names_nothing_follows_a_change_of_what_names_mean() {
        let lost = Ground {
            lost: true,
            ..SOLID
        };
        for kind in [
            Kind::Commit,
            Kind::Begin,
            Kind::Savepoint,
            Kind::Set,
            Kind::Show,
        ] {
            check(kind, lost, None);
        }
        for kind in [
            Kind::Select,
            Kind::Ddl,
            Kind::Call,
            Kind::CopyTo,
            Kind::Explain,
        ] {
            check(kind, lost, Some("may mean something else"));
            check(kind, SOLID, None);
        }
        let named = facts(
            Kind::Show,
            Object::Relation {
                schema: "a".into(),
                name: "b".into(),
                oid: 1,
            },
        );
        assert!(find(&named, lost).is_some());
    }

    #[test]
    fn an_unread_or_old_catalog_refuses() {
        let unread = Ground {
            unread: true,
            ..SOLID
        };
        check(Kind::Select, unread, Some("could not be read since"));
        check(Kind::Rollback, unread, None);
        let old = Ground { old: true, ..SOLID };
        check(Kind::Select, old, None);
        let masked = Ground {
            mask_bound: true,
            ..old
        };
        check(Kind::Select, masked, Some("too long"));
    }
}
