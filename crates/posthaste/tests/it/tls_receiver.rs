//! A customer's server that asks whoever comes for a certificate (mutual TLS), with an authority of its own.

use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// The server, and everything that a client needs.
pub(crate) struct TlsReceiver {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
    /// The authority's certificate, in PEM.
    pub(crate) authority: String,
    /// A certificate of that authority for a client, in PEM.
    pub(crate) client_certificate: String,
    /// Its key, in PEM.
    pub(crate) client_key: String,
}

impl TlsReceiver {
    /// Binds a free port and starts to answer 200.
    pub(crate) async fn start() -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().expect("a key");
        let authority = parameters.self_signed(&authority_key).expect("a certificate");
        let issuer = Issuer::new(parameters, authority_key);
        let signed = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let parameters = CertificateParams::new([name.to_owned()]).expect("a name");
            (parameters.signed_by(&key, &issuer).expect("a certificate"), key)
        };
        let ((server, server_key), (client, client_key)) = (signed("127.0.0.1"), signed("client.test"));
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = verifier.build().expect("a verifier");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(verifier)
            .with_single_cert(vec![server.der().clone()], key)
            .expect("a certificate with its key");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let accepting = accept(listener, TlsAcceptor::from(Arc::new(config)), Arc::clone(&bodies));
        Self {
            address,
            bodies,
            accepting: TaskTracker::new().spawn(accepting).abort_handle(),
            authority: authority.pem(),
            client_certificate: client.pem(),
            client_key: client_key.serialize_pem(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// The bodies of the requests that came so far.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.bodies.lock().clone()
    }
}

impl Drop for TlsReceiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, bodies: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(answer(tcp, acceptor.clone(), Arc::clone(&bodies)));
    }
}

/// One request a connection: what is asked here needs no more of HTTP.
async fn answer(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    bodies: Arc<Mutex<Vec<String>>>,
) -> std::io::Result<()> {
    let mut stream = acceptor.accept(tcp).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&request).into_owned();
    bodies.lock().push(text.split("\r\n\r\n").nth(1).unwrap_or_default().to_owned());
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await?;
    stream.shutdown().await
}
