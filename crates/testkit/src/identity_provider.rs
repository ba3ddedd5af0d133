//! A provider of OpenID Connect on loopback: discovery, authorization page, token endpoint, keys, userinfo.
//!
//! - here: its life, what a test tells it, and its server;
//! - `protocol`: what it answers, and what it asks of its client (OpenID Connect Core 1.0, RFC 6749, RFC 7636);
//! - `key`: its keys, made when it starts, and the tokens that they sign.
//!
//! It is strict: a client that does not do as the standards say gets no code or no token. It asks nobody anything: whoever comes is
//! the [`Account`] that the test has set. It is written against the standards alone, with nothing of the code under test.

mod key;
mod protocol;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

pub use key::Signing;

use key::Key;
use protocol::Grant;

/// The largest request body that is read.
const REQUEST_BODY_BYTES_MAX: usize = 1024 * 1024;
/// The body of [`Odd::Giant`].
const GIANT_BYTES: usize = 4 * 1024 * 1024;

/// A provider on a free port of 127.0.0.1. Its only client is [`IdentityProvider::CLIENT_ID`].
#[derive(Debug)]
pub struct IdentityProvider {
    state: Arc<State>,
    accepting: AbortHandle,
}

/// Somebody who has an account at the provider.
#[derive(Clone, Debug)]
pub struct Account {
    /// The provider's own name for them, which stays.
    pub subject: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider has verified it; none says nothing about that.
    pub email_verified: Option<bool>,
    /// Their name.
    pub name: Option<String>,
}

/// How the client shows who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// By HTTP Basic, and by nothing else.
    Basic,
    /// By its secret in the form, and by nothing else.
    Post,
    /// It has no secret.
    Public,
}

/// What a place answers instead of what it should.
#[derive(Clone, Debug)]
pub enum Odd {
    /// Nothing, ever.
    Hang,
    /// Four megabytes.
    Giant,
    /// This status and text.
    Answer(u16, &'static str),
}

/// What a test has told it.
#[derive(Debug)]
struct Script {
    now: i64,
    account: Option<Account>,
    client: ClientKind,
    redirect_uris: Vec<String>,
    keys: Vec<Key>,
    signing: Signing,
    claims: Map<String, Value>,
    document: Map<String, Value>,
    odd: HashMap<&'static str, Odd>,
    denied: Option<&'static str>,
    names_itself: bool,
    has_email_in_userinfo_alone: bool,
    /// Codes that were given and not used.
    grants: HashMap<String, Grant>,
    /// Access tokens that were given.
    access: HashMap<String, Account>,
    /// Requests, by place.
    requests: Vec<String>,
}

#[derive(Debug)]
struct State {
    address: SocketAddr,
    script: Mutex<Script>,
}

impl Account {
    /// Somebody with a verified address.
    #[must_use]
    pub fn new(subject: &str, email: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            email: Some(email.to_owned()),
            email_verified: Some(true),
            name: None,
        }
    }
}

impl IdentityProvider {
    /// The only client.
    pub const CLIENT_ID: &str = "posthaste";
    /// Its secret: with what RFC 6749, section 2.3.1, has escaped.
    pub const CLIENT_SECRET: &str = "a secret: with + and % in it";

    /// Starts one whose clock stands at this time, in seconds since 1970.
    pub async fn start(now: i64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("the listener's address");
        let script = Script {
            now,
            account: None,
            client: ClientKind::Basic,
            redirect_uris: Vec::new(),
            keys: vec![Key::es256("key-1".to_owned())],
            signing: Signing::Right,
            claims: Map::new(),
            document: Map::new(),
            odd: HashMap::new(),
            denied: None,
            names_itself: false,
            has_email_in_userinfo_alone: false,
            grants: HashMap::new(),
            access: HashMap::new(),
            requests: Vec::new(),
        };
        let state = Arc::new(State { address, script: Mutex::new(script) });
        let accepting = TaskTracker::new().spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Self { state, accepting }
    }

    /// Its identifier.
    #[must_use]
    pub fn issuer(&self) -> String {
        self.state.issuer()
    }

    /// Sends people back to this address, too.
    pub fn register(&self, redirect_uri: &str) {
        self.state.script.lock().redirect_uris.push(redirect_uri.to_owned());
    }

    /// Whoever comes from now on is this.
    pub fn sign_in_as(&self, account: Account) {
        self.state.script.lock().account = Some(account);
    }

    /// Moves its clock.
    pub fn advance_seconds(&self, seconds: i64) {
        self.state.script.lock().now += seconds;
    }

    /// How the client is to show who it is.
    pub fn client_is(&self, kind: ClientKind) {
        self.state.script.lock().client = kind;
    }

    /// How tokens are signed from now on.
    pub fn sign(&self, signing: Signing) {
        self.state.script.lock().signing = signing;
    }

    /// Signs with a new key of the same kind from now on, and publishes it beside the old ones.
    pub fn rotate_key(&self) {
        let mut script = self.state.script.lock();
        let key = Key::es256(format!("key-{}", script.keys.len() + 1));
        script.keys.push(key);
    }

    /// Signs with RS256 from now on.
    pub fn use_rsa(&self) {
        let mut script = self.state.script.lock();
        let key = Key::rs256(format!("key-{}", script.keys.len() + 1));
        script.keys.push(key);
    }

    /// Puts this into every token in place of what is right; `null` leaves the claim out.
    pub fn claim(&self, name: &str, value: Value) {
        self.state.script.lock().claims.insert(name.to_owned(), value);
    }

    /// Puts this into the document in place of what is right; `null` leaves it out.
    pub fn say_of_itself(&self, name: &str, value: Value) {
        self.state.script.lock().document.insert(name.to_owned(), value);
    }

    /// Does something else at a place: `document`, `keys`, `authorize`, `token` or `userinfo`.
    pub fn be_odd(&self, place: &'static str, odd: Odd) {
        self.state.script.lock().odd.insert(place, odd);
    }

    /// Sends everybody back with this error.
    pub fn deny(&self, error: &'static str) {
        self.state.script.lock().denied = Some(error);
    }

    /// Names itself when it sends people back (RFC 9207).
    pub fn name_itself(&self) {
        self.state.script.lock().names_itself = true;
    }

    /// Tells addresses and names at its userinfo endpoint alone (OpenID Connect Core 1.0, section 5.4).
    pub fn keep_email_for_userinfo(&self) {
        self.state.script.lock().has_email_in_userinfo_alone = true;
    }

    /// Does everything right again.
    pub fn behave(&self) {
        let mut script = self.state.script.lock();
        (script.signing, script.denied) = (Signing::Right, None);
        script.claims.clear();
        script.document.clear();
        script.odd.clear();
    }

    /// How many requests came to a place.
    #[must_use]
    pub fn requests(&self, place: &str) -> usize {
        self.state.script.lock().requests.iter().filter(|one| *one == place).count()
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until the provider is dropped, which aborts this task and with it the set of its connections.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            // An error here is the client leaving.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, REQUEST_BODY_BYTES_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let place = protocol::place(head.uri.path());
    let odd = {
        let mut script = state.script.lock();
        script.requests.push(place.to_owned());
        script.odd.get(place).cloned()
    };
    Ok(match odd {
        Some(Odd::Hang) => std::future::pending().await,
        Some(Odd::Giant) => protocol::plain(200, "x".repeat(GIANT_BYTES)),
        Some(Odd::Answer(status, text)) => protocol::plain(status, text.to_owned()),
        None => state.answer(place, &head, &body),
    })
}
