//! The bytes of one connection, plain or TLS, counted as they come in.
//!
//! The count serves two ends. A receiver that never finishes its headers, or sends interim responses for ever, is
//! stopped by bytes and not only by the deadline; and a connection that broke before its first byte of response is
//! known to be a stale one, which may be tried again.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// The transport below HTTP.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A transport with its count.
pub(crate) struct Stream {
    transport: Transport,
    received: Received,
    bytes_max: usize,
}

/// How many bytes came in since the count was last reset. Shared with the connection, which cannot reach into hyper.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicUsize>);

/// The receiver sent more than any honest response can have.
#[derive(Debug, thiserror::Error)]
#[error("the server sent more than {bytes_max} bytes in answer to one request")]
pub(crate) struct TooMuch {
    bytes_max: usize,
}

impl Received {
    pub(crate) fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    fn add(&self, bytes: usize) -> usize {
        self.0.fetch_add(bytes, Ordering::Relaxed) + bytes
    }
}

impl Stream {
    pub(crate) fn new(transport: Transport, received: Received, bytes_max: usize) -> Stream {
        Stream { transport, received, bytes_max }
    }
}

/// Calls the same method on whichever transport it is.
macro_rules! forward {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match &mut $self.get_mut().transport {
            Transport::Plain(tcp) => Pin::new(tcp).$method($($argument),*),
            Transport::Tls(tls) => Pin::new(tls.as_mut()).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let inner = self.as_mut();
        ready!(forward!(inner.poll_read(cx, buffer)))?;
        let total = self.received.add(buffer.filled().len() - before);
        if total > self.bytes_max {
            return Poll::Ready(Err(io::Error::other(TooMuch { bytes_max: self.bytes_max })));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        forward!(self.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        forward!(self.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.transport {
            Transport::Plain(tcp) => tcp.is_write_vectored(),
            Transport::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        forward!(self.poll_shutdown(cx))
    }
}
