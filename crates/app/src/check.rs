//! A look at an endpoint: is it there, does it answer, how does its TLS stand. One signed request, and nothing stored.

use crate::App;
use crate::endpoint::{EndpointInput, EndpointPatch};
use crate::error::Result;
use crate::principal::{Place, Principal, Right};
use bytes::Bytes;
use domain::auth::Auth;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::notice::CERTIFICATE_EXPIRES_DAYS;
use egress::{Client, ClientCredentials, Identity, Probed, Request, SendError, TlsDetails, TlsOptions};
use http::{HeaderMap, HeaderValue, Method, Uri};
use shape::{Event, ScriptError};
use std::time::Duration;
use tokio::time::Instant;

/// The event type of a look.
pub const PING: &str = "posthaste.ping";
const PING_PAYLOAD: &[u8] = br#"{"type":"posthaste.ping","data":{"message":"This webhook works."}}"#;
/// The deadline of a look at an endpoint that has none of its own.
const DEADLINE: Duration = Duration::from_secs(15);

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// Whether deliveries would succeed, as far as one can tell.
    pub ok: bool,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// From the first byte of the look to the last of the answer, connecting included, in milliseconds.
    pub latency_ms: u64,
    /// The address that was reached.
    pub address: Option<String>,
    /// How TLS stands.
    pub tls: Option<TlsDetails>,
    /// Whether the receiver agreed to CloudEvents, where it was asked.
    pub handshake: Option<bool>,
    /// What it means, in a sentence or two.
    pub verdict: String,
}

/// A look before it is judged.
pub(crate) struct Look {
    /// What it brought, or why there was nothing to look with.
    pub(crate) probed: std::result::Result<Probed, Unmade>,
    /// Whether the receiver agreed to CloudEvents, where it was asked.
    pub(crate) handshake: Option<bool>,
    /// From the first byte of the look to the last of the answer, connecting included, in milliseconds.
    pub(crate) latency_ms: u64,
}

/// Why no request was made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unmade {
    /// Its own transformation wants none.
    #[error("the transformation cancels it, so nothing was sent")]
    Canceled,
    /// It cannot be shaped.
    #[error("{0}")]
    Shape(String),
    /// Its certificates cannot be used, or there is no token for it.
    #[error("{0}")]
    Credentials(String),
}

impl App {
    /// Sends `posthaste.ping` to an endpoint, after the CloudEvents handshake if `handshake`.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`. What the receiver does wrong is in what is answered.
    pub async fn endpoint_check(&self, at: Place<'_>, handshake: bool) -> Result<Looked> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        let look = self.look(at.principal, &endpoint, handshake).await;
        Ok(judge(look, self.now()))
    }

    /// The same for an endpoint that is not there yet: as it would be created.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Invalid` for what could not be saved either.
    pub async fn endpoint_check_new(
        &self,
        principal: &Principal,
        application: &str,
        input: EndpointInput,
    ) -> Result<Looked> {
        let application = self.workspace(principal, application, Right::Manage)?;
        let endpoint = self.proposed(principal, application.key, input).await?;
        let look = self.look(principal, &endpoint, false).await;
        Ok(judge(look, self.now()))
    }

    /// The same for an endpoint with changes that are not saved.
    ///
    /// # Errors
    /// As [`App::endpoint_check_new`].
    pub async fn endpoint_check_changed(&self, at: Place<'_>, patch: EndpointPatch) -> Result<Looked> {
        let endpoint = self.endpoint_of(at, Right::Manage).await?;
        let endpoint = self.changed(at.principal, endpoint, patch).await?;
        let look = self.look(at.principal, &endpoint, false).await;
        Ok(judge(look, self.now()))
    }

    /// Sends `posthaste.ping` to an endpoint.
    pub(crate) async fn look(&self, principal: &Principal, endpoint: &Endpoint, handshake: bool) -> Look {
        let started = Instant::now();
        let found = self.probe(principal, endpoint, handshake).await;
        let latency_ms = milliseconds(started.elapsed());
        match found {
            Ok((probed, handshake)) => Look { probed: Ok(probed), handshake, latency_ms },
            Err(why) => Look { probed: Err(why), handshake: None, latency_ms },
        }
    }

    async fn probe(
        &self,
        principal: &Principal,
        endpoint: &Endpoint,
        handshake: bool,
    ) -> std::result::Result<(Probed, Option<bool>), Unmade> {
        let now = self.now();
        let payload = Bytes::from_static(PING_PAYLOAD);
        let id = format!("msg_ping{}", now.0);
        let event =
            Event { id: &id, event_type: PING, time: now, payload: &payload, context: None, headers: &[] };
        let recipe = self.recipe(principal, endpoint);
        let seconds = endpoint.fields.options.timeout_seconds;
        let deadline = Instant::now() + seconds.map_or(DEADLINE, |s| Duration::from_secs(s.into()));
        let url = &*endpoint.fields.url;
        let changed = match recipe.call(&event, url, now).map_err(Unmade::Shape)? {
            None => None,
            Some(call) => {
                let run = self.inner.parts.sandbox.try_run(call).await;
                Some(run.map_err(|error: ScriptError| Unmade::Shape(error.to_string()))?)
            }
        };
        if changed.as_ref().is_some_and(|changed| changed.cancel) {
            return Err(Unmade::Canceled);
        }
        let draft = recipe.draft(&event, url, changed).map_err(Unmade::Shape)?;
        let client = self.own_client(endpoint).map_err(Unmade::Credentials)?;
        let token = self.token(endpoint, deadline).await.map_err(Unmade::Credentials)?;
        let url = draft.url.clone().unwrap_or_else(|| url.to_owned());
        let uri = egress::uri_of(&url).map_err(|error| Unmade::Shape(error.to_string()))?;
        let agreed = if handshake { Some(self.shake_hands(&client, &uri, deadline).await) } else { None };
        let request = recipe.request(&event, &draft, now, token.as_deref());
        let (method, headers, body) = (request.method, request.headers, request.body);
        Ok((client.probe(Request { method, uri, headers, body, deadline }).await, agreed))
    }

    /// Connections under the endpoint's own certificates.
    fn own_client(&self, endpoint: &Endpoint) -> std::result::Result<Client, String> {
        let credentials = &endpoint.credentials;
        let common = &self.inner.parts.egress;
        let identity = credentials.identity.as_ref();
        let identity = identity.map(|own| Identity::from_pem(&own.certificate, own.private_key.reveal()));
        let identity = identity.transpose().map_err(|error| error.to_string())?;
        let mut options = TlsOptions { extra_roots: Vec::new(), identity };
        if let Some(authority) = &credentials.certificate_authority {
            options = options.believing(authority).map_err(|error| error.to_string())?;
        }
        common.with_tls(options).map_err(|error| error.to_string())
    }

    async fn token(
        &self,
        endpoint: &Endpoint,
        deadline: Instant,
    ) -> std::result::Result<Option<String>, String> {
        let Auth::Oauth2(client) = &endpoint.credentials.auth else { return Ok(None) };
        let asked = ClientCredentials {
            token_url: &client.token_url,
            client_id: &client.client_id,
            client_secret: client.client_secret.reveal(),
            scope: client.scope.as_deref(),
        };
        let granted =
            asked.fetch(&self.inner.parts.egress, deadline).await.map_err(|error| error.to_string())?;
        Ok(Some(granted.access_token))
    }

    /// CloudEvents' abuse protection (HTTP webhook specification, section 4): OPTIONS with our origin, which the receiver
    /// allows or does not.
    async fn shake_hands(&self, client: &Client, uri: &Uri, deadline: Instant) -> bool {
        let origin = &self.settings().event_origin;
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", HeaderValue::from_static(shape::AGENT));
        if let Ok(value) = HeaderValue::from_str(origin) {
            headers.insert("webhook-request-origin", value);
        }
        let request =
            Request { method: Method::OPTIONS, uri: uri.clone(), headers, body: Bytes::new(), deadline };
        let Ok(answer) = client.probe(request).await.outcome else { return false };
        let allowed = answer.headers.get("webhook-allowed-origin").and_then(|value| value.to_str().ok());
        (200..300).contains(&answer.status)
            && allowed.is_some_and(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }
}

fn judge(look: Look, now: Timestamp) -> Looked {
    let Look { probed, handshake, latency_ms } = look;
    let Probed { outcome, address, tls, .. } = match probed {
        Ok(probed) => probed,
        Err(why) => {
            let verdict = format!("Not reached: {why}.");
            return Looked {
                ok: false,
                status: None,
                latency_ms,
                address: None,
                tls: None,
                handshake: None,
                verdict,
            };
        }
    };
    let (status, mut verdict) = match &outcome {
        Ok(answer) => (Some(answer.status), told(answer.status)),
        Err(error) => (None, not_reached(error)),
    };
    let mut ok = status.is_some_and(|status| (200..300).contains(&status));
    if handshake == Some(false) {
        ok = false;
        verdict.push_str(
            " It did not agree to CloudEvents: it must answer OPTIONS with `WebHook-Allowed-Origin`.",
        );
    }
    if let Some(tls) = &tls {
        let days = days_left(tls, now);
        if days < CERTIFICATE_EXPIRES_DAYS {
            verdict.push_str(&format!(" Its certificate expires in {days} days."));
        }
    }
    let address = address.map(|address| address.to_string());
    Looked { ok, status, latency_ms, address, tls, handshake, verdict }
}

/// A time for people.
pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What it means that there was no answer.
pub(crate) fn not_reached(error: &SendError) -> String {
    match error {
        SendError::Blocked(why) => format!("Not allowed: {why}."),
        SendError::TimedOut(why) | SendError::Unreachable(why) | SendError::Certificate(why) => {
            format!("Not reached: {why}.")
        }
        SendError::NotAllowed => "Not sent.".to_owned(),
    }
}

/// Days until a certificate expires.
pub(crate) const fn days_left(tls: &TlsDetails, now: Timestamp) -> i64 {
    (tls.expires_at - now.seconds()) / 86_400
}

/// What an answer means.
pub(crate) fn told(status: u16) -> String {
    match status {
        200..300 => "It works: the endpoint took the event.".to_owned(),
        300..400 => format!(
            "It answered {status}, a redirect, and those are not followed: set the URL that it leads to."
        ),
        401 | 403 => format!("It answered {status}: it does not accept the authentication."),
        404 | 410 => format!("It answered {status}: there is nothing at this path."),
        405 => "It answered 405: it does not take this method.".to_owned(),
        415 => "It answered 415: it does not take this content type.".to_owned(),
        429 => "It answered 429: it gets more than it takes; set a rate.".to_owned(),
        400..500 => format!("It answered {status}: it does not accept the request as it is."),
        _ => format!("It answered {status}: something is wrong on its side."),
    }
}
