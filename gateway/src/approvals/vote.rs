//! Votes: who may say something about what is held, and what becomes of what they say.
//!
//! Must never count a voice whose evidence was not written before, nor one of somebody who is not asked.

use std::sync::Arc;

use provost_engine::principal::{Principal, PrincipalKind};
use provost_evidence::{
    approvals::{ApprovalId, Document, EndKind, Vote, VoteKind, Voted},
    record::ApprovalEvent,
};

use super::{Approvals, Case, Error, Objection, Said, Standing, now};
use crate::record::texts;

/// The longest reason, in bytes.
pub const REASON_BYTES_MAX: usize = 2_000;

/// Why a vote was not taken.
#[derive(Debug, thiserror::Error)]
pub enum VoteRefused {
    /// There is no such request.
    #[error("there is no such approval, or it ended more than an hour ago")]
    Unknown,
    /// It is over.
    #[error("it is {} already", .0.name())]
    Over(Standing),
    /// They may not vote.
    #[error("{0}")]
    Objection(Objection),
    /// Agents and services are no people.
    #[error("only people vote: this token is an agent's or a service's, or an agent acts by it")]
    NoPerson,
    /// They voted before.
    #[error("you have voted on it already")]
    Before(Box<Vote>),
    /// There is no reason, or too long a one.
    #[error("give a reason, of at most {REASON_BYTES_MAX} bytes")]
    Reason,
    /// It could not be kept.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl Approvals {
    /// The case, if this person is asked about it and it is not over. Who it is was verified by whoever calls.
    pub(super) fn asked_of(
        &self,
        id: &ApprovalId,
        person: &Principal,
    ) -> Result<(Arc<Case>, Standing), VoteRefused> {
        // RFC 8693: whoever has an actor does not act themselves.
        let is_acted_for = person.on_behalf_of.is_some() || person.claims.contains_key("act");
        if person.kind != PrincipalKind::Human || is_acted_for {
            return Err(VoteRefused::NoPerson);
        }
        let (case, standing) = self.show(id).ok_or(VoteRefused::Unknown)?;
        if standing.is_over() {
            return Err(VoteRefused::Over(standing));
        }
        match case.objection(&person.id, &texts(&person.groups)) {
            Some(objection) => Err(VoteRefused::Objection(objection)),
            None => Ok((case, standing)),
        }
    }

    /// Takes what a person says. Who it is was verified by whoever calls.
    ///
    /// # Errors
    /// [`VoteRefused`]: then it counts for nothing.
    pub async fn vote(
        &self,
        id: &ApprovalId,
        voter: &Principal,
        said: (VoteKind, &str),
    ) -> Result<(Arc<Case>, Standing), VoteRefused> {
        self.vote_of(id, voter, said, Case::rows_shown).await
    }

    /// Takes what a person says who was shown the message by which people were asked. Who it is was verified by whoever calls.
    ///
    /// # Errors
    /// [`VoteRefused`]: then it counts for nothing.
    pub(crate) async fn vote_by_message(
        &self,
        id: &ApprovalId,
        voter: &Principal,
        said: (VoteKind, &str),
    ) -> Result<(Arc<Case>, Standing), VoteRefused> {
        self.vote_of(id, voter, said, Case::rows_asked).await
    }

    async fn vote_of(
        &self,
        id: &ApprovalId,
        voter: &Principal,
        (vote, reason): (VoteKind, &str),
        rows_shown: fn(&Case) -> Option<u64>,
    ) -> Result<(Arc<Case>, Standing), VoteRefused> {
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > REASON_BYTES_MAX {
            return Err(VoteRefused::Reason);
        }
        let (case, _) = self.asked_of(id, voter)?;
        let groups = texts(&voter.groups);
        let document = Vote {
            id: id.clone(),
            binding_digest: case.request.binding_digest.clone(),
            gateway: self.gateway().to_owned(),
            at: now(),
            person: voter.id.to_string(),
            groups: groups.clone(),
            vote,
            reason: reason.to_owned(),
            rows_shown: rows_shown(&case),
        };
        let said = Said {
            at: document.at,
            event: match vote {
                VoteKind::Approve => ApprovalEvent::Approved,
                VoteKind::Deny => ApprovalEvent::Refused,
            },
            actor: &voter.id,
            groups,
            reason: Some(reason),
            statement_id: None,
        };
        if let Some(before) = case.votes.iter().find(|one| one.person == document.person) {
            return Err(VoteRefused::Before(Box::new(before.clone())));
        }
        self.tell(&case.request, said).await?;
        match self.docket.vote(document.clone()).await {
            Ok(Voted::Taken) => {}
            Ok(Voted::Before(before)) => return Err(VoteRefused::Before(before)),
            Err(error) => return Err(Error::Store(error).into()),
        }
        self.take(Document::Vote(document));
        if vote == VoteKind::Deny {
            self.end(&case.request, EndKind::Refused, &voter.id).await?;
        }
        self.show(id).ok_or(VoteRefused::Unknown)
    }
}
