//! WAL checkpoints, beside the writer instead of inside its commits.
//!
//! SQLite starts the WAL file over only when every frame of it has been copied back. The checkpointer copies most
//! frames on its own connection while the writer goes on, then once more those that came meanwhile; then it asks the writer
//! to copy the very last ones, between two commits, after which the WAL begins anew. Commits wait for that one, and for the
//! disk while it takes what was copied: so all of it happens seldom.

use super::command::Command;
use crate::error::{Result, StoreError};
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the WAL's length is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A WAL of so many frames (4 KiB pages: 64 MiB) is copied back. Nearly all of them are the same few pages over and over, and
/// only the last state of each is copied: four times the frames are hardly more to copy, four times as seldom.
const WAL_FRAMES: u32 = 16_384;
/// A WAL of so many frames (4 MiB) is copied back where the disk has less than [`ROOM_MIN`] left.
const WAL_FRAMES_TIGHT: u32 = 1_024;
/// Below so many free bytes (128 MiB) the WAL must not take what it can.
const ROOM_MIN: u64 = 128 << 20;
/// The file keeps its size when it begins anew, so that a commit writes over blocks that are there and its sync has no
/// metadata to write; only what grew beyond this is given back.
pub(super) const WAL_BYTES_KEPT: i64 = 96 << 20;

/// The thread that copies the WAL back.
#[derive(Debug)]
pub(super) struct Checkpointer {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Checkpointer {
    /// Starts it; `frames` is the WAL's length, which every commit of the writer's tells.
    pub(super) fn start(
        connection: Connection,
        frames: Arc<AtomicU32>,
        writer: tokio::sync::mpsc::Sender<Command>,
    ) -> Result<Self> {
        let (stop, stopped) = sync_channel(0);
        let run = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let length = frames.load(Ordering::Relaxed);
                if length < WAL_FRAMES_TIGHT || (length < WAL_FRAMES && has_room(&connection)) {
                    continue;
                }
                let most = copy_back(&connection).and_then(|()| copy_back(&connection));
                if let Err(error) = most.map_err(StoreError::from) {
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

/// Whether the disk has room for a WAL of full length. Where that cannot be found out, it is believed.
fn has_room(connection: &Connection) -> bool {
    let disk = connection.path().and_then(|path| rustix::fs::statvfs(path).ok());
    disk.is_none_or(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_MIN)
}

/// Has every commit on this connection tell the WAL's length, in frames.
pub(super) fn watch(connection: &mut Connection) -> rusqlite::Result<Arc<AtomicU32>> {
    let frames = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&frames);
    connection.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, length: i32| {
        told.store(length.unsigned_abs(), Ordering::Relaxed);
        Ok(())
    }))?;
    Ok(frames)
}

/// Copies what can be copied without waiting for anyone.
pub(super) fn copy_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}
