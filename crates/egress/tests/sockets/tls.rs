//! TLS: whom we believe, what we say when we do not, and who we are when asked.

use std::{net::SocketAddr, sync::Arc};

use egress::{Client, Doubt, Identity, Limits, SendError, Step, TlsOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer},
    server::WebPkiClientVerifier,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    client::{Scripted, failure, hurried, ok, policy, post},
    peer::{Peer, Receiver},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A certificate authority of the test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    fn root(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    fn issue(&self, name: &str) -> Identity {
        self.sign(CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        Identity { chain: vec![certificate.der().clone()], key }
    }
}

/// A receiver with this certificate, which asks for one by `clients` if given. It answers with 200 and hangs up when
/// the protocol or the server name is not what we promise.
async fn receiver(identity: Identity, clients: Option<CertificateDer<'static>>) -> Receiver {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(root) => {
            let mut roots = RootCertStore::empty();
            roots.add(root).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let mut config = builder.with_single_cert(identity.chain, identity.key).expect("a certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Receiver::start(move |peer| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(peer.stream).await else { return };
            let session = stream.get_ref().1;
            assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
            assert_eq!(session.server_name(), Some("hook.example"));
            let mut peer = Peer { stream, number: peer.number, requests: peer.requests };
            while peer.request().await && peer.say(OK).await {}
        }
    })
    .await
}

/// A client that finds `hook.example` at this address and believes `root`.
fn client(at: SocketAddr, root: Option<&Authority>, identity: Option<Identity>) -> Client {
    let resolver = Scripted::new([vec![at], vec![at], vec![at]]);
    let extra_roots = root.map(Authority::root).into_iter().collect();
    Client::new(policy(&["127.0.0.0/8"]), Limits::default(), resolver)
        .with_tls(TlsOptions { extra_roots, identity })
        .expect("good certificates")
}

/// What the client does not believe of the server's certificate.
async fn disbelief(client: &Client) -> String {
    match failure(client, post("https://hook.example/")).await {
        SendError::Certificate(text) => text,
        other => panic!("{other:?}"),
    }
}

async fn refusal(client: &Client) -> String {
    match failure(client, post("https://hook.example/")).await {
        SendError::Unreachable(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_believed_certificate_is_spoken_to_over_one_kept_connection() {
    let authority = Authority::new();
    let receiver = receiver(authority.issue("hook.example"), None).await;
    let client = client(receiver.address, Some(&authority), None);
    for url in ["https://hook.example/a", "https://hook.example/b"] {
        assert_eq!(ok(&client, url).await.status, 200);
    }
    assert_eq!(receiver.connections().await, 1);
    assert!(receiver.requests()[0].contains("\r\nhost: hook.example\r\n"), "{:?}", receiver.requests());
}

#[tokio::test]
async fn a_final_dot_is_no_part_of_the_name_in_tls() {
    let authority = Authority::new();
    let receiver = receiver(authority.issue("hook.example"), None).await;
    let client = client(receiver.address, Some(&authority), None);
    assert_eq!(ok(&client, "https://hook.example./").await.status, 200);
}

#[tokio::test]
async fn an_unknown_authority_another_name_and_an_old_certificate_are_told_apart() {
    let authority = Authority::new();
    let unknown = receiver(authority.issue("hook.example"), None).await;
    assert_eq!(
        disbelief(&client(unknown.address, None, None)).await,
        "the server's certificate is not from an authority that we know, or it sends no intermediate certificate \
         (hook.example)"
    );
    let other = receiver(authority.issue("other.example"), None).await;
    assert_eq!(
        disbelief(&client(other.address, Some(&authority), None)).await,
        "the server's certificate is for another name (hook.example)"
    );
    let mut params = CertificateParams::new(["hook.example".to_owned()]).expect("a name");
    params.not_after = date_time_ymd(2020, 1, 1);
    let old = receiver(authority.sign(params), None).await;
    assert_eq!(
        disbelief(&client(old.address, Some(&authority), None)).await,
        "the server's certificate has expired (hook.example)"
    );
}

#[tokio::test]
async fn a_look_knows_what_is_doubted_of_a_certificate() {
    let authority = Authority::new();
    let good = || CertificateParams::new(["hook.example".to_owned()]).expect("a name");
    let valid = |from: i32, to: i32| {
        let mut parameters = good();
        parameters.not_before = date_time_ymd(from, 1, 1);
        parameters.not_after = date_time_ymd(to, 1, 1);
        authority.sign(parameters)
    };
    let table = [
        (authority.issue("hook.example"), None, Doubt::Chain),
        (valid(2010, 2020), Some(&authority), Doubt::Expired(Some(1_577_836_800))),
        (valid(2100, 2101), Some(&authority), Doubt::NotYet(Some(4_102_444_800))),
        (authority.issue("other.example"), Some(&authority), Doubt::Name(vec!["other.example".to_owned()])),
        (authority.issue("10.0.0.1"), Some(&authority), Doubt::Name(vec!["10.0.0.1".to_owned()])),
    ];
    for (identity, root, expected) in table {
        let receiver = receiver(identity, None).await;
        let found = client(receiver.address, root, None).probe(post("https://hook.example/")).await;
        assert_eq!(found.doubt, Some(expected));
        assert_eq!(found.steps.last().map(|(step, _)| *step), Some(Step::Tls));
        assert_eq!(found.address, Some(receiver.address));
    }
    let receiver = receiver(authority.issue("hook.example"), None).await;
    let found = client(receiver.address, Some(&authority), None).probe(post("https://hook.example/")).await;
    assert_eq!(found.steps.last().map(|(step, _)| *step), Some(Step::Http));
    assert_eq!(
        (found.doubt, found.tls.expect("TLS").subject),
        (None, "CN=rcgen self signed cert".to_owned())
    );
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_told() {
    let plain = Receiver::start(|mut peer| async move {
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.hang().await;
    })
    .await;
    let expected = "the server does not speak TLS on this port (hook.example)";
    assert_eq!(refusal(&client(plain.address, None, None)).await, expected);
}

#[tokio::test]
async fn a_handshake_that_hangs_is_a_timeout() {
    let mute = Receiver::start(|mut peer| async move { peer.hang().await }).await;
    let failure = failure(&client(mute.address, None, None), hurried("https://hook.example/")).await;
    assert!(
        matches!(&failure, SendError::TimedOut(text) if text.ends_with(" while negotiating TLS")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_receiver_that_asks_gets_our_certificate_and_refuses_who_has_none() {
    let authority = Authority::new();
    let receiver = receiver(authority.issue("hook.example"), Some(authority.root())).await;
    let known = client(receiver.address, Some(&authority), Some(authority.issue("us.example")));
    assert_eq!(ok(&known, "https://hook.example/").await.status, 200);
    let text = refusal(&client(receiver.address, Some(&authority), None)).await;
    assert_eq!(text, "the server refused TLS (CertificateRequired)");
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_refused_at_once() {
    let plain = Client::new(policy(&[]), Limits::default(), Scripted::new([]));
    let junk = CertificateDer::from(vec![1, 2, 3]);
    let options = TlsOptions { extra_roots: vec![junk], identity: None };
    assert!(plain.with_tls(options).is_err());
    let (one, other) = (Authority::new().issue("a.example"), Authority::new().issue("a.example"));
    let mixed = Identity { chain: one.chain, key: other.key };
    let options = TlsOptions { extra_roots: Vec::new(), identity: Some(mixed) };
    assert!(plain.with_tls(options).is_err());
}
