//! The request of an attempt, made again for whoever wants to see it: requests are not kept.
//!
//! All that one is made of is there: the message, the endpoint's configuration, and the moment that was signed. Nothing in it is
//! left to chance, so while the endpoint is as it was then, it is the same request byte by byte (but for OAuth tokens, which are
//! never shown).

use crate::App;
use crate::dry_run::TrialRequest;
use crate::error::{AppError, Result};
use crate::principal::{Place, Right};
use bytes::Bytes;
use domain::attempt::Attempt;
use shape::Event;

/// An attempt with its request.
#[derive(Clone, Debug)]
pub struct ShownRequest {
    /// The attempt.
    pub attempt: Attempt,
    /// The wire id of its endpoint.
    pub endpoint: String,
    /// What was sent, as far as it can be made again.
    pub request: std::result::Result<TrialRequest, String>,
    /// Whether the endpoint is as it was then. Otherwise the request is what would be sent now.
    pub is_as_it_was: bool,
}

/// Why there is no request.
const CANCELED: &str = "the transformation cancels it by now";
const PAYLOAD_GONE: &str = "the payload is gone";

impl App {
    /// One attempt of a message with its request, credentials by name only.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn attempt_request(&self, at: Place<'_>, id: &str) -> Result<ShownRequest> {
        let (application, message) = self.message_of(at, Right::Read).await?;
        let id = self.ids().read_attempt(id).ok_or(AppError::NotFound)?;
        let attempt = self.store().attempt_get(message.id, id).await?;
        let ids = self.store().endpoint_ids(vec![attempt.record.endpoint]).await?;
        let endpoint_id = ids.into_iter().next().map(|(_, id)| id).ok_or(AppError::NotFound)?;
        let gone = |why: &str| Err(why.to_owned());
        let Ok(endpoint) = self.store().endpoint_find(application.key, &endpoint_id).await else {
            let request = gone("the webhook is deleted");
            return Ok(ShownRequest { attempt, endpoint: endpoint_id, request, is_as_it_was: false });
        };
        let started_at = attempt.record.started_at;
        let wire_id = self.ids().message(message.id);
        let request = match (&message.payload, &message.overrides.raw_payload) {
            (None, _) => gone(PAYLOAD_GONE),
            (Some(payload), None) => {
                let event = Event::of(&message, &wire_id, payload);
                match self.shaped(at.principal, &endpoint, &event, started_at).await {
                    Ok(Some(request)) => Ok(request),
                    Ok(None) => gone(CANCELED),
                    Err(why) => Err(why),
                }
            }
            (Some(payload), Some(raw)) => {
                let event = Event::of(&message, &wire_id, payload);
                let recipe = self.recipe(at.principal, &endpoint);
                let draft = recipe.raw(&event, Bytes::copy_from_slice(raw.as_bytes()));
                draft.map(|draft| self.drafted((&endpoint, &recipe), (&event, &draft), started_at))
            }
        };
        // A change in the same moment may have come before or after.
        let is_as_it_was = endpoint.updated_at < started_at || endpoint.updated_at == endpoint.created_at;
        Ok(ShownRequest { attempt, endpoint: endpoint_id, request, is_as_it_was })
    }
}
