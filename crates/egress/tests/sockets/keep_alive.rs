//! Kept connections: used again, and replaced once when they turn out to be dead.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use egress::{Client, Limits, SendError};

use crate::{
    client::{client, client_with, failure, hurried, ok, post},
    peer::{Peer, Receiver},
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Answers the first request of a connection and reads a second one. False when there was none.
async fn answer_once(peer: &mut Peer) -> bool {
    peer.request().await && peer.say(OK).await && peer.request().await
}

#[tokio::test]
async fn one_connection_serves_one_request_after_another() {
    let receiver = Receiver::answering(OK).await;
    let client = client();
    for _ in 0..20 {
        assert_eq!(&ok(&client, &receiver.url("/")).await.body[..], b"ok");
    }
    assert_eq!((receiver.connections().await, receiver.requests().len()), (1, 20));
}

#[tokio::test]
async fn requests_at_one_time_have_a_connection_each_and_all_are_kept() {
    let receiver = Receiver::answering(OK).await;
    let (client, url) = (client(), receiver.url("/"));
    for _ in 0..3 {
        tokio::join!(ok(&client, &url), ok(&client, &url), ok(&client, &url));
    }
    assert_eq!(receiver.connections().await, 3);
}

#[tokio::test]
async fn a_connection_that_the_receiver_closed_while_idle_is_replaced_before_anything_is_sent() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.say(OK).await;
    })
    .await;
    let client = client();
    ok(&client, &receiver.url("/")).await;
    // The close must have arrived here, or this would be the next test.
    tokio::time::sleep(Duration::from_millis(50)).await;
    ok(&client, &receiver.url("/")).await;
    assert_eq!((receiver.connections().await, receiver.requests().len()), (2, 2));
}

#[tokio::test]
async fn a_kept_connection_that_breaks_before_any_response_is_replaced_once() {
    let receiver = Receiver::start(|mut peer| async move {
        if !answer_once(&mut peer).await {
            return;
        }
        if peer.number > 1 {
            peer.say(OK).await;
        }
    })
    .await;
    let client = client();
    ok(&client, &receiver.url("/first")).await;
    assert_eq!(ok(&client, &receiver.url("/second")).await.status, 200);
    let requests = receiver.requests();
    let paths: Vec<_> = requests.iter().filter_map(|text| text.split(' ').nth(1)).collect();
    assert_eq!((receiver.connections().await, paths), (2, vec!["/first", "/second", "/second"]));
}

#[tokio::test]
async fn the_replacement_is_not_replaced_again() {
    let receiver = Receiver::start(|mut peer| async move {
        if peer.number == 1 {
            answer_once(&mut peer).await;
        } else {
            peer.request().await;
        }
    })
    .await;
    let client = client();
    ok(&client, &receiver.url("/")).await;
    let expected = "the server closed the connection before its response was complete";
    assert_eq!(failure(&client, post(&receiver.url("/"))).await, SendError::Unreachable(expected.to_owned()));
    assert_eq!((receiver.connections().await, receiver.requests().len()), (2, 3));
}

#[tokio::test]
async fn a_fresh_connection_that_breaks_is_a_failure_at_once() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
    })
    .await;
    failure(&client(), post(&receiver.url("/"))).await;
    assert_eq!((receiver.connections().await, receiver.requests().len()), (1, 1));
}

#[tokio::test]
async fn a_kept_connection_that_had_begun_to_answer_is_not_retried() {
    let receiver = Receiver::start(|mut peer| async move {
        answer_once(&mut peer).await;
        peer.say("HTTP/1.1 20").await;
    })
    .await;
    let client = client();
    ok(&client, &receiver.url("/")).await;
    failure(&client, post(&receiver.url("/"))).await;
    assert_eq!((receiver.connections().await, receiver.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_request_that_is_not_allowed_is_not_even_connected_for() {
    let receiver = Receiver::answering(OK).await;
    let sent = client().send(post(&receiver.url("/")), &|| false).await;
    assert_eq!(sent.map(|response| response.status), Err(SendError::NotAllowed));
    assert_eq!(receiver.connections().await, 0);
}

#[tokio::test]
async fn a_request_that_is_no_longer_allowed_is_not_tried_a_second_time() {
    let receiver = Receiver::start(|mut peer| async move {
        answer_once(&mut peer).await;
    })
    .await;
    let client = client();
    ok(&client, &receiver.url("/")).await;
    let asked = AtomicUsize::new(0);
    let sent = client.send(post(&receiver.url("/")), &|| asked.fetch_add(1, Ordering::SeqCst) == 0).await;
    assert_eq!(sent.map(|response| response.status), Err(SendError::NotAllowed));
    assert_eq!((receiver.connections().await, receiver.requests().len()), (1, 2));
}

#[tokio::test]
async fn a_request_that_is_no_longer_allowed_once_connected_is_not_written() {
    let receiver = Receiver::answering(OK).await;
    let asked = AtomicUsize::new(0);
    let sent = client().send(post(&receiver.url("/")), &|| asked.fetch_add(1, Ordering::SeqCst) == 0).await;
    assert_eq!(sent.map(|response| response.status), Err(SendError::NotAllowed));
    assert_eq!((receiver.connections().await, receiver.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_response_that_nobody_asked_for_is_never_taken_for_the_next_one() {
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.say(OK).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        peer.say("HTTP/1.1 299 Forged\r\ncontent-length: 0\r\n\r\n").await;
        peer.hang().await;
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(ok(&client, &receiver.url("/")).await.status, 200);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert_eq!((receiver.connections().await, receiver.requests().len()), (3, 3));
}

#[tokio::test]
async fn a_connection_that_is_not_clean_is_not_used_again() {
    let limits = Limits { response_bytes_max: 5, ..Limits::default() };
    for response in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ncut at",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nand something unasked",
    ] {
        let receiver = Receiver::answering(response).await;
        let client = client_with(limits);
        ok(&client, &receiver.url("/")).await;
        ok(&client, &receiver.url("/")).await;
        assert_eq!(receiver.connections().await, 2, "{response}");
    }
}

#[tokio::test]
async fn a_connection_that_timed_out_is_not_used_again() {
    let receiver = Receiver::start(|mut peer| async move {
        if peer.number == 1 {
            peer.hang().await;
        } else {
            answer_once(&mut peer).await;
        }
    })
    .await;
    let client = client();
    failure(&client, hurried(&receiver.url("/"))).await;
    assert_eq!(ok(&client, &receiver.url("/")).await.status, 200);
    assert_eq!(receiver.connections().await, 2);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_the_limits_say() {
    let none = Limits { idle_per_host_max: 0, ..Limits::default() };
    let total = Limits { idle_total_max: 0, ..Limits::default() };
    let idle = Limits { idle_timeout: Duration::ZERO, ..Limits::default() };
    let aged = Limits { connection_age_max: Duration::ZERO, ..Limits::default() };
    for limits in [none, total, idle, aged] {
        let receiver = Receiver::answering(OK).await;
        let client = client_with(limits);
        ok(&client, &receiver.url("/")).await;
        ok(&client, &receiver.url("/")).await;
        assert_eq!(receiver.connections().await, 2, "{limits:?}");
    }
}

/// Waits until this side has closed the connection over which `response` was given.
async fn closed_after(response: &'static str, client: Client, then: impl Fn(&Client)) {
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let closed = Mutex::new(Some(closed));
    let receiver = Receiver::start(move |mut peer| {
        let closed = closed.lock().expect("unpoisoned").take();
        async move {
            peer.request().await;
            peer.say(response).await;
            peer.hang().await;
            closed.map(|closed| closed.send(()));
        }
    })
    .await;
    ok(&client, &receiver.url("/")).await;
    then(&client);
    tokio::time::timeout(Duration::from_secs(5), is_closed).await.expect("closed").expect("the script ended");
}

#[tokio::test]
async fn idle_connections_are_closed_when_the_owner_asks() {
    let client = client_with(Limits { idle_timeout: Duration::ZERO, ..Limits::default() });
    closed_after(OK, client, Client::close_idle).await;
}

#[tokio::test]
async fn a_connection_that_the_receiver_gives_up_is_closed_at_once() {
    closed_after("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", client(), |_| ()).await;
}
