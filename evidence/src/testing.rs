//! What this crate's tests share: records, a sealer over temporary folders, copies of folders. Only built for tests.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;

use crate::draft::{Draft, Ending, Entry, Occasion, SessionDraft, SessionPart, Wording, Wordless};
use crate::error::Error;
use crate::hex;
use crate::key::SigningKey;
use crate::log::{Durability, Log, LogOptions};
use crate::record::*;
use crate::seal::Sealer;
use crate::store::DurableFolder;

pub(crate) const GATEWAY: &str = "gateway-1";
/// 2026-11-20 00:00:00 UTC.
pub(crate) const MIDNIGHT: i64 = 1_795_132_800_000_000;
pub(crate) const SECOND: i64 = 1_000_000;

pub(crate) fn decision(number: u64, at: i64) -> Record {
    let masking = |index: u32| MaskingRecord {
        output_index: index,
        output_column: format!("column \"{index}\""),
        source_columns: vec!["shop.customers.ssn".to_owned()],
        class: "pii".to_owned(),
        transform: "redact".to_owned(),
        rule: "mask-pii".to_owned(),
        controls: vec!["nist-800-53:SI-19(4)".to_owned()],
        key_id: (index == 1).then(|| "masks-1".to_owned()),
    };
    Record::Decision(DecisionRecord {
        decided_at: Micros(at),
        statement_id: format!("session-{number}"),
        session_id: "session".to_owned(),
        seq: number,
        phase: Phase::Simple,
        principal: "ann".to_owned(),
        on_behalf_of: None,
        target: "shop".to_owned(),
        sql: Some(format!("SELECT {number} -- é\n\u{1}")),
        sql_digest: "00".to_owned(),
        fingerprint: None,
        kind: Some("select".to_owned()),
        relations: vec!["shop.customers".to_owned()],
        columns: vec![],
        verdict: "allow".to_owned(),
        rules: vec!["r".to_owned()],
        reason: None,
        controls: vec![
            "nist-800-53:AC-3(2)".to_owned(),
            "nist-800-53:AU-12".to_owned(),
        ],
        bundle_digest: "b".to_owned(),
        facts_digest: None,
        parameters_digest: None,
        maskings: (0..number as u32 % 3).map(masking).collect(),
        observed_verdict: (number % 2 == 1).then(|| "deny".to_owned()),
        observed_rules: (number % 2 == 1).then(|| vec!["watched".to_owned()]),
        probes: (number % 5 == 1).then(|| vec!["shop.customers.ssn".to_owned()]),
        approval_id: (number % 11 == 1).then(|| format!("0199-{number}")),
    })
}

pub(crate) fn end(number: u64, at: i64) -> Record {
    Record::End(EndRecord {
        result_digest: (number % 7 == 1).then(|| "ab".repeat(32)),
        ended_at: Micros(at),
        statement_id: format!("session-{number}"),
        outcome: Outcome::Completed,
        rows: number,
        bytes: 10,
        duration_us: 5,
        sqlstate: None,
        values_masked: (0..number as u32 % 3).map(|index| (index, 7)).collect(),
    })
}

pub(crate) fn session(at: i64) -> Record {
    Record::Session(SessionRecord {
        at: Micros(at),
        event: SessionEvent::Opened,
        session_id: "session".to_owned(),
        principal: Some("ann".to_owned()),
        principal_kind: None,
        on_behalf_of: None,
        groups: vec!["dba".to_owned(), "".to_owned()],
        issuer: None,
        client_addr: None,
        application: None,
        tls: true,
        target: None,
        database: None,
        authentication: None,
        reason: None,
        sqlstate: None,
        role: Some("app".to_owned()),
    })
}

pub(crate) fn change(at: i64) -> Record {
    Record::Change(ChangeRecord {
        at: Micros(at),
        actor: "gateway".to_owned(),
        what: "start".to_owned(),
        before: None,
        after: None,
        digest: None,
    })
}

pub(crate) fn approval(at: i64) -> Record {
    Record::Approval(ApprovalRecord {
        at: Micros(at),
        event: ApprovalEvent::Approved,
        approval_id: "0199-7".to_owned(),
        actor: "dora".to_owned(),
        actor_groups: vec!["dba".to_owned()],
        reason: Some("looked at it".to_owned()),
        requester: "bot".to_owned(),
        on_behalf_of: Some("ann".to_owned()),
        target: "shop".to_owned(),
        session_id: "session".to_owned(),
        statement_id: None,
        sql: Some("DELETE FROM orders".to_owned()),
        sql_digest: "00".repeat(32),
        parameters_digest: None,
        binding_digest: "11".repeat(32),
        bundle_digest: "22".repeat(32),
        rules: vec!["bulk-write".to_owned()],
        controls: vec!["nist-800-53:AC-3(2)".to_owned()],
        needs: vec!["1 of dbas within 15 min".to_owned()],
        requested_at: Micros(at - 1),
        expires_at: Micros(at + 900),
    })
}

pub(crate) fn recording(at: i64) -> Record {
    Record::Recording(RecordingRecord {
        part: Some(0),
        parts: Some(1),
        result: Some("results/date=2026-11-20/gateway-1-session-1-0.parquet".to_owned()),
        is_whole: Some(true),
        ..RecordingRecord::new(Micros(at), RecordingEvent::Answered, "session-1", "session")
    })
}

/// A decision and its end in parts, and the records that they are.
pub(crate) struct InParts {
    draft: Draft,
    session: SessionDraft,
    wording: Option<(Arc<Wordless>, Wording)>,
    decision: DecisionRecord,
    end: EndRecord,
}

impl InParts {
    /// The records of `number`, with a parameters digest in every other one, and another text than the draft's in every fifth.
    pub(crate) fn new(number: u64, at: i64) -> Self {
        let (Record::Decision(decision), Record::End(end)) =
            (decision(number, at), end(number, at))
        else {
            panic!("a decision and its end");
        };
        Self::of(decision, end, number)
    }

    /// With another text.
    pub(crate) fn with_sql(sql: String) -> Self {
        let Self { decision, end, .. } = Self::new(1, 1);
        let decision = DecisionRecord {
            sql: Some(sql),
            ..decision
        };
        Self::of(decision, end, 1)
    }

    fn of(decision: DecisionRecord, end: EndRecord, number: u64) -> Self {
        let decision = DecisionRecord {
            parameters_digest: number.is_multiple_of(2).then(|| "0f".repeat(32)),
            on_behalf_of: number.is_multiple_of(3).then(|| "eve".to_owned()),
            ..decision
        };
        let part = SessionPart {
            session_id: decision.session_id.clone(),
            principal: decision.principal.clone(),
            on_behalf_of: decision.on_behalf_of.clone(),
            target: decision.target.clone(),
        };
        let parts = Self {
            draft: Draft::new(&decision).unwrap(),
            session: SessionDraft::new(&part),
            wording: None,
            decision,
            end,
        };
        match number % 5 {
            2 => parts.reworded(Wording {
                sql: (number % 2 == 1).then(|| format!("SELECT 'é', {number}")),
                sql_digest: [number as u8; 32],
                facts_digest: (number % 3 == 1).then_some([7; 32]),
            }),
            _ => parts,
        }
    }

    /// Another execution.
    pub(crate) fn set_seq(&mut self, seq: u64) {
        self.decision.seq = seq;
        self.decision.statement_id = format!("{}-{seq}", self.decision.session_id);
        self.end
            .statement_id
            .clone_from(&self.decision.statement_id);
    }

    /// The same of another text.
    fn reworded(self, wording: Wording) -> Self {
        let draft = Arc::new(Wordless::of(self.decision.clone()).unwrap());
        self.of_draft(draft, wording)
    }

    /// Statements of so many texts that share one draft.
    pub(crate) fn alike(count: u8) -> Vec<Self> {
        let first = Self::new(1, 1);
        let draft = Arc::new(Wordless::of(first.decision).unwrap());
        let of_text = |number| {
            let mut one = Self::new(1, 1);
            one.set_seq(u64::from(number));
            let wording = Wording {
                sql: Some(format!("SELECT {number}")),
                sql_digest: [number; 32],
                facts_digest: Some([100 + number; 32]),
            };
            one.of_draft(Arc::clone(&draft), wording)
        };
        (0..count).map(of_text).collect()
    }

    fn of_draft(self, draft: Arc<Wordless>, wording: Wording) -> Self {
        let decision = DecisionRecord {
            sql: wording.sql.clone(),
            sql_digest: hex::HexDigest::from(wording.sql_digest).as_str().to_owned(),
            facts_digest: wording
                .facts_digest
                .map(|digest| hex::HexDigest::from(digest).as_str().to_owned()),
            ..self.decision
        };
        Self {
            wording: Some((draft, wording)),
            decision,
            ..self
        }
    }

    pub(crate) fn records(&self) -> [Record; 2] {
        [
            Record::Decision(self.decision.clone()),
            Record::End(self.end.clone()),
        ]
    }

    pub(crate) fn entries(&self) -> [Entry<'_>; 2] {
        let digest = |text: &Option<String>| text.as_deref().and_then(hex::parse);
        let (decision, end) = (&self.decision, &self.end);
        let occasion = Occasion {
            session: &self.session,
            seq: decision.seq,
            phase: decision.phase,
            decided_at: decision.decided_at,
            parameters_digest: digest(&decision.parameters_digest),
        };
        let decided = match &self.wording {
            None => Entry::Decision(&self.draft, occasion),
            Some((draft, wording)) => Entry::Reworded(draft, wording, occasion),
        };
        let ending = Ending {
            session: &self.session,
            seq: decision.seq,
            ended_at: end.ended_at,
            outcome: end.outcome,
            rows: end.rows,
            bytes: end.bytes,
            duration_us: end.duration_us,
            sqlstate: end.sqlstate.as_deref(),
            values_masked: &end.values_masked,
            result_digest: digest(&end.result_digest),
        };
        [decided, Entry::End(ending)]
    }

    pub(crate) async fn append(&self, log: &Log) {
        for entry in self.entries() {
            log.append_entry(Durability::Process, || entry)
                .await
                .unwrap();
        }
    }
}

/// The same key in every test.
pub(crate) fn key() -> SigningKey {
    SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n").unwrap()
}

/// The key of somebody who places holds, the same for a name each time.
pub(crate) fn hold_key(name: &str) -> crate::holds::HoldKey {
    crate::holds::HoldKey::from_pem(name, &key().to_pem().unwrap()).unwrap()
}

pub(crate) fn open_log(folder: &Path) -> Arc<Log> {
    Log::open(LogOptions::new(folder.join("log"), GATEWAY))
        .unwrap()
        .0
}

pub(crate) fn store(folder: &Path) -> Arc<dyn ObjectStore> {
    DurableFolder::open(&folder.join("store")).unwrap()
}

pub(crate) async fn append(log: &Log, records: impl IntoIterator<Item = Record>) {
    for record in records {
        log.append(&record, Durability::Process).await.unwrap();
    }
}

/// A sealer with known secrets.
pub(crate) async fn sealer(log: &Arc<Log>, store: Arc<dyn ObjectStore>) -> Result<Sealer, Error> {
    Sealer::open_with(Arc::clone(log), store, key(), Box::new(|| Ok([7; 32]))).await
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

/// A store with four seals over two starts and two days, some statements waiting, some entries unsealed.
pub(crate) async fn filled(folder: &Path) {
    let log = open_log(folder);
    let sealer_one = sealer(&log, store(folder)).await.unwrap();
    append(&log, [change(MIDNIGHT), session(MIDNIGHT)]).await;
    let pair = |n: u64| {
        [
            decision(n, MIDNIGHT + n as i64),
            end(n, MIDNIGHT + n as i64 + 5),
        ]
    };
    append(&log, (0..150).flat_map(pair)).await;
    sealer_one.seal_now(Micros(MIDNIGHT)).await.unwrap();
    append(&log, (150..300).flat_map(pair)).await;
    append(
        &log,
        [
            decision(900, MIDNIGHT - SECOND),
            end(901, MIDNIGHT - SECOND),
        ],
    )
    .await;
    sealer_one.seal_now(Micros(MIDNIGHT)).await.unwrap();
    append(&log, [decision(902, MIDNIGHT), session(MIDNIGHT)]).await;
    sealer_one
        .seal_now(Micros(MIDNIGHT + 59 * SECOND))
        .await
        .unwrap();
    drop((sealer_one, log));
    let log = open_log(folder);
    let sealer_two = sealer(&log, store(folder)).await.unwrap();
    append(&log, [decision(903, MIDNIGHT + SECOND), change(MIDNIGHT)]).await;
    sealer_two
        .seal_now(Micros(MIDNIGHT + 2 * SECOND))
        .await
        .unwrap();
    append(&log, [decision(904, MIDNIGHT + SECOND), change(MIDNIGHT)]).await;
}
