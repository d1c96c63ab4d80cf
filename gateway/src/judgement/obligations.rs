//! Obligations that this gateway does not carry out, each refused by its name.
//!
//! Must never let a statement run whose decision asks for more than is done about it.

use std::sync::Arc;

use provost_engine::{
    copy::CopyOut,
    facts::{Access, Facts, Kind, Operation},
    sql::is_unbounded,
    verdict::{Decision, Reason},
};

/// What of an allowed statement's obligations can't be carried out.
pub(super) fn unenforced(decision: &Decision, facts: &Facts, company: Company) -> Option<Reason> {
    uncountable(decision, facts, company)
}

/// Why the data of a COPY can't be masked as the decision asks.
pub(super) fn unmaskable(decision: &Decision, copy: Option<&CopyOut>) -> Option<Reason> {
    let copy = copy?;
    let doubt = decision
        .masks
        .iter()
        .find_map(|mask| copy.doubt(mask.output, &mask.transform))?;
    Some(Reason {
        rule: None,
        message: Arc::from(format!(
            "the data of this COPY can't be masked: {}",
            doubt.why
        )),
        hint: Some(doubt.instead.into()),
    })
}

/// What else stands in the query string of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    /// Nothing.
    Alone,
    /// Other statements.
    Others,
}

/// Where the rows that a statement changes are limited, and the server's count does not tell them all, or tells them after the
/// change is committed (ruling 15).
fn uncountable(decision: &Decision, facts: &Facts, company: Company) -> Option<Reason> {
    let max = decision.limits.affected_rows?;
    if !may_change_rows(facts) {
        return None;
    }
    let (why, hint) = match (is_counted(facts), company) {
        (true, Company::Alone) => return None,
        (true, Company::Others) => (
            "it stands in a query string with others, which are committed before its rows are counted",
            "send it alone",
        ),
        (false, _) => (
            "the server does not count all that it changes",
            "use a plain INSERT, UPDATE, DELETE, MERGE or COPY, without a WITH that writes, cascading keys, rules, or functions and triggers that do more than compute",
        ),
    };
    Some(Reason {
        rule: None,
        message: Arc::from(format!("a rule limits it to {max} changed rows, and {why}")),
        hint: Some(hint.into()),
    })
}

/// Whether the server's count of changed rows tells them all.
pub(super) fn is_counted(facts: &Facts) -> bool {
    let is_change = matches!(
        facts.kind,
        Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge | Kind::CopyFrom
    );
    let calls = |access: &Access| access.operation == Operation::Call;
    is_change && facts.opaque.is_empty() && !facts.uncounted && !facts.accesses.iter().any(calls)
}

/// No rule says how to give the approval that rules ask for.
pub(super) fn unapprovable() -> Reason {
    Reason {
        rule: None,
        message: Arc::from("rules hold the statement, and none says who could approve it"),
        hint: Some("this is for whoever writes the policy to change".into()),
    }
}

/// Whether the statement may insert, update or delete rows, as far as analysis can say.
pub(super) fn may_change_rows(facts: &Facts) -> bool {
    let reads = |access: &Access| access.operation == Operation::Read;
    // `CREATE TABLE ... AS` inserts what it reads.
    let fills = facts.accesses.iter().any(reads);
    let only_reads = facts.accesses.iter().all(|access| {
        (access.operation == Operation::Create && !fills)
            || matches!(
                access.operation,
                Operation::Read
                    | Operation::CopyTo
                    | Operation::Session
                    | Operation::Transaction
                    | Operation::Listen
                    | Operation::Lock
                    | Operation::Maintain
                    | Operation::Grant
            )
    });
    !facts.opaque.is_empty() || !only_reads
}

/// Whether the statement may give rows.
pub(super) fn may_give_rows(facts: &Facts) -> bool {
    match facts.kind {
        Kind::Select
        | Kind::Show
        | Kind::Explain
        | Kind::Call
        | Kind::CopyTo
        | Kind::Replication
        | Kind::Other => true,
        Kind::Insert
        | Kind::Update
        | Kind::Delete
        | Kind::Merge
        | Kind::CopyFrom
        | Kind::Truncate
        | Kind::Ddl
        | Kind::Grant
        | Kind::Set
        | Kind::Begin
        | Kind::Commit
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::Listen
        | Kind::Lock
        | Kind::Maintain
        | Kind::Release
        // Where analysis could not read it, nobody knows whether it has a RETURNING.
        | Kind::Empty => facts.outputs.is_some() || is_unbounded(facts),
    }
}
