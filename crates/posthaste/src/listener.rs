//! The HTTP server: connections in, requests to the router.
//!
//! This is the hot path of ingest, so there is nothing between hyper and the service: no span, no log line, no layer,
//! no timer for each request. Every connection is a task of the tracker that is handed in; [`Listener::serve`] ends when `stop` is cancelled, and
//! each connection ends after the request that it is in.

use api::Service;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections open at once; the next ones wait in the system's queue until one ends.
pub const CONNECTIONS_MAX: usize = 8_192;
/// Between two looks at a connection. One on which no request was worked on between two looks, and that took less than
/// [`WRITTEN_MIN`] of an answer, is closed: it is idle, or its client hardly sends its head or reads its answer.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Bytes of an answer that a client has to take between two looks (about 1 KB/s).
const WRITTEN_MIN: u64 = 64 * 1024;
/// How long accepting pauses when the system has no more files or memory to give.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    look_every: Duration,
}

/// What one connection has done.
#[derive(Debug, Default)]
struct Served {
    begun: AtomicU64,
    ended: AtomicU64,
    written: AtomicU64,
}

/// A socket whose written bytes are counted.
struct Counted<'a> {
    stream: TcpStream,
    written: &'a AtomicU64,
}

impl Listener {
    /// Binds `host:port`.
    ///
    /// # Errors
    /// A sentence that names the address, the setting and what to do.
    pub async fn bind(listen: &str, setting: &str) -> Result<Self, String> {
        let socket = TcpListener::bind(listen).await.map_err(|error| refusal(listen, setting, &error))?;
        let address = socket.local_addr().map_err(|error| refusal(listen, setting, &error))?;
        Ok(Self { socket, address, look_every: LOOK_EVERY })
    }

    /// Where it is bound; the port is the real one also when the setting said 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`.
    pub async fn serve(self, service: Service, stop: CancellationToken, tasks: TaskTracker) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let next = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (self.socket.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = stop.cancelled() => return,
                next = next => next,
            };
            match (accepted, place) {
                (Ok((stream, peer)), Ok(place)) => {
                    let (service, stop, look_every) = (service.clone(), stop.clone(), self.look_every);
                    tasks.spawn(async move {
                        connection((stream, peer), service, stop, look_every).await;
                        drop::<OwnedSemaphorePermit>(place);
                    });
                }
                (Err(error), _) => refused(&error).await,
                (_, Err(_closed)) => return,
            }
        }
    }
}

async fn connection(
    (stream, peer): (TcpStream, SocketAddr),
    service: Service,
    stop: CancellationToken,
    look_every: Duration,
) {
    // A socket that refuses the option still works, only slower.
    let _ = stream.set_nodelay(true);
    let served = Served::default();
    let answer = service_fn(async |request| {
        served.begun.fetch_add(1, Ordering::Relaxed);
        let response = service.answer(request, Some(peer)).await;
        served.ended.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(response)
    });
    let stream = TokioIo::new(Counted { stream, written: &served.written });
    // Without `pipeline_flush`: while bytes of a refused body are left, it would keep the refusal back for ever.
    let mut serving = pin!(http1::Builder::new().serve_connection(stream, answer));
    let ended = tokio::select! {
        // First, so that bytes which came in right now count before a look does.
        biased;
        ended = serving.as_mut() => ended,
        () = served.stands_still(look_every) => return,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        // Clients come and go; this is about their connection, not about our work.
        tracing::debug!(%error, "a connection ended early");
    }
}

impl Served {
    /// Waits until two looks in turn find that nothing was worked on between them, and hardly anything written.
    async fn stands_still(&self, look_every: Duration) {
        let (mut ended_before, mut written_before) = (u64::MAX, 0);
        loop {
            tokio::time::sleep(look_every).await;
            let (begun, ended) = (self.begun.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
            let written = self.written.load(Ordering::Relaxed);
            if begun == ended && ended == ended_before && written - written_before < WRITTEN_MIN {
                return;
            }
            (ended_before, written_before) = (ended, written);
        }
    }
}

impl Counted<'_> {
    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for Counted<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Counted<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A client that left before it was accepted is no news. Anything else is a shortage: going on at once would spin.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset) {
        tracing::warn!(%error, "a connection could not be accepted");
        tokio::time::sleep(EXHAUSTED_PAUSE).await;
    }
}

fn refusal(listen: &str, setting: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{listen} is taken: another program listens there, perhaps another posthaste. Stop it, or choose another \
             port, for example {setting}={}",
            next_port(listen)
        ),
        io::ErrorKind::PermissionDenied => format!(
            "this user may not listen on {listen} (ports under 1024 are the system's): choose another {setting}"
        ),
        _ => format!("cannot listen on {listen} ({setting}): {error}"),
    }
}

fn next_port(listen: &str) -> String {
    let (host, port) = listen.rsplit_once(':').unwrap_or((listen, ""));
    let port: u16 = port.parse().unwrap_or(8071);
    format!("{host}:{}", port.checked_add(1).unwrap_or(8071))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::extract::State;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_taken_port_is_refused_with_what_to_do() {
        let first = Listener::bind("127.0.0.1:0", "POSTHASTE_LISTEN").await.unwrap();
        let taken = first.address().to_string();
        let refusal = Listener::bind(&taken, "POSTHASTE_LISTEN").await.unwrap_err();
        assert!(refusal.starts_with(&format!("{taken} is taken")), "{refusal}");
        assert!(refusal.contains(&format!("POSTHASTE_LISTEN={}", next_port(&taken))), "{refusal}");
    }

    #[tokio::test]
    async fn a_connection_that_stands_still_is_closed_and_one_at_work_is_not() {
        let mut listener = Listener::bind("127.0.0.1:0", "POSTHASTE_LISTEN").await.unwrap();
        listener.look_every = Duration::from_millis(20);
        let (address, stop, tasks) = (listener.address(), CancellationToken::new(), TaskTracker::new());
        let others_are_closed = Arc::new(tokio::sync::Notify::new());
        let slow = async |State(closed): State<Arc<tokio::sync::Notify>>| {
            closed.notified().await;
            "at last"
        };
        let routes = axum::Router::new().route("/", axum::routing::get(slow));
        let routes = routes.with_state(Arc::clone(&others_are_closed));
        tasks.spawn(listener.serve(routes.into(), stop.clone(), tasks.clone()));
        let (mut silent, mut halfway, mut working) = (
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        );
        halfway.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        working.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut text = String::new();
        assert_eq!(silent.read_to_string(&mut text).await.unwrap(), 0);
        assert_eq!(halfway.read_to_string(&mut text).await.unwrap(), 0);
        others_are_closed.notify_one();
        working.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("at last"), "{text}");
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_slow_reader_gets_its_whole_answer_and_one_that_stopped_reading_is_cut() {
        const ANSWER: usize = 24 << 20;
        let mut listener = Listener::bind("127.0.0.1:0", "POSTHASTE_LISTEN").await.unwrap();
        listener.look_every = Duration::from_millis(20);
        let (address, stop, tasks) = (listener.address(), CancellationToken::new(), TaskTracker::new());
        let large = async || vec![b'x'; ANSWER];
        let routes = axum::Router::new().route("/", axum::routing::get(large));
        tasks.spawn(listener.serve(routes.into(), stop.clone(), tasks.clone()));
        let asked = async || {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
            client
        };
        let (mut slow, mut stopped) = (asked().await, asked().await);
        let (mut read, mut piece) = (0, vec![0; 1 << 20]);
        let mut pace = tokio::time::interval(Duration::from_millis(5));
        while read < ANSWER {
            pace.tick().await;
            let some = slow.read(&mut piece).await.unwrap();
            assert!(some > 0, "cut after {read} bytes");
            read += some;
        }
        // What the system had taken for it comes, and then its end.
        let mut rest = Vec::new();
        let _ = stopped.read_to_end(&mut rest).await;
        assert!(rest.len() < ANSWER, "{} bytes", rest.len());
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
