//! WAL checkpoints, beside the writer instead of inside its commits.
//!
//! SQLite starts the WAL file over only when every frame of it has been copied back. The checkpointer copies most
//! frames on its own connection while the writer goes on; then it asks the writer to copy the few that came
//! meanwhile, between two commits, after which the WAL begins anew.

use super::writer::Command;
use crate::error::{Result, StoreError};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the WAL's size is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A WAL of this size is copied back, in bytes.
const WAL_BYTES: u64 = 16 << 20;
/// The file's size after the WAL has begun anew, in bytes: below the size that starts the next copy.
pub(super) const WAL_BYTES_KEPT: i64 = 8 << 20;

/// The thread that copies the WAL back.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        writer: tokio::sync::mpsc::Sender<Command>,
    ) -> Result<Self> {
        let mut wal = path.as_os_str().to_owned();
        wal.push("-wal");
        let wal = PathBuf::from(wal);
        let (stop, stopped) = sync_channel(0);
        let run = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                if std::fs::metadata(&wal).map_or(0, |m| m.len()) < WAL_BYTES {
                    continue;
                }
                if let Err(error) = copy_back(&connection).map_err(StoreError::from) {
                    tracing::warn!(%error, "the WAL could not be copied back; it grows until it can");
                    continue;
                }
                let (done, finished) = tokio::sync::oneshot::channel();
                if writer.blocking_send(Command::FinishCheckpoint(done)).is_err() {
                    return;
                }
                // The writer answers between two commits; when it has ended, so do we.
                if finished.blocking_recv().is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("checkpointer".into())
            .spawn(run)
            .map_err(|e| StoreError::Unavailable(format!("no thread for the checkpointer: {e}")))?;
        Ok(Self { stop, thread })
    }

    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the checkpointer had panicked");
        }
    }
}

/// Copies what can be copied without waiting for anyone.
pub(super) fn copy_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
