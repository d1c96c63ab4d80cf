//! A judge that decides by words in the text.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use provost_engine::{
    copy::{CopyColumn, CopyOut, CsvLayout, Layout, NULL_OF_TEXT, TextLayout},
    facts::{Kind, SessionEffect},
    sql::{Binding, Hold, Named},
    verdict::{self, OutputMask, Transform},
};
use provost_evidence::{
    Durability, Log, LogOptions,
    record::{ChangeRecord, Micros, Outcome, Record},
};

use crate::{judge::*, session::pending::bare_end};

/// What happened, as the judge saw it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) events: Vec<String>,
    /// Decided texts by statement.
    pub(super) texts: HashMap<u64, String>,
    pub(super) ends: HashMap<u64, End>,
    pub(super) stale: bool,
    /// Everything is refused.
    pub(super) denies: bool,
    pub(super) mask_bound: bool,
    /// Nothing is let through by what was decided before.
    pub(super) forgets: bool,
    /// People said yes to what has `people` in it.
    pub(super) approved: bool,
}

/// Decides by words: `deny` is refused, `masked` is bound and masks its second column, `copyin`, `copyout`, `ddl`, `show`; `rows=2` and
/// `bytes=30`, `time=5` and `affected=2` limit, `budget` takes rows from three that all have together, `digest` records by digest. `moves` touches the view, after which all but `free` asks for a look;
/// `view` asks for a pin, unless the answer to the last one was `same`; `fetch` asks for names; `names x` prepares `x`, with `declare` (and `hold`) it is a cursor.
#[derive(Debug)]
pub(super) struct Words {
    log: Arc<Log>,
    next: u64,
    budget: u64,
    moved: bool,
    blind: bool,
    pinned: bool,
    known: Option<Vec<(String, String)>>,
    alone: Alone,
    told: bool,
    pub(super) seen: Rc<RefCell<Seen>>,
}

thread_local! {
    /// One for all of a test: each would wait for the disk when it is opened.
    static LOG: (Arc<Log>, tempfile::TempDir) = {
        let folder = tempfile::tempdir().unwrap();
        let (log, _) = Log::open(LogOptions::new(folder.path(), "test")).unwrap();
        (log, folder)
    };
}

impl Words {
    pub(super) fn new() -> Self {
        Self {
            log: LOG.with(|(log, _)| Arc::clone(log)),
            next: 0,
            budget: 3,
            moved: false,
            blind: false,
            pinned: false,
            known: None,
            alone: Alone::No,
            told: false,
            seen: Rc::default(),
        }
    }

    fn event(&self, event: String) {
        self.seen.borrow_mut().events.push(event);
    }

    async fn decide(&mut self, what: &str, text: &str) -> Result<Permitted, Stop> {
        if self.moved && !text.contains("free") {
            return Err(Stop::Look(Look::Path));
        }
        if text.contains("people") && what != "prepare" && !self.seen.borrow().approved {
            if self.alone == Alone::No {
                return Err(Stop::Held(Held::NotAlone));
            }
            let told = std::mem::replace(&mut self.told, true);
            self.event(format!("ask {what} {text} {:?}", self.alone));
            return Err(Stop::Held(Held::Asked((!told).then(|| Notice {
                message: format!("held {text}"),
                detail: None,
                hint: Some("wait".to_owned()),
            }))));
        }
        let pinned = std::mem::take(&mut self.pinned);
        if text.contains("view") && what != "prepare" && !pinned && !self.blind {
            return Err(Stop::Look(Look::Pin(Pin::new(vec![7]))));
        }
        if text.contains("fetch") && self.known.is_none() {
            return Err(Stop::Names);
        }
        self.known = None;
        let denies = self.seen.borrow().denies || text.contains("deny");
        if denies || std::mem::take(&mut self.blind) {
            self.event(format!("refuse {what} {text}"));
            return Err(Stop::Refused(Refused {
                sqlstate: "42501",
                message: format!("no {text}"),
                detail: Some("because".to_owned()),
                hint: None,
                position: text.contains("position").then_some(3),
            }));
        }
        let record = Record::Change(ChangeRecord {
            at: Micros(0),
            actor: String::new(),
            what: String::new(),
            before: None,
            after: None,
            digest: None,
        });
        let receipt = self.log.append(&record, Durability::Process).await.unwrap();
        self.next += 1;
        self.event(format!("permit {} {what} {text}", self.next));
        self.seen
            .borrow_mut()
            .texts
            .insert(self.next, text.to_owned());
        Ok(Permitted {
            permit: receipt.into(),
            statement: StatementSeq(self.next),
            enforcement: Arc::new(enforcement(text)),
            spool: None,
            notice: text.contains("glass").then(|| {
                Box::new(Notice {
                    message: "glass is broken".to_owned(),
                    detail: None,
                    hint: None,
                })
            }),
        })
    }
}

fn is_refused(parameters: Parameters<'_>) -> bool {
    parameters.raw.windows(6).any(|window| window == b"refuse")
}

fn enforcement(text: &str) -> Enforcement {
    let kind = [
        ("REPLICATION", Kind::Replication),
        ("BASE_BACKUP", Kind::Replication),
        ("UPLOAD", Kind::Replication),
        ("IDENTIFY", Kind::Replication),
        ("copyin", Kind::CopyFrom),
        ("copyout", Kind::CopyTo),
        ("ddl", Kind::Ddl),
        ("show", Kind::Show),
        ("insert", Kind::Insert),
        ("savepoint", Kind::Savepoint),
    ]
    .into_iter()
    .find(|(word, _)| text.contains(word))
    .map_or(Kind::Select, |(_, kind)| kind);
    let masked = text.contains("masked");
    let number = |word: &str| {
        let (_, rest) = text.split_once(word)?;
        rest.split(' ').next()?.parse().ok()
    };
    let column = |attribute| ExpectedColumn {
        origin: Some((7, attribute)),
        sources: Vec::new(),
    };
    Enforcement {
        kind,
        session_effect: if kind == Kind::Ddl {
            SessionEffect::Catalog
        } else {
            SessionEffect::None
        },
        mask_bound: masked || text.contains("bound"),
        columns: masked.then(|| vec![column(1), column(2)]),
        masks: masked
            .then(|| OutputMask {
                output: 1,
                transform: Transform::Redact,
                rules: Vec::new(),
                class: "pii".into(),
                sources: Vec::new(),
                controls: Vec::new(),
            })
            .into_iter()
            .collect(),
        limits: verdict::Limits {
            rows: number("rows="),
            bytes: number("bytes="),
            time_ms: number("time="),
            affected_rows: number("affected="),
            rows_per_hour: text.contains("budget").then_some(3),
            ..verdict::Limits::default()
        },
        recording: if text.contains("digest") {
            verdict::Recording::Digest
        } else {
            verdict::Recording::Statement
        },
        touch: if text.contains("moves") {
            Touch::Moves
        } else {
            Touch::Nothing
        },
        binding: text.split_once("names ").map(|(_, name)| {
            let named = Named {
                text: format!("what {name} is").into(),
                parameter_types: [].into(),
                search_path: None,
            };
            if text.contains("declare") {
                Binding::Declare {
                    name: name.into(),
                    cursor: named,
                    hold: if text.contains("hold") {
                        Hold::Session
                    } else {
                        Hold::Transaction
                    },
                }
            } else {
                Binding::Prepare(name.into(), named)
            }
        }),
        copy: (kind == Kind::CopyTo && masked).then(|| copy_out(text)),
        cursors: Vec::new(),
        sets_role: false,
        may_set: false,
    }
}

/// Two texts; `csv` with names, `binary`, else text format.
fn copy_out(text: &str) -> CopyOut {
    let layout = if text.contains("csv") {
        Layout::Csv(CsvLayout {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
            null: Box::default(),
            has_header: true,
        })
    } else if text.contains("binary") {
        Layout::Binary
    } else {
        Layout::Text(TextLayout {
            delimiter: b'|',
            null: NULL_OF_TEXT.into(),
            has_header: false,
        })
    };
    let column = CopyColumn {
        type_oid: 25,
        is_quoted: false,
    };
    CopyOut {
        layout: Ok(layout),
        columns: vec![column; 2],
    }
}

impl Judge for Words {
    type Prepared = String;
    type Bound = ();

    async fn query(&mut self, text: &[u8]) -> Result<Vec<Permitted>, Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        let mut permitted = Vec::new();
        for statement in text
            .split(';')
            .filter(|statement| !statement.trim().is_empty())
        {
            match self.decide("query", statement).await {
                Ok(one) => permitted.push(one),
                Err(stop) => {
                    // What was let through before it is not sent.
                    for one in permitted {
                        let end = bare_end(Outcome::Skipped, None);
                        self.end(one.statement, end).await?;
                    }
                    return Err(stop);
                }
            }
        }
        Ok(permitted)
    }

    async fn again(&mut self, asked: Again<'_, String>) -> Result<Option<Permitted>, Stop> {
        let (what, text) = match asked {
            Again::Query(text) => ("query", String::from_utf8_lossy(text).into_owned()),
            Again::Bind(_, parameters) | Again::Parse(_, _, parameters)
                if is_refused(parameters) =>
            {
                return Ok(None);
            }
            Again::Bind(prepared, _) => ("bind", prepared.clone()),
            Again::Parse(prepared, (text, _), _) if prepared.as_bytes() != text => return Ok(None),
            Again::Parse(prepared, ..) => ("both", prepared.clone()),
        };
        let hangs_on = ["people", "view", "fetch", "deny", "glass", ";"];
        let is_new = self.moved
            || self.blind
            || self.pinned
            || self.known.is_some()
            || self.seen.borrow().denies
            || self.seen.borrow().forgets
            || text.trim().is_empty()
            || hangs_on.iter().any(|word| text.contains(word));
        if is_new || !enforcement(&text).is_plain() {
            return Ok(None);
        }
        self.decide(what, &text).await.map(Some)
    }

    async fn call(&mut self, function: u32) -> Result<Permitted, Stop> {
        let verdict = if function == 0 { "deny" } else { "call" };
        self.decide("call", &format!("{verdict} function {function}"))
            .await
    }

    async fn replicate(&mut self, text: &[u8]) -> Result<Permitted, Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        self.decide("replicate", &text).await
    }

    async fn prepare(&mut self, text: &[u8], _: &[u32]) -> Result<(Permitted, String), Stop> {
        let text = String::from_utf8_lossy(text).into_owned();
        Ok((self.decide("prepare", &text).await?, text))
    }

    async fn bind(
        &mut self,
        prepared: &String,
        parameters: Parameters<'_>,
    ) -> Result<Permitted, Stop> {
        if is_refused(parameters) {
            return self.decide("bind", &format!("deny {prepared}")).await;
        }
        self.decide("bind", prepared).await
    }

    async fn execute_again(&mut self, prepared: &String, (): &()) -> Result<Permitted, Stop> {
        self.decide("again", prepared).await
    }

    fn bound(&self, _: Parameters<'_>) {}

    fn alone(&mut self, alone: Alone) {
        self.alone = alone;
    }

    fn names(&mut self, names: Given<String, ()>) {
        let statements = names.statements.iter().map(|(name, text)| (name, text));
        let portals = names.portals.iter().map(|(name, text, ())| (name, text));
        let mut known: Vec<(String, String)> = statements
            .chain(portals)
            .map(|(name, text)| (String::from_utf8_lossy(name).into_owned(), text.clone()))
            .collect();
        known.sort();
        self.event(format!("names {known:?}"));
        self.known = Some(known);
    }

    fn named(&self, named: &Named) -> (String, ()) {
        (named.text.to_string(), ())
    }

    fn touched(&mut self, touch: Touch) {
        if touch != Touch::Nothing {
            self.event("touched".to_owned());
            self.moved = true;
        }
    }

    async fn looked(
        &mut self,
        look: Look,
        answer: Result<Vec<u8>, Unseen>,
        holder: Holder,
    ) -> Result<Keep, Fatal> {
        let answer = answer.map(|answer| String::from_utf8_lossy(&answer).into_owned());
        match look {
            Look::Pin(_) => self.event(format!("pinned {holder:?} {answer:?}")),
            look => self.event(format!("looked {look:?} {answer:?}")),
        }
        self.moved = false;
        self.blind = answer.is_err();
        self.pinned = answer.as_ref().is_ok_and(|answer| answer == "same");
        if answer.is_ok_and(|answer| answer == "other") {
            return Ok(Keep::End);
        }
        Ok(Keep::Open)
    }

    async fn take_row(&mut self, _: &verdict::Limits, _: u64) -> Result<(), Refused> {
        let left = self.budget.checked_sub(1).ok_or_else(|| Refused {
            sqlstate: "54000",
            message: "the budget is spent".to_owned(),
            detail: None,
            hint: None,
            position: None,
        })?;
        self.budget = left;
        Ok(())
    }

    fn is_stale(&self, _: &Permitted) -> bool {
        self.seen.borrow().stale
    }

    fn is_over(&self, _: &Permitted) -> bool {
        std::mem::take(&mut self.seen.borrow_mut().stale)
    }

    fn is_mask_bound(&self) -> bool {
        self.seen.borrow().mask_bound
    }

    async fn refused(&mut self, refused: &Refused) -> Result<(), Fatal> {
        self.event(format!("session refuses {}", refused.sqlstate));
        Ok(())
    }

    async fn end(&mut self, statement: StatementSeq, end: End) -> Result<(), Fatal> {
        let mut line = format!(
            "end {} {:?} rows={} bytes={}",
            statement.0, end.outcome, end.rows, end.bytes
        );
        if let Some(sqlstate) = &end.sqlstate {
            line += &format!(" {sqlstate}");
        }
        if let Some(digest) = &end.result_digest {
            line += &format!(" digest={:02x}{:02x}", digest[0], digest[1]);
        }
        if !end.values_masked.is_empty() {
            line += &format!(" masked={:?}", end.values_masked);
        }
        self.event(line);
        let before = self.seen.borrow_mut().ends.insert(statement.0, end);
        assert_eq!(before, None, "statement {} ended twice", statement.0);
        Ok(())
    }

    async fn catalog_changed(&mut self) -> Result<(), Fatal> {
        self.event("catalog changed".to_owned());
        Ok(())
    }

    fn transaction_status(&mut self, status: u8) {
        self.event(format!("status {}", char::from(status)));
    }
}
