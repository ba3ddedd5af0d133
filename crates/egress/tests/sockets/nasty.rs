//! Receivers that misbehave: each ends as a sentence, before the deadline, and without taking our memory.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use egress::{Client, Limits, SendError};
use tokio::time::Instant;

use crate::{
    client::{Mute, Scripted, client, failure, hurried, ok, policy, post},
    peer::Receiver,
};

const HEAD: &str = "HTTP/1.1 200 OK\r\n";

/// The failure of a request to a receiver that reads it, says these bytes and closes.
async fn after(response: &'static [u8]) -> SendError {
    let receiver = Receiver::start(move |mut peer| async move {
        peer.request().await;
        peer.say(response).await;
    })
    .await;
    failure(&client(), post(&receiver.url("/"))).await
}

/// The failure of a hurried request to a receiver that says these bytes and then nothing.
async fn stalled_after(response: &'static str) -> SendError {
    let receiver = Receiver::start(move |mut peer| async move {
        peer.request().await;
        peer.say(response).await;
        peer.hang().await;
    })
    .await;
    let started = Instant::now();
    let failure = failure(&client(), hurried(&receiver.url("/"))).await;
    assert!(started.elapsed() < Duration::from_secs(5), "the deadline held nothing");
    failure
}

/// What comes of a receiver that repeats these bytes for ever, and how many of them it got rid of.
async fn flooded(head: &'static str, bytes: &'static [u8]) -> (Result<(u16, bool), SendError>, usize) {
    let (sent, total) = tokio::sync::oneshot::channel();
    let sent = Arc::new(Mutex::new(Some(sent)));
    let receiver = Receiver::start(move |mut peer| {
        let sent = sent.lock().expect("unpoisoned").take();
        async move {
            peer.request().await;
            peer.say(head).await;
            let total = peer.say_for_ever(bytes).await;
            sent.map(|sent| sent.send(total));
        }
    })
    .await;
    let sent = client().send(post(&receiver.url("/")), &|| true).await;
    let total = tokio::time::timeout(Duration::from_secs(5), total).await.expect("the connection was closed");
    (sent.map(|response| (response.status, response.truncated)), total.expect("a number"))
}

fn unreachable(text: &str) -> SendError {
    SendError::Unreachable(text.to_owned())
}

/// What a request was doing when its deadline passed.
fn phase(failure: SendError) -> String {
    match failure {
        SendError::TimedOut(text) if text.starts_with("timed out after 0.") => {
            text.split_once(" while ").expect("a phase").1.to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let expected = format!("the connection was refused ({address})");
    let failure = failure(&client(), post(&format!("http://{address}/"))).await;
    assert_eq!(failure, SendError::Unreachable(expected));
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let dead = ([127, 0, 0, 9], receiver.address.port()).into();
    let resolver = Scripted::new([vec![dead, receiver.address]]);
    let client = Client::new(policy(&["127.0.0.0/8"]), Limits::default(), resolver);
    assert_eq!(ok(&client, "http://two.example/").await.status, 200);
}

#[tokio::test]
async fn a_name_that_does_not_exist_or_never_resolves() {
    let missing = Client::new(policy(&[]), Limits::default(), Scripted::new([]));
    let expected = "the host name gone.example cannot be resolved";
    assert_eq!(failure(&missing, post("http://gone.example/")).await, unreachable(expected));
    let mute = Client::new(policy(&[]), Limits::default(), Arc::new(Mute));
    let failure = failure(&mute, hurried("http://slow.example/")).await;
    assert_eq!(phase(failure), "resolving the host name");
}

#[tokio::test]
async fn a_stall_is_told_by_its_phase() {
    assert_eq!(phase(stalled_after("").await), "waiting for the response");
    assert_eq!(phase(stalled_after("HTTP/1.1 200 OK\r\nx-a").await), "waiting for the response");
    assert_eq!(phase(stalled_after("HTTP/1.1 100 Continue\r\n\r\n").await), "waiting for the response");
    let body = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    assert_eq!(phase(stalled_after(body).await), "reading the response's body");
    let chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab";
    assert_eq!(phase(stalled_after(chunk).await), "reading the response's body");
}

#[tokio::test]
async fn a_drip_does_not_move_the_deadline() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n").await;
        while peer.say("x").await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let failure = failure(&client(), hurried(&receiver.url("/"))).await;
    assert_eq!(phase(failure), "reading the response's body");
}

#[tokio::test]
async fn a_connection_closed_or_cut_short() {
    let closed = unreachable("the server closed the connection before its response was complete");
    assert_eq!(after(b"").await, closed);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ncontent-le").await, closed);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await, closed);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf").await, closed);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_the_body() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        peer.stream.set_zero_linger().expect("a socket option");
    })
    .await;
    let failure = failure(&client(), post(&receiver.url("/"))).await;
    assert_eq!(failure, unreachable("the server reset the connection"));
}

#[tokio::test]
async fn junk_instead_of_http() {
    let junk = unreachable("what the server answered is not HTTP/1.1");
    assert_eq!(after(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await, junk);
    assert_eq!(after(b"\x15\x03\x03\0\x02\x02\x46").await, junk);
    assert_eq!(after(b"<html>hello</html>\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/1.1 two hundred\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/2.0 200 OK\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n").await, junk);
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab").await, junk);
    let malformed = unreachable("the response's body is malformed");
    assert_eq!(after(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n").await, malformed);
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for() {
    let switch = b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
    let expected = "the server answered 101 to a request that asked for no other protocol";
    assert_eq!(after(switch).await, unreachable(expected));
}

#[tokio::test]
async fn endless_headers_are_stopped_by_their_number_and_size() {
    let expected = unreachable("the response's headers are too many or too long");
    let (many, sent) = flooded(HEAD, b"a: b\r\n").await;
    assert_eq!(many, Err(expected.clone()));
    assert!(sent < 8_000_000, "{sent}");
    let (long, sent) =
        flooded(HEAD, b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!(long, Err(expected));
    assert!(sent < 8_000_000, "{sent}");
}

#[tokio::test]
async fn headers_have_thirty_two_kilobytes_and_a_hundred_lines() {
    let outcome = async |header_bytes: usize, lines: usize| {
        let filler = format!("a: {}\r\n", "b".repeat(header_bytes));
        let response = format!("{HEAD}content-length: 0\r\n{filler}{}\r\n", "c: d\r\n".repeat(lines));
        let receiver = Receiver::start(move |mut peer| {
            let response = response.clone();
            async move {
                peer.request().await;
                peer.say(response).await;
                peer.hang().await;
            }
        })
        .await;
        client().send(post(&receiver.url("/")), &|| true).await.map(|response| response.status)
    };
    assert_eq!(outcome(30_000, 0).await, Ok(200));
    assert_eq!(outcome(10, 98).await, Ok(200));
    let expected = unreachable("the response's headers are too many or too long");
    assert_eq!(outcome(34_000, 0).await, Err(expected.clone()));
    assert_eq!(outcome(10, 99).await, Err(expected));
}

#[tokio::test]
async fn endless_interim_responses_are_stopped_by_their_size() {
    let (failure, sent) = flooded("", b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
    let expected = "the server sent more than 589824 bytes in answer to one request";
    assert_eq!(failure, Err(unreachable(expected)));
    assert!(sent < 8_000_000, "{sent}");
}

#[tokio::test]
async fn an_endless_body_is_cut_and_counts_by_its_status() {
    let (response, sent) = flooded("HTTP/1.1 200 OK\r\n\r\n", b"x").await;
    assert_eq!(response, Ok((200, true)));
    assert!(sent < 8_000_000, "{sent}");
    let chunked = "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\ncontent-encoding: gzip\r\n\r\n";
    let (response, sent) = flooded(chunked, b"4\r\nabcd\r\n").await;
    assert_eq!(response, Ok((500, true)));
    assert!(sent < 8_000_000, "{sent}");
    let (response, _) = flooded("HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n", b"x").await;
    assert_eq!(response, Ok((200, true)));
}

#[tokio::test]
async fn endless_framing_around_no_body_is_stopped() {
    let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let (extensions, sent) = flooded(head, b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n").await;
    assert!(matches!(extensions, Err(SendError::Unreachable(_))), "{extensions:?}");
    assert!(sent < 8_000_000, "{sent}");
    let (trailers, sent) =
        flooded("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n").await;
    assert!(matches!(trailers, Err(SendError::Unreachable(_))), "{trailers:?}");
    assert!(sent < 8_000_000, "{sent}");
}

#[tokio::test]
async fn an_answer_given_before_the_request_was_read_counts() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.say("HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        peer.hang().await;
    })
    .await;
    let mut request = post(&receiver.url("/"));
    request.body = vec![b'x'; 8_000_000].into();
    let response = client().send(request, &|| true).await;
    assert_eq!(response.map(|response| response.status), Ok(413));
}
