//! The writer's handle: how callers ask (`commit.rs` is the task).

use super::command::{Answer, Command};
use super::node::Node;
use crate::error::{Result, StoreError};
use domain::limit::COMMIT_COMMANDS_MAX;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the writer; more callers wait their turn.
pub(super) const QUEUE: usize = 4 * COMMIT_COMMANDS_MAX;

/// The writer's handle.
#[derive(Debug)]
pub(super) struct Writer {
    sender: mpsc::Sender<Command>,
    node: Arc<Node>,
}

impl Writer {
    pub(super) const fn new(sender: mpsc::Sender<Command>, node: Arc<Node>) -> Self {
        Self { sender, node }
    }

    /// Sends a command and waits for its answer. The command is carried out even when the caller goes away.
    pub(super) async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T> {
        let (answer, answered) = oneshot::channel();
        self.sender.send(command(answer)).await.map_err(|_| self.ended())?;
        answered.await.map_err(|_| self.ended())?
    }

    /// Asks the writer to end after what is queued.
    pub(super) fn close(&self) {
        let mut command = Command::Close;
        // The queue drains while the writer lives; when it has ended, sending says so.
        while let Err(mpsc::error::TrySendError::Full(back)) = self.sender.try_send(command) {
            command = back;
            std::thread::yield_now();
        }
    }

    fn ended(&self) -> StoreError {
        let why = self.node.shared.health().err().unwrap_or_else(|| "the store is closed".into());
        StoreError::Unavailable(why)
    }
}
