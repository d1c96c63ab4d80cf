//! `provost evidence verify`: runs a verification with its progress shown and, where asked, kept, so that a later one goes on from there. It must
//! never keep more than was found intact.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use provost_evidence::{Course, Location, PublicKey, Report, Roots, Step, Verified, verify_by};
use serde::{Deserialize, Serialize};

use super::evidence::open;
use crate::{error::Error, output::progress};

/// `format` of the file.
const FORMAT: &str = "provost-verified-v1";
/// Characters of the bar.
const BAR: u64 = 24;

/// The file of `--resume`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    format: String,
    ledgers: Vec<Verified>,
}

/// Verifies a store.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Evidence`], [`Error::File`], [`Error::Resume`], [`Error::StampRoots`].
pub(super) async fn run(
    store: &Location,
    keys: &[PublicKey],
    log: Option<&Path>,
    resume: Option<&Path>,
    stamp_roots: Option<&Path>,
) -> Result<Report, Error> {
    let store = open(store)?;
    let stamp_roots = stamp_roots.map(roots).transpose()?;
    let verified = resume.map_or_else(|| Ok(Vec::new()), read)?;
    let keeper = Keeper {
        path: resume.map(Path::to_owned),
        state: Mutex::new(State {
            ledgers: verified.clone(),
            failed: None,
        }),
    };
    let watch = |step: &Step<'_>| {
        progress(&bar(step));
        keeper.keep(step);
    };
    let course = Course {
        log,
        verified: &verified,
        watch: Some(&watch),
        stamp_roots: stamp_roots.as_ref(),
    };
    let report = verify_by(store.as_ref(), keys, &course).await;
    progress("");
    keeper.failed()?;
    Ok(report?)
}

fn roots(path: &Path) -> Result<Roots, Error> {
    let pem = fs::read(path).map_err(file("read", path))?;
    Roots::from_pem(&pem).map_err(|_| Error::StampRoots {
        path: path.to_owned(),
    })
}

fn bar(step: &Step<'_>) -> String {
    let filled = BAR * step.seals / step.seals_all.max(1);
    let bar: String = (0..BAR)
        .map(|place| if place < filled { '=' } else { ' ' })
        .collect();
    format!(
        "{} [{bar}] {} of {} seals, {} rows",
        step.gateway, step.seals, step.seals_all, step.rows
    )
}

/// Writes down how far a verification came.
struct Keeper {
    path: Option<PathBuf>,
    state: Mutex<State>,
}

struct State {
    ledgers: Vec<Verified>,
    /// Why it couldn't be written.
    failed: Option<Error>,
}

impl Keeper {
    fn keep(&self, step: &Step<'_>) {
        let (Some(path), Some(verified)) = (&self.path, &step.verified) else {
            return;
        };
        let mut state = self.state();
        state
            .ledgers
            .retain(|ledger| ledger.gateway != verified.gateway);
        state.ledgers.push(verified.clone());
        let written = write(path, &state.ledgers);
        state.failed = written.err().or(state.failed.take());
    }

    fn failed(&self) -> Result<(), Error> {
        self.state().failed.take().map_or(Ok(()), Err)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // A panic while it was held leaves a list that is right or lacks a ledger.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn read(path: &Path) -> Result<Vec<Verified>, Error> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(file("read", path))?,
    };
    let of = |source| Error::Resume {
        path: path.to_owned(),
        source,
    };
    let kept: Kept = serde_json::from_slice(&bytes).map_err(of)?;
    if kept.format != FORMAT {
        return Err(of(serde::de::Error::custom("another format")));
    }
    Ok(kept.ledgers)
}

/// Puts a file in the other's place at once: a crash leaves one of them.
fn write(path: &Path, ledgers: &[Verified]) -> Result<(), Error> {
    let kept = Kept {
        format: FORMAT.to_owned(),
        ledgers: ledgers.to_vec(),
    };
    let text = serde_json::to_string(&kept).map_err(|source| Error::Resume {
        path: path.to_owned(),
        source,
    })?;
    let next = path.with_extension("next");
    fs::write(&next, text + "\n").map_err(file("write", &next))?;
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
