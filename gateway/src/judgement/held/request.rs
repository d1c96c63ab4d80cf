//! What people are asked: the statement as evidence has it, what it touches, which rules hold it and whom they ask.
//!
//! Must never show a value that is compared with or assigned to a classed column.

use std::collections::BTreeSet;

use provost_engine::{
    facts::{Column, Facts},
    graph::rule::Effect,
    sql::Statement,
    verdict::{Approval, Decision, RuleId, join_approvals},
};
use provost_evidence::{
    approvals::{ApprovalId, HeldStatement, Need, Request},
    record::DecisionRecord,
};

use super::{
    super::{Sent, SessionJudge, Step, values},
    words::refused,
};
use crate::{
    approvals::now,
    judge::{Fatal, Refused, StatementSeq, Stop},
    record,
};

/// The longest text, and the most bytes of values, that people are asked of.
const SHOWN_BYTES_MAX: usize = 32 * 1024;
impl SessionJudge {
    /// What people are asked.
    pub(super) fn request(
        &self,
        step: &Step<'_>,
        (statements, decisions): (&[Statement], &[Decision]),
        needs: Vec<Need>,
        binding: String,
    ) -> Result<Request, Stop> {
        let at = now();
        let id = ApprovalId::new(at).map_err(|error| {
            tracing::error!(%error, "no approval can be asked for");
            Fatal {
                sqlstate: "58000",
                message: "the operating system gave no randomness: tell the gateway's operator"
                    .to_owned(),
            }
        })?;
        let records: Vec<DecisionRecord> = statements
            .iter()
            .zip(decisions)
            .map(|(statement, decision)| {
                self.record(step, StatementSeq(self.seq + 1), statement, decision)
            })
            .collect();
        let principal = &self.session.principal;
        let holding = self.holding(decisions);
        let is_exact = |(statement, record): (&Statement, &DecisionRecord)| {
            let exact = step.text.get(statement.span.clone());
            exact.is_some() && record.sql.as_deref().map(str::as_bytes) == exact
        };
        let sql_is_exact = statements.iter().zip(&records).all(is_exact);
        let sql: Option<Vec<&str>> = records.iter().map(|one| one.sql.as_deref()).collect();
        Ok(Request {
            requester: principal.id.to_string(),
            requester_kind: principal.kind.name().to_owned(),
            on_behalf_of: principal
                .on_behalf_of
                .as_ref()
                .map(|person| person.id.to_string()),
            session_id: self.id.as_str().to_owned(),
            application: self.session.application.to_string(),
            target: self.session.target.to_string(),
            role: self.session.role.to_string(),
            search_path: step
                .path
                .unwrap_or_else(|| self.sight.path())
                .iter()
                .map(ToString::to_string)
                .collect(),
            sql: sql.map(|texts| texts.join(";\n")),
            sql_is_exact,
            sql_digest: record::hex(&self.bench.key.sql(step.text)),
            parameters: self.shown_values(step, statements),
            parameters_digest: self
                .parameters_digest(step)
                .map(|digest| record::hex(&digest)),
            statements: records
                .iter()
                .map(|one| HeldStatement {
                    kind: one.kind.clone().unwrap_or_default(),
                    fingerprint: one.fingerprint.clone().unwrap_or_default(),
                    relations: one.relations.clone(),
                    columns: one.columns.clone(),
                })
                .collect(),
            rules: record::texts(&self.policy.names(&holding)),
            reason: self.because(&holding),
            controls: record::texts(&self.policy.controls(&holding)),
            bundle_digest: self.policy.digest().0.to_string(),
            binding_digest: binding,
            settings: self.people.settings.clone(),
            settings_changed: self.people.settings_changed > 0,
            ..Request::new(id, self.bench.approvals.gateway(), at, needs)
        })
    }

    /// The rules that hold, of those that determined the decisions: others only allow, mask or limit.
    fn holding(&self, decisions: &[Decision]) -> Vec<RuleId> {
        let all = decisions.iter().flat_map(|decision| &decision.rules);
        let rules = &self.policy.set().rules;
        let holds = |id: &RuleId| {
            let rule = usize::try_from(id.0).ok().and_then(|at| rules.get(at));
            // What is no rule is a module, which may.
            rule.is_none_or(|rule| matches!(rule.effect, Effect::Hold(..)))
        };
        let holding: BTreeSet<RuleId> = all.copied().filter(holds).collect();
        holding.into_iter().collect()
    }

    /// Why they hold, in the policy's words.
    fn because(&self, rules: &[RuleId]) -> Option<String> {
        let all = &self.policy.set().rules;
        let because = rules.iter().filter_map(|id| {
            let rule = all.get(usize::try_from(id.0).ok()?)?;
            rule.because.as_deref()
        });
        let words: Vec<&str> = because.collect();
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// The bound values, as far as they may be shown: of a text that touches no classed column, and is wholly understood.
    fn shown_values(
        &self,
        step: &Step<'_>,
        statements: &[Statement],
    ) -> Option<Vec<Option<String>>> {
        let Sent::Raw(raw) = step.parameters else {
            return None;
        };
        let classes = |column: &Column| self.policy.is_classed(column);
        let is_harmless = |facts: &Facts| record::is_harmless(facts, &classes);
        let all = statements
            .iter()
            .all(|statement| is_harmless(&statement.facts));
        all.then(|| values::shown(step.types, raw)).flatten()
    }
}

/// Who must approve all of it.
pub(super) fn needs(decisions: &[Decision]) -> Vec<Need> {
    let joined = decisions.iter().fold(Vec::new(), |needs, decision| {
        join_approvals(&needs, &decision.approvals)
    });
    joined.into_iter().map(need).collect()
}

/// Why nobody could see what they approve.
pub(super) fn unseen(request: &Request) -> Option<Refused> {
    let is_whole = |sql: &String| sql.len() <= SHOWN_BYTES_MAX;
    let values = request.parameters.iter().flatten().flatten();
    let values: usize = values.map(String::len).sum();
    let is_shown = request.sql.as_ref().is_some_and(is_whole) && values <= SHOWN_BYTES_MAX;
    (!is_shown).then(|| {
        refused(
            "the statement needs an approval, and is too large to be shown to anybody",
            None,
            "send smaller statements",
        )
    })
}

fn need(approval: Approval) -> Need {
    Need {
        group: approval.group.to_string(),
        members: approval.members.iter().map(ToString::to_string).collect(),
        count: approval.count,
        within_ms: approval.within_ms,
    }
}
