//! Time stamps in the store: each is of a checkpoint that is there, and holds. They come after what they stamp, so no checkpoint covers them: one
//! that was removed is not missed.

use std::collections::BTreeSet;

use object_store::ObjectStore;

use crate::error::Error;
use crate::key::PublicKey;
use crate::ledger::checkpoint;
use crate::stamp::{self, Problem, Roots, Stamp};
use crate::store;
use crate::verify::Fault;

/// What came of a gateway's stamps.
#[derive(Debug, Default)]
pub(super) struct Checked {
    /// Those that hold, in order of seals.
    pub(super) stamps: Vec<Stamp>,
    /// Every object that is named as a stamp.
    pub(super) named: BTreeSet<String>,
    pub(super) problems: Vec<(String, Fault)>,
}

/// Checks every stamp of a gateway.
pub(super) async fn check(
    store: &dyn ObjectStore,
    listed: &BTreeSet<String>,
    public: &PublicKey,
    roots: Option<&Roots>,
) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let prefix = stamp::prefix(public.gateway());
    let below = listed
        .range(prefix.clone()..)
        .take_while(|object| object.starts_with(&prefix));
    for object in below {
        let Some(seal) = stamp::seal_of(public.gateway(), object) else {
            continue;
        };
        checked.named.insert(object.clone());
        let checkpoint = store::read(store, &checkpoint::key(public.gateway(), seal)).await?;
        let response = store::read(store, object).await?;
        let stamped = match (response, checkpoint) {
            (Some(response), Some(checkpoint)) => {
                stamp::check(&response, &checkpoint, public, roots)
            }
            (None, _) => Err(Problem::Malformed),
            (_, None) => Err(Problem::NoCheckpoint),
        };
        match stamped {
            Ok(stamp) => checked.stamps.push(stamp),
            Err(problem) => {
                let fault = Fault::Stamp { problem };
                checked.problems.push((object.clone(), fault));
            }
        }
    }
    Ok(checked)
}
