//! Deliveries: a message sent again to one of its endpoints, or to all.

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Place, Principal, Right};
use domain::application::Application;
use domain::attempt::Trigger;
use domain::audit::{Action, Difference};
use domain::endpoint::Endpoint;
use domain::id::EndpointKey;
use domain::limit::ENDPOINTS_PER_APPLICATION_MAX;
use domain::message::Message;
use foldhash::HashSet;
use serde_json::{Value, json};
use store::StoreError;

/// Runs that are added in one transaction: more would hold up the commits of new messages.
const TOGETHER: usize = 100;

/// What became of a message that was to be sent again to several endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resent {
    /// Endpoints that it is sent to.
    pub queued: usize,
    /// Those that it is not sent to.
    pub skipped: Vec<Skipped>,
}

/// An endpoint that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its wire id.
    pub endpoint: String,
    /// Why, in a sentence.
    pub reason: &'static str,
}

/// An endpoint that may get the message again: switched off or on.
struct Candidate {
    key: EndpointKey,
    id: String,
    is_disabled: bool,
}

impl App {
    /// Sends a message to an endpoint again, whatever its filters say, as a run of its own: retries that wait stay.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Refused` when the endpoint is disabled or the payload is gone.
    pub async fn resend(&self, at: Place<'_>, endpoint: &str) -> Result<()> {
        let (application, message) = self.message_of(at, Right::Send).await?;
        let endpoint = self.store().endpoint_find(application.key, endpoint).await?;
        refuse_disabled(&endpoint)?;
        refuse_without_payload(&message)?;
        self.store().resend(message.id, endpoint.key, Trigger::Resend).await?;
        self.note_resent(at.principal, (&application, &message), &json!({"endpoints": [endpoint.id]})).await;
        Ok(())
    }

    /// Sends a message again to all endpoints that it was for, or to those `named` by id or uid: each as [`App::resend`] does.
    /// Disabled and deleted ones are left out.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Invalid` for a list that is empty or names an endpoint that is not there; `Refused` when the
    /// payload is gone. `Unavailable` may come when some are queued already: they are added a hundred at a time.
    pub async fn resend_all(&self, at: Place<'_>, named: Option<Vec<String>>) -> Result<Resent> {
        let (application, message) = self.message_of(at, Right::Send).await?;
        refuse_without_payload(&message)?;
        let mut skipped = Vec::new();
        let candidates = match named {
            Some(named) => self.named(&application, &named).await?,
            None => self.endpoints_then(&application, &message, &mut skipped).await?,
        };
        let mut keys = Vec::with_capacity(candidates.len());
        for Candidate { key, id, is_disabled } in candidates {
            if is_disabled {
                skipped.push(Skipped { endpoint: id, reason: "It is disabled: enable it first." });
            } else {
                keys.push(key);
            }
        }
        let mut sent = Ok(());
        let mut queued = 0;
        for some in keys.chunks(TOGETHER) {
            sent = self.store().resend_to(message.id, some.to_vec(), Trigger::Resend).await.map(|_| ());
            if sent.is_err() {
                break;
            }
            queued += some.len();
        }
        // What is queued is queued, also where the rest is not.
        if queued > 0 {
            self.note_resent(at.principal, (&application, &message), &json!({"endpoints": queued})).await;
        }
        sent?;
        Ok(Resent { queued, skipped })
    }

    async fn note_resent(
        &self,
        principal: &Principal,
        (application, message): (&Application, &Message),
        what: &Value,
    ) {
        let id = self.ids().message(message.id);
        let deed = Deed::new(Action::MessageResent, &*id, &*id).with(Difference::made(what));
        self.note_deed(principal, Some(application), deed).await;
    }

    /// The endpoints that a client names.
    async fn named(&self, application: &Application, named: &[String]) -> Result<Vec<Candidate>> {
        let mut problems = Problems::default();
        if named.is_empty() {
            problems.add(
                "endpoints",
                "is empty: name endpoints, or leave it out for all that the message was for",
            );
        }
        if named.len() > ENDPOINTS_PER_APPLICATION_MAX {
            let (count, most) = (named.len(), ENDPOINTS_PER_APPLICATION_MAX);
            problems.add(
                "endpoints",
                format!("has {count} items: at most {most} (endpoints_per_application_max)"),
            );
        }
        std::mem::take(&mut problems).finish()?;
        let (mut found, mut known) = (Vec::with_capacity(named.len()), HashSet::default());
        for (index, id) in named.iter().enumerate() {
            match self.store().endpoint_find(application.key, id).await {
                Ok(endpoint) if known.insert(endpoint.key) => found.push(Candidate::of(&endpoint)),
                Ok(_) => {}
                Err(StoreError::NotFound) => {
                    problems.add_item("endpoints", index, format!("there is no endpoint `{id}`"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        problems.finish()?;
        Ok(found)
    }

    /// The endpoints that a message was for when it was accepted, as they are now.
    async fn endpoints_then(
        &self,
        application: &Application,
        message: &Message,
        skipped: &mut Vec<Skipped>,
    ) -> Result<Vec<Candidate>> {
        let mut found = Vec::with_capacity(message.endpoints.len());
        let mut unknown = Vec::new();
        for key in &message.endpoints {
            match self.store().routing().route(*key) {
                Some(route) => found.push(Candidate::of(&route.endpoint)),
                None => unknown.push(*key),
            }
        }
        // Deleted, or made at another node a moment ago.
        for (_, id) in self.store().endpoint_ids(unknown).await? {
            match self.store().endpoint_find(application.key, &id).await {
                Ok(endpoint) => found.push(Candidate::of(&endpoint)),
                Err(StoreError::NotFound) => {
                    skipped.push(Skipped { endpoint: id, reason: "It was deleted." })
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }
}

impl Candidate {
    fn of(endpoint: &Endpoint) -> Self {
        Self { key: endpoint.key, id: endpoint.id.clone(), is_disabled: endpoint.fields.disabled }
    }
}

/// What is gone cannot be sent.
fn refuse_without_payload(message: &Message) -> Result<()> {
    if message.body().is_none() {
        let detail = "This message's payload has expired or was expunged: there is nothing left to send.";
        return Err(AppError::refused("generic_error", detail));
    }
    Ok(())
}

/// Nothing is sent to an endpoint that is switched off, whoever asks for it.
pub(crate) fn refuse_disabled(endpoint: &Endpoint) -> Result<()> {
    if endpoint.fields.disabled {
        let detail = "This endpoint is disabled: enable it before sending anything to it.";
        return Err(AppError::refused("generic_error", detail));
    }
    Ok(())
}
