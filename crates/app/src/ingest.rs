//! Ingest: a posted event becomes a durable message. THE HOT PATH.
//!
//! It reads the routing table (who gets this?), enters the gauges of the matched endpoints and reserves a place in
//! dispatch, then hands everything to the store's `accept`, whose answer means fsynced. No query, no copy of the
//! payload, no lock held over an await. What cannot be sent right now (paused, scheduled, its queue full, memory full)
//! is parked in the same transaction; what its endpoint's state forbids is canceled in it.

use crate::App;
use crate::error::{AppError, Problems, Result};
use crate::filter::Asked;
use crate::idempotency::{Posted, message_key, other_body};
use crate::list::{CHANNELS, TAGS, unique};
use crate::principal::{Principal, Right};
use bytes::Bytes;
use domain::application::{Application, ApplicationFields};
use domain::clock::Timestamp;
use domain::environment::SchemaValidation;
use domain::header;
use domain::id::{EndpointKey, MessageId};
use domain::limit::{
    CONTEXT_BYTES_MAX, DELIVER_AHEAD_MS_MAX, DELIVER_AHEAD_MS_MIN, PAYLOAD_RETENTION_DAYS_MAX,
};
use domain::message::{Message, Overrides};
use domain::name::{check_plain, check_uid};
use domain::wire_id::Kind;
use std::sync::Arc;
use store::StoreError;
use store::handoff::{Gauge, Slot};
use store::message::{Admission, MessageKey, NewMessage};
use store::routing::Route;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// An event as a client posted it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEvent {
    /// The event type; it need not be in the catalogue.
    pub event_type: String,
    /// The client's own id.
    pub event_id: Option<String>,
    /// Channels.
    pub channels: Option<Vec<String>>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// The payload's own bytes: a JSON object.
    pub payload: Bytes,
    /// Days that the payload is kept.
    pub retention_days: Option<i64>,
    /// Hours that the payload is kept; goes before the days.
    pub retention_hours: Option<i64>,
    /// When it is to be delivered, if later than at once.
    pub deliver_at: Option<Timestamp>,
    /// What is overridden for this message.
    pub overrides: Overrides,
    /// The application, to be created if it is not there.
    pub application: Option<ApplicationFields>,
}

impl NewEvent {
    /// Bytes that its message keeps for its body ([`Message::payload_bytes`]).
    fn bytes(&self) -> usize {
        self.payload.len() + self.overrides.bytes()
    }
}

impl App {
    /// Accepts an event. `Ok` means that it is fsynced and will be delivered; with it comes what does not fit the event type's
    /// schema, where the environment asks to be warned of that.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Conflict`; `Forbidden`, also when the application is to be created on the way and the
    /// principal may not administer; `Unavailable` when nothing could be stored.
    pub async fn message_create(
        &self,
        posted: Posted<'_>,
        application: &str,
        event: NewEvent,
    ) -> Result<(Arc<Message>, Vec<String>)> {
        posted.principal.may_in_environment(Right::Send)?;
        let environment = self.store().routing().environment_by_key(posted.principal.environment.key);
        let checked = environment.filter(|e| e.settings.schema_validation != SchemaValidation::Off);
        let mut warnings = Vec::new();
        if let Some(environment) = checked {
            // Before anything is made on the way. Boxed: it is rare.
            warnings = Box::pin(self.check_schema(&environment, &event)).await?;
        }
        Ok((self.message_accept(posted, application, event).await?, warnings))
    }

    async fn message_accept(
        &self,
        posted: Posted<'_>,
        application: &str,
        event: NewEvent,
    ) -> Result<Arc<Message>> {
        let (principal, now) = (posted.principal, self.now());
        let application = self.addressed(principal, application, &event, now).await?;
        let Some(key) = message_key(posted, Some(application.key))? else {
            return Ok(self.store().accept(self.admit(&application, event, None, now)?).await?);
        };
        if posted.retried && !key.explicit && self.inner.idempotency.find(&key.hash, now).is_none() {
            self.recall().await?;
        }
        let turn = self.inner.idempotency.flights.board(key.hash).await;
        if let Some(earlier) = self.earlier(key, now).await? {
            return Ok(Arc::new(self.store().message_get(application.key, earlier).await?));
        }
        let new = self.admit(&application, event, Some(key), now)?;
        // The work owns what it needs: it outlives this call when the client goes away.
        let app = self.clone();
        let work = Box::pin(async move {
            let accepted = app.store().accept(new).await;
            app.remember(key, accepted.as_deref().ok(), now);
            accepted
        });
        match turn.run(work).await {
            Ok(message) => Ok(message),
            Err(StoreError::Repeated { message, same_body: true }) => {
                Ok(Arc::new(self.store().message_get(application.key, message).await?))
            }
            Err(StoreError::Repeated { same_body: false, .. }) => Err(other_body()),
            Err(error) => Err(error.into()),
        }
    }

    /// The message that this key made before.
    async fn earlier(&self, key: MessageKey, now: Timestamp) -> Result<Option<MessageId>> {
        if !key.explicit {
            return Ok(self.inner.idempotency.find(&key.hash, now));
        }
        match self.store().message_key_get(key.hash).await? {
            Some((message, body_hash)) if body_hash == key.body_hash => Ok(Some(message)),
            Some(_) => Err(other_body()),
            None => Ok(None),
        }
    }

    fn remember(&self, key: MessageKey, message: Option<&Message>, now: Timestamp) {
        if let (Some(message), false) = (message, key.explicit) {
            self.inner.idempotency.remember(key.hash, message.id, now);
        }
    }

    /// The application that the path names, created on the way when the event says how and is good itself.
    async fn addressed(
        &self,
        principal: &Principal,
        id: &str,
        event: &NewEvent,
        now: Timestamp,
    ) -> Result<Arc<Application>> {
        let found = self.workspace(principal, id, Right::Send);
        let Some(fields) = &event.application else { return found };
        match found {
            Ok(known) if fields.uid.is_none() || fields.uid == known.fields.uid => return Ok(known),
            Err(AppError::NotFound) if fields.uid.as_deref() == Some(id) => {}
            Err(error) if error != AppError::NotFound => return Err(error),
            _ => {
                let given = fields.uid.as_deref().unwrap_or("nothing");
                let message =
                    format!("must be the uid of the application in the path, `{id}`; it is `{given}`");
                let mut problems = Problems::default();
                problems.add_at(["application".into(), "uid".into()], message);
                return Err(problems.finish().expect_err("a problem was added"));
            }
        }
        principal.may_in_environment(Right::Administer)?;
        check(event, now)?;
        let (application, _) = self.application_ensure(principal, fields.clone()).await?;
        Ok(Arc::new(application))
    }

    fn admit(
        &self,
        application: &Application,
        mut event: NewEvent,
        key: Option<MessageKey>,
        now: Timestamp,
    ) -> Result<NewMessage> {
        check(&event, now)?;
        let routes = self.store().routing().routes(application.key);
        let bytes = event.bytes();
        let channels = unique(event.channels.take().unwrap_or_default());
        let asked = Asked::new(&event);
        let wanting = routes.iter().filter(|route| route.endpoint.wants(&event.event_type, &channels));
        let wanting = wanting.filter(|route| self.inner.filters.hold(route, &asked));
        let (deliveries, slot) = self.admissions(wanting, event.deliver_at.is_some(), bytes);
        let kept_ms = event.retention_hours.map(|hours| hours * HOUR_MS);
        let kept_ms = kept_ms.or_else(|| event.retention_days.map(|days| days * DAY_MS));
        let instance_ms = i64::from(self.settings().retention_days) * DAY_MS;
        let payload_expires_at = kept_ms.filter(|ms| *ms < instance_ms).map(|ms| now.plus_ms(ms));
        Ok(NewMessage {
            application: application.key,
            event_type: event.event_type,
            event_id: event.event_id,
            channels,
            tags: unique(event.tags.unwrap_or_default()),
            payload: event.payload,
            payload_expires_at,
            deliver_at: event.deliver_at,
            overrides: event.overrides,
            deliveries,
            key,
            slot,
        })
    }

    /// Decides for each endpoint, and reserves a place in dispatch for those that go there, `bytes` of body with it.
    pub(crate) fn admissions<'a>(
        &self,
        routes: impl Iterator<Item = &'a Route>,
        scheduled: bool,
        bytes: usize,
    ) -> (Vec<(EndpointKey, Admission)>, Option<Slot>) {
        let mut entered: Vec<Arc<Gauge>> = Vec::new();
        let mut deliveries: Vec<_> = routes
            .map(|route| {
                let fields = &route.endpoint.fields;
                let admission = if fields.disabled {
                    Admission::Cancel
                } else if fields.options.ordered {
                    Admission::Order
                } else if !scheduled && !fields.paused && route.gauge.enter(bytes) {
                    entered.push(Arc::clone(&route.gauge));
                    Admission::Handoff
                } else {
                    Admission::Park
                };
                (route.endpoint.key, admission)
            })
            .collect();
        if entered.is_empty() {
            return (deliveries, None);
        }
        let slot = self.inner.parts.handoff.reserve(entered, bytes);
        if slot.is_none() {
            let handed = deliveries.iter_mut().filter(|(_, admission)| *admission == Admission::Handoff);
            handed.for_each(|(_, admission)| *admission = Admission::Park);
        }
        (deliveries, slot)
    }
}

fn check(event: &NewEvent, now: Timestamp) -> Result<()> {
    let mut problems = Problems::default();
    problems.check("eventType", check_plain(&event.event_type));
    if let Some(id) = &event.event_id {
        problems.check("eventId", check_uid(id, Kind::Message));
    }
    CHANNELS.check(&mut problems, "channels", event.channels.as_deref());
    TAGS.check(&mut problems, "tags", event.tags.as_deref());
    check_retention(&mut problems, event);
    if let Some(at) = event.deliver_at {
        let ahead = at.since(now);
        if !(DELIVER_AHEAD_MS_MIN..=DELIVER_AHEAD_MS_MAX).contains(&ahead) {
            problems.add("deliverAt", format!("{at} is not between 1 minute and 24 hours from now"));
        }
    }
    if let Some(bytes) =
        event.overrides.context.as_ref().map(String::len).filter(|bytes| *bytes > CONTEXT_BYTES_MAX)
    {
        problems
            .add("context", format!("has {bytes} bytes: at most {CONTEXT_BYTES_MAX} (context_bytes_max)"));
    }
    if let Err(bad) = header::check(&event.overrides.headers) {
        problems.add_at(["transformationsParams".into(), "headers".into()], bad);
    }
    problems.finish()
}

fn check_retention(problems: &mut Problems, event: &NewEvent) {
    let days_max = PAYLOAD_RETENTION_DAYS_MAX;
    if let Some(days) = event.retention_days.filter(|days| !(1..=days_max).contains(days)) {
        problems.add("payloadRetentionPeriod", format!("{days} days: 1 to {days_max} are allowed"));
    }
    let hours_max = 24 * days_max;
    if let Some(hours) = event.retention_hours.filter(|hours| !(1..=hours_max).contains(hours)) {
        problems.add("payloadRetentionHours", format!("{hours} hours: 1 to {hours_max} are allowed"));
    }
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
