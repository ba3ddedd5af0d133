//! TLS: which certificates are believed, and what to say when one is not.
//!
//! The cryptography is named here (aws-lc) and never taken from the process's default, so another library in the
//! process cannot change it.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// What a client believes and shows beyond the defaults.
#[derive(Debug, Default)]
pub struct TlsOptions {
    /// Certificate authorities believed beside Mozilla's list.
    pub extra_roots: Vec<CertificateDer<'static>>,
    /// What we show to a receiver that asks who we are (mutual TLS).
    pub identity: Option<Identity>,
}

/// A client certificate and its key.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then those that lead to its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
}

/// [`TlsOptions`] that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// An extra root is not a certificate of an authority.
    #[error("a certificate authority cannot be read: {0}")]
    Root(String),
    /// The client certificate and the key do not work together, or cannot be read.
    #[error("the client certificate cannot be used: {0}")]
    Identity(String),
}

pub(crate) fn config(options: TlsOptions) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in options.extra_roots {
        roots.add(root).map_err(|error| TlsError::Root(error.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc has the suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    let mut config = match options.identity {
        None => builder.with_no_client_auth(),
        Some(Identity { chain, key }) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| TlsError::Identity(error.to_string()))?,
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// What went wrong, in words for the person whose server it is.
pub(crate) fn explain(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(reason) => explain_certificate(reason),
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS on this port".to_owned(),
        rustls::Error::NoApplicationProtocol
        | rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol) => {
            "the server does not offer HTTP/1.1".to_owned()
        }
        rustls::Error::AlertReceived(alert) => format!("the server refused TLS ({alert:?})"),
        other => format!("TLS failed: {other}"),
    }
}

fn explain_certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::UnknownIssuer => {
            "the server's certificate is not from an authority that we know, or it sends no intermediate certificate"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the server's certificate is for another name".to_owned()
        }
        other => format!("the server's certificate is not acceptable: {other}"),
    }
}
