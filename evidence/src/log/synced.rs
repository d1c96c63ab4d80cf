//! A segment's file, whose fsyncs follow each other: the kernel tells an error of writing to one of them, and the next one, of whoever it is,
//! succeeds. Must never let a second fsync succeed behind one that failed.

use std::io;
use std::sync::{Arc, Mutex};

use crate::log::disk::DiskFile;

/// A file and whether an fsync of it failed.
pub(super) struct Synced {
    file: Arc<dyn DiskFile>,
    is_lost: Mutex<bool>,
}

impl Synced {
    pub(super) fn new(file: Arc<dyn DiskFile>) -> Arc<Self> {
        Arc::new(Self {
            file,
            is_lost: Mutex::new(false),
        })
    }

    /// As [`DiskFile::append`].
    pub(super) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)
    }

    /// As [`DiskFile::cut`].
    pub(super) fn cut(&self, bytes: u64) -> io::Result<()> {
        self.file.cut(bytes)
    }

    /// As [`DiskFile::sync`]; waits for one that is under way, and fails if any failed.
    pub(super) fn sync(&self) -> io::Result<()> {
        // Who panicked within an fsync doesn't know what came of it either.
        let Ok(mut is_lost) = self.is_lost.lock() else {
            return Err(lost());
        };
        if *is_lost {
            return Err(lost());
        }
        let synced = self.file.sync();
        *is_lost = synced.is_err();
        synced
    }
}

fn lost() -> io::Error {
    io::Error::other("an fsync before this one failed")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Fails its first fsync once it is told to.
    struct Slow(Mutex<Option<mpsc::Receiver<()>>>);

    impl DiskFile for Slow {
        fn append(&self, _bytes: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            let first = self.0.lock().unwrap().take();
            match first {
                Some(told) => {
                    told.recv().unwrap();
                    Err(io::Error::other("lost page"))
                }
                None => Ok(()),
            }
        }

        fn cut(&self, _bytes: u64) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_fsync_behind_one_that_fails_fails_too() {
        let (tell, told) = mpsc::channel();
        let slow = Arc::new(Slow(Mutex::new(Some(told))));
        let file = Synced::new(Arc::<Slow>::clone(&slow));
        let first = Arc::clone(&file);
        let first = std::thread::spawn(move || first.sync().is_err());
        // Under way: the only one who waits to be told has taken the receiver.
        while slow.0.lock().unwrap().is_some() {
            std::thread::yield_now();
        }
        let second = Arc::clone(&file);
        let second = std::thread::spawn(move || second.sync().is_err());
        tell.send(()).unwrap();
        assert!(first.join().unwrap() && second.join().unwrap());
        assert!(file.sync().is_err(), "for good");
    }
}
