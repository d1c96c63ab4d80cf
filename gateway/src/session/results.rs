//! Results: descriptions checked, rows masked, a result stopped.
//!
//! Must never show a row before its description agreed with analysis.

use bytes::BytesMut;
use provost_evidence::record::Outcome;

use super::{
    core::{Body, Core, out_of_step, take},
    describe,
    out::{Out, whole_frame},
    pending::Run,
    refuse, rows,
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
    /// Checks the running statement's description; false where none is running. A disagreement stops its result.
    pub(super) async fn check_description(
        &mut self,
        body: &[u8],
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        if self.muted {
            return Ok(self.running().is_some());
        }
        let Some(run) = self.running() else {
            return Ok(false);
        };
        if let Err(refused) = run.described(body) {
            self.stop(refused, out).await?;
            return Ok(true);
        }
        if !is_checked(run) {
            return Ok(true);
        }
        let fields = backend::row_description(body)?;
        if describe::agrees(&fields, &run.permitted.enforcement) {
            run.fields = Some(fields);
        } else {
            self.stop(describe::disagreement(), out).await?;
        }
        Ok(true)
    }

    /// Passes the whole rows at the start of `input` at once, where nothing of them is looked at and nothing counted but they and
    /// their bytes; false where there are none, or each must be taken by itself.
    pub(super) async fn pass_rows(
        &mut self,
        kind: u8,
        input: &mut BytesMut,
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        if self.muted {
            return Ok(false);
        }
        let Some(run) = running(&mut self.pending).filter(|run| run.passes(kind)) else {
            return Ok(false);
        };
        let (mut rows, mut end) = (0, 0);
        // A bad header is the next frame's, and told there.
        while let Some(rest) = input.get(end..)
            && let Ok(Some(header)) = frame::header(rest)
            && header.kind == kind
            && header.frame_bytes() <= rest.len()
        {
            rows += 1;
            end += header.frame_bytes();
        }
        if rows == 0 {
            return Ok(false);
        }
        let bytes = input.get(..end).unwrap_or_default();
        if let Err(refused) = run.told(bytes) {
            // The rows are dropped, as those that follow are.
            self.stop(refused, out).await?;
            return Ok(false);
        }
        if kind == b'D' || run.replicating.is_none() {
            run.rows += rows as u64;
        }
        run.bytes += (end - rows * HEADER_BYTES) as u64;
        out.to_client.extend_from_slice(bytes);
        take(input, end);
        Ok(true)
    }

    /// Takes one DataRow; false while it must be whole and is not.
    pub(super) async fn data_row(
        &mut self,
        header: Header,
        input: &mut BytesMut,
        out: &mut Out,
    ) -> Result<bool, Fatal> {
        let row_bytes_max = self.limits.masked_row_bytes_max;
        // Whether a row is too large must not hang on masked values, or its failing tells of them: what the client gets is
        // held to half of what a row may have, and so the masked rest has room for the other half.
        let masked_bytes_max = row_bytes_max / 2;
        let muted = self.muted;
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(run) = running(&mut self.pending) else {
            return Err(out_of_step(b'D'));
        };
        if muted {
            run.cut = true;
            self.server_body = Some(Body::Drop(header.frame_bytes()));
            return Ok(true);
        }
        if run.is_between_results() {
            return Err(out_of_step(b'D'));
        }
        let enforcement = &run.permitted.enforcement;
        // Rows of SHOW and EXPLAIN come without an injected description.
        let undescribed_is_fine = enforcement.columns.is_none()
            && enforcement.masks.is_empty()
            && describe::is_shapeless(enforcement.kind);
        let refused = if is_checked(run) && run.fields.is_none() && !undescribed_is_fine {
            describe::disagreement()
        } else if let Some(over) = run
            .over_rows()
            .or_else(|| run.too_large_to_record(header.frame_bytes()))
        {
            over
        } else if enforcement.masks.is_empty()
            && let Some(over) = over_bytes(&mut self.judge, run, header.body_bytes).await
        {
            over
        } else if enforcement.masks.is_empty() {
            run.rows += 1;
            run.bytes += header.body_bytes as u64;
            self.server_body = Some(Body::Pass(header.frame_bytes()));
            return Ok(true);
        } else if header.frame_bytes() > row_bytes_max {
            row_too_large(masked_bytes_max)
        } else {
            let Some((_, body)) = whole_frame(input, header) else {
                return Ok(false);
            };
            let fields = run.fields.as_deref().unwrap_or_default();
            let masks = &enforcement.masks;
            let start = out.to_client.len();
            let may_stop =
                enforcement.limits.bytes.is_some() || run.has_budget() || run.is_recorded();
            let counted = may_stop.then(|| run.masked.clone());
            let masked = rows::mask_row(
                body,
                fields,
                masks,
                self.mask_keys.as_deref(),
                &mut run.masked,
                &mut scratch,
                &mut out.to_client,
            );
            let sent = out.to_client.len().saturating_sub(start + HEADER_BYTES);
            let over = match masked {
                Ok(()) if sent > masked_bytes_max => Some(row_too_large(masked_bytes_max)),
                Ok(()) => match over_bytes(&mut self.judge, run, sent).await {
                    None => run
                        .told(out.to_client.get(start..).unwrap_or_default())
                        .err(),
                    over => over,
                },
                Err(_) => None,
            };
            match (masked, over) {
                (Ok(()), None) => {
                    run.rows += 1;
                    run.bytes += sent as u64;
                    self.scratch = scratch;
                    take(input, header.frame_bytes());
                    return Ok(true);
                }
                (Ok(()), Some(over)) => {
                    out.to_client.truncate(start);
                    if let Some(counted) = counted {
                        run.masked = counted;
                    }
                    over
                }
                (Err(_), _) => describe::disagreement(),
            }
        };
        self.stop(refused, out).await?;
        self.server_body = Some(Body::Drop(header.frame_bytes()));
        Ok(true)
    }

    /// Stops the running statement's result: its end is logged, the client gets one error, and what the server still sends up
    /// to its ReadyForQuery is dropped.
    ///
    /// Statements pipelined behind it have been forwarded and run. They are recorded as the server completes them, their rows
    /// (if any) as cut; the client sees none of it, and the transaction's status stays the server's own.
    pub(super) async fn stop(&mut self, refused: Refused, out: &mut Out) -> Result<(), Fatal> {
        let Some(run) = self.running() else {
            return Err(out_of_step(b'T'));
        };
        run.cut = true;
        run.ended = true;
        let statement = run.permitted.statement;
        let end = run.end(Outcome::Cut, Some(refused.sqlstate.to_owned()));
        self.judge.end(statement, end).await?;
        self.muted = true;
        self.bound = true;
        // The client waits for its own Sync to take effect: what it sends before counts as skipped.
        if !self
            .pending
            .iter()
            .any(|pending| pending.operation.ends_segment())
        {
            self.skipping = true;
        }
        refuse::write_refused(&mut out.to_client, &refused);
        Ok(())
    }
}

/// The refusal of a row of that many bytes, where it is over a limit or a budget; else it is counted.
pub(super) async fn over_bytes<J: Judge>(
    judge: &mut J,
    run: &Run,
    bytes: usize,
) -> Option<Refused> {
    if let Some(over) = run.over_bytes(bytes) {
        return Some(over);
    }
    if !run.has_budget() {
        return None;
    }
    let limits = &run.permitted.enforcement.limits;
    judge.take_row(limits, bytes as u64).await.err()
}

/// Whether a statement's rows are checked and may be masked.
pub(super) fn is_checked(run: &Run) -> bool {
    run.permitted.enforcement.mask_bound || !run.permitted.enforcement.masks.is_empty()
}

pub(super) fn row_too_large(bytes_max: usize) -> Refused {
    Refused {
        sqlstate: "54000",
        message: "a row of a masked result is too large".to_owned(),
        detail: Some(format!(
            "rows are masked up to {bytes_max} bytes; the result was stopped"
        )),
        hint: Some("ask for fewer or smaller columns".to_owned()),
        position: None,
    }
}
