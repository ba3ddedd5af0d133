//! One connection of a [`Receiver`](crate::Receiver): read a request with hyper, record it, do what the script says.
//!
//! An `Err` from the service makes hyper drop the connection without a word; that is how a raw answer and a reset end.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::answer::{Kind, Then};
use crate::receiver::{OpenConnection, Received, State};
use crate::shared_stream::SharedStream;

/// The largest request body that is read; more fails the request.
const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Where an endless answer ends all the same.
const REPEATED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Serves one connection until either side ends it.
pub(crate) async fn serve(state: Arc<State>, stream: TcpStream, number: u64) {
    let _open = OpenConnection::count(state.clone());
    let _ = stream.set_nodelay(true);
    let stream = SharedStream::new(stream);
    let past = stream.clone();
    let service = service_fn(move |request| answer(state.clone(), past.clone(), number, request));
    // An error here is the client leaving or a scripted end; the test sees it from the client's side.
    let _ = http1::Builder::new()
        .auto_date_header(false)
        .max_headers(1_000)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    state: Arc<State>,
    stream: SharedStream,
    connection: u64,
    request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let arrived = Instant::now();
    let (head, body) = request.into_parts();
    let body =
        Limited::new(body, REQUEST_BODY_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let target = head.uri.path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    let answer = state.record(Received {
        method: head.method,
        target,
        path,
        headers: head.headers,
        body,
        arrived,
        connection,
    });
    pause(answer.delay).await;
    match answer.kind {
        Kind::Http { status, headers, body } => {
            let mut response = Response::new(Full::new(body));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        }
        Kind::Hang => hang().await,
        Kind::Reset => reset(&stream),
        Kind::Raw { bytes, then } => raw(&stream, &bytes, then).await,
    }
}

async fn raw(stream: &SharedStream, bytes: &Bytes, then: Then) -> io::Result<Response<Full<Bytes>>> {
    if let Then::Drip { every } = then {
        for byte in bytes {
            pause(every).await;
            stream.write_past(&[*byte]).await?;
        }
        return hang().await;
    }
    stream.write_past(bytes).await?;
    match then {
        Then::Close => Err(scripted_end()),
        Then::Reset => reset(stream),
        Then::Hang | Then::Drip { .. } => hang().await,
        Then::Repeat { chunk, every } => {
            for _ in 0..REPEATED_BYTES_MAX / chunk.len().max(1) {
                pause(every).await;
                stream.write_past(&chunk).await?;
                // A socket that always takes more would keep a single-threaded test from ever reading.
                tokio::task::yield_now().await;
            }
            Err(scripted_end())
        }
    }
}

/// Waits until hyper notices that the client left and drops this future, or the receiver is dropped.
async fn hang<T>() -> io::Result<T> {
    std::future::pending::<Result<T, Infallible>>().await.map_err(io::Error::other)
}

fn reset<T>(stream: &SharedStream) -> io::Result<T> {
    stream.reset_on_close()?;
    Err(scripted_end())
}

fn scripted_end() -> io::Error {
    io::Error::other("the script ends this connection")
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}
