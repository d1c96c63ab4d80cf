//! Both directions of a session: reads and writes whatever is ready.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::{BACKLOG_BYTES_MAX, Event, Relay, Turn};
use crate::{session::give_back_beyond, stream::Stream};

/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// An empty buffer that once grew beyond this is given back.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// The same while nothing is unanswered: a session that waits for its client holds no more of each.
const KEPT_AT_REST_BYTES_MAX: usize = 4 * 1024;
/// What is read behind the statement of a client that waits for people: enough to see whether it is still there.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// A thread's read buffer: idle sessions hold none.
pub(in crate::serve) struct Scratch(RefCell<Vec<u8>>);

impl Scratch {
    /// One thread's.
    pub(in crate::serve) fn new() -> Rc<Self> {
        Rc::new(Self(RefCell::new(vec![0; READ_BYTES])))
    }
}

/// One side's connection with what came from it and was not used yet.
pub(super) struct Side {
    pub(super) stream: Stream,
    pub(super) input: BytesMut,
    /// Bytes were written that a flush must push out (TLS).
    pub(super) unflushed: bool,
}

impl Relay {
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let mut progress = false;
        if let Some(cancelling) = &mut self.cancelling
            && let Some(request) = &mut cancelling.request
            && request.as_mut().poll(context).is_ready()
        {
            cancelling.request = None;
            progress = true;
        }
        let is_servers = self.turn == Turn::Server;
        if is_servers {
            // What it says is worked on before anything of the client's: who sent that need not be looked at yet.
            match self.poll_server(context) {
                Ok(true) => {
                    self.turn = Turn::Client;
                    return Poll::Ready(Event::Progress);
                }
                Ok(false) => {}
                Err(_) if self.is_owed_by_server(progress) => self.turn = Turn::Client,
                Err(_) => return Poll::Ready(Event::ServerGone),
            }
        }
        match self.poll_client(context) {
            // The same the other way round: what the server says is looked at where that is sent.
            Ok(true) => {
                self.turn = Turn::Server;
                return Poll::Ready(Event::Progress);
            }
            Ok(false) => {}
            Err(_) => return Poll::Ready(Event::ClientGone),
        }
        if !is_servers {
            match self.poll_server(context) {
                Ok(moved) => progress |= moved,
                Err(_) if self.is_owed_by_server(progress) => {}
                Err(_) => return Poll::Ready(Event::ServerGone),
            }
        }
        if progress {
            Poll::Ready(Event::Progress)
        } else {
            Poll::Pending
        }
    }

    /// Whether a session goes on whose server is gone: what that said before is owed to the client. A frame that it left unfinished is
    /// not: only whole frames that wait for the client's backlog keep the session.
    fn is_owed_by_server(&self, progress: bool) -> bool {
        progress || !(self.server.input.is_empty() || self.client_has_room())
    }

    /// Whether something moved that there is to be worked on: bytes came, or went that others waited behind.
    fn poll_client(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let was_waited_for = !self.client_has_room() || self.client_closed.is_some();
        let sent = self.client.poll_send(context, &self.out.to_client)?;
        self.out.sent_to_client(sent);
        give_back(&mut self.out.to_client);
        if sent > 0 && self.client_closed.is_some() {
            self.client_closed = Some(Instant::now());
        }
        let is_read = match self.core.is_held() {
            // The frame that waits is there already, however long it is.
            true => {
                let held = *self.held_bytes.get_or_insert(self.client.input.len());
                self.client.input.len() < held.saturating_add(HELD_BYTES_MAX)
            }
            false => {
                self.held_bytes = None;
                self.client_needs_more && self.core.accepts_client()
            }
        };
        let wanted = is_read
            && self.client_closed.is_none()
            && self.client_has_room()
            && self.server_has_room();
        let received = match wanted {
            false => false,
            true => match self.client.poll_receive(context, &self.scratch) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.client_closed = Some(Instant::now());
                    return Ok(true);
                }
                Err(error) => return Err(error),
            },
        };
        if received {
            self.client_needs_more = false;
            self.idle_since = None;
            if let Some(canceller) = self.canceller.as_ref().filter(|_| self.core.is_idle()) {
                canceller.under_way.begin();
            }
        }
        Ok(received || (sent > 0 && was_waited_for))
    }

    /// The same.
    fn poll_server(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        let was_waited_for = !self.server_has_room();
        let sent = match self.server.poll_send(context, self.out.to_server.unsent()) {
            Ok(sent) => sent,
            // It may have said why, and what the client has no room for yet.
            Err(_) if !self.client_has_room() => return Ok(false),
            Err(error) => {
                let received = self.server.poll_receive(context, &self.scratch)?;
                return if received { Ok(true) } else { Err(error) };
            }
        };
        self.out.to_server.sent(sent);
        let asked = sent > 0 && self.cancels_what_was_sent();
        let received =
            self.client_has_room() && self.server.poll_receive(context, &self.scratch)?;
        Ok(received || asked || (sent > 0 && was_waited_for))
    }

    /// Nothing comes and nothing goes: large buffers wait for work, not for the next statement.
    pub(super) fn rest(&mut self) {
        if self.core.is_idle() {
            if let Some(canceller) = self
                .canceller
                .as_ref()
                .filter(|_| self.client.input.is_empty())
            {
                canceller.under_way.rest();
            }
            give_back_beyond(&mut self.client.input, KEPT_AT_REST_BYTES_MAX);
            give_back_beyond(&mut self.server.input, KEPT_AT_REST_BYTES_MAX);
            give_back_beyond(&mut self.out.to_client, KEPT_AT_REST_BYTES_MAX);
            self.out.to_server.give_back(KEPT_AT_REST_BYTES_MAX);
        }
    }

    pub(super) fn client_has_room(&self) -> bool {
        self.out.to_client.len() < BACKLOG_BYTES_MAX
    }

    pub(super) fn server_has_room(&self) -> bool {
        self.out.to_server.unsent().len() < BACKLOG_BYTES_MAX
    }
}

impl Side {
    /// Sends as much of `bytes` as the connection takes now.
    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    sent += count;
                    self.unflushed = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        if self.unflushed && Pin::new(&mut self.stream).poll_flush(context)?.is_ready() {
            self.unflushed = false;
        }
        Ok(sent)
    }

    /// Receives what there is, up to one chunk; an end of the stream is an error.
    fn poll_receive(&mut self, context: &mut Context<'_>, scratch: &Scratch) -> io::Result<bool> {
        let mut scratch = scratch.0.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Poll::Ready(Ok(())) => {
                self.input.extend_from_slice(buffer.filled());
                Ok(true)
            }
        }
    }
}

/// Gives an empty buffer's memory back where it grew. What it has in front, where it has some, [`Relay::rest`] sees to.
pub(super) fn give_back(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}
