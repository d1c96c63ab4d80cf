//! What a text does to the transaction that it is sent in, by PostgreSQL's own grammar and without a catalog.
//!
//! Must never take a text that ends a transaction for one that does not.

use pg_query::{
    NodeEnum,
    protobuf::{self as pg, TransactionStmtKind},
};

use super::authority;

/// What becomes of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEffect {
    /// `BEGIN`, `START TRANSACTION`.
    Begins,
    /// `COMMIT`, `END`.
    Commits(Chain),
    /// `ROLLBACK`, `ABORT`.
    RollsBack(Chain),
    /// `SAVEPOINT`, `RELEASE`, `ROLLBACK TO`: it goes on.
    Divides,
    /// `PREPARE TRANSACTION`, `COMMIT PREPARED`, `ROLLBACK PREPARED`.
    TwoPhase,
    /// Any other statement, or none.
    Unchanged,
}

/// What follows the end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chain {
    /// No transaction.
    Ends,
    /// `AND CHAIN`: another one, at once.
    GoesOn,
}

/// What the one statement of a text does to the transaction. `None`: the text does not parse, or has several statements.
///
/// Needs a deep stack, as [`super::analyse`].
#[must_use]
pub fn transaction_effect(text: &str) -> Option<TransactionEffect> {
    let tree = authority::parse(text).ok()?;
    match tree.stmts.as_slice() {
        [] => Some(TransactionEffect::Unchanged),
        [statement] => match statement.stmt.as_ref()?.node.as_ref()? {
            NodeEnum::TransactionStmt(command) => effect(command),
            _ => Some(TransactionEffect::Unchanged),
        },
        _ => None,
    }
}

fn effect(command: &pg::TransactionStmt) -> Option<TransactionEffect> {
    let chain = match command.chain {
        true => Chain::GoesOn,
        false => Chain::Ends,
    };
    match command.kind() {
        TransactionStmtKind::TransStmtBegin | TransactionStmtKind::TransStmtStart => {
            Some(TransactionEffect::Begins)
        }
        TransactionStmtKind::TransStmtCommit => Some(TransactionEffect::Commits(chain)),
        TransactionStmtKind::TransStmtRollback => Some(TransactionEffect::RollsBack(chain)),
        TransactionStmtKind::TransStmtSavepoint
        | TransactionStmtKind::TransStmtRelease
        | TransactionStmtKind::TransStmtRollbackTo => Some(TransactionEffect::Divides),
        TransactionStmtKind::TransStmtPrepare
        | TransactionStmtKind::TransStmtCommitPrepared
        | TransactionStmtKind::TransStmtRollbackPrepared => Some(TransactionEffect::TwoPhase),
        TransactionStmtKind::Undefined => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<TransactionEffect>) {
        assert_eq!(transaction_effect(text), expected, "{text}");
    }

    #[test]
    fn a_transaction_is_followed_however_its_command_is_written() {
        use TransactionEffect::{Begins, Commits, Divides, RollsBack, TwoPhase, Unchanged};
        check("BEGIN", Some(Begins));
        check("start transaction read only", Some(Begins));
        check("/* x */ cOmMiT -- y", Some(Commits(Chain::Ends)));
        check("END WORK;", Some(Commits(Chain::Ends)));
        check("COMMIT AND NO CHAIN", Some(Commits(Chain::Ends)));
        check("COMMIT AND CHAIN", Some(Commits(Chain::GoesOn)));
        check("ABORT", Some(RollsBack(Chain::Ends)));
        check("ROLLBACK AND CHAIN;", Some(RollsBack(Chain::GoesOn)));
        check("ROLLBACK TO a", Some(Divides));
        check("SAVEPOINT a", Some(Divides));
        check("RELEASE a", Some(Divides));
        check("PREPARE TRANSACTION 'x'", Some(TwoPhase));
        check("COMMIT PREPARED 'x'", Some(TwoPhase));
        check("ROLLBACK PREPARED 'x'", Some(TwoPhase));
        for text in [
            "",
            ";",
            "-- COMMIT",
            "SELECT 'COMMIT'",
            "PREPARE p AS SELECT 1",
            "CALL commits()",
        ] {
            check(text, Some(Unchanged));
        }
        for text in [
            "COMMIT; SELECT 1",
            "SELECT 1; ROLLBACK",
            "COMMIT COMMIT",
            "'",
        ] {
            check(text, None);
        }
    }
}
