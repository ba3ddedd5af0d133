//! TLS to PostgreSQL, with the words of libpq: `sslmode`, `sslrootcert`, `sslcert` and `sslkey` in the address.
//!
//! The driver does the protocol's part and tokio-rustls the encryption; this joins the two. The crates that do so bring a
//! second library of cryptography with them.

use crate::error::{Result, StoreError};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;

/// The word for public authorities in place of a file.
const SYSTEM: &str = "system";

/// What the address says about encryption.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TlsOptions {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// How much of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    /// Nothing: `prefer` and `require`. Whoever listens reads nothing; whoever stands in between is not noticed.
    Nothing,
    /// Its authority: `verify-ca`.
    Authority,
    /// Its authority and its name: `verify-full`.
    Name,
}

/// Takes what concerns encryption out of an address, since the driver knows only a part of it.
pub(super) fn split(url: &str) -> (String, TlsOptions) {
    let mut options = TlsOptions::default();
    // A password may have question marks of its own.
    let host = url.rfind('@').unwrap_or_default();
    let Some(mark) = url[host..].find('?') else { return (url.to_owned(), options) };
    let (address, query) = (&url[..host + mark], &url[host + mark + 1..]);
    let mut rest = Vec::new();
    for pair in query.split('&') {
        // An address is not a form: a plus is one.
        let plain = pair.replace('+', "%2B");
        let (name, value) = url::form_urlencoded::parse(plain.as_bytes()).next().unwrap_or_default();
        let place = match &*name {
            "sslmode" => &mut options.mode,
            "sslrootcert" => &mut options.root,
            "sslcert" => &mut options.certificate,
            "sslkey" => &mut options.key,
            _ => {
                rest.push(pair);
                continue;
            }
        };
        *place = Some(value.into_owned());
    }
    (if rest.is_empty() { address.to_owned() } else { format!("{address}?{}", rest.join("&")) }, options)
}

impl TlsOptions {
    fn read(&self) -> Result<(SslMode, Check)> {
        let of_the_system = self.root.as_deref() == Some(SYSTEM);
        let mode = self.mode.as_deref();
        if of_the_system && !matches!(mode, None | Some("verify-full")) {
            return Err(StoreError::Broken(
                "sslrootcert=system goes with sslmode=verify-full: without the name any certificate of a public authority would do".into(),
            ));
        }
        let by_root = if self.root.is_some() { Check::Authority } else { Check::Nothing };
        Ok(match mode {
            Some("disable") => (SslMode::Disable, Check::Nothing),
            // Whoever names an authority wants it checked.
            None if self.root.is_some() => (SslMode::Require, Check::Name),
            None | Some("prefer") => (SslMode::Prefer, by_root),
            Some("require") => (SslMode::Require, by_root),
            Some("verify-ca") if self.root.is_none() => {
                return Err(StoreError::Broken(
                    "sslmode=verify-ca needs sslrootcert=FILE: without the name any certificate of a public authority would do".into(),
                ));
            }
            Some("verify-ca") => (SslMode::Require, Check::Authority),
            Some("verify-full") => (SslMode::Require, Check::Name),
            Some(other) => {
                return Err(StoreError::Broken(format!(
                    "sslmode `{other}` is unknown: disable, prefer, require, verify-ca or verify-full"
                )));
            }
        })
    }

    /// What the driver is to do, and the connector that does it.
    pub(super) fn connector(&self) -> Result<(SslMode, Connector)> {
        let (mode, check) = self.read()?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match check {
            Check::Nothing => Arc::new(Verifier { provider: Arc::clone(&provider), inner: None, check }),
            Check::Authority | Check::Name => {
                let roots = Arc::new(self.roots()?);
                let inner = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build();
                let inner = inner.map_err(|error| unusable("sslrootcert", error))?;
                Arc::new(Verifier { provider: Arc::clone(&provider), inner: Some(inner), check })
            }
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable("TLS", error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let config = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => {
                let chain = certificates("sslcert", certificate)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("sslkey", error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| unusable("sslcert", error))?
            }
            (None, None) => builder.with_no_client_auth(),
            _ => {
                return Err(StoreError::Broken(
                    "sslcert and sslkey go together: one of them is missing".into(),
                ));
            }
        };
        Ok((mode, Connector(Arc::new(config))))
    }

    /// The authorities of `sslrootcert`; without it, or for the word [`SYSTEM`], Mozilla's list.
    fn roots(&self) -> Result<RootCertStore> {
        let Some(file) = self.root.as_deref().filter(|root| *root != SYSTEM) else {
            return Ok(RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() });
        };
        let mut roots = RootCertStore::empty();
        for root in certificates("sslrootcert", file)? {
            roots.add(root).map_err(|error| unusable("sslrootcert", error))?;
        }
        Ok(roots)
    }
}

fn certificates(what: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let read = read.map_err(|error| unusable(what, format!("{file}: {error}")))?;
    if read.is_empty() { Err(unusable(what, format!("{file} has no certificate"))) } else { Ok(read) }
}

fn unusable(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Broken(format!("{what} cannot be used: {why}"))
}

/// Checks as much of the server's certificate as the address asks for, and always that the server has its key.
#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    inner: Option<Arc<WebPkiServerVerifier>>,
    check: Check,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let Some(inner) = &self.inner else { return Ok(ServerCertVerified::assertion()) };
        match inner.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if self.check == Check::Authority => Ok(ServerCertVerified::assertion()),
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Makes encrypted connections for the driver.
#[derive(Clone, Debug)]
pub(super) struct Connector(Arc<ClientConfig>);

/// A connection to one host that is to be encrypted.
pub(super) struct Connecting(Arc<ClientConfig>, String);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Connector {
    type Stream = Encrypted<S>;
    type TlsConnect = Connecting;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Connecting> {
        Ok(Connecting(Arc::clone(&self.0), host.to_owned()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Connecting {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from(self.1).map_err(io::Error::other)?;
            Ok(Encrypted(TlsConnector::from(self.0).connect(name, stream).await?))
        })
    }
}

/// An encrypted connection.
pub(super) struct Encrypted<S>(tokio_rustls::client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        c: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(c, into)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, c: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(c, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, c: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(c)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, c: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_encryption_is_taken_out_of_the_address() {
        let url =
            "postgres://u:p%40x@a,b:5433/d?connect_timeout=3&sslmode=verify-full&sslrootcert=%2Fetc%2Fca.pem";
        let (rest, options) = split(url);
        assert_eq!(rest, "postgres://u:p%40x@a,b:5433/d?connect_timeout=3");
        assert_eq!(options.root.as_deref(), Some("/etc/ca.pem"));
        assert_eq!(options.read(), Ok((SslMode::Require, Check::Name)));
        assert_eq!(split("postgres://a/d"), ("postgres://a/d".into(), TlsOptions::default()));
        assert_eq!(split("postgres://a/d?sslmode=disable").0, "postgres://a/d");
        let (rest, options) = split("postgres://u:wh?t@a/d?sslmode=require&sslrootcert=a+b");
        assert_eq!((&*rest, options.mode.as_deref()), ("postgres://u:wh?t@a/d", Some("require")));
        assert_eq!(options.root.as_deref(), Some("a+b"));
    }

    #[test]
    fn modes_mean_what_they_mean_to_libpq() {
        let read = |query: &str| split(&format!("postgres://a/d?{query}")).1.read();
        assert_eq!(read(""), Ok((SslMode::Prefer, Check::Nothing)));
        assert_eq!(read("sslmode=require"), Ok((SslMode::Require, Check::Nothing)));
        assert_eq!(read("sslmode=require&sslrootcert=x"), Ok((SslMode::Require, Check::Authority)));
        assert_eq!(read("sslmode=verify-ca&sslrootcert=x"), Ok((SslMode::Require, Check::Authority)));
        assert_eq!(read("sslrootcert=x"), Ok((SslMode::Require, Check::Name)));
        assert_eq!(read("sslrootcert=system"), Ok((SslMode::Require, Check::Name)));
        for weak in [
            "sslmode=verify-ca",
            "sslmode=require&sslrootcert=system",
            "sslmode=verify-ca&sslrootcert=system",
        ] {
            assert!(read(weak).unwrap_err().to_string().contains("public authority"), "{weak}");
        }
        let unknown = read("sslmode=allow").unwrap_err().to_string();
        assert!(unknown.contains("`allow`") && unknown.contains("verify-full"), "{unknown}");
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error =
            |query: &str| split(&format!("postgres://a/d?{query}")).1.connector().unwrap_err().to_string();
        assert!(
            error("sslmode=verify-full&sslrootcert=/nowhere.pem")
                .contains("sslrootcert cannot be used: /nowhere.pem")
        );
        assert!(error("sslmode=require&sslcert=/a.pem").contains("go together"));
    }
}
