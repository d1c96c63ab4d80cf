//! COPY: what is announced, data passed or masked, its end.
//!
//! Must never pass data whose announcement does not agree with analysis, nor a masked value as it came.

use bytes::BytesMut;
use provost_engine::facts::Kind;

use super::{
    copy_out::{self, Masks, Part},
    core::{Body, Core, out_of_step, take},
    describe,
    out::Out,
    pending::{Copy, Run},
    results::{is_checked, over_bytes, row_too_large},
    server::running,
};
use crate::{
    judge::{Fatal, Judge, Refused},
    protocol::{
        backend,
        frame::{self, HEADER_BYTES, Header},
    },
};

impl<J: Judge> Core<J> {
    pub(super) async fn copy_starts(
        &mut self,
        kind: u8,
        frame: &[u8],
        body: &[u8],
        out: &mut Out,
    ) -> Result<(), Fatal> {
        let muted = self.muted;
        let Some(run) = self.running() else {
            return Err(out_of_step(kind));
        };
        match (kind, run.permitted.enforcement.kind) {
            (b'G', Kind::CopyFrom) if muted => {
                // The client will not send data for a statement that it takes for skipped.
                run.copy = Copy::InDone;
                out.to_server.copy_fail();
            }
            (b'G', Kind::CopyFrom) => run.copy = Copy::In,
            (b'H', Kind::CopyTo) => {
                run.copy = Copy::Out;
                if is_checked(run) && !muted {
                    let announced = backend::copy_response(body)?;
                    match copy_out::begin(&announced, &run.permitted.enforcement) {
                        Ok(masking) => run.masking = masking.map(Box::new),
                        Err(_) => return self.stop(disagreement(), out).await,
                    }
                }
            }
            _ => return Err(out_of_step(kind)),
        }
        self.tell(frame, out);
        Ok(())
    }

    /// Data of a COPY TO; false while a message must be whole and is not.
    pub(super) async fn copy_out_data(
        &mut self,
        header: Header,
        input: &mut BytesMut,
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        let muted = self.muted;
        let Some(run) = running(&mut self.pending).filter(|run| run.copy.gives_data()) else {
            return Err(out_of_step(b'd'));
        };
        if muted {
            run.cut = true;
            self.server_body = Some(Body::Drop(header.frame_bytes()));
            return Ok(true);
        }
        if run.masking.is_some() {
            return self.masked_copy(input, out).await;
        }
        // The server sends each row in a message of its own.
        let rows = u64::from(run.replicating.is_none() && is_row(run, header));
        let refused = run
            .over_rows()
            .filter(|_| rows > 0)
            .or_else(|| run.too_large_to_record(header.frame_bytes()));
        let over = match refused {
            None => over_bytes(&mut self.judge, run, header.body_bytes).await,
            over => over,
        };
        if let Some(refused) = over {
            self.stop(refused, out).await?;
            self.server_body = Some(Body::Drop(header.frame_bytes()));
        } else {
            run.rows += rows;
            run.bytes += header.body_bytes as u64;
            self.server_body = Some(Body::Pass(header.frame_bytes()));
        }
        Ok(true)
    }

    /// Masks the whole messages of a COPY's data at the start of `input`; false where the first is not whole.
    async fn masked_copy(&mut self, input: &mut BytesMut, out: &mut Out) -> Result<bool, Fatal> {
        let row_bytes_max = self.limits.masked_row_bytes_max;
        let mut used = 0;
        let mut refused = None;
        while refused.is_none()
            && let Some(rest) = input.get(used..)
            && let Some(header) = frame::header(rest)?
            && header.kind == b'd'
        {
            let Some(run) = running(&mut self.pending) else {
                return Err(out_of_step(b'd'));
            };
            let carried = run.masking.as_ref().map_or(0, |masking| masking.carried());
            if header.frame_bytes().saturating_add(carried) > row_bytes_max {
                // What it is too large by must not tell of masked values.
                refused = Some(row_too_large(row_bytes_max / 2));
                break;
            }
            let Some(mut data) = rest.get(HEADER_BYTES..header.frame_bytes()) else {
                break;
            };
            used += header.frame_bytes();
            refused = mask(
                &mut self.judge,
                run,
                self.mask_keys.as_deref(),
                &mut data,
                (row_bytes_max / 2, out),
            )
            .await;
        }
        take(input, used);
        let is_stopped = refused.is_some();
        if let Some(refused) = refused {
            self.stop(refused, out).await?;
        }
        // What is too large is dropped as it comes, now that the result is stopped.
        Ok(used > 0 || is_stopped)
    }

    pub(super) async fn copy_out_done(&mut self, frame: &[u8], out: &mut Out) -> Result<(), Fatal> {
        let muted = self.muted;
        match self.running() {
            Some(run) if run.copy == Copy::Out => {
                let is_whole = run
                    .masking
                    .as_ref()
                    .is_none_or(|masking| masking.is_whole());
                if !is_whole && !muted {
                    return self.stop(disagreement(), out).await;
                }
                self.tell(frame, out);
                Ok(())
            }
            Some(_) | None => Err(out_of_step(b'c')),
        }
    }
}

/// Masks the data of one message; a refusal ends the result.
async fn mask<J: Judge>(
    judge: &mut J,
    run: &mut Run,
    keys: Option<&provost_engine::mask::MaskKeys>,
    data: &mut &[u8],
    (sent_max, out): (usize, &mut Out),
) -> Option<Refused> {
    let is_limited = run.may_be_cut();
    let mut masking = run.masking.take()?;
    let mut refused = None;
    loop {
        let start = out.to_client.len();
        let masks = Masks {
            masks: &run.permitted.enforcement.masks,
            keys,
        };
        let Ok(part) = masking.next(data, masks, &mut run.masked, &mut out.to_client) else {
            refused = Some(disagreement());
            break;
        };
        if part == Part::Nothing {
            break;
        }
        let sent = out.to_client.len().saturating_sub(start + HEADER_BYTES);
        if part == Part::Row {
            refused = run.over_rows();
        }
        if refused.is_none() && sent > sent_max {
            refused = Some(row_too_large(sent_max));
        }
        if refused.is_none() && is_limited {
            refused = over_bytes(judge, run, sent).await;
        }
        if refused.is_none() {
            let told = run.told(out.to_client.get(start..).unwrap_or_default());
            refused = told.err();
        }
        if refused.is_some() {
            out.to_client.truncate(start);
            masking.take_back(&mut run.masked);
            break;
        }
        run.rows += u64::from(part == Part::Row);
        run.bytes += sent as u64;
    }
    run.masking = Some(masking);
    refused
}

/// Whether a message of a COPY's data that is passed as it is has a row in it: a line of names has none, nor has the end of
/// binary data, alone or behind its start.
fn is_row(run: &Run, header: Header) -> bool {
    /// The start of binary data, and its end.
    const AROUND_ROWS: usize = 19;
    const END: usize = 2;
    let is_first = run.bytes == 0;
    run.permitted.enforcement.copy.as_ref().is_none_or(|copy| {
        let around = if is_first { AROUND_ROWS } else { 0 };
        match (copy.is_binary(), copy.has_header()) {
            (true, _) => copy.columns.is_empty() || header.body_bytes > around + END,
            (false, true) => !is_first,
            (false, false) => true,
        }
    })
}

/// What the client is told when a COPY's data is not what was analysed.
pub(super) fn disagreement() -> Refused {
    Refused {
        detail: Some(
            "the data is withheld, since which of its columns are masked is not certain; if the statement changed data, the change was made"
                .to_owned(),
        ),
        hint: Some("the schema may have just changed: retry; where row-level security filters the table, name the columns".to_owned()),
        message: "the server's COPY data disagrees with the analysis of the statement".to_owned(),
        ..describe::disagreement()
    }
}
