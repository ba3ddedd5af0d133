use crate::world::World;
use api::{ApiSettings, Service};
use axum::Router;
use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_trailing_slash_is_accepted_on_every_path() {
    let world = World::with_application().await;
    assert_eq!(world.get("/app/customer/").await.json["uid"], "customer");
    assert_eq!(world.get("/app/?limit=1").await.status, 200);
    assert_eq!(world.post("/app/customer/msg/", r#"{"eventType":"a","payload":{}}"#).await.status, 202);
    assert_eq!(world.get("/health/").await.status, 200);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_answered_in_json() {
    let world = World::new();
    assert_eq!(world.get("/nothing").await.error(), (404, "not_found"));
    assert_eq!(world.get("/nothing/").await.error(), (404, "not_found"));
    assert_eq!(world.delete("/app").await.error(), (405, "method_not_allowed"));
    assert_eq!(world.delete("/app/").await.error(), (405, "method_not_allowed"));
    let root = world.call(Request::get("/").body(Body::empty()).unwrap()).await;
    assert_eq!(root.error(), (404, "not_found"));
}

#[tokio::test]
async fn browsers_may_call_from_anywhere() {
    let world = World::new();
    let headers = [
        ("origin", "https://console.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,x-custom"),
        ("authorization", ""),
    ];
    for path in ["/app", "/app/", "/app/a/msg", "/app/a/endpoint/b"] {
        let reply = world.send(Method::OPTIONS, path, &headers, "").await;
        assert_eq!(reply.status, 204, "{path}");
        assert_eq!(reply.headers["access-control-allow-origin"], "*");
        assert_eq!(reply.headers["access-control-allow-headers"], "authorization,x-custom");
        assert!(reply.headers["access-control-allow-methods"].to_str().unwrap().contains("PATCH"));
    }
    for path in ["/app", "/nothing", "/app/none", "/health"] {
        assert_eq!(world.get(path).await.headers["access-control-allow-origin"], "*", "{path}");
    }
}

#[tokio::test]
async fn a_body_over_two_mebibytes_is_read_and_refused() {
    let world = World::with_application().await;
    let payload = "x".repeat(2 * 1024 * 1024);
    let body = format!(r#"{{"eventType":"a","payload":{{"k":"{payload}"}}}}"#);
    assert_eq!(world.post("/app/customer/msg", &body).await.error(), (413, "payload_too_large"));
    let fits = format!(r#"{{"eventType":"a","payload":{{"k":"{}"}}}}"#, &payload[..2_000_000]);
    assert_eq!(world.post("/app/customer/msg", &fits).await.status, 202);
    assert_eq!(world.get("/app/customer/msg").await.json["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_content_type_is_not_looked_at_and_answers_are_json() {
    let world = World::new();
    for kind in ["text/plain", "application/json", "junk"] {
        let reply = world.send(Method::POST, "/app", &[("content-type", kind)], r#"{"name":"a"}"#).await;
        assert_eq!(
            (reply.status, reply.headers["content-type"].to_str().unwrap()),
            (201, "application/json")
        );
    }
}

#[tokio::test]
async fn health_needs_no_token_and_tells_when_not_ready() {
    let world = World::new();
    let no_token = [("authorization", "")];
    let health = world.send(Method::GET, "/health", &no_token, "").await;
    let states = json!({"status": "ok", "store": "ok", "lease": "ok", "stopping": false});
    assert_eq!((health.status, health.json), (200, states));
    assert_eq!(world.send(Method::HEAD, "/health", &no_token, "").await.status, 200);
    assert_eq!(world.send(Method::GET, "/health/ping", &no_token, "").await.status, 204);
    assert_eq!(world.send(Method::HEAD, "/health/ping", &no_token, "").await.status, 204);
    world.app.stop_soon();
    let health = world.send(Method::GET, "/health", &no_token, "").await;
    assert_eq!((health.status, &health.json["status"]), (503, &json!("unavailable")));
    assert_eq!(world.send(Method::GET, "/health/ping", &no_token, "").await.status, 204);
}

#[tokio::test]
async fn a_store_that_cannot_write_is_a_503_with_a_time_to_come_back() {
    let world = World::with_application().await;
    store::Store::close(&*world.store);
    let refused = world.post("/app/customer/msg", r#"{"eventType":"a","payload":{}}"#).await;
    assert_eq!(refused.error(), (503, "unavailable"));
    assert!(refused.headers.contains_key("retry-after"));
    let keyed = [("idempotency-key", "auto_1")];
    let refused =
        world.send(Method::POST, "/app/customer/endpoint", &keyed, r#"{"url":"https://example.com"}"#).await;
    assert_eq!(refused.error(), (503, "unavailable"));
    assert!(refused.headers.contains_key("retry-after"));
}

/// A body of which three bytes come, and nothing more.
fn silent() -> Body {
    let first = futures_util::stream::iter([Ok::<_, std::convert::Infallible>("{\"n")]);
    Body::from_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_and_its_connection_closed() {
    let mut world = World::with_application().await;
    let (pause, drain) = (Duration::from_millis(40), Duration::from_millis(20));
    let settings = ApiSettings {
        request_body_pause_max: pause,
        request_body_drain_max: drain,
        ..ApiSettings::default()
    };
    world.service = Service::new(world.app.clone(), settings, Router::new());
    let bearer = format!("Bearer {}", world.token);
    for (method, path, token, expected) in [
        (Method::POST, "/app", bearer.as_str(), (408, "request_timeout")),
        (Method::POST, "/app/customer/msg", bearer.as_str(), (408, "request_timeout")),
        (Method::POST, "/app", "Bearer junk", (401, "authentication_failed")),
        (Method::POST, "/app/customer/msg", "Bearer junk", (401, "authentication_failed")),
        (Method::POST, "/nothing", bearer.as_str(), (404, "not_found")),
        (Method::DELETE, "/app", bearer.as_str(), (405, "method_not_allowed")),
        (Method::DELETE, "/app/none", bearer.as_str(), (404, "not_found")),
    ] {
        let request = Request::builder().method(&method).uri(format!("/api/v1{path}"));
        let reply = world.call(request.header("authorization", token).body(silent()).unwrap()).await;
        assert_eq!(reply.error(), expected, "{method} {path}");
        let closes = reply.headers.get("connection").is_some_and(|value| value == "close");
        assert_eq!(closes, expected.0 == 408, "{method} {path}");
    }
}
