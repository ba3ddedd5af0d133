//! The writer's thread: group commit.
//!
//! It takes whatever commands wait, up to [`COMMIT_COMMANDS_MAX`], applies them in one transaction, commits, and then
//! lets each command's [`After`] answer its caller. Only after the commit does anything outside hear of it: routing,
//! handoff, wakes and the checkpoint change together with it (PROTOCOL rules 6, 9 and 10).

use super::batch::Batch;
use super::command::{After, Command, Memory};
use super::shared::EndsBadly;
use super::{checkpoint, claim, delivery, message};
use crate::error::{Result, StoreError};
use domain::clock::Timestamp;
use domain::limit::COMMIT_COMMANDS_MAX;
use rusqlite::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long a commit under load waits for company. Measured with 32 clients that each wait for their answer, each time
/// against the floor: 300 µs made the most of both cores (median 60 % of the floor's throughput at 1.5 × its CPU), 700 µs
/// cost a little less CPU and a tenth of the throughput.
const GATHER: Duration = Duration::from_micros(300);
/// A commit that carried so many commands was made under load.
const BUSY_COMMANDS: usize = 6;
/// The checkpoint is written with a commit when it is this old, in milliseconds (PROTOCOL rule 6).
const HEARTBEAT_MS: i64 = 500;

/// A test's view of the engine: it sees every commit and can stop it (a simulation's crash), and every connection.
pub trait Probe: Send + Sync {
    /// Before COMMIT number `commit` (from 1): false ends the writer there, as if the process had died.
    fn before_commit(&self, _commit: u64) -> bool {
        true
    }
    /// After the commit, before anyone hears of it: false ends the writer there.
    fn after_commit(&self, _commit: u64) -> bool {
        true
    }
    /// A connection was opened.
    fn opened(&self, _connection: &mut Connection) {}
}

/// The thread's state.
pub(super) struct Loop {
    connection: Connection,
    commands: mpsc::Receiver<Command>,
    memory: Memory,
    probe: Option<Arc<dyn Probe>>,
    commits: u64,
    heartbeat: Timestamp,
}

/// Whether the writer goes on.
#[derive(PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

impl Loop {
    pub(super) fn new(
        connection: Connection,
        commands: mpsc::Receiver<Command>,
        memory: Memory,
        probe: Option<Arc<dyn Probe>>,
    ) -> Self {
        Self { connection, commands, memory, probe, commits: 0, heartbeat: Timestamp::default() }
    }

    /// Starts the thread.
    pub(super) fn start(mut self) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("writer".into()).spawn(move || {
            let mut ends_badly = EndsBadly::new(&self.memory.shared);
            if self.run() == Go::Stop {
                ends_badly.all_is_well();
            }
            drop(ends_badly);
            // A command that was sent while the thread ended would lie in the channel for as long as there are senders, and its
            // caller would wait: with it goes the answer that it waits for.
            self.commands.close();
            while self.commands.blocking_recv().is_some() {}
        })
    }

    /// Runs until it is closed; answers `On` when it ended for another reason.
    fn run(&mut self) -> Go {
        let mut batch = Vec::with_capacity(COMMIT_COMMANDS_MAX);
        let mut load = 0;
        while self.take(&mut batch, load) {
            load = batch.len();
            let mut go = Go::On;
            let mut finished = Vec::new();
            batch.retain_mut(|command| match command {
                Command::Close => {
                    go = Go::Stop;
                    false
                }
                Command::FinishCheckpoint(_) => {
                    finished.push(std::mem::replace(command, Command::Close));
                    false
                }
                _ => true,
            });
            if !batch.is_empty() && self.commit(&mut batch) == Go::Stop {
                return Go::On;
            }
            for command in finished {
                self.finish_checkpoint(command);
            }
            if go == Go::Stop {
                self.release();
                return Go::Stop;
            }
        }
        Go::On
    }

    /// Takes what waits, or waits for it; false when nothing more can come.
    ///
    /// Under load, waits a moment first for the callers whom the last commit answered: one commit for all of them costs
    /// half of what two in turn do, and nobody waits longer for it. At low rates the last commit was small and nobody
    /// waits. The moment is not begun by a first command: waking up for it would cost as much as the commit saves.
    fn take(&mut self, batch: &mut Vec<Command>, load: usize) -> bool {
        if load >= BUSY_COMMANDS {
            std::thread::sleep(GATHER);
            while batch.len() < COMMIT_COMMANDS_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                batch.push(command);
            }
        }
        !batch.is_empty() || self.commands.blocking_recv_many(batch, COMMIT_COMMANDS_MAX) > 0
    }

    fn commit(&mut self, batch: &mut Vec<Command>) -> Go {
        let commands = batch.len() as u64;
        let mut afters = Vec::with_capacity(batch.len());
        let applied = self.apply(batch, &mut afters).and_then(|()| self.beat());
        self.commits += 1;
        if self.probe.as_ref().is_some_and(|p| !p.before_commit(self.commits)) {
            return Go::Stop;
        }
        let started = Instant::now();
        let committed = applied.and_then(|()| self.end_transaction());
        if self.probe.as_ref().is_some_and(|p| !p.after_commit(self.commits)) {
            return Go::Stop;
        }
        let metrics = &self.memory.shared.metrics;
        match &committed {
            Ok(()) => {
                metrics.batch.observe(commands);
                metrics.commit_us.observe(u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX));
            }
            Err(_) => {
                metrics.commit_failures.fetch_add(1, Ordering::Relaxed);
            }
        }
        let go = self.note(committed.as_ref().err());
        for after in afters {
            after(&mut self.memory, committed.clone());
        }
        // Commands that were not reached have their answers dropped with them: their callers hear of the trouble.
        batch.clear();
        go
    }

    /// Applies every command in one transaction that is left open.
    fn apply(&mut self, batch: &mut Vec<Command>, afters: &mut Vec<After>) -> Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let (connection, memory) = (&self.connection, &mut self.memory);
        let mut shared = Batch::new(connection, memory.now());
        batch.reverse();
        while let Some(command) = batch.pop() {
            let after = match command {
                Command::Accept(new, answer) => message::accept(&mut shared, memory, *new, answer),
                Command::Record(records, answer) => delivery::record(&mut shared, memory, records, answer),
                Command::Park(parked, answer) => delivery::park(connection, memory, parked, answer),
                Command::Claim(wanted, now, answer) => claim::claim(connection, memory, wanted, now, answer),
                Command::Cold(work) => Ok(work(connection, memory)),
                Command::FinishCheckpoint(_) | Command::Close => continue,
            };
            let (after, trouble) =
                after.map_or_else(|(after, error)| (after, Some(error)), |after| (after, None));
            afters.push(after);
            if let Some(error) = trouble {
                return Err(error);
            }
            // Some errors end the transaction by themselves; what followed would be committed piece by piece.
            if connection.is_autocommit() {
                return Err(StoreError::Unavailable("SQLite gave the transaction up".into()));
            }
        }
        Ok(())
    }

    fn end_transaction(&self) -> Result<()> {
        let commit = self.connection.prepare_cached("COMMIT").and_then(|mut statement| statement.execute([]));
        commit.map(|_| ()).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) => StoreError::DiskFailed(error.to_string()),
            _ => error.into(),
        })
    }

    /// Writes the checkpoint with this commit when it is old.
    fn beat(&mut self) -> Result<()> {
        let now = self.memory.now();
        if now.since(self.heartbeat) < HEARTBEAT_MS {
            return Ok(());
        }
        self.heartbeat = now;
        // Only commits that were answered count: ids of this very transaction lie above what `outstanding` knows, so
        // the bound is the lowest id that this transaction may have assigned.
        let checkpoint = self.memory.lease.checkpoint(&self.memory.outstanding);
        self.memory.lease.write(&self.connection, checkpoint)?;
        Ok(())
    }

    fn note(&mut self, error: Option<&StoreError>) -> Go {
        let Some(error) = error else {
            self.memory.lease.committed_below(self.memory.ids.floor());
            if self.memory.shared.mended() {
                tracing::info!("the store writes again");
            }
            return Go::On;
        };
        if !self.connection.is_autocommit()
            && let Err(rollback) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %rollback, "a failed commit could not be rolled back");
        }
        let text = error.to_string();
        if self.memory.shared.troubled(&text) {
            tracing::error!(error = text, "nothing was committed; callers are told");
        }
        // A full disk leaves the file as it was. After a failed sync nobody knows what the disk has (PROTOCOL rule 19).
        if matches!(error, StoreError::DiskFailed(_)) {
            tracing::error!("the store ends, so that a restart reads what the disk really has");
            return Go::Stop;
        }
        Go::On
    }

    fn finish_checkpoint(&self, command: Command) {
        if let Err(error) = checkpoint::copy_back(&self.connection) {
            tracing::warn!(%error, "the WAL could not be copied back; it grows until it can");
        }
        if let Command::FinishCheckpoint(done) = command {
            // The checkpointer may have been stopped meanwhile.
            let _ = done.send(());
        }
    }

    /// Rule 17: settles what is left by leaving the lease to the next start, or removes it when nothing is left.
    fn release(&mut self) {
        let checkpoint = self.memory.lease.checkpoint(&self.memory.outstanding);
        if let Err(error) = self.memory.lease.write(&self.connection, checkpoint) {
            tracing::warn!(%error, "the last checkpoint could not be written; the next start looks further back");
        }
    }
}
