//! Records in batches: whatever attempts have ended since the last commit goes into the next one.
//!
//! A batch that the store cannot take now (a full disk) is kept and tried again; meanwhile the channel fills, attempts
//! wait for a place, and dispatch sends nothing more. Nothing is lost, and nothing grows.

use domain::delivery::{DeliveryKey, Next};
use std::sync::Arc;
use std::time::Duration;
use store::delivery::Record;
use store::{Store, StoreError};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Records that may wait.
pub(crate) const QUEUE: usize = 4_096;
/// What the records of one commit may weigh: messages that come meanwhile wait for it, and should not notice when many
/// endpoints fail at the same moment.
const WEIGHT_MAX: usize = 96;
/// What a record weighs that is not the last of its delivery: its row is written too.
const RETRY_WEIGHT: usize = 4;
/// Records that are taken at a time.
const BATCH_MAX: usize = 1_024;
/// How long the first record of a batch waits for others: nobody waits for a record, and a commit saved is a sync saved. At
/// 500 deliveries a second records of 2 ms each had a commit of their own, as many as the messages.
const GATHER: Duration = Duration::from_millis(10);
/// A batch of so many does not wait.
const GATHERED: usize = 128;
/// Between two tries of a batch.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Runs until every sender is gone and everything is recorded, or the store has ended.
pub(crate) async fn run(store: Arc<dyn Store>, mut records: mpsc::Receiver<Record>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while records.recv_many(&mut batch, BATCH_MAX).await > 0 {
        gather(&mut records, &mut batch).await;
        while !batch.is_empty() {
            // Where commits of several nodes go over the network, fewer and larger ones carry more.
            let fits = if store.is_shared() { batch.len() } else { fitting(&batch) };
            let rest = batch.split_off(fits);
            let part = std::mem::replace(&mut batch, rest);
            keep_all(&*store, part).await;
        }
    }
}

/// How many of these records go into one commit.
fn fitting(records: &[Record]) -> usize {
    let mut weight = 0;
    let fits = records.iter().take_while(|record| {
        weight += if matches!(record.next, Next::Retry(_)) { RETRY_WEIGHT } else { 1 };
        weight <= WEIGHT_MAX
    });
    fits.count().max(1)
}

/// A commit can be broken by a command that is not ours, and a batch by one of its records: then each is kept by itself.
async fn keep_all(store: &dyn Store, records: Vec<Record>) {
    let records = Arc::new(records);
    let Err(error) = keep(store, Arc::clone(&records)).await else { return };
    tracing::error!(%error, attempts = records.len(), "a batch of attempts could not be recorded");
    // All of them, also when the lease ends meanwhile: what is neither recorded nor abandoned would be held for ever.
    for record in records.iter() {
        if let Err(error) = keep(store, Arc::new(vec![record.clone()])).await {
            tracing::error!(%error, "an attempt could not be recorded: the next process sends it again");
            let attempt = &record.attempt;
            let key = DeliveryKey { message: attempt.message, endpoint: attempt.endpoint, run: attempt.run };
            store.abandon(key, record.held);
        }
    }
}

/// Tries until the store has them. Gives up when the store is broken or has ended.
async fn keep(store: &dyn Store, records: Arc<Vec<Record>>) -> Result<(), StoreError> {
    loop {
        match store.record(Arc::clone(&records)).await {
            Ok(_) => return Ok(()),
            Err(error @ StoreError::Broken(_)) => return Err(error),
            Err(error) if !store.lease_is_valid() => return Err(error),
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}

async fn gather(records: &mut mpsc::Receiver<Record>, batch: &mut Vec<Record>) {
    let until = Instant::now() + GATHER;
    while batch.len() < GATHERED {
        match timeout_at(until, records.recv_many(batch, BATCH_MAX)).await {
            Ok(more) if more > 0 => {}
            // The time is over, or every sender has gone.
            Ok(_) | Err(_) => return,
        }
    }
}
