//! A segment that came whole while nothing else was there, in one of the forms that programs send most, and whose decision stands: it
//! is sent, and its answer told, as one.
//!
//! Must never come to anything else than its frames taken one by one, but for this: what is prepared in it is of one statement with what
//! is run. What is not as expected is taken so: [`Core::unfold`] makes of the segment what those would have left.

use std::sync::Arc;

use provost_evidence::record::Outcome;

use super::{
    client::tell,
    core::{Core, Stall, shared},
    names::{Found, Hold},
    out::{Out, Substitute, whole_frame},
    pending::{Decided, Operation, Pending, Road, Run, Segment, bare_end},
};
use crate::{
    judge::{Again, Alone, End, Fatal, Judge, Parameters, Permitted, Stop},
    protocol::{
        backend, frame,
        frontend::{self, Bind, Message, Parse},
    },
};

/// What a segment is unfolded into, at most.
const OPERATIONS_MAX: usize = 5;
/// What follows a Bind of the unnamed portal: Describe it, Execute it to its end, Sync.
const DESCRIBED: &[u8] = b"D\0\0\0\x06P\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
/// The same without a Describe.
const UNDESCRIBED: &[u8] = b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04";
/// ParseComplete.
const PARSED: &[u8] = b"1\0\0\0\x04";
/// BindComplete.
const BOUND: &[u8] = b"2\0\0\0\x04";
/// NoData.
const NO_DATA: &[u8] = b"n\0\0\0\x04";
/// ReadyForQuery outside of a transaction, and within one.
const READY: (&[u8], &[u8]) = (b"Z\0\0\0\x05I", b"Z\0\0\0\x05T");

/// A segment that was sent whole and is not answered.
#[derive(Debug)]
pub(super) struct Whole<P, B> {
    segment: Segment,
    run: Permitted,
    form: Form<P, B>,
}

#[derive(Debug)]
enum Form<P, B> {
    /// A simple Query.
    Query,
    /// Bind of the unnamed portal, Execute and Sync.
    Bound {
        /// With a Parse before it: the statement's name, and bytes of its text. INVARIANT: it prepares what has this name already.
        parsed: Option<(Arc<[u8]>, usize)>,
        prepared: P,
        bound: B,
        /// With a Describe of the portal.
        described: bool,
    },
}

/// A segment as it came.
enum Asked<'a> {
    Query(&'a [u8]),
    Bound {
        parse: Option<Parse<'a>>,
        bind: Bind<'a>,
        described: bool,
    },
}

/// What a whole answer came to.
struct Answer {
    /// Bytes of what comes before its CommandComplete.
    result_bytes: usize,
    /// Bytes of that and the ReadyForQuery.
    ending_bytes: usize,
    rows: u64,
    row_bytes: u64,
}

impl<J: Judge> Core<J> {
    /// Whether frames may be taken as one: nothing is unanswered, nothing open, and nothing of the past matters to what comes.
    fn is_free(&self, out: &Out) -> bool {
        self.pending.is_empty()
            && self.whole.is_none()
            && self.stall == Stall::None
            && !self.mid_segment
            && !self.held
            && !self.server_skips
            && !self.skipping
            && !self.muted
            && !self.catalog_dirty
            && !self.catalog_changed
            && !self.sync_owed
            && self.client_drop_bytes == 0
            && self.server_body.is_none()
            && self.replication.is_none()
            && out.to_server.copy_bytes_left() == 0
            // Outside of a transaction its end has nothing to end but the segment's own portal.
            && (self.in_block || (!self.savepoint && !self.undone && self.names.portals() == 0))
            // One by one, they would be flushed in between.
            && self.limits.pending_max >= OPERATIONS_MAX
    }

    /// Whether the unnamed portal may be bound, and nothing is to be said of the one that it replaces.
    fn may_bind(&mut self) -> bool {
        let replaced = self.names.certain_portal(b"");
        replaced.is_none_or(|portal| matches!(portal.hold, Hold::Ended))
            && self.names.portals() < self.limits.portals_max
    }

    /// Takes all of `input` where it is one segment that can be taken as one. Gives the bytes that are done with: none, where its frames
    /// are to be taken one by one.
    pub(super) async fn take_whole(&mut self, input: &[u8], out: &mut Out) -> Result<usize, Fatal> {
        if !self.is_free(out) {
            return Ok(0);
        }
        // What is wrong with it is told where it is taken by itself.
        let Some((asked, first_bytes)) = read(input, self.limits.client_message_bytes_max) else {
            return Ok(0);
        };
        self.judge.alone(Alone::Yes);
        let judged = self.ask_again(&asked).await;
        let (run, form) = match judged {
            Ok(Some(judged)) => judged,
            // It is asked in full.
            Ok(None) | Err(Stop::Look(_) | Stop::Names | Stop::Held(_)) => return Ok(0),
            Err(Stop::Refused(refused)) => {
                let substitute = match asked {
                    Asked::Query(_) => Substitute::Query,
                    Asked::Bound { parse: Some(_), .. } => Substitute::Parse,
                    Asked::Bound { parse: None, .. } => Substitute::Bind,
                };
                self.deny(substitute, refused, out);
                return Ok(first_bytes);
            }
            Err(Stop::Fatal(fatal)) => return Err(fatal),
        };
        tell(&run, out);
        // What is in it beside that statement is known to the byte.
        out.to_server.statement(input, &run.permit);
        self.whole = Some(Whole {
            segment: self.segment,
            run,
            form,
        });
        self.end_segment();
        Ok(input.len())
    }

    /// Asks the judge whether the segment may go as one; `None` where it may not, or is to be asked in full.
    async fn ask_again(
        &mut self,
        asked: &Asked<'_>,
    ) -> Result<Option<(Permitted, Form<J::Prepared, J::Bound>)>, Stop> {
        let (parse, bind, described) = match asked {
            Asked::Query(text) => {
                let judged = self.judge.again(Again::Query(text)).await?;
                return Ok(judged.map(|run| (run, Form::Query)));
            }
            Asked::Bound {
                parse,
                bind,
                described,
            } => (parse, bind, *described),
        };
        if !self.may_bind() {
            return Ok(None);
        }
        let Found::Known(prepared) = self.names.statement(bind.statement, self.segment) else {
            return Ok(None);
        };
        let parameters = Parameters {
            raw: bind.parameters,
            count: bind.count,
        };
        let again = match parse {
            None => Again::Bind(&prepared, parameters),
            Some(parse) => {
                Again::Parse(&prepared, (parse.text, &parse.parameter_types), parameters)
            }
        };
        let Some(run) = self.judge.again(again).await? else {
            return Ok(None);
        };
        let parsed = parse.as_ref();
        let form = Form::Bound {
            parsed: parsed.map(|parse| (shared(parse.name), parse.text.len())),
            bound: self.judge.bound(parameters),
            prepared,
            described,
        };
        Ok(Some((run, form)))
    }

    /// Tells the answer to the segment that was sent whole, where all of it is there and as expected. Gives the bytes that are done
    /// with: none, where the segment was unfolded.
    pub(super) async fn answer_whole(
        &mut self,
        input: &[u8],
        out: &mut Out,
    ) -> Result<usize, Fatal> {
        if input.is_empty() {
            return Ok(0);
        }
        let Some(whole) = self.whole.take() else {
            return Ok(0);
        };
        let ready = if self.in_block { READY.1 } else { READY.0 };
        let message_bytes_max = self.limits.server_message_bytes_max;
        let Some(answer) = whole.form.read(input, ready, message_bytes_max) else {
            self.whole = Some(whole);
            self.unfold();
            return Ok(0);
        };
        let (result, ending) = input
            .split_at_checked(answer.result_bytes)
            .unwrap_or_default();
        let ending = ending.get(..answer.ending_bytes).unwrap_or_default();
        let end = End {
            rows: answer.rows,
            bytes: answer.row_bytes,
            ..bare_end(Outcome::Completed, None)
        };
        out.to_client.extend_from_slice(result);
        self.judge.end(whole.run.statement, end).await?;
        match (self.in_block, whole.form) {
            // Nothing but the portal was open in its transaction, and nothing was undone.
            (false, _) => self.judge.transaction_status(b'I'),
            (true, form) => {
                self.keep_portal(whole.segment, form);
                self.judge.transaction_status(b'T');
            }
        }
        out.to_client.extend_from_slice(ending);
        Ok(result.len() + ending.len())
    }

    /// The portal of a segment that ended is there until its transaction ends, or it is bound anew.
    fn keep_portal(&mut self, segment: Segment, form: Form<J::Prepared, J::Bound>) {
        if let Form::Bound {
            prepared, bound, ..
        } = form
        {
            let name = shared(b"");
            self.forward_portal(&name, segment, (prepared, bound), Hold::Ended);
            // What it replaces had ended.
            self.names.resolve_portal(&name, true);
        }
    }

    /// Makes of the segment that was sent whole what its frames would have left, had they been taken one by one.
    pub(super) fn unfold(&mut self) {
        let Some(Whole { segment, run, form }) = self.whole.take() else {
            return;
        };
        let run = Run::new(run);
        let mut operations = Vec::with_capacity(OPERATIONS_MAX);
        match form {
            Form::Query => operations.push(Operation::Query {
                runs: [run].into(),
                road: Road::Plain,
            }),
            Form::Bound {
                parsed,
                prepared,
                bound,
                described,
            } => {
                if let Some((name, text_bytes)) = &parsed {
                    self.forward_parse((name, *text_bytes), segment, prepared.clone());
                }
                let unnamed = shared(b"");
                let portal =
                    self.forward_portal(&unnamed, segment, (prepared, bound), Hold::Executing);
                operations.extend(parsed.map(|(name, _)| Operation::Parse {
                    name,
                    decided: Decided::With(portal),
                }));
                operations.push(Operation::Bind {
                    name: unnamed,
                    portal,
                });
                let portal_described = Operation::Describe {
                    portal: Some(portal),
                };
                operations.extend(described.then_some(portal_described));
                operations.push(Operation::Execute { portal, run });
                operations.push(Operation::Sync);
            }
        }
        let pending = operations.into_iter();
        self.pending
            .extend(pending.map(|operation| Pending { segment, operation }));
    }
}

/// Reads a segment that is there whole, with nothing behind it, and is of one of the forms that can be taken as one; with the bytes of
/// its first frame.
fn read(input: &[u8], message_bytes_max: usize) -> Option<(Asked<'_>, usize)> {
    let mut rest = input;
    let mut next = || {
        let header = frame::header(rest).ok()??;
        let (frame, body) = whole_frame(rest, header)?;
        rest = rest.get(frame.len()..)?;
        let is_meant =
            matches!(header.kind, b'Q' | b'P' | b'B') && frame.len() <= message_bytes_max;
        let message = frontend::read(header.kind, is_meant.then_some(body)?).ok()?;
        Some((message, frame.len(), rest))
    };
    let (first, first_bytes, behind) = next()?;
    let (parse, bind, tail) = match first {
        Message::Query(text) if behind.is_empty() => {
            return Some((Asked::Query(text), first_bytes));
        }
        Message::Bind(bind) => (None, bind, behind),
        Message::Parse(parse) => match next()? {
            (Message::Bind(bind), _, tail) if bind.statement == parse.name => {
                (Some(parse), bind, tail)
            }
            _ => return None,
        },
        _ => return None,
    };
    let described = tail == DESCRIBED;
    let is_whole = bind.portal.is_empty() && (described || tail == UNDESCRIBED);
    let asked = is_whole.then_some(Asked::Bound {
        parse,
        bind,
        described,
    })?;
    Some((asked, first_bytes))
}

impl<P, B> Form<P, B> {
    /// Reads an answer that is there to its end, and is one of success; `None` where anything else is to be said of it.
    fn read(&self, input: &[u8], ready: &[u8], message_bytes_max: usize) -> Option<Answer> {
        let mut rest = input;
        let may_give_rows = match self {
            Self::Query => take_description(&mut rest, message_bytes_max)?,
            Self::Bound {
                parsed, described, ..
            } => {
                if parsed.is_some() {
                    rest = rest.strip_prefix(PARSED)?;
                }
                rest = rest.strip_prefix(BOUND)?;
                match (described, rest.strip_prefix(NO_DATA)) {
                    (false, _) => true,
                    (true, Some(after)) => {
                        rest = after;
                        false
                    }
                    (true, None) => {
                        take_description(&mut rest, message_bytes_max)?.then_some(true)?
                    }
                }
            }
        };
        let (mut rows, mut row_bytes) = (0_u64, 0_u64);
        loop {
            let header = frame::header(rest).ok()??;
            let (frame, body) = whole_frame(rest, header)?;
            rest = rest.get(frame.len()..)?;
            match header.kind {
                b'D' if may_give_rows => {
                    rows += 1;
                    row_bytes += body.len() as u64;
                }
                b'C' if frame.len() <= message_bytes_max => {
                    let tag = backend::command_tag(body).ok()?;
                    // One without a count may change names, or the transaction.
                    tag.last().filter(|last| last.is_ascii_digit())?;
                    let after = rest.strip_prefix(ready)?;
                    let ending_bytes = frame.len() + ready.len();
                    return Some(Answer {
                        result_bytes: input.len().checked_sub(after.len() + ending_bytes)?,
                        ending_bytes,
                        rows: if rows == 0 {
                            backend::tag_rows(tag)
                        } else {
                            rows
                        },
                        row_bytes,
                    });
                }
                _ => return None,
            }
        }
    }
}

/// Takes a RowDescription, where there is one.
fn take_description(rest: &mut &[u8], message_bytes_max: usize) -> Option<bool> {
    let header = frame::header(rest).ok()??;
    if header.kind != b'T' {
        return Some(false);
    }
    let (frame, body) = whole_frame(rest, header)?;
    if frame.len() > message_bytes_max {
        return None;
    }
    backend::check_row_description(body).ok()?;
    *rest = rest.get(frame.len()..)?;
    Some(true)
}
