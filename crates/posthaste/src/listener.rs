//! The HTTP server: connections in, requests to the router.
//!
//! This is the hot path of ingest, so there is nothing between hyper and the router: no span, no log line, no layer.
//! Every connection is a task of the tracker that is handed in; [`Listener::serve`] ends when `stop` is cancelled, and
//! each connection ends after the request that it is in.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections open at once; the next ones wait in the system's queue until one ends.
pub const CONNECTIONS_MAX: usize = 8_192;
/// How long a connection may be idle, or take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How long accepting pauses when the system has no more files or memory to give.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Binds `host:port`.
    ///
    /// # Errors
    /// A sentence that names the address, the setting and what to do.
    pub async fn bind(listen: &str, setting: &str) -> Result<Self, String> {
        let socket = TcpListener::bind(listen).await.map_err(|error| refusal(listen, setting, &error))?;
        let address = socket.local_addr().map_err(|error| refusal(listen, setting, &error))?;
        Ok(Self { socket, address })
    }

    /// Where it is bound; the port is the real one also when the setting said 0.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `router` until `stop`.
    pub async fn serve(self, router: Router, stop: CancellationToken, tasks: TaskTracker) {
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
                (Ok((stream, _)), Ok(place)) => {
                    tasks.spawn(connection(stream, router.clone(), stop.clone(), place));
                }
                (Err(error), _) => refused(&error).await,
                (_, Err(_closed)) => return,
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken, place: OwnedSemaphorePermit) {
    // A socket that refuses the option still works, only slower.
    let _ = stream.set_nodelay(true);
    // Without `pipeline_flush`: while bytes of a refused body are left, it would keep the refusal back for ever.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        // Clients come and go; this is about their connection, not about our work.
        tracing::debug!(%error, "a connection ended early");
    }
    drop(place);
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

    #[tokio::test]
    async fn a_taken_port_is_refused_with_what_to_do() {
        let first = Listener::bind("127.0.0.1:0", "POSTHASTE_LISTEN").await.unwrap();
        let taken = first.address().to_string();
        let refusal = Listener::bind(&taken, "POSTHASTE_LISTEN").await.unwrap_err();
        assert!(refusal.starts_with(&format!("{taken} is taken")), "{refusal}");
        assert!(refusal.contains(&format!("POSTHASTE_LISTEN={}", next_port(&taken))), "{refusal}");
    }
}
