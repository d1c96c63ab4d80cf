//! Payloads to entries: resolves the numbers that entries refer to by. The definitions are those of the same segment; must never let an
//! entry speak of what its segment didn't define.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::draft::body;
use crate::entries::{Decided, Digest, DraftPlace, Ended, Item, SessionPlace, Vocabulary, Wording};
use crate::log::entry::{self, DecisionRead, DefinitionRead, EndRead, Read};
use crate::record::Record;

/// What one segment defined so far, by number.
#[derive(Debug, Default)]
pub(super) struct Defined {
    drafts: HashMap<u64, DraftPlace, RandomState>,
    sessions: HashMap<u64, SessionPlace, RandomState>,
}

impl Defined {
    /// Reads one payload; `None` when it isn't an entry of this version.
    pub(super) fn read(&mut self, payload: &[u8], vocabulary: &mut Vocabulary) -> Option<Item> {
        let (read, mut rest) = entry::read(payload)?;
        while let Some(definition) = rest.definition()? {
            match definition {
                DefinitionRead::Draft(number, bytes) => {
                    let place = vocabulary.define_draft(bytes, body::decode)?;
                    self.drafts.insert(number, place);
                }
                DefinitionRead::DraftJson(number, json) => {
                    let read = |json: &[u8]| serde_json::from_slice(json).ok();
                    let place = vocabulary.define_draft(json, read)?;
                    self.drafts.insert(number, place);
                }
                DefinitionRead::Session(number, body) => {
                    self.sessions
                        .insert(number, vocabulary.define_session(body)?);
                }
            }
        }
        match read {
            Read::Json(json) => whole(json, vocabulary),
            Read::Decision(read) => self.decision(read, vocabulary).map(Item::Decision),
            Read::End(read) => self.end(read, vocabulary).map(Item::End),
        }
    }

    fn decision(&self, read: DecisionRead<'_>, vocabulary: &mut Vocabulary) -> Option<Decided> {
        let session = *self.sessions.get(&read.session)?;
        let draft = *self.drafts.get(&read.draft)?;
        let wording = match read.wording {
            None => vocabulary.wording_of(draft)?,
            Some(read) => vocabulary.add_wording(Wording {
                sql: read.sql.map(str::to_owned),
                sql_digest: Digest::Bytes(read.sql_digest),
                facts_digest: read.facts_digest.map(Digest::Bytes),
            }),
        };
        Some(Decided {
            draft,
            wording,
            session,
            key: vocabulary.key_of(session, read.seq),
            seq: read.seq,
            phase: read.phase,
            decided_at: read.decided_at,
            parameters_digest: read.parameters_digest.map(Digest::Bytes),
        })
    }

    fn end(&self, read: EndRead<'_>, vocabulary: &mut Vocabulary) -> Option<Ended> {
        let session = *self.sessions.get(&read.session)?;
        Some(Ended {
            key: vocabulary.key_of(session, read.seq),
            ended_at: read.ended_at,
            outcome: read.outcome,
            rows: read.rows,
            bytes: read.bytes,
            duration_us: read.duration_us,
            sqlstate: read.sqlstate.map(|text| vocabulary.name(text)),
            values_masked: read.values_masked,
            result_digest: read.result_digest.map(Digest::Bytes),
        })
    }
}

/// A record as JSON: the only payload of segments of version 1.
pub(super) fn whole(json: &[u8], vocabulary: &mut Vocabulary) -> Option<Item> {
    Some(vocabulary.take(Record::read(json).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draft::{Entry, Wordless};
    use crate::record::Record;
    use crate::testing::InParts;

    /// An entry without a text says nothing where its draft is of several.
    #[test]
    fn a_draft_of_several_texts_is_no_decision_without_one() {
        let parts = InParts::new(1, 5);
        let [Entry::Decision(draft, occasion), _] = parts.entries() else {
            panic!("a draft of one text");
        };
        let [Record::Decision(record), _] = parts.records() else {
            panic!("a decision");
        };
        let Wordless(wordless) = Wordless::of(record).unwrap();
        for (draft, is_read) in [(draft, true), (&wordless, false)] {
            let entry = Entry::Decision(draft, occasion);
            let mut payload = Vec::new();
            entry::write(&entry, &mut payload).unwrap();
            entry::write_definitions(&entry, |_| true, &mut payload);
            let item = Defined::default().read(&payload, &mut Vocabulary::default());
            assert_eq!(item.is_some(), is_read);
        }
    }

    /// A draft that an earlier build wrote as JSON is the same draft.
    #[test]
    fn drafts_of_earlier_builds_are_read() {
        let parts = InParts::new(3, 5);
        let [decision, _] = parts.entries();
        let (draft, session) = decision.definitions();
        let (draft, session) = (draft.unwrap(), session.unwrap());
        let json = serde_json::to_vec(&body::decode(&draft.body).unwrap()).unwrap();
        let mut payload = Vec::new();
        entry::write(&decision, &mut payload).unwrap();
        let bare = payload.clone();
        for (kind, number, bytes) in [
            (0x11, draft.number, &json[..]),
            (0x12, session.number, &session.body),
        ] {
            payload.push(kind);
            for mut number in [number, bytes.len() as u64] {
                while number >= 0x80 {
                    payload.push(number as u8 | 0x80);
                    number >>= 7;
                }
                payload.push(number as u8);
            }
            payload.extend_from_slice(bytes);
        }
        let mut vocabulary = Vocabulary::default();
        let item = Defined::default().read(&payload, &mut vocabulary).unwrap();
        assert_eq!(vocabulary.record(item), parts.records()[0]);
        assert!(Defined::default().read(&bare, &mut vocabulary).is_none());
    }
}
