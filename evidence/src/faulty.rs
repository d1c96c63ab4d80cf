//! Disks and stores that fail, at an operation that a test counts out, or for want of room. Only built for tests.

use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};

use crate::log::{Disk, DiskFile, OperatingSystem};

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    Open,
    Append,
    Sync,
    Cut,
    Rename,
    Remove,
    SyncFolder,
    Put,
    Get,
    List,
    Delete,
}

/// What goes wrong at the n-th step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It isn't done, an append half. The next one succeeds, as on a real disk after a failed fsync.
    Refused,
    /// It is done, and an error is returned all the same. The next one succeeds.
    LostAck,
    /// It isn't done, an append half, and nothing after it: the process is dead.
    Dead,
}

/// Counts steps down to the one that fails; shared by a disk and a store.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicUsize,
    trouble: Trouble,
    /// Counted alone, where there is one.
    only: Option<Step>,
    /// Of the dead: something failed before.
    was_dead: AtomicBool,
}

impl Fuse {
    /// Fails the n-th step, from 1.
    pub(crate) fn new(nth: usize, trouble: Trouble) -> Arc<Self> {
        Self::only(nth, trouble, None)
    }

    /// Fails the n-th step of this sort.
    pub(crate) fn only(nth: usize, trouble: Trouble, only: Option<Step>) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(nth),
            trouble,
            only,
            was_dead: AtomicBool::new(false),
        })
    }

    /// Whether it has failed a step.
    pub(crate) fn is_blown(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    fn count(&self, step: Step) -> Option<Trouble> {
        if self.only.is_some_and(|only| only != step) {
            return None;
        }
        let counted = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            });
        let is_due = match counted {
            Ok(left) => left == 1,
            Err(_) => self.trouble == Trouble::Dead,
        };
        is_due.then_some(self.trouble)
    }

    fn file<T>(&self, step: Step, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.count(step) {
            None => work(),
            Some(Trouble::Refused | Trouble::Dead) => {
                self.was_dead.store(true, Ordering::SeqCst);
                Err(broken())
            }
            Some(Trouble::LostAck) => {
                work()?;
                Err(broken())
            }
        }
    }

    async fn object<T>(
        &self,
        step: Step,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> object_store::Result<T> {
        match self.count(step) {
            None => work.await,
            Some(Trouble::Refused | Trouble::Dead) => {
                self.was_dead.store(true, Ordering::SeqCst);
                Err(outage())
            }
            Some(Trouble::LostAck) => {
                work.await?;
                Err(outage())
            }
        }
    }
}

fn broken() -> io::Error {
    io::Error::other("broken")
}

fn outage() -> object_store::Error {
    object_store::Error::Generic {
        store: "Faulty",
        source: "outage".into(),
    }
}

/// The real disk, behind a fuse.
pub(crate) struct FaultyDisk(pub(crate) Arc<Fuse>);

struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    fuse: Arc<Fuse>,
}

impl FaultyDisk {
    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let fuse = Arc::clone(&self.0);
        Arc::new(FaultyFile { inner, fuse })
    }
}

impl Disk for FaultyDisk {
    fn create(&self, path: &FilePath) -> io::Result<Arc<dyn DiskFile>> {
        let made = self.0.file(Step::Create, || OperatingSystem.create(path));
        made.map(|file| self.file(file))
    }

    fn open(&self, path: &FilePath) -> io::Result<Arc<dyn DiskFile>> {
        let opened = self.0.file(Step::Open, || OperatingSystem.open(path));
        opened.map(|file| self.file(file))
    }

    fn rename(&self, from: &FilePath, to: &FilePath) -> io::Result<()> {
        self.0
            .file(Step::Rename, || OperatingSystem.rename(from, to))
    }

    fn remove(&self, path: &FilePath) -> io::Result<()> {
        self.0.file(Step::Remove, || OperatingSystem.remove(path))
    }

    fn sync_folder_of(&self, path: &FilePath) -> io::Result<()> {
        self.0
            .file(Step::SyncFolder, || OperatingSystem.sync_folder_of(path))
    }
}

impl DiskFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        match self.fuse.count(Step::Append) {
            None => self.inner.append(bytes),
            Some(Trouble::LostAck) => self.inner.append(bytes).and(Err(broken())),
            Some(Trouble::Refused) => {
                self.inner.append(&bytes[..bytes.len() / 2])?;
                Err(broken())
            }
            Some(Trouble::Dead) => {
                // The dead don't write: only the first one's half is there.
                if !self.fuse.was_dead.swap(true, Ordering::SeqCst) {
                    self.inner.append(&bytes[..bytes.len() / 2])?;
                }
                Err(broken())
            }
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.fuse.file(Step::Sync, || self.inner.sync())
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.fuse.file(Step::Cut, || self.inner.cut(bytes))
    }
}

/// A store behind a fuse.
#[derive(Debug)]
pub(crate) struct FaultyStore {
    pub(crate) inner: Arc<dyn ObjectStore>,
    pub(crate) fuse: Arc<Fuse>,
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("FaultyStore")
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        at: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let put = self.inner.put_opts(at, payload, options);
        self.fuse.object(Step::Put, put).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        let get = self.inner.get_opts(at, options);
        self.fuse.object(Step::Get, get).await
    }

    fn delete_stream(
        &self,
        at: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        match self.fuse.count(Step::Delete) {
            None => self.inner.delete_stream(at),
            Some(Trouble::LostAck) => self.inner.delete_stream(at).map(|_| Err(outage())).boxed(),
            Some(Trouble::Refused | Trouble::Dead) => {
                futures::stream::once(async { Err(outage()) }).boxed()
            }
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        match self.fuse.count(Step::List) {
            None => self.inner.list(prefix),
            Some(_) => futures::stream::once(async { Err(outage()) }).boxed(),
        }
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

/// A disk with room for so many bytes, in files that it made itself.
pub(crate) struct SmallDisk {
    left: Arc<AtomicI64>,
}

struct SmallFile {
    inner: Arc<dyn DiskFile>,
    path: PathBuf,
    left: Arc<AtomicI64>,
}

impl SmallDisk {
    pub(crate) fn new(bytes: i64) -> (Self, Arc<AtomicI64>) {
        let left = Arc::new(AtomicI64::new(bytes));
        let disk = Self {
            left: Arc::clone(&left),
        };
        (disk, left)
    }

    /// The same disk, after a restart.
    pub(crate) fn of(left: &Arc<AtomicI64>) -> Self {
        let left = Arc::clone(left);
        Self { left }
    }

    fn file(&self, inner: Arc<dyn DiskFile>, path: &FilePath) -> Arc<dyn DiskFile> {
        Arc::new(SmallFile {
            inner,
            path: path.to_owned(),
            left: Arc::clone(&self.left),
        })
    }

    fn give_back(&self, path: &FilePath) {
        self.left.fetch_add(length(path), Ordering::SeqCst);
    }
}

fn length(path: &FilePath) -> i64 {
    std::fs::metadata(path).map_or(0, |found| found.len() as i64)
}

impl Disk for SmallDisk {
    fn create(&self, path: &FilePath) -> io::Result<Arc<dyn DiskFile>> {
        self.give_back(path);
        Ok(self.file(OperatingSystem.create(path)?, path))
    }

    fn open(&self, path: &FilePath) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(OperatingSystem.open(path)?, path))
    }

    fn rename(&self, from: &FilePath, to: &FilePath) -> io::Result<()> {
        self.give_back(to);
        OperatingSystem.rename(from, to)
    }

    fn remove(&self, path: &FilePath) -> io::Result<()> {
        self.give_back(path);
        OperatingSystem.remove(path)
    }

    fn sync_folder_of(&self, path: &FilePath) -> io::Result<()> {
        OperatingSystem.sync_folder_of(path)
    }
}

impl DiskFile for SmallFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.load(Ordering::SeqCst).max(0);
        let fitting = bytes.len().min(left as usize);
        self.inner.append(&bytes[..fitting])?;
        self.left.fetch_sub(fitting as i64, Ordering::SeqCst);
        match fitting == bytes.len() {
            true => Ok(()),
            false => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        let freed = length(&self.path) - bytes as i64;
        self.inner.cut(bytes)?;
        self.left.fetch_add(freed, Ordering::SeqCst);
        Ok(())
    }
}
