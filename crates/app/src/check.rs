//! A look at an endpoint: is it there, does it answer, how does its TLS stand. One signed request, and nothing stored.

use crate::App;
use crate::error::Result;
use crate::principal::{Place, Right};
use bytes::Bytes;
use domain::auth::Auth;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use egress::{Client, ClientCredentials, Identity, Probed, Request, SendError, TlsDetails, TlsOptions};
use http::{HeaderMap, HeaderValue, Method, Uri};
use shape::{Event, ScriptError};
use std::time::Duration;
use tokio::time::Instant;

/// The event type of a look.
pub const PING: &str = "posthaste.ping";
const PING_PAYLOAD: &[u8] = br#"{"type":"posthaste.ping","data":{"message":"This webhook works."}}"#;
/// A certificate that expires within so many days is worth a word.
pub(crate) const EXPIRES_SOON_DAYS: i64 = 14;
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

impl App {
    /// Sends `posthaste.ping` to an endpoint, after the CloudEvents handshake if `handshake`.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`. What the receiver does wrong is in what is answered.
    pub async fn endpoint_check(&self, at: Place<'_>, handshake: bool) -> Result<Looked> {
        let endpoint = self.endpoint_of(at, Right::Send).await?;
        let now = self.now();
        let payload = Bytes::from_static(PING_PAYLOAD);
        let id = format!("msg_ping{}", now.0);
        let event =
            Event { id: &id, event_type: PING, time: now, payload: &payload, context: None, headers: &[] };
        let started = Instant::now();
        let recipe = self.recipe(at.principal, &endpoint);
        let deadline = started
            + endpoint.fields.options.timeout_seconds.map_or(DEADLINE, |s| Duration::from_secs(s.into()));
        let look = async {
            let url = &*endpoint.fields.url;
            let changed = match recipe.call(&event, url, now)? {
                None => None,
                Some(call) => Some(
                    self.inner.parts.sandbox.try_run(call).await.map_err(|e: ScriptError| e.to_string())?,
                ),
            };
            if changed.as_ref().is_some_and(|changed| changed.cancel) {
                return Err("the transformation cancels it, so nothing was sent".to_owned());
            }
            let draft = recipe.draft(&event, url, changed)?;
            let client = self.own_client(&endpoint)?;
            let token = self.token(&endpoint, deadline).await?;
            let url = draft.url.clone().unwrap_or_else(|| url.to_owned());
            let uri = egress::uri_of(&url).map_err(|error| error.to_string())?;
            let agreed = if handshake { Some(self.shake_hands(&client, &uri, deadline).await) } else { None };
            let request = recipe.request(&event, &draft, now, token.as_deref());
            let (method, headers, body) = (request.method, request.headers, request.body);
            Ok((client.probe(Request { method, uri, headers, body, deadline }).await, agreed))
        };
        let found = look.await;
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(match found {
            Ok((probed, handshake)) => judge(probed, handshake, (latency_ms, self.now())),
            Err(why) => Looked {
                ok: false,
                status: None,
                latency_ms,
                address: None,
                tls: None,
                handshake: None,
                verdict: format!("Not reached: {why}."),
            },
        })
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

fn judge(probed: Probed, handshake: Option<bool>, (latency_ms, now): (u64, Timestamp)) -> Looked {
    let Probed { outcome, address, tls } = probed;
    let (status, mut verdict) = match &outcome {
        Ok(answer) => (Some(answer.status), told(answer.status)),
        Err(SendError::Blocked(why)) => (None, format!("Not allowed: {why}.")),
        Err(SendError::TimedOut(why) | SendError::Unreachable(why) | SendError::Certificate(why)) => {
            (None, format!("Not reached: {why}."))
        }
        Err(SendError::NotAllowed) => (None, "Not sent.".to_owned()),
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
        if days < EXPIRES_SOON_DAYS {
            verdict.push_str(&format!(" Its certificate expires in {days} days."));
        }
    }
    let address = address.map(|address| address.to_string());
    Looked { ok, status, latency_ms, address, tls, handshake, verdict }
}

/// Days until a certificate expires.
pub(crate) const fn days_left(tls: &TlsDetails, now: Timestamp) -> i64 {
    (tls.expires_at - now.seconds()) / 86_400
}

fn told(status: u16) -> String {
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
