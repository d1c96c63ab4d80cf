//! What goes out: bytes for the client, and the one gate through which bytes reach the server.
//!
//! Must never let a byte of a statement through without its [`Permit`].

use bytes::{BufMut, BytesMut};

use super::{
    core::take,
    refuse::{Missing, OwnName},
};
use crate::{
    judge::Permitted,
    permit::Permit,
    protocol::{
        frame::{self, HEADER_BYTES, Header},
        frontend::Target,
    },
};

/// Gives an empty buffer's memory back where it has room for more than `bytes_max`.
pub(crate) fn give_back_beyond(buffer: &mut BytesMut, bytes_max: usize) {
    // What was used up in front is not in `capacity`, and is held all the same.
    if buffer.is_empty() && buffer.try_reclaim(bytes_max.saturating_add(1)) {
        *buffer = BytesMut::new();
    }
}

/// Both directions' unsent bytes. The I/O loop writes them and calls nothing else before the client's backlog is small again.
#[derive(Debug, Default)]
pub struct Out {
    /// For the client.
    pub to_client: BytesMut,
    /// For the server.
    pub to_server: ToServer,
}

/// Bytes for the server.
///
/// `// INVARIANT:` the buffer is private, and every method that fills it takes a [`Permit`] for what it writes, or writes
/// frames that can't carry a statement, or a question whose text is the gateway's own and fixed.
#[derive(Debug, Default)]
pub struct ToServer {
    bytes: BytesMut,
    /// Bytes of a permitted `CopyData` body that are still to come.
    copy_bytes_left: usize,
}

/// A frame that carries no statement and no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NeutralFrame<'a> {
    /// Ends a segment of a pipeline.
    Sync,
    /// Asks for the answers so far.
    Flush,
    /// Ends the session.
    Terminate,
    /// Closes what is named; an unknown name is no error.
    Close(Target, &'a [u8]),
    /// Describes what is named.
    Describe(Target, &'a [u8]),
    /// A Query that holds no statement: its text is ours, and empty.
    EmptyQuery,
}

/// A frame in the place of a refused one: it fails at the server, so that the server itself keeps pipeline order, skip to
/// Sync and the transaction's status (ruling 13). Its text is ours and can't run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Substitute {
    /// A Query that can't be parsed.
    Query,
    /// A Parse that can't be parsed.
    Parse,
    /// A Bind of a statement that does not exist.
    Bind,
    /// A Describe of something that does not exist.
    Describe(Target),
    /// An Execute of a portal that does not exist.
    Execute,
}

impl Out {
    /// Forgets the first `count` bytes for the client: they were sent.
    pub(crate) fn sent_to_client(&mut self, count: usize) {
        take(&mut self.to_client, count);
    }
}

impl ToServer {
    /// Bytes not yet sent.
    #[must_use]
    pub fn unsent(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the first `count` bytes: they were sent.
    pub fn sent(&mut self, count: usize) {
        take(&mut self.bytes, count);
    }

    /// Gives its memory back where nothing is unsent and there is room for more than `bytes_max`.
    pub(crate) fn give_back(&mut self, bytes_max: usize) {
        give_back_beyond(&mut self.bytes, bytes_max);
    }

    /// Lets a decided statement's frame through.
    pub(crate) fn statement(&mut self, frame: &[u8], _permit: &Permit) {
        self.bytes.extend_from_slice(frame);
    }

    /// Lets a simple Query's frame through, of which every statement was decided; none at all is no proof.
    pub(crate) fn statements<'a>(
        &mut self,
        frame: &[u8],
        mut permitted: impl Iterator<Item = &'a Permitted>,
    ) {
        if permitted.next().is_some() {
            self.bytes.extend_from_slice(frame);
        }
    }

    /// Lets the text of a simple Query with one decided statement through by the extended protocol, with this at its end: what it
    /// changes is not committed before a Sync follows. It takes the unnamed statement and portal, as a simple Query does.
    pub(crate) fn guarded(&mut self, text: &[u8], end: NeutralFrame<'_>, _permit: &Permit) {
        frame::write(&mut self.bytes, b'P', |body| {
            body.put_u8(0);
            put_text(body, text);
            body.put_u16(0);
        });
        frame::write(&mut self.bytes, b'B', |body| body.put_slice(&[0; 8]));
        self.neutral(NeutralFrame::Describe(Target::Portal, b""));
        frame::write(&mut self.bytes, b'E', |body| body.put_slice(&[0; 5]));
        self.neutral(end);
    }

    /// Starts a `CopyData` frame of a decided COPY FROM; its body follows through [`Self::copy_body`].
    pub(crate) fn copy_data(&mut self, header: Header, _permit: &Permit) {
        let Ok(length) = u32::try_from(header.body_bytes.saturating_add(4)) else {
            return;
        };
        self.bytes.put_u8(b'd');
        self.bytes.put_u32(length);
        self.copy_bytes_left = header.body_bytes;
    }

    /// Lets bytes of the `CopyData` body through that [`Self::copy_data`] started, and says how many.
    pub(crate) fn copy_body(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.copy_bytes_left);
        if let Some(body) = bytes.get(..count) {
            self.bytes.extend_from_slice(body);
        }
        self.copy_bytes_left = self.copy_bytes_left.saturating_sub(count);
        count
    }

    /// Bytes that [`Self::copy_body`] still waits for.
    pub(crate) const fn copy_bytes_left(&self) -> usize {
        self.copy_bytes_left
    }

    /// Ends a COPY FROM in failure, in our words.
    pub(crate) fn copy_fail(&mut self) {
        frame::write(&mut self.bytes, b'f', |body| {
            body.extend_from_slice(b"stopped by the gateway\0");
        });
    }

    /// Asks a question of the gateway's own under a name that no client can have: its text is `'static`, so nothing that a
    /// client sent is in it. `values` are values that the server itself gave.
    pub(crate) fn own(&mut self, name: &OwnName, question: &'static str, values: &[&[u8]]) {
        let name = name.as_str().as_bytes();
        frame::write(&mut self.bytes, b'P', |body| {
            put_text(body, name);
            put_text(body, question.as_bytes());
            body.put_u16(0);
        });
        frame::write(&mut self.bytes, b'B', |body| {
            put_text(body, name);
            put_text(body, name);
            body.put_u16(0);
            body.put_u16(u16::try_from(values.len()).unwrap_or(u16::MAX));
            for value in values {
                body.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
                body.put_slice(value);
            }
            body.put_u16(0);
        });
        frame::write(&mut self.bytes, b'E', |body| {
            put_text(body, name);
            body.put_i32(0);
        });
        self.neutral(NeutralFrame::Close(Target::Portal, name));
        self.neutral(NeutralFrame::Close(Target::Statement, name));
    }

    /// Asks a question of the gateway's own as a simple Query: where the extended protocol is refused. Its text is `'static`.
    pub(crate) fn own_query(&mut self, question: &'static str) {
        frame::write(&mut self.bytes, b'Q', |body| {
            put_text(body, question.as_bytes());
        });
    }

    /// Lets a frame through that carries no statement.
    pub(crate) fn neutral(&mut self, neutral: NeutralFrame<'_>) {
        let named = |out: &mut BytesMut, kind, target: Target, name: &[u8]| {
            frame::write(out, kind, |body| {
                body.put_u8(target.byte());
                put_text(body, name);
            });
        };
        match neutral {
            NeutralFrame::Sync => self.bytes.extend_from_slice(b"S\0\0\0\x04"),
            NeutralFrame::Flush => self.bytes.extend_from_slice(b"H\0\0\0\x04"),
            NeutralFrame::Terminate => self.bytes.extend_from_slice(b"X\0\0\0\x04"),
            NeutralFrame::EmptyQuery => self.bytes.extend_from_slice(b"Q\0\0\0\x05\0"),
            NeutralFrame::Close(target, name) => named(&mut self.bytes, b'C', target, name),
            NeutralFrame::Describe(target, name) => named(&mut self.bytes, b'D', target, name),
        }
    }

    /// Puts a frame that fails in the place of a refused one.
    pub(crate) fn substitute(&mut self, substitute: Substitute, missing: &Missing) {
        let name = missing.as_str().as_bytes();
        let kind = match substitute {
            Substitute::Query => b'Q',
            Substitute::Parse => b'P',
            Substitute::Bind => b'B',
            Substitute::Describe(_) => b'D',
            Substitute::Execute => b'E',
        };
        frame::write(&mut self.bytes, kind, |body| match substitute {
            Substitute::Query => put_text(body, name),
            Substitute::Parse => {
                body.put_u8(0);
                put_text(body, name);
                body.put_u16(0);
            }
            Substitute::Bind => {
                body.put_u8(0);
                put_text(body, name);
                body.put_slice(&[0; 6]);
            }
            Substitute::Describe(target) => {
                body.put_u8(target.byte());
                put_text(body, name);
            }
            Substitute::Execute => {
                put_text(body, name);
                body.put_i32(0);
            }
        });
    }
}

/// A NUL-terminated text; what follows a NUL inside would be read as the next field, so it is left out.
fn put_text(body: &mut BytesMut, text: &[u8]) {
    body.extend(text.iter().copied().take_while(|byte| *byte != 0));
    body.put_u8(0);
}

/// Bytes that a frame of `header` has in all, as far as they are in `input`.
pub(super) fn whole_frame(input: &[u8], header: Header) -> Option<(&[u8], &[u8])> {
    let frame = input.get(..header.frame_bytes())?;
    Some((frame, frame.get(HEADER_BYTES..)?))
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;
    use crate::{
        protocol::frontend::{self, Message},
        session::refuse::Token,
    };

    #[test]
    fn substitutes_are_whole_frames_that_name_what_is_missing() {
        let missing = Token::from_bytes([0xab; 16]).missing(7);
        for substitute in [
            Substitute::Query,
            Substitute::Parse,
            Substitute::Bind,
            Substitute::Describe(Target::Portal),
            Substitute::Execute,
        ] {
            let mut out = ToServer::default();
            out.substitute(substitute, &missing);
            let header = frame::header(out.unsent()).unwrap().unwrap();
            assert_eq!(header.frame_bytes(), out.unsent().len());
            let name = missing.as_str().as_bytes();
            let named = match frontend::read(header.kind, &out.unsent()[HEADER_BYTES..]).unwrap() {
                Message::Query(text) => text,
                Message::Parse(parse) => parse.text,
                Message::Bind(bind) => bind.statement,
                Message::Describe(_, name) => name,
                Message::Execute(execute) => execute.portal,
                other => panic!("{other:?}"),
            };
            assert_eq!(named, name);
        }
    }

    #[test]
    fn only_empty_buffers_with_much_room_are_given_back() {
        let kept = |bytes: usize, used: usize| {
            let mut buffer = BytesMut::with_capacity(bytes);
            buffer.extend_from_slice(&vec![1; bytes]);
            buffer.advance(used);
            give_back_beyond(&mut buffer, 1_000);
            let rest = buffer.len();
            buffer.clear();
            (rest, buffer.try_reclaim(bytes))
        };
        assert_eq!(kept(1_000, 1_000), (0, true));
        assert_eq!(kept(4_000, 3_999), (1, true));
        assert_eq!(kept(4_000, 4_000), (0, false));
    }

    #[test]
    fn neutral_frames_read_back() {
        let cases = [
            (NeutralFrame::Sync, Message::Sync),
            (NeutralFrame::Flush, Message::Flush),
            (NeutralFrame::Terminate, Message::Terminate),
            (NeutralFrame::EmptyQuery, Message::Query(b"")),
            (
                NeutralFrame::Close(Target::Statement, b"s"),
                Message::Close(Target::Statement, b"s"),
            ),
            (
                NeutralFrame::Describe(Target::Portal, b""),
                Message::Describe(Target::Portal, b""),
            ),
        ];
        for (neutral, expected) in cases {
            let mut out = ToServer::default();
            out.neutral(neutral);
            let header = frame::header(out.unsent()).unwrap().unwrap();
            let (frame, body) = whole_frame(out.unsent(), header).unwrap();
            assert_eq!(frontend::read(header.kind, body), Ok(expected));
            let count = frame.len();
            out.sent(count);
            assert!(out.unsent().is_empty());
        }
    }
}
