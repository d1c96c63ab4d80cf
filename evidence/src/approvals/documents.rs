//! The documents and their signed form.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use signed_note::{Note, VerifierList};

use crate::error::Error;
use crate::key::{PublicKey, SigningKey};
use crate::record::Micros;

const FORMAT: &str = "provost-approval-v1";

/// An approval's name: the milliseconds since 1970 at which it was asked for, in 12 hex digits, a hyphen, and 12 random ones. So names sort
/// by time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ApprovalId(String);

impl ApprovalId {
    /// A new one for a request of this time.
    ///
    /// # Errors
    /// [`Error::Randomness`].
    pub fn new(at: Micros) -> Result<Self, Error> {
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).map_err(|source| Error::Randomness { source })?;
        let random = u64::from_le_bytes(random) >> 16;
        Ok(Self(format!("{:012x}-{random:012x}", millis(at))))
    }

    /// The least name of a request of this time: what lists begin at.
    #[must_use]
    pub fn first_of(at: Micros) -> Self {
        Self(format!("{:012x}-{:012x}", millis(at), 0))
    }

    /// Reads a name; `None` when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (time, random) = text.split_once('-')?;
        let is_hex = |part: &str| {
            part.len() == 12
                && part
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (is_hex(time) && is_hex(random)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn millis(at: Micros) -> u64 {
    let millis = u64::try_from(at.0 / 1_000).unwrap_or_default();
    millis.min((1 << 48) - 1)
}

impl fmt::Display for ApprovalId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for ApprovalId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("not an approval's id")
    }
}

impl From<ApprovalId> for String {
    fn from(id: ApprovalId) -> Self {
        id.0
    }
}

/// People who must approve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// The group's name in the policy.
    pub group: String,
    /// The issuer's names of the group, exact bytes.
    pub members: Vec<String>,
    /// How many distinct people of it.
    pub count: u16,
    /// From the request, in milliseconds.
    pub within_ms: u64,
}

impl fmt::Display for Need {
    /// `2 of dbas within 15 min`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            count,
            within_ms,
            ..
        } = self;
        write!(formatter, "{count} of {group} within ")?;
        let seconds = Duration::from_millis(*within_ms).as_secs();
        match (seconds % 3_600, seconds % 60) {
            _ if !within_ms.is_multiple_of(1_000) => write!(formatter, "{within_ms} ms"),
            (0, _) if seconds > 0 => write!(formatter, "{} h", seconds / 3_600),
            (_, 0) if seconds > 0 => write!(formatter, "{} min", seconds / 60),
            _ => write!(formatter, "{seconds} s"),
        }
    }
}

/// One statement of the text that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldStatement {
    /// `select`, `update`, ...
    pub kind: String,
    /// The shape's fingerprint.
    pub fingerprint: String,
    /// `schema.relation`, sorted.
    pub relations: Vec<String>,
    /// `schema.relation.column`, sorted.
    pub columns: Vec<String>,
}

/// What people are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its name.
    pub id: ApprovalId,
    /// The gateway that asks.
    pub gateway: String,
    /// When.
    pub requested_at: Micros,
    /// Until when it may be answered and used.
    pub expires_at: Micros,
    /// Whose statement it is.
    pub requester: String,
    /// human, agent or service.
    pub requester_kind: String,
    /// The person behind an agent.
    pub on_behalf_of: Option<String>,
    /// The session that asked.
    pub session_id: String,
    /// The client's `application_name`; attacker-chosen.
    pub application: String,
    /// The target's name.
    pub target: String,
    /// The role that the statement runs as.
    pub role: String,
    /// The schemas that its names are looked up in.
    pub search_path: Vec<String>,
    /// The text, as evidence has it: what is compared with or assigned to a classed column is a keyed digest.
    pub sql: Option<String>,
    /// Whether that is the exact text: nothing of it was replaced, or cut.
    #[serde(default)]
    pub sql_is_exact: bool,
    /// Keyed digest of the exact text.
    pub sql_digest: String,
    /// The bound values as text, `null` for NULL; `None` where there are none, or they must not be shown.
    pub parameters: Option<Vec<Option<String>>>,
    /// Keyed digest of the bound values.
    pub parameters_digest: Option<String>,
    /// The settings that the session began with, `name = value`.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Whether the session may have changed settings since.
    #[serde(default)]
    pub settings_changed: bool,
    /// The text's statements.
    pub statements: Vec<HeldStatement>,
    /// The rules that held it.
    pub rules: Vec<String>,
    /// Why, in the rules' words.
    pub reason: Option<String>,
    /// How many rows the server's planner expects it to change or to give.
    #[serde(default)]
    pub estimate: Option<Rows>,
    /// The controls of those rules.
    pub controls: Vec<String>,
    /// The bundle.
    pub bundle_digest: String,
    /// Keyed digest of all that it is bound to.
    pub binding_digest: String,
    /// Who must approve: every one of them.
    pub needs: Vec<Need>,
}

impl Request {
    /// A request for these people's approval, which says nothing yet of whose statement it is, or what it does. It expires when the first
    /// of its needs does.
    #[must_use]
    pub fn new(id: ApprovalId, gateway: &str, requested_at: Micros, needs: Vec<Need>) -> Self {
        let within_ms = needs.iter().map(|need| need.within_ms).min().unwrap_or(0);
        let within = i64::try_from(within_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self {
            id,
            gateway: gateway.to_owned(),
            requested_at,
            expires_at: Micros(requested_at.0.saturating_add(within)),
            requester: String::new(),
            requester_kind: String::new(),
            on_behalf_of: None,
            session_id: String::new(),
            application: String::new(),
            target: String::new(),
            role: String::new(),
            search_path: Vec::new(),
            sql: None,
            sql_is_exact: false,
            sql_digest: String::new(),
            parameters: None,
            parameters_digest: None,
            settings: Vec::new(),
            settings_changed: false,
            statements: Vec::new(),
            rules: Vec::new(),
            reason: None,
            estimate: None,
            controls: Vec::new(),
            bundle_digest: String::new(),
            binding_digest: String::new(),
            needs,
        }
    }

    /// Whose statement it is, in words: `bot (for ann)`.
    #[must_use]
    pub fn who(&self) -> String {
        acting_for(&self.requester, self.on_behalf_of.as_deref())
    }

    /// Who must approve, in words: `1 of dbas within 15 min and 1 of owners within 1 h`.
    #[must_use]
    pub fn needs_told(&self) -> String {
        let needs: Vec<String> = self.needs.iter().map(ToString::to_string).collect();
        needs.join(" and ")
    }
}

/// A principal with the person behind it, in words: `bot (for ann)`.
#[must_use]
pub fn acting_for(principal: &str, person: Option<&str>) -> String {
    match person {
        Some(person) => format!("{principal} (for {person})"),
        None => principal.to_owned(),
    }
}

/// How many rows a statement changes or gives, as far as that could be learned before it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rows {
    /// So many.
    Count(u64),
    /// Nobody could say.
    Unknown {
        /// Why.
        why: String,
    },
}

impl Rows {
    /// The number, where there is one.
    #[must_use]
    pub const fn count(&self) -> Option<u64> {
        match self {
            Self::Count(count) => Some(*count),
            Self::Unknown { .. } => None,
        }
    }
}

/// What a held statement did in a transaction that was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DryRun {
    /// Of which request.
    pub id: ApprovalId,
    /// What the request is bound to: it was this very thing.
    pub binding_digest: String,
    /// The gateway that ran it.
    pub gateway: String,
    /// When it was over.
    pub at: Micros,
    /// The person who asked for it.
    pub person: String,
    /// The rows that it changed.
    pub rows: Rows,
}

/// What a person says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoteKind {
    /// It may run.
    Approve,
    /// It must not, whoever else says otherwise.
    Deny,
}

/// What one person said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Of which request.
    pub id: ApprovalId,
    /// What the request is bound to: a vote counts for no other.
    pub binding_digest: String,
    /// The gateway that took it, and checked who it is.
    pub gateway: String,
    /// When.
    pub at: Micros,
    /// The person's id.
    pub person: String,
    /// Their groups, exact bytes.
    pub groups: Vec<String>,
    /// What they say.
    pub vote: VoteKind,
    /// Why.
    pub reason: String,
    /// The rows that were shown when it was said: those of the dry run, else the estimate.
    #[serde(default)]
    pub rows_shown: Option<u64>,
}

/// How an approval ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndKind {
    /// The statement goes on by it.
    Used,
    /// Somebody said no.
    Refused,
    /// Its time was over.
    Expired,
    /// Whoever asked took it back.
    Withdrawn,
}

/// An approval's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    /// Of which request.
    pub id: ApprovalId,
    /// The gateway that ended it.
    pub gateway: String,
    /// When.
    pub at: Micros,
    /// How.
    pub end: EndKind,
    /// Makes equal ends of two sessions differ, so that one writer knows that it was the first.
    pub writer: String,
}

/// One of the four.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// A request.
    Request(Box<Request>),
    /// A dry run.
    DryRun(DryRun),
    /// A vote.
    Vote(Vote),
    /// An end.
    End(End),
}

impl Document {
    /// The request that it is of.
    #[must_use]
    pub const fn id(&self) -> &ApprovalId {
        match self {
            Self::Request(request) => &request.id,
            Self::DryRun(dry_run) => &dry_run.id,
            Self::Vote(vote) => &vote.id,
            Self::End(end) => &end.id,
        }
    }

    fn gateway(&self) -> &str {
        match self {
            Self::Request(request) => &request.gateway,
            Self::DryRun(dry_run) => &dry_run.gateway,
            Self::Vote(vote) => &vote.gateway,
            Self::End(end) => &end.gateway,
        }
    }

    /// Where it is in the store.
    pub(super) fn key(&self) -> String {
        let folder = format!("{}{}", super::PREFIX, self.id());
        match self {
            Self::Request(_) => format!("{folder}/request"),
            Self::DryRun(_) => format!("{folder}/dry-run"),
            Self::Vote(vote) => format!(
                "{folder}/vote/{}",
                crate::ledger::sha256(vote.person.as_bytes())
            ),
            Self::End(_) => format!("{folder}/end"),
        }
    }

    /// Its signed form.
    pub(super) fn sign(&self, key: &SigningKey) -> Result<Vec<u8>, Error> {
        let (kind, json) = match self {
            Self::Request(request) => ("request", serde_json::to_string(request)),
            Self::DryRun(dry_run) => ("dry-run", serde_json::to_string(dry_run)),
            Self::Vote(vote) => ("vote", serde_json::to_string(vote)),
            Self::End(end) => ("end", serde_json::to_string(end)),
        };
        let json = json.map_err(|source| Error::Encode { source })?;
        let unsigned = || Error::Approval { key: self.key() };
        let text = format!("{FORMAT} {kind}\n{json}\n");
        let mut note = Note::new(text.as_bytes(), &[]).map_err(|_| unsigned())?;
        note.add_sigs(&[&key.signer(self.gateway())])
            .map_err(|_| unsigned())?;
        Ok(note.to_bytes())
    }

    /// Reads one, which must be at this key and signed by the gateway that it names, with one of these keys. `None` where it is not.
    pub(super) fn open(key: &str, bytes: &[u8], trusted: &[PublicKey]) -> Option<Self> {
        let note = Note::from_bytes(bytes).ok()?;
        let text = std::str::from_utf8(note.text()).ok()?;
        let (head, json) = text.split_once('\n')?;
        let json = json.strip_suffix('\n')?;
        let document = match head.strip_prefix(FORMAT)?.strip_prefix(' ')? {
            "request" => Self::Request(Box::new(read(json)?)),
            "dry-run" => Self::DryRun(read(json)?),
            "vote" => Self::Vote(read(json)?),
            "end" => Self::End(read(json)?),
            _ => return None,
        };
        let is_signed = trusted
            .iter()
            .filter(|public| public.gateway() == document.gateway())
            .any(|public| is_signed(&note, public));
        // Bytes that don't round-trip are places to hide something in.
        (is_signed && note.to_bytes() == bytes && document.key() == key).then_some(document)
    }
}

fn read<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

fn is_signed(note: &Note, public: &PublicKey) -> bool {
    let Ok(verifier) = public.verifier() else {
        return false;
    };
    note.verify(&VerifierList::new(vec![Box::new(verifier)]))
        .is_ok_and(|(verified, others)| verified.len() == 1 && others.is_empty())
}
