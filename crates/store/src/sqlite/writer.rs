//! The writer's handle: how callers ask, and how the thread is started and ended (`commit.rs` is the thread).

use super::SharedClock;
use super::command::{Command, Memory, in_savepoint};
use super::commit::{Loop, Probe};
use super::shared::Shared;
use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use domain::checkpoint::Outstanding;
use domain::limit::COMMIT_COMMANDS_MAX;
use foldhash::{HashMap, HashMapExt};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the writer; more callers wait their turn.
const QUEUE: usize = 4 * COMMIT_COMMANDS_MAX;

/// What the writer is given beside its connection.
pub(super) struct Parts {
    pub(super) start: super::lease::Start,
    pub(super) shared: Arc<Shared>,
    pub(super) clock: SharedClock,
    pub(super) probe: Option<Arc<dyn Probe>>,
    pub(super) sealer: Arc<Sealer>,
}

/// The writer's handle.
#[derive(Debug)]
pub(super) struct Writer {
    sender: mpsc::Sender<Command>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn start(connection: Connection, parts: Parts) -> Result<Self> {
        let Parts { start, shared, clock, probe, sealer } = parts;
        let (sender, commands) = mpsc::channel(QUEUE);
        let memory = Memory {
            shared: Arc::clone(&shared),
            ids: start.ids,
            lease: start.lease,
            outstanding: Outstanding::default(),
            claims: HashMap::new(),
            next_claim: 1,
            sealer,
            clock,
        };
        let thread = Loop::new(connection, commands, memory, probe)
            .start()
            .map_err(|e| StoreError::Unavailable(format!("no thread for the writer: {e}")))?;
        Ok(Self { sender, thread: Mutex::new(Some(thread)), shared })
    }

    pub(super) fn sender(&self) -> mpsc::Sender<Command> {
        self.sender.clone()
    }

    /// Sends a command and waits for its answer. The command is carried out even when the caller goes away.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(command(answer)).await.map_err(|_| self.ended())?;
        answered.await.map_err(|_| self.ended())?
    }

    /// Runs `work` in a savepoint of the next commit; `apply` is run with its result right after the commit, in step
    /// with all other changes of the routing table.
    pub(super) async fn write<T, W, A>(&self, work: W, apply: A) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, &mut Memory) -> Result<T> + Send + 'static,
        A: FnOnce(&Memory, &T) + Send + 'static,
    {
        self.ask(|answer| {
            Command::Cold(Box::new(move |connection, memory| {
                let result = in_savepoint(connection, |c| work(c, memory));
                Box::new(move |memory: &mut Memory, committed: Result<()>| {
                    let result = committed.and(result);
                    if let Ok(value) = &result {
                        apply(memory, value);
                    }
                    // The caller may have gone away; the commit holds all the same.
                    let _ = answer.send(result);
                })
            }))
        })
        .await
    }

    pub(super) fn close(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        let mut command = Command::Close;
        // The queue drains while the writer lives; when it has ended, sending says so.
        while let Err(mpsc::error::TrySendError::Full(back)) = self.sender.try_send(command) {
            command = back;
            std::thread::yield_now();
        }
        if thread.join().is_err() {
            tracing::error!("the writer had panicked");
        }
    }

    fn ended(&self) -> StoreError {
        let why = self.shared.health().err().unwrap_or_else(|| "the store is closed".into());
        StoreError::Unavailable(why)
    }
}
