//! The one error of this crate. It must never carry a record's content: errors are printed and logged elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

/// What went wrong in the evidence, and what to do next where we know it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused something.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Another process holds the log's folder.
    #[error("log folder `{}` is in use by another process; stop it, or give this gateway its own folder", folder.display())]
    Locked {
        /// The log's folder.
        folder: PathBuf,
    },
    /// The gateway's name can't be part of an object key.
    #[error(
        "gateway name `{name}` must be 1 to 64 of a-z, 0-9, `.`, `_`, `-`, starting with a letter or digit"
    )]
    GatewayName {
        /// The name as given.
        name: String,
    },
    /// A log file is damaged where no crash can damage it.
    #[error("`{}` is damaged at byte {offset}: {damage}; nothing was changed, restore the file from a copy", path.display())]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Byte offset of the first bad frame.
        offset: u64,
        /// What is wrong there.
        damage: Damage,
    },
    /// The log stopped at an earlier error and takes no more records until the process is restarted.
    #[error("the log has failed and takes no more records; fix the cause and restart the gateway")]
    LogFailed {
        /// The first error.
        #[source]
        cause: Arc<Error>,
    },
    /// There is no room for the record; the log goes on once a seal has made some.
    #[error("the log takes no more records: {shortage}; it goes on once evidence can be sealed")]
    LogFull {
        /// Why.
        shortage: crate::log::Shortage,
    },
    /// A record is larger than a frame may be.
    #[error("record of {bytes} bytes is larger than the limit of {bytes_max}")]
    RecordTooLarge {
        /// Encoded size, bytes.
        bytes: usize,
        /// The limit, bytes.
        bytes_max: usize,
    },
    /// A record could not be encoded.
    #[error("record cannot be encoded")]
    Encode {
        /// The encoder's reason.
        source: serde_json::Error,
    },
    /// What records have in common could not be encoded.
    #[error("draft of records cannot be encoded")]
    Draft {
        /// The encoder's reason.
        source: postcard::Error,
    },
    /// The object store refused something.
    #[error("cannot {action} object `{key}`")]
    Store {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The object's key, or a prefix.
        key: String,
        /// The store's reason.
        source: object_store::Error,
    },
    /// The object store didn't answer in time.
    #[error("object `{key}` could not be put within {timeout_ms} ms")]
    Late {
        /// The object's key.
        key: String,
        /// The limit, milliseconds.
        timeout_ms: u64,
    },
    /// The store's location or settings can't be used.
    #[error("store `{location}`: {problem}")]
    Location {
        /// As given.
        location: String,
        /// What is wrong with it.
        problem: crate::store::Problem,
    },
    /// An object that is written once is already there with other content.
    #[error(
        "object `{key}` exists with other content: another writer uses this gateway's name, or it was altered; run `provost evidence verify`"
    )]
    Conflict {
        /// The object's key.
        key: String,
    },
    /// What stands in the place of an approval's document is none that a trusted gateway signed.
    #[error(
        "`{key}` is no document of an approval that a trusted gateway signed: it was altered, or its gateway's key is not among those that are trusted"
    )]
    Approval {
        /// The document's key.
        key: String,
    },
    /// A time stamp is not what was asked for.
    #[error("time stamp {problem}")]
    Stamp {
        /// What is wrong with it.
        problem: crate::stamp::Problem,
    },
    /// The operating system gave no random bytes.
    #[error("no randomness from the operating system")]
    Randomness {
        /// Its reason.
        source: getrandom::Error,
    },
    /// Rows could not be encoded as Parquet, or Parquet could not be read.
    #[error("cannot {action} Parquet for `{key}`")]
    Parquet {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The object's key.
        key: String,
        /// The library's reason.
        source: parquet::errors::ParquetError,
    },
    /// Rows could not be laid out as columns.
    #[error("cannot lay out rows of `{dataset}`")]
    Columns {
        /// The dataset.
        dataset: &'static str,
        /// The library's reason.
        source: arrow::error::ArrowError,
    },
    /// A file of the sealer in the log's folder is damaged.
    #[error("`{}` is damaged; restore it from a copy, nothing was changed", path.display())]
    StateDamaged {
        /// The file.
        path: PathBuf,
    },
    /// The store and the log's folder disagree about what was sealed last.
    #[error(
        "log folder says seal {local:?} of `{gateway}` was the last, the store says {stored:?}: one of them was replaced; restore it, or give this gateway a new name"
    )]
    Diverged {
        /// The gateway.
        gateway: String,
        /// The last seal by the log's folder.
        local: Option<u64>,
        /// The last seal by the store.
        stored: Option<u64>,
    },
    /// What the store holds for a gateway can't be continued.
    #[error("ledger of `{gateway}` cannot be continued: {fault}; run `provost evidence verify`")]
    Ledger {
        /// The gateway.
        gateway: String,
        /// What is wrong.
        fault: Box<crate::verify::Fault>,
    },
    /// A key is not what it should be.
    #[error("{problem}")]
    Key {
        /// What is wrong with it.
        problem: crate::key::Problem,
    },
    /// A witness's key or a cosigned checkpoint is not what it should be.
    #[error("{problem}")]
    Witness {
        /// What is wrong.
        problem: crate::witness::Problem,
    },
    /// Something about a legal hold is wrong. Where one can't be read, nothing is deleted.
    #[error("legal hold, `{key}`: {problem}")]
    Hold {
        /// The document's key.
        key: String,
        /// What is wrong.
        problem: crate::holds::Problem,
    },
    /// Work on another thread was stopped, because the runtime shuts down or the work panicked.
    #[error("sealing was interrupted; repeat it")]
    Interrupted {
        /// The runtime's reason.
        source: tokio::task::JoinError,
    },
    /// A folder that is to be written to holds something.
    #[error("folder `{}` is not empty; name one that is missing or empty", folder.display())]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// A catalogue of controls names a measure that there is not.
    #[error("there is no measure `{measure}` among the queries")]
    Measure {
        /// Its name.
        measure: String,
    },
    /// A query of ours gave other columns than it should.
    #[error("query `{query}` gave an answer of another shape")]
    Answer {
        /// The query.
        query: &'static str,
    },
    /// Lines of CSV could not be written.
    #[error("cannot write CSV")]
    Csv {
        /// The library's reason.
        source: csv::Error,
    },
    /// There is no such record in the signed tree.
    #[error("gateway `{gateway}` has no sealed record {log_index}")]
    NoRecord {
        /// The gateway.
        gateway: String,
        /// Its leaf's number.
        log_index: u64,
    },
    /// The record's object isn't in the store.
    #[error(
        "record {log_index} of `{gateway}` can't be shown: its object is not in the store; `provost evidence verify` says whether it was deleted under retention or is missing"
    )]
    Gone {
        /// The gateway.
        gateway: String,
        /// Its leaf's number.
        log_index: u64,
    },
    /// A query was refused or failed.
    #[error("query failed")]
    Query {
        /// The engine's reason.
        source: Box<datafusion::error::DataFusionError>,
    },
}

/// What is wrong with a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file is shorter than a segment's header.
    #[error("segment header is cut short")]
    HeaderShort,
    /// The first bytes are not a segment's.
    #[error("not a log segment of this version")]
    Magic,
    /// The header's checksum doesn't match.
    #[error("segment header fails its checksum")]
    HeaderChecksum,
    /// The header names another first sequence than the file's name.
    #[error("segment header says first sequence {found}, expected {expected}")]
    FirstSequence {
        /// From the file name or the preceding segment.
        expected: u64,
        /// In the header.
        found: u64,
    },
    /// A frame ends before its length says.
    #[error("frame is cut short")]
    FrameShort,
    /// A frame's length is beyond the limit.
    #[error("frame length {length} is beyond the limit")]
    FrameLength {
        /// The length in the frame.
        length: u32,
    },
    /// A frame's checksum doesn't match.
    #[error("frame fails its checksum")]
    FrameChecksum,
    /// Sequences are not dense.
    #[error("frame has sequence {found}, expected {expected}")]
    Sequence {
        /// The next in order.
        expected: u64,
        /// In the frame.
        found: u64,
    },
    /// A frame's payload is intact but is no record that this version knows.
    #[error("frame holds no record of this version")]
    Payload,
    /// A segment is missing.
    #[error("segment with first sequence {expected} is missing")]
    Missing {
        /// The first sequence not found.
        expected: u64,
    },
}

impl Error {
    /// Whether the store could not be asked, rather than refused or gave a bad answer.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Error::Store { source, .. } => matches!(
                source,
                object_store::Error::Generic { .. } | object_store::Error::JoinError { .. }
            ),
            Error::Late { .. } => true,
            _ => false,
        }
    }

    /// Wraps an operating system's error with what was attempted on which path.
    pub(crate) fn file(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::File {
            action,
            path,
            source,
        }
    }
}
