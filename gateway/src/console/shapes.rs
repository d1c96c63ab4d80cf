//! What the API says, as types: held statements as one caller sees them. The command line reads the same types.

use std::{sync::Arc, time::SystemTime};

use jiff::Timestamp;
use provost_engine::principal::{Principal, PrincipalKind};
use provost_evidence::{
    approvals::{DryRun, HeldStatement, Request, Rows, Vote, VoteKind},
    record::Micros,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    approvals::{Before, Case, HISTORY, Standing, Tally, VoteRefused},
    record::micros,
};

/// Characters of a text that lists show; the rest is cut.
const LISTED_CHARS_MAX: usize = 500;

/// How a held statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StandingName {
    /// People are yet to answer.
    Waiting,
    /// It may run, once.
    Approved,
    /// Somebody said no.
    Refused,
    /// Nobody answered in time, or nobody used it.
    Expired,
    /// Whoever asked took it back.
    Withdrawn,
    /// It ran.
    Used,
}

impl StandingName {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Approved,
        Self::Refused,
        Self::Expired,
        Self::Withdrawn,
        Self::Used,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
            Self::Used => "used",
        }
    }

    /// The standing of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|standing| standing.name() == name)
    }

    pub(in crate::console) const fn of(standing: &Standing) -> Self {
        match standing {
            Standing::Waiting => Self::Waiting,
            Standing::Approved => Self::Approved,
            Standing::Refused { .. } => Self::Refused,
            Standing::Expired => Self::Expired,
            Standing::Withdrawn => Self::Withdrawn,
            Standing::Used => Self::Used,
        }
    }
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VoteName {
    /// It may run.
    Approve,
    /// It must not, whoever else says otherwise.
    Deny,
}

impl VoteName {
    const fn of(vote: VoteKind) -> Self {
        match vote {
            VoteKind::Approve => Self::Approve,
            VoteKind::Deny => Self::Deny,
        }
    }

    pub(super) const fn kind(self) -> VoteKind {
        match self {
            Self::Approve => VoteKind::Approve,
            Self::Deny => VoteKind::Deny,
        }
    }
}

/// A vote to be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ballot {
    /// What you say.
    pub vote: VoteName,
    /// Why, for evidence and for whoever asks: at most 2,000 bytes.
    #[schema(
        min_length = 1,
        max_length = 2000,
        pattern = r"\S",
        example = "checked with Ana, ticket 42"
    )]
    pub reason: String,
}

/// People who must approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NeedShape {
    /// The group's name in the policy.
    pub group: String,
    /// How many distinct people of it.
    pub count: u16,
    /// Until when (RFC 3339).
    #[schema(format = DateTime)]
    pub until: String,
    /// Who of them approved.
    pub approved_by: Vec<String>,
}

impl NeedShape {
    fn of(tally: Tally, request: &Request) -> Self {
        let within = i64::try_from(tally.need.within_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let until = request.requested_at.0.saturating_add(within);
        Self {
            group: tally.need.group,
            count: tally.need.count,
            until: time(Micros(until.min(request.expires_at.0))),
            approved_by: tally.approved_by,
        }
    }
}

/// A held statement, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// How it stands.
    pub standing: StandingName,
    /// When it was asked for (RFC 3339).
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// Until when it may be answered and used (RFC 3339).
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// Whose statement it is.
    pub requester: String,
    /// `human`, `agent` or `service`.
    pub requester_kind: String,
    /// The person behind an agent.
    pub on_behalf_of: Option<String>,
    /// The target's name.
    pub target: String,
    /// What the client calls itself; anything can stand here.
    pub application: String,
    /// The statement's text, as evidence has it: what touches a classed column is a digest. Lists show its beginning.
    pub sql: Option<String>,
    /// Whether there is more of the text.
    pub sql_is_cut: bool,
    /// The rules that held it.
    pub rules: Vec<String>,
    /// Why, in the rules' words.
    pub reason: Option<String>,
    /// Who must approve: every one of them.
    pub needs: Vec<NeedShape>,
    /// Why you may not vote on it; absent where you may.
    pub objection: Option<String>,
}

impl Summary {
    /// As this caller sees it in a list.
    pub(super) fn of((case, standing): &(Arc<Case>, Standing), caller: &Principal) -> Self {
        let mut summary = Self::whole((case, standing), caller);
        if let Some(sql) = &mut summary.sql
            && let Some((end, _)) = sql.char_indices().nth(LISTED_CHARS_MAX)
        {
            sql.truncate(end);
            summary.sql_is_cut = true;
        }
        summary
    }

    fn whole((case, standing): (&Case, &Standing), caller: &Principal) -> Self {
        let request = &case.request;
        let tallies = case.tallies().into_iter();
        Self {
            id: request.id.to_string(),
            standing: StandingName::of(standing),
            requested_at: time(request.requested_at),
            expires_at: time(request.expires_at),
            requester: request.requester.clone(),
            requester_kind: request.requester_kind.clone(),
            on_behalf_of: request.on_behalf_of.clone(),
            target: request.target.clone(),
            application: request.application.clone(),
            sql: request.sql.clone(),
            sql_is_cut: false,
            rules: request.rules.clone(),
            reason: request.reason.clone(),
            needs: tallies.map(|tally| NeedShape::of(tally, request)).collect(),
            objection: objection((case, standing), caller).map(|refused| refused.to_string()),
        }
    }
}

/// Why the caller's vote would not be taken, before any is given. [`crate::approvals::Approvals::vote`] decides; this tells beforehand.
fn objection((case, standing): (&Case, &Standing), caller: &Principal) -> Option<VoteRefused> {
    if caller.kind != PrincipalKind::Human || caller.on_behalf_of.is_some() {
        return Some(VoteRefused::NoPerson);
    }
    if standing.is_over() {
        return Some(VoteRefused::Over(standing.clone()));
    }
    let groups: Vec<String> = caller.groups.iter().map(ToString::to_string).collect();
    if let Some(objection) = case.objection(&caller.id, &groups) {
        return Some(VoteRefused::Objection(objection));
    }
    let mut votes = case.votes.iter();
    let before = votes.find(|vote| *vote.person == *caller.id);
    before.map(|vote| VoteRefused::Before(Box::new(vote.clone())))
}

/// The held statements that a caller may see, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct List {
    /// Those of this page.
    pub approvals: Vec<Summary>,
    /// Where the next page begins (`before`); absent where there is none.
    pub next: Option<String>,
}

/// One statement of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatementShape {
    /// `select`, `update`, ...
    pub kind: String,
    /// `schema.relation`, sorted.
    pub relations: Vec<String>,
    /// `schema.relation.column`, sorted.
    pub columns: Vec<String>,
}

impl StatementShape {
    fn of(statement: &HeldStatement) -> Self {
        Self {
            kind: statement.kind.clone(),
            relations: statement.relations.clone(),
            columns: statement.columns.clone(),
        }
    }
}

/// What one person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VoteShape {
    /// Who.
    pub person: String,
    /// What they say.
    pub vote: VoteName,
    /// Why.
    pub reason: String,
    /// When (RFC 3339).
    #[schema(format = DateTime)]
    pub at: String,
}

impl VoteShape {
    fn of(vote: &Vote) -> Self {
        Self {
            person: vote.person.clone(),
            vote: VoteName::of(vote.vote),
            reason: vote.reason.clone(),
            at: time(vote.at),
        }
    }
}

/// How many rows a statement changes or gives, as far as that could be learned before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RowsShape {
    /// So many; absent where nobody could say.
    pub count: Option<u64>,
    /// Why there is no number.
    pub why_not: Option<String>,
}

impl RowsShape {
    fn of(rows: &Rows) -> Self {
        match rows {
            Rows::Count(count) => Self {
                count: Some(*count),
                why_not: None,
            },
            Rows::Unknown { why } => Self {
                count: None,
                why_not: Some(why.clone()),
            },
        }
    }

    /// In words: `12`, or `none: it calls f()`.
    #[must_use]
    pub fn told(&self) -> String {
        match (self.count, &self.why_not) {
            (Some(count), _) => count.to_string(),
            (None, Some(why)) => format!("none: {why}"),
            (None, None) => "none".to_owned(),
        }
    }
}

/// What a statement did in a transaction that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRunShape {
    /// The rows that it changed.
    pub rows: RowsShape,
    /// Who asked for it.
    pub person: String,
    /// When it was over (RFC 3339).
    #[schema(format = DateTime)]
    pub at: String,
}

impl DryRunShape {
    fn of(dry_run: &DryRun) -> Self {
        Self {
            rows: RowsShape::of(&dry_run.rows),
            person: dry_run.person.clone(),
            at: time(dry_run.at),
        }
    }
}

/// How often other statements of the same shape, literals left out, were asked for on this target, and what became of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeforeShape {
    /// How far back this goes, as far as their documents are still in the store.
    pub days: u64,
    /// All of them.
    pub asked: u64,
    /// They ran.
    pub used: u64,
    /// Somebody said no.
    pub refused: u64,
    /// Nobody answered, or used it, in time.
    pub expired: u64,
    /// Whoever asked took them back.
    pub withdrawn: u64,
    /// Waiting, or approved and not used yet.
    pub open: u64,
}

impl BeforeShape {
    fn of(before: Before) -> Self {
        Self {
            days: HISTORY.as_secs() / (24 * 3_600),
            asked: before.asked(),
            used: before.used,
            refused: before.refused,
            expired: before.expired,
            withdrawn: before.withdrawn,
            open: before.open,
        }
    }

    /// In words: `3 times in 7 days: 2 used, 1 refused`.
    #[must_use]
    pub fn told(&self) -> String {
        let parts = [
            (self.used, "used"),
            (self.refused, "refused"),
            (self.expired, "expired"),
            (self.withdrawn, "withdrawn"),
            (self.open, "open"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        match parts.as_slice() {
            [] => format!("never before in {} days", self.days),
            parts => format!(
                "{} before in {} days: {}",
                self.asked,
                self.days,
                parts.join(", ")
            ),
        }
    }
}

/// What helps whoever is asked, and is not for whoever asks: they may not learn from it what they may not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sight {
    /// The rows that the server's planner expects it to change, or to give.
    pub estimate: Option<RowsShape>,
    /// What a dry run did, where somebody asked for one.
    pub dry_run: Option<DryRunShape>,
    /// What became of statements of the same shape.
    pub before: Option<BeforeShape>,
}

/// Who said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refusal {
    /// Who; absent where only the end is known.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// A held statement, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Approval {
    /// What lists show, with the text whole.
    #[serde(flatten)]
    pub summary: Summary,
    /// The gateway that asks.
    pub gateway: String,
    /// The session that asked.
    pub session_id: String,
    /// The role that the statement runs as.
    pub role: String,
    /// The schemas that its names are looked up in.
    pub search_path: Vec<String>,
    /// The settings that its session began with, `name = value`: what a text means hangs on some.
    pub settings: Vec<String>,
    /// Whether the session may have changed settings since.
    pub settings_changed: bool,
    /// The bound values as text, `null` for NULL; absent where there are none, or they must not be shown.
    pub parameters: Option<Vec<Option<String>>>,
    /// The text's statements.
    pub statements: Vec<StatementShape>,
    /// What helps whoever is asked; absent for whoever asks, and for whom it was asked.
    pub sight: Option<Sight>,
    /// The controls of the rules that held it.
    pub controls: Vec<String>,
    /// The bundle that decided.
    pub bundle_digest: String,
    /// Keyed digest of the exact text.
    pub sql_digest: String,
    /// Keyed digest of the bound values.
    pub parameters_digest: Option<String>,
    /// Keyed digest of all that an approval is bound to.
    pub binding_digest: String,
    /// What people said, by time. Not all of it need count: `needs` tells who does.
    pub votes: Vec<VoteShape>,
    /// Who said no, where somebody did.
    pub refused: Option<Refusal>,
    /// When it ended (RFC 3339), where it has.
    #[schema(format = DateTime)]
    pub ended_at: Option<String>,
}

impl Approval {
    /// The session's settings, in one line; empty where there is nothing to say.
    #[must_use]
    pub fn settings_told(&self) -> String {
        let changed = self
            .settings_changed
            .then(|| "the session may have changed settings since".to_owned());
        let told: Vec<String> = self.settings.iter().cloned().chain(changed).collect();
        told.join(", ")
    }

    /// As this caller sees it; `before`: what became of its shape.
    pub(super) fn of(
        (case, standing): &(Arc<Case>, Standing),
        caller: &Principal,
        before: Option<Before>,
    ) -> Self {
        let request = Arc::clone(&case.request);
        let is_for_caller = case.is_of(&caller.id)
            || caller
                .on_behalf_of
                .as_ref()
                .is_some_and(|person| case.is_of(&person.id));
        let mut votes: Vec<&Vote> = case.votes.iter().collect();
        votes.sort_by_key(|vote| (vote.at, &vote.person));
        Self {
            summary: Summary::whole((case, standing), caller),
            gateway: request.gateway.clone(),
            session_id: request.session_id.clone(),
            role: request.role.clone(),
            search_path: request.search_path.clone(),
            settings: request.settings.clone(),
            settings_changed: request.settings_changed,
            parameters: request.parameters.clone(),
            statements: request.statements.iter().map(StatementShape::of).collect(),
            sight: (!is_for_caller).then(|| Sight {
                estimate: request.estimate.as_ref().map(RowsShape::of),
                dry_run: case.dry_run.as_ref().map(DryRunShape::of),
                before: before.map(BeforeShape::of),
            }),
            controls: request.controls.clone(),
            bundle_digest: request.bundle_digest.clone(),
            sql_digest: request.sql_digest.clone(),
            parameters_digest: request.parameters_digest.clone(),
            binding_digest: request.binding_digest.clone(),
            votes: votes.into_iter().map(VoteShape::of).collect(),
            refused: match standing {
                Standing::Refused { by, reason } => Some(Refusal {
                    by: by.clone(),
                    reason: reason.clone(),
                }),
                Standing::Waiting
                | Standing::Approved
                | Standing::Expired
                | Standing::Withdrawn
                | Standing::Used => None,
            },
            ended_at: case.end.as_ref().map(|end| time(end.at)),
        }
    }
}

/// RFC 3339, in UTC, of a time of this gateway's.
pub(super) fn moment(at: SystemTime) -> String {
    time(micros(at))
}

/// RFC 3339, in UTC; what no calendar has is shown as the nearest that it has.
fn time(at: Micros) -> String {
    let beyond = if at.0 < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    };
    Timestamp::from_microsecond(at.0)
        .unwrap_or(beyond)
        .to_string()
}
