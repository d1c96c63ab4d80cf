//! Checkpoints: a C2SP tlog-checkpoint in a C2SP signed note, with one extension line that pins the seal document:
//! `seal <number> <sha256>`. Must never accept bytes that it would not itself have written.

use signed_note::{Note, VerifierList};
use tlog_tiles::Checkpoint;
use tlog_tiles::tlog::Hash;

use crate::error::Error;
use crate::hex;
use crate::key::{PublicKey, SigningKey};
use crate::verify::Fault;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// Leaves in the tree.
    pub(crate) size: u64,
    /// Its root.
    pub(crate) root: Hash,
    /// The seal's number, from 0.
    pub(crate) seal: u64,
    /// SHA-256 of the seal document.
    pub(crate) seal_sha256: String,
}

/// Where the checkpoint of a seal is kept for ever.
pub(crate) fn key(gateway: &str, seal: u64) -> String {
    format!("{}/checkpoints/{seal:020}", super::prefix(gateway))
}

/// Where the copy of the latest checkpoint is: the name that tlog-tiles gives it.
pub(crate) fn latest_key(gateway: &str) -> String {
    format!("{}/checkpoint", super::prefix(gateway))
}

/// Signs a checkpoint. Ed25519 signatures are deterministic, so the bytes are too.
pub(crate) fn sign(
    signing: &SigningKey,
    gateway: &str,
    statement: &Statement,
) -> Result<Vec<u8>, Error> {
    let refused = |fault| Error::Ledger {
        gateway: gateway.to_owned(),
        fault: Box::new(fault),
    };
    let extension = format!("seal {} {}\n", statement.seal, statement.seal_sha256);
    let origin = signing.public(gateway).origin();
    let text = Checkpoint::new(&origin, statement.size, statement.root, &extension)
        .map_err(|_| refused(Fault::Malformed))?
        .to_bytes();
    let mut note = Note::new(&text, &[]).map_err(|_| refused(Fault::Malformed))?;
    note.add_sigs(&[&signing.signer(gateway)])
        .map_err(|_| refused(Fault::Signature))?;
    Ok(note.to_bytes())
}

/// Checks the signature and reads a checkpoint.
pub(crate) fn open(bytes: &[u8], public: &PublicKey) -> Result<Statement, Fault> {
    let note = Note::from_bytes(bytes).map_err(|_| Fault::Malformed)?;
    let verifier = public.verifier().map_err(|_| Fault::Signature)?;
    let (verified, others) = note
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .map_err(|_| Fault::Signature)?;
    // Bytes that don't round-trip, and signatures that nobody checks, are places to hide a change in.
    if note.to_bytes() != bytes || verified.len() != 1 || !others.is_empty() {
        return Err(Fault::Malformed);
    }
    let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| Fault::Malformed)?;
    if checkpoint.to_bytes() != note.text() || checkpoint.origin() != public.origin() {
        return Err(Fault::Malformed);
    }
    let (seal, seal_sha256) = parse_extension(checkpoint.extension()).ok_or(Fault::Malformed)?;
    Ok(Statement {
        size: checkpoint.size(),
        root: *checkpoint.hash(),
        seal,
        seal_sha256,
    })
}

fn parse_extension(extension: &str) -> Option<(u64, String)> {
    let (number, digest) = extension
        .strip_prefix("seal ")?
        .strip_suffix('\n')?
        .split_once(' ')?;
    hex::parse(digest)?;
    Some((number.parse().ok()?, digest.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_byte_and_every_other_key_is_refused() {
        let key = SigningKey::generate().unwrap();
        let statement = Statement {
            size: 7,
            root: tlog_tiles::tlog::EMPTY_HASH,
            seal: 3,
            seal_sha256: crate::ledger::sha256(b""),
        };
        let bytes = sign(&key, "g", &statement).unwrap();
        assert_eq!(open(&bytes, &key.public("g")), Ok(statement));
        for position in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[position] ^= 1 << bit;
                assert!(
                    open(&flipped, &key.public("g")).is_err(),
                    "byte {position} bit {bit}"
                );
            }
            assert!(open(&bytes[..position], &key.public("g")).is_err());
        }
        assert_eq!(open(&bytes, &key.public("h")), Err(Fault::Signature));
        assert_eq!(
            open(&bytes, &SigningKey::generate().unwrap().public("g")),
            Err(Fault::Signature)
        );
    }
}
