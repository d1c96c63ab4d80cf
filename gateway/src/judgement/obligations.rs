//! Obligations that this gateway does not carry out, each refused by its name.
//!
//! Must never let a statement run whose decision asks for more than is done about it.

use std::sync::Arc;

use provost_engine::{
    facts::{Facts, Kind, Operation},
    verdict::{Approval, Decision, Reason, Recording},
};

/// What of an allowed statement's obligations can't be carried out.
pub(super) fn unenforced(decision: &Decision, facts: &Facts) -> Option<Reason> {
    let limits = &decision.limits;
    let changes_rows = may_change_rows(facts);
    let gives_rows = may_give_rows(facts);
    let named = [
        (
            limits.affected_rows.filter(|_| changes_rows),
            "affected rows",
        ),
        (limits.rows_per_hour.filter(|_| gives_rows), "rows per hour"),
        (
            limits.bytes_per_hour.filter(|_| gives_rows),
            "bytes per hour",
        ),
    ];
    let limit = named.iter().find_map(|(limit, of)| {
        let limit = limit.as_ref()?;
        Some(format!(
            "a rule limits it to {limit} {of}, which this version can't enforce"
        ))
    });
    let recording = match decision.recording {
        Recording::Statement | Recording::Digest => None,
        Recording::Results => Some(
            "a rule records its rows (`record results`), which this version can't: `record digest` keeps a digest of them"
                .to_owned(),
        ),
    };
    let message = limit.or(recording)?;
    Some(Reason {
        rule: None,
        message: Arc::from(message),
        hint: Some("this is for whoever writes the policy to change".into()),
    })
}

/// `needs 2 of dbas within 15 min; this version takes no approvals`.
pub(super) fn hold_is_refused(approvals: &[Approval]) -> Reason {
    let wanted: Vec<String> = approvals.iter().map(approval).collect();
    let wanted = if wanted.is_empty() {
        "an approval that no rule says how to give".to_owned()
    } else {
        wanted.join(" and ")
    };
    Reason {
        rule: None,
        message: Arc::from(format!(
            "the statement needs {wanted}; this version takes no approvals"
        )),
        hint: None,
    }
}

fn approval(approval: &Approval) -> String {
    let seconds = approval.within_ms / 1_000;
    let within = match (seconds % 3_600, seconds % 60) {
        _ if !approval.within_ms.is_multiple_of(1_000) => format!("{} ms", approval.within_ms),
        (0, _) if seconds > 0 => format!("{} h", seconds / 3_600),
        (_, 0) if seconds > 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    };
    format!("{} of {} within {within}", approval.count, approval.group)
}

/// Whether the statement may insert, update or delete rows, as far as analysis can say.
fn may_change_rows(facts: &Facts) -> bool {
    let only_reads = facts.accesses.iter().all(|access| {
        matches!(
            access.operation,
            Operation::Read
                | Operation::CopyTo
                | Operation::Session
                | Operation::Transaction
                | Operation::Listen
                | Operation::Lock
                | Operation::Maintain
        )
    });
    !facts.opaque.is_empty() || !only_reads
}

/// Whether the statement may give rows.
fn may_give_rows(facts: &Facts) -> bool {
    match facts.kind {
        Kind::Select | Kind::Show | Kind::Explain | Kind::Call | Kind::CopyTo | Kind::Other => true,
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
        | Kind::Empty => facts.outputs.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(count: u16, within_ms: u64, expected: &str) {
        let wanted = Approval {
            group: "dbas".into(),
            members: Vec::new(),
            count,
            within_ms,
        };
        assert_eq!(approval(&wanted), expected);
    }

    #[test]
    fn an_approval_reads_as_it_is_written() {
        check(2, 900_000, "2 of dbas within 15 min");
        check(1, 7_200_000, "1 of dbas within 2 h");
        check(1, 90_000, "1 of dbas within 90 s");
        check(1, 1_500, "1 of dbas within 1500 ms");
    }
}
