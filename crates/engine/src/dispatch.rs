//! Dispatch: one loop that owns all queues.
//!
//! It takes fresh deliveries from the handoff and due ones from claims, gives each its turn, and carries out what the
//! turn's end means for the endpoint's line. What must wait long (breaker open, endpoint paused, queue too old) goes
//! back into its row, so that memory stays bounded and the checkpoint moves on.

use crate::attempt::{self, Context, Ticket};
use crate::claim::{self, Claimed};
use crate::due::Due;
use crate::line::{Ended, Item};
use crate::queue::{Queues, Turn};
use crate::request::{Common, Prepared};
use crate::throttle::Limits;
use domain::attempt::Trigger;
use domain::clock::Timestamp;
use domain::delivery::{DeliveryKey, MAIN_RUN, RowState};
use domain::id::EndpointKey;
use domain::limit::IN_FLIGHT_MAX;
use foldhash::{HashMap, HashMapExt};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use store::delivery::{Held, Parked};
use store::handoff::{Accepted, HandoffReceiver};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Events taken at a time.
const EVENTS_MAX: usize = 256;
/// Longest wait before dispatch looks at the clock again while something is due later: the clock may be set.
const LOOK_MAX: Duration = Duration::from_millis(50);
/// How long a delivery waits that could not be tried for reasons of our own, in milliseconds.
const PUT_OFF_MS: i64 = 5_000;
/// Between looks for late first attempts, and at the metrics.
const LATE_EVERY: Duration = Duration::from_millis(500);
/// Between sweeps for due rows that no wake of this process told about.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// A turn that is over.
pub(crate) struct Done {
    pub(crate) turn: Turn,
    pub(crate) ended: Ended,
}

type Later<T> = Option<Pin<Box<dyn Future<Output = T> + Send>>>;

struct Dispatch {
    context: Arc<Context>,
    handoff: HandoffReceiver,
    tasks: TaskTracker,
    queues: Queues,
    due: Due,
    prepared: HashMap<EndpointKey, Arc<Prepared>>,
    done: mpsc::Sender<Done>,
    claiming: Later<Claimed>,
    sweeping: Later<Vec<(EndpointKey, Timestamp)>>,
    /// Deliveries on their way back into rows.
    parked: Vec<Parked>,
    parking: Later<Result<(), Vec<Parked>>>,
    stopping: bool,
}

/// Runs until `stop` is cancelled and nothing is in flight any more.
pub(crate) async fn run(
    context: Arc<Context>,
    handoff: HandoffReceiver,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let (done, mut finished) = mpsc::channel(IN_FLIGHT_MAX + 1);
    let mut dispatch = Dispatch {
        context,
        handoff,
        tasks,
        queues: Queues::default(),
        due: Due::default(),
        prepared: HashMap::new(),
        done,
        claiming: None,
        sweeping: None,
        parked: Vec::new(),
        parking: None,
        stopping: false,
    };
    let store = Arc::clone(&dispatch.context.store);
    let (mut accepted, mut ended) = (Vec::new(), Vec::new());
    let (mut late_at, mut sweep_at) = (Instant::now(), Instant::now());
    // Made once, not in each round: arming a timer or joining a list of waiters costs more than the round itself.
    let mut look = pin!(tokio::time::sleep(LOOK_MAX));
    let mut noted = pin!(store.wakes().noted());
    let mut stopped = pin!(stop.cancelled());
    loop {
        let look_at = dispatch.look_at().min(late_at).min(sweep_at);
        if look_at < look.deadline() || look.is_elapsed() {
            look.as_mut().reset(look_at);
        }
        tokio::select! {
            _ = finished.recv_many(&mut ended, EVENTS_MAX) => dispatch.take_ended(&mut ended),
            more = dispatch.handoff.messages.recv_many(&mut accepted, EVENTS_MAX), if !dispatch.stopping => {
                dispatch.take_accepted(&mut accepted);
                dispatch.stopping |= more == 0;
            }
            claimed = poll(&mut dispatch.claiming) => dispatch.take_claimed(claimed),
            due = poll(&mut dispatch.sweeping) => dispatch.take_due(due),
            failed = poll(&mut dispatch.parking) => dispatch.parked.extend(failed.err().into_iter().flatten()),
            () = &mut noted => {
                noted.set(store.wakes().noted());
                dispatch.take_due(store.wakes().take());
            }
            () = &mut look => {
                let now = Instant::now();
                if now >= late_at {
                    late_at = now + LATE_EVERY;
                    dispatch.look_for_late();
                }
                if now >= sweep_at {
                    sweep_at = now + SWEEP_EVERY;
                    dispatch.sweep();
                }
            }
            () = &mut stopped, if !dispatch.stopping => dispatch.stopping = true,
        }
        if dispatch.stopping {
            if dispatch.queues.in_flight() == 0 {
                return;
            }
            continue;
        }
        // Without a lease nothing may be sent: what waits stays where it is, and most often the lease comes back.
        if store.lease_is_valid() {
            dispatch.claim();
            dispatch.send();
        }
        dispatch.park();
    }
}

/// Waits for a future that may not be there.
async fn poll<T>(later: &mut Later<T>) -> T {
    match later {
        Some(future) => {
            let value = future.await;
            *later = None;
            value
        }
        None => std::future::pending().await,
    }
}

impl Dispatch {
    fn now(&self) -> Timestamp {
        self.context.clock.now()
    }

    /// When to look at the clock again.
    fn look_at(&self) -> Instant {
        let rests = !self.context.store.lease_is_valid();
        if rests || self.claiming.is_some() || !claim::may_claim(&self.queues) {
            return Instant::now() + LOOK_MAX;
        }
        let next = self.due.next().into_iter().chain(self.queues.throttled_until()).min();
        let wait = next.map_or(SWEEP_EVERY, |next| {
            let ms = next.since(self.now()).max(1).unsigned_abs();
            Duration::from_millis(ms).min(LOOK_MAX)
        });
        Instant::now() + wait
    }

    fn take_accepted(&mut self, accepted: &mut Vec<Accepted>) {
        let now = self.now();
        for Accepted { message, endpoints, room } in accepted.drain(..) {
            for endpoint in endpoints {
                let item = Item {
                    key: DeliveryKey { message: message.id, endpoint, run: MAIN_RUN },
                    held: Held::Fresh,
                    message: Arc::clone(&message),
                    attempts: 0,
                    trigger: Trigger::Message,
                    // Ids go on from the highest, so that their time is ahead when the clock was set back.
                    since: message.id.timestamp().min(now),
                    room: room.clone(),
                };
                self.enqueue(item);
            }
        }
    }

    fn enqueue(&mut self, item: Item) {
        let endpoint = item.key.endpoint;
        let Some(route) = self.context.store.routing().route(endpoint) else { return self.put_back(item) };
        // The breaker may have opened while the delivery was on its way here, or the line been set aside.
        let now = self.now();
        let line = self.queues.line(endpoint);
        if line.breaker.limit() > 0 && line.set_aside(now).is_none() {
            return self.queues.push(item, &route.gauge, Limits::of(&route));
        }
        if item.held == Held::Fresh {
            route.gauge.leave(item.bytes());
        }
        self.put_back(item);
    }

    fn take_claimed(&mut self, claimed: Claimed) {
        self.parked.extend(claimed.unread);
        claimed.items.into_iter().for_each(|item| self.enqueue(item));
        for (endpoint, time) in claimed.next_due {
            // A window that is more than half full is noted again when it has room.
            let nodes = self.queues.nodes();
            if time > self.now() || claim::has_room(self.queues.line(endpoint), nodes) {
                // Not its row's old time: endpoints with long backlogs would always come before the others.
                self.due.note(endpoint, time.max(self.context.clock.now()));
            }
        }
    }

    fn take_due(&mut self, due: Vec<(EndpointKey, Timestamp)>) {
        due.into_iter().for_each(|(endpoint, time)| self.due.note(endpoint, time));
    }

    fn take_ended(&mut self, ended: &mut Vec<Done>) {
        let now = self.now();
        for Done { turn, ended } in ended.drain(..) {
            let endpoint = turn.item.key.endpoint;
            if turn.item.held == Held::Fresh {
                self.handoff.left(1);
            }
            if self.queues.ended(endpoint, (turn.standing, turn.has_script), ended, now) {
                self.queues.drain(endpoint).into_iter().for_each(|item| self.put_back(item));
                let probe_at = self.queues.line(endpoint).breaker.probe_at();
                self.due.note(endpoint, probe_at.unwrap_or(now));
            }
            match ended {
                Ended::Nothing => self.note_parked(&turn.item, now, RowState::Pending),
                Ended::PutOff => self.note_parked(&turn.item, now.plus_ms(PUT_OFF_MS), RowState::Pending),
                Ended::Canceled => self.note_parked(&turn.item, now, RowState::Canceled),
                _ => {}
            }
        }
    }

    /// Gives every delivery that may be sent its turn.
    fn send(&mut self) {
        let now = self.now();
        while let Some(turn) = self.queues.next(now) {
            let endpoint = turn.item.key.endpoint;
            let line = self.queues.line(endpoint);
            if matches!(turn.item.held, Held::Claimed(_)) && claim::makes_room(line, turn.item.bytes()) {
                self.due.note(endpoint, self.context.clock.now());
            }
            match self.prepare(endpoint) {
                Some(prepared) => {
                    let ticket = Ticket::new(turn, self.done.clone());
                    self.tasks.spawn(attempt::run(Arc::clone(&self.context), prepared, ticket));
                }
                None => {
                    // All of its line: it must not wait for its turns only to be put back.
                    self.queues.ended(endpoint, (turn.standing, turn.has_script), Ended::Nothing, now);
                    self.put_back(turn.item);
                    self.queues.drain(endpoint).into_iter().for_each(|item| self.put_back(item));
                }
            }
        }
        let (set_aside, called) = self.queues.throttled();
        for (endpoint, until) in set_aside {
            self.queues.drain(endpoint).into_iter().for_each(|item| self.put_back(item));
            self.due.note(endpoint, until);
        }
        called.into_iter().for_each(|endpoint| self.due.note(endpoint, now));
        self.context.metrics.in_flight.store(self.queues.in_flight(), Ordering::Relaxed);
        self.context.metrics.queued.store(self.queues.waiting(), Ordering::Relaxed);
    }

    /// What requests to the endpoint share; none when it is deleted, disabled or paused by now.
    fn prepare(&mut self, endpoint: EndpointKey) -> Option<Arc<Prepared>> {
        let route = self.context.store.routing().route(endpoint)?;
        if route.endpoint.fields.disabled || route.endpoint.fields.paused {
            return None;
        }
        let known = self.prepared.get(&endpoint).filter(|p| p.is_of(&route));
        if let Some(prepared) = known {
            return Some(Arc::clone(prepared));
        }
        let settings = &self.context.settings;
        let common = Common {
            egress: &self.context.egress,
            event_origin: &settings.event_origin,
            request_timeout: settings.request_timeout,
        };
        let prepared = Arc::new(Prepared::new(&route, &common));
        self.prepared.insert(endpoint, Arc::clone(&prepared));
        Some(prepared)
    }

    fn claim(&mut self) {
        if self.claiming.is_some() {
            return;
        }
        let now = self.now();
        let wanted = claim::wanted(&mut self.due, &mut self.queues, now);
        if !wanted.is_empty() {
            self.claiming = Some(Box::pin(claim::claim(Arc::clone(&self.context.store), wanted, now)));
        }
    }

    /// A delivery that left its line goes back into its row.
    fn put_back(&mut self, item: Item) {
        if item.held == Held::Fresh {
            self.handoff.left(1);
        }
        self.note_parked(&item, item.since, RowState::Pending);
    }

    fn note_parked(&mut self, item: &Item, due_at: Timestamp, state: RowState) {
        self.parked.push(Parked { key: item.key, held: item.held, due_at, state });
    }

    fn park(&mut self) {
        if self.parked.is_empty() || self.parking.is_some() {
            return;
        }
        let (store, parked) = (Arc::clone(&self.context.store), std::mem::take(&mut self.parked));
        self.parking = Some(Box::pin(async move {
            let failed = store.park(parked.clone()).await.err();
            let Some(error) = failed else { return Ok(()) };
            tracing::warn!(%error, deliveries = parked.len(), "deliveries could not be parked; trying again");
            tokio::time::sleep(LATE_EVERY).await;
            Err(parked)
        }));
    }

    fn look_for_late(&mut self) {
        let now = self.now();
        self.queues.shared_by(self.context.store.live_leases());
        let routing = self.context.store.routing();
        self.queues.look_again(now, |endpoint| routing.route(endpoint).map(|route| Limits::of(&route)));
        self.queues.late(now).into_iter().for_each(|item| self.put_back(item));
        self.context.metrics.breakers_open.store(self.queues.breakers_open(), Ordering::Relaxed);
    }

    fn sweep(&mut self) {
        self.queues.forget_idle(self.now());
        self.context.egress.close_idle();
        self.prepared.values().for_each(|prepared| prepared.close_idle());
        self.prepared.retain(|endpoint, p| {
            let route = self.context.store.routing().route(*endpoint);
            route.is_some_and(|route| p.is_of(&route))
        });
        if self.sweeping.is_none() {
            let (store, until) = (Arc::clone(&self.context.store), Timestamp(i64::MAX));
            self.sweeping = Some(Box::pin(async move {
                store.due_endpoints(until).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "due endpoints could not be listed; trying again");
                    Vec::new()
                })
            }));
        }
    }
}
