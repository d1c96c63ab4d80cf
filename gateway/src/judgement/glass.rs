//! Statements that run only because the session states why they must: told of loudly, before they run.
//!
//! Must never let one run of which neither evidence nor whoever watches was told.

use std::{collections::BTreeSet, sync::Arc, time::SystemTime};

use provost_engine::{
    reason::{StatedReason, Stating},
    sql::Statement,
    verdict::{Decision, Reason},
};
use provost_evidence::{
    Durability,
    record::{ChangeRecord, Phase, Record},
};

use super::{SessionJudge, Step};
use crate::{
    approvals::BrokenGlass,
    judge::{Alone, Fatal, Held, Notice, Stop},
    record::{hex, micros},
};

/// What a session states, and what was told of it.
#[derive(Debug, Default)]
pub(super) struct Stated {
    /// What it stated as it began.
    began: Option<StatedReason>,
    /// What it states now.
    now: Option<StatedReason>,
    /// The rules of which it was told since: of each once.
    told: BTreeSet<Arc<str>>,
}

impl Stated {
    /// What a session states as it begins.
    pub(super) fn new(reason: Option<StatedReason>) -> Self {
        Self {
            now: reason.clone(),
            began: reason,
            told: BTreeSet::new(),
        }
    }

    /// Why the session's statements must run.
    pub(super) fn reason(&self) -> Option<&str> {
        self.now.as_ref().map(StatedReason::as_str)
    }

    /// The session states something else. It is told of anew.
    pub(super) fn change(&mut self, stating: &Stating) {
        self.now = match stating {
            Stating::Reason(reason) => Some(reason.clone()),
            Stating::Back => self.began.clone(),
        };
        self.told.clear();
    }
}

/// Whether the statement runs, if it runs, by a stated reason.
pub(super) fn is_broken(decision: &Decision) -> bool {
    !decision.glass.broken.is_empty()
}

impl SessionJudge {
    /// Waits until nothing is unanswered where the client must be told: a notice stands between answers, never within one.
    pub(super) fn await_silence(
        &self,
        step: &Step<'_>,
        decisions: &[Decision],
    ) -> Result<(), Stop> {
        let is_news = step.phase != Phase::Prepare && !self.news(decisions).is_empty();
        if is_news && self.people.alone == Alone::No {
            return Err(Stop::Held(Held::NotAlone));
        }
        Ok(())
    }

    /// Tells evidence and whoever watches of glass that is broken for the first time in this session, and gives what the client is told.
    pub(super) async fn tell_of_glass(
        &mut self,
        step: &Step<'_>,
        statements: &[Statement],
        decisions: &[Decision],
    ) -> Result<Option<Notice>, Fatal> {
        if step.phase == Phase::Prepare {
            return Ok(None);
        }
        let news = self.news(decisions);
        let mut told = Vec::with_capacity(news.len());
        for (place, rule, why) in news {
            let span = statements.get(place).map(|statement| &statement.span);
            let text = span.and_then(|span| step.text.get(span.clone()));
            let digest = self.bench.key.sql(text.unwrap_or(step.text));
            let at = micros(SystemTime::now());
            let record = Record::Change(ChangeRecord {
                at,
                actor: self.session.principal.id.to_string(),
                what: "break-glass".to_owned(),
                before: None,
                after: Some(format!("{rule}: {why}")),
                digest: Some(hex(&digest)),
            });
            self.bench.append(&record, Durability::Power).await?;
            let principal = &self.session.principal;
            let person = principal.on_behalf_of.as_ref();
            self.bench.approvals.tell_of_glass(BrokenGlass {
                at,
                gateway: self.bench.approvals.gateway().to_owned(),
                session: self.id.as_str().to_owned(),
                principal: principal.id.to_string(),
                on_behalf_of: person.map(|person| person.id.to_string()),
                target: self.session.target.to_string(),
                rule: rule.to_string(),
                reason: why.to_string(),
            });
            told.push(format!("{rule}: {why}"));
            self.stated.told.insert(rule);
        }
        Ok((!told.is_empty()).then(|| Notice {
            message: "glass is broken: this runs by the reason that the session states, and is recorded and told"
                .to_owned(),
            detail: Some(told.join("; ")),
            hint: None,
        }))
    }

    /// Of which rules it was not told yet: where, by which rule, why.
    fn news(&self, decisions: &[Decision]) -> Vec<(usize, Arc<str>, Arc<str>)> {
        let mut news: Vec<(usize, Arc<str>, Arc<str>)> = Vec::new();
        for (place, decision) in decisions.iter().enumerate() {
            for rule in self.policy.names(&decision.glass.broken) {
                let is_known = self.stated.told.contains(&rule)
                    || news.iter().any(|(_, other, _)| *other == rule);
                if !is_known {
                    let why = why(&decision.reasons, &rule);
                    news.push((place, rule, why));
                }
            }
        }
        news
    }
}

/// What a decision says of the rule.
fn why(reasons: &[Reason], rule: &str) -> Arc<str> {
    let of_rule = |reason: &&Reason| reason.rule.as_deref() == Some(rule);
    reasons
        .iter()
        .find(of_rule)
        .map_or_else(|| Arc::from(""), |reason| Arc::clone(&reason.message))
}
