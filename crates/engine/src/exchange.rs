//! What one attempt does with the network: shape the event, get a token, send, read.

use crate::attempt::{Answer, Context};
use crate::line::Item;
use crate::request::{Place, Prepared, Unshaped};
use crate::token::Tokens;
use bytes::Bytes;
use domain::attempt::Outcome;
use domain::clock::Timestamp;
use domain::delivery::{Seen, Wish};
use domain::limit::RESPONSE_STORED_BYTES_MAX;
use domain::retry::retry_after;
use egress::{Outgoing, Response, SendError};
use shape::{Draft, Event};
use std::sync::Arc;
use tokio::time::Instant;

const PAYLOAD_GONE: &str = "the payload was expunged, or past its retention, before it could be delivered";
const UNAUTHORIZED: u16 = 401;

/// What became of an attempt.
pub(crate) enum Sent {
    /// An answer, or why there is none; with the URL that was asked.
    Ended(Answer, String),
    /// The customer's script wanted it not to be sent.
    Canceled,
    /// It could not be shaped for reasons of our own.
    Later,
    /// It was no longer ours to send (PROTOCOL rule 2).
    NotOurs,
}

/// Sends what `item` brings. `started` is moved to when the request itself begins.
pub(crate) async fn send(
    context: &Context,
    prepared: &Prepared,
    item: &Item,
    (now, started): (Timestamp, &mut Instant),
) -> Sent {
    let place = prepared.place(&item.message.event_type);
    let ended = |answer| Sent::Ended(answer, place.url.clone());
    let Some(payload) = &item.message.payload else {
        return ended(Answer::none(Outcome::Unreachable, PAYLOAD_GONE.to_owned()));
    };
    let id = context.ids.message(item.key.message);
    let event = Event::of(&item.message, &id, payload);
    let draft = match item.message.overrides.raw_payload.as_deref() {
        Some(raw) => {
            let draft = prepared.recipe.raw(&event, Bytes::copy_from_slice(raw.as_bytes()));
            draft.map_err(|why| Unshaped::Failed(Outcome::Blocked, why))
        }
        None if prepared.recipe.is_plain() => Ok(prepared.recipe.as_it_is(payload.clone())),
        // Boxed: most requests are plain, and every one under way would carry its state along.
        None => Box::pin(prepared.draft(&event, &place.url, (&context.sandbox, now))).await,
    };
    let draft = match draft {
        Ok(draft) => draft,
        Err(Unshaped::Canceled) => return Sent::Canceled,
        Err(Unshaped::Later) => return Sent::Later,
        Err(Unshaped::Failed(outcome, why)) => {
            return ended(Answer { unshaped: true, ..Answer::none(outcome, why) });
        }
    };
    let Some(_memory) = context.memory.of(draft.body().len(), payload.len()).await else {
        return Sent::Later;
    };
    *started = Instant::now();
    let elsewhere = draft.url.as_deref().map(Place::new);
    let shown = draft.shown.clone().unwrap_or_else(|| place.url.clone());
    let place = elsewhere.as_ref().unwrap_or(place);
    let exchange = Exchange {
        context,
        prepared,
        item,
        event,
        draft: &draft,
        now,
        deadline: *started + prepared.timeout,
    };
    let answer = match exchange.authorized(place).await {
        Ok(response) => read(response, context.clock.now()),
        Err(SendError::NotAllowed) => return Sent::NotOurs,
        Err(SendError::Blocked(why)) => Answer::none(Outcome::Blocked, why),
        Err(SendError::TimedOut(why)) => Answer::none(Outcome::TimedOut, why),
        Err(SendError::Unreachable(why)) => Answer::none(Outcome::Unreachable, why),
        Err(SendError::Certificate(why)) => {
            Answer { is_certificate: true, ..Answer::none(Outcome::Unreachable, why) }
        }
    };
    Sent::Ended(answer, shown)
}

/// A shaped event on its way.
struct Exchange<'a> {
    context: &'a Context,
    prepared: &'a Prepared,
    item: &'a Item,
    event: Event<'a>,
    draft: &'a Draft,
    now: Timestamp,
    deadline: Instant,
}

impl Exchange<'_> {
    /// Sends it, with a token if its endpoint has those: one that was refused is replaced once, at once.
    async fn authorized(&self, place: &Place) -> Result<Response, SendError> {
        match &self.prepared.tokens {
            None => self.once(place, None).await,
            // Boxed: as above.
            Some(tokens) => Box::pin(self.with_token(tokens, place)).await,
        }
    }

    async fn with_token(&self, tokens: &Tokens, place: &Place) -> Result<Response, SendError> {
        let (egress, clock) = (&self.context.egress, &self.context.clock);
        let token = tokens.get(egress, clock, None, self.deadline).await?;
        let response = self.once(place, Some(&token)).await?;
        if response.status != UNAUTHORIZED {
            return Ok(response);
        }
        match tokens.get(egress, clock, Some(&token), self.deadline).await {
            // The same one again would be refused again.
            Ok(fresh) if !Arc::ptr_eq(&fresh, &token) && *fresh != *token => {
                self.once(place, Some(&fresh)).await
            }
            _ => Ok(response),
        }
    }

    async fn once(&self, place: &Place, token: Option<&str>) -> Result<Response, SendError> {
        let destination = place.destination.as_ref().map_err(Clone::clone)?;
        let client = self.prepared.client(&self.context.egress)?;
        let make = || {
            // Asked right before each write, the retry of a stale connection included.
            self.context.store.may_send(self.item.key, self.item.held).then(|| {
                let request = self.prepared.recipe.request(&self.event, self.draft, self.now, token);
                Outgoing { method: request.method, headers: request.headers, body: request.body }
            })
        };
        client.send_to(destination, self.deadline, &make).await
    }
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
    Answer { seen, status: response.status, response: body, unshaped: false, is_certificate: false }
}
