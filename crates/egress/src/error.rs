//! What can come of a request that brought no response, in words for the person whose server it was.
//!
//! Nothing here tells about our own inside: no library's name, no file, no stack.

use std::{
    error::Error,
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::net::TcpStream;

use crate::{policy::Blocked, stream::TooMuch, tls};

/// Why there is no response. The texts are sentences that may be shown to the customer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address may not be reached. Trying again changes nothing until the address or the policy does.
    #[error("{0}")]
    Blocked(String),
    /// The deadline passed, or no address accepted a connection in time. The text says in which phase.
    #[error("{0}")]
    TimedOut(String),
    /// There is no server, or it broke off, or what it said is not HTTP.
    #[error("{0}")]
    Unreachable(String),
    /// The server showed a certificate that is not believed: expired, of another name, from nobody we know.
    #[error("{0}")]
    Certificate(String),
    /// The caller's `still_allowed` said no, so this try was not made.
    #[error("the request was no longer wanted")]
    NotAllowed,
}

impl From<Blocked> for SendError {
    fn from(blocked: Blocked) -> SendError {
        SendError::Blocked(blocked.to_string())
    }
}

/// Where a request is, so that a deadline that passes can tell. Written by the request, read after it was dropped.
#[derive(Default)]
pub(crate) struct Progress(AtomicU8);

/// Sees how a connection comes about. What a look wants to know costs a delivery nothing: it looks away.
pub(crate) trait Witness: Sync {
    /// A phase begins.
    fn enter(&self, phase: Phase);
    /// These addresses were found; none is checked yet.
    fn found(&self, _addresses: &[SocketAddr]) {}
    /// One of them took the connection.
    fn connected(&self, _tcp: &TcpStream) {}
    /// TLS did not come about.
    fn refused(&self, _error: &io::Error) {}
}

/// The phases of a request, in order.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    Resolving,
    Connecting,
    Handshaking,
    Waiting,
    Reading,
}

impl Witness for Progress {
    fn enter(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::Relaxed);
    }
}

impl Progress {
    pub(crate) fn timed_out(&self, after: Duration) -> SendError {
        const RESOLVING: u8 = Phase::Resolving as u8;
        const CONNECTING: u8 = Phase::Connecting as u8;
        const HANDSHAKING: u8 = Phase::Handshaking as u8;
        const WAITING: u8 = Phase::Waiting as u8;
        let doing = match self.0.load(Ordering::Relaxed) {
            RESOLVING => "resolving the host name",
            CONNECTING => "connecting",
            HANDSHAKING => "negotiating TLS",
            WAITING => "waiting for the response",
            _ => "reading the response's body",
        };
        SendError::TimedOut(format!("timed out after {:.1} s while {doing}", after.as_secs_f64()))
    }
}

/// What became of a connection that was in use.
pub(crate) fn explain_http(error: &hyper::Error) -> String {
    if error.is_parse_too_large() {
        return "the response's headers are too many or too long".to_owned();
    }
    if error.is_parse() {
        return "what the server answered is not HTTP/1.1".to_owned();
    }
    if error.is_incomplete_message() {
        return "the server closed the connection before its response was complete".to_owned();
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<io::Error>() {
            return explain_io(cause);
        }
        source = cause.source();
    }
    "the connection broke before the response was complete".to_owned()
}

/// The same for what the system, TLS or the byte count says.
pub(crate) fn explain_io(error: &io::Error) -> String {
    if let Some(inner) = error.get_ref() {
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            return tls::explain(error);
        }
        if let Some(too_much) = inner.downcast_ref::<TooMuch>() {
            return too_much.to_string();
        }
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => "the connection was refused",
        ErrorKind::ConnectionReset => "the server reset the connection",
        ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => "the server closed the connection",
        ErrorKind::UnexpectedEof => "the server closed the connection before its response was complete",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "there is no route to the server",
        ErrorKind::TimedOut => "the network gave up on the connection",
        ErrorKind::InvalidData | ErrorKind::InvalidInput => "the response's body is malformed",
        _ => "the connection failed",
    }
    .to_owned()
}
