//! What keeps a statement from running before any rule is asked: a catalog that can't be relied on.

use std::sync::Arc;

use provost_engine::{facts::Kind, sql::Refusal, verdict::Reason};

const UNCOMMITTED: &str =
    "a schema change is not committed yet, so what follows it can't be analysed";
const UNCOMMITTED_HINT: &str =
    "end the transaction first: COMMIT or ROLLBACK, then send this statement by itself";

/// How far the catalog can be relied on when a statement is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ground {
    /// A schema change of this session was let through and its transaction has not been seen to end: nobody else can
    /// see it yet, the keeper neither.
    pub(super) uncommitted: bool,
    /// A schema change ended and the catalog could not be read since.
    pub(super) unread: bool,
    /// The catalog is older than is allowed.
    pub(super) old: bool,
    /// A statement before it in the same text may have changed the search path that the text was analysed with.
    pub(super) lost: bool,
    /// A schema on the session's search path came into being after the session began.
    pub(super) drifted: bool,
    /// A mask can bind the principal.
    pub(super) mask_bound: bool,
}

/// Why a statement of this kind can't be decided on this ground.
pub(super) fn find(kind: Kind, ground: Ground) -> Option<Reason> {
    if matches!(kind, Kind::Commit | Kind::Rollback | Kind::Empty) {
        return None;
    }
    let is_schema_change = matches!(kind, Kind::Ddl | Kind::Begin) && !ground.mask_bound;
    if ground.uncommitted && !is_schema_change {
        return Some(reason(UNCOMMITTED, UNCOMMITTED_HINT));
    }
    if ground.unread {
        return Some(reason(
            "the schema changed and the catalog could not be read since, so the statement can't be analysed",
            "try again in a moment; if it stays so, tell the gateway's operator",
        ));
    }
    if ground.lost {
        return Some(reason(
            "a function called before it in the same text may change the search path, so names may mean something else",
            "send each statement by itself",
        ));
    }
    if ground.drifted {
        return Some(reason(
            "a schema on this session's search path was created after the session began, so names may mean something else",
            "connect again",
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

/// The refusal of a name without a schema, after the path was lost.
pub(super) fn lost(refusal: Refusal) -> Refusal {
    Refusal {
        detail: Some("this session called a function that can change the search path, so names without a schema are not looked up".to_owned()),
        hint: Some("write the name with its schema, or connect again".to_owned()),
        ..refusal
    }
}

/// Why a column that lost its class by a rename is not shown to whoever a mask binds (ruling 3).
pub(super) fn renamed() -> Reason {
    reason(
        "a column of this statement was renamed while the gateway ran, and its earlier name is in a masked class",
        "the class sticks to the column: name the new column in a class too, then the masks apply to it",
    )
}

/// The refusal of a text with a name that nothing has, while names may be known that nobody else can see.
pub(super) fn uncommitted() -> Refusal {
    Refusal {
        sqlstate: "42501",
        message: format!("denied by policy: {UNCOMMITTED}"),
        detail: None,
        hint: Some(UNCOMMITTED_HINT.to_owned()),
        position: None,
        unknown_name: false,
    }
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
    use provost_engine::facts::Kind;

    use super::{Ground, find};

    const SOLID: Ground = Ground {
        uncommitted: false,
        unread: false,
        old: false,
        lost: false,
        drifted: false,
        mask_bound: false,
    };

    fn check(kind: Kind, ground: Ground, expected: Option<&str>) {
        let found = find(kind, ground).map(|reason| reason.message.to_string());
        match expected {
            None => assert_eq!(found, None, "{kind:?} {ground:?}"),
            Some(words) => assert!(
                found.as_ref().is_some_and(|found| found.contains(words)),
                "{kind:?} {ground:?}: {found:?}"
            ),
        }
    }

    #[test]
    fn only_the_end_of_the_transaction_follows_an_uncommitted_schema_change() {
        let open = Ground {
            uncommitted: true,
            ..SOLID
        };
        for kind in [
            Kind::Commit,
            Kind::Rollback,
            Kind::Ddl,
            Kind::Begin,
            Kind::Empty,
        ] {
            check(kind, open, None);
        }
        for kind in [
            Kind::Select,
            Kind::Insert,
            Kind::Savepoint,
            Kind::Set,
            Kind::CopyTo,
            Kind::Explain,
            Kind::Call,
        ] {
            check(kind, open, Some("not committed"));
            check(kind, SOLID, None);
        }
        // Further changes could move what a mask is on.
        check(
            Kind::Ddl,
            Ground {
                mask_bound: true,
                ..open
            },
            Some("not committed"),
        );
        check(
            Kind::Rollback,
            Ground {
                mask_bound: true,
                ..open
            },
            None,
        );
    }

    #[test]
    fn an_unread_or_old_catalog_refuses() {
        check(
            Kind::Select,
            Ground {
                unread: true,
                ..SOLID
            },
            Some("could not be read since"),
        );
        check(
            Kind::Select,
            Ground {
                drifted: true,
                ..SOLID
            },
            Some("search path"),
        );
        check(
            Kind::Rollback,
            Ground {
                unread: true,
                ..SOLID
            },
            None,
        );
        check(Kind::Select, Ground { old: true, ..SOLID }, None);
        check(
            Kind::Select,
            Ground {
                old: true,
                mask_bound: true,
                ..SOLID
            },
            Some("too long"),
        );
    }
}
