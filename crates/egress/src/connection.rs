//! One connection and the exchange of one request and response over it.
//!
//! hyper's connection is a future that wants to be polled beside the request. Here the request itself polls it, in
//! the same task: that saves two hand-overs between tasks for every request, leaves no task behind, and whoever drops
//! the exchange (a deadline, a shutdown) has closed the socket. While a connection is idle nobody polls it, so
//! [`Connection::is_alive`] must be asked before it is used again.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Uri, header};
use http_body_util::Full;
use hyper::{
    body::{Body, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::{
    Limits, Outgoing, Response, SendError,
    connect::Target,
    error::{Phase, Progress, Witness as _, explain_http},
    stream::{Received, Stream, Transport},
};

/// The least that hyper's buffer may be set to.
const BUFFER_BYTES_MIN: usize = 8_192;

/// How much memory a claimed `Content-Length` alone gets; the rest follows the bytes.
const BODY_BYTES_BELIEVED: usize = 4_096;

/// Headers about this connection and its framing, which are ours to set: one from outside could make two requests
/// of one.
const OURS: [header::HeaderName; 5] =
    [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::EXPECT];

/// An open connection, in use or idle.
pub(crate) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    is_closed: bool,
    received: Received,
    host: HeaderValue,
    pub(crate) opened_at: Instant,
}

/// Why an exchange brought no response.
pub(crate) enum ExchangeError {
    /// Not one byte of response came: on a connection used before, the receiver had closed it.
    Silent(SendError),
    /// The receiver had begun to answer.
    Broken(SendError),
}

impl Connection {
    pub(crate) async fn new(
        transport: Transport,
        target: &Target,
        limits: &Limits,
    ) -> Result<Connection, SendError> {
        let received = Received::default();
        let stream = Stream::new(transport, received.clone(), limits.wire_bytes_max());
        let mut builder = http1::Builder::new();
        let header_bytes_max = limits.header_bytes_max.max(BUFFER_BYTES_MIN);
        builder.max_header_size(header_bytes_max).max_buf_size(header_bytes_max);
        if limits.header_count_max != Limits::default().header_count_max {
            // hyper's own hundred lives on the stack, any other number on the heap.
            builder.max_headers(limits.header_count_max);
        }
        let (sender, driver) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| SendError::Unreachable(explain_http(&error)))?;
        let host = HeaderValue::from_str(host_text(target))
            .map_err(|_| SendError::Unreachable(format!("{} is not a host", target.authority)))?;
        Ok(Connection { sender, driver, is_closed: false, received, host, opened_at: Instant::now() })
    }

    /// Whether the other side still holds the connection and has sent nothing unasked.
    pub(crate) async fn is_alive(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            Poll::Ready(!self.is_closed && self.sender.is_ready())
        })
        .await
    }

    /// Sends one request and reads its response. Afterwards ask [`Connection::is_alive`] before keeping it.
    pub(crate) async fn exchange(
        &mut self,
        origin_form: Uri,
        outgoing: Outgoing,
        limits: &Limits,
        progress: &Progress,
    ) -> Result<Response, ExchangeError> {
        self.received.reset();
        progress.enter(Phase::Waiting);
        let mut response = pin!(self.sender.send_request(self.request(origin_form, outgoing)));
        let response = poll_fn(|cx| {
            drive(&mut self.driver, &mut self.is_closed, cx);
            response.as_mut().poll(cx)
        })
        .await
        .map_err(|error| self.failed(&error))?;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            let text = "the server answered 101 to a request that asked for no other protocol".to_owned();
            return Err(ExchangeError::Broken(SendError::Unreachable(text)));
        }
        progress.enter(Phase::Reading);
        let (head, body) = response.into_parts();
        let (body, truncated) = self.read(body, limits.response_bytes_max).await?;
        Ok(Response { status: head.status.as_u16(), headers: head.headers, body, truncated })
    }

    fn request(&self, origin_form: Uri, outgoing: Outgoing) -> http::Request<Full<Bytes>> {
        let Outgoing { method, mut headers, body } = outgoing;
        for name in OURS {
            headers.remove(name);
        }
        headers.insert(header::HOST, self.host.clone());
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = origin_form;
        *request.headers_mut() = headers;
        request
    }

    /// The body up to the limit, and whether there was more.
    async fn read(&mut self, mut body: Incoming, bytes_max: usize) -> Result<(Bytes, bool), ExchangeError> {
        let claimed = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let expected = claimed.min(bytes_max).min(BODY_BYTES_BELIEVED);
        // Copied, so that a short body does not keep the connection's whole read buffer in memory.
        let mut collected = Vec::with_capacity(expected);
        while !body.is_end_stream() {
            let frame = poll_fn(|cx| {
                self.drive(cx);
                Pin::new(&mut body).poll_frame(cx)
            })
            .await;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| self.failed(&error))?;
            let Some(data) = frame.data_ref() else { continue };
            let room = bytes_max - collected.len();
            collected.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                return Ok((collected.into(), true));
            }
        }
        Ok((collected.into(), false))
    }

    fn failed(&self, error: &hyper::Error) -> ExchangeError {
        let failure = SendError::Unreachable(explain_http(error));
        if self.received.is_nothing() {
            ExchangeError::Silent(failure)
        } else {
            ExchangeError::Broken(failure)
        }
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.is_closed, cx);
    }
}

/// Lets the connection read and write what it can. How it ended does not matter here: hyper tells the request.
fn drive(
    driver: &mut http1::Connection<TokioIo<Stream>, Full<Bytes>>,
    is_closed: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*is_closed {
        *is_closed = Pin::new(driver).poll(cx).is_ready();
    }
}

/// `host[:port]` as the `Host` header has it: without the port where the scheme implies it (RFC 9110, section 7.2).
fn host_text(target: &Target) -> &str {
    let implied = if target.tls { 443 } else { 80 };
    match target.authority.port_u16() {
        Some(port) if port != implied => target.authority.as_str(),
        _ => target.authority.host(),
    }
}
