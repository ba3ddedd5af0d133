//! A look at a server: one request over a connection of its own, with what the connection says.

use std::net::SocketAddr;

use tokio_rustls::client::TlsStream;
use x509_parser::prelude::FromDer;

use crate::{Response, SendError};

/// What a look brought.
#[derive(Debug)]
pub struct Probed {
    /// The response, or why there is none.
    pub outcome: Result<Response, SendError>,
    /// The address that was connected to.
    pub address: Option<SocketAddr>,
    /// How TLS stands, where it was spoken.
    pub tls: Option<TlsDetails>,
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
