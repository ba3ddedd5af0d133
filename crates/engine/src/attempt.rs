//! One attempt: build the request, send it, decide what became of the delivery, hand the record on.

use crate::exchange::{self, Sent};
use crate::health::{self, Health};
use crate::line::{Ended, Item};
use crate::memory::Memory;
use crate::metrics::EngineMetrics;
use crate::operational;
use crate::queue::Turn;
use crate::request::Prepared;
use crate::retries::Retries;
use crate::{Settings, dispatch::Done};
use bytes::Bytes;
use domain::attempt::{NewAttempt, Outcome, Trigger};
use domain::clock::{Clock, Timestamp};
use domain::delivery::{MAIN_RUN, Next, Seen, Try, Wish, decide};
use domain::endpoint::Disabling;
use domain::health::{LastAnswer, SLOW_MS, is_unrecoverable};
use domain::retry::{RetryPolicy, Schedule};
use domain::wire_id::IdCodec;
use parking_lot::Mutex;
use std::sync::Arc;
use store::Store;
use store::delivery::Record;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Too many requests, and too much to do (RFC 6585, section 4; RFC 9110, section 15.6.4): with `Retry-After` they speak for the whole endpoint.
const TOO_MUCH: [u16; 2] = [429, 503];

/// When a delivery is tried again of which it cannot be told now whether it was its last try, in milliseconds.
const ASK_AGAIN_MS: i64 = 30_000;

/// What every attempt needs.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) egress: egress::Client,
    pub(crate) sandbox: shape::Sandbox,
    pub(crate) retries: Retries,
    pub(crate) memory: Memory,
    pub(crate) health: Arc<Health>,
    pub(crate) ids: IdCodec,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Mutex<fastrand::Rng>,
    pub(crate) settings: Settings,
    pub(crate) metrics: Arc<EngineMetrics>,
    pub(crate) records: mpsc::Sender<Record>,
}

/// Tells dispatch that a turn is over, also when the task ends early: work lost by a panic is parked (PROTOCOL rule 9).
pub(crate) struct Ticket {
    turn: Option<Turn>,
    done: mpsc::Sender<Done>,
}

impl Ticket {
    pub(crate) const fn new(turn: Turn, done: mpsc::Sender<Done>) -> Self {
        Self { turn: Some(turn), done }
    }

    fn finish(mut self, ended: Ended) {
        self.tell(ended);
    }

    fn tell(&mut self, ended: Ended) {
        if let Some(turn) = self.turn.take() {
            // The channel has a place for every request in flight; when dispatch has ended, nobody needs to know.
            let _ = self.done.try_send(Done { turn, ended });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.tell(Ended::Nothing);
    }
}

/// What a request brought.
pub(crate) struct Answer {
    pub(crate) seen: Seen,
    pub(crate) status: u16,
    pub(crate) response: Bytes,
    /// There was no request, because the event could not be shaped.
    pub(crate) unshaped: bool,
    /// The server's certificate was not believed.
    pub(crate) is_certificate: bool,
}

impl Answer {
    /// Why there is none.
    pub(crate) fn none(outcome: Outcome, why: String) -> Self {
        let seen = Seen { outcome, retry_after: None, wish: None };
        Self { seen, status: 0, response: Bytes::from(why), unshaped: false, is_certificate: false }
    }
}

/// Makes the attempt whose turn has come.
pub(crate) async fn run(context: Arc<Context>, prepared: Arc<Prepared>, ticket: Ticket) {
    let Some(turn) = &ticket.turn else { return };
    let item = turn.item.clone();
    let (started_at, mut clock) = (context.clock.now(), Instant::now());
    let (answer, url) = match exchange::send(&context, &prepared, &item, (started_at, &mut clock)).await {
        Sent::Ended(answer, url) => (answer, url),
        Sent::Canceled => return ticket.finish(Ended::Canceled),
        Sent::Later => return ticket.finish(Ended::PutOff),
        Sent::NotOurs => return,
    };
    let duration_ms = u32::try_from(clock.elapsed().as_millis()).unwrap_or(u32::MAX);
    let (now, jitter) = (context.clock.now(), context.random.lock().u16(0..=1000));
    let number = item.attempts + 1;
    let next = match answer.seen.outcome {
        // Without a payload no later try can do better.
        Outcome::Unreachable if item.message.body().is_none() => Next::Failed,
        Outcome::Succeeded => Next::Succeeded,
        _ => {
            let this = Try { number, trigger: item.trigger, ended_at: now, jitter };
            // Boxed: it is rare, and every attempt under way would carry its state along.
            let schedule = Box::pin(schedule(&context, &prepared, &item.message.event_type)).await;
            match schedule {
                Ok(schedule) => decide(answer.seen, this, &schedule),
                Err(known) => match decide(answer.seen, this, &known) {
                    // It may be that it is to be tried for longer: it is not given up because the store cannot be asked.
                    Next::Failed if answer.seen.wish.is_none() && item.trigger != Trigger::Test => {
                        Next::Retry(now.plus_ms(ASK_AGAIN_MS))
                    }
                    next => next,
                },
            }
        }
    };
    if let Some(kind) = operational::worth(item.trigger, number, next) {
        // Boxed: it is rare.
        Box::pin(operational::note(&context, &item, (kind, number), now)).await;
    }
    count(&context, &item, answer.seen.outcome, now);
    note(&context.health, &item, &answer, now);
    let wished = (answer.seen.wish == Some(Wish::Disable))
        .then(|| LastAnswer::new(now, answer.status, &answer.response));
    let attempt = NewAttempt {
        message: item.key.message,
        endpoint: item.key.endpoint,
        run: item.key.run,
        number,
        trigger: item.trigger,
        outcome: answer.seen.outcome,
        disposition: next.disposition(),
        started_at,
        duration_ms,
        status: answer.status,
        url,
        response: answer.response,
    };
    // The record loop ends after the last sender; a record is never refused while there is one.
    if context.records.send(Record { attempt, held: item.held, next }).await.is_err() {
        return;
    }
    // At once: a ticket that is dropped after its record would park a delivery that is settled.
    ticket.finish(ended(answer.seen, answer.status, answer.unshaped, (&item, duration_ms)));
    if let Some(told) = wished {
        let reason = "the receiver asked for it with the header `webhook-delivery: disable`".to_owned();
        let disabling = Disabling { reason, at: now, answer: Some(told) };
        // Its own wish, whether or not it fails.
        if let Some(route) = context.store.routing().route(prepared.endpoint.key) {
            health::disable(&context.store, &route, (disabling, None), None).await;
        }
    }
}

/// The schedule that holds: endpoint before event type before environment before setting. An error is what is known of it while
/// the event type cannot be read.
async fn schedule(context: &Context, prepared: &Prepared, event_type: &str) -> Result<Schedule, Schedule> {
    let (own, environment) = (&prepared.retries, &prepared.environment.settings.retries);
    let asked = (&context.store, &*context.clock);
    let of_type = match own.retry_schedule {
        // It says everything itself.
        Some(_) => Some(RetryPolicy::default()),
        None => context.retries.of_event_type(asked, (prepared.environment.key, event_type)).await,
    };
    let nothing = RetryPolicy::default();
    let levels = [own, of_type.as_ref().unwrap_or(&nothing), environment];
    let schedule = RetryPolicy::resolve(levels, &context.settings.schedule);
    if of_type.is_some() { Ok(schedule) } else { Err(schedule) }
}

/// What the attempt tells about its endpoint.
fn ended(seen: Seen, status: u16, unshaped: bool, (item, duration_ms): (&Item, u32)) -> Ended {
    let outcome = seen.outcome;
    match outcome {
        // Its script or template is at fault, not its server; one that runs without end weighs as much as a timeout.
        _ if unshaped && outcome != Outcome::TimedOut => Ended::Refused,
        Outcome::Succeeded if duration_ms > SLOW_MS => Ended::Slow,
        Outcome::Succeeded => Ended::Succeeded,
        Outcome::BadStatus => match seen.retry_after {
            Some(until) if TOO_MUCH.contains(&status) => Ended::Busy(until),
            _ => Ended::Refused,
        },
        Outcome::TimedOut => Ended::TimedOut,
        Outcome::Unreachable if item.message.body().is_none() => Ended::NotSent,
        Outcome::Unreachable | Outcome::Blocked => Ended::Unreachable,
    }
}

/// What the attempt tells about how its endpoint fares. Tests say nothing, nor does what was never sent: a message that lost its
/// payload, or that the endpoint's own template or script could not shape.
fn note(health: &Health, item: &Item, answer: &Answer, now: Timestamp) {
    let endpoint = item.key.endpoint;
    match answer.seen.outcome {
        Outcome::Succeeded => health.succeeded(endpoint),
        _ if answer.unshaped || item.trigger == Trigger::Test || item.message.body().is_none() => {}
        outcome => {
            let is_unrecoverable = is_unrecoverable(outcome, answer.status, answer.is_certificate);
            health.failed(endpoint, LastAnswer::new(now, answer.status, &answer.response), is_unrecoverable);
        }
    }
}

fn count(context: &Context, item: &Item, outcome: Outcome, now: Timestamp) {
    context.metrics.count(outcome);
    if outcome == Outcome::Succeeded && item.key.run == MAIN_RUN {
        let taken = now.since(item.key.message.timestamp());
        context.metrics.accept_to_delivered_ms.observe(taken.max(0).unsigned_abs());
    }
}
