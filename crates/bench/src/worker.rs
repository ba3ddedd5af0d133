//! One connection of the load: take the next number, wait until it is due, post it, read the answer.
//!
//! The connection's own task is polled within the worker, so an answer costs one wake-up. At a fixed rate the stamp says
//! when the message was due if the server kept us from sending it in time, so that its waiting counts; a timer that
//! fired late is our own fault and does not.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::load::{Counters, Plan};
use crate::payload::{Stamp, Template};

/// Before a broken connection is made again.
const RECONNECT_PAUSE: Duration = Duration::from_millis(20);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

struct Worker {
    plan: Arc<Plan>,
    address: SocketAddr,
    counters: Arc<Counters>,
    template: Template,
    headers: HeaderMap,
    uris: Vec<Uri>,
    begin_ns: u64,
    random: fastrand::Rng,
}

/// Posts until the plan is fulfilled or stopped, over as many connections as that takes, one at a time.
pub(crate) async fn run(plan: Arc<Plan>, address: SocketAddr, counters: Arc<Counters>) {
    let mut worker = match Worker::new(plan, address, counters.clone()) {
        Ok(worker) => worker,
        Err(error) => {
            counters.refused.fetch_add(1, Ordering::Relaxed);
            *counters.last_refusal.lock() = error.to_string();
            return;
        }
    };
    while !worker.is_over() {
        if let Err(error) = worker.connect_and_post().await {
            worker.refuse(error.to_string());
            tokio::time::sleep(RECONNECT_PAUSE).await;
        }
    }
}

impl Worker {
    fn new(plan: Arc<Plan>, address: SocketAddr, counters: Arc<Counters>) -> Outcome<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, address.to_string().parse()?);
        headers.insert(AUTHORIZATION, format!("Bearer {}", plan.token).parse()?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static("posthaste-bench/0.1"));
        let uris = plan.paths.iter().map(|path| path.parse()).collect::<Result<_, _>>()?;
        let template = Template::new(plan.payload_bytes);
        let random = fastrand::Rng::new();
        Ok(Self { plan, address, counters, template, headers, uris, begin_ns: monotonic_ns(), random })
    }

    async fn connect_and_post(&mut self) -> Outcome<()> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut connection = pin!(connection);
        let mut posting = pin!(self.post_all(&mut sender));
        tokio::select! {
            biased;
            ended = &mut posting => return ended,
            ended = &mut connection => ended?,
        }
        // The server closed in an orderly way; an answer that was read before is still to be taken.
        posting.await
    }

    async fn post_all(&mut self, sender: &mut SendRequest<Full<Bytes>>) -> Outcome<()> {
        while let Some(number) = self.take_number() {
            let sent_ns = self.wait_until_due(number).await;
            let request = self.request(Stamp { sent_ns, number: self.plan.first_number + number });
            let response = sender.send_request(request).await?;
            let status = response.status();
            let mut body = response.into_body();
            if status == StatusCode::ACCEPTED {
                while !body.is_end_stream() && body.frame().await.transpose()?.is_some() {}
                self.counters.accepted.fetch_add(1, Ordering::Relaxed);
                self.counters.answered.lock().record(monotonic_ns().saturating_sub(sent_ns));
            } else {
                let body = body.collect().await?.to_bytes();
                self.refuse(format!("{status} {}", String::from_utf8_lossy(&body)));
            }
            sender.ready().await?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.counters.stop.load(Ordering::Relaxed)
            || self.counters.taken.load(Ordering::Relaxed) >= self.plan.messages_max
    }

    fn take_number(&self) -> Option<u64> {
        if self.is_over() {
            return None;
        }
        let number = self.counters.taken.fetch_add(1, Ordering::Relaxed);
        (number < self.plan.messages_max).then_some(number)
    }

    /// When the message counts as sent.
    async fn wait_until_due(&self, number: u64) -> u64 {
        let now = monotonic_ns();
        let Some(per_second) = self.plan.per_second else {
            return now;
        };
        let due = self.begin_ns + (number as f64 * 1e9 / per_second) as u64;
        if due <= now {
            return due;
        }
        tokio::time::sleep(Duration::from_nanos(due - now)).await;
        monotonic_ns()
    }

    fn request(&mut self, stamp: Stamp) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.template.stamped(stamp)));
        *request.method_mut() = Method::POST;
        let route = usize::try_from(stamp.number).unwrap_or(0) % self.uris.len();
        *request.uri_mut() = self.uris[route].clone();
        *request.headers_mut() = self.headers.clone();
        if self.plan.keys {
            request.headers_mut().insert(IDEMPOTENCY_KEY, self.fresh_key());
        }
        request
    }

    /// `auto_` and a version 4 UUID.
    fn fresh_key(&mut self) -> HeaderValue {
        let random = self.random.u128(..) & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
        let hex = format!("{random:032x}");
        let key =
            format!("auto_{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        HeaderValue::from_maybe_shared(Bytes::from(key)).unwrap_or_else(|_| HeaderValue::from_static("auto_"))
    }

    fn refuse(&self, why: String) {
        self.counters.refused.fetch_add(1, Ordering::Relaxed);
        *self.counters.last_refusal.lock() = why;
    }
}
