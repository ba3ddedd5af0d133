//! What one node does for all, now and then: partitions ahead, the rescue of leases that ended, and its own drained ones.

use super::connection::{Purpose, connect};
use super::lease::day_of;
use super::node::Node;
use super::partition::DAYS_AHEAD;
use super::rescue::{Whose, candidates, settle};
use super::time::boot_ms;
use crate::error::Result;
use domain::id::LeaseId;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Client;

/// How often leases are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Runs until the node stops.
pub(super) async fn run(node: Arc<Node>) {
    let mut tick = interval(SWEEP_EVERY.min(node.lease_ttl / 2));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut client, mut steady_since) = (None, None);
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            _ = tick.tick() => {}
            () = node.drained.notified() => if node.book.lock().drained().is_empty() { continue },
        }
        let since = *steady_since.get_or_insert_with(boot_ms);
        if let Err(error) = tend(&node, &mut client, since).await {
            (client, steady_since) = (None, None);
            tracing::warn!(%error, "leases and partitions could not be looked after; trying again");
        }
    }
}

/// Rule 5: who rescues has held a lease for a full TTL in which PostgreSQL answered: after a restart of the database, or when
/// it stood still, everybody else may need that long to renew.
fn may_rescue(node: &Node, steady_since: i64) -> bool {
    let (now, ttl_ms) = (boot_ms(), i64::try_from(node.lease_ttl.as_millis()).unwrap_or(i64::MAX));
    now - steady_since > ttl_ms && node.validity.holds(now) && node.book.lock().is_seasoned(now)
}

async fn tend(node: &Arc<Node>, client: &mut Option<Client>, steady_since: i64) -> Result<()> {
    let connected = match client.take().filter(|client| !client.is_closed()) {
        Some(connected) => connected,
        None => connect(&node.server, Purpose::Other, &node.tasks, None).await?,
    };
    let drained = node.change(super::book::Book::drained);
    let mut all_settled = true;
    for lease in drained {
        if settled(node, &connected, lease, Whose::Own).await? {
            node.change(|book| book.settled(lease));
        } else {
            all_settled = false;
        }
    }
    if may_rescue(node, steady_since) {
        for lease in candidates(&connected).await? {
            let is_own = node.book.lock().get(lease).is_some();
            // Asked again: PostgreSQL may have stood still over the question, and everybody's lease ran out meanwhile.
            if !is_own && may_rescue(node, steady_since) {
                all_settled &= settled(node, &connected, lease, Whose::Expired).await?;
            }
        }
    }
    // Last, and no reason to leave the rest: there are partitions for days yet.
    if let Err(error) = make_ahead(node, &connected).await {
        tracing::warn!(%error, "partitions could not be made ahead; trying again");
        all_settled = false;
    }
    // After a trouble a new session: the old one's server may be one that only reads by now.
    *client = all_settled.then_some(connected);
    Ok(())
}

/// Settles a lease. False when that failed: it is told and tried again, and does not keep other leases from it.
async fn settled(node: &Node, client: &Client, lease: LeaseId, whose: Whose) -> Result<bool> {
    match settle(client, node, lease, whose).await {
        Ok(_) => Ok(true),
        Err(error) if client.is_closed() => Err(error),
        Err(error) => {
            tracing::error!(%error, lease = lease.0, "a lease that ended could not be settled; trying again");
            Ok(false)
        }
    }
}

/// Makes the partitions of the next days, so that no commit has to.
pub(super) async fn make_ahead(node: &Node, client: &Client) -> Result<()> {
    let today = day_of(node.now());
    let log: Vec<i64> = (today..=today + DAYS_AHEAD).collect();
    let gone = today + i64::from(node.retention_days) + 1;
    node.partitions.ensure(client, &log, &[gone, gone + 1]).await
}

/// Settles what is left of this node's leases when it stops in order (PROTOCOL rule 17).
pub(super) async fn release(node: &Arc<Node>) -> Result<()> {
    let client = connect(&node.server, Purpose::Other, &node.tasks, None).await?;
    let leases: Vec<_> = node.book.lock().leases().map(|own| own.id).collect();
    // First nothing may be sent under them any more.
    node.change(|book| leases.iter().for_each(|lease| book.lose(*lease)));
    for lease in leases {
        settle(&client, node, lease, Whose::Own).await?;
    }
    Ok(())
}
