//! A seal that is decided but not yet wholly in the store: one file in the log's folder with every object, byte for byte.
//! It is written atomically before the first put, so a crash at any later point is answered by putting the same bytes
//! again. Must never be changed once written, nor removed before everything in it is durable.
//!
//! Layout: `SHA-256 of the rest (32) | header length (u64 little-endian) | header (JSON) | the objects | the state`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::log::{Disk, write_whole};

/// An object to put, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) key: String,
    pub(crate) bytes: Bytes,
}

/// Everything a seal writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) gateway: String,
    // INVARIANT: in the order of the puts; the checkpoint is the last, so that it exists only when all else does.
    pub(crate) puts: Vec<Put>,
    /// The state file after this seal.
    pub(crate) state: Bytes,
    /// Segments whose first sequence is below this are sealed.
    pub(crate) next_sequence: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    gateway: String,
    next_sequence: u64,
    puts: Vec<(String, u64)>,
}

impl Pending {
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("seal.pending")
    }

    /// Writes the file, durably and all at once.
    pub(crate) fn write(&self, disk: &dyn Disk, folder: &Path) -> Result<(), Error> {
        let puts = self
            .puts
            .iter()
            .map(|put| (put.key.clone(), put.bytes.len() as u64))
            .collect();
        let header = Header {
            gateway: self.gateway.clone(),
            next_sequence: self.next_sequence,
            puts,
        };
        let header = serde_json::to_vec(&header).map_err(|source| Error::Encode { source })?;
        let objects: usize = self.puts.iter().map(|put| put.bytes.len()).sum();
        let mut bytes = Vec::with_capacity(40 + header.len() + objects + self.state.len());
        bytes.extend_from_slice(&[0; 32]);
        bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&header);
        self.puts
            .iter()
            .for_each(|put| bytes.extend_from_slice(&put.bytes));
        bytes.extend_from_slice(&self.state);
        if let Some((digest, rest)) = bytes.split_first_chunk_mut::<32>() {
            *digest = Sha256::digest(rest).into();
        }
        let path = Pending::path(folder);
        write_whole(disk, &path, &bytes).map_err(Error::file("write", path))
    }

    /// Reads the file; `None` when no seal is under way.
    ///
    /// # Errors
    /// [`Error::StateDamaged`], [`Error::File`].
    pub(crate) fn read(folder: &Path) -> Result<Option<Pending>, Error> {
        let path = Pending::path(folder);
        match std::fs::read(&path) {
            Ok(bytes) => match decode(Bytes::from(bytes)) {
                Some(pending) => Ok(Some(pending)),
                None => Err(Error::StateDamaged { path }),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File {
                action: "read",
                path,
                source,
            }),
        }
    }
}

fn decode(bytes: Bytes) -> Option<Pending> {
    let (digest, rest) = bytes.split_first_chunk::<32>()?;
    if <[u8; 32]>::from(Sha256::digest(rest)) != *digest {
        return None;
    }
    let (header_bytes, rest) = rest.split_first_chunk::<8>()?;
    let header_bytes = usize::try_from(u64::from_le_bytes(*header_bytes)).ok()?;
    let header: Header = serde_json::from_slice(rest.get(..header_bytes)?).ok()?;
    let mut rest = bytes.slice(40 + header_bytes..);
    let mut puts = Vec::new();
    for (key, length) in header.puts {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= rest.len())?;
        puts.push(Put {
            key,
            bytes: rest.split_to(length),
        });
    }
    Some(Pending {
        gateway: header.gateway,
        puts,
        state: rest,
        next_sequence: header.next_sequence,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_every_damage_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Pending::read(folder.path()).unwrap(), None);
        let puts = [("a", "one"), ("b", ""), ("c", "three")].map(|(key, bytes)| Put {
            key: key.to_owned(),
            bytes: Bytes::from(bytes),
        });
        let pending = Pending {
            gateway: "g".to_owned(),
            puts: puts.to_vec(),
            state: Bytes::from_static(b"state"),
            next_sequence: 9,
        };
        pending
            .write(&crate::log::OperatingSystem, folder.path())
            .unwrap();
        assert_eq!(Pending::read(folder.path()).unwrap(), Some(pending));
        let path = Pending::path(folder.path());
        let whole = std::fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[position] ^= 1;
            for damaged in [&flipped[..], &whole[..position]] {
                assert_eq!(
                    decode(Bytes::copy_from_slice(damaged)),
                    None,
                    "byte {position}"
                );
            }
        }
    }
}
