//! A look at a server: one request over a connection of its own, with what each step of it found.

use std::{io, net::SocketAddr, time::Duration};

use parking_lot::Mutex;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::client::TlsStream;
use x509_parser::prelude::FromDer;

use crate::{
    Doubt, Response, SendError,
    error::{Phase, Progress, Witness},
    tls,
};

/// What a look brought.
#[derive(Debug)]
pub struct Probed {
    /// The response, or why there is none.
    pub outcome: Result<Response, SendError>,
    /// The steps that were begun, in order, and how long each took. Where there is no response, the last one failed.
    pub steps: Vec<(Step, Duration)>,
    /// What the name resolved to, or the address that the URL has.
    pub addresses: Vec<SocketAddr>,
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// How TLS stands, where it was spoken.
    pub tls: Option<TlsDetails>,
    /// Why the server's certificate was not believed.
    pub doubt: Option<Doubt>,
}

/// A step of a request, in their order. A URL with an address needs no `Dns`, plain http no `Tls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The name becomes addresses.
    Dns,
    /// The URL and each address are held against the policy.
    Policy,
    /// One of the addresses takes a connection.
    Tcp,
    /// TLS is negotiated, and the certificate believed.
    Tls,
    /// The request is sent and the response read.
    Http,
}

/// Notes how a look goes.
#[derive(Default)]
pub(crate) struct Steps {
    pub(crate) progress: Progress,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    begun: Vec<(Step, Instant)>,
    addresses: Vec<SocketAddr>,
    address: Option<SocketAddr>,
    doubt: Option<Doubt>,
}

impl Witness for Steps {
    fn enter(&self, phase: Phase) {
        self.progress.enter(phase);
        match phase {
            Phase::Resolving => self.begin(Step::Dns),
            Phase::Connecting => self.begin(Step::Tcp),
            Phase::Handshaking => self.begin(Step::Tls),
            Phase::Waiting | Phase::Reading => {}
        }
    }

    fn found(&self, addresses: &[SocketAddr]) {
        self.noted.lock().addresses = addresses.to_vec();
        self.begin(Step::Policy);
    }

    fn connected(&self, tcp: &TcpStream) {
        self.noted.lock().address = tcp.peer_addr().ok();
    }

    fn refused(&self, error: &io::Error) {
        self.noted.lock().doubt = tls::doubt(error);
    }
}

impl Steps {
    pub(crate) fn begin(&self, step: Step) {
        self.noted.lock().begun.push((step, Instant::now()));
    }

    /// What the look brought, now that it has ended.
    pub(crate) fn end(self, outcome: Result<Response, SendError>, tls: Option<TlsDetails>) -> Probed {
        let Noted { begun, addresses, address, doubt } = self.noted.into_inner();
        let ends = begun.iter().skip(1).map(|(_, next)| *next).chain([Instant::now()]);
        let steps = begun.iter().zip(ends).map(|((step, from), to)| (*step, to - *from)).collect();
        Probed { outcome, steps, addresses, address, tls, doubt }
    }
}

/// What a TLS connection says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsDetails {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite.
    pub cipher: String,
    /// Whom the certificate is for.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// When it expires, in seconds since 1970.
    pub expires_at: i64,
}

/// When a server's certificate expires, in seconds since 1970.
pub(crate) fn expires_at<T>(stream: &TlsStream<T>) -> Option<i64> {
    let certificate = stream.get_ref().1.peer_certificates()?.first()?;
    let (_, read) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
    Some(read.validity().not_after.timestamp())
}

impl TlsDetails {
    pub(crate) fn of<T>(stream: &TlsStream<T>) -> Option<TlsDetails> {
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates()?.first()?;
        let (_, read) = x509_parser::certificate::X509Certificate::from_der(certificate).ok()?;
        Some(TlsDetails {
            version: session
                .protocol_version()
                .map(|v| format!("{v:?}").replace('_', "."))
                .unwrap_or_default(),
            cipher: session.negotiated_cipher_suite().map(|s| format!("{:?}", s.suite())).unwrap_or_default(),
            subject: read.subject().to_string(),
            issuer: read.issuer().to_string(),
            expires_at: read.validity().not_after.timestamp(),
        })
    }
}
