//! The client of our own API: what `dev` and the commands beside a live server speak with it. With a live server it
//! is real HTTP, so that nothing that the server holds in memory is bypassed; without one, the same service in this
//! process.

use api::Service;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How long one request may take, unless told otherwise.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A client of the server at one address, with one token.
#[derive(Clone, Debug)]
pub struct ApiClient {
    base: String,
    token: String,
    way: Way,
    patience: Duration,
}

#[derive(Clone, Debug)]
enum Way {
    Http(Box<Client<HttpConnector, Full<Bytes>>>),
    Inside(Service),
}

/// Why a call did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody answered.
    #[error("no answer from {0}: {1}")]
    NoAnswer(String, String),
    /// The server refused.
    #[error("{status}: {detail}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its own words.
        detail: String,
    },
}

impl ApiClient {
    /// A client of the server that listens at `address`.
    #[must_use]
    pub fn new(address: SocketAddr, token: String) -> Self {
        let way = Way::Http(Box::new(Client::builder(TokioExecutor::new()).build(HttpConnector::new())));
        Self { base: format!("http://{}", reachable(address)), token, way, patience: REQUEST_TIMEOUT }
    }

    /// A client of an API in this process.
    #[must_use]
    pub const fn inside(service: Service, token: String) -> Self {
        Self { base: String::new(), token, way: Way::Inside(service), patience: REQUEST_TIMEOUT }
    }

    /// The same, with other patience for each request than 20 s.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The server's address as a URL, without a slash at its end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Whether a server of ours answers there. It is asked without the token: another program may have the port.
    pub async fn is_there(&self) -> bool {
        let asked = Request::get(format!("{}/api/v1/health/ping", self.base)).body(Full::default());
        let Ok(request) = asked else { return false };
        matches!(self.exchange(request).await, Ok((StatusCode::NO_CONTENT, _)))
    }

    /// One call; the answer's JSON (null when it has none).
    ///
    /// # Errors
    /// [`CallError`]: no answer, or one that is not 2xx.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, CallError> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        let (status, answer) = self.send(method, path, body).await?;
        let json = serde_json::from_slice(&answer).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(json);
        }
        let detail = match json.get("detail") {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::from_utf8_lossy(&answer).chars().take(200).collect(),
        };
        Err(CallError::Refused { status, detail })
    }

    /// One request with exactly this body; status and body of the answer.
    ///
    /// # Errors
    /// [`CallError::NoAnswer`].
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<(StatusCode, Bytes), CallError> {
        let failed = |reason: String| CallError::NoAnswer(self.base.clone(), reason);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| failed(error.to_string()))?;
        self.exchange(request).await.map_err(failed)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        tokio::time::timeout(self.patience, self.way.exchange(request))
            .await
            .map_err(|_| format!("nothing within {} seconds", self.patience.as_secs()))?
    }
}

impl Way {
    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), String> {
        match self {
            Self::Http(client) => {
                let (head, body) = client.request(request).await.map_err(|e| innermost(&e))?.into_parts();
                Ok((head.status, collected(body).await?))
            }
            Self::Inside(service) => {
                let (head, body) = service.answer(request, None).await.into_parts();
                Ok((head.status, collected(body).await?))
            }
        }
    }
}

async fn collected<B>(body: B) -> Result<Bytes, String>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    Ok(whole.map_err(|error| error.to_string())?.to_bytes())
}

/// A server that listens on all addresses is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The last cause of an error says what happened; the ones before only where.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
