//! Decisions in the words and shapes that a session needs: enforcement for what may run, errors for what may not.

use provost_engine::{
    facts::{Access, Facts, How, Kind, Object, Operation, OutputColumn, SessionEffect},
    sql::{self, Refusal},
    verdict::{Decision, Limits, Reason},
};
use provost_evidence::Durability;

use super::{obligations, view};
use crate::{
    judge::{Enforcement, ExpectedColumn, Refused, Touch},
    settings::Durable,
};

/// What the session does with the answer of an allowed statement.
pub(super) fn enforcement(facts: &Facts, decision: Decision) -> Enforcement {
    Enforcement {
        kind: facts.kind,
        session_effect: facts.session_effect,
        touch: view::touch(facts),
        mask_bound: decision.mask_bound,
        columns: facts
            .outputs
            .as_ref()
            .map(|outputs| outputs.iter().map(expected).collect()),
        masks: decision.masks,
        limits: limits(facts, decision.limits),
        recording: decision.recording,
        copy: None,
        binding: None,
        cursors: Vec::new(),
        sets_role: sets_role(facts),
        may_set: may_set(facts),
    }
}

/// Whether the statement leaves its session as it was: the same text can be decided in the same way behind it.
pub(super) fn is_plain(facts: &Facts) -> bool {
    facts.session_effect == SessionEffect::None && view::touch(facts) == Touch::Nothing
}

/// The limits that the statement can come to.
fn limits(facts: &Facts, limits: Limits) -> Limits {
    let of_changes = |limit: Option<u64>| limit.filter(|_| obligations::may_change_rows(facts));
    let of_rows = |limit: Option<u64>| limit.filter(|_| obligations::may_give_rows(facts));
    Limits {
        affected_rows: of_changes(limits.affected_rows),
        rows_per_hour: of_rows(limits.rows_per_hour),
        bytes_per_hour: of_rows(limits.bytes_per_hour),
        ..limits
    }
}

/// Whether the session may be of another role behind the statement.
fn sets_role(facts: &Facts) -> bool {
    let is_role = |access: &Access| match &access.object {
        Object::Setting(name) => {
            matches!(&**name, "role" | "session_authorization")
                && access.operation == Operation::Session
        }
        Object::Relation { .. }
        | Object::Function { .. }
        | Object::Channel(_)
        | Object::Other { .. }
        | Object::Nothing => false,
    };
    facts.kind != Kind::Replication
        && (sql::is_unbounded(facts) || facts.accesses.iter().any(is_role))
}

/// Whether a statement may change what texts mean in its session: a setting, or what it does can't be told.
fn may_set(facts: &Facts) -> bool {
    let may = |access: &Access| match (&access.object, access.operation) {
        (_, Operation::Session) => true,
        // What a function of somebody's does, sets.
        (Object::Function { schema, .. }, Operation::Call) => &**schema != "pg_catalog",
        _ => false,
    };
    facts.kind != Kind::Replication
        && (!facts.opaque.is_empty() || sql::is_unbounded(facts) || facts.accesses.iter().any(may))
}

fn expected(output: &OutputColumn) -> ExpectedColumn {
    let direct = output
        .lineage
        .sources
        .iter()
        .filter(|source| source.how == How::Direct);
    ExpectedColumn {
        origin: output.origin,
        sources: direct
            .map(|source| (source.column.relation_oid, source.column.attribute))
            .collect(),
    }
}

/// SQLSTATE of every denial by policy: insufficient_privilege.
pub(super) const DENIED: &str = "42501";

/// What a denied statement's client reads.
pub(super) fn denied(reasons: &[Reason]) -> Refused {
    let line = |reason: &Reason| match &reason.rule {
        Some(rule) => format!("rule {rule}: {}", reason.message),
        None => reason.message.to_string(),
    };
    let first = reasons
        .first()
        .map_or("no reason was given", |reason| &reason.message);
    let detail: Vec<String> = reasons.iter().map(line).collect();
    let mut hints: Vec<&str> = reasons
        .iter()
        .filter_map(|reason| reason.hint.as_deref())
        .collect();
    hints.dedup();
    Refused {
        sqlstate: DENIED,
        message: format!("denied by policy: {first}"),
        detail: (!detail.is_empty()).then(|| detail.join("\n")),
        hint: (!hints.is_empty()).then(|| hints.join("; ")),
        position: None,
    }
}

/// What the client of a text that can't be analysed reads.
pub(super) fn refused(refusal: Refusal) -> Refused {
    Refused {
        sqlstate: refusal.sqlstate,
        message: refusal.message,
        detail: refusal.detail,
        hint: refusal.hint,
        position: refusal.position,
    }
}

/// How durable the record of an allowed statement must be (ruling 21): reads survive the process, all else power too.
pub(super) fn durability(facts: &Facts, durable: Durable) -> Durability {
    let is_read = |operation| {
        matches!(
            operation,
            Operation::Read | Operation::CopyTo | Operation::Session | Operation::Transaction
        )
    };
    match durable {
        Durable::Everything => Durability::Power,
        Durable::Writes
            if facts.opaque.is_empty()
                && facts
                    .accesses
                    .iter()
                    .all(|access| is_read(access.operation)) =>
        {
            Durability::Process
        }
        Durable::Writes => Durability::Power,
    }
}
