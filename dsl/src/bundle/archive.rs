//! The `.tar.gz` itself: written so that equal content gives equal bytes, read so that nothing in it goes unseen.
//!
//! It must never hand out a name that leads out of the bundle, nor pass over an entry, a byte or a second meaning.

use std::{
    borrow::Borrow,
    collections::BTreeMap,
    fmt,
    io::{self, Read as _},
};

use flate2::{Compression, GzBuilder, bufread::GzDecoder};
use tar::{Archive, Builder, EntryType, Header};

use super::error::{Error, NameFault};

/// How many bytes a bundle may have; more are [`Error::TooLarge`].
pub const BUNDLE_BYTES_MAX: usize = 16 << 20;
/// How many bytes it may unpack to; more are [`Error::Bomb`].
pub(super) const UNPACKED_BYTES_MAX: u64 = 64 << 20;
/// How many entries it may have; more are [`Error::TooManyFiles`].
pub(super) const FILES_MAX: usize = 10_000;
/// How many bytes a file may have; more are [`Error::FileTooLarge`]. Ten thousand files make a signature of 3 MB.
pub(super) const FILE_BYTES_MAX: u64 = 8 << 20;
/// How long a name may be: what the archive's header has room for.
pub(super) const NAME_BYTES_MAX: usize = 255;
/// Tar's unit.
const BLOCK_BYTES: u64 = 512;
/// How much of a name that is refused is shown, in characters.
const SHOWN_MAX: usize = 80;

/// The manifest's name.
pub(super) const MANIFEST: &str = ".manifest";
/// The signature's name.
pub(super) const SIGNATURES: &str = ".signatures.json";

/// Files by their names, sorted.
pub(super) type Files = BTreeMap<Name, Vec<u8>>;

/// What a file of a bundle is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `.manifest`.
    Manifest,
    /// `.signatures.json`.
    Signatures,
    /// `*.pol`.
    Policy,
    /// `*.rego`.
    Module,
    /// `data.json`, in any folder.
    Data,
}

/// A file's name: relative, with `/` between steps, none of them empty, `.`, `..` or hidden, and of a kind that we know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Reads a name. One `/` or `./` in front is left out: OPA's tools and `tar -c .` write them.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Foreign`].
    pub(super) fn parse(raw: &[u8]) -> Result<Self, Error> {
        let name = plain(raw)?;
        let found = Self(name.to_owned());
        match found.kind() {
            Some(_) => Ok(found),
            None => Err(Error::Foreign { name: shown(raw) }),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is.
    pub(super) fn kind(&self) -> Option<Kind> {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        match (self.0.as_str(), last) {
            (MANIFEST, _) => Some(Kind::Manifest),
            (SIGNATURES, _) => Some(Kind::Signatures),
            (_, "data.json") => Some(Kind::Data),
            _ if last.ends_with(".pol") => Some(Kind::Policy),
            _ if last.ends_with(".rego") => Some(Kind::Module),
            _ => None,
        }
    }

    /// Whether its hash is taken over the canonical form of its JSON.
    pub(super) fn is_structured(&self) -> bool {
        matches!(self.kind(), Some(Kind::Manifest | Kind::Data))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A file's or folder's name as it is in the archive.
fn plain(raw: &[u8]) -> Result<&str, Error> {
    let refused = |fault| Error::Name {
        name: shown(raw),
        fault,
    };
    let text = std::str::from_utf8(raw).map_err(|_| refused(NameFault::NotUtf8))?;
    let text = text
        .strip_prefix("./")
        .or_else(|| text.strip_prefix('/'))
        .unwrap_or(text);
    if text.len() > NAME_BYTES_MAX {
        return Err(refused(NameFault::TooLong));
    }
    if text
        .chars()
        .any(|letter| letter == '\\' || letter.is_control())
    {
        return Err(refused(NameFault::Character));
    }
    if text.split('/').any(|step| matches!(step, "" | "." | "..")) {
        return Err(refused(NameFault::Step));
    }
    let is_hidden = text.split('/').any(|step| step.starts_with('.'));
    if is_hidden && !matches!(text, MANIFEST | SIGNATURES) {
        return Err(refused(NameFault::Hidden));
    }
    Ok(text)
}

/// A name that may be anything, in a message.
fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw)
        .chars()
        .take(SHOWN_MAX)
        .map(|letter| if letter.is_control() { '?' } else { letter })
        .collect()
}

/// Packs the files: sorted, without times, owners or any other trace of where they were.
///
/// # Errors
/// [`Error::Name`] for a name that tar has no room for, [`Error::TooLarge`].
pub(super) fn write(files: &Files) -> Result<Vec<u8>, Error> {
    // The header says no time and no operating system.
    let packer = GzBuilder::new()
        .mtime(0)
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    let mut archive = Builder::new(packer);
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_path(name.as_str()).map_err(|_| Error::Name {
            name: name.to_string(),
            fault: NameFault::Unwritable,
        })?;
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        archive
            .append(&header, bytes.as_slice())
            .map_err(|source| Error::Tar { source })?;
    }
    let packed = archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .map_err(|source| Error::Gzip { source })?;
    if packed.len() > BUNDLE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    Ok(packed)
}

/// Unpacks the files.
///
/// # Errors
/// [`Error`], for the first thing that a bundle may not have.
pub(super) fn read(bytes: &[u8]) -> Result<Files, Error> {
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let unpacked = unpack(bytes)?;
    let damaged = |source| Error::Tar { source };
    let mut archive = Archive::new(unpacked.as_slice());
    let mut files = Files::new();
    let mut end = 0;
    // INVARIANT: raw, so that extension headers, which would change what other readers see, are entries that we refuse.
    let entries = archive.entries().map_err(damaged)?.raw(true);
    for (position, entry) in entries.enumerate() {
        if position >= FILES_MAX {
            return Err(Error::TooManyFiles);
        }
        let mut entry = entry.map_err(damaged)?;
        let header = entry.header();
        let size = header.entry_size().map_err(damaged)?;
        let raw = header.path_bytes().into_owned();
        let kind = header.entry_type();
        let start = entry.raw_file_position();
        end = size
            .checked_next_multiple_of(BLOCK_BYTES)
            .and_then(|size| start.checked_add(size))
            .ok_or_else(|| damaged(io::ErrorKind::InvalidData.into()))?;
        match kind {
            EntryType::Regular => {
                let name = Name::parse(&raw)?;
                let content = content(&mut entry, &name, size)?;
                if files.insert(name.clone(), content).is_some() {
                    return Err(Error::Twice {
                        name: name.to_string(),
                    });
                }
            }
            EntryType::Directory if size == 0 => folder(&raw)?,
            other => {
                return Err(Error::EntryKind {
                    name: shown(&raw),
                    kind: char::from(other.as_byte()),
                });
            }
        }
    }
    finish(&unpacked, end)?;
    Ok(files)
}

/// The whole archive, and nothing after it.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut reader = GzDecoder::new(bytes);
    let mut unpacked = Vec::new();
    reader
        .by_ref()
        .take(UNPACKED_BYTES_MAX + 1)
        .read_to_end(&mut unpacked)
        .map_err(|source| Error::Gzip { source })?;
    if unpacked.len() as u64 > UNPACKED_BYTES_MAX {
        return Err(Error::Bomb);
    }
    if reader.into_inner().is_empty() {
        Ok(unpacked)
    } else {
        Err(Error::Trailing)
    }
}

fn content(entry: &mut impl io::Read, name: &Name, size: u64) -> Result<Vec<u8>, Error> {
    let most = match name.kind() {
        Some(Kind::Policy | Kind::Module) => crate::load::FILE_BYTES_MAX,
        Some(Kind::Manifest | Kind::Signatures | Kind::Data) | None => FILE_BYTES_MAX,
    };
    if size > most {
        return Err(Error::FileTooLarge {
            name: name.to_string(),
        });
    }
    let mut content = Vec::new();
    entry
        .read_to_end(&mut content)
        .map_err(|source| Error::Tar { source })?;
    // The reader gives what there is: an archive that ends inside a file is cut.
    if content.len() as u64 == size {
        Ok(content)
    } else {
        Err(Error::Tar {
            source: io::ErrorKind::UnexpectedEof.into(),
        })
    }
}

/// Folders carry nothing, but their names must be as plain as files'.
fn folder(raw: &[u8]) -> Result<(), Error> {
    match raw {
        b"." | b"./" | b"/" => Ok(()),
        _ => plain(raw.strip_suffix(b"/").unwrap_or(raw)).map(|_| ()),
    }
}

/// After the last entry come at least two blocks of zeros, and nothing else.
fn finish(unpacked: &[u8], end: u64) -> Result<(), Error> {
    let rest = usize::try_from(end)
        .ok()
        .and_then(|end| unpacked.get(end..))
        .unwrap_or_default();
    if (rest.len() as u64) < 2 * BLOCK_BYTES {
        return Err(Error::Tar {
            source: io::ErrorKind::UnexpectedEof.into(),
        });
    }
    if rest.iter().all(|byte| *byte == 0) {
        Ok(())
    } else {
        Err(Error::Trailing)
    }
}
