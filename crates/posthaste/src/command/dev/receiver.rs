//! The receiver that `dev` runs: takes every request, answers 204, passes it on to be shown.

use super::{DataFolder, Failure, Server};
use crate::listener::Listener;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use bytes::Bytes;
use domain::limit::REQUEST_BODY_BYTES_MAX;
use http::{HeaderMap, Method, StatusCode, Uri};
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Requests that wait to be shown; when the terminal is that slow, further ones are answered and not shown.
const SHOWN_QUEUE_MAX: usize = 1_000;

/// A request as the receiver got it.
#[derive(Debug)]
pub(super) struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
}

impl Received {
    /// A header's text, empty when it is missing or not text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// The running receiver.
#[derive(Debug)]
pub(super) struct DevReceiver {
    address: SocketAddr,
    requests: mpsc::Receiver<Received>,
}

impl DevReceiver {
    /// Starts it; it stops with the server. The port is the last run's where that is still free, so that endpoints
    /// which the newcomer pointed at it go on working.
    pub(super) async fn start(server: &Server, folder: &DataFolder) -> Result<Self, Failure> {
        let last = folder.note("receiver").and_then(|text| text.parse::<SocketAddr>().ok());
        let kept = match last.filter(|address| address.ip().is_loopback()) {
            Some(address) => Listener::bind(&address.to_string(), "the receiver's port").await.ok(),
            None => None,
        };
        let listener = match kept {
            Some(listener) => listener,
            None => Listener::bind("127.0.0.1:0", "the receiver's port").await?,
        };
        let address = listener.address();
        folder.keep("receiver", &address.to_string())?;
        let (sender, requests) = mpsc::channel(SHOWN_QUEUE_MAX);
        let router = Router::new().fallback(receive).with_state(sender);
        server.spawn_listener(listener, router.into());
        Ok(Self { address, requests })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The next request.
    pub(super) async fn next(&mut self) -> Result<Received, Failure> {
        self.requests.recv().await.ok_or_else(|| Failure::Refused("the receiver has stopped".to_owned()))
    }
}

async fn receive(State(sender): State<mpsc::Sender<Received>>, request: Request) -> StatusCode {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_BODY_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE;
    };
    let _ = sender.try_send(Received { method: head.method, uri: head.uri, headers: head.headers, body, at });
    StatusCode::NO_CONTENT
}
