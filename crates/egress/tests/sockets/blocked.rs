//! The address that is connected to is the one that was checked.

use std::{net::SocketAddr, sync::Arc};

use egress::{Client, Limits, Policy, SendError, SystemResolver};

use crate::{
    client::{Scripted, failure, ok, policy, post},
    peer::Receiver,
};

const CLOSING: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn scripted(policy: Policy, resolver: &Arc<Scripted>) -> Client {
    Client::new(policy, Limits::default(), Arc::clone(resolver) as Arc<_>)
}

fn text(failure: SendError) -> String {
    match failure {
        SendError::Blocked(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_name_that_turns_inward_is_refused_and_was_asked_once_for_each_connection() {
    let receiver = Receiver::answering(CLOSING).await;
    let inside = Receiver::answering(CLOSING).await;
    // Only the first receiver's side of loopback is opened: the other stands for the inside.
    let rebound = SocketAddr::from(([127, 0, 0, 2], inside.address.port()));
    let resolver = Scripted::new([vec![receiver.address], vec![rebound], vec![receiver.address]]);
    let client = scripted(policy(&["127.0.0.1/32"]), &resolver);

    assert_eq!(ok(&client, "http://turncoat.example/").await.status, 200);
    let refusal = text(failure(&client, post("http://turncoat.example/")).await);
    assert!(
        refusal.starts_with("turncoat.example resolves to 127.0.0.2: 127.0.0.2 is a loopback address"),
        "{refusal}"
    );
    assert_eq!(resolver.questions(), ["turncoat.example", "turncoat.example"]);
    assert_eq!((receiver.connections().await, inside.connections().await), (1, 0));
}

#[tokio::test]
async fn an_answer_with_one_forbidden_address_is_refused_whole() {
    let receiver = Receiver::answering(CLOSING).await;
    for forbidden in [
        "10.0.0.1:80",
        "127.0.0.2:80",
        "169.254.169.254:80",
        "[::1]:80",
        "[::ffff:127.0.0.1]:80",
        "[64:ff9b::7f00:1]:80",
        "[fe80::1%3]:80",
        "[2a00:1450:4001::1%3]:80",
    ] {
        let answers =
            [vec![receiver.address, address(forbidden)], vec![address(forbidden), receiver.address]];
        let resolver = Scripted::new(answers);
        let client = scripted(policy(&["127.0.0.1/32"]), &resolver);
        for _ in 0..2 {
            text(failure(&client, post("http://mixed.example/")).await);
        }
    }
    assert_eq!(receiver.connections().await, 0);
}

#[tokio::test]
async fn a_literal_takes_the_same_check_and_asks_no_resolver() {
    let resolver = Scripted::new([]);
    let client = scripted(policy(&[]), &resolver);
    for url in [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://169.254.169.254/",
        "http://10.0.0.1:8080/",
        "http://0.0.0.0/",
    ] {
        text(failure(&client, post(url)).await);
    }
    assert_eq!(resolver.questions(), Vec::<String>::new());
}

#[tokio::test]
async fn odd_spellings_that_the_system_understands_are_refused_by_what_they_mean() {
    let client = Client::new(policy(&[]), Limits::default(), Arc::new(SystemResolver::new()));
    for url in ["http://localhost/", "http://2130706433/", "http://0x7f.1/", "http://127.1/", "http://0/"] {
        text(failure(&client, post(url)).await);
    }
}

#[tokio::test]
async fn metadata_is_refused_by_name_also_where_everything_is_open() {
    let resolver = Scripted::new([vec![address("169.254.169.254:80")]]);
    let client = scripted(policy(&["0.0.0.0/0", "::/0"]), &resolver);
    let refusal = text(failure(&client, post("http://harmless.example/")).await);
    assert!(refusal.contains("metadata"), "{refusal}");
}

#[tokio::test]
async fn plain_http_to_a_public_address_is_refused_where_only_https_is_sent() {
    let receiver = Receiver::answering(CLOSING).await;
    let opened = vec!["127.0.0.1/32".parse().expect("a subnet")];
    let resolver = Scripted::new([vec![address("8.8.8.8:80")], vec![receiver.address]]);
    let client = scripted(Policy::new(opened, true), &resolver);
    let refusal = text(failure(&client, post("http://public.example/")).await);
    assert!(refusal.contains("https"), "{refusal}");
    assert_eq!(ok(&client, "http://intranet.example/").await.status, 200);
}

#[tokio::test]
async fn what_is_no_plain_web_address_is_refused() {
    let client = scripted(policy(&["127.0.0.0/8"]), &Scripted::new([]));
    for url in ["ftp://127.0.0.1/", "http://user:secret@127.0.0.1/", "/path", "127.0.0.1:80"] {
        let refusal = text(failure(&client, post(url)).await);
        assert!(!refusal.contains("secret"), "{refusal}");
    }
}
