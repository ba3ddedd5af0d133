//! What the five systems that Posthaste is modelled on do about delivery, each as their user would set it up: one test a system,
//! real receivers, the bytes looked at. (Their consoles and alerts are other tests' matter.)

use crate::server::{Store, WITHIN, World, eventually, text};
use serde_json::{Value, json};
use testkit::{Answer, Received};

async fn event_types(world: &World, names: &[&str]) {
    for name in names {
        world.call("POST", "/api/v1/event-type", &json!({"name": name, "description": ""})).await;
    }
}

async fn send(world: &World, event_type: &str, payload: Value) -> String {
    world.send_with(&json!({"eventType": event_type, "payload": payload, "context": {"user": "ann"}})).await
}

/// Checks a delivery as a receiver does whose clock is the test's.
fn is_signed_with(received: &Received, secret: &str) -> bool {
    let secret = signing::Secret::parse(secret).expect("a secret");
    let [id, timestamp, signature] =
        ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| received.header(name));
    signing::verify(&secret, id, timestamp, signature, &received.body, 1_800_000_000, 5).is_ok()
}

/// Modjo: real-time POSTs verified by a token, an alert in Slack, a reachable URL, edit, delete, recreate for a new token.
async fn modjo_webhooks(store: Store) {
    let world = World::start(store).await;
    event_types(&world, &["call.transcribed"]).await;
    let options = json!({"url": world.receiver.url("/modjo"), "eventTypes": ["call.transcribed"]});
    let endpoint = world.endpoint_with(&options).await;
    let slack = json!({"type": "slack", "url": world.receiver.url("/slack"), "template": "A call is ready: {{ data.call }}"});
    world.endpoint_with(&slack).await;
    let secret = world.of_application("GET", &format!("/endpoint/{endpoint}/secret"), &Value::Null).await;
    let reachable = world.of_application("POST", &format!("/endpoint/{endpoint}/check"), &json!({})).await;
    assert_eq!(reachable["ok"], true, "{reachable}");
    send(&world, "call.transcribed", json!({"call": 7})).await;
    let posted = world.receiver.wait_for_path("/modjo", 2, WITHIN).await.remove(1);
    assert!(is_signed_with(&posted, text(&secret["key"])));
    assert_eq!((posted.method.as_str(), posted.json()), ("POST", json!({"call": 7})));
    let alert = world.receiver.wait_for_path("/slack", 1, WITHIN).await.remove(0);
    assert_eq!(alert.body, r#"{"text":"A call is ready: 7"}"#);
    // Edited, then made anew for another token.
    world.change(&endpoint, &json!({"url": world.receiver.url("/moved")})).await;
    send(&world, "call.transcribed", json!({"call": 8})).await;
    world.receiver.wait_for_path("/moved", 1, WITHIN).await;
    world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    let anew = world.endpoint_with(&options).await;
    let token = world.of_application("GET", &format!("/endpoint/{anew}/secret"), &Value::Null).await;
    assert_ne!(token["key"], secret["key"]);
    send(&world, "call.transcribed", json!({"call": 9})).await;
    let posted = world.receiver.wait_for_path("/modjo", 3, WITHIN).await.remove(2);
    assert!(is_signed_with(&posted, text(&token["key"])) && !is_signed_with(&posted, text(&secret["key"])));
    world.stop().await;
}

/// An admin console's "Webhook Settings": name, events, type REST, URL, API key; a body whose data changes with the event type.
async fn admin_console_webhook_settings(store: Store) {
    let world = World::start(store).await;
    event_types(&world, &["user.created", "user.deleted", "role.changed"]).await;
    let options = json!({
        "name": "Audit", "type": "rest", "url": world.receiver.url("/settings"), "format": "envelope",
        "eventTypes": ["user.created", "user.deleted"], "auth": {"type": "apiKey", "value": "k3y"},
    });
    world.endpoint_with(&options).await;
    send(&world, "user.created", json!({"id": 1, "mail": "a@b.c"})).await;
    send(&world, "role.changed", json!({"id": 2})).await;
    send(&world, "user.deleted", json!({"id": 3, "by": "ann"})).await;
    let mut received = world.receiver.wait_for_path("/settings", 2, WITHIN).await;
    received.sort_by_key(|one| text(&one.json()["event_type"]).to_owned());
    for (one, (event_type, data)) in received.iter().zip([
        ("user.created", json!({"id": 1, "mail": "a@b.c"})),
        ("user.deleted", json!({"id": 3, "by": "ann"})),
    ]) {
        let body = json!({"event_time": "2027-01-15T08:00:00Z", "event_type": event_type, "current_context": {"user": "ann"}, "data": data});
        assert_eq!((one.json(), one.header("x-api-key")), (body, "k3y"));
    }
    world.stop().await;
}

/// "What is a webhook": JSON or XML, just the data that is needed, a key or a token, a validated payload, a rate.
async fn what_is_a_webhook(store: Store) {
    let world = World::start(store).await;
    let schema = json!({"1": {"type": "object", "required": ["id"]}});
    world
        .call(
            "POST",
            "/api/v1/event-type",
            &json!({"name": "feature.shipped", "description": "", "schemas": schema}),
        )
        .await;
    world.call("PATCH", "/api/v1/environment", &json!({"schemaValidation": "enforce"})).await;
    let json_hook = json!({"url": world.receiver.url("/json"), "fields": ["id"], "auth": {"type": "bearer", "token": "t0ken"}});
    world.endpoint_with(&json_hook).await;
    let xml_hook = json!({"url": world.receiver.url("/xml"), "contentType": "application/xml", "throttleRate": 1, "throttlePeriod": "hour"});
    world.endpoint_with(&xml_hook).await;
    let refused =
        world.refused("/msg", &json!({"eventType": "feature.shipped", "payload": {"title": "no id"}})).await;
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "payload"]));
    send(&world, "feature.shipped", json!({"id": 5, "internal": "secret"})).await;
    send(&world, "feature.shipped", json!({"id": 6})).await;
    let chosen = world.receiver.wait_for_path("/json", 2, WITHIN).await;
    assert!(chosen.iter().any(|one| one.body == r#"{"id":5}"#), "only what was chosen");
    assert_eq!(chosen[0].header("authorization"), "Bearer t0ken");
    let xml = world.receiver.wait_for_path("/xml", 1, WITHIN).await;
    assert!(
        std::str::from_utf8(&xml[0].body)
            .unwrap()
            .starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><event><id>")
    );
    world.fence().await;
    assert_eq!(world.arrived("/xml").len(), 1, "the rate holds");
    world.clock.advance_ms(3_600_000);
    world.receiver.wait_for_path("/xml", 2, WITHIN).await;
    world.stop().await;
}

/// Workspace webhooks: callback URL, method, content type, max attempts, on or off, and `X-Signature`, the hex HMAC-SHA256 of the body.
async fn workspace_webhooks(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/callback", Answer::status(500));
    let options = json!({
        "name": "Workspace", "url": world.receiver.url("/callback"), "method": "PUT",
        "contentType": "application/x-www-form-urlencoded", "maxAttempts": 1,
        "signatures": [{"preset": "x-signature", "key": "my-secret"}],
    });
    let endpoint = world.endpoint_with(&options).await;
    let message = send(&world, "task.done", json!({"amount": 1})).await;
    world.wait_for_attempts(&message, 1).await;
    world.clock.advance_ms(6_000);
    world.wait_for_state(&message, &endpoint, "fail").await;
    let received = world.arrived("/callback");
    assert_eq!(received.len(), 2, "one try after the first");
    let shown = (received[0].method.as_str(), received[0].header("content-type"), &received[0].body[..]);
    assert_eq!(shown, ("PUT", "application/x-www-form-urlencoded", &b"amount=1"[..]));
    // hash_hmac('sha256', 'amount=1', 'my-secret')
    assert_eq!(
        received[0].header("x-signature"),
        "0e3df52084bf5c81695dee85e0fc6b5ee05382824b65f6f83924bc7053de436d"
    );
    world.change(&endpoint, &json!({"disabled": true})).await;
    let off = send(&world, "task.done", json!({"amount": 2})).await;
    world.wait_for_state(&off, &endpoint, "canceled").await;
    world.stop().await;
}

/// Moxie: event mappings, four kinds of authentication, `X-Event-Type` and `X-Event-Origin`, and logs.
async fn moxie(store: Store) {
    let world = World::start(store).await;
    event_types(&world, &["client.created", "invoice.sent"]).await;
    let kinds = [
        (json!({"type": "none"}), "authorization", ""),
        (json!({"type": "basic", "username": "u", "password": "p"}), "authorization", "Basic dTpw"),
        (json!({"type": "bearer", "token": "t"}), "authorization", "Bearer t"),
        (json!({"type": "header", "name": "X-Moxie", "value": "m"}), "x-moxie", "m"),
    ];
    for (index, (auth, header, expected)) in kinds.into_iter().enumerate() {
        let path = |kind: &str| format!("/{index}/{kind}");
        let routes = json!([
            {"eventType": "client.created", "url": world.receiver.url(&path("clients"))},
            {"eventType": "invoice.sent", "url": world.receiver.url(&path("invoices"))},
        ]);
        let endpoint = world
            .endpoint_with(&json!({"url": world.receiver.url("/unused"), "routes": routes, "auth": auth}))
            .await;
        for (event_type, kind) in [("client.created", "clients"), ("invoice.sent", "invoices")] {
            let message = send(&world, event_type, json!({"n": index})).await;
            let received = world.receiver.wait_for_path(&path(kind), 1, WITHIN).await.remove(0);
            let headers =
                [header, "x-event-type", "x-event-origin", "content-type"].map(|name| received.header(name));
            assert_eq!(headers, [expected, event_type, "posthaste.test", "application/json"]);
            let log = eventually("the log", async || {
                let path = format!("/attempt/endpoint/{endpoint}?limit=1");
                let list = world.of_application("GET", &path, &Value::Null).await;
                list["data"].get(0).filter(|one| one["msgId"] == json!(message)).cloned()
            })
            .await;
            assert!(text(&log["url"]).ends_with(&path(kind)) && log["responseStatusCode"] == 200, "{log}");
        }
        world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    }
    assert!(world.arrived("/unused").is_empty());
    world.stop().await;
}

each_store!(modjo_webhooks, admin_console_webhook_settings, what_is_a_webhook, workspace_webhooks, moxie,);
