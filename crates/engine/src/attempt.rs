//! One attempt: build the request, send it, decide what became of the delivery, hand the record on.

use crate::metrics::EngineMetrics;
use crate::queue::{Ended, Item, Turn};
use crate::request::Prepared;
use crate::{Settings, dispatch::Done};
use bytes::Bytes;
use domain::attempt::{NewAttempt, Outcome};
use domain::clock::{Clock, Timestamp};
use domain::delivery::{MAIN_RUN, Next, Seen, Try, Wish, decide};
use domain::limit::RESPONSE_STORED_BYTES_MAX;
use domain::retry::retry_after;
use domain::wire_id::IdCodec;
use egress::{Response, SendError};
use parking_lot::Mutex;
use std::sync::Arc;
use store::Store;
use store::delivery::Record;
use store::endpoint::EndpointChange;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// An answer that took longer is slow: many such endpoints must not take the quick ones' turn, in milliseconds.
const SLOW_MS: u32 = 2_000;

const PAYLOAD_GONE: &str = "the payload was expunged, or past its retention, before it could be delivered";

/// What every attempt needs.
pub(crate) struct Context {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) egress: egress::Client,
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
struct Answer {
    seen: Seen,
    status: u16,
    response: Bytes,
}

/// Makes the attempt whose turn has come.
pub(crate) async fn run(context: Arc<Context>, prepared: Arc<Prepared>, ticket: Ticket) {
    let Some(turn) = &ticket.turn else { return };
    let item = turn.item.clone();
    let (started_at, clock) = (context.clock.now(), Instant::now());
    let Some(answer) = send(&context, &prepared, &item, started_at, clock).await else {
        return;
    };
    let duration_ms = u32::try_from(clock.elapsed().as_millis()).unwrap_or(u32::MAX);
    let (now, jitter) = (context.clock.now(), context.random.lock().u16(0..=1000));
    let number = item.attempts + 1;
    let next = match answer.seen.outcome {
        // Without a payload no later try can do better.
        Outcome::Unreachable if item.message.body().is_none() => Next::Failed,
        _ => {
            let this = Try { number, trigger: item.trigger, ended_at: now, jitter };
            decide(answer.seen, this, &context.settings.schedule)
        }
    };
    count(&context, &item, answer.seen.outcome, now);
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
        url: prepared.endpoint.fields.url.clone(),
        response: answer.response,
    };
    // The record loop ends after the last sender; a record is never refused while there is one.
    if context.records.send(Record { attempt, held: item.held, next }).await.is_err() {
        return;
    }
    // At once: a ticket that is dropped after its record would park a delivery that is settled.
    ticket.finish(ended(answer.seen.outcome, &item, duration_ms));
    if answer.seen.wish == Some(Wish::Disable) {
        disable(&context, &prepared).await;
    }
}

/// What the attempt tells about its endpoint.
fn ended(outcome: Outcome, item: &Item, duration_ms: u32) -> Ended {
    match outcome {
        Outcome::Succeeded if duration_ms > SLOW_MS => Ended::Slow,
        Outcome::Succeeded => Ended::Succeeded,
        Outcome::BadStatus => Ended::Refused,
        Outcome::TimedOut => Ended::TimedOut,
        Outcome::Unreachable if item.message.body().is_none() => Ended::NotSent,
        Outcome::Unreachable | Outcome::Blocked => Ended::Unreachable,
    }
}

/// Sends the request; none when it was no longer ours to send (PROTOCOL rule 2).
async fn send(
    context: &Context,
    prepared: &Prepared,
    item: &Item,
    now: Timestamp,
    started: Instant,
) -> Option<Answer> {
    let destination = match &prepared.destination {
        Ok(destination) => destination,
        Err(error) => return failed(error.clone()),
    };
    let Some(body) = item.message.body() else {
        return Some(no_answer(Outcome::Unreachable, PAYLOAD_GONE.to_owned()));
    };
    let make = || {
        // Asked right before each write, the retry of a stale connection included.
        context.store.may_send(item.key, item.held).then(|| {
            let wire_id = context.ids.message(item.key.message);
            prepared.build(&item.message, body.clone(), &wire_id, now)
        })
    };
    let deadline = started + context.settings.request_timeout;
    match context.egress.send_to(destination, deadline, &make).await {
        Ok(response) => Some(read(response, context.clock.now())),
        Err(error) => failed(error),
    }
}

/// What the lack of an answer means; none when nothing was sent because it was no longer ours to send.
fn failed(error: SendError) -> Option<Answer> {
    match error {
        SendError::Blocked(why) => Some(no_answer(Outcome::Blocked, why)),
        SendError::TimedOut(why) => Some(no_answer(Outcome::TimedOut, why)),
        SendError::Unreachable(why) => Some(no_answer(Outcome::Unreachable, why)),
        SendError::NotAllowed => None,
    }
}

fn no_answer(outcome: Outcome, why: String) -> Answer {
    let seen = Seen { outcome, retry_after: None, wish: None };
    Answer { seen, status: 0, response: Bytes::from(why) }
}

fn read(response: Response, now: Timestamp) -> Answer {
    let succeeded = (200..300).contains(&response.status);
    let header = |name| response.headers.get(name).and_then(|value| value.to_str().ok());
    let seen = Seen {
        outcome: if succeeded { Outcome::Succeeded } else { Outcome::BadStatus },
        retry_after: header("retry-after").and_then(|value| retry_after(value, now)),
        wish: header("webhook-delivery").and_then(Wish::from_header),
    };
    let mut body = response.body;
    if body.len() > RESPONSE_STORED_BYTES_MAX {
        // A copy, so that 16 KiB do not hold on to 64.
        body = Bytes::copy_from_slice(&body[..RESPONSE_STORED_BYTES_MAX]);
    }
    Answer { seen, status: response.status, response: body }
}

fn count(context: &Context, item: &Item, outcome: Outcome, now: Timestamp) {
    context.metrics.count(outcome);
    if outcome == Outcome::Succeeded && item.key.run == MAIN_RUN {
        let taken = now.since(item.key.message.timestamp());
        context.metrics.accept_to_delivered_ms.observe(taken.max(0).unsigned_abs());
    }
}

async fn disable(context: &Context, prepared: &Prepared) {
    let change = |endpoint: &domain::endpoint::Endpoint| {
        let fields = domain::endpoint::EndpointFields { disabled: true, ..endpoint.fields.clone() };
        let reason = "the receiver asked for it with the header `webhook-delivery: disable`".to_owned();
        Ok(EndpointChange {
            fields: Some(fields),
            disabled_reason: Some(Some(reason)),
            ..EndpointChange::default()
        })
    };
    if let Err(error) = context.store.endpoint_update(prepared.endpoint.key, Box::new(change)).await {
        tracing::warn!(%error, endpoint = prepared.endpoint.id, "the receiver asked to be disabled, which failed");
    }
}
