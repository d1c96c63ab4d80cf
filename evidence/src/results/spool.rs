//! A spool as it is written: messages go to the kernel before they go to the client. Must never hide that a write failed: what
//! is not in the spool must not be shown.
//!
//! A spool is a row of chunks: `kind u8 | length u32 | CRC-32 of kind and body u32 | body`, integers little-endian. Kinds: `H` (first) the
//! header as JSON, `T` the body of a RowDescription, `m` bytes of messages, cut anywhere, `E` (last) how it ended as JSON.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::hex::HexDigest;
use crate::log::Log;
use crate::record::Micros;
use crate::results::{file_name, folder};

pub(super) const FORMAT: &str = "provost-spool-v1";
pub(super) const CHUNK_HEADER_BYTES: usize = 9;
/// Bytes of one chunk's body, at most: what a session passes at once is far less.
pub(super) const CHUNK_BYTES_MAX: usize = 1 << 30;

pub(super) const HEADER: u8 = b'H';
pub(super) const DESCRIPTION: u8 = b'T';
pub(super) const MESSAGES: u8 = b'm';
pub(super) const END: u8 = b'E';

/// Whose result it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolHeader {
    /// The statement.
    pub statement_id: String,
    /// Its session.
    pub session_id: String,
    /// When it was decided.
    pub decided_at: Micros,
}

/// The header as it is written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    #[serde(flatten)]
    pub(super) of: SpoolHeader,
}

/// How a result ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ending {
    pub(super) ended_at: Micros,
    /// BLAKE3 over all messages, hex.
    pub(super) result_digest: String,
}

/// A result that is being recorded. Its file begins with the first that is written: a statement without a result has none. Dropping it
/// without [`Spool::end`] leaves a result whose end nobody saw.
pub struct Spool {
    log: Arc<Log>,
    header: SpoolHeader,
    /// Locked for as long as it is written: nobody publishes it meanwhile.
    file: Option<File>,
    bytes: u64,
    staged: Vec<u8>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Spool")
            .field("header", &self.header)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Spool {
    pub(crate) fn new(log: Arc<Log>, header: SpoolHeader) -> Self {
        Self {
            log,
            header,
            file: None,
            bytes: 0,
            staged: Vec::new(),
        }
    }

    /// The body of the RowDescription that tells of the rows to come.
    ///
    /// # Errors
    /// As [`Spool::write`].
    pub fn describe(&mut self, body: &[u8]) -> Result<(), Error> {
        self.chunk(DESCRIPTION, body)
    }

    /// Bytes of DataRow and CopyData messages, in order, cut anywhere. They are in the kernel when it returns.
    ///
    /// # Errors
    /// [`Error::LogFull`] and [`Error::File`]: the bytes are not recorded, and must not be shown.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.chunk(MESSAGES, bytes)
    }

    /// Its end, with BLAKE3 over all messages. A spool whose end can't be written counts as one whose end nobody saw.
    pub fn end(&self, ended_at: Micros, result_digest: [u8; 32]) {
        let Some(file) = &self.file else { return };
        let ending = Ending {
            ended_at,
            result_digest: HexDigest::from(result_digest).as_str().to_owned(),
        };
        let written = serde_json::to_vec(&ending)
            .map_err(|source| Error::Encode { source })
            .and_then(|body| {
                let mut staged = Vec::new();
                stage(&mut staged, END, &body);
                self.log.fill_room(staged.len() as u64);
                let mut file = file;
                file.write_all(&staged)
                    .map_err(Error::file("append to", self.path()))
            });
        if let Err(error) = written {
            tracing::error!(%error, "the end of a recorded result could not be written");
        }
    }

    fn path(&self) -> PathBuf {
        folder(self.log.folder()).join(file_name(&self.header.statement_id))
    }

    fn chunk(&mut self, kind: u8, body: &[u8]) -> Result<(), Error> {
        for part in body.chunks(CHUNK_BYTES_MAX) {
            let mut staged = std::mem::take(&mut self.staged);
            staged.clear();
            if self.file.is_none() {
                self.begin(&mut staged)?;
            }
            stage(&mut staged, kind, part);
            let written = self.append(&staged);
            self.staged = staged;
            written?;
        }
        Ok(())
    }

    fn begin(&mut self, staged: &mut Vec<u8>) -> Result<(), Error> {
        let header = Header {
            format: FORMAT.to_owned(),
            of: self.header.clone(),
        };
        let body = serde_json::to_vec(&header).map_err(|source| Error::Encode { source })?;
        stage(staged, HEADER, &body);
        let path = self.path();
        self.file = Some(create(&path).map_err(Error::file("create", &path))?);
        Ok(())
    }

    /// All of it, or none.
    fn append(&mut self, staged: &[u8]) -> Result<(), Error> {
        let path = self.path();
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let bytes = staged.len() as u64;
        self.log.take_room(bytes)?;
        if let Err(source) = file.write_all(staged) {
            // Where this fails too, what is behind is read as torn off.
            let _ = file.set_len(self.bytes);
            self.log.give_room(bytes);
            return Err(Error::File {
                action: "append to",
                path,
                source,
            });
        }
        self.bytes += bytes;
        Ok(())
    }
}

/// Only the gateway's own user may read it: it holds rows.
fn create(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let file = File::options()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

fn stage(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    // Chunks are cut at `CHUNK_BYTES_MAX`.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    out.push(kind);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(kind, body).to_le_bytes());
    out.extend_from_slice(body);
}

pub(super) fn checksum(kind: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(body);
    hasher.finalize()
}
