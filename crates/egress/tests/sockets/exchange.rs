//! Receivers that behave: what goes out, and what comes back.

use egress::{Limits, Request};
use http::{HeaderMap, HeaderValue, header};

use crate::{
    client::{client, client_with, ok, post, send},
    peer::Receiver,
};

#[tokio::test]
async fn a_request_goes_out_as_given_under_its_own_host() {
    let receiver = Receiver::answering("HTTP/1.1 204 No Content\r\n\r\n").await;
    let mut request = post(&receiver.url("/hook/%20?a=1&b"));
    request.headers.insert("webhook-id", HeaderValue::from_static("msg_1"));
    request.headers.insert(header::HOST, HeaderValue::from_static("elsewhere.example"));
    request.body = "{\"big\": 12345678901234567890}".into();

    assert_eq!(send(&client(), request).await.expect("a response").status, 204);
    let expected = format!(
        "POST /hook/%20?a=1&b HTTP/1.1\r\nwebhook-id: msg_1\r\nhost: {}\r\ncontent-length: 29\r\n\r\n{}",
        receiver.address, "{\"big\": 12345678901234567890}"
    );
    assert_eq!(receiver.requests(), [expected]);
}

#[tokio::test]
async fn framing_headers_from_outside_are_replaced_by_ours() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-length", "0"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let request = Request { headers, ..post(&receiver.url("")) };
    send(&client(), request).await.expect("a response");
    let expected = format!("POST / HTTP/1.1\r\nhost: {}\r\ncontent-length: 2\r\n\r\n{{}}", receiver.address);
    assert_eq!(receiver.requests(), [expected]);
}

#[tokio::test]
async fn status_headers_and_body_come_back() {
    let receiver = Receiver::answering(
        "HTTP/1.1 503 Oh no\r\nRetry-After: 7\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\nlater",
    )
    .await;
    let response = ok(&client(), &receiver.url("/")).await;
    assert_eq!((response.status, &response.body[..], response.truncated), (503, &b"later"[..], false));
    assert_eq!(response.headers["retry-after"], "7");
    assert_eq!(response.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inside = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let location = inside.url("/secret");
    let receiver = Receiver::start(move |mut peer| {
        let response = format!("HTTP/1.1 307 Go\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
        async move { while peer.request().await && peer.say(&response).await {} }
    })
    .await;
    assert_eq!(ok(&client(), &receiver.url("/")).await.status, 307);
    assert_eq!((receiver.connections().await, inside.connections().await), (1, 0));
}

#[tokio::test]
async fn interim_responses_are_passed_over() {
    let receiver = Receiver::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let response = ok(&client(), &receiver.url("/")).await;
    assert_eq!((response.status, &response.body[..]), (200, &b"ok"[..]));
}

#[tokio::test]
async fn chunked_and_unframed_bodies_are_read_to_their_end() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n3;x=y\r\ncde\r\n0\r\nt: 1\r\n\r\n";
    let unframed = "HTTP/1.0 200 OK\r\n\r\nabcde";
    for response in [chunked, unframed] {
        let receiver = Receiver::start(move |mut peer| async move {
            peer.request().await;
            peer.say(response).await;
        })
        .await;
        assert_eq!(&ok(&client(), &receiver.url("/")).await.body[..], b"abcde");
    }
}

#[tokio::test]
async fn nothing_is_decompressed() {
    // A gzip member of no content; what matters is that its bytes come through.
    const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0";
    let receiver = Receiver::start(|mut peer| async move {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n").await;
        peer.say(GZIP).await;
    })
    .await;
    assert_eq!(&ok(&client(), &receiver.url("/")).await.body[..], GZIP);
    assert!(!receiver.requests()[0].contains("accept-encoding"));
}

#[tokio::test]
async fn a_body_is_cut_at_the_limit_and_still_counts() {
    let limits = Limits { response_bytes_max: 10, ..Limits::default() };
    for (length, cut) in [(9, false), (10, false), (11, true), (100_000, true)] {
        let receiver = Receiver::start(move |mut peer| async move {
            peer.request().await;
            peer.say(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n")).await;
            peer.say("x".repeat(length)).await;
            peer.hang().await;
        })
        .await;
        let response = ok(&client_with(limits), &receiver.url("/")).await;
        assert_eq!((response.status, response.truncated), (200, cut), "{length}");
        assert_eq!(response.body.len(), length.min(10), "{length}");
    }
}

#[tokio::test]
async fn a_body_of_two_megabytes_arrives_whole() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let body = "0123456789abcdef".repeat(131_072);
    let request = Request { body: body.clone().into(), ..post(&receiver.url("/")) };
    send(&client(), request).await.expect("a response");
    assert!(receiver.requests()[0].ends_with(&body));
}

#[tokio::test]
async fn a_request_can_be_sent_from_a_task_of_its_own() {
    let receiver = Receiver::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (client, request) = (client(), post(&receiver.url("/")));
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { client.send(request, &|| true).await.map(|response| response.status) });
    assert_eq!(tasks.join_all().await, [Ok(200)]);
}
