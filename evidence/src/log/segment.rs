//! Segments: files of frames, named by their first sequence. Reads them at start-up and for sealing; must never
//! change a file: cutting a torn tail is the caller's decision ([`crate::log::Log::open`]).
//!
//! A segment can be read without any other: what its entries refer to is defined in it. Version 1 has records as JSON and nothing else; it
//! is read, and no longer written.
//!
//! A segment begins with `magic 8 | epoch u64 | first sequence u64 | crc32 u32` (little-endian, the CRC over the
//! 24 bytes before it). It is created whole by rename, so a damaged header is never the work of a crash.

use std::path::{Path, PathBuf};

use crate::entries::{Item, Vocabulary};
use crate::error::{Damage, Error};
use crate::log::frame;
use crate::log::reading::{self, Defined};

/// The first eight bytes; the last is the version.
const SEGMENT_MAGIC: [u8; 8] = *b"PVSTWAL\x02";
/// The same of version 1.
const SEGMENT_MAGIC_1: [u8; 8] = *b"PVSTWAL\x01";

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

/// A segment whose header was read.
#[derive(Debug)]
pub(crate) struct Opened<'a> {
    path: &'a SegmentPath,
    bytes: Vec<u8>,
    version: Version,
    /// The gateway's start that wrote it.
    pub(crate) epoch: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The sequence after the last entry.
    pub(crate) next_sequence: u64,
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

/// Bytes of all segments in `folder`.
pub(crate) fn bytes_held(folder: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for segment in list(folder)? {
        let found = std::fs::metadata(&segment.path);
        bytes += found.map_err(Error::file("look at", &segment.path))?.len();
    }
    Ok(bytes)
}

/// Opens a segment: reads it and checks its header.
///
/// # Errors
/// [`Error::Damaged`] with the offset; [`Error::File`] when the file can't be read.
pub(crate) fn open(path: &SegmentPath) -> Result<Opened<'_>, Error> {
    let bytes = std::fs::read(&path.path).map_err(Error::file("read", &path.path))?;
    let header = scan_header(&bytes, path.first_sequence);
    let (version, epoch) = header.map_err(|damage| path.damaged(0, damage))?;
    Ok(Opened {
        path,
        bytes,
        version,
        epoch,
    })
}

/// Opens a segment and reads it for nothing but what is wrong with it.
///
/// # Errors
/// As [`open`] and [`Opened::read`].
pub(crate) fn check(path: &SegmentPath) -> Result<Extent, Error> {
    open(path)?.read(&mut Vocabulary::default(), &mut |_, _| {})
}

impl SegmentPath {
    /// The error that says what is wrong where.
    pub(crate) fn damaged(&self, offset: u64, damage: Damage) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset,
            damage,
        }
    }
}

impl Opened<'_> {
    /// Reads every entry in order, each with its sequence. A torn tail is described, not repaired; damage before a whole later frame is an
    /// error.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the offset.
    pub(crate) fn read(
        &self,
        vocabulary: &mut Vocabulary,
        each: &mut dyn FnMut(u64, Item),
    ) -> Result<Extent, Error> {
        let mut defined = Defined::default();
        let mut sequence = self.path.first_sequence;
        let mut offset = SEGMENT_HEADER_BYTES;
        let mut torn = None;
        while let Some(rest) = self.bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let damaged = |damage| Err(self.path.damaged(offset as u64, damage));
            let frame = match frame::decode(rest) {
                Ok(frame) => frame,
                Err(damage) if frame::later_frame_follows(rest, sequence, SEQUENCES_AHEAD_MAX) => {
                    return damaged(damage);
                }
                Err(damage) => {
                    let bytes = rest.len() as u64;
                    torn = Some(Torn { bytes, damage });
                    break;
                }
            };
            if frame.sequence != sequence {
                return damaged(Damage::Sequence {
                    expected: sequence,
                    found: frame.sequence,
                });
            }
            let item = match self.version {
                Version::One => reading::whole(frame.payload, vocabulary),
                Version::Two => defined.read(frame.payload, vocabulary),
            };
            let Some(item) = item else {
                return damaged(Damage::Payload);
            };
            each(sequence, item);
            sequence += 1;
            offset += frame.bytes;
        }
        Ok(Extent {
            next_sequence: sequence,
            bytes_good: offset as u64,
            torn,
        })
    }
}

fn scan_header(bytes: &[u8], first_sequence: u64) -> Result<(Version, u64), Damage> {
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let (epoch, rest) = rest.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let (first, rest) = rest.split_first_chunk::<8>().ok_or(Damage::HeaderShort)?;
    let crc = rest.first_chunk::<4>().ok_or(Damage::HeaderShort)?;
    let version = match *magic {
        SEGMENT_MAGIC => Version::Two,
        SEGMENT_MAGIC_1 => Version::One,
        _ => return Err(Damage::Magic),
    };
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
    Ok((version, u64::from_le_bytes(*epoch)))
}

/// A whole segment as version 1 wrote it.
#[cfg(test)]
pub(crate) fn of_version_1(
    epoch: u64,
    first_sequence: u64,
    records: &[crate::record::Record],
) -> Vec<u8> {
    let mut out = header(epoch, first_sequence);
    out[..8].copy_from_slice(&SEGMENT_MAGIC_1);
    let crc = crc32fast::hash(&out[..SEGMENT_HEADER_BYTES - 4]);
    out[SEGMENT_HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    for (record, sequence) in records.iter().zip(first_sequence..) {
        out.extend(frame::encode(
            sequence,
            &serde_json::to_vec(record).unwrap(),
        ));
    }
    out
}
