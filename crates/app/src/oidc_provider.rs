//! The identity provider: what it says of itself (OpenID Connect Discovery 1.0), its keys, and what it gives for a code.
//!
//! Document and keys are kept for an hour. A token under a key that is not among them has the keys read again, at most every ten
//! seconds; a provider that did not answer is asked again after five. Each node keeps its own.

use crate::oidc::OidcParts;
use crate::oidc_token::{Key, Person};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use domain::clock::{Clock, Timestamp};
use egress::{Request, Response, uri_of};
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

/// How long document and keys are kept, in milliseconds (1 hour).
const KEPT_MS: i64 = 3_600_000;
/// Between two looks for new keys, in milliseconds.
const KEYS_AGAIN_MS: i64 = 10_000;
/// After a failure, in milliseconds.
const FAILED_AGAIN_MS: i64 = 5_000;
/// Keys of one set that are looked at.
const KEYS_MAX: usize = 100;
/// Characters of a provider's own words that are logged.
const LOGGED_CHARS_MAX: usize = 200;

/// Why it did not work.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The provider does not do what it should; the reason is for the log.
    Provider(String),
    /// What it gave is not to be believed, for a sentence.
    Untrusted(&'static str),
    /// They are not let in; a sentence for them.
    Refused(String),
    /// Ours.
    App(crate::AppError),
}

impl<E: Into<crate::AppError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::App(error.into())
    }
}

/// What a provider says of itself.
#[derive(Debug, Deserialize)]
pub(crate) struct Document {
    issuer: String,
    pub(crate) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers name it (RFC 9207).
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of it.
#[derive(Clone)]
pub(crate) struct Known {
    pub(crate) document: Arc<Document>,
    pub(crate) keys: Arc<Vec<Key>>,
    /// When the document was read, and when the keys were.
    at: Timestamp,
    keys_at: Timestamp,
}

/// What it gives for a code (RFC 6749, section 5.1).
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) id_token: String,
    #[serde(default)]
    pub(crate) access_token: Option<String>,
}

/// A code, and what shows that it is ours.
pub(crate) struct Grant<'a> {
    pub(crate) code: &'a str,
    pub(crate) verifier: &'a str,
    pub(crate) redirect_uri: &'a str,
}

#[derive(Default)]
enum Kept {
    #[default]
    Nothing,
    Failed(Failure, Timestamp),
    Known(Known),
}

/// The provider.
pub(crate) struct Provider {
    pub(crate) parts: OidcParts,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

impl Provider {
    pub(crate) fn new(parts: OidcParts, clock: Arc<dyn Clock>) -> Self {
        Self { parts, clock, kept: Mutex::default() }
    }

    /// What is known of it; read first where it is not, by one of those who ask. Those who waited meanwhile hear the same.
    pub(crate) async fn known(&self) -> Result<Known, Failure> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        match &*kept {
            Kept::Known(known) if now < known.at.plus_ms(KEPT_MS) => return Ok(known.clone()),
            Kept::Failed(failure, at) if now < at.plus_ms(FAILED_AGAIN_MS) => return Err(failure.clone()),
            _ => {}
        }
        let read = self.read(now).await;
        *kept = match &read {
            Ok(known) => Kept::Known(known.clone()),
            // From when it ended: a provider that hangs is not asked by everybody in turn.
            Err(failure) => Kept::Failed(failure.clone(), self.clock.now()),
        };
        read
    }

    /// The same with the keys of now, unless they were just read.
    pub(crate) async fn with_new_keys(&self) -> Result<Known, Failure> {
        let known = self.known().await?;
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let Kept::Known(newer) = &*kept
            && now < newer.keys_at.plus_ms(KEYS_AGAIN_MS)
        {
            return Ok(newer.clone());
        }
        let read = self.keys(&known.document).await;
        let keys = read.as_ref().map_or_else(|_| Arc::clone(&known.keys), Arc::clone);
        let known = Known { keys, keys_at: self.clock.now(), ..known };
        *kept = Kept::Known(known.clone());
        read.map(|_| known)
    }

    async fn read(&self, now: Timestamp) -> Result<Known, Failure> {
        let issuer = &self.parts.issuer;
        let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let document: Document = self.get(&place, None).await?;
        check(&document, issuer).map_err(|why| Failure::Provider(format!("{place}: {why}")))?;
        let keys = self.keys(&document).await?;
        Ok(Known { document: Arc::new(document), keys, at: now, keys_at: now })
    }

    async fn keys(&self, document: &Document) -> Result<Arc<Vec<Key>>, Failure> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = self.get(&document.jwks_uri, None).await?;
        // What is of no kind that we know stands beside what is.
        Ok(Arc::new(set.keys.into_iter().take(KEYS_MAX).filter_map(Key::read).collect()))
    }

    /// Gives a code for tokens (RFC 6749, section 4.1.3).
    pub(crate) async fn exchange(&self, document: &Document, grant: Grant<'_>) -> Result<Tokens, Failure> {
        let place = &document.token_endpoint;
        let (headers, body) = self.token_request(document, grant);
        let answer = self.send((Method::POST, place), headers, body).await?;
        if answer.status == 200 {
            return parsed(place, &answer);
        }
        // RFC 6749, section 5.2. Nothing else of it is logged: it may repeat what it was asked with.
        #[derive(Default, Deserialize)]
        struct Refused {
            error: String,
        }
        let Refused { error } = serde_json::from_slice(&answer.body).unwrap_or_default();
        if error == "invalid_grant" {
            return Err(Failure::Refused(
                "The sign-in took too long, or was answered once already. Log in once more.".to_owned(),
            ));
        }
        Err(Failure::Provider(format!("{place} answered {} {}", answer.status, shown(error.as_bytes()))))
    }

    /// The request for tokens. Who we are stands in it by HTTP Basic, with both parts encoded as forms are (RFC 6749, section 2.3.1),
    /// unless the provider wants it in the form.
    fn token_request(&self, document: &Document, grant: Grant<'_>) -> (HeaderMap, Bytes) {
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", grant.code)
            .append_pair("redirect_uri", grant.redirect_uri)
            .append_pair("code_verifier", grant.verifier);
        let mut headers = json_wanted();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let id = &self.parts.client_id;
        let methods = document.token_endpoint_auth_methods_supported.as_deref();
        let takes = |method: &str| methods.is_some_and(|methods| methods.iter().any(|known| known == method));
        match &self.parts.client_secret {
            None => {
                form.append_pair("client_id", id);
            }
            Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
                form.append_pair("client_id", id).append_pair("client_secret", secret.reveal());
            }
            Some(secret) => {
                let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encode(id), encode(secret.reveal()));
                put_secret(&mut headers, AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(pair)));
            }
        }
        (headers, form.finish().into())
    }

    /// What the provider tells of somebody beside the token (OpenID Connect Core 1.0, section 5.3): some leave the address out there.
    pub(crate) async fn userinfo(
        &self,
        document: &Document,
        tokens: &Tokens,
    ) -> Result<Option<Person>, Failure> {
        match (&document.userinfo_endpoint, &tokens.access_token) {
            (Some(place), Some(token)) => self.get(place, Some(token)).await.map(Some),
            _ => Ok(None),
        }
    }

    async fn get<T: DeserializeOwned>(&self, place: &str, bearer: Option<&str>) -> Result<T, Failure> {
        let mut headers = json_wanted();
        if let Some(token) = bearer {
            put_secret(&mut headers, AUTHORIZATION, &format!("Bearer {token}"));
        }
        let answer = self.send((Method::GET, place), headers, Bytes::new()).await?;
        if answer.status != 200 {
            return Err(Failure::Provider(format!("{place} answered {}", answer.status)));
        }
        parsed(place, &answer)
    }

    async fn send(
        &self,
        (method, place): (Method, &str),
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response, Failure> {
        let failed = |why: &dyn std::fmt::Display| Failure::Provider(format!("{place}: {why}"));
        let uri = uri_of(place).map_err(|error| failed(&error))?;
        let request = Request { method, uri, headers, body, deadline: Instant::now() + self.parts.timeout };
        let answer = self.parts.client.send(request, &|| true).await.map_err(|error| failed(&error))?;
        match answer.truncated {
            true => Err(failed(&"the answer is too long")),
            false => Ok(answer),
        }
    }
}

impl Document {
    /// Whether an answer that names this issuer, or none, is this provider's (RFC 9207, section 2.4).
    pub(crate) fn has_answered(&self, issuer: Option<&str>) -> bool {
        match issuer {
            Some(issuer) => issuer == self.issuer,
            None => !self.authorization_response_iss_parameter_supported,
        }
    }
}

/// Whether a document is this issuer's, and leads to places that it may lead to.
fn check(document: &Document, issuer: &str) -> Result<(), String> {
    if document.issuer != issuer {
        return Err(format!(
            "it is the document of {}, and POSTHASTE_OIDC_ISSUER is {issuer}: they must be the same to the letter",
            shown(document.issuer.as_bytes())
        ));
    }
    // An issuer without TLS is on this machine.
    let may_be_plain = issuer.starts_with("http:");
    let places = [&document.authorization_endpoint, &document.token_endpoint, &document.jwks_uri];
    for place in places.into_iter().chain(&document.userinfo_endpoint) {
        let scheme = Url::parse(place).map(|url| url.scheme().to_owned()).unwrap_or_default();
        if scheme != "https" && !(may_be_plain && scheme == "http") {
            return Err(format!("{} is no https:// address", shown(place.as_bytes())));
        }
    }
    Ok(())
}

fn json_wanted() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}

fn put_secret(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// What may be a token is never told.
fn parsed<T: DeserializeOwned>(place: &str, answer: &Response) -> Result<T, Failure> {
    serde_json::from_slice(&answer.body).map_err(|_| {
        Failure::Provider(format!("{place} answered something else than what is asked for there"))
    })
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|c| !c.is_control()).take(LOGGED_CHARS_MAX).collect()
}
