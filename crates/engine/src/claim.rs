//! Claiming: which endpoints to ask the store about, how many rows of each, and their messages.

use crate::due::Due;
use crate::line::{Item, Line};
use crate::queue::Queues;
use domain::clock::Timestamp;
use domain::delivery::RowState;
use domain::id::{EndpointKey, MessageId};
use domain::limit::ENDPOINT_QUEUE_BYTES_MAX;
use domain::message::Message;
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
    /// Claimed rows whose messages could not be read, or are gone: they go back. The next claim drops the latter.
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
    let nodes = queues.nodes();
    while rows > 0 && wanted.len() < ENDPOINTS_MAX {
        let Some(endpoint) = due.take(now) else { break };
        let line = queues.line(endpoint);
        let room = if line.breaker.is_open() {
            if line.in_flight() > 0 || line.claimed().0 > 0 || !line.breaker.probe(now) {
                later.push((endpoint, line.breaker.probe_at().unwrap_or(now).max(now.plus_ms(100))));
                continue;
            }
            1
        } else if let Some(until) = line.set_aside(now) {
            later.push((endpoint, until));
            continue;
        } else if !has_room(line, nodes) {
            // Dispatch notes the endpoint again when its window is half empty.
            continue;
        } else {
            (line.filled_to - line.claimed().0).min(rows)
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

/// Whether an endpoint's line has room for more claimed deliveries. If not, it is noted what it must come down to.
pub(crate) fn has_room(line: &mut Line, nodes: u32) -> bool {
    line.filled_to = line.window(WINDOW, nodes);
    is_half_empty(line.claimed(), line.filled_to)
}

/// Whether a line has made room for more by the claimed delivery of so many bytes that just left it.
pub(crate) fn makes_room(line: &Line, gone: usize) -> bool {
    // As it was when it was filled: a window that has grown since must not make it miss its half.
    let ((claimed, bytes), window) = (line.claimed(), line.filled_to);
    is_half_empty((claimed, bytes), window) && !is_half_empty((claimed + 1, bytes + gone), window)
}

const fn is_half_empty((claimed, bytes): (usize, usize), window: usize) -> bool {
    claimed <= window / 2 && bytes <= ENDPOINT_QUEUE_BYTES_MAX / 2
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
    let messages = match messages(&*store, &claims).await {
        Ok(messages) => messages,
        Err(error) => {
            tracing::warn!(%error, "claimed messages could not be read; they go back");
            HashMap::new()
        }
    };
    let (items, unread) = sort_out(&claims, &messages, again);
    Claimed { items, unread, next_due }
}

type Messages = HashMap<MessageId, Arc<Message>>;

async fn messages(store: &dyn Store, claims: &[Claims]) -> Result<Messages, store::StoreError> {
    let rows = claims.iter().flat_map(|c| &c.rows);
    let ids: HashSet<MessageId> = rows.map(|row| row.key.message).collect();
    if ids.is_empty() {
        return Ok(Messages::new());
    }
    let messages = store.messages_load(ids.into_iter().collect()).await?;
    Ok(messages.into_iter().map(|message| (message.id, message)).collect())
}

/// Claimed rows with their messages, and those without one: it was pruned meanwhile, or could not be read. They must not stay in
/// memory with nobody who carries them.
fn sort_out(claims: &[Claims], messages: &Messages, again: Timestamp) -> (Vec<Item>, Vec<Parked>) {
    let (mut items, mut unread) = (Vec::new(), Vec::new());
    for row in claims.iter().flat_map(|c| &c.rows) {
        let held = Held::Claimed(row.claim);
        match messages.get(&row.key.message) {
            Some(message) => items.push(Item {
                key: row.key,
                held,
                message: Arc::clone(message),
                attempts: row.attempts,
                trigger: row.trigger,
                since: row.due_at,
                room: None,
            }),
            None => unread.push(Parked { key: row.key, held, due_at: again, state: RowState::Pending }),
        }
    }
    (items, unread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::attempt::Trigger;
    use domain::delivery::{DeliveryKey, MAIN_RUN};
    use domain::id::ClaimId;

    #[test]
    fn a_line_is_full_by_bytes_too() {
        let half = ENDPOINT_QUEUE_BYTES_MAX / 2;
        assert!(is_half_empty((WINDOW / 2, half), WINDOW));
        assert!(!is_half_empty((WINDOW / 2 + 1, 0), WINDOW) && !is_half_empty((1, half + 1), WINDOW));
        assert!(is_half_empty((0, 0), 1) && !is_half_empty((1, 0), 1), "one at a time");
    }

    #[test]
    fn a_row_whose_message_is_gone_goes_back_and_is_not_forgotten() {
        let now = Timestamp(1_800_000_000_000);
        let endpoint = EndpointKey(1);
        let key = DeliveryKey { message: MessageId(7), endpoint, run: MAIN_RUN };
        let trigger = Trigger::Message;
        let row = store::delivery::Claimed { key, claim: ClaimId(3), attempts: 1, trigger, due_at: now };
        let claims = [Claims { endpoint, rows: vec![row], next_due: None }];
        let (items, unread) = sort_out(&claims, &Messages::new(), now.plus_ms(500));
        assert!(items.is_empty());
        let back: Vec<_> = unread.iter().map(|parked| (parked.key, parked.held, parked.due_at)).collect();
        assert_eq!(back, [(key, Held::Claimed(ClaimId(3)), now.plus_ms(500))]);
    }
}
