//! The heartbeat: renews the leases on a connection of its own, whatever the writer waits for (PROTOCOL rules 1, 2, 6, 7).

use super::connection::{Purpose, connect};
use super::lease;
use super::node::Node;
use crate::error::{Result, StoreError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_postgres::Client;

/// Heartbeats in the life of a lease that is not renewed.
const BEATS_IN_TTL: u32 = 10;

/// Runs until the node stops.
pub(super) async fn run(node: Arc<Node>, mut asked: mpsc::Receiver<oneshot::Sender<()>>) {
    let every = node.lease_ttl / BEATS_IN_TTL;
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = None;
    let mut waiting = Vec::new();
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            _ = tick.tick() => {}
            Some(answer) = asked.recv() => waiting.push(answer),
        }
        while let Ok(answer) = asked.try_recv() {
            waiting.push(answer);
        }
        match beat(&node, &mut client).await {
            // Whoever waited may have gone away.
            Ok(()) => waiting.drain(..).for_each(|answer| _ = answer.send(())),
            Err(error) => {
                client = None;
                waiting.clear();
                if node.shared.troubled(&error.to_string()) {
                    tracing::error!(%error, "the lease could not be renewed; trying again");
                }
            }
        }
    }
}

async fn beat(node: &Arc<Node>, client: &mut Option<Client>) -> Result<()> {
    let connected = match client.take().filter(|client| !client.is_closed()) {
        Some(connected) => connected,
        None => connect(&node.server, Purpose::Other, &node.tasks, None).await?,
    };
    let beats = node.book.lock().beats(node.now());
    let within = node.lease_ttl.max(Duration::from_secs(2));
    let renewed = timeout(within, lease::renew(&connected, node, &beats)).await;
    renewed.map_err(|_| StoreError::Unavailable("PostgreSQL does not answer".into()))??;
    *client = Some(connected);
    Ok(())
}
