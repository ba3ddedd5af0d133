//! The receiver and the client against each other, over real sockets.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::json;
use testkit::{Answer, ClientError, HttpClient, Receiver, Then};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_request_is_recorded_whole_and_answered_from_the_script() {
    let receiver = Receiver::start().await;
    receiver.answer("/hook", Answer::status(503).header("retry-after", "7").body("busy"));
    let client = HttpClient::new(receiver.url(""));

    let headers = [("webhook-id", "msg_1")];
    let first = client.send(Method::POST, "/hook?a=1", &headers, "{ \"n\": 1 }").await.expect("an answer");
    assert_eq!((first.status, &first.body[..]), (503, &b"busy"[..]));
    assert_eq!(first.headers["retry-after"], "7");
    let second = client.post("/hook", "token", &json!({"n": 2})).await;
    assert_eq!(second, (200, serde_json::Value::Null));

    let requests = receiver.wait_for(2, SOON).await;
    assert_eq!((requests[0].target.as_str(), &requests[0].body[..]), ("/hook?a=1", &b"{ \"n\": 1 }"[..]));
    assert_eq!(requests[0].header("webhook-id"), "msg_1");
    assert_eq!(requests[1].header("authorization"), "Bearer token");
    assert_eq!(requests[1].json(), json!({"n": 2}));
    assert_eq!((requests[0].connection, requests[1].connection), (1, 1), "keep-alive");
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn queued_answers_of_a_path_come_before_its_standing_one() {
    let receiver = Receiver::start().await;
    receiver.answer_otherwise(Answer::status(404));
    receiver.answer_always("/a", Answer::status(201));
    receiver.answer("/a", Answer::status(500));
    receiver.answer("/a", Answer::status(502));
    let client = HttpClient::new(receiver.url(""));
    let mut statuses = Vec::new();
    for path in ["/a", "/a", "/a", "/b", "/a?x=y"] {
        statuses.push(client.get(path, "").await.0);
    }
    assert_eq!(statuses, [500, 502, 201, 404, 201]);
    assert_eq!(receiver.wait_for_path("/b", 1, SOON).await.len(), 1);
}

#[tokio::test]
async fn a_hanging_answer_holds_the_connection_until_the_client_leaves() {
    let receiver = Receiver::start().await;
    receiver.answer_otherwise(Answer::hang());
    let client = HttpClient::new(receiver.url(""));
    let waiting = tokio_util::task::TaskTracker::new().spawn(async move { client.get("/", "").await });
    receiver.wait_for(1, SOON).await;
    assert_eq!(receiver.open_connections(), 1);
    waiting.abort();
    receiver.wait_for_no_connection(SOON).await;
}

#[tokio::test]
async fn a_reset_reaches_the_client_as_a_broken_connection() {
    let receiver = Receiver::start().await;
    receiver.answer("/at-once", Answer::reset());
    let partial = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    receiver.answer("/in-the-body", Answer::raw(partial, Then::Reset));
    let client = HttpClient::new(receiver.url(""));
    let at_once = client.send(Method::GET, "/at-once", &[], "").await;
    assert!(matches!(at_once, Err(ClientError::NoAnswer(_))), "{at_once:?}");
    let in_the_body = client.send(Method::GET, "/in-the-body", &[], "").await;
    assert!(in_the_body.is_err(), "{in_the_body:?}");
}

#[tokio::test]
async fn raw_bytes_reach_the_client_as_they_are() {
    let receiver = Receiver::start().await;
    let bytes = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 299 Odd\r\ncontent-length: 2\r\n\r\nok";
    receiver.answer("/", Answer::raw(bytes, Then::Close));
    receiver.answer("/", Answer::raw("nonsense\r\n\r\n", Then::Close));
    let client = HttpClient::new(receiver.url(""));
    let odd = client.send(Method::GET, "/", &[], "").await.expect("an answer after the 103");
    assert_eq!((odd.status, &odd.body[..]), (299, &b"ok"[..]));
    let junk = client.send(Method::GET, "/", &[], "").await;
    assert!(matches!(junk, Err(ClientError::NoAnswer(_))), "{junk:?}");
}

#[tokio::test]
async fn a_dripping_answer_takes_its_time_and_a_repeating_one_goes_on() {
    let receiver = Receiver::start().await;
    let every = Duration::from_millis(1);
    let drip = Then::Drip { every };
    receiver.answer(
        "/drip",
        Answer::raw("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", drip),
    );
    let repeat = Then::Repeat { chunk: "y".into(), every: Duration::ZERO };
    receiver.answer("/repeat", Answer::raw("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n", repeat));
    let client = HttpClient::new(receiver.url(""));
    let begin = Instant::now();
    assert_eq!(&client.send(Method::GET, "/drip", &[], "").await.expect("slowly").body[..], b"x");
    assert!(begin.elapsed() >= every * 58, "a pause before each of 58 bytes and more");
    let long = client.send(Method::GET, "/repeat", &[], "").await.expect("as long as declared");
    assert_eq!(long.body.len(), 5_000);
}

#[tokio::test]
#[should_panic(expected = "waited 20ms for 2 requests, but 1 came:")]
async fn waiting_in_vain_panics_with_what_came() {
    let receiver = Receiver::start().await;
    HttpClient::new(receiver.url("")).get("/only", "").await;
    receiver.wait_for(2, Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_dropped_receiver_takes_its_port_and_connections_along() {
    let receiver = Receiver::start().await;
    let client = HttpClient::new(receiver.url(""));
    assert_eq!(client.get("/", "").await.0, 200);
    drop(receiver);
    tokio::task::yield_now().await;
    assert!(client.send(Method::GET, "/", &[], "").await.is_err());
}
