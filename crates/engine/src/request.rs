//! What all requests to an endpoint share, made once a configuration: how they are made, where they go, over which
//! connections, for how long, and how often.

use crate::token::Tokens;
use domain::attempt::Outcome;
use domain::auth::Auth;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::environment::Environment;
use domain::retry::RetryPolicy;
use egress::{Client, Destination, Identity, SendError, TlsError, TlsOptions, uri_of};
use foldhash::HashMap;
use shape::{Draft, Event, Recipe, Sandbox, ScriptError, Surroundings};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use store::routing::Route;

/// What endpoints are prepared with.
pub(crate) struct Common<'a> {
    pub(crate) egress: &'a Client,
    pub(crate) event_origin: &'a str,
    pub(crate) request_timeout: Duration,
}

/// An endpoint, ready to be sent to.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) recipe: Recipe,
    /// Where requests go unless their event type is mapped.
    own: Place,
    mapped: HashMap<String, Place>,
    /// Connections of its own, where it has certificates of its own; with why they cannot be made.
    client: Option<Result<Client, SendError>>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) timeout: Duration,
    /// What it says itself about retries.
    pub(crate) retries: RetryPolicy,
    /// Whether its script took long when it ran last.
    script_is_slow: AtomicBool,
}

/// A URL, taken apart.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) destination: Result<Destination, SendError>,
}

/// Why there is nothing to send.
pub(crate) enum Unshaped {
    /// The customer's script wants this one not to be sent.
    Canceled,
    /// What the customer set up cannot be used on this event.
    Failed(Outcome, String),
    /// We could not do it now: it says nothing about the endpoint.
    Later,
}

impl Place {
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.to_owned(), destination: uri_of(url).and_then(|uri| Destination::of(&uri)) }
    }
}

impl Prepared {
    pub(crate) fn new(route: &Route, common: &Common<'_>) -> Self {
        let endpoint = Arc::clone(&route.endpoint);
        let options = &endpoint.fields.options;
        let signature_headers = route.environment.signature_headers;
        let recipe =
            Recipe::new(&endpoint, &Surroundings { event_origin: common.event_origin, signature_headers });
        let tokens = match &endpoint.credentials.auth {
            Auth::Oauth2(client) => Some(Tokens::new(client)),
            _ => None,
        };
        let timeout = options.timeout_seconds.map(|seconds| Duration::from_secs(seconds.into()));
        Self {
            recipe,
            own: Place::new(&endpoint.fields.url),
            mapped: options.routes.iter().map(|m| (m.event_type.clone(), Place::new(&m.url))).collect(),
            client: own_client(&endpoint, common.egress),
            tokens,
            timeout: timeout.unwrap_or(common.request_timeout),
            retries: options.retries(),
            script_is_slow: AtomicBool::new(false),
            environment: Arc::clone(&route.environment),
            endpoint,
        }
    }

    /// Whether it was made of this very configuration.
    pub(crate) fn is_of(&self, route: &Route) -> bool {
        Arc::ptr_eq(&self.endpoint, &route.endpoint) && Arc::ptr_eq(&self.environment, &route.environment)
    }

    /// Where events of this type go.
    pub(crate) fn place(&self, event_type: &str) -> &Place {
        self.mapped.get(event_type).unwrap_or(&self.own)
    }

    /// The connections that its requests use.
    pub(crate) fn client<'a>(&'a self, common: &'a Client) -> Result<&'a Client, SendError> {
        self.client.as_ref().map_or(Ok(common), |own| own.as_ref().map_err(Clone::clone))
    }

    /// Closes connections of its own that have been idle too long.
    pub(crate) fn close_idle(&self) {
        if let Some(Ok(client)) = &self.client {
            client.close_idle();
        }
    }

    /// Shapes an event, with the customer's script if there is one.
    pub(crate) async fn draft(
        &self,
        event: &Event<'_>,
        url: &str,
        (sandbox, now): (&Sandbox, Timestamp),
    ) -> Result<Draft, Unshaped> {
        let failed = |why| Unshaped::Failed(Outcome::Blocked, why);
        let changed = match self.recipe.call(event, url, now).map_err(failed)? {
            None => None,
            Some(call) => match sandbox.run(call, &self.script_is_slow).await {
                Ok(changed) if changed.cancel => return Err(Unshaped::Canceled),
                Ok(changed) => Some(changed),
                Err(error @ ScriptError::TimedOut) => {
                    return Err(Unshaped::Failed(Outcome::TimedOut, error.to_string()));
                }
                Err(error @ ScriptError::Failed(_)) => return Err(failed(error.to_string())),
                Err(error @ ScriptError::NotRun(_)) => {
                    tracing::warn!(%error, endpoint = self.endpoint.id, "a delivery is put off");
                    return Err(Unshaped::Later);
                }
            },
        };
        self.recipe.draft(event, url, changed).map_err(failed)
    }
}

/// Connections under the endpoint's own certificates: none where it has none, so that it shares those of all.
fn own_client(endpoint: &Endpoint, common: &Client) -> Option<Result<Client, SendError>> {
    let credentials = &endpoint.credentials;
    if credentials.identity.is_none() && credentials.certificate_authority.is_none() {
        return None;
    }
    let made = || -> Result<Client, TlsError> {
        let identity = credentials.identity.as_ref();
        let identity =
            identity.map(|own| Identity::from_pem(&own.certificate, own.private_key.reveal())).transpose()?;
        let mut options = TlsOptions { extra_roots: Vec::new(), identity };
        if let Some(authority) = &credentials.certificate_authority {
            options = options.believing(authority)?;
        }
        common.with_tls(options)
    };
    Some(made().map_err(|error| SendError::Unreachable(error.to_string())))
}
