//! A delivery as an HTTP request: Standard Webhooks headers over the payload's own bytes.

use bytes::Bytes;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::environment::SignatureHeaders;
use domain::message::Message;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Uri};
use signing::{Signer, signature_header};
use std::sync::Arc;
use store::routing::Route;

/// What receivers see of us.
const AGENT: &str = concat!("Posthaste/", env!("CARGO_PKG_VERSION"));

/// What all requests to an endpoint share, made once a configuration.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) endpoint: Arc<Endpoint>,
    uri: Result<Uri, String>,
    headers: HeaderMap,
    names: Vec<[HeaderName; 3]>,
    signers: Vec<(Signer, Option<Timestamp>)>,
}

/// A request, but for its deadline.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Prepared {
    pub(crate) fn new(route: &Route, event_origin: &str) -> Self {
        let endpoint = Arc::clone(&route.endpoint);
        let uri = endpoint.fields.url.parse::<Uri>().map_err(|e| format!("the URL cannot be requested: {e}"));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        if let Ok(origin) = HeaderValue::from_str(event_origin) {
            headers.insert("x-event-origin", origin);
        }
        add_headers(&mut headers, &endpoint.headers);
        let signers = endpoint.secrets.iter().map(|s| (s.secret.signer(), s.expires_at)).collect();
        Self { names: names(route.environment.signature_headers), endpoint, uri, headers, signers }
    }

    /// The request for `message`, signed at `now`.
    ///
    /// # Errors
    /// A sentence on why no request can be made: the payload is gone, or the URL cannot be requested.
    pub(crate) fn build(&self, message: &Message, wire_id: &str, now: Timestamp) -> Result<Built, String> {
        let uri = self.uri.clone()?;
        let gone = "the payload was expunged, or past its retention, before it could be delivered";
        let body = message.body().ok_or(gone)?;
        let mut headers = self.headers.clone();
        if let Ok(event_type) = HeaderValue::from_str(&message.event_type) {
            headers.insert("x-event-type", event_type);
        }
        add_headers(&mut headers, &message.overrides.headers);
        let live = self.signers.iter().filter(|(_, end)| end.is_none_or(|end| end > now));
        let signers: Vec<_> = live.map(|(signer, _)| signer.clone()).collect();
        let signature = signature_header(&signers, wire_id, now.seconds(), &body);
        let timestamp = now.seconds().to_string();
        for names in &self.names {
            for (name, value) in names.iter().zip([wire_id, &timestamp, &signature]) {
                let value = HeaderValue::from_str(value).map_err(|e| format!("a signature header: {e}"))?;
                headers.insert(name, value);
            }
        }
        Ok(Built { method: Method::POST, uri, headers, body })
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

fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) {
    for (name, value) in more {
        // What cannot be a header was refused when it was saved.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}
