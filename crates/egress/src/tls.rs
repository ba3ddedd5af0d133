//! TLS: which certificates are believed, and what to say when one is not.
//!
//! The cryptography is named here (aws-lc) and never taken from the process's default, so another library in the
//! process cannot change it.

use std::sync::Arc;

use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject},
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

/// Why a server's certificate is not believed. Times are in seconds since 1970, where they are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// No chain leads from it to an authority that we know.
    Chain,
    /// It has expired.
    Expired(Option<i64>),
    /// It is valid only later.
    NotYet(Option<i64>),
    /// It is for other names: these.
    Name(Vec<String>),
    /// Another reason.
    Other,
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

impl Identity {
    /// Reads a certificate, with those that lead to its authority, and its private key from PEM (RFC 7468).
    ///
    /// # Errors
    /// [`TlsError::Identity`] where one of them is not there or does not read, or where they do not belong together.
    pub fn from_pem(certificate: &str, private_key: &str) -> Result<Identity, TlsError> {
        let chain = certificates(certificate).map_err(TlsError::Identity)?;
        let key = PrivateKeyDer::from_pem_slice(private_key.as_bytes())
            .map_err(|_| TlsError::Identity("the private key is not in PEM".to_owned()))?;
        let identity = Identity { chain, key };
        config(TlsOptions { extra_roots: Vec::new(), identity: Some(identity.clone()) })?;
        Ok(identity)
    }
}

impl Clone for Identity {
    fn clone(&self) -> Identity {
        Identity { chain: self.chain.clone(), key: self.key.clone_key() }
    }
}

impl TlsOptions {
    /// Believes the authorities of these certificates, in PEM, too.
    ///
    /// # Errors
    /// [`TlsError::Root`] where they do not read, or are not those of authorities.
    pub fn believing(mut self, authorities: &str) -> Result<TlsOptions, TlsError> {
        self.extra_roots.extend(certificates(authorities).map_err(TlsError::Root)?);
        config(TlsOptions { extra_roots: self.extra_roots.clone(), identity: None })?;
        Ok(self)
    }
}

/// The certificates of a PEM text; at least one.
fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("there is no certificate in PEM".to_owned()),
    }
}

/// From when to when the first certificate of a PEM text is valid, in seconds since 1970; none when it does not read.
#[must_use]
pub fn certificate_validity(pem: &str) -> Option<(i64, i64)> {
    let first = certificates(pem).ok()?.into_iter().next()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&first).ok()?;
    let validity = certificate.validity();
    Some((validity.not_before.timestamp(), validity.not_after.timestamp()))
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

/// Whether what failed is that the server's certificate is not believed.
pub(crate) fn is_of_certificate(error: &std::io::Error) -> bool {
    of_certificate(error).is_some()
}

/// The same with the reason, for a look.
pub(crate) fn doubt(error: &std::io::Error) -> Option<Doubt> {
    let seconds = |time: &UnixTime| i64::try_from(time.as_secs()).ok();
    Some(match of_certificate(error)? {
        CertificateError::UnknownIssuer => Doubt::Chain,
        CertificateError::Expired => Doubt::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => Doubt::Expired(seconds(not_after)),
        CertificateError::NotValidYet => Doubt::NotYet(None),
        CertificateError::NotValidYetContext { not_before, .. } => Doubt::NotYet(seconds(not_before)),
        CertificateError::NotValidForName => Doubt::Name(Vec::new()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            Doubt::Name(presented.iter().map(|name| plain_name(name)).collect())
        }
        _ => Doubt::Other,
    })
}

/// A certificate's name as people write it: the library says `DnsName("hook.example")`.
fn plain_name(presented: &str) -> String {
    let inner = presented.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(presented).trim_matches('"').to_owned()
}

fn of_certificate(error: &std::io::Error) -> Option<&CertificateError> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidCertificate(reason) => Some(reason),
        _ => None,
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
