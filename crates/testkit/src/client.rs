//! A small HTTP client for tests: JSON in, JSON out, connections kept alive.
//!
//! The verbs panic when there is no answer at all; [`HttpClient::send`] returns that as an error, for tests that kill
//! the server. No retries, no redirects, no decompression.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long one request may take, its answer's body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server. Clones share the connections.
#[derive(Clone, Debug)]
pub struct HttpClient {
    base: String,
    inner: Client<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The request could not be built from what the test gave.
    #[error("the request is not one: {0}")]
    Request(#[from] http::Error),
    /// No connection, or it broke before the head of an answer.
    #[error("no answer: {0:?}")]
    NoAnswer(#[from] hyper_util::client::legacy::Error),
    /// The connection broke within the body.
    #[error("the answer broke off: {0:?}")]
    BrokenBody(#[from] hyper::Error),
    /// It took longer than a minute.
    #[error("no answer within {REQUEST_TIMEOUT:?}")]
    TimedOut,
}

impl Reply {
    /// The body as JSON: `Null` when it is empty, a JSON string of the text when it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into_owned()))
    }
}

impl HttpClient {
    /// A client whose paths are appended to `base`, such as `http://127.0.0.1:8071/api/v1`.
    #[must_use]
    pub fn new(base: impl Into<String>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let inner = Client::builder(TokioExecutor::new()).retry_canceled_requests(false).build(connector);
        Self { base: base.into().trim_end_matches('/').to_owned(), inner }
    }

    /// A client of the same server at another base, over the same connections.
    #[must_use]
    pub fn sharing(other: &Self, base: impl Into<String>) -> Self {
        Self { base: base.into().trim_end_matches('/').to_owned(), inner: other.inner.clone() }
    }

    /// GET; an empty `bearer` sends no Authorization.
    pub async fn get(&self, path: &str, bearer: &str) -> (u16, Value) {
        self.json(Method::GET, path, bearer, None).await
    }

    /// POST of a JSON value.
    pub async fn post(&self, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        self.json(Method::POST, path, bearer, Some(body)).await
    }

    /// PUT of a JSON value.
    pub async fn put(&self, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        self.json(Method::PUT, path, bearer, Some(body)).await
    }

    /// PATCH with a JSON value.
    pub async fn patch(&self, path: &str, bearer: &str, body: &Value) -> (u16, Value) {
        self.json(Method::PATCH, path, bearer, Some(body)).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str, bearer: &str) -> (u16, Value) {
        self.json(Method::DELETE, path, bearer, None).await
    }

    /// Any request, with exactly these headers (besides Host and Content-Length) and these bytes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(request))
            .await
            .map_err(|_| ClientError::TimedOut)?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, ClientError> {
        let (head, body) = self.inner.request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
    }

    async fn json(&self, method: Method, path: &str, bearer: &str, body: Option<&Value>) -> (u16, Value) {
        let authorization = format!("Bearer {bearer}");
        let mut headers = Vec::with_capacity(2);
        if !bearer.is_empty() {
            headers.push((AUTHORIZATION.as_str(), authorization.as_str()));
        }
        if body.is_some() {
            headers.push((CONTENT_TYPE.as_str(), "application/json"));
        }
        let bytes = body.map(ToString::to_string).unwrap_or_default();
        match self.send(method.clone(), path, &headers, bytes).await {
            Ok(reply) => (reply.status, reply.json()),
            Err(error) => panic!("{method} {}{path}: {error}", self.base),
        }
    }
}
