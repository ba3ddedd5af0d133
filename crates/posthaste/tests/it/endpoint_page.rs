//! docs/endpoints.md, run: each example's endpoint is made, the page's message is sent, and what arrives is what the page shows.

use crate::server::{Store, WITHIN, World};
use serde_json::{Value, json};
use testkit::Answer;

const PAGE: &str = include_str!("../../../../docs/endpoints.md");

/// An example: the endpoint, and the request that it makes.
struct Example<'a> {
    line: usize,
    endpoint: &'a str,
    request: &'a str,
}

/// The fenced blocks of the page: where, which kind, and what stands in them.
fn blocks() -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    let (mut rest, mut line) = (PAGE, 1);
    while let Some(start) = rest.find("\n```") {
        let (before, after) = rest.split_at(start + 4);
        let (kind, after) = after.split_once('\n').expect("a kind");
        let (block, after) = after.split_once("```").expect("an end");
        line += before.matches('\n').count() + 1;
        found.push((line, kind, block));
        line += block.matches('\n').count();
        rest = after;
    }
    found
}

fn examples() -> Vec<Example<'static>> {
    let blocks = blocks();
    let pairs = blocks.windows(2).filter(|pair| pair[0].1 == "json endpoint");
    let example = |pair: &[(usize, &'static str, &'static str)]| {
        assert_eq!(pair[1].1, "http", "line {}: an endpoint without its request", pair[0].0);
        Example { line: pair[0].0, endpoint: pair[0].2, request: pair[1].2 }
    };
    pairs.map(example).collect()
}

/// Whether a text is as shown, `…` standing for anything.
fn is_as_shown(text: &str, shown: &str) -> bool {
    let mut pieces = shown.split('…');
    let Some(mut rest) = text.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let pieces: Vec<_> = pieces.collect();
    let Some((last, inner)) = pieces.split_last() else { return rest.is_empty() };
    for piece in inner {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

async fn every_example_of_the_page_makes_the_request_that_it_shows(store: Store) {
    let message = blocks().into_iter().find(|block| block.1 == "json message").expect("a message").2;
    let examples = examples();
    assert!(examples.len() > 20, "the page was not read");
    let world = World::start(store).await;
    world.call("POST", "/api/v1/event-type", &json!({"name": "invoice.paid", "description": ""})).await;
    let granted = json!({"access_token": "granted", "expires_in": 600}).to_string();
    world.receiver.answer_always("/token", Answer::status(200).body(granted));
    for (before, Example { line, endpoint, request }) in examples.into_iter().enumerate() {
        // The page's customer is at example.com; here it is the receiver.
        let here = endpoint.replace("https://example.com", &world.receiver.url(""));
        let mut options: Value =
            serde_json::from_str(&here).unwrap_or_else(|error| panic!("line {line}: {error}"));
        options["url"] = json!(world.receiver.url("/hook"));
        let id = world.endpoint_with(&options).await;
        world.send_text(message).await;
        let is_hook = |one: &testkit::Received| one.path != "/token";
        let all = world
            .receiver
            .wait_until("the request", WITHIN, |all| all.iter().filter(|one| is_hook(one)).count() > before)
            .await;
        let received = all.into_iter().rfind(is_hook).expect("a request");
        let (head, body) = request.split_once("\n\n").unwrap_or((request.trim_end(), ""));
        let mut lines = head.lines();
        let start = format!("{} {}", received.method, received.target);
        let shown = lines.next().expect("a request line");
        assert!(is_as_shown(&start, shown), "line {line}: {start}, and the page shows {shown}");
        for header in lines {
            let (name, shown) = header.split_once(": ").expect("a header");
            let value = received.header(name);
            assert!(is_as_shown(value, shown), "line {line}: {name} is {value}, and the page shows {shown}");
        }
        let sent = std::str::from_utf8(&received.body).expect("text");
        assert!(
            is_as_shown(sent, body.trim_end()),
            "line {line}: the body is {sent}, and the page shows {body}"
        );
        world.of_application("DELETE", &format!("/endpoint/{id}"), &Value::Null).await;
    }
    world.stop().await;
}

#[test]
fn the_dots_stand_for_anything() {
    assert!(
        is_as_shown("abc", "abc")
            && is_as_shown("abc", "a…c")
            && is_as_shown("abc", "…")
            && is_as_shown("abc", "a…")
    );
    assert!(!is_as_shown("abcd", "abc") && !is_as_shown("abc", "a…d") && !is_as_shown("", "a"));
}

each_store!(every_example_of_the_page_makes_the_request_that_it_shows);
