//! A folder as an object store that survives power loss. It must never acknowledge what a power loss could undo.
//!
//! `object_store`'s `LocalFileSystem` (0.13) creates atomically (staging file, hard link) but never fsyncs, so after a
//! power loss an acknowledged object may be empty. [`DurableFolder`] therefore writes itself and delegates the reading.
//!
//! Puts that come while others are under way are placed together, by one thread: their folder is fsynced once for all of them, and no
//! processor spins for the folder's lock.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path as FilePath;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use tokio::sync::oneshot;

use crate::error::Error;

/// A folder as an object store whose puts are durable when they return: file, and every folder above it up to the root.
#[derive(Debug)]
pub struct DurableFolder {
    inner: LocalFileSystem,
    place: Arc<Place>,
}

/// Folders whose entries above are remembered to be durable; at the limit all are forgotten, and are made so again.
const FOLDERS_MAX: usize = 1024;
/// Objects that are placed together: each holds a file open.
const TOGETHER_MAX: usize = 64;

/// Where the objects are.
#[derive(Debug)]
struct Place {
    root: PathBuf,
    /// Folders that this process made durable, with all above them up to the root: what is put into one needs no more than that folder's fsync.
    durable: Mutex<HashSet<PathBuf>>,
    queue: Mutex<Queue>,
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
            queue: Mutex::default(),
        });
        Ok(Arc::new(DurableFolder { inner, place }))
    }
}

/// What waits to be placed.
#[derive(Debug, Default)]
struct Queue {
    puts: Vec<Put>,
    /// Somebody places what is here, and will look again.
    is_served: bool,
}

/// An object to be placed.
#[derive(Debug)]
struct Put {
    target: PathBuf,
    payload: PutPayload,
    mode: PutMode,
    done: oneshot::Sender<io::Result<()>>,
}

/// A file that holds an object's bytes, under a name that no listing shows.
struct Staged {
    file: File,
    path: PathBuf,
}

/// The turn of whoever places what waits; nobody else does while it lives.
struct Turn {
    place: Arc<Place>,
    is_over: bool,
}

impl Turn {
    /// Places puts until none waits.
    fn serve(mut self) {
        while let Some(puts) = self.next() {
            self.place.write(puts);
        }
    }

    /// What waits; `None` ends the turn.
    fn next(&mut self) -> Option<Vec<Put>> {
        let mut queue = lock(&self.place.queue);
        if queue.puts.is_empty() {
            queue.is_served = false;
            self.is_over = true;
            return None;
        }
        let count = queue.puts.len().min(TOGETHER_MAX);
        Some(queue.puts.drain(..count).collect())
    }
}

impl Drop for Turn {
    /// A turn that ends early leaves nobody waiting for it.
    fn drop(&mut self) {
        if !self.is_over {
            let mut queue = lock(&self.place.queue);
            queue.puts.clear();
            queue.is_served = false;
        }
    }
}

impl Place {
    /// Lets an object wait to be placed; gives the turn where nobody has it.
    fn submit(self: &Arc<Self>, put: Put) -> Option<Turn> {
        let mut queue = lock(&self.queue);
        queue.puts.push(put);
        let is_served = std::mem::replace(&mut queue.is_served, true);
        (!is_served).then(|| Turn {
            place: Arc::clone(self),
            is_over: false,
        })
    }

    /// Places objects: staging names, fsync, then link (create) or rename (overwrite), then fsync of the folders up to the root, each
    /// step for all before the next, so that one commit of the file system's journal serves them all.
    fn write(&self, puts: Vec<Put>) {
        let staged: Vec<_> = puts
            .into_iter()
            .map(|put| (self.stage(&put), put))
            .collect();
        let synced: Vec<_> = staged
            .into_iter()
            .map(|(staged, put)| (staged.and_then(Staged::sync), put))
            .collect();
        let placed: Vec<_> = synced
            .into_iter()
            .map(|(staged, put)| (staged.and_then(|staged| staged.place(&put)), put))
            .collect();
        let mut folders = HashMap::new();
        for (placed, put) in placed {
            let is_there = match &placed {
                Ok(()) => true,
                Err(error) => error.kind() == io::ErrorKind::AlreadyExists,
            };
            let durable = match is_there {
                true => self.sync_folders_once(&put.target, &mut folders),
                false => Ok(()),
            };
            // Whoever asked may be gone; the object is there all the same.
            let _ = put.done.send(durable.and(placed));
        }
    }

    /// Writes an object's bytes to a file of its own. Names ending in `#digits` are `LocalFileSystem`'s own staging names: listings
    /// leave them out. They are random: gateways of one process id, each in a container of its own, may share the folder.
    fn stage(&self, put: &Put) -> io::Result<Staged> {
        let mut name = put.target.as_os_str().to_owned();
        let number = getrandom::u64().map_err(io::Error::other)?;
        name.push(format!("#{number:020}"));
        let path = PathBuf::from(name);
        let file = self.create(&path)?;
        let mut staged = Staged { file, path };
        for chunk in &put.payload {
            staged.file.write_all(chunk)?;
        }
        Ok(staged)
    }

    /// Creates a file, and the folders above it where they are missing.
    fn create(&self, path: &FilePath) -> Result<File, io::Error> {
        match File::create_new(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
        if let Some(folder) = path.parent() {
            // It is new, or new again.
            self.durable().remove(folder);
            std::fs::create_dir_all(folder)?;
        }
        File::create_new(path)
    }

    /// The same as [`Place::sync_folders_of`], once for each folder: an fsync that failed is not tried again, for the next one may
    /// succeed with nothing written.
    fn sync_folders_once(
        &self,
        target: &FilePath,
        folders: &mut HashMap<PathBuf, Result<(), (io::ErrorKind, String)>>,
    ) -> io::Result<()> {
        let folder = target.parent().unwrap_or(&self.root);
        let synced = folders.entry(folder.to_owned()).or_insert_with(|| {
            self.sync_folders_of(target)
                .map_err(|error| (error.kind(), error.to_string()))
        });
        synced
            .clone()
            .map_err(|(kind, words)| io::Error::new(kind, words))
    }

    /// Makes what was placed at `target` durable: the folder's entry of it, and the entries of all folders above.
    fn sync_folders_of(&self, target: &FilePath) -> Result<(), io::Error> {
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
        lock(&self.durable)
    }
}

impl Staged {
    /// Makes the bytes durable.
    fn sync(self) -> io::Result<Staged> {
        self.file.sync_all()?;
        Ok(self)
    }

    /// Gives the file its name.
    fn place(self, put: &Put) -> io::Result<()> {
        let placed = match put.mode {
            PutMode::Overwrite => std::fs::rename(&self.path, &put.target),
            PutMode::Create | PutMode::Update(_) => std::fs::hard_link(&self.path, &put.target),
        };
        drop(self);
        match placed {
            // What was there already may be the work of a crash: make it durable before anyone relies on it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::open(&put.target)?.sync_all()?;
                Err(error)
            }
            placed => placed,
        }
    }
}

impl Drop for Staged {
    /// A link leaves it behind, and so does a failure: on a full disk each try would take more room.
    fn drop(&mut self) {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let path = self.path.display();
                tracing::warn!(%path, %error, "a staging file is left behind");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

/// Locks what no panic leaves half done: each change of it is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
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
        let (done, written) = oneshot::channel();
        let turn = self.place.submit(Put {
            target,
            payload,
            mode: options.mode,
            done,
        });
        if let Some(turn) = turn {
            // fsync blocks, and sessions that are served on this thread must not wait for it.
            drop(tokio::task::spawn_blocking(|| turn.serve()));
        }
        match written
            .await
            .unwrap_or_else(|gone| Err(io::Error::other(gone)))
        {
            Ok(()) => Ok(PutResult {
                e_tag: None,
                version: None,
            }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{list, put_once, put_over, read};
    use bytes::Bytes;

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

    #[tokio::test]
    async fn what_is_put_at_once_is_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = DurableFolder::open(folder.path()).unwrap();
        let keys: Vec<String> = (0..300)
            .map(|number| format!("folder-{}/{}", number % 3, number % 150))
            .collect();
        let puts = keys.iter().map(|key| {
            let bytes = Bytes::from(key.clone());
            put_once(store.as_ref(), key, bytes)
        });
        for outcome in futures::future::join_all(puts).await {
            outcome.unwrap();
        }
        for key in &keys {
            let there = read(store.as_ref(), key).await.unwrap();
            assert_eq!(there.unwrap(), key.as_bytes());
        }
        let left = crate::testing::files(folder.path());
        assert_eq!(left.len(), 150, "no staging name is left");
    }

    #[tokio::test]
    async fn a_turn_that_ends_early_leaves_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let place = Arc::new(Place {
            root: root.clone(),
            durable: Mutex::default(),
            queue: Mutex::default(),
        });
        let submit = |name: &str| {
            let (done, outcome) = oneshot::channel();
            let turn = place.submit(Put {
                target: root.join(name),
                payload: Bytes::from_static(b"1").into(),
                mode: PutMode::Create,
                done,
            });
            (turn, outcome)
        };
        let (turn, first) = submit("first");
        let (none, second) = submit("second");
        assert!(turn.is_some() && none.is_none());
        drop(turn);
        first.await.unwrap_err();
        second.await.unwrap_err();
        let (turn, third) = submit("third");
        turn.unwrap().serve();
        third.await.unwrap().unwrap();
        assert_eq!(crate::testing::files(&root).len(), 1);
    }
}
