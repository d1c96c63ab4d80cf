//! Records: what the gateway logs. Plain data; values an attacker chooses are data, never markup.
//!
//! A record is appended to the write-ahead log before the thing it speaks of goes on ([`crate::Log::append`]).

use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01 00:00:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Micros(pub i64);

/// A log entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Record {
    /// A session opened or closed, or a login was refused.
    Session(SessionRecord),
    /// A statement was decided.
    Decision(DecisionRecord),
    /// A decided statement ended.
    End(EndRecord),
    /// The gateway itself changed.
    Change(ChangeRecord),
    /// Something became of a held statement.
    Approval(ApprovalRecord),
    /// Something of a statement was recorded beyond its row.
    Recording(RecordingRecord),
}

/// How decisions and ends begin in the log, which are nearly all of it.
const DECISION: &[u8] = b"{\"entry\":\"decision\",";
const END: &[u8] = b"{\"entry\":\"end\",";

impl Record {
    /// Reads a log entry. Where its kind stands first it is read straight away: a tagged value is otherwise kept in pieces until its
    /// tag is found, which costs several times as much.
    pub(crate) fn read(payload: &[u8]) -> serde_json::Result<Self> {
        if payload.starts_with(DECISION) {
            return serde_json::from_slice(payload).map(Self::Decision);
        }
        if payload.starts_with(END) {
            return serde_json::from_slice(payload).map(Self::End);
        }
        serde_json::from_slice(payload)
    }
}

/// What happened to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionEvent {
    /// It opened.
    Opened,
    /// It closed.
    Closed,
    /// A login was refused.
    Refused,
}

/// One row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// When.
    pub at: Micros,
    /// What happened.
    pub event: SessionEvent,
    /// 32 hex digits, random.
    pub session_id: String,
    /// The principal's id; absent when a login failed before one was known.
    pub principal: Option<String>,
    /// human, agent or service.
    pub principal_kind: Option<String>,
    /// The person behind an agent.
    pub on_behalf_of: Option<String>,
    /// Groups, exact bytes.
    pub groups: Vec<String>,
    /// The issuer's URL.
    pub issuer: Option<String>,
    /// The client's address.
    pub client_addr: Option<String>,
    /// `application_name` at start-up.
    pub application: Option<String>,
    /// Whether the client's connection is encrypted.
    pub tls: bool,
    /// The target's name.
    pub target: Option<String>,
    /// The database asked for.
    pub database: Option<String>,
    /// `token-as-password` and the like.
    pub authentication: Option<String>,
    /// Why a login was refused or a session closed early; one line.
    pub reason: Option<String>,
    /// The SQLSTATE the client saw, when refused.
    pub sqlstate: Option<String>,
    /// The database role that the session starts in; absent where a login failed before one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// The `reason` of a statement of the gateway's own, by which it asks the planner for a rule. No client's statement that is allowed has it.
pub const ASKS_FOR_RULE: &str =
    "the planner is asked how many rows it expects, for a rule that asks";

/// Which step of the protocol a decision is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// A statement of a simple Query.
    Simple,
    /// A Parse: the text is prepared, nothing is executed.
    Prepare,
    /// An Execute of a bound portal.
    Execute,
    /// A Parse and the one Execute of what it prepared, which came together and were decided as one.
    PrepareExecute,
}

/// The decision half of one row of `statements` (and of its `maskings`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// When it was decided.
    pub decided_at: Micros,
    /// Unique: `{session_id}-{seq}`.
    pub statement_id: String,
    /// The session.
    pub session_id: String,
    /// The statement's number in its session, from 1.
    pub seq: u64,
    /// Simple, prepare, execute, or prepare-execute.
    pub phase: Phase,
    /// The principal's id.
    pub principal: String,
    /// The person behind an agent.
    pub on_behalf_of: Option<String>,
    /// The target's name.
    pub target: String,
    /// The text, literals that touch classed columns replaced by keyed digests; absent where only a digest may be kept.
    pub sql: Option<String>,
    /// Keyed digest (HMAC-SHA256, hex) of the exact text.
    pub sql_digest: String,
    /// The shape's fingerprint, where the text could be parsed.
    pub fingerprint: Option<String>,
    /// `select`, `insert`, ...; absent where the text could not be parsed.
    pub kind: Option<String>,
    /// `schema.relation`, sorted.
    pub relations: Vec<String>,
    /// `schema.relation.column`, sorted.
    pub columns: Vec<String>,
    /// allow, hold or deny.
    pub verdict: String,
    /// Rules that determined it.
    pub rules: Vec<String>,
    /// Why it was refused; `; ` between reasons.
    pub reason: Option<String>,
    /// Control ids such as `nist-800-53:AC-3(2)`.
    pub controls: Vec<String>,
    /// The bundle that decided.
    pub bundle_digest: String,
    /// Keyed digest (HMAC-SHA256, hex) of the facts with the catalog version; absent where there are none.
    pub facts_digest: Option<String>,
    /// HMAC-SHA256 of the bound values; absent without parameters.
    pub parameters_digest: Option<String>,
    /// Masks on the result.
    pub maskings: Vec<MaskingRecord>,
    /// What it would have been, had observing rules been enforced too: allow, hold or deny. Absent where none spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_verdict: Option<String>,
    /// The rules that would have determined that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_rules: Option<Vec<String>>,
    /// Masked columns, `schema.relation.column`, that it looked values up in. Absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<Vec<String>>,
    /// The approval that it was held for. Absent where no rule held it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

/// One masked output column of a decided statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskingRecord {
    /// Index of the output column, from 0.
    pub output_index: u32,
    /// Its name.
    pub output_column: String,
    /// `schema.relation.column`.
    pub source_columns: Vec<String>,
    /// The class.
    pub class: String,
    /// The transform, in the policy language's words.
    pub transform: String,
    /// The rule.
    pub rule: String,
    /// The controls.
    pub controls: Vec<String>,
    /// The id of the key that the transform worked with, where it works with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
}

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The server completed it.
    Completed,
    /// The server reported an error.
    Failed,
    /// Policy refused it.
    Denied,
    /// An earlier error in the same pipeline made the server skip it.
    Skipped,
    /// A limit, or a cross-check that failed, cut its result.
    Cut,
    /// The session ended before its end was seen.
    Unknown,
    /// It was held, and whoever sent it took it back before it ran.
    Withdrawn,
}

/// The end half of one row of `statements`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// When it ended.
    pub ended_at: Micros,
    /// The decided statement.
    pub statement_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Rows sent to the client, or affected.
    pub rows: u64,
    /// Bytes of rows sent to the client.
    pub bytes: u64,
    /// From decision to end, microseconds.
    pub duration_us: u64,
    /// The server's or our SQLSTATE, when it failed.
    pub sqlstate: Option<String>,
    /// Values masked, by output column index.
    pub values_masked: Vec<(u32, u64)>,
    /// BLAKE3 of the result as the client received it, lower-case hex. Absent where no rule records it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_digest: Option<String>,
}

/// One row of `changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeRecord {
    /// When.
    pub at: Micros,
    /// Who or what made it: `gateway`, a principal, an operator.
    pub actor: String,
    /// `start`, `stop`, `bundle-loaded`, `bundle-refused`, `bundle-expired`, `break-glass`, `catalog-loaded`, `config`, `audit-stopped`, `audit-resumed`.
    pub what: String,
    /// State before, one line.
    pub before: Option<String>,
    /// State after, one line.
    pub after: Option<String>,
    /// A digest of what changed (bundle digest, catalog version).
    pub digest: Option<String>,
}

/// What happened to an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApprovalEvent {
    /// A statement was held: people are asked.
    Requested,
    /// Somebody had it tried, in a transaction that was rolled back.
    DryRun,
    /// Somebody approved.
    Approved,
    /// Somebody refused, which ends it.
    Refused,
    /// The statement ran by it; it is spent.
    Used,
    /// Its time was over.
    Expired,
    /// Whoever asked took it back, or went away.
    Withdrawn,
}

impl ApprovalEvent {
    /// The name in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::DryRun => "dry-run",
            Self::Approved => "approved",
            Self::Refused => "refused",
            Self::Used => "used",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// One row of `approvals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// When.
    pub at: Micros,
    /// What happened.
    pub event: ApprovalEvent,
    /// The approval's id.
    pub approval_id: String,
    /// Who did it: the requester, a voter, or `gateway` for what time did.
    pub actor: String,
    /// The actor's groups; empty for `gateway`.
    pub actor_groups: Vec<String>,
    /// The voter's words.
    pub reason: Option<String>,
    /// Whose statement it is.
    pub requester: String,
    /// The person behind an agent.
    pub on_behalf_of: Option<String>,
    /// The target's name.
    pub target: String,
    /// The session that asked.
    pub session_id: String,
    /// The statement that ran by it, where one did.
    pub statement_id: Option<String>,
    /// The text, as `statements.sql` has it.
    pub sql: Option<String>,
    /// Keyed digest of the exact text.
    pub sql_digest: String,
    /// Keyed digest of the bound values; absent without any.
    pub parameters_digest: Option<String>,
    /// Digest of all that the approval is bound to.
    pub binding_digest: String,
    /// The bundle whose rule held it.
    pub bundle_digest: String,
    /// The rules that held it.
    pub rules: Vec<String>,
    /// Their controls.
    pub controls: Vec<String>,
    /// Who must approve, as the policy says it: `2 of dbas within 15 min`.
    pub needs: Vec<String>,
    /// When people were asked.
    pub requested_at: Micros,
    /// Until when they may answer and it may be used.
    pub expires_at: Micros,
}

/// What was recorded of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingEvent {
    /// What it takes to decide it again, and to run it again.
    Asked,
    /// A part of its result.
    Answered,
    /// A catalog that statements were analysed by.
    Catalog,
}

impl RecordingEvent {
    /// The name in evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Catalog => "catalog",
        }
    }
}

/// One row of `recordings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingRecord {
    /// When it was decided (asked), or ended (answered).
    pub at: Micros,
    /// What was recorded.
    pub event: RecordingEvent,
    /// The statement; empty for a catalog.
    pub statement_id: String,
    /// Its session; empty for a catalog.
    pub session_id: String,
    /// The key of the object with a part of its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// SHA-256 of that object, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_sha256: Option<String>,
    /// Which part it is, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<u64>,
    /// How many parts the result has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<u64>,
    /// Messages in the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes of these messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// BLAKE3 over the messages of all parts, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_digest: Option<String>,
    /// Whether the result's end was seen, and all before it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_whole: Option<bool>,
    /// What it was asked with, encrypted, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The id of the key that encrypts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_key_id: Option<String>,
    /// SHA-256 of the catalog that it was analysed by, hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog_digest: Option<String>,
    /// Why it can't be replayed, where it can't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_replayable: Option<String>,
}

impl RecordingRecord {
    /// One that says nothing yet but whose it is.
    #[must_use]
    pub fn new(at: Micros, event: RecordingEvent, statement_id: &str, session_id: &str) -> Self {
        Self {
            at,
            event,
            statement_id: statement_id.to_owned(),
            session_id: session_id.to_owned(),
            result: None,
            result_sha256: None,
            part: None,
            parts: None,
            rows: None,
            bytes: None,
            result_digest: None,
            is_whole: None,
            input: None,
            input_key_id: None,
            catalog_digest: None,
            not_replayable: None,
        }
    }
}
