//! The lock that keeps a second process away from the file.

use crate::error::{Result, StoreError};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::path::Path;

/// Held while the store is open; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct FileLock(#[expect(dead_code, reason = "held for its lock")] File);

impl FileLock {
    /// Takes the lock beside the store's file.
    pub(super) fn take(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| {
                StoreError::Unavailable(format!("the folder {} cannot be made: {e}", folder.display()))
            })?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let file = File::options().create(true).truncate(false).write(true).open(&name).map_err(|e| {
            StoreError::Unavailable(format!("{} cannot be opened: {e}", Path::new(&name).display()))
        })?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            StoreError::Unavailable(format!(
                "another posthaste process has {} open. Stop it first, or give this one a data folder of its own (POSTHASTE_DATA_DIR)",
                path.display()
            ))
        })?;
        Ok(Self(file))
    }
}
