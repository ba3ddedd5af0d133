//! How the requests of one endpoint are made: read once from its configuration, used for each attempt.
//!
//! The order is: `fields`, `transformation`, `template` or `format`, the encoding of the content type, authentication,
//! and last the signatures over the final bytes. For an endpoint that asks for none of it, the body is the payload's own
//! bytes and nothing is parsed.

use crate::event::Event;
use crate::shaping::Shaping;
use crate::sign::Signatures;
use crate::transformation::{Call, Changed, Webhook};
use crate::{authenticate, sign};
use bytes::Bytes;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::environment::SignatureHeaders;
use domain::format::{Format, Method};
use domain::header::{self, is_sensitive};
use domain::limit::URL_BYTES_MAX;
use domain::word::Worded;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What receivers see of us.
pub const AGENT: &str = concat!("Posthaste/", env!("CARGO_PKG_VERSION"));
const EVENT_TYPE: HeaderName = HeaderName::from_static("x-event-type");
/// Headers that each request has beside those of its endpoint: room made at once.
const HEADERS_MORE: usize = 8;

/// What is the same for all endpoints of an instance or an environment.
#[derive(Clone, Debug)]
pub struct Surroundings<'a> {
    /// What `X-Event-Origin` says.
    pub event_origin: &'a str,
    /// Which names the standard's headers have.
    pub signature_headers: SignatureHeaders,
}

/// How the requests of an endpoint are made.
#[derive(Debug)]
pub struct Recipe {
    method: http::Method,
    /// Content type, agent, origin, and authentication.
    own_headers: HeaderMap,
    /// The same with the endpoint's headers.
    headers: HeaderMap,
    with_event_type: bool,
    signatures: Signatures,
    shaping: Option<Box<Shaping>>,
}

/// A request but for what hangs on the time of the attempt.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Where it goes, if elsewhere than the endpoint says.
    pub url: Option<String>,
    /// The same as logs show it: without the event that is in its query.
    pub shown: Option<String>,
    method: http::Method,
    /// The headers, where they are not the endpoint's.
    headers: Option<HeaderMap>,
    body: Bytes,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: http::Method,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Recipe {
    /// Reads an endpoint's configuration.
    #[must_use]
    pub fn new(endpoint: &Endpoint, around: &Surroundings<'_>) -> Self {
        let options = &endpoint.fields.options;
        let mut own_headers = HeaderMap::new();
        if options.method != Method::Get {
            sign::insert(&mut own_headers, &CONTENT_TYPE, options.content_type());
        }
        own_headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        let with_event_type = !options.without_event_headers;
        if let (true, Ok(origin)) = (with_event_type, HeaderValue::from_str(around.event_origin)) {
            own_headers.insert("x-event-origin", origin);
        }
        authenticate::add(&endpoint.credentials.auth, &mut own_headers);
        let mut headers = own_headers.clone();
        add_headers(&mut headers, &endpoint.headers);
        Self {
            method: options.method.word().parse().unwrap_or(http::Method::POST),
            own_headers,
            headers,
            with_event_type,
            signatures: Signatures::of(endpoint, around.signature_headers),
            shaping: (!options.is_plain()).then(|| Box::new(Shaping::new(endpoint, around))),
        }
    }

    /// Whether the body is the payload as it is: nothing has to be shaped.
    #[must_use]
    pub const fn is_plain(&self) -> bool {
        self.shaping.is_none()
    }

    /// The script that must have run before a draft can be made of this event, as a call to go to `url`.
    ///
    /// # Errors
    /// A sentence, when the event cannot be shaped that far.
    pub fn call(&self, event: &Event<'_>, url: &str, now: Timestamp) -> Result<Option<Call>, String> {
        let Some(shaping) = &self.shaping else { return Ok(None) };
        let Some(code) = &shaping.script else { return Ok(None) };
        let data = shaping.kept(event)?;
        let headers = shaping.shown_headers(event);
        let raw = |json: &[u8]| {
            let text = String::from_utf8_lossy(json).into_owned();
            RawValue::from_string(text).map_err(|error| format!("the event is not JSON: {error}"))
        };
        let webhook = Webhook {
            method: self.method.as_str().to_owned(),
            url: url.to_owned(),
            headers,
            event_type: event.event_type.to_owned(),
            payload: raw(&data)?,
            context: raw(event.context_json())?,
        };
        let seed =
            event.id.bytes().fold(0_i32, |sum, byte| sum.wrapping_mul(31).wrapping_add(i32::from(byte)));
        Ok(Some(Call { code: Arc::clone(code), webhook, now_ms: now.0, seed }))
    }

    /// Makes everything of a request that is the same on every try. `changed` is what the script made of it, where there
    /// is one; `url` is where the event goes otherwise.
    ///
    /// # Errors
    /// A sentence on what cannot be shaped, and why.
    pub fn draft(&self, event: &Event<'_>, url: &str, changed: Option<Changed>) -> Result<Draft, String> {
        let Some(shaping) = &self.shaping else { return Ok(self.as_it_is(event.payload.clone())) };
        let changed = changed.unwrap_or_default();
        let data = match &changed.payload {
            Some(json) => Cow::Borrowed(json.as_bytes()),
            None => shaping.kept(event)?,
        };
        let mut draft = self.as_it_is(Bytes::new());
        if let Some(method) = changed.method {
            let known = Method::from_word(&method).and_then(|method| method.word().parse().ok());
            draft.method = known.ok_or_else(|| {
                format!(
                    "the transformation set the method `{method}`: POST, PUT, PATCH, DELETE and GET are sent"
                )
            })?;
        }
        if let Some(given) = changed.headers {
            draft.headers = Some(self.with(shaping, event, given)?);
        }
        draft.url = changed.url.filter(|there| there != url);
        draft.shown.clone_from(&draft.url);
        self.describe_body(&mut draft);
        if draft.method == http::Method::GET {
            let query = shaping.query(event, &data)?;
            let mut there = url::Url::parse(draft.url.as_deref().unwrap_or(url))
                .map_err(|error| format!("the URL cannot be requested: {error}"))?;
            let whole = there.query().map(|before| format!("{before}&{query}")).unwrap_or(query);
            there.set_query(Some(&whole));
            draft.shown.get_or_insert_with(|| url.to_owned());
            draft.url = Some(there.into());
        } else {
            draft.body = shaping.body(event, &data)?;
        }
        if draft.url.as_ref().is_some_and(|url| url.len() > URL_BYTES_MAX) {
            return Err(format!("the URL has more than {URL_BYTES_MAX} bytes (url_bytes_max)"));
        }
        if shaping.format == Format::CloudEventsBinary {
            shaping.attributes(event, draft.headers.get_or_insert_with(|| self.headers.clone()));
        }
        Ok(draft)
    }

    /// Requests with a body have a content type, those without have none, whatever method a transformation chose.
    fn describe_body(&self, draft: &mut Draft) {
        let has_body = draft.method != http::Method::GET;
        let is_described = draft.headers.as_ref().unwrap_or(&self.headers).contains_key(CONTENT_TYPE);
        if has_body != is_described {
            let headers = draft.headers.get_or_insert_with(|| self.headers.clone());
            match &self.shaping {
                Some(shaping) if has_body => sign::insert(headers, &CONTENT_TYPE, &shaping.content_type),
                _ => drop(headers.remove(CONTENT_TYPE)),
            }
        }
    }

    /// The same for a body that was posted to be sent as it is (`rawPayload`): nothing shapes it.
    ///
    /// # Errors
    /// A sentence, when the endpoint's requests have no body.
    pub fn raw(&self, event: &Event<'_>, body: Bytes) -> Result<Draft, String> {
        if self.method == http::Method::GET {
            return Err("a raw payload is a body, and this endpoint's GET requests have none".to_owned());
        }
        let mut draft = self.as_it_is(body);
        if let Some(shaping) = self.shaping.as_ref().filter(|s| s.format == Format::CloudEventsBinary) {
            shaping.attributes(event, draft.headers.get_or_insert_with(|| self.headers.clone()));
        }
        Ok(draft)
    }

    /// The same for a payload that needs no shaping.
    #[must_use]
    pub fn as_it_is(&self, body: Bytes) -> Draft {
        Draft { url: None, shown: None, method: self.method.clone(), headers: None, body }
    }

    /// Makes the request of an attempt at `now`: `token` is what an authorization server gave.
    #[must_use]
    pub fn request(&self, event: &Event<'_>, draft: &Draft, now: Timestamp, token: Option<&str>) -> Request {
        let (mut headers, scripted) = match &draft.headers {
            Some(headers) => (headers.clone(), self.is_scripted()),
            None => (self.headers.clone(), false),
        };
        headers.reserve(HEADERS_MORE);
        if self.with_event_type {
            sign::insert(&mut headers, &EVENT_TYPE, event.event_type);
        }
        // A transformation has seen the message's headers, and decided.
        if !scripted {
            add_headers(&mut headers, event.headers);
        }
        if let Some(token) = token {
            authenticate::add_token(token, &mut headers);
        }
        self.signatures.add(&mut headers, event.id, now, &draft.body);
        Request { method: draft.method.clone(), headers, body: draft.body.clone() }
    }

    fn is_scripted(&self) -> bool {
        self.shaping.as_ref().is_some_and(|shaping| shaping.script.is_some())
    }

    /// Our own headers with those that a transformation gave, and those that it was not shown.
    fn with(
        &self,
        shaping: &Shaping,
        event: &Event<'_>,
        given: BTreeMap<String, String>,
    ) -> Result<HeaderMap, String> {
        let shown = shaping.shown_headers(event);
        let (same, set): (Vec<_>, Vec<_>) = given.into_iter().partition(|(name, _)| shown.contains_key(name));
        // A name that was written in another way is the one that was meant to be set.
        let is_set = |name: &str| set.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let mut given: Vec<_> = same.into_iter().filter(|(name, _)| !is_set(name)).collect();
        given.extend(set.clone());
        header::check(&given)
            .map_err(|bad| format!("the transformation set headers that cannot be sent: {bad}"))?;
        let mut headers = self.own_headers.clone();
        let hidden = shaping.given_headers.iter().chain(event.headers);
        let hidden: Vec<_> = hidden.filter(|(name, _)| is_sensitive(name)).cloned().collect();
        add_headers(&mut headers, &hidden);
        add_headers(&mut headers, &given);
        Ok(headers)
    }
}

impl Draft {
    /// The body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }
}

fn add_headers(headers: &mut HeaderMap, more: &[(String, String)]) {
    for (name, value) in more {
        // What cannot be a header was refused when it was saved.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    }
}
