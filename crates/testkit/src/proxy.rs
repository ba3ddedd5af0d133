//! A network that can be cut: a TCP relay on loopback before a server.

use parking_lot::Mutex;
use std::net::SocketAddr;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A relay. Dropped, it ends with every connection over it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: SocketAddr,
    tasks: TaskTracker,
    open: Mutex<CancellationToken>,
}

impl Proxy {
    /// A relay to `target`, on a port of its own.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port on loopback");
        let address = listener.local_addr().expect("its address");
        let proxy =
            Self { address, target, tasks: TaskTracker::new(), open: Mutex::new(CancellationToken::new()) };
        proxy.serve(listener);
        proxy
    }

    /// Where it listens, cut or not.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.lock().cancel();
    }

    /// Takes connections again, on the same port.
    ///
    /// # Panics
    /// When another program took the port meanwhile.
    pub async fn mend(&self) {
        let listener = TcpListener::bind(self.address).await.expect("our port is still free");
        *self.open.lock() = CancellationToken::new();
        self.serve(listener);
    }

    fn serve(&self, listener: TcpListener) {
        let (tasks, open, target) = (self.tasks.clone(), self.open.lock().clone(), self.target);
        self.tasks.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = open.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((client, _)) = accepted else { continue };
                tasks.spawn(relay(client, target, open.clone()));
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, open: CancellationToken) {
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    tokio::select! {
        () = open.cancelled() => {}
        // Whichever side ends first ends the other.
        _ = copy_bidirectional(&mut client, &mut server) => {}
    }
}
