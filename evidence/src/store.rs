//! Objects: a folder as an object store that survives power loss, buckets (`location`), and the two ways we put an object.
//! It must never replace an object that is written once.
//!
//! `object_store`'s `LocalFileSystem` (0.13) creates atomically (staging file, hard link) but never fsyncs, so after a
//! power loss an acknowledged object may be empty. [`DurableFolder`] therefore writes itself and delegates the reading.

mod location;
mod lock;
mod prefixed;

use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::Path as FilePath;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::error::Error;

pub use location::{Location, Problem, Provider, is_loopback};
pub use lock::{LockMode, NoLock, ObjectLock};

/// A folder as an object store whose puts are durable when they return: file, and every folder above it up to the root.
#[derive(Debug)]
pub struct DurableFolder {
    inner: LocalFileSystem,
    place: Arc<Place>,
}

/// Folders whose entries above are remembered to be durable; at the limit all are forgotten, and are made so again.
const FOLDERS_MAX: usize = 1024;

/// Where the objects are.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    /// Folders that this process made durable, with all above them up to the root: what is put into one needs no more than that folder's fsync.
    durable: Mutex<HashSet<PathBuf>>,
}

impl DurableFolder {
    /// Opens the folder, creating it if missing.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Store`].
    pub fn open(folder: &FilePath) -> Result<Arc<dyn ObjectStore>, Error> {
        std::fs::create_dir_all(folder).map_err(Error::file("create folder", folder))?;
        let root = folder.canonicalize().map_err(Error::file("find", folder))?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(|source| Error::Store {
            action: "open",
            key: folder.display().to_string(),
            source,
        })?;
        let place = Arc::new(Place {
            root,
            durable: Mutex::default(),
        });
        Ok(Arc::new(DurableFolder { inner, place }))
    }
}

impl Place {
    /// Staging name, fsync, then link (create) or rename (overwrite), then fsync of the folders up to the root. Names ending in
    /// `#digits` are `LocalFileSystem`'s own staging names: listings leave them out. They are random: gateways of one process id,
    /// each in a container of its own, may share the folder.
    fn write(
        &self,
        target: &FilePath,
        payload: &PutPayload,
        mode: &PutMode,
    ) -> Result<(), std::io::Error> {
        let mut staging = target.as_os_str().to_owned();
        let number = getrandom::u64().map_err(std::io::Error::other)?;
        staging.push(format!("#{number:020}"));
        let staging = FilePath::new(&staging);
        let placed = self.stage(staging, payload).and_then(|()| match mode {
            PutMode::Overwrite => std::fs::rename(staging, target),
            PutMode::Create | PutMode::Update(_) => std::fs::hard_link(staging, target),
        });
        // A link leaves it behind, and so does a failure: on a full disk each try would take more room.
        match std::fs::remove_file(staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match &placed {
            Ok(()) => {}
            // What was there already may be the work of a crash: make it durable before anyone relies on it.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                File::open(target)?.sync_all()?;
            }
            Err(_) => return placed,
        }
        self.sync_folders_of(target)?;
        placed
    }

    fn stage(&self, staging: &FilePath, payload: &PutPayload) -> Result<(), std::io::Error> {
        let mut file = self.create(staging)?;
        for chunk in payload {
            file.write_all(chunk)?;
        }
        file.sync_all()
    }

    /// Creates a file, and the folders above it where they are missing.
    fn create(&self, path: &FilePath) -> Result<File, std::io::Error> {
        match File::create_new(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        if let Some(folder) = path.parent() {
            // It is new, or new again.
            self.durable().remove(folder);
            std::fs::create_dir_all(folder)?;
        }
        File::create_new(path)
    }

    /// Makes what was placed at `target` durable: the folder's entry of it, and the entries of all folders above.
    fn sync_folders_of(&self, target: &FilePath) -> Result<(), std::io::Error> {
        let Some(folder) = target.parent() else {
            return Ok(());
        };
        File::open(folder)?.sync_all()?;
        if folder == self.root || self.durable().contains(folder) {
            return Ok(());
        }
        for above in folder.ancestors().skip(1) {
            File::open(above)?.sync_all()?;
            if above == self.root {
                break;
            }
        }
        let mut durable = self.durable();
        if durable.len() >= FOLDERS_MAX {
            durable.clear();
        }
        durable.insert(folder.to_owned());
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().unwrap_or_else(|poisoned| {
            // What is remembered only saves work.
            let mut durable = poisoned.into_inner();
            durable.clear();
            durable
        })
    }
}

impl std::fmt::Display for DurableFolder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "DurableFolder({})", self.place.root.display())
    }
}

#[async_trait]
impl ObjectStore for DurableFolder {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) || !options.attributes.is_empty() {
            // The folder has no conditional update; the inner store refuses both with its own words.
            return self.inner.put_opts(location, payload, options).await;
        }
        let target = self.inner.path_to_filesystem(location)?;
        // fsync blocks, and sessions that are served on this thread must not wait for it.
        let place = Arc::clone(&self.place);
        let work = move || place.write(&target, &payload, &options.mode);
        let written = tokio::task::spawn_blocking(work).await;
        match written.unwrap_or_else(|panic| Err(std::io::Error::other(panic))) {
            Ok(()) => Ok(PutResult {
                e_tag: None,
                version: None,
            }),
            Err(source) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(object_store::Error::AlreadyExists {
                    path: location.to_string(),
                    source: source.into(),
                })
            }
            Err(source) => Err(object_store::Error::Generic {
                store: "DurableFolder",
                source: source.into(),
            }),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(object_store::Error::NotImplemented {
            operation: format!("multipart upload of `{location}`"),
            implementer: self.to_string(),
        })
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that was there, and one that was removed and is new again.
    #[tokio::test]
    async fn what_was_put_is_there_once_wherever_it_is_put() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableFolder::open(folder.path()).unwrap();
        let put = async |key: &str, bytes: &'static [u8]| {
            put_once(store.as_ref(), key, Bytes::from_static(bytes)).await
        };
        for key in ["top", "a/one", "a/two", "a/b/c/three"] {
            put(key, b"1").await.unwrap();
            put(key, b"1").await.unwrap();
            assert!(matches!(put(key, b"2").await, Err(Error::Conflict { .. })));
        }
        std::fs::remove_dir_all(folder.path().join("a")).unwrap();
        put("a/one", b"2").await.unwrap();
        put_over(store.as_ref(), "a/one", Bytes::from_static(b"3"))
            .await
            .unwrap();
        let there = list(store.as_ref(), "").await.unwrap();
        assert_eq!(there, ["a/one", "top"]);
        // What can't be placed leaves nothing behind either: `a` is a folder.
        let refused = put_over(store.as_ref(), "a", Bytes::from_static(b"3")).await;
        assert!(matches!(refused, Err(Error::Store { .. })), "{refused:?}");
        let left = crate::testing::files(folder.path());
        assert_eq!(left.len(), 2, "no staging name is left: {left:?}");
        let read = read(store.as_ref(), "a/one").await.unwrap();
        assert_eq!(read.unwrap(), Bytes::from_static(b"3"));
    }
}
