//! A look tells how far it came, and what each step of it found.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use egress::{Client, Limits, Probed, SendError, Step};
use tokio::time::Instant;

use crate::{
    client::{Mute, Scripted, client, hurried, policy, post},
    peer::Receiver,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn steps(probed: &Probed) -> Vec<Step> {
    probed.steps.iter().map(|(step, _)| *step).collect()
}

/// A client whose resolver answers this once.
fn resolving(addresses: &[SocketAddr]) -> Client {
    Client::new(policy(&["127.0.0.1/32"]), Limits::default(), Scripted::new([addresses.to_vec()]))
}

#[tokio::test]
async fn each_step_is_told_with_what_it_found() {
    let receiver = Receiver::answering(OK).await;
    let closed = SocketAddr::from(([127, 0, 0, 1], deserted_port().await));
    let began = Instant::now();
    let found = resolving(&[closed, receiver.address]).probe(post("http://hook.example/")).await;
    let took: Duration = found.steps.iter().map(|(_, took)| *took).sum();
    assert_eq!(found.outcome.as_ref().map(|answer| answer.status), Ok(200));
    assert_eq!(steps(&found), [Step::Dns, Step::Policy, Step::Tcp, Step::Http]);
    assert_eq!((found.addresses, found.address), (vec![closed, receiver.address], Some(receiver.address)));
    assert!(took > Duration::ZERO && took <= began.elapsed(), "{took:?}");
}

#[tokio::test]
async fn an_address_needs_no_lookup() {
    let receiver = Receiver::answering(OK).await;
    let found = client().probe(post(&receiver.url("/"))).await;
    assert_eq!(steps(&found), [Step::Policy, Step::Tcp, Step::Http]);
    assert_eq!(found.addresses, [receiver.address]);
}

#[tokio::test]
async fn a_look_ends_with_the_step_that_failed() {
    let silent = Receiver::start(|mut peer| async move { peer.hang().await }).await;
    let closed = SocketAddr::from(([127, 0, 0, 1], deserted_port().await));
    let inside: SocketAddr = "10.0.0.1:80".parse().expect("an address");
    let mute = Client::new(policy(&[]), Limits::default(), Arc::new(Mute));
    let table = [
        (resolving(&[]).probe(post("http://hook.example/")).await, vec![Step::Dns]),
        (mute.probe(hurried("http://hook.example/")).await, vec![Step::Dns]),
        (resolving(&[]).probe(post("ftp://hook.example/")).await, vec![Step::Policy]),
        (resolving(&[inside]).probe(post("http://hook.example/")).await, vec![Step::Dns, Step::Policy]),
        (
            resolving(&[closed]).probe(post("http://hook.example/")).await,
            vec![Step::Dns, Step::Policy, Step::Tcp],
        ),
        (client().probe(hurried(&silent.url("/"))).await, vec![Step::Policy, Step::Tcp, Step::Http]),
    ];
    for (found, expected) in table {
        assert_eq!(steps(&found), expected, "{:?}", found.outcome);
        assert!(found.outcome.is_err());
        assert_eq!(found.address.is_some(), expected.contains(&Step::Http));
    }
    let found = resolving(&[inside]).probe(post("http://hook.example/")).await;
    assert_eq!(found.addresses, [inside]);
    assert!(matches!(found.outcome, Err(SendError::Blocked(_))));
}

/// A port of 127.0.0.1 at which nobody listens any more.
async fn deserted_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("bound").port()
}
