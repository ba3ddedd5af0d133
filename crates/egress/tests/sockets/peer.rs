//! A receiver in raw bytes: the test writes what each connection reads and says.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A listening receiver. It stops when dropped.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    accepted: Arc<Mutex<Vec<SocketAddr>>>,
    requests: Arc<Mutex<Vec<String>>>,
    /// The accepting loop, which ends with its owner.
    _tasks: JoinSet<()>,
}

/// One connection, as its script sees it.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    /// Which connection this is, from 1.
    pub(crate) number: usize,
    /// Where the requests are noted.
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Runs `script` for each connection to a fresh port of 127.0.0.1.
    pub(crate) async fn start<F, R>(script: F) -> Receiver
    where
        F: Fn(Peer) -> R + Send + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let accepted = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (counted, noted) = (Arc::clone(&accepted), Arc::clone(&requests));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut scripts = JoinSet::new();
            while let Ok((stream, remote)) = listener.accept().await {
                let number = note(&counted, remote);
                scripts.spawn(script(Peer { stream, number, requests: Arc::clone(&noted) }));
            }
        });
        Receiver { address, accepted, requests, _tasks: tasks }
    }

    /// Answers every request with the same bytes, for as long as the connection lasts.
    pub(crate) async fn answering(response: &'static str) -> Receiver {
        Receiver::start(
            move |mut peer| async move { while peer.request().await && peer.say(response).await {} },
        )
        .await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were made so far, also such as the script has not seen yet: connections are accepted in
    /// their order, so this makes one more and waits for it. To be asked once, at the end of a test.
    pub(crate) async fn connections(&self) -> usize {
        let last = TcpStream::connect(self.address).await.expect("the receiver listens");
        let last = last.local_addr().expect("connected");
        loop {
            let place = self.accepted.lock().expect("unpoisoned").iter().position(|remote| *remote == last);
            match place {
                Some(before) => return before,
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// All requests read so far, heads and bodies.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("unpoisoned").clone()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads one request and notes it. False when the other side has closed.
    pub(crate) async fn request(&mut self) -> bool {
        let mut text = String::new();
        while !is_whole(&text) {
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return false,
                Ok(read) => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
            }
        }
        self.requests.lock().expect("unpoisoned").push(text);
        true
    }

    /// Writes. False when the other side has closed.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Writes the same thing until the other side has enough of it, and says how many bytes went out.
    pub(crate) async fn say_for_ever(&mut self, bytes: &[u8]) -> usize {
        let block = bytes.repeat(1 + 16_384 / bytes.len());
        let mut sent = 0;
        while let Ok(written) = self.stream.write(&block).await {
            sent += written;
        }
        sent
    }

    /// Says nothing more, and keeps the connection until the other side closes it.
    pub(crate) async fn hang(&mut self) {
        let mut buffer = [0; 4096];
        while self.stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    }
}

/// Notes a connection and tells its number.
fn note(accepted: &Mutex<Vec<SocketAddr>>, remote: SocketAddr) -> usize {
    let mut accepted = accepted.lock().expect("unpoisoned");
    accepted.push(remote);
    accepted.len()
}

/// A head and, where it has a length, that much body.
fn is_whole(text: &str) -> bool {
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |digits| digits.parse().expect("a length"))
}
