//! Objects: a folder as an object store that survives power loss (`folder`), buckets (`location`), and the two ways we put an object.
//! It must never replace an object that is written once.

mod folder;
mod location;
mod lock;
mod prefixed;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

use crate::error::Error;

pub use folder::DurableFolder;
pub use location::{Location, Problem, Provider, is_loopback};
pub use lock::{LockMode, NoLock, ObjectLock};

/// Puts an object that is written once. On an object already there (a lost acknowledgement, or a crash) the contents
/// are compared: equal is success.
///
/// # Errors
/// [`Error::Conflict`] when it is there with other content; [`Error::Store`].
pub(crate) async fn put_once(
    store: &dyn ObjectStore,
    key: &str,
    bytes: Bytes,
) -> Result<(), Error> {
    let path = Path::from(key);
    let put = store
        .put_opts(&path, bytes.clone().into(), PutMode::Create.into())
        .await;
    match put {
        Ok(_) => Ok(()),
        Err(refused @ object_store::Error::AlreadyExists { .. }) => match read(store, key).await? {
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(Error::Conflict {
                key: key.to_owned(),
            }),
            // Not there after all: S3 refuses one of two puts at once by 409, whoever wins. It is tried again.
            None => Err(Error::Store {
                action: "put",
                key: key.to_owned(),
                source: refused,
            }),
        },
        Err(source) => Err(Error::Store {
            action: "put",
            key: key.to_owned(),
            source,
        }),
    }
}

/// Puts an object that may be replaced: only ever the copy of the latest checkpoint.
pub(crate) async fn put_over(
    store: &dyn ObjectStore,
    key: &str,
    bytes: Bytes,
) -> Result<(), Error> {
    let put = store
        .put_opts(&Path::from(key), bytes.into(), PutMode::Overwrite.into())
        .await;
    put.map(|_| ()).map_err(|source| Error::Store {
        action: "put",
        key: key.to_owned(),
        source,
    })
}

/// Reads a whole object; `None` when there is none.
pub(crate) async fn read(store: &dyn ObjectStore, key: &str) -> Result<Option<Bytes>, Error> {
    let failed = |source| Error::Store {
        action: "read",
        key: key.to_owned(),
        source,
    };
    match store.get(&Path::from(key)).await {
        Ok(found) => found.bytes().await.map(Some).map_err(failed),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed(source)),
    }
}

/// Every key below `prefix` (everything when empty), sorted.
pub(crate) async fn list(store: &dyn ObjectStore, prefix: &str) -> Result<Vec<String>, Error> {
    use futures::TryStreamExt as _;
    let path = Path::from(prefix);
    let listed = store.list((!prefix.is_empty()).then_some(&path));
    let mut keys: Vec<String> = listed
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .map_err(|source| Error::Store {
            action: "list",
            key: prefix.to_owned(),
            source,
        })?;
    keys.sort_unstable();
    Ok(keys)
}
