//! Claiming: which endpoints to ask the store about, how many rows of each, and their messages.

use crate::due::Due;
use crate::queue::{Item, Queues};
use domain::clock::Timestamp;
use domain::id::{EndpointKey, MessageId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use store::Store;
use store::delivery::{Claims, Held, Parked};

/// Claimed deliveries of one endpoint that wait in memory.
const WINDOW: usize = 512;
/// Claimed deliveries that wait in memory altogether.
const WINDOWS_MAX: usize = 20_000;
/// Payload bytes of claimed deliveries that wait in memory, beyond which nothing is claimed (64 MiB).
const BYTES_MAX: usize = 64 << 20;
/// Endpoints of one claim.
const ENDPOINTS_MAX: usize = 64;
/// Rows of one claim altogether, so that it does not hold up the commits beside it.
const ROWS_MAX: usize = 1_024;

/// What a claim brought.
pub(crate) struct Claimed {
    /// Deliveries with their messages.
    pub(crate) items: Vec<Item>,
    /// Claimed rows whose messages could not be read: they go back.
    pub(crate) unread: Vec<Parked>,
    /// When each endpoint that was asked about has more.
    pub(crate) next_due: Vec<(EndpointKey, Timestamp)>,
}

/// Chooses endpoints whose time has come and that have room.
pub(crate) fn wanted(due: &mut Due, queues: &mut Queues, now: Timestamp) -> Vec<(EndpointKey, u32)> {
    let mut wanted = Vec::new();
    let (claimed, bytes) = queues.claimed();
    let room = if bytes < BYTES_MAX { WINDOWS_MAX.saturating_sub(claimed) } else { 0 };
    let mut rows = ROWS_MAX.min(room);
    let mut later = Vec::new();
    while rows > 0 && wanted.len() < ENDPOINTS_MAX {
        let Some(endpoint) = due.take(now) else { break };
        let line = queues.line(endpoint);
        let room = if line.breaker.is_open() {
            if line.in_flight() > 0 || line.claimed() > 0 || !line.breaker.probe(now) {
                later.push((endpoint, line.breaker.probe_at().unwrap_or(now).max(now.plus_ms(100))));
                continue;
            }
            1
        } else if !has_room(line.claimed()) {
            // Dispatch notes the endpoint again when its window is half empty.
            continue;
        } else {
            (WINDOW - line.claimed()).min(rows)
        };
        rows -= room;
        wanted.push((endpoint, u32::try_from(room).unwrap_or(u32::MAX)));
    }
    later.into_iter().for_each(|(endpoint, time)| due.note(endpoint, time));
    wanted
}

/// Whether memory has room for claimed deliveries at all.
pub(crate) fn may_claim(queues: &Queues) -> bool {
    let (claimed, bytes) = queues.claimed();
    claimed < WINDOWS_MAX && bytes < BYTES_MAX
}

/// Whether an endpoint with so many claimed deliveries has room for more.
pub(crate) const fn has_room(claimed: usize) -> bool {
    claimed <= WINDOW / 2
}

/// Whether an endpoint with so many claimed deliveries has just made room for more.
pub(crate) const fn makes_room(claimed: usize) -> bool {
    claimed == WINDOW / 2
}

/// Claims, and reads the claimed messages. On an error nothing is held and the endpoints are asked about again.
pub(crate) async fn claim(store: Arc<dyn Store>, wanted: Vec<(EndpointKey, u32)>, now: Timestamp) -> Claimed {
    let asked: Vec<_> = wanted.iter().map(|(endpoint, _)| *endpoint).collect();
    let again = now.plus_ms(500);
    let claims = match store.claim(wanted, now).await {
        Ok(claims) => claims,
        Err(error) => {
            tracing::warn!(%error, "due deliveries could not be claimed; trying again");
            let next_due = asked.iter().map(|endpoint| (*endpoint, again)).collect();
            return Claimed { items: Vec::new(), unread: Vec::new(), next_due };
        }
    };
    let next_due = claims.iter().filter_map(|c| c.next_due.map(|time| (c.endpoint, time))).collect();
    match items(&*store, &claims).await {
        Ok(items) => Claimed { items, unread: Vec::new(), next_due },
        Err(error) => {
            tracing::warn!(%error, "claimed messages could not be read; they go back");
            let parked = claims.iter().flat_map(|c| &c.rows).map(|row| Parked {
                key: row.key,
                held: Held::Claimed(row.claim),
                due_at: again,
            });
            Claimed { items: Vec::new(), unread: parked.collect(), next_due }
        }
    }
}

async fn items(store: &dyn Store, claims: &[Claims]) -> Result<Vec<Item>, store::StoreError> {
    let rows = || claims.iter().flat_map(|c| &c.rows);
    let ids: HashSet<MessageId> = rows().map(|row| row.key.message).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let messages = store.messages_load(ids.into_iter().collect()).await?;
    let by_id: HashMap<_, _> = messages.into_iter().map(|message| (message.id, message)).collect();
    // A message that was pruned between claim and load took its rows with it.
    let item = |row: &store::delivery::Claimed| {
        by_id.get(&row.key.message).map(|message| Item {
            key: row.key,
            held: Held::Claimed(row.claim),
            message: Arc::clone(message),
            attempts: row.attempts,
            trigger: row.trigger,
            since: row.due_at,
        })
    };
    Ok(rows().filter_map(item).collect())
}
