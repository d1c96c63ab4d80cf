//! A spool as it is read back: whole messages, a part at a time. What was torn off is left out, and said; must never give a message
//! that is not whole, or whose checksum fails.

use std::fs::File;
use std::io::{BufReader, Read};

use crate::results::spool::{
    CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES, DESCRIPTION, END, Ending, FORMAT, HEADER, Header,
    MESSAGES, SpoolHeader, checksum,
};
use crate::results::{MESSAGE_BYTES_MAX, PART_BYTES_MAX};

/// Bytes of a chunk that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// A message's type byte and length.
const MESSAGE_HEADER_BYTES: usize = 5;

/// Whole messages that stand behind each other, all of one type.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The messages, with their headers.
    pub(crate) bytes: Vec<u8>,
    /// How many.
    pub(crate) count: u64,
}

/// A spool that is read.
pub(crate) struct Reading {
    file: BufReader<File>,
    pub(crate) of: SpoolHeader,
    /// The body of its RowDescription, if one came.
    pub(crate) description: Option<Vec<u8>>,
    /// What was read of messages that are not given yet.
    held: Vec<u8>,
    /// Its end, once it was read.
    pub(crate) ending: Option<Ending>,
    is_over: bool,
}

impl Reading {
    /// Begins to read; `None` where not even the header is whole: then nothing of it was shown.
    pub(crate) fn begin(file: File) -> std::io::Result<Option<Self>> {
        let mut file = BufReader::new(file);
        let Some((HEADER, body)) = chunk(&mut file)? else {
            return Ok(None);
        };
        let header: Option<Header> = serde_json::from_slice(&body).ok();
        let Some(header) = header.filter(|header| header.format == FORMAT) else {
            return Ok(None);
        };
        Ok(Some(Self {
            file,
            of: header.of,
            description: None,
            held: Vec::new(),
            ending: None,
            is_over: false,
        }))
    }

    /// The next messages, as many as an object takes, and at least one; `None` behind the last whole one.
    pub(crate) fn part(&mut self) -> std::io::Result<Option<Part>> {
        while !self.is_over && self.wants_more() {
            match chunk(&mut self.file)? {
                Some((MESSAGES, body)) => self.held.extend_from_slice(&body),
                // A later one is of the same result, or there is none.
                Some((DESCRIPTION, body)) => self.description = Some(body),
                Some((END, body)) => {
                    self.ending = serde_json::from_slice(&body).ok();
                    self.is_over = true;
                }
                Some(_) | None => self.is_over = true,
            }
        }
        let (end, count) = whole(&self.held);
        if count == 0 {
            return Ok(None);
        }
        let rest = self.held.split_off(end);
        let bytes = std::mem::replace(&mut self.held, rest);
        Ok(Some(Part { bytes, count }))
    }

    /// One message may be larger than a part; how large is bounded where it is written.
    fn wants_more(&self) -> bool {
        let held = self.held.len();
        held < PART_BYTES_MAX || (held <= 2 * MESSAGE_BYTES_MAX && whole(&self.held).1 == 0)
    }

    /// Whether its end was read and every byte before it was of a whole message.
    pub(crate) fn is_whole(&self) -> bool {
        self.ending.is_some() && self.held.is_empty()
    }
}

/// Where the whole messages of the first one's type end, up to about a part's bytes, and how many they are.
fn whole(bytes: &[u8]) -> (usize, u64) {
    let (mut end, mut count) = (0, 0);
    let first = bytes.first().copied();
    while end < PART_BYTES_MAX
        && let Some(message) = bytes.get(end..).and_then(message)
        && message.first().copied() == first
    {
        end += message.len();
        count += 1;
    }
    (end, count)
}

/// The message that stands first, with its header, where it is whole.
pub(super) fn message(bytes: &[u8]) -> Option<&[u8]> {
    let (header, _) = bytes.split_first_chunk::<MESSAGE_HEADER_BYTES>()?;
    let [_, length @ ..] = *header;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if length < MESSAGE_HEADER_BYTES - 1 {
        return None;
    }
    bytes.get(..length.checked_add(1)?)
}

/// The next chunk; `None` where the file ends, or where what follows is not a whole chunk.
fn chunk(file: &mut impl Read) -> std::io::Result<Option<(u8, Vec<u8>)>> {
    let mut header = [0; CHUNK_HEADER_BYTES];
    if !fill(file, &mut header)? {
        return Ok(None);
    }
    let [kind, a, b, c, d, crc @ ..] = header;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if length > CHUNK_BYTES_MAX {
        return Ok(None);
    }
    let mut body = Vec::new();
    // A length that lies is seen before it is believed.
    while body.len() < length {
        let start = body.len();
        body.resize(length.min(start + READ_BYTES), 0);
        let Some(room) = body.get_mut(start..) else {
            return Ok(None);
        };
        if !fill(file, room)? {
            return Ok(None);
        }
    }
    let is_good = checksum(kind, &body) == u32::from_le_bytes(crc);
    Ok(is_good.then_some((kind, body)))
}

/// Fills `room`; false where the file ends before.
fn fill(file: &mut impl Read, room: &mut [u8]) -> std::io::Result<bool> {
    match file.read_exact(room) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
