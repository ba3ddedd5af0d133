//! A customer's server: real sockets on loopback, every request recorded, every answer scripted.
//!
//! Waiting is event driven: a test waits for what must arrive, never for time to pass. Everything ends on drop.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method};
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::task::TaskTracker;

use crate::script::Script;
use crate::{Answer, connection};

/// A scripted HTTP/1.1 server on a free port of 127.0.0.1. It answers 200 until told otherwise.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// Path and query as sent.
    pub target: String,
    /// The path alone; scripts are keyed by it.
    pub path: String,
    /// All headers, names in lower case.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// When the head had been read.
    pub arrived: Instant,
    /// Which connection brought it, counted from 1: equal numbers mean that keep-alive worked.
    pub connection: u64,
}

impl Received {
    /// The header's text; empty when it is absent. Panics when it is not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a header of visible text"))
    }

    /// The body as JSON. Panics when it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {:?}", self.body))
    }
}

impl Receiver {
    /// Binds a free port and starts to answer.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port on loopback");
        let address = listener.local_addr().expect("the listener's address");
        let state = Arc::new(State::new());
        let accepting = TaskTracker::new().spawn(accept(listener, state.clone())).abort_handle();
        Self { address, state, accepting }
    }

    /// The server's URL with this path (which begins with `/`).
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues one answer for the next request to this path that has none queued before it.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.state.script.lock().push(path, answer);
    }

    /// What this path answers whenever nothing is queued for it.
    pub fn answer_always(&self, path: &str, answer: Answer) {
        self.state.script.lock().set(path, answer);
    }

    /// What every path answers that has no answer of its own.
    pub fn answer_otherwise(&self, answer: Answer) {
        self.state.script.lock().set_otherwise(answer);
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<Received> {
        self.state.received.borrow().clone()
    }

    /// Waits until at least `count` requests came and returns all. Panics after `within` (of tokio's clock), listing them.
    pub async fn wait_for(&self, count: usize, within: Duration) -> Vec<Received> {
        self.wait_until(&format!("{count} requests"), within, |received| received.len() >= count).await
    }

    /// As [`Receiver::wait_for`], counting and returning only what came to this path.
    pub async fn wait_for_path(&self, path: &str, count: usize, within: Duration) -> Vec<Received> {
        let what = format!("{count} requests to {path}");
        let mut all = self
            .wait_until(&what, within, |all| all.iter().filter(|one| one.path == path).count() >= count)
            .await;
        all.retain(|one| one.path == path);
        all
    }

    /// Waits until the requests so far satisfy `enough`; `what` names it in the panic after `within`.
    pub async fn wait_until(
        &self,
        what: &str,
        within: Duration,
        enough: impl Fn(&[Received]) -> bool,
    ) -> Vec<Received> {
        let mut received = self.state.received.subscribe();
        match tokio::time::timeout(within, received.wait_for(|all| enough(all))).await {
            Ok(all) => return all.expect("the receiver's state outlives the wait").clone(),
            Err(_elapsed) => {}
        }
        panic!("waited {within:?} for {what}, but {}", listing(&self.requests()));
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.accepted.load(Ordering::Relaxed)
    }

    /// How many connections are open now.
    #[must_use]
    pub fn open_connections(&self) -> u64 {
        *self.state.open.borrow()
    }

    /// Waits until no connection is open. Panics after `within`.
    pub async fn wait_for_no_connection(&self, within: Duration) {
        let mut open = self.state.open.subscribe();
        let waited = tokio::time::timeout(within, open.wait_for(|open| *open == 0)).await.is_ok();
        assert!(waited, "after {within:?} {} connections are still open", self.open_connections());
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the connections share with the [`Receiver`].
#[derive(Debug)]
pub(crate) struct State {
    script: Mutex<Script>,
    received: watch::Sender<Vec<Received>>,
    accepted: AtomicU64,
    open: watch::Sender<u64>,
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct OpenConnection(Arc<State>);

impl State {
    fn new() -> Self {
        Self {
            script: Mutex::new(Script::new()),
            received: watch::Sender::new(Vec::new()),
            accepted: AtomicU64::new(0),
            open: watch::Sender::new(0),
        }
    }

    /// Keeps the request and says what to do with it; one lock, so the order of answers is the order of the record.
    pub(crate) fn record(&self, received: Received) -> Answer {
        let mut script = self.script.lock();
        let answer = script.next(&received.path);
        self.received.send_modify(|all| all.push(received));
        answer
    }
}

impl OpenConnection {
    pub(crate) fn count(state: Arc<State>) -> Self {
        state.open.send_modify(|open| *open += 1);
        Self(state)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.send_modify(|open| *open -= 1);
    }
}

/// Accepts until the receiver is dropped, which aborts this task and with it the set of its connections.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let number = state.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        connections.spawn(connection::serve(state.clone(), stream, number));
        while connections.try_join_next().is_some() {}
    }
}

fn listing(all: &[Received]) -> String {
    if all.is_empty() {
        return "nothing came".to_owned();
    }
    let mut text = format!("{} came:", all.len());
    let first = all[0].arrived;
    for one in all {
        let after = one.arrived.duration_since(first);
        let body = String::from_utf8_lossy(&one.body[..one.body.len().min(200)]).into_owned();
        let _ = write!(
            text,
            "\n  +{after:?} {} {} (connection {}) {body}",
            one.method, one.target, one.connection
        );
    }
    text
}
