//! A delivery as an HTTP request: Standard Webhooks headers over the payload's own bytes.

use bytes::Bytes;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::environment::SignatureHeaders;
use domain::message::Message;
use egress::{Destination, Outgoing, SendError};
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use signing::{Signer, signature_header};
use std::sync::Arc;
use store::routing::Route;

/// What receivers see of us.
const AGENT: &str = concat!("Posthaste/", env!("CARGO_PKG_VERSION"));

const EVENT_TYPE: HeaderName = HeaderName::from_static("x-event-type");
/// Headers that each request has beside those of its endpoint: room made at once.
const HEADERS_MORE: usize = 8;

/// What all requests to an endpoint share, made once a configuration.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) destination: Result<Destination, SendError>,
    headers: HeaderMap,
    names: Vec<[HeaderName; 3]>,
    signers: Vec<(Signer, Option<Timestamp>)>,
}

impl Prepared {
    pub(crate) fn new(route: &Route, event_origin: &str) -> Self {
        let endpoint = Arc::clone(&route.endpoint);
        let uri = endpoint.fields.url.parse::<Uri>();
        let uri = uri.map_err(|e| SendError::Unreachable(format!("the URL cannot be requested: {e}")));
        let destination = uri.and_then(|uri| Destination::of(&uri));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Ok(origin) = HeaderValue::from_str(event_origin) {
            headers.insert("x-event-origin", origin);
        }
        add_headers(&mut headers, &endpoint.headers);
        let signers = endpoint.secrets.iter().map(|s| (s.secret.signer(), s.expires_at)).collect();
        Self { names: names(route.environment.signature_headers), endpoint, destination, headers, signers }
    }

    /// The request that brings `body`, the body of `message`, signed at `now`.
    pub(crate) fn build(&self, message: &Message, body: Bytes, wire_id: &str, now: Timestamp) -> Outgoing {
        let mut headers = self.headers.clone();
        headers.reserve(HEADERS_MORE);
        insert(&mut headers, &EVENT_TYPE, &message.event_type);
        add_headers(&mut headers, &message.overrides.headers);
        let live = self.signers.iter().filter(|(_, end)| end.is_none_or(|end| end > now));
        let signature = signature_header(live.map(|(signer, _)| signer), wire_id, now.seconds(), &body);
        let timestamp = now.seconds().to_string();
        for names in &self.names {
            for (name, value) in names.iter().zip([wire_id, &timestamp, &signature]) {
                insert(&mut headers, name, value);
            }
        }
        Outgoing { method: Method::POST, headers, body }
    }
}

fn names(which: SignatureHeaders) -> Vec<[HeaderName; 3]> {
    let webhook = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(HeaderName::from_static);
    let svix = ["svix-id", "svix-timestamp", "svix-signature"].map(HeaderName::from_static);
    match which {
        SignatureHeaders::Webhook => vec![webhook],
        SignatureHeaders::Svix => vec![svix],
        SignatureHeaders::Both => vec![webhook, svix],
    }
}

/// Event types, ids and signatures are plain ASCII: there is none that cannot be a header.
fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) {
    for (name, value) in more {
        // What cannot be a header was refused when it was saved.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}
