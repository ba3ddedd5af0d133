//! Trying an endpoint out: dry runs that send nothing, and checks that send a ping.

use crate::server::{Store, WITHIN, World, text};
use crate::tls_receiver::TlsReceiver;
use serde_json::{Value, json};
use testkit::Answer;

async fn a_dry_run_shows_the_very_request_that_a_delivery_makes(store: Store) {
    let world = World::start(store).await;
    let url = world.receiver.url("/hook");
    let code = "function handler(w) { w.headers['X-Seen'] = String(w.payload.n + Math.random()); return w }";
    let options = json!({
        "url": url, "method": "PUT", "format": "envelope", "fields": ["n"], "transformation": code,
        "auth": {"type": "bearer", "token": "canary"}, "signatures": [{"type": "hmac", "key": "k"}, "standard"],
        "headers": {"X-Own": "1", "X-Api-Token": "canary"}, "filter": "data.n > 1",
    });
    let endpoint = world.endpoint_with(&options).await;
    let event = json!({"eventType": "invoice.paid", "payload": {"n": 2, "left": "out"}, "context": {"a": 1}});
    let tried = world.of_application("POST", &format!("/endpoint/{endpoint}/simulate"), &event).await;
    assert_eq!(
        (&tried["matches"], &tried["canceled"], &tried["error"]),
        (&json!(true), &json!(false), &Value::Null)
    );
    assert!(world.arrived("/hook").is_empty(), "nothing is sent");
    world.send_with(&event).await;
    let received = world.receiver.wait_for_path("/hook", 1, WITHIN).await.remove(0);
    let request = &tried["request"];
    assert_eq!(request["body"], std::str::from_utf8(&received.body).unwrap());
    assert_eq!((&request["method"], &request["url"]), (&json!("PUT"), &json!(url)));
    // The number of chance hangs on the message, the ids and signatures on it too; all else is the same.
    for (name, value) in request["headers"].as_object().unwrap() {
        let differs = ["webhook-id", "webhook-signature", "x-seen"].contains(&&**name);
        let hidden = ["authorization", "x-api-token"].contains(&&**name);
        let sent = received.header(name);
        assert!(!sent.is_empty(), "{name}");
        assert_eq!(value == "…", hidden, "{name}: {value}");
        assert!(differs || hidden || value == sent, "{name}: {value} and {sent}");
    }
    world.stop().await;
}

async fn a_dry_run_tries_changes_that_are_not_saved_and_tells_what_is_wrong(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/hook").await;
    let path = format!("/endpoint/{endpoint}/simulate");
    let event = |more: Value| {
        let mut event = json!({"eventType": "invoice.paid", "payload": {"n": 2}});
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        event
    };
    let body = async |more: Value| {
        let tried = world.of_application("POST", &path, &event(more)).await;
        tried["request"]["body"].as_str().map(str::to_owned)
    };
    assert_eq!(
        body(json!({"template": "{{ data.n }}!", "contentType": "text/plain"})).await.as_deref(),
        Some("2!")
    );
    assert_eq!(body(json!({})).await.as_deref(), Some(r#"{"n":2}"#), "nothing was saved");
    let tried = async |more: Value| world.of_application("POST", &path, &event(more)).await;
    assert_eq!(tried(json!({"filter": "data.n > 2"})).await["matches"], false);
    assert_eq!(
        tried(json!({"transformation": "const handler = (w) => ({ cancel: true })"})).await["canceled"],
        true
    );
    let failed = tried(json!({"transformation": "function handler(w) {\n\n return x }"})).await;
    assert_eq!(
        text(&failed["error"]),
        "the transformation failed: ReferenceError: x is not defined (line 3)"
    );
    let refused = world.refused(&path, &event(json!({"template": "{{ data.n"}))).await;
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "template"]));
    world.stop().await;
}

async fn a_dry_run_needs_no_endpoint(store: Store) {
    let world = World::start(store).await;
    let event =
        json!({"eventType": "a.b", "payload": {"n": 2}, "url": "https://example.com/in", "type": "slack"});
    let tried = world.of_application("POST", "/simulate", &event).await;
    assert_eq!(tried["request"]["body"], r#"{"text":"*a.b*\n• n: 2"}"#);
    world.stop().await;
}

async fn a_check_sends_a_ping_and_says_in_plain_words_what_came_of_it(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/hook").await;
    let path = format!("/endpoint/{endpoint}/check");
    let check = async || world.of_application("POST", &path, &json!({})).await;
    let found = check().await;
    assert_eq!((&found["ok"], &found["status"], &found["tls"]), (&json!(true), &json!(200), &Value::Null));
    assert_eq!(text(&found["verdict"]), "It works: the endpoint took the event.");
    let ping = world.arrived("/hook").remove(0);
    assert_eq!(
        (ping.header("x-event-type"), ping.json()["type"].clone()),
        ("posthaste.ping", json!("posthaste.ping"))
    );
    assert!(ping.header("webhook-signature").starts_with("v1,"));
    for (answer, verdict) in [
        (Answer::status(401), "It answered 401: it does not accept the authentication."),
        (
            Answer::status(302),
            "It answered 302, a redirect, and those are not followed: set the URL that it leads to.",
        ),
        (Answer::status(503), "It answered 503: something is wrong on its side."),
        (Answer::reset(), "Not reached: the server reset the connection."),
    ] {
        world.receiver.answer("/hook", answer);
        let found = check().await;
        assert_eq!((&found["ok"], text(&found["verdict"])), (&json!(false), verdict));
    }
    world.stop().await;
}

async fn a_check_asks_for_the_cloudevents_handshake(store: Store) {
    let world = World::start(store).await;
    let endpoint =
        world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "format": "cloudevents"})).await;
    let path = format!("/endpoint/{endpoint}/check");
    let asked = world.of_application("POST", &path, &json!({"handshake": true})).await;
    assert_eq!((&asked["ok"], &asked["handshake"]), (&json!(false), &json!(false)));
    let options = world.arrived("/hook").remove(0);
    assert_eq!(
        (options.method.as_str(), options.header("webhook-request-origin")),
        ("OPTIONS", "posthaste.test")
    );
    world.receiver.answer("/hook", Answer::status(200).header("WebHook-Allowed-Origin", "posthaste.test"));
    let asked = world.of_application("POST", &path, &json!({"handshake": true})).await;
    assert_eq!((&asked["ok"], &asked["handshake"]), (&json!(true), &json!(true)));
    world.stop().await;
}

async fn a_check_tells_how_tls_stands(store: Store) {
    let world = World::start(store).await;
    let receiver = TlsReceiver::start().await;
    let auth = json!({"type": "mtls", "certificate": receiver.client_certificate, "privateKey": receiver.client_key});
    let good =
        json!({"url": receiver.url("/hook"), "auth": auth, "certificateAuthority": receiver.authority});
    let endpoint = world.endpoint_with(&good).await;
    let found = world.of_application("POST", &format!("/endpoint/{endpoint}/check"), &json!({})).await;
    assert_eq!(found["ok"], true, "{found}");
    assert_eq!(found["tls"]["version"], "TLSv1.3");
    assert!(text(&found["tls"]["expiresAt"]) > "2027", "{found}");
    world.change(&endpoint, &json!({"certificateAuthority": null})).await;
    let found = world.of_application("POST", &format!("/endpoint/{endpoint}/check"), &json!({})).await;
    assert!(text(&found["verdict"]).contains("not from an authority that we know"), "{found}");
    world.stop().await;
}

each_store!(
    a_dry_run_shows_the_very_request_that_a_delivery_makes,
    a_dry_run_tries_changes_that_are_not_saved_and_tells_what_is_wrong,
    a_dry_run_needs_no_endpoint,
    a_check_sends_a_ping_and_says_in_plain_words_what_came_of_it,
    a_check_asks_for_the_cloudevents_handshake,
    a_check_tells_how_tls_stands,
);
