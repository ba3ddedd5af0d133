//! The locks that keep a second process away from the file.
//!
//! One stands beside the database under the name that the path leads to, so that symbolic links cannot hide it; the
//! other is on the database itself, so that a second name of the same file (a hard link) cannot either. Both are
//! flock(2) locks, which SQLite's own (fcntl) do not know of.

use crate::error::{Result, StoreError};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Held while the store is open; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FileLock {
    path: PathBuf,
    beside: File,
    itself: File,
}

impl Drop for FileLock {
    /// Closing alone would not do: a child that this process forks just now has the same open files until it runs its
    /// own program, and they would stay locked for as long.
    fn drop(&mut self) {
        for file in [&self.itself, &self.beside] {
            // Nothing to be done about a failure: the files are closed next.
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

impl FileLock {
    /// Takes the locks of the store's file, which is made (empty) when it is missing.
    pub(super) fn take(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| {
                StoreError::Unavailable(format!("the folder {} cannot be made: {e}", folder.display()))
            })?;
        }
        let unopened = |path: &Path, error: io::Error| {
            StoreError::Unavailable(format!("{} cannot be opened: {error}", path.display()))
        };
        let real = match path.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                open(path).and_then(|_made| path.canonicalize())
            }
            found => found,
        };
        let path = real.map_err(|error| unopened(path, error))?;
        let name = beside(&path);
        let held = || {
            StoreError::Unavailable(format!(
                "another posthaste process has {} open. Stop it first, or give this one a data folder of its own (POSTHASTE_DATA_DIR)",
                path.display()
            ))
        };
        let beside = open(&name).map_err(|error| unopened(&name, error))?;
        flock(&beside, FlockOperation::NonBlockingLockExclusive).map_err(|_| held())?;
        let itself = open(&path).map_err(|error| unopened(&path, error))?;
        // Where the file system cannot lock it there is the other lock, which every process takes first.
        if let Err(Errno::WOULDBLOCK) = flock(&itself, FlockOperation::NonBlockingLockExclusive) {
            return Err(held());
        }
        Ok(Self { path, beside, itself })
    }

    /// Where the file really is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a process has this store open. By the time that the answer is read it may be another.
#[must_use]
pub fn is_open(path: &Path) -> bool {
    let Ok(path) = path.canonicalize() else { return false };
    let Ok(beside) = File::options().write(true).open(beside(&path)) else { return false };
    let found = flock(&beside, FlockOperation::NonBlockingLockExclusive);
    // As in `FileLock::drop`: closing alone would leave it locked while a child is being forked.
    let _ = flock(&beside, FlockOperation::Unlock);
    found == Err(Errno::WOULDBLOCK)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_lock_that_was_let_go_is_free_at_once_while_children_are_being_forked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        std::process::Command::new("true").status().unwrap();
                    }
                });
            }
            let refused = (0..2_000)
                .filter_map(|_| {
                    let open = is_open(&path);
                    FileLock::take(&path).err().map(|_| open)
                })
                .count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(refused, 0);
        });
    }
}
