//! What happened, in evidence's words: sessions, decisions and refusals to [`provost_evidence::record`] records.
//!
//! Pure but for the keyed digests. It must never let a raw value of a classed column into a record (ruling 11): literals of a
//! statement that touches one, or of which that can't be ruled out, are replaced by keyed digests (`redact`).

pub(crate) mod console;
mod digest;
mod redact;
#[cfg(test)]
mod tests;
mod undated;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::SystemTime};

use provost_engine::{
    facts::{Access, Column, Facts, Kind, Lineage, Object},
    graph::Policy,
    principal::{Authentication, Principal, Session},
    sql::{Refusal, Statement, is_unbounded},
    verdict::{BundleDigest, Decision, OutputMask, Verdict},
};
use provost_evidence::draft::{SessionDraft, SessionPart};
use provost_evidence::record::{
    ChangeRecord, DecisionRecord, MaskingRecord, Micros, Phase, Record, SessionEvent, SessionRecord,
};

use crate::{judge::StatementSeq, protocol::replication::Replication};

pub use digest::{EvidenceKey, KeyTooShort};
pub(crate) use redact::{is_harmless, reason as reason_of_refusal};
pub(crate) use undated::Pattern;
pub use undated::Undated;

/// The longest attacker-chosen text of a start-up message that a record keeps, in bytes; the rest is cut.
const STARTUP_TEXT_BYTES_MAX: usize = 256;

/// A session's random name: 32 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// A new one.
    ///
    /// # Errors
    /// [`getrandom::Error`] when the operating system gives no randomness: then there is no session.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(hex(&bytes)))
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of a statement of this session.
    #[must_use]
    pub fn statement(&self, seq: StatementSeq) -> String {
        format!("{}-{}", self.0, seq.0)
    }
}

/// What is known of a client before its login succeeds.
#[derive(Debug, Clone, Copy)]
pub struct Client<'a> {
    /// Its address; absent over a Unix socket.
    pub address: Option<IpAddr>,
    /// `application_name`; attacker-chosen.
    pub application: Option<&'a str>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// The target, where the database asked for is one.
    pub target: Option<&'a str>,
    /// The database asked for; attacker-chosen.
    pub database: Option<&'a str>,
}

/// What every record of one statement has in common.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// When it was decided.
    pub at: SystemTime,
    /// The session's id.
    pub session_id: &'a SessionId,
    /// The session.
    pub session: &'a Session,
    /// The statement's number in the session.
    pub seq: StatementSeq,
    /// Simple, prepare or execute.
    pub phase: Phase,
    /// The whole text that came, of which the statement is a part.
    pub text: &'a [u8],
    /// The bundle that decided.
    pub bundle: &'a BundleDigest,
    /// Digest of the bound values ([`EvidenceKey::parameters`]); `None` without parameters.
    pub parameters: Option<[u8; 32]>,
}

/// Which columns a mask rule's class holds: `Policy::is_classed`.
pub trait Classes {
    /// Whether the column's values must not be in evidence.
    fn is_classed(&self, column: &Column) -> bool;
}

impl<F: Fn(&Column) -> bool> Classes for F {
    fn is_classed(&self, column: &Column) -> bool {
        self(column)
    }
}

/// The rules that determined a decision, by name, and the controls that they satisfy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Determining {
    /// The rules.
    pub rules: Vec<Arc<str>>,
    /// Their controls.
    pub controls: Vec<Arc<str>>,
    /// The rules that would have determined it, had observing ones been enforced; `None` where none spoke.
    pub observed: Option<Vec<Arc<str>>>,
    /// The id of the key of `hash` and `tokenize`.
    pub mask_key_id: Option<Arc<str>>,
}

impl Determining {
    /// What determined a decision of `policy`.
    #[must_use]
    pub fn of(policy: &Policy, decision: &Decision, mask_key_id: Option<&str>) -> Self {
        Self {
            observed: decision
                .observed
                .as_ref()
                .map(|observed| policy.names(&observed.rules)),
            mask_key_id: mask_key_id.map(Arc::from),
            rules: policy.names(&decision.rules),
            controls: policy.controls(&decision.rules),
        }
    }
}

/// What every decision of a session has in common.
#[must_use]
pub fn session_draft(session_id: &SessionId, session: &Session) -> SessionDraft {
    SessionDraft::new(&SessionPart {
        session_id: session_id.0.clone(),
        principal: session.principal.id.to_string(),
        on_behalf_of: on_behalf_of(&session.principal),
        target: session.target.to_string(),
    })
}

/// A decided statement. `whole` is the text that it is a part of.
#[must_use]
pub fn decision(
    key: &EvidenceKey,
    (whole, bundle): (&[u8], &BundleDigest),
    statement: &Statement,
    decided: &Decision,
    determining: &Determining,
    classes: &impl Classes,
) -> Undated {
    let facts = &statement.facts;
    let touched = each_touched(facts);
    let is_harmless = redact::is_harmless_touching(facts, &touched, classes);
    let record = DecisionRecord {
        fingerprint: Some(facts.fingerprint.to_string()),
        kind: Some(facts.kind.name().to_owned()),
        relations: relations(facts),
        columns: each_once(touched.iter().copied().map(column_name).collect()),
        verdict: decided.verdict.name().to_owned(),
        rules: texts(&determining.rules),
        reason: reason(decided, facts),
        controls: texts(&determining.controls),
        maskings: decided
            .masks
            .iter()
            .map(|mask| masking(mask, facts, determining.mask_key_id.as_deref()))
            .collect(),
        observed_verdict: decided
            .observed
            .as_ref()
            .map(|observed| observed.verdict.name().to_owned()),
        observed_rules: determining.observed.as_deref().map(texts),
        probes: probes(decided),
        ..blank(bundle)
    };
    let pattern = Pattern::new(facts, is_harmless);
    Undated::new(record, pattern).reworded(&pattern.wording(key, whole, statement))
}

/// A text that could not be analysed: always a deny.
#[must_use]
pub fn refusal(key: &EvidenceKey, asked: &Asked<'_>, refused: &Refusal) -> DecisionRecord {
    DecisionRecord {
        sql: redact::unread(key, asked.text),
        sql_digest: hex(&key.sql(asked.text)),
        reason: Some(redact::reason(key, asked.text, refused)),
        ..base(asked)
    }
}

/// A text that was refused before analysis (its size, the session's state): always a deny; `reason` is ours, with no client text.
#[must_use]
pub fn refusal_unread(key: &EvidenceKey, asked: &Asked<'_>, reason: &str) -> DecisionRecord {
    DecisionRecord {
        sql_digest: hex(&key.sql(asked.text)),
        reason: Some(reason.to_owned()),
        ..base(asked)
    }
}

/// A login that failed; the principal where a genuine token was given.
#[must_use]
pub fn login_refused(
    at: SystemTime,
    session_id: &SessionId,
    client: &Client<'_>,
    principal: Option<&Principal>,
    reason: &str,
    sqlstate: &str,
) -> Record {
    Record::Session(SessionRecord {
        reason: Some(reason.to_owned()),
        sqlstate: Some(sqlstate.to_owned()),
        ..session_record(at, SessionEvent::Refused, session_id, client, principal)
    })
}

/// A session that opened; what its connection replicates, if it is one that does, stands in `reason`.
#[must_use]
pub fn session_opened(
    at: SystemTime,
    session_id: &SessionId,
    session: &Session,
    replication: Option<Replication>,
) -> Record {
    let reason = replication.map(|replication| format!("{} replication", replication.name()));
    Record::Session(SessionRecord {
        reason,
        ..of_session(at, SessionEvent::Opened, session_id, session)
    })
}

/// A session that closed; `reason` where it ended early (an expired token, a shutdown, a broken protocol).
#[must_use]
pub fn session_closed(
    at: SystemTime,
    session_id: &SessionId,
    session: &Session,
    reason: Option<&str>,
) -> Record {
    Record::Session(SessionRecord {
        reason: reason.map(str::to_owned),
        ..of_session(at, SessionEvent::Closed, session_id, session)
    })
}

/// A change of the gateway itself.
#[must_use]
pub fn change(at: SystemTime, what: &str, after: Option<&str>, digest: Option<&str>) -> Record {
    Record::Change(ChangeRecord {
        at: micros(at),
        actor: "gateway".to_owned(),
        what: what.to_owned(),
        before: None,
        after: after.map(str::to_owned),
        digest: digest.map(str::to_owned),
    })
}

/// A time in evidence's unit; times before 1970 are 0.
#[must_use]
pub fn micros(at: SystemTime) -> Micros {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A deny without facts: what the refusals fill in.
fn base(asked: &Asked<'_>) -> DecisionRecord {
    dated(asked, blank(asked.bundle))
}

/// The record with what is another each time.
#[must_use]
pub fn of_occasion(asked: &Asked<'_>, undated: Undated) -> DecisionRecord {
    dated(asked, undated.record)
}

fn dated(asked: &Asked<'_>, record: DecisionRecord) -> DecisionRecord {
    let principal = &asked.session.principal;
    DecisionRecord {
        decided_at: micros(asked.at),
        statement_id: asked.session_id.statement(asked.seq),
        session_id: asked.session_id.0.clone(),
        seq: asked.seq.0,
        phase: asked.phase,
        principal: principal.id.to_string(),
        on_behalf_of: on_behalf_of(principal),
        target: asked.session.target.to_string(),
        parameters_digest: asked.parameters.map(|digest| hex(&digest)),
        ..record
    }
}

/// A deny of nothing, by this bundle.
fn blank(bundle: &BundleDigest) -> DecisionRecord {
    DecisionRecord {
        decided_at: Micros(0),
        statement_id: String::new(),
        session_id: String::new(),
        seq: 0,
        phase: Phase::Simple,
        principal: String::new(),
        on_behalf_of: None,
        target: String::new(),
        sql: None,
        sql_digest: String::new(),
        fingerprint: None,
        kind: None,
        relations: Vec::new(),
        columns: Vec::new(),
        verdict: Verdict::Deny.name().to_owned(),
        rules: Vec::new(),
        reason: None,
        controls: Vec::new(),
        bundle_digest: bundle.0.to_string(),
        facts_digest: None,
        parameters_digest: None,
        maskings: Vec::new(),
        observed_verdict: None,
        observed_rules: None,
        probes: None,
        approval_id: None,
    }
}

fn of_session(
    at: SystemTime,
    event: SessionEvent,
    session_id: &SessionId,
    session: &Session,
) -> SessionRecord {
    let client = Client {
        address: session.client_address,
        application: Some(&session.application),
        tls: session.tls,
        target: Some(&session.target),
        database: Some(&session.database),
    };
    SessionRecord {
        authentication: Some(session.authentication.name().to_owned()),
        role: Some(session.role.to_string()),
        ..session_record(at, event, session_id, &client, Some(&session.principal))
    }
}

fn session_record(
    at: SystemTime,
    event: SessionEvent,
    session_id: &SessionId,
    client: &Client<'_>,
    principal: Option<&Principal>,
) -> SessionRecord {
    SessionRecord {
        at: micros(at),
        event,
        session_id: session_id.0.clone(),
        principal: principal.map(|principal| principal.id.to_string()),
        principal_kind: principal.map(|principal| principal.kind.name().to_owned()),
        on_behalf_of: principal.and_then(on_behalf_of),
        groups: principal.map_or_else(Vec::new, |principal| texts(&principal.groups)),
        issuer: principal.map(|principal| principal.issuer.to_string()),
        client_addr: client.address.map(|address| address.to_string()),
        application: client.application.map(startup_text),
        tls: client.tls,
        target: client.target.map(startup_text),
        database: client.database.map(startup_text),
        authentication: principal.map(|_| Authentication::TokenAsPassword.name().to_owned()),
        reason: None,
        sqlstate: None,
        role: None,
    }
}

fn startup_text(text: &str) -> String {
    cut(text, STARTUP_TEXT_BYTES_MAX).to_owned()
}

fn on_behalf_of(principal: &Principal) -> Option<String> {
    principal
        .on_behalf_of
        .as_ref()
        .map(|person| person.id.to_string())
}

pub(crate) fn texts(texts: &[std::sync::Arc<str>]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}

fn reason(decided: &Decision, facts: &Facts) -> Option<String> {
    let mut reasons: Vec<String> = decided
        .reasons
        .iter()
        .map(|reason| match &reason.rule {
            Some(rule) => format!("{rule}: {}", reason.message),
            None => reason.message.to_string(),
        })
        .collect();
    // What was let through unread says so, and why.
    if let Some(opaque) = facts.opaque.first().filter(|_| is_unbounded(facts)) {
        reasons.push(format!("may do anything: {}", opaque.reason));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The masked columns that a statement looks up.
fn probes(decided: &Decision) -> Option<Vec<String>> {
    let columns: BTreeSet<&Arc<str>> = decided.probes.iter().map(|probe| &probe.column).collect();
    (!columns.is_empty()).then(|| columns.into_iter().map(ToString::to_string).collect())
}

fn masking(mask: &OutputMask, facts: &Facts, key_id: Option<&str>) -> MaskingRecord {
    let name = facts
        .outputs
        .as_ref()
        .and_then(|outputs| outputs.get(mask.output))
        .map(|output| output.name.to_string());
    MaskingRecord {
        output_index: u32::try_from(mask.output).unwrap_or(u32::MAX),
        output_column: name.unwrap_or_default(),
        source_columns: texts(&mask.sources),
        class: mask.class.to_string(),
        transform: mask.transform.to_string(),
        rule: texts(&mask.rules).join(", "),
        controls: texts(&mask.controls),
        key_id: key_id
            .filter(|_| mask.transform.is_keyed())
            .map(str::to_owned),
    }
}

/// `schema.relation` of every relation touched, sorted, each once.
fn relations(facts: &Facts) -> Vec<String> {
    let names = facts
        .accesses
        .iter()
        .filter_map(|access| match &access.object {
            Object::Relation { schema, name, .. } => Some([&**schema, name].join(".")),
            Object::Function { .. }
            | Object::Setting(_)
            | Object::Channel(_)
            | Object::Other { .. }
            | Object::Nothing => None,
        });
    each_once(names.collect())
}

/// Every column that the facts speak of, however it is used; sorted, each once: most are spoken of several times.
fn each_touched(facts: &Facts) -> Vec<&Column> {
    let mut columns: Vec<&Column> = touched(facts).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

fn each_once(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

fn column_name(column: &Column) -> String {
    [&*column.schema, &*column.relation, &*column.name].join(".")
}

/// The same in no order, some several times.
fn touched(facts: &Facts) -> impl Iterator<Item = &Column> {
    let used = facts
        .accesses
        .iter()
        .flat_map(|access: &Access| access.columns.iter().map(|used| &*used.column));
    let put_out = facts
        .outputs
        .iter()
        .flatten()
        .flat_map(|output| sources(&output.lineage));
    let written = facts
        .writes
        .iter()
        .flat_map(|write| std::iter::once(&*write.column).chain(sources(&write.lineage)));
    used.chain(put_out).chain(written)
}

fn sources(lineage: &Lineage) -> impl Iterator<Item = &Column> {
    lineage.sources.iter().map(|source| &*source.column)
}

/// Whether facts of this kind name every column whose values the text's literals may be compared with or written to.
const fn names_its_columns(kind: Kind) -> bool {
    match kind {
        Kind::Select
        | Kind::Insert
        | Kind::Update
        | Kind::Delete
        | Kind::Merge
        | Kind::Truncate
        | Kind::Set
        | Kind::Show
        | Kind::Begin
        | Kind::Commit
        | Kind::Rollback
        | Kind::Savepoint
        | Kind::Lock
        | Kind::Release
        | Kind::Empty => true,
        Kind::CopyTo
        | Kind::CopyFrom
        | Kind::Ddl
        | Kind::Grant
        | Kind::Explain
        | Kind::Call
        | Kind::Listen
        | Kind::Maintain
        | Kind::Replication
        | Kind::Other => false,
    }
}

/// The longest start of `text` of at most `bytes_max` bytes that ends between characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let mut digits = vec![0; 2 * bytes.len()];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    // Digits are ASCII.
    String::from_utf8(digits).unwrap_or_default()
}
