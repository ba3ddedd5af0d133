//! Names become addresses.
//!
//! The connector asks once for each new connection and connects to what it was answered, so a name that changes its
//! answer between a check and a use gains nothing. Tests hand in a resolver with a script.

use std::{
    future::Future,
    io,
    net::{SocketAddr, ToSocketAddrs},
    pin::Pin,
    sync::Arc,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

/// How many names are looked up at one time. A lookup holds one of tokio's 512 blocking threads until the system's
/// resolver gives up, which outlasts our deadline; the other half stays for the store.
pub const LOOKUPS_MAX: usize = 256;

/// Looks names up.
pub trait Resolve: Send + Sync {
    /// The addresses of `host` (a name, never an IP literal), each with `port`.
    ///
    /// # Errors
    /// Why the name has no answer. The client reports it as unreachable.
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;
}

/// The operating system's resolver (`getaddrinfo`), at most [`LOOKUPS_MAX`] at a time.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    turns: Arc<Semaphore>,
}

impl SystemResolver {
    /// A resolver with its own [`LOOKUPS_MAX`] turns: make one for the process.
    pub fn new() -> SystemResolver {
        SystemResolver { turns: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Default for SystemResolver {
    fn default() -> SystemResolver {
        SystemResolver::new()
    }
}

impl Resolve for SystemResolver {
    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
        let turns = Arc::clone(&self.turns);
        let host = host.to_owned();
        Box::pin(async move {
            let turn = turns.acquire_owned().await.map_err(io::Error::other)?;
            spawn_blocking(move || {
                // Held here, for the thread is busy also after the caller has gone.
                let _turn = turn;
                (host, port).to_socket_addrs().map(Iterator::collect)
            })
            .await
            .map_err(io::Error::other)?
        })
    }
}
