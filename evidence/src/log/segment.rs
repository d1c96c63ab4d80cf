//! Segments: files of frames, named by their first sequence. Scans them at start-up and for sealing; must never
//! change a file: cutting a torn tail is the caller's decision ([`crate::log::Log::open`]).
//!
//! A segment begins with `magic 8 | epoch u64 | first sequence u64 | crc32 u32` (little-endian, the CRC over the
//! 24 bytes before it). It is created whole by rename, so a damaged header is never the work of a crash.

use std::path::{Path, PathBuf};

use crate::error::{Damage, Error};
use crate::log::frame;
use crate::record::Record;

/// The first eight bytes; the last is the version.
pub(crate) const SEGMENT_MAGIC: [u8; 8] = *b"PVSTWAL\x01";

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 28;

/// How far ahead a sequence may be and still count as a frame that follows damage: more than any segment holds.
const SEQUENCES_AHEAD_MAX: u64 = 1 << 32;

/// A segment's name and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentPath {
    /// Sequence of the first frame.
    pub(crate) first_sequence: u64,
    /// The file.
    pub(crate) path: PathBuf,
}

/// A segment's content.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The gateway's start that wrote it.
    pub(crate) epoch: u64,
    /// Sequence of the first frame.
    pub(crate) first_sequence: u64,
    /// Records in order; the n-th has sequence `first_sequence + n`.
    pub(crate) records: Vec<Record>,
    /// Bytes of header and whole frames.
    pub(crate) bytes_good: u64,
    /// Where the frames stop making sense, if they do, and nothing whole follows: a torn tail.
    pub(crate) torn: Option<Torn>,
}

/// What lies behind the last whole frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Torn {
    /// Bytes to cut.
    pub(crate) bytes: u64,
    /// What is wrong with the first of them.
    pub(crate) damage: Damage,
}

impl Segment {
    /// The sequence after the last record.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.first_sequence + self.records.len() as u64
    }
}

/// The header of a new segment.
pub(crate) fn header(epoch: u64, first_sequence: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(SEGMENT_HEADER_BYTES);
    out.extend_from_slice(&SEGMENT_MAGIC);
    out.extend_from_slice(&epoch.to_le_bytes());
    out.extend_from_slice(&first_sequence.to_le_bytes());
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

/// The file name of the segment that begins at `first_sequence`.
pub(crate) fn file_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.wal")
}

/// The segments in `folder`, in order. Files that are not named like segments are none of ours and are left alone.
pub(crate) fn list(folder: &Path) -> Result<Vec<SegmentPath>, Error> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        let name = path
            .file_name()
            .and_then(|n| n.to_str())
            .unwrap_or_default();
        let Some(digits) = name.strip_suffix(".wal") else {
            continue;
        };
        if digits.len() == 20
            && let Ok(first_sequence) = digits.parse::<u64>()
        {
            segments.push(SegmentPath {
                first_sequence,
                path,
            });
        }
    }
    segments.sort_by_key(|segment| segment.first_sequence);
    Ok(segments)
}

/// Reads and checks a segment. A torn tail is described, not repaired; damage before a whole later frame is an error.
///
/// # Errors
/// [`Error::Damaged`] with the offset; [`Error::File`] when the file can't be read.
pub(crate) fn read(segment: &SegmentPath) -> Result<Segment, Error> {
    let bytes = std::fs::read(&segment.path).map_err(Error::file("read", &segment.path))?;
    scan(&bytes, segment.first_sequence).map_err(|(offset, damage)| Error::Damaged {
        path: segment.path.clone(),
        offset,
        damage,
    })
}

fn scan(bytes: &[u8], first_sequence: u64) -> Result<Segment, (u64, Damage)> {
    let epoch = scan_header(bytes, first_sequence).map_err(|damage| (0, damage))?;
    let mut records = Vec::new();
    let mut offset = SEGMENT_HEADER_BYTES;
    let mut torn = None;
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let expected = first_sequence + records.len() as u64;
        match frame::decode(rest) {
            Ok(frame) if frame.sequence != expected => {
                return Err((
                    offset as u64,
                    Damage::Sequence {
                        expected,
                        found: frame.sequence,
                    },
                ));
            }
            Ok(frame) => {
                let record =
                    Record::read(frame.payload).map_err(|_| (offset as u64, Damage::Payload))?;
                records.push(record);
                offset += frame.bytes;
            }
            Err(damage) if frame::later_frame_follows(rest, expected, SEQUENCES_AHEAD_MAX) => {
                return Err((offset as u64, damage));
            }
            Err(damage) => {
                torn = Some(Torn {
                    bytes: rest.len() as u64,
                    damage,
                });
                break;
            }
        }
    }
    Ok(Segment {
        epoch,
        first_sequence,
        records,
        bytes_good: offset as u64,
        torn,
    })
}

fn scan_header(bytes: &[u8], first_sequence: u64) -> Result<u64, Damage> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let (epoch, rest) = rest.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let (first, rest) = rest.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let crc = rest.first_chunk::<4>().ok_or(Damage::HeaderShort)?;
    if *magic != SEGMENT_MAGIC {
        return Err(Damage::Magic);
    }
    if crc32fast::hash(bytes.get(..SEGMENT_HEADER_BYTES - 4).unwrap_or_default())
        != u32::from_le_bytes(*crc)
    {
        return Err(Damage::HeaderChecksum);
    }
    let found = u64::from_le_bytes(*first);
    if found != first_sequence {
        return Err(Damage::FirstSequence {
            expected: first_sequence,
            found,
        });
    }
    Ok(u64::from_le_bytes(*epoch))
}
