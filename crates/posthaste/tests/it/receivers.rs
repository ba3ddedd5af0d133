//! Receivers that misbehave: each attempt is recorded once, with a text that a customer understands, and takes no
//! memory.

use crate::binary::{posthaste, run};
use crate::server::{START, Store, WITHIN, World, eventually, text};
use bytes::Bytes;
use domain::limit::RESPONSE_STORED_BYTES_MAX;
use domain::retry::Schedule;
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;
use testkit::{Answer, HttpClient, Process, Received, Then, gzip_bomb, reset_rss_peak, rss_peak};

/// What a process may grow by while fifty floods run over it: what its limits allow, and room for the allocator.
const GROWTH_BYTES_MAX: u64 = 64 * 1024 * 1024;

fn head(rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{rest}")
}

fn endless(begin: &str, chunk: &str) -> Answer {
    let chunk = Bytes::from(chunk.repeat(64).into_bytes());
    Answer::raw(begin.to_owned(), Then::Repeat { chunk, every: Duration::ZERO })
}

/// Every receiver of this file by its path.
fn receivers() -> Vec<(&'static str, Answer)> {
    let drip = Then::Drip { every: Duration::from_secs(1) };
    let body = "x".repeat(20_000);
    let bomb = Answer::status(200).header("content-encoding", "gzip").body(gzip_bomb(50_000_000));
    let upgrade = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    // What a TLS server says to plain HTTP: an alert, "unexpected message".
    let alert: &'static [u8] = &[0x15, 3, 1, 0, 2, 2, 10];
    vec![
        ("/silent", Answer::hang()),
        ("/drip", Answer::raw(head("content-length: 0\r\n\r\n"), drip.clone())),
        (
            "/drip-body",
            Answer::raw(
                head("content-length: 9000\r\n\r\n"),
                Then::Repeat { chunk: Bytes::from_static(b"x"), every: Duration::from_secs(1) },
            ),
        ),
        ("/endless-headers", endless(&head(""), "x-more: and more\r\n")),
        ("/endless-1xx", endless("", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")),
        ("/endless-body", endless(&head("connection: close\r\n\r\n"), "body without end ")),
        ("/endless-failure", endless("HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n", "1\r\nx\r\n")),
        ("/bomb", bomb),
        ("/long", Answer::status(500).body(body)),
        ("/reset", Answer::reset()),
        ("/reset-in-body", Answer::raw(head("content-length: 9000\r\n\r\nhalf"), Then::Reset)),
        ("/cut-in-body", Answer::raw(head("content-length: 9000\r\n\r\nhalf"), Then::Close)),
        ("/upgrade", Answer::raw(upgrade, Then::Hang)),
        ("/junk", Answer::raw("SSH-2.0-OpenSSH_9.2\r\n", Then::Close)),
        ("/closes", Answer::raw("", Then::Close)),
        ("/tls", Answer::raw(alert, Then::Close)),
    ]
}

/// A world where every delivery has one try.
async fn world() -> World {
    World::with((Store::Sqlite, START), |config| {
        config.schedule = Schedule::new(vec![]).expect("a schedule");
        config.request_timeout = Duration::from_secs(2);
    })
    .await
}

/// What was recorded: `timed out after 2.0 s` without its tenths, and of a long answer the beginning.
fn told(attempt: &Value) -> String {
    let response = text(&attempt["response"]);
    let (before, after) = response.split_once(" after 2.").unwrap_or((response, ""));
    let rest = after.get(1..).map_or(String::new(), |rest| format!(" after 2{rest}"));
    let status = format!("{} {}", text(&attempt["statusText"]), attempt["responseStatusCode"]);
    match response.chars().count() {
        chars @ 200.. => {
            format!("{status} {:?}… ({chars} characters)", response.chars().take(12).collect::<String>())
        }
        _ => format!("{status} {before}{rest}"),
    }
}

#[tokio::test]
async fn every_misbehaviour_is_one_attempt_with_a_clear_text() {
    let mut world = world().await;
    let mut endpoints = Vec::new();
    for (path, answer) in receivers() {
        world.receiver.answer_always(path, answer);
        endpoints.push((path.to_owned(), world.endpoint(path).await));
    }
    let to_tls = world.receiver.url("/plain").replace("http://", "https://");
    endpoints.push(("https to a plain port".into(), world.endpoint_with(&json!({"url": to_tls})).await));
    let nobody = format!("http://127.0.0.1:{}/", testkit::free_port());
    endpoints.push(("nobody listens".into(), world.endpoint_with(&json!({"url": nobody})).await));
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, endpoints.len()).await;
    world.fence().await;
    assert_eq!(world.attempts(&message).await.len(), endpoints.len(), "one each");
    let mut shown = String::new();
    for (name, endpoint) in &endpoints {
        let attempt =
            attempts.iter().find(|one| one["endpointId"] == endpoint.as_str()).expect("its attempt");
        // What is not UTF-8 is shown as a replacement character each.
        assert!(text(&attempt["response"]).chars().count() <= RESPONSE_STORED_BYTES_MAX, "{name}");
        let address = world.receiver.address().to_string();
        let line = told(attempt).replace(&address, "ADDRESS").replace(&nobody[7..nobody.len() - 1], "NOBODY");
        writeln!(shown, "{name}: {line}").expect("a line");
    }
    insta::assert_snapshot!(shown, @r#"
    /silent: fail 0 timed out after 2 s while waiting for the response
    /drip: fail 0 timed out after 2 s while waiting for the response
    /drip-body: fail 0 timed out after 2 s while reading the response's body
    /endless-headers: fail 0 the response's headers are too many or too long
    /endless-1xx: fail 0 the server sent more than 589824 bytes in answer to one request
    /endless-body: success 200 "body without"… (16384 characters)
    /endless-failure: fail 500 "xxxxxxxxxxxx"… (16384 characters)
    /bomb: success 200 "\u{1f}�\u{8}\0\0\0\0\0\0�c\u{18}"… (16384 characters)
    /long: fail 500 "xxxxxxxxxxxx"… (16384 characters)
    /reset: fail 0 the server reset the connection
    /reset-in-body: fail 0 the server reset the connection
    /cut-in-body: fail 0 the server closed the connection before its response was complete
    /upgrade: fail 0 the server answered 101 to a request that asked for no other protocol
    /junk: fail 0 what the server answered is not HTTP/1.1
    /closes: fail 0 the server closed the connection before its response was complete
    /tls: fail 0 what the server answered is not HTTP/1.1
    https to a plain port: fail 0 the server does not speak TLS on this port (ADDRESS)
    nobody listens: fail 0 the connection was refused (NOBODY)
    "#);
    // What was kept for the next request ends with the server; all else has ended before.
    world.stop_server().await;
    world.receiver.wait_for_no_connection(WITHIN).await;
}

#[tokio::test]
async fn a_name_that_leads_inside_is_blocked_when_it_is_connected_to() {
    let mut world = world().await;
    let port = world.receiver.address().port();
    let endpoint = world.endpoint_with(&json!({"url": format!("http://localhost:{port}/inside")})).await;
    // The policy is stricter by now, so what was checked at creation no longer holds.
    world.stop_server().await;
    world.start_again(|config| config.egress_allow.clear()).await;
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    let found = world.destination(&message, &endpoint).await.expect("it is listed");
    assert_eq!((attempts.len(), &found["statusText"]), (1, &json!("fail")));
    assert_eq!(attempts[0]["responseStatusCode"], 0);
    insta::assert_snapshot!(text(&attempts[0]["response"]), @"
    localhost resolves to 127.0.0.1: 127.0.0.1 is a loopback address (127.0.0.0/8), and only public addresses are reached; if it is meant, have its subnet added to POSTHASTE_EGRESS_ALLOW
    ");
    assert_eq!(world.receiver.connections(), 0, "not even a connection was made");
    let metrics = world.metrics().await;
    assert!(metrics.contains("posthaste_blocked_by_policy_total 1"), "{metrics}");
    world.stop().await;
}

fn floods(requests: &[Received]) -> usize {
    requests.iter().filter(|one| one.path != "/warm").count()
}

#[tokio::test]
async fn fifty_floods_leave_the_memory_of_the_process_flat() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let receiver = testkit::Receiver::start().await;
    let mut command = posthaste(folder.path(), &["serve"]);
    command
        .env("POSTHASTE_LISTEN", "127.0.0.1:0")
        .env("POSTHASTE_EGRESS_ALLOW", "127.0.0.0/8")
        .env("POSTHASTE_RETRY_SCHEDULE", "")
        .env("POSTHASTE_REQUEST_TIMEOUT_SECONDS", "3");
    let process = Process::start(command);
    process.wait_for_line("posthaste serves", WITHIN).await;
    let address = std::fs::read_to_string(folder.path().join("posthaste-data/address")).expect("its address");
    let token = run(posthaste(folder.path(), &["token", "create"])).out;
    let client = HttpClient::new(format!("http://{}", address.trim()));
    let post = async |path: &str, body: Value| {
        let (status, answer) = client.post(path, token.trim(), &body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    };
    let application = post("/api/v1/app", json!({"name": "Flooded"})).await;
    let below = |path: &str| format!("/api/v1/app/{}{path}", text(&application["id"]));
    post(&below("/endpoint"), json!({"url": receiver.url("/warm"), "channels": ["warm"]})).await;
    let mut endpoints = 0;
    for (path, answer) in
        receivers().into_iter().filter(|(path, _)| path.contains("endless") || *path == "/bomb")
    {
        receiver.answer_always(path, answer);
        post(&below("/endpoint"), json!({"url": receiver.url(path), "channels": ["flood"]})).await;
        endpoints += 1;
    }
    let send = async |channel: &str| {
        let message = json!({"eventType": "flood", "payload": {"a": 1}, "channels": [channel]});
        post(&below("/msg"), message).await
    };
    for _ in 0..20 {
        send("warm").await;
    }
    receiver.wait_for_path("/warm", 20, WITHIN).await;
    reset_rss_peak(process.pid()).expect("our own child");
    let before = rss_peak(process.pid()).expect("its memory");
    for _ in 0..10 {
        send("flood").await;
    }
    receiver.wait_until("fifty floods", WITHIN, |all| floods(all) >= 10 * endpoints).await;
    eventually("the floods to end", async || (receiver.open_connections() <= 20).then_some(())).await;
    let grown = rss_peak(process.pid()).expect("its memory").saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{} MiB more than the {} MiB before", grown >> 20, before >> 20);
    process.terminate();
    process.wait(WITHIN).await;
}
