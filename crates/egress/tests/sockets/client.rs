//! Clients and requests for the tests: loopback opened, deadlines short.

use std::{
    collections::VecDeque,
    future::{Future, ready},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use egress::{Client, Limits, Policy, Request, Resolve, Response, SendError, SystemResolver};
use http::{HeaderMap, Method};
use tokio::time::Instant;

/// Long enough for a busy machine where no deadline is meant to pass.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn policy(opened: &[&str]) -> Policy {
    Policy::new(opened.iter().map(|net| net.parse().expect("a subnet")).collect(), false)
}

/// A client that may reach loopback.
pub(crate) fn client() -> Client {
    client_with(Limits::default())
}

pub(crate) fn client_with(limits: Limits) -> Client {
    Client::new(policy(&["127.0.0.0/8"]), limits, Arc::new(SystemResolver::new()))
}

/// A POST of `{}`.
pub(crate) fn post(url: &str) -> Request {
    Request {
        method: Method::POST,
        uri: url.parse().expect("a URI"),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        deadline: Instant::now() + PATIENCE,
    }
}

/// A POST that gives up early.
pub(crate) fn hurried(url: &str) -> Request {
    Request { deadline: Instant::now() + Duration::from_millis(150), ..post(url) }
}

pub(crate) async fn send(client: &Client, request: Request) -> Result<Response, SendError> {
    client.send(request, &|| true).await
}

/// The response to `post(url)`.
pub(crate) async fn ok(client: &Client, url: &str) -> Response {
    send(client, post(url)).await.expect("a response")
}

/// The failure of `request`.
pub(crate) async fn failure(client: &Client, request: Request) -> SendError {
    send(client, request).await.map(|response| response.status).expect_err("no response")
}

/// A resolver with a script: each question takes the next answer. It notes the questions.
#[derive(Default)]
pub(crate) struct Scripted {
    answers: Mutex<VecDeque<Vec<SocketAddr>>>,
    questions: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Vec<SocketAddr>>) -> Arc<Scripted> {
        Arc::new(Scripted { answers: Mutex::new(answers.into_iter().collect()), questions: Mutex::default() })
    }

    pub(crate) fn questions(&self) -> Vec<String> {
        self.questions.lock().expect("unpoisoned").clone()
    }
}

impl Resolve for Scripted {
    fn resolve(
        &self,
        host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        self.questions.lock().expect("unpoisoned").push(host.to_owned());
        let answer = self.answers.lock().expect("unpoisoned").pop_front();
        Box::pin(ready(answer.ok_or_else(|| io::Error::other("no such name"))))
    }
}

/// A resolver that never answers.
pub(crate) struct Mute;

impl Resolve for Mute {
    fn resolve(
        &self,
        _host: &str,
        _port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        Box::pin(std::future::pending())
    }
}
