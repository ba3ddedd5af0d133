//! What became of a statement of the writer, and what that changes in memory: nothing outside hears of a commit before it is
//! answered; then handoff, wakes and the checkpoint change together (PROTOCOL rules 6, 8 and 9).

use super::command::Batch;
use super::commit::{AGAIN_AFTER, Loop};
use super::message;
use super::node::Node;
use crate::delivery::{Held, Record};
use crate::error::{Result, StoreError};
use domain::delivery::{DeliveryKey, Next, RowState};
use domain::id::LeaseId;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tokio_postgres::Row;

impl Loop {
    /// The statement is answered: tells everybody, by what the fence let through.
    pub(super) fn committed(&mut self, batch: Batch, lease: LeaseId, (row, unsent): (&Row, Option<i64>)) {
        let fenced: Vec<i64> = row.get::<_, Option<Vec<i64>>>(0).unwrap_or_default();
        let node = &self.node;
        node.change(|book| {
            book.answered(unsent);
            // Rule 3: no row under the lock means that the lease was settled, and that all its work is another's.
            let gone: Vec<LeaseId> =
                book.leases().map(|own| own.id).filter(|id| !fenced.contains(&id.0)).collect();
            gone.into_iter().for_each(|lease| book.lose(lease));
        });
        let refusals = message::refusals(row);
        for one in batch.accepting {
            if !fenced.contains(&lease.0) {
                let lost = "this node's lease was lost; it takes another".to_owned();
                one.refuse(StoreError::Unavailable(lost));
            } else if let Some(refusal) = message::refusal(&refusals, one.id, &one.new) {
                one.refuse(refusal);
            } else {
                let message = message::announce(node, *one.new, one.id);
                let _ = one.answer.send(Ok(message));
            }
        }
        for one in batch.recording {
            one.records.iter().for_each(|record| recorded(node, record));
            let _ = one.answer.send(Ok(one.ids));
        }
        for one in batch.parking {
            for parked in &one.parked {
                left(node, parked.key, parked.held, true);
                if parked.state == RowState::Canceled {
                    settled(node, parked.key, parked.held);
                    continue;
                }
                node.shared.wakes.note(parked.key.endpoint, parked.due_at);
                if parked.held == Held::Fresh {
                    node.shared.metrics.parked.fetch_add(1, Ordering::Relaxed);
                }
            }
            let _ = one.answer.send(Ok(()));
        }
        if node.book.lock().leases().nth(1).is_some() {
            node.drained.notify_one();
        }
    }

    /// Nothing was committed. Attempts are tried again, unless they are what PostgreSQL does not take.
    pub(super) fn refused(&mut self, batch: Batch, error: &StoreError, unsent: Option<i64>) {
        self.failed(error);
        self.node.book.lock().answered(unsent);
        batch.accepting.into_iter().for_each(|one| one.refuse(error.clone()));
        for one in batch.parking {
            let _ = one.answer.send(Err(error.clone()));
        }
        for one in batch.recording {
            if matches!(error, StoreError::Broken(_)) {
                let _ = one.answer.send(Err(error.clone()));
            } else {
                self.again_at = Some(Instant::now() + AGAIN_AFTER);
                self.kept.push(one);
            }
        }
    }

    /// Nobody knows what was committed (rule 8). The lease is not used for new work any more: what it left is settled
    /// from what is stored once its memory is empty. Attempts are sent again under the same ids; a park is not.
    pub(super) fn unknown(&mut self, batch: Batch, error: &StoreError) -> Result<()> {
        self.failed(error);
        self.session = None;
        if !batch.accepting.is_empty() || !batch.parking.is_empty() {
            self.rotate(error)?;
        } else {
            self.node.book.lock().answered(None);
        }
        batch.accepting.into_iter().for_each(|one| one.refuse(error.clone()));
        for one in batch.parking {
            one.parked.iter().for_each(|parked| left(&self.node, parked.key, parked.held, false));
            let _ = one.answer.send(Ok(()));
        }
        self.kept.extend(batch.recording);
        Ok(())
    }

    pub(super) fn rotate(&self, error: &StoreError) -> Result<()> {
        tracing::warn!(%error, "what became of a commit is not known: its lease is drained and settled");
        if self.node.change(super::book::Book::rotate) {
            return Ok(());
        }
        Err(StoreError::Unavailable("too many commits have an unknown fate: the process starts anew".into()))
    }

    pub(super) fn failed(&self, error: &StoreError) {
        self.node.shared.metrics.commit_failures.fetch_add(1, Ordering::Relaxed);
        if self.node.shared.troubled(&error.to_string()) {
            tracing::error!(%error, "a commit failed; callers are told");
        }
    }
}

/// What a recorded attempt changes in memory.
fn recorded(node: &Node, record: &Record) {
    let key = key_of(record);
    left(node, key, record.held, true);
    if let Next::Retry(due_at) = record.next {
        node.shared.wakes.note(key.endpoint, due_at);
    } else {
        settled(node, key, record.held);
    }
}

/// With an ordered endpoint it is the next one's turn (PROTOCOL rule 16).
fn settled(node: &Node, key: DeliveryKey, held: Held) {
    if held != Held::Fresh && node.shared.routing.is_ordered(key.endpoint) {
        node.shared.wakes.note(key.endpoint, node.now());
    }
}

fn key_of(record: &Record) -> DeliveryKey {
    let attempt = &record.attempt;
    DeliveryKey { message: attempt.message, endpoint: attempt.endpoint, run: attempt.run }
}

fn left(node: &Node, key: DeliveryKey, held: Held, confirmed: bool) {
    node.book.lock().left(key, held, confirmed);
}
