//! Bodies that are wrong in every way: the exact refusal, nothing stored, never a 500.

use crate::live::{Api, Home};
use http::Method;
use serde_json::{Value, json};
use testkit::{Process, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest body that is read.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A server with one application, and the four POSTs that make things.
struct World {
    home: Home,
    api: Api,
    application: String,
    _process: Process,
}

impl World {
    async fn new() -> Self {
        let home = Home::new(&[]);
        let process = home.start().await;
        let api = home.api();
        let application = api.application("bad input").await;
        Self { home, api, application, _process: process }
    }

    fn posts(&self) -> [String; 4] {
        let app = &self.application;
        ["/app".into(), "/event-type".into(), format!("/app/{app}/endpoint"), format!("/app/{app}/msg")]
    }

    async fn post(&self, path: &str, body: impl Into<bytes::Bytes>) -> Reply {
        let authorization = format!("Bearer {}", self.api.token);
        let headers = [("authorization", authorization.as_str())];
        let path = format!("/api/v1{path}");
        self.api.client.send(Method::POST, &path, &headers, body).await.expect("an answer")
    }

    /// Everything that there is.
    async fn everything(&self) -> Vec<Vec<Value>> {
        let mut all = Vec::new();
        for path in self.posts() {
            all.push(self.api.list(&path).await);
        }
        all
    }
}

/// The first entry of a 422: where, and its type.
fn first_problem(reply: &Reply, what: &str) -> (Vec<String>, String) {
    let answer = reply.json();
    assert_eq!(reply.status, 422, "{what}: {answer}");
    let problem = &answer["detail"][0];
    assert!(problem["msg"].as_str().is_some_and(|text| !text.is_empty()), "{what}: {answer}");
    let loc = problem["loc"].as_array().unwrap_or_else(|| panic!("{what}: {answer}"));
    let loc = loc.iter().map(|part| part.as_str().expect("text").to_owned()).collect();
    (loc, problem["type"].as_str().expect("a type").to_owned())
}

/// The body with another field in place of `name`.
fn about(body: &[u8], field: &str) -> Vec<u8> {
    let Some(at) = body.windows(4).position(|bytes| bytes == b"name") else { return body.to_vec() };
    [&body[..at], field.as_bytes(), &body[at + 4..]].concat()
}

#[tokio::test]
async fn a_body_that_is_not_a_json_object_is_refused_as_what_it_is() {
    let world = World::new().await;
    let before = world.everything().await;
    let deep = |open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(200), close.repeat(200));
    let not_json: [(&str, Vec<u8>); 14] = [
        ("nothing", Vec::new()),
        ("white space", b" \r\n\t".to_vec()),
        ("half an object", b"{\"name\": \"x\"".to_vec()),
        ("a brace", b"{".to_vec()),
        ("half a word", b"nul".to_vec()),
        ("a bare word", b"{name: 1}".to_vec()),
        ("single quotes", b"{'name': 'x'}".to_vec()),
        ("a comma too many", b"{\"name\": \"x\",}".to_vec()),
        ("two objects", b"{\"name\": \"x\"}{}".to_vec()),
        ("NaN", b"{\"name\": NaN}".to_vec()),
        ("bytes that are not UTF-8", b"{\"name\": \"\xff\xfe\"}".to_vec()),
        ("half a surrogate pair", br#"{"name": "\ud800"}"#.to_vec()),
        ("lists too deep", deep("[", "]").into_bytes()),
        ("objects too deep", deep("{\"a\":", "}").into_bytes()),
    ];
    let not_object = [("a list", "[1]"), ("null", "null"), ("a string", "\"x\""), ("a number", "12")];
    for (path, field) in world.posts().into_iter().zip(["name", "name", "url", "eventType"]) {
        for (what, body) in &not_json {
            let what = format!("{what} to {path}");
            let (loc, kind) = first_problem(&world.post(&path, about(body, field)).await, &what);
            assert_eq!((loc, kind.as_str()), (vec!["body".to_owned()], "value_error.jsondecode"), "{what}");
        }
        for (what, body) in not_object {
            let what = format!("{what} to {path}");
            let (loc, kind) = first_problem(&world.post(&path, body).await, &what);
            assert_eq!((loc, kind.as_str()), (vec!["body".to_owned()], "value_error"), "{what}");
        }
    }
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_body_of_2_mib_is_taken_and_a_byte_more_or_no_end_is_a_413() {
    let world = World::new().await;
    let [_, _, _, messages] = world.posts();
    let body = |bytes: usize| {
        let frame = "{\"eventType\":\"e\",\"payload\":{\"text\":\"\"}}";
        frame.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - frame.len())))
    };
    let reply = world.post(&messages, body(BODY_BYTES_MAX)).await;
    assert_eq!(reply.status, 202, "{}", reply.json());
    let before = world.everything().await;
    for path in world.posts() {
        let reply = world.post(&path, body(BODY_BYTES_MAX + 1)).await;
        assert_eq!((reply.status, &reply.json()["code"]), (413, &json!("payload_too_large")), "{path}");
        let text = endless(&world, &path).await;
        assert!(text.starts_with("HTTP/1.1 413 ") && text.contains("payload_too_large"), "{path}: {text}");
    }
    assert_eq!(world.everything().await, before);
}

/// Sends a body in chunks without end until there is an answer.
async fn endless(world: &World, path: &str) -> String {
    let address = world.home.base().replace("http://", "");
    let (mut from, mut to) = TcpStream::connect(address).await.expect("a connection").into_split();
    let head = format!(
        "POST /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        world.api.token
    );
    to.write_all(head.as_bytes()).await.expect("the head");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let write = async {
        for _ in 0..10_000 {
            if to.write_all(chunk.as_bytes()).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let mut answer = vec![0; 4_096];
    tokio::select! {
        read = from.read(&mut answer) => answer.truncate(read.expect("an answer")),
        () = write => {}
    }
    String::from_utf8(answer).expect("text")
}

/// Values that are not what a field must be.
fn wrong(kind: &str) -> Vec<Value> {
    match kind {
        "text" => vec![json!(5), json!(true), json!(["x"]), json!({ "x": 1 })],
        "flag" => vec![json!("yes"), json!(1), json!([]), json!({})],
        "rate" => vec![json!("5"), json!(1.5), json!(-1), json!(65_536), json!(true), json!([1]), json!(0)],
        "whole" => vec![json!("5"), json!(1.5), json!(true), json!([1]), json!(0), json!(-3), json!(1e30)],
        "names" => {
            vec![json!("x"), json!(5), json!({}), json!([5]), json!(["a b"]), json!([null]), json!([""])]
        }
        "texts" => vec![json!("x"), json!(5), json!({}), json!([5]), json!([null])],
        "map" => {
            vec![json!("x"), json!(5), json!([]), json!({ "a": 5 }), json!({ "a": null }), json!({ "a": {} })]
        }
        "object" => vec![json!("x"), json!(5), json!([]), json!(true)],
        "time" => {
            vec![json!("tomorrow"), json!(5), json!("2020-01-01T00:00:00Z"), json!("2999-01-01T00:00:00Z")]
        }
        "name" => vec![json!(5), json!("a b"), json!(""), json!("x".repeat(257)), json!("ü"), json!([])],
        "secret" => vec![json!(5), json!("whsec_short"), json!("whsec_!"), json!("whpk_AAAA"), json!([])],
        other => panic!("no wrong values of {other}"),
    }
}

/// The POSTs: a body that would do, and what each of its fields must be.
fn fields(path: &str) -> (Value, &'static [(&'static str, &'static str)]) {
    let url = json!({ "url": "https://example.com/" });
    match path.rsplit('/').next() {
        Some("app") => (
            json!({ "name": "x" }),
            &[
                ("name", "text"),
                ("uid", "name"),
                ("throttleRate", "rate"),
                ("rateLimit", "rate"),
                ("metadata", "map"),
            ],
        ),
        Some("event-type") => (
            json!({ "name": "a.b", "description": "x" }),
            &[
                ("name", "name"),
                ("description", "text"),
                ("archived", "flag"),
                ("deprecated", "flag"),
                ("schemas", "object"),
                ("groupName", "name"),
                ("featureFlags", "texts"),
                ("featureFlag", "text"),
            ],
        ),
        Some("endpoint") => (
            url,
            &[
                ("url", "object"),
                ("uid", "name"),
                ("description", "text"),
                ("disabled", "flag"),
                ("paused", "flag"),
                ("eventTypes", "names"),
                ("filterTypes", "names"),
                ("channels", "names"),
                ("throttleRate", "rate"),
                ("metadata", "map"),
                ("secret", "secret"),
                ("headers", "map"),
            ],
        ),
        _ => (
            json!({ "eventType": "a.b", "payload": {} }),
            &[
                ("eventType", "name"),
                ("payload", "object"),
                ("eventId", "name"),
                ("channels", "names"),
                ("tags", "names"),
                ("payloadRetentionPeriod", "whole"),
                ("payloadRetentionHours", "whole"),
                ("deliverAt", "time"),
                ("transformationsParams", "object"),
                ("application", "object"),
            ],
        ),
    }
}

#[tokio::test]
async fn a_wrong_value_in_any_field_is_a_422_that_names_the_field() {
    let world = World::new().await;
    let before = world.everything().await;
    let mut asked = 0;
    for path in world.posts() {
        let (good, fields) = fields(&path);
        for (field, kind) in fields {
            for value in wrong(kind) {
                let mut body = good.clone();
                body[field] = value.clone();
                let what = format!("{field}: {value} to {path}");
                let (loc, _) = first_problem(&world.post(&path, body.to_string()).await, &what);
                let of_alias = |name: &str, alias: &str| loc[1] == name && *field == alias;
                let named = loc[1] == *field
                    || of_alias("throttleRate", "rateLimit")
                    || of_alias("eventTypes", "filterTypes");
                assert!(loc[0] == "body" && named, "{what}: {loc:?}");
                asked += 1;
            }
        }
        let required: Vec<_> = good.as_object().expect("an object").keys().collect();
        for field in required {
            for value in [None, Some(Value::Null)] {
                let mut body = good.clone();
                body.as_object_mut().expect("an object").remove(field);
                value.into_iter().for_each(|null| body[field] = null);
                let (loc, _) =
                    first_problem(&world.post(&path, body.to_string()).await, &format!("no {field}"));
                assert_eq!(loc, ["body", field]);
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_at_its_field() {
    let world = World::new().await;
    let before = world.everything().await;
    let [apps, _, endpoints, messages] = world.posts();
    let many = |count: usize| (0..count).map(|n| format!("n{n}")).collect::<Vec<_>>();
    let headers =
        |name: &str, value: &str| json!({ "url": "https://example.com/", "headers": { name: value } });
    let message = |field: &str, value: Value| json!({ "eventType": "e", "payload": {}, field: value });
    let long = "x".repeat(4_097);
    for (path, field, body) in [
        (&apps, "metadata", json!({ "name": "x", "metadata": { "a": long } })),
        (&apps, "name", json!({ "name": "bell\u{7}" })),
        (&apps, "uid", json!({ "name": "x", "uid": "app_mine" })),
        (&endpoints, "headers", headers("X-Long", &long)),
        (&endpoints, "headers", headers("Host", "x")),
        (&endpoints, "headers", headers("X-Split", "a\r\nb: c")),
        (&endpoints, "headers", headers("bad name", "x")),
        (&endpoints, "channels", json!({ "url": "https://example.com/", "channels": many(11) })),
        (&endpoints, "channels", json!({ "url": "https://example.com/", "channels": [] })),
        (&endpoints, "eventTypes", json!({ "url": "https://example.com/", "eventTypes": ["not.there"] })),
        (&messages, "channels", message("channels", json!(many(11)))),
        (&messages, "tags", message("tags", json!(many(6)))),
        (&messages, "eventId", message("eventId", json!("msg_mine"))),
        (&messages, "payloadRetentionPeriod", message("payloadRetentionPeriod", json!(91))),
        (&messages, "payloadRetentionHours", message("payloadRetentionHours", json!(2_161))),
    ] {
        let (loc, _) = first_problem(&world.post(path, body.to_string()).await, &body.to_string());
        assert_eq!(loc[..2], ["body", field], "{body}");
    }
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_large_body_where_none_is_wanted_is_read_and_answered() {
    let w = World::new().await;
    let app = format!("/api/v1/app/{}", w.application);
    let body = vec![b'x'; 4 * 1024 * 1024];
    for (method, path, status) in [
        ("POST", "/api/v1/nothing", 404),
        ("PUT", "/api/v1/app", 405),
        ("GET", &app, 200),
        ("DELETE", &format!("{app}/endpoint/none"), 404),
        ("POST", &format!("{app}/%FF/msg"), 404),
    ] {
        let mut stream =
            TcpStream::connect(w.home.base().replace("http://", "")).await.expect("a connection");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n",
            w.api.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("the head is taken");
        stream.write_all(&body).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn a_caller_without_a_token_who_stops_sending_is_answered_soon() {
    let w = World::new().await;
    let mut stream = TcpStream::connect(w.home.base().replace("http://", "")).await.expect("a connection");
    let head = "POST /api/v1/app HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"n";
    stream.write_all(head.as_bytes()).await.expect("the head is taken");
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(crate::live::WITHIN, read).await.expect("it ends by itself").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
