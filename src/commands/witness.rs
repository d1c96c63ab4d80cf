//! `provost evidence witness`: an independent party verifies a store and cosigns its checkpoints; `verify` then finds a store that was rolled
//! back behind them. It must never put a cosignature beside the evidence that it is about.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use provost_evidence::{Cosigned, Location, PublicKey, Report, Witness, WitnessKey, witness};

use super::evidence::{check, open, told};
use crate::{
    error::{Error, Exit},
    output::line,
};

/// Reads a witness's private key.
///
/// # Errors
/// [`Error::File`], [`Error::Evidence`].
pub(super) fn read_key(name: &str, path: &Path) -> Result<WitnessKey, Error> {
    let pem = fs::read_to_string(path).map_err(file("read", path))?;
    Ok(WitnessKey::from_pem(name, &pem)?)
}

/// Verifies a store and cosigns the newest checkpoint of each gateway.
///
/// # Errors
/// [`Error::Told`] when the evidence is not intact; [`Error::File`], [`Error::Evidence`], [`Error::Clock`].
pub(super) async fn cosign(
    store: &Location,
    keys: &[PublicKey],
    witness: &WitnessKey,
    keep: &Path,
) -> Result<(), Error> {
    let report = check(store, keys, None).await?;
    if !report.is_intact() {
        line(&told(&report, &[]));
        return Err(Error::Told(Exit::Failed));
    }
    let at_seconds = u64::try_from(Timestamp::now().as_second()).map_err(|_| Error::Clock)?;
    let store = open(store)?;
    fs::create_dir_all(keep).map_err(file("create folder", keep))?;
    for key in keys {
        let path = keep.join(format!("{}.checkpoint", key.gateway()));
        let kept = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(file("read", &path)(error)),
        };
        let (bytes, cosigned) = witness::cosign(
            store.as_ref(),
            &report,
            key,
            witness,
            kept.as_deref(),
            at_seconds,
        )
        .await?;
        replace(&path, &bytes)?;
        line(&format!(
            "{}: the first {} rows cosigned, kept in {}",
            cosigned.gateway,
            cosigned.size,
            path.display()
        ));
    }
    Ok(())
}

/// What a witness says of a store that was found intact.
///
/// # Errors
/// [`Error::File`], [`Error::Evidence`] when the store doesn't hold what was cosigned.
pub(super) async fn anchors(
    store: &Location,
    report: &Report,
    keys: &[PublicKey],
    witnessed: &[PathBuf],
    witness_key: &Path,
) -> Result<Vec<Cosigned>, Error> {
    let text = fs::read_to_string(witness_key).map_err(file("read", witness_key))?;
    let witness = Witness::parse(&text)?;
    let store = open(store)?;
    let mut anchors = Vec::new();
    for path in witnessed {
        let bytes = fs::read(path).map_err(file("read", path))?;
        // The first line names the gateway; a file that names none of ours is checked with a key that won't do, and refused.
        let is_of =
            |key: &&PublicKey| bytes.starts_with(format!("provost/{}\n", key.gateway()).as_bytes());
        let Some(key) = keys.iter().find(is_of).or(keys.first()) else {
            continue;
        };
        anchors.push(witness::anchor(store.as_ref(), report, key, &bytes, &witness).await?);
    }
    Ok(anchors)
}

/// When it was cosigned.
pub(super) fn time(anchor: &Cosigned) -> String {
    let seconds = i64::try_from(anchor.at_seconds).ok();
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    at.map_or_else(|| anchor.at_seconds.to_string(), |at| at.to_string())
}

/// Puts a file in the other's place at once: a crash leaves one of them.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("checkpoint.next");
    fs::write(&next, bytes).map_err(file("write", &next))?;
    fs::rename(&next, path).map_err(file("replace", path))
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        action,
        path,
        source,
    }
}
