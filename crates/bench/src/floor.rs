//! The floor: the least that any webhook sender does. It accepts a POST, answers 202 once the forward is queued, and
//! forwards the body with a pooled client, on the HTTP stack that Posthaste is built on.
//!
//! It stores nothing, signs nothing, checks nothing and retries nothing. What a sender costs beyond it is what the
//! promises cost. Forwards in flight are bounded, as they must be anywhere: at the bound the answer waits.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::server::{announce, answer, raise_file_limit, serve};
use crate::{Outcome, options};

/// Forwards in flight, the same as Posthaste allows one endpoint.
const FORWARDS_MAX: usize = 128;

struct Floor {
    client: Client<HttpConnector, Full<Bytes>>,
    targets: Vec<Uri>,
    forwards: Arc<Semaphore>,
}

/// Serves until it is killed.
pub(crate) fn run(options: &options::Floor) -> Outcome<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(options.listen).await?;
        announce("floor", listener.local_addr()?);
        let floor = Arc::new(Floor::new(options)?);
        serve(listener, move |request| accept(floor.clone(), request)).await
    })
}

impl Floor {
    fn new(options: &options::Floor) -> Outcome<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let targets = (0..options.copies).map(|copy| format!("{}/{copy}", options.target).parse());
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            targets: targets.collect::<Result<_, _>>()?,
            forwards: Arc::new(Semaphore::new(FORWARDS_MAX)),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "the floor has nothing that a tracker adds: it is killed")]
async fn accept(floor: Arc<Floor>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let Ok(body) = request.into_body().collect().await else {
        return answer(StatusCode::BAD_REQUEST, "");
    };
    let body = body.to_bytes();
    for copy in 0..floor.targets.len() {
        let Ok(permit) = floor.forwards.clone().acquire_owned().await else {
            return answer(StatusCode::SERVICE_UNAVAILABLE, "");
        };
        tokio::spawn(forward(floor.clone(), copy, body.clone(), permit));
    }
    answer(StatusCode::ACCEPTED, "")
}

/// A failure is not told to anyone: the receiver's count shows it.
async fn forward(floor: Arc<Floor>, copy: usize, body: Bytes, permit: OwnedSemaphorePermit) {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = floor.targets[copy].clone();
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(response) = floor.client.request(request).await {
        let _ = response.into_body().collect().await;
    }
    drop(permit);
}
