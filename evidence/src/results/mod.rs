//! Recorded results: the rows that clients got, as they got them. While a result goes out its very messages are written to a *spool* in the
//! log's folder; a seal makes objects of spools that ended, and logs what is in them. Must never say that an object holds a result
//! whose messages can't be had back from it, nor let go of a spool before its objects are durable and logged.
//!
//! | module | what it holds |
//! |---|---|
//! | `spool` | a spool as it is written |
//! | `reading` | a spool as it is read back |
//! | `object` | messages to Parquet, and back |
//! | `catalogs` | catalogs that statements were analysed by |
//! | `publish` | ended spools to the store and the log |

pub(crate) mod catalogs;
pub(crate) mod object;
pub(crate) mod publish;
mod reading;
mod spool;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use object::{Described, Messages, Read, read};
pub use spool::{Spool, SpoolHeader};

/// Where recorded results are in a store.
pub const PREFIX: &str = "results/";
/// Bytes of one message that is recorded, at most: a reader needs one in memory.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of messages in one object, about: a reader needs them in memory, and so does whoever makes the object.
const PART_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Where a log keeps its spools.
fn folder(log: &Path) -> PathBuf {
    log.join("results")
}

/// What a spool's file is called.
fn file_name(statement_id: &str) -> String {
    format!("{statement_id}.spool")
}

/// The ids of the statements whose spools are in a log's folder, in order.
pub(crate) fn spooled(log: &Path) -> std::io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder(log)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let id = name.to_str().and_then(|name| name.strip_suffix(".spool"));
        ids.extend(id.map(str::to_owned));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// Bytes of the spools in a log's folder.
pub(crate) fn bytes_spooled(log: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for id in spooled(log)? {
        bytes += std::fs::metadata(folder(log).join(file_name(&id)))?.len();
    }
    Ok(bytes)
}
