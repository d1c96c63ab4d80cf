//! Leases: slices of an hour's budget that gateways sharing a store take, each slice by one gateway.
//!
//! A budget of an hour is a line of units from 0; a slice is a range of them, named by its start. The key of a slice is made once and
//! by its first writer, and what it holds says where it ends: the next slice starts there. What a gateway leased and did not use is
//! lost to all. It must never give one unit to two gateways.
//!
//! Leases are no evidence: they stand below `leases/`, verification leaves them out, and those of an hour that is over may be deleted.

use std::{ops::Range, sync::Arc, time::Duration};

use object_store::{ObjectStore, PutMode, path::Path};

use crate::{error::Error, ledger::sha256, store};

/// What every key of a lease begins with.
pub(crate) const PREFIX: &str = "leases/";

/// The first line of a lease.
const FORMAT: &str = "provost-lease-v1";

/// How long a statement waits for a lease; then it is refused, and the slice is lost if it was taken after all.
const TIMEOUT_MS: u64 = 10_000;
const TIMEOUT: Duration = Duration::from_millis(TIMEOUT_MS);

/// Which budget, of which hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget<'a> {
    /// Whose.
    pub principal: &'a str,
    /// Of what: a short word.
    pub sort: &'static str,
    /// Hours since 1970 (UTC).
    pub hour: u64,
}

/// What became of a slice that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// It is ours.
    Ours,
    /// Somebody took a slice that starts there, and it ends here.
    Taken {
        /// Where the next one starts.
        end: u64,
    },
}

/// The leases of one gateway.
#[derive(Debug)]
pub struct Leases {
    store: Arc<dyn ObjectStore>,
    gateway: String,
}

impl Leases {
    /// Leases in this store, taken by the gateway of this name.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, gateway: &str) -> Self {
        Self {
            store,
            gateway: gateway.to_owned(),
        }
    }

    /// Takes a slice, unless one that starts there is taken.
    ///
    /// # Errors
    /// [`Error::Store`], [`Error::Late`]; then nothing was taken that may be used. [`Error::Conflict`] where a lease can't be read.
    pub async fn take(&self, budget: Budget<'_>, slice: &Range<u64>) -> Result<Lease, Error> {
        let key = key(budget, slice.start);
        let text = format!("{FORMAT}\n{}\n{}\n", self.gateway, slice.end);
        let (path, options) = (Path::from(key.as_str()), PutMode::Create.into());
        let put = self
            .store
            .put_opts(&path, text.into_bytes().into(), options);
        let Ok(put) = tokio::time::timeout(TIMEOUT, put).await else {
            return Err(Error::Late {
                key,
                timeout_ms: TIMEOUT_MS,
            });
        };
        match put {
            Ok(_) => Ok(Lease::Ours),
            Err(object_store::Error::AlreadyExists { .. }) => {
                let there = store::read(&*self.store, &key).await?;
                let end = there.as_deref().and_then(end_of);
                // One that ends where it starts would be looked at for ever.
                match end.filter(|end| *end > slice.start) {
                    Some(end) => Ok(Lease::Taken { end }),
                    None => Err(Error::Conflict { key }),
                }
            }
            Err(source) => Err(Error::Store {
                action: "put",
                key,
                source,
            }),
        }
    }
}

/// `leases/<hour>/<sort>/<SHA-256 of the principal's id>/<start, 20 digits>`.
fn key(budget: Budget<'_>, start: u64) -> String {
    let Budget {
        principal,
        sort,
        hour,
    } = budget;
    let principal = sha256(principal.as_bytes());
    format!("{PREFIX}{hour}/{sort}/{principal}/{start:020}")
}

fn end_of(bytes: &[u8]) -> Option<u64> {
    let mut lines = std::str::from_utf8(bytes).ok()?.lines();
    let format = lines.next()?;
    let _gateway = lines.next()?;
    let end = lines.next()?.parse().ok()?;
    (format == FORMAT && lines.next().is_none()).then_some(end)
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, memory::InMemory};

    use super::*;

    const BUDGET: Budget<'static> = Budget {
        principal: "devin@corp",
        sort: "rows",
        hour: 7,
    };

    #[tokio::test]
    async fn a_slice_has_one_owner_and_the_other_learns_where_it_ends() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let (one, other) = (
            Leases::new(Arc::clone(&store), "one"),
            Leases::new(Arc::clone(&store), "other"),
        );
        let taken = async |by: &Leases, budget, slice| by.take(budget, &slice).await.unwrap();
        assert_eq!(taken(&one, BUDGET, 0..5).await, Lease::Ours);
        assert_eq!(taken(&other, BUDGET, 0..9).await, Lease::Taken { end: 5 });
        assert_eq!(
            taken(&one, BUDGET, 0..5).await,
            Lease::Taken { end: 5 },
            "once"
        );
        assert_eq!(taken(&other, BUDGET, 5..9).await, Lease::Ours);
        for budget in [
            Budget { hour: 8, ..BUDGET },
            Budget {
                sort: "bytes",
                ..BUDGET
            },
            Budget {
                principal: "ana@corp",
                ..BUDGET
            },
        ] {
            assert_eq!(taken(&other, budget, 0..9).await, Lease::Ours, "{budget:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_lease_gives_nothing() {
        for text in [
            "",
            "provost-lease-v1\none\n0\n",
            "provost-lease-v1\none\n5\nmore\n",
            "v2\none\n5\n",
        ] {
            let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
            let path = Path::from(key(BUDGET, 0));
            store
                .put(&path, text.as_bytes().to_vec().into())
                .await
                .unwrap();
            let taken = Leases::new(store, "one").take(BUDGET, &(0..5)).await;
            assert!(
                matches!(taken, Err(Error::Conflict { .. })),
                "{text:?}: {taken:?}"
            );
        }
    }
}
