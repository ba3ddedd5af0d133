//! Dry runs: what an endpoint would be sent for an event, by the very code that sends. Nothing leaves.

use crate::App;
use crate::error::{Problems, Result};
use crate::options::OptionsPatch;
use crate::principal::{Place, Principal, Right};
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::credentials::Credentials;
use domain::endpoint::{Endpoint, EndpointFields, EndpointSecret};
use domain::header::{Header, is_sensitive};
use domain::id::{ApplicationKey, EndpointKey};
use domain::name::check_plain;
use domain::wire_id::Kind;
use http::HeaderMap;
use shape::{Draft, Event, Filter, Recipe, ScriptError, Seen, Surroundings};

/// An event to try out.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The event type.
    pub event_type: String,
    /// The payload; the event type's example unless told otherwise.
    pub payload: Option<Bytes>,
    /// The context, as JSON.
    pub context: Option<String>,
    /// The channels that it goes to.
    pub channels: Vec<String>,
    /// Headers that come with the message.
    pub headers: Vec<Header>,
    /// What is changed of the endpoint for this trial alone.
    pub options: OptionsPatch,
    /// The URL, where it is another or there is no endpoint.
    pub url: Option<String>,
}

/// What would be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialRequest {
    /// The method.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// The headers; credentials by name only.
    pub headers: Vec<Header>,
    /// The body; bytes that are not UTF-8 are shown as U+FFFD.
    pub body: String,
}

/// What a trial found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Whether the event is for the endpoint: by its event type, and by the filter.
    pub matches: bool,
    /// Whether the transformation wants it not to be sent.
    pub canceled: bool,
    /// The request; none where there is none.
    pub request: Option<TrialRequest>,
    /// Why it cannot be made.
    pub error: Option<String>,
}

/// What is shown in the place of a credential.
const HIDDEN: &str = "…";

impl App {
    /// Tries an event out on an endpoint, with changes that are not saved.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Invalid` for options that could not be saved either.
    pub async fn trial(&self, at: Place<'_>, trial: Trial) -> Result<Tried> {
        let endpoint = self.endpoint_of(at, Right::Manage).await?;
        self.tried(at.principal, endpoint, trial).await
    }

    /// The same for an endpoint that is not there yet.
    ///
    /// # Errors
    /// As [`App::trial`].
    pub async fn trial_new(&self, principal: &Principal, application: &str, trial: Trial) -> Result<Tried> {
        let application = self.workspace(principal, application, Right::Manage)?;
        let endpoint = self.nobody(application.key, trial.url.clone().unwrap_or_default());
        self.tried(principal, endpoint, trial).await
    }

    /// An endpoint that exists for a trial alone.
    pub(crate) fn nobody(&self, application: ApplicationKey, url: String) -> Endpoint {
        let secret = signing::Secret::generate(&mut |out| self.inner.parts.random.fill(out));
        Endpoint {
            key: EndpointKey(0),
            application,
            id: self.new_id(Kind::Endpoint),
            fields: EndpointFields { url, ..EndpointFields::default() },
            headers: Vec::new(),
            secrets: vec![EndpointSecret { secret, expires_at: None }],
            credentials: Credentials::default(),
            disabling: None,
            created_at: self.now(),
            updated_at: self.now(),
        }
    }

    async fn tried(&self, principal: &Principal, mut endpoint: Endpoint, trial: Trial) -> Result<Tried> {
        let before = endpoint.clone();
        trial.options.clone().apply(&mut endpoint.fields.options);
        trial.options.clone().apply_credentials(&mut endpoint.credentials);
        endpoint.fields.url = trial.url.unwrap_or(endpoint.fields.url);
        let mut problems = Problems::default();
        problems.check("eventType", check_plain(&trial.event_type));
        if let Err(what) = self.check_target(&endpoint.fields.url) {
            problems.add("url", what);
        }
        if let Err(bad) = domain::header::check(&trial.headers) {
            problems.add("headers", bad);
        }
        let proposed = crate::options::Proposed {
            options: &endpoint.fields.options,
            credentials: &endpoint.credentials,
            headers: &endpoint.headers,
            before: Some(&before),
        };
        self.check_options(&proposed, &trial.options, &mut problems).await?;
        problems.finish()?;
        let payload = match trial.payload {
            Some(payload) => payload,
            None => self.example(principal, &trial.event_type, 0).await?,
        };
        let now = self.now();
        let event = Event {
            id: "msg_00000000000000000000trial",
            event_type: &trial.event_type,
            time: now,
            payload: &payload,
            context: trial.context.as_deref(),
            headers: &trial.headers,
        };
        let matches = endpoint.wants(&trial.event_type, &trial.channels) && holds(&endpoint, &event);
        let shaped = self.shaped(principal, &endpoint, &event, now).await;
        Ok(match shaped {
            Ok(request) => Tried { matches, canceled: request.is_none(), request, error: None },
            Err(error) => Tried { matches, canceled: false, request: None, error: Some(error) },
        })
    }

    /// The request; none where the transformation wants none.
    pub(crate) async fn shaped(
        &self,
        principal: &Principal,
        endpoint: &Endpoint,
        event: &Event<'_>,
        now: Timestamp,
    ) -> std::result::Result<Option<TrialRequest>, String> {
        let recipe = self.recipe(principal, endpoint);
        let options = &endpoint.fields.options;
        let url = options.mapped(event.event_type).map_or(&*endpoint.fields.url, |mapping| &mapping.url);
        let changed = match recipe.call(event, url, now)? {
            None => None,
            Some(call) => match self.inner.parts.sandbox.try_run(call).await {
                Ok(changed) if changed.cancel => return Ok(None),
                Ok(changed) => Some(changed),
                Err(error @ (ScriptError::TimedOut | ScriptError::Failed(_) | ScriptError::NotRun(_))) => {
                    return Err(error.to_string());
                }
            },
        };
        let draft = recipe.draft(event, url, changed)?;
        Ok(Some(self.drafted((endpoint, &recipe), (event, &draft), now)))
    }

    /// A request as it is shown.
    pub(crate) fn drafted(
        &self,
        (endpoint, recipe): (&Endpoint, &Recipe),
        (event, draft): (&Event<'_>, &Draft),
        now: Timestamp,
    ) -> TrialRequest {
        let options = &endpoint.fields.options;
        let url = options.mapped(event.event_type).map_or(&*endpoint.fields.url, |mapping| &mapping.url);
        let token =
            matches!(endpoint.credentials.auth, domain::auth::Auth::Oauth2(_)).then_some(HIDDEN_TOKEN);
        let request = recipe.request(event, draft, now, token);
        TrialRequest {
            method: request.method.as_str().to_owned(),
            url: draft.url.clone().unwrap_or_else(|| url.to_owned()),
            headers: shown(&request.headers),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }
    }

    /// How requests to this endpoint are made.
    pub(crate) fn recipe(&self, principal: &Principal, endpoint: &Endpoint) -> Recipe {
        let environment = self.store().routing().environment_by_key(principal.environment.key);
        let signature_headers =
            environment.map_or(principal.environment.signature_headers, |e| e.signature_headers);
        Recipe::new(
            endpoint,
            &Surroundings { event_origin: &self.settings().event_origin, signature_headers },
        )
    }
}

/// Stands for a token that is not fetched for a trial.
const HIDDEN_TOKEN: &str = "token";

fn holds(endpoint: &Endpoint, event: &Event<'_>) -> bool {
    let Some(filter) = &endpoint.fields.options.filter else { return true };
    match (Filter::parse(filter), Seen::new(event)) {
        (Ok(filter), Ok(seen)) => filter.holds(&seen),
        _ => false,
    }
}

fn shown(headers: &HeaderMap) -> Vec<Header> {
    let one = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        let signature = name.as_str().ends_with("signature");
        let hidden = value.is_sensitive() || (is_sensitive(name.as_str()) && !signature);
        let text =
            if hidden { HIDDEN.to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        (name.as_str().to_owned(), text)
    };
    headers.iter().map(one).collect()
}
