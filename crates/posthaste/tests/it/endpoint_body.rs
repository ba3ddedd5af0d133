//! What a receiver gets, byte by byte, for each way of shaping an event: formats, content types, fields, templates,
//! transformations, methods.

use crate::server::{Store, WITHIN, World, text};
use serde_json::{Value, json};
use testkit::Received;

/// The payload of all these messages, as it was posted: numbers and order must survive.
const PAYLOAD: &str = r#"{"z":1.10,"user":{"name":"Ann <&>","mail":"a@b.c"},"big":12345678901234567890123,"tags":["a","b"],"none":null}"#;

/// Sends [`PAYLOAD`] with a context to an endpoint of these options, and answers what arrived, and the message's id.
async fn deliver(world: &World, path: &str, mut options: Value) -> (Received, String) {
    options["url"] = json!(world.receiver.url(path));
    let endpoint = world.endpoint_with(&options).await;
    let message = world
        .send_text(&format!(
            r#"{{"eventType":"invoice.paid","payload":{PAYLOAD},"context":{{"tenant":"t1"}}}}"#
        ))
        .await;
    let arrived = world.receiver.wait_for_path(path, 1, WITHIN).await.remove(0);
    world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    (arrived, message)
}

fn body(received: &Received) -> &str {
    std::str::from_utf8(&received.body).expect("UTF-8")
}

async fn each_format_makes_its_own_bytes(store: Store) {
    let world = World::start(store).await;
    let (plain, _) = deliver(&world, "/raw", json!({})).await;
    assert_eq!((body(&plain), plain.header("content-type")), (PAYLOAD, "application/json"));
    let (standard, _) = deliver(&world, "/standard", json!({"format": "standard"})).await;
    assert_eq!(
        body(&standard),
        format!(r#"{{"type":"invoice.paid","timestamp":"2027-01-15T08:00:00Z","data":{PAYLOAD}}}"#)
    );
    let (envelope, _) = deliver(&world, "/envelope", json!({"format": "envelope"})).await;
    assert_eq!(
        body(&envelope),
        format!(
            r#"{{"event_time":"2027-01-15T08:00:00Z","event_type":"invoice.paid","current_context":{{"tenant":"t1"}},"data":{PAYLOAD}}}"#
        )
    );
    let (event, id) = deliver(&world, "/cloudevents", json!({"format": "cloudevents"})).await;
    assert_eq!(event.header("content-type"), "application/cloudevents+json");
    assert_eq!(
        body(&event),
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"https://posthaste.test","type":"invoice.paid","time":"2027-01-15T08:00:00Z","datacontenttype":"application/json","data":{PAYLOAD}}}"#
        )
    );
    let (binary, id) = deliver(&world, "/binary", json!({"format": "cloudevents-binary"})).await;
    assert_eq!((body(&binary), binary.header("content-type")), (PAYLOAD, "application/json"));
    let attributes =
        ["ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time"].map(|name| binary.header(name));
    assert_eq!(attributes, ["1.0", &*id, "https://posthaste.test", "invoice.paid", "2027-01-15T08:00:00Z"]);
    world.stop().await;
}

async fn the_content_type_chooses_how_a_body_is_written(store: Store) {
    let world = World::start(store).await;
    let form = "application/x-www-form-urlencoded";
    let (received, _) = deliver(&world, "/form", json!({"contentType": form})).await;
    assert_eq!(received.header("content-type"), form);
    assert_eq!(
        body(&received),
        "z=1.10&user%5Bname%5D=Ann+%3C%26%3E&user%5Bmail%5D=a%40b.c&big=12345678901234567890123\
         &tags%5B0%5D=a&tags%5B1%5D=b&none="
    );
    let (received, _) =
        deliver(&world, "/xml", json!({"contentType": "application/xml", "format": "standard"})).await;
    assert_eq!(
        body(&received),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><event><type>invoice.paid</type>\
         <timestamp>2027-01-15T08:00:00Z</timestamp><data><z>1.10</z><user><name>Ann &lt;&amp;&gt;</name>\
         <mail>a@b.c</mail></user><big>12345678901234567890123</big><tags><item>a</item><item>b</item></tags>\
         <none nil=\"true\"/></data></event>"
    );
    let (received, _) = deliver(&world, "/text", json!({"contentType": "text/plain; charset=utf-8"})).await;
    assert_eq!((body(&received), received.header("content-type")), (PAYLOAD, "text/plain; charset=utf-8"));
    world.stop().await;
}

async fn only_the_chosen_fields_are_sent(store: Store) {
    let world = World::start(store).await;
    let (received, _) = deliver(&world, "/fields", json!({"fields": ["user.name", "$.big"]})).await;
    assert_eq!(body(&received), r#"{"user":{"name":"Ann <&>"},"big":12345678901234567890123}"#);
    world.stop().await;
}

async fn a_template_makes_the_body(store: Store) {
    let world = World::start(store).await;
    let template = "{{ type }}: {{ data.user.name }} pays {{ data.z }} ({{ context.tenant }})";
    let options = json!({"template": template, "contentType": "text/plain"});
    let (received, _) = deliver(&world, "/text", options).await;
    assert_eq!(body(&received), "invoice.paid: Ann <&> pays 1.1 (t1)");
    let template = json!({"who": "{{ data.user.name }}", "tags": "{{ data.tags }}", "kind": "x-{{ type }}"});
    let (received, _) = deliver(&world, "/json", json!({"template": template})).await;
    assert_eq!(body(&received), r#"{"who":"Ann <&>","tags":["a","b"],"kind":"x-invoice.paid"}"#);
    world.stop().await;
}

async fn a_slack_channel_gets_a_text_from_the_template_or_a_sensible_one(store: Store) {
    let world = World::start(store).await;
    let (received, _) =
        deliver(&world, "/default", json!({"type": "slack", "fields": ["user.name", "z"]})).await;
    assert_eq!(
        body(&received),
        r#"{"text":"*invoice.paid*\n• z: 1.10\n• user: {\"name\":\"Ann &lt;&amp;&gt;\"}"}"#
    );
    let options = json!({"format": "slack", "template": "{{ data.user.name|e }} \"paid\""});
    let (received, _) = deliver(&world, "/text", options).await;
    assert_eq!(body(&received), r#"{"text":"Ann &lt;&amp;&gt; \"paid\""}"#);
    let blocks = json!({"text": "paid", "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*{{ type }}*"}}]});
    let (received, _) = deliver(&world, "/blocks", json!({"format": "slack", "template": blocks})).await;
    assert_eq!(
        body(&received),
        r#"{"text":"paid","blocks":[{"type":"section","text":{"type":"mrkdwn","text":"*invoice.paid*"}}]}"#
    );
    world.stop().await;
}

async fn each_method_is_sent_and_get_carries_the_event_in_its_query(store: Store) {
    let world = World::start(store).await;
    for method in ["PUT", "PATCH", "DELETE"] {
        let (received, _) = deliver(&world, &format!("/{method}"), json!({"method": method})).await;
        assert_eq!((received.method.as_str(), body(&received)), (method, PAYLOAD));
    }
    let (received, id) = deliver(&world, "/get", json!({"method": "GET", "fields": ["tags"]})).await;
    assert_eq!((received.method.as_str(), body(&received)), ("GET", ""));
    assert_eq!(
        received.target,
        format!(
            "/get?event_id={id}&event_type=invoice.paid&event_time=2027-01-15T08%3A00%3A00Z&tags%5B0%5D=a&tags%5B1%5D=b"
        )
    );
    let absent = ["content-type", "content-length"].map(|name| received.headers.contains_key(name));
    assert_eq!((received.header("x-event-type"), absent), ("invoice.paid", [false, false]));
    let attempts = world.wait_for_attempts(&id, 1).await;
    assert_eq!(attempts[0]["url"], world.receiver.url("/get"), "what was sent stands in the message alone");
    world.stop().await;
}

async fn a_raw_payload_is_sent_as_it_is_where_there_is_a_body(store: Store) {
    let world = World::start(store).await;
    let raw = json!({"eventType": "invoice.paid", "payload": {}, "transformationsParams": {"rawPayload": "<as it is>"}});
    let binary = json!({"url": world.receiver.url("/binary"), "format": "cloudevents-binary"});
    let binary = world.endpoint_with(&binary).await;
    world.send_with(&raw).await;
    let received = world.receiver.wait_for_path("/binary", 1, WITHIN).await.remove(0);
    assert_eq!((body(&received), received.header("ce-type")), ("<as it is>", "invoice.paid"));
    world.of_application("DELETE", &format!("/endpoint/{binary}"), &Value::Null).await;
    world.endpoint_with(&json!({"url": world.receiver.url("/get"), "method": "GET"})).await;
    let message = world.send_with(&raw).await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert!(text(&attempts[0]["response"]).contains("GET requests have none"), "{}", attempts[0]);
    assert!(world.arrived("/get").is_empty());
    world.stop().await;
}

async fn a_text_that_was_cut_within_a_character_can_be_shaped(store: Store) {
    let world = World::start(store).await;
    let options = [
        ("/form", json!({"contentType": "application/x-www-form-urlencoded"}), "t=a%EF%BF%BD"),
        (
            "/xml",
            json!({"contentType": "application/xml", "filter": "data.t.startsWith('a')"}),
            "<t>a\u{fffd}</t>",
        ),
        ("/fields", json!({"fields": ["t"]}), "{\"t\":\"a\u{fffd}\"}"),
        ("/template", json!({"template": "{{ data.t }}", "contentType": "text/plain"}), "a\u{fffd}"),
        ("/raw", json!({}), r#"{"t":"a\ud83d"}"#),
    ];
    for (path, mut options, expected) in options {
        options["url"] = json!(world.receiver.url(path));
        let endpoint = world.endpoint_with(&options).await;
        world.send_text(r#"{"eventType":"invoice.paid","payload":{"t":"a\ud83d"}}"#).await;
        let received = world.receiver.wait_for_path(path, 1, WITHIN).await.remove(0);
        assert!(body(&received).contains(expected), "{path}: {}", body(&received));
        world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    }
    world.stop().await;
}

async fn a_transformation_sees_no_credentials_and_sets_headers_however_they_are_written(store: Store) {
    let world = World::start(store).await;
    let code =
        "function handler(w) { w.payload = { ...w.headers }; w.headers['x-own'] = 'changed'; return w }";
    let options = json!({
        "url": world.receiver.url("/script"), "transformation": code,
        "headers": {"X-Own": "1", "X-Source": "endpoint", "Authorization": "Bearer s3cret"},
    });
    world.endpoint_with(&options).await;
    let params = json!({"headers": {"x-source": "message", "X-Api-Token": "k3y"}});
    world.send_with(&json!({"eventType": "a.b", "payload": {}, "transformationsParams": params})).await;
    let received = world.receiver.wait_for_path("/script", 1, WITHIN).await.remove(0);
    assert_eq!(body(&received), r#"{"X-Own":"1","x-source":"message"}"#);
    let sent = ["x-own", "x-source", "authorization", "x-api-token"].map(|name| received.header(name));
    assert_eq!(sent, ["changed", "message", "Bearer s3cret", "k3y"]);
    world.stop().await;
}

async fn event_headers_can_be_left_out(store: Store) {
    let world = World::start(store).await;
    let (received, _) = deliver(&world, "/with", json!({})).await;
    assert_eq!(
        (received.header("x-event-type"), received.header("x-event-origin")),
        ("invoice.paid", "posthaste.test")
    );
    let (received, _) = deliver(&world, "/without", json!({"eventHeaders": false})).await;
    let there = ["x-event-type", "x-event-origin"].map(|name| received.headers.contains_key(name));
    assert_eq!(there, [false, false]);
    world.stop().await;
}

async fn a_transformation_changes_all_of_a_request_or_cancels_it(store: Store) {
    let world = World::start(store).await;
    let code = "function handler(webhook) {
        if (webhook.payload.user.name !== 'Ann <&>') throw new Error('who?');
        webhook.method = 'PUT';
        webhook.url = webhook.url.replace('/script', '/elsewhere');
        webhook.headers['X-Tenant'] = webhook.context.tenant;
        webhook.payload = { type: webhook.eventType, at: new Date().getTime() };
        return webhook;
    }";
    let url = world.receiver.url("/script");
    world.endpoint_with(&json!({"url": url, "transformation": code, "headers": {"X-Own": "1"}})).await;
    let message = world
        .send_text(&format!(
            r#"{{"eventType":"invoice.paid","payload":{PAYLOAD},"context":{{"tenant":"t1"}}}}"#
        ))
        .await;
    let received = world.receiver.wait_for_path("/elsewhere", 1, WITHIN).await.remove(0);
    assert_eq!(received.method.as_str(), "PUT");
    assert_eq!(body(&received), r#"{"type":"invoice.paid","at":1800000000000}"#);
    assert_eq!((received.header("x-tenant"), received.header("x-own")), ("t1", "1"));
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert!(text(&attempts[0]["url"]).ends_with("/elsewhere"), "{}", attempts[0]);
    world.stop().await;
}

each_store!(
    each_format_makes_its_own_bytes,
    the_content_type_chooses_how_a_body_is_written,
    only_the_chosen_fields_are_sent,
    a_template_makes_the_body,
    a_slack_channel_gets_a_text_from_the_template_or_a_sensible_one,
    each_method_is_sent_and_get_carries_the_event_in_its_query,
    a_raw_payload_is_sent_as_it_is_where_there_is_a_body,
    a_text_that_was_cut_within_a_character_can_be_shaped,
    a_transformation_sees_no_credentials_and_sets_headers_however_they_are_written,
    event_headers_can_be_left_out,
    a_transformation_changes_all_of_a_request_or_cancels_it,
);
