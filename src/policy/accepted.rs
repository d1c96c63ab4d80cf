//! The highest bundle that this gateway ever accepted, on its disk: a restart must not open the way to a downgrade, nor need its
//! source. The copy is no more trusted than what comes from there: it is verified again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use provost_dsl::bundle::Place;
use serde::{Deserialize, Serialize};

/// The place's file, in the log's folder.
const FILE: &str = "accepted-bundle.json";
/// The bundle itself, beside it.
const COPY: &str = "accepted-bundle.tar.gz";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    sequence: u64,
    digest: String,
}

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It can't be read or written.
    #[error("can't {action} `{}`, which holds the highest bundle accepted: {source}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is damaged.
    #[error(
        "`{}`, which holds the highest bundle accepted, is damaged: {source}; restore it from a copy, or remove it and set `policy.minimum_sequence`",
        path.display()
    )]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads the place; `None` before the first bundle.
///
/// # Errors
/// [`Error`].
pub(super) fn read(folder: &Path) -> Result<Option<Place>, Error> {
    let path = folder.join(FILE);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(Error::File {
                action: "read",
                path,
                source,
            });
        }
    };
    match serde_json::from_slice::<Stored>(&bytes) {
        Ok(stored) => Ok(Some(Place {
            sequence: stored.sequence,
            digest: stored.digest,
        })),
        Err(source) => Err(Error::Damaged { path, source }),
    }
}

/// Where the copy is.
pub(super) fn copy(folder: &Path) -> PathBuf {
    folder.join(COPY)
}

/// Writes the bundle and its place, each durably: a new file, fsync, rename, fsync of the folder.
///
/// # Errors
/// [`Error::File`].
pub(super) fn write(folder: &Path, place: &Place, bytes: &[u8]) -> Result<(), Error> {
    // INVARIANT: the copy first. A crash in between leaves a copy above the place, which may follow it; never one below.
    let path = copy(folder);
    replace(folder, &path, bytes).map_err(|source| Error::File {
        action: "write",
        path,
        source,
    })?;
    let path = folder.join(FILE);
    let stored = Stored {
        sequence: place.sequence,
        digest: place.digest.clone(),
    };
    let written = serde_json::to_vec(&stored)
        .map_err(io::Error::from)
        .and_then(|bytes| replace(folder, &path, &bytes));
    written.map_err(|source| Error::File {
        action: "write",
        path,
        source,
    })
}

fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()).unwrap(), None);
        for sequence in [3, 4] {
            let place = Place {
                sequence,
                digest: "d".to_owned(),
            };
            write(folder.path(), &place, b"bytes").unwrap();
            assert_eq!(read(folder.path()).unwrap(), Some(place));
            assert_eq!(fs::read(copy(folder.path())).unwrap(), b"bytes");
        }
        for damage in [
            "",
            "{}",
            "{\"sequence\":3,\"digest\":\"d\"",
            "{\"sequence\":-1,\"digest\":\"d\"}",
        ] {
            fs::write(folder.path().join(FILE), damage).unwrap();
            assert!(
                matches!(read(folder.path()), Err(Error::Damaged { .. })),
                "{damage}"
            );
        }
    }
}
