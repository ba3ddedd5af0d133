//! The handoff: an accepted message itself, in memory, from the committing writer to dispatch.
//!
//! A place is reserved before the transaction begins (PROTOCOL rule 9), so that a committed message always fits; when
//! there is none, the message is parked instead. [`Gauge`] tells ingest how full one endpoint's queue is, so that a
//! slow endpoint's messages are parked at the door (PROTOCOL rule 15, and parking in ARCHITECTURE.md). Large payloads take
//! [`Room`] of all memory that waits, until the last of their deliveries has left it.

use domain::clock::Timestamp;
use domain::id::EndpointKey;
use domain::limit::{
    ENDPOINT_QUEUE_BYTES_MAX, ENDPOINT_QUEUE_MAX, QUEUE_BYTES_COUNTED_MIN, QUEUE_BYTES_MAX, QUEUE_MAX,
};
use domain::message::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use tokio::sync::mpsc;

/// An accepted message on its way to dispatch.
#[derive(Debug)]
pub struct Accepted {
    /// The message.
    pub message: Arc<Message>,
    /// The endpoints whose first attempt dispatch now holds.
    pub endpoints: Vec<EndpointKey>,
    /// What its payload takes of the memory for all; to be kept with each of its deliveries.
    pub room: Option<Arc<Room>>,
}

/// Bytes of a large payload that waits in memory; dropped with the last delivery, they are free again.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
    taken: Arc<AtomicUsize>,
}

/// The sending side, for ingest.
#[derive(Clone, Debug)]
pub struct Handoff {
    sender: mpsc::Sender<Accepted>,
    queued: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

/// The receiving side, for dispatch.
#[derive(Debug)]
pub struct HandoffReceiver {
    /// Accepted messages in the order of their ids.
    pub messages: mpsc::Receiver<Accepted>,
    queued: Arc<AtomicUsize>,
}

/// A reserved place in dispatch, and in the queues of the endpoints whose gauges were entered. Dropped unfilled, it
/// gives all of them back.
#[derive(Debug)]
pub struct Slot {
    permit: Option<mpsc::OwnedPermit<Accepted>>,
    queued: Arc<AtomicUsize>,
    entered: Vec<Arc<Gauge>>,
    bytes: usize,
    room: Option<Arc<Room>>,
}

/// Makes a handoff that holds at most [`QUEUE_MAX`] deliveries and [`QUEUE_BYTES_MAX`] of large payloads.
#[must_use]
pub fn channel() -> (Handoff, HandoffReceiver) {
    let (sender, messages) = mpsc::channel(QUEUE_MAX);
    let queued = Arc::new(AtomicUsize::new(0));
    let handoff = Handoff { sender, queued: Arc::clone(&queued), bytes: Arc::default() };
    (handoff, HandoffReceiver { messages, queued })
}

impl Handoff {
    /// Deliveries that are in dispatch's memory by handoff.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Reserves a place for a message that holds so many bytes and whose first attempts are those of the `entered` gauges (with as
    /// many bytes); none when memory is full or dispatch has ended: then the gauges are left again, and the deliveries are to be
    /// parked.
    #[must_use]
    pub fn reserve(&self, entered: Vec<Arc<Gauge>>, bytes: usize) -> Option<Slot> {
        let before = self.queued.fetch_add(entered.len(), Ordering::Relaxed);
        let fits = before + entered.len() <= QUEUE_MAX;
        // Dropping the slot gives back what was taken.
        let mut slot = Slot { permit: None, queued: Arc::clone(&self.queued), entered, bytes, room: None };
        if bytes >= QUEUE_BYTES_COUNTED_MIN {
            slot.room = Some(Arc::new(Room::take(&self.bytes, bytes)?));
        }
        slot.permit = Some(fits.then(|| self.sender.clone().try_reserve_owned().ok()).flatten()?);
        Some(slot)
    }
}

impl Room {
    fn take(taken: &Arc<AtomicUsize>, bytes: usize) -> Option<Self> {
        let before = taken.fetch_add(bytes, Ordering::Relaxed);
        // Dropped, it gives back what was too much.
        let room = Self { bytes, taken: Arc::clone(taken) };
        (before + bytes <= QUEUE_BYTES_MAX).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Slot {
    /// Hands the committed message over to dispatch, for the first attempts to `endpoints`. Called by the writer, right
    /// after the commit.
    pub fn fill(mut self, message: Arc<Message>, endpoints: Vec<EndpointKey>) {
        self.entered.clear();
        if let Some(permit) = self.permit.take() {
            permit.send(Accepted { message, endpoints, room: self.room.take() });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.queued.fetch_sub(self.entered.len(), Ordering::Relaxed);
        self.entered.iter().for_each(|gauge| gauge.leave(self.bytes));
    }
}

impl HandoffReceiver {
    /// Notes that so many deliveries have left memory: settled, retried or parked.
    pub fn left(&self, deliveries: usize) {
        self.queued.fetch_sub(deliveries, Ordering::Relaxed);
    }

    /// Deliveries that are in memory by handoff.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

/// How full one endpoint's queue is; shared by ingest and dispatch.
#[derive(Debug, Default)]
pub struct Gauge {
    queued: AtomicU32,
    bytes: AtomicUsize,
    closed: AtomicBool,
    /// When the breaker lets a request through, in milliseconds since 1970; 0 while it is closed.
    probe_at: AtomicI64,
}

impl Gauge {
    /// Takes a place in the endpoint's queue for a delivery that holds so many bytes; false when the queue is full or closed,
    /// and the delivery is to be parked.
    pub fn enter(&self, bytes: usize) -> bool {
        if self.closed.load(Ordering::Relaxed) {
            return false;
        }
        let before = self.queued.fetch_add(1, Ordering::Relaxed);
        if before >= ENDPOINT_QUEUE_MAX {
            self.queued.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let bytes_before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if bytes_before > 0 && bytes_before + bytes > ENDPOINT_QUEUE_BYTES_MAX {
            self.leave(bytes);
            return false;
        }
        true
    }

    /// Gives a place back, with the bytes that it was taken for.
    pub fn leave(&self, bytes: usize) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Closes the door (the breaker is open) or opens it.
    pub fn set_closed(&self, closed: bool) {
        self.closed.store(closed, Ordering::Relaxed);
    }

    /// Notes when the breaker lets a request through; none while it is closed.
    pub fn set_probe(&self, probe_at: Option<Timestamp>) {
        self.probe_at.store(probe_at.map_or(0, |time| time.0), Ordering::Relaxed);
    }

    /// While this process's breaker is open: when it lets a request through.
    #[must_use]
    pub fn probe_at(&self) -> Option<Timestamp> {
        Some(self.probe_at.load(Ordering::Relaxed)).filter(|time| *time != 0).map(Timestamp)
    }

    /// Places taken.
    #[must_use]
    pub fn queued(&self) -> u32 {
        self.queued.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_payloads_take_room_until_the_last_delivery_has_left_and_small_ones_none() {
        let (handoff, _accepted) = channel();
        let half = QUEUE_BYTES_MAX / 2;
        let gauge = Arc::new(Gauge::default());
        let reserve = |bytes| handoff.reserve(vec![Arc::clone(&gauge)], bytes);
        let first = reserve(half).unwrap();
        let second = reserve(half).unwrap();
        assert!(reserve(QUEUE_BYTES_COUNTED_MIN).is_none(), "memory is full");
        assert_eq!(handoff.held(), 2, "a refused message takes nothing");
        let small = reserve(QUEUE_BYTES_COUNTED_MIN - 1).unwrap();
        let (one, other) = (first.room.clone(), first.room.clone());
        drop(first);
        drop(one);
        assert!(reserve(half).is_none(), "a delivery still waits");
        drop(other);
        assert!(reserve(half).is_some());
        drop((second, small));
        assert_eq!(handoff.held(), 0);
    }

    #[test]
    fn one_endpoints_large_payloads_leave_memory_for_the_others() {
        let (handoff, _accepted) = channel();
        let gauge = Arc::new(Gauge::default());
        let quarter = ENDPOINT_QUEUE_BYTES_MAX / 4;
        let mut slots = Vec::new();
        while gauge.enter(quarter) {
            slots.push(
                handoff.reserve(vec![Arc::clone(&gauge)], quarter).expect("memory for all is not full"),
            );
        }
        assert_eq!((slots.len(), gauge.queued()), (4, 4), "what does not fit takes no place");
        slots.pop();
        assert!(gauge.enter(quarter), "a place that was given back is free, bytes and all");
        let alone = Gauge::default();
        assert!(alone.enter(2 * ENDPOINT_QUEUE_BYTES_MAX), "one delivery always fits");
        assert!(!alone.enter(1));
    }
}
