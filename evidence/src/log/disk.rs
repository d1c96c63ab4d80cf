//! The few file operations that the log's and the sealer's safety rests on, behind a trait so that tests can make each of them fail.
//! Must never hide an error or retry an fsync: after a failed fsync the kernel may drop the dirty pages and
//! report success the next time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    /// Appends all of `bytes` with write(2). On error some of them may be in the file.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// fsync: what was appended survives power loss.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file back to its first `bytes`: what a failed append left is gone.
    fn cut(&self, bytes: u64) -> io::Result<()>;
}

/// What is done to the log's folder; each method is one step that may fail by itself.
pub(crate) trait Disk: Send + Sync {
    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens a file to append to it.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file; one at `to` is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations, renames and removals in the folder of `path` durable.
    fn sync_folder_of(&self, path: &Path) -> io::Result<()>;
}

/// The real one.
#[derive(Debug)]
pub(crate) struct OperatingSystem;

impl Disk for OperatingSystem {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(File::create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OpenOptions::new().append(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        // The file's length is part of what fdatasync makes durable.
        self.sync_data()
    }

    fn cut(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }
}

/// Writes a file atomically and durably: temporary file, fsync, rename, fsync of the folder. Where the disk is full
/// ([`is_full`]), nothing has changed.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let renamed =
        write_temporary(disk, temporary, bytes).and_then(|()| disk.rename(temporary, path));
    if let Err(error) = renamed {
        // It only takes room. What there is to say of the disk, the first error says.
        let _ = disk.remove(temporary);
        return Err(error);
    }
    // The file is in its place: whatever the reason, this must not pass for a full disk.
    disk.sync_folder_of(path).map_err(io::Error::other)
}

fn write_temporary(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.create(path)?;
    file.append(bytes)?;
    file.sync()
}

/// Creates a segment holding `header`, durably and all at once: a crash leaves either no file or all of the header.
/// A file already there is replaced (only ever an empty segment of an earlier start).
pub(super) fn create_segment(
    disk: &dyn Disk,
    path: &Path,
    header: &[u8],
) -> io::Result<Arc<dyn DiskFile>> {
    write_whole(disk, path, header)?;
    disk.open(path).map_err(io::Error::other)
}

/// Whether there is no room, which passes, rather than something broken, which does not.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
