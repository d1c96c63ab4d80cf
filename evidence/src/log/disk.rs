//! The few file operations the log's safety rests on, behind a trait so that tests can make each of them fail.
//! Must never hide an error or retry an fsync: after a failed fsync the kernel may drop the dirty pages and
//! report success the next time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// An open segment.
pub(crate) trait SegmentFile: Send + Sync {
    /// Appends all of `bytes` with write(2). On error some of them may be in the file.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// fdatasync: what was appended survives power loss.
    fn sync(&self) -> io::Result<()>;
}

/// Creates segments.
pub(crate) trait Disk: Send + Sync {
    /// Creates `path` holding `header`, durably and all at once: a crash leaves either no file or all of the header.
    /// A file already there is replaced (only ever an empty segment of an earlier start).
    fn create_segment(&self, path: &Path, header: &[u8]) -> io::Result<Arc<dyn SegmentFile>>;
}

/// The real one.
pub(crate) struct OperatingSystem;

impl Disk for OperatingSystem {
    fn create_segment(&self, path: &Path, header: &[u8]) -> io::Result<Arc<dyn SegmentFile>> {
        write_whole(path, header)?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Arc::new(file))
    }
}

impl SegmentFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Writes a file atomically and durably: temporary file, fsync, rename, fsync of the folder.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    sync_folder_of(path)
}

/// Makes creations, renames and removals in the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
