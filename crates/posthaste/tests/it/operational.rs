//! Operational webhooks: our user's own back end hears what happens, signed and once, through the engine itself.

use crate::server::{Store, WITHIN, World, eventually, text};
use serde_json::{Value, json};
use testkit::Answer;

const ROOT: &str = "/api/v1/operational-webhook/endpoint";

async fn listens(world: &World, types: &[&str]) -> String {
    let types = if types.is_empty() { Value::Null } else { json!(types) };
    let asked = json!({"url": world.receiver.url("/ops"), "eventTypes": types});
    text(&world.call("POST", ROOT, &asked).await["id"]).to_owned()
}

/// Waits for so many events; their types and data.
async fn heard(world: &World, count: usize) -> Vec<(String, Value)> {
    let events = world.receiver.wait_for_path("/ops", count, WITHIN).await;
    let read = |event: Value| (text(&event["type"]).to_owned(), event["data"].clone());
    events.iter().map(|one| read(one.json())).collect()
}

async fn what_people_do_with_endpoints_is_told(store: Store) {
    let world = World::start(store).await;
    let before = world.endpoint_with(&json!({"url": world.receiver.url("/a"), "uid": "before"})).await;
    listens(&world, &[]).await;
    let id = world.endpoint_with(&json!({"url": world.receiver.url("/a"), "uid": "mine"})).await;
    world.change(&id, &json!({"description": "changed"})).await;
    world.change(&id, &json!({"disabled": true})).await;
    world.of_application("POST", &format!("/endpoint/{id}/enable"), &json!({})).await;
    world.call("DELETE", &format!("/api/v1/app/{}/endpoint/{id}", world.application), &Value::Null).await;
    let events = heard(&world, 7).await;
    let mut types: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    types.sort_unstable();
    let expected = [
        "endpoint.created",
        "endpoint.deleted",
        "endpoint.disabled",
        "endpoint.enabled",
        "endpoint.updated",
        "endpoint.updated",
        "endpoint.updated",
    ];
    assert_eq!(types, expected);
    for (name, data) in &events {
        assert_eq!((&data["appId"], &data["endpointId"]), (&json!(world.application), &json!(id)), "{name}");
        assert_eq!(data["endpointUid"], "mine", "{name}");
    }
    let disabled = events.iter().find(|(name, _)| name == "endpoint.disabled").expect("it was told");
    assert_eq!((&disabled.1["trigger"], &disabled.1["failSince"]), (&json!("manual"), &Value::Null));
    // What a person does is no news for people.
    assert_eq!(world.of_application("GET", "/notice", &Value::Null).await["data"], json!([]));
    assert_ne!(before, id);
    world.stop().await;
}

async fn deliveries_that_fail_are_given_up_or_arrive_after_all_are_told_once(store: Store) {
    let world = World::start(store).await;
    listens(&world, &["message.attempt.failing", "message.attempt.exhausted", "message.attempt.recovered"])
        .await;
    let url = |path: &str| json!({"url": world.receiver.url(path), "retrySchedule": [1, 1, 1, 1]});
    world.receiver.answer_always("/never", Answer::status(500));
    for _ in 0..4 {
        world.receiver.answer("/late", Answer::status(500));
    }
    let (never, late) = (world.endpoint_with(&url("/never")).await, world.endpoint_with(&url("/late")).await);
    let message = world.send_with(&json!({"eventType": "a", "eventId": "mine", "payload": {}})).await;
    for nth in 1..=5 {
        world.wait_for_attempts(&message, 2 * nth).await;
        world.clock.advance_ms(2_000);
    }
    let events = heard(&world, 4).await;
    let attempts = world.attempts(&message).await;
    let told = |name: &str, endpoint: &str| {
        let found: Vec<_> =
            events.iter().filter(|(of, data)| of == name && data["endpointId"] == endpoint).collect();
        assert_eq!(found.len(), 1, "{name} of {endpoint}: {events:?}");
        found[0].1.clone()
    };
    let attempt = |endpoint: &str, nth: usize| {
        let all: Vec<_> = attempts.iter().filter(|one| one["endpointId"] == endpoint).collect();
        json!({"id": all[nth]["id"], "responseStatusCode": all[nth]["responseStatusCode"], "timestamp": all[nth]["timestamp"]})
    };
    for (name, endpoint, nth) in [
        ("message.attempt.failing", &never, 3),
        ("message.attempt.failing", &late, 3),
        ("message.attempt.exhausted", &never, 4),
        ("message.attempt.recovered", &late, 4),
    ] {
        let expected = json!({
            "appId": world.application, "appUid": null, "endpointId": endpoint, "msgId": message, "msgEventId": "mine",
            "lastAttempt": attempt(endpoint, nth),
        });
        assert_eq!(told(name, endpoint), expected, "{name}");
    }
    world.stop().await;
}

async fn what_happens_to_operational_webhooks_themselves_is_told_to_nobody(store: Store) {
    let world = World::start(store).await;
    let id = listens(&world, &[]).await;
    let (status, answer) =
        put(&world, &id, &json!({"url": world.receiver.url("/ops"), "description": "ours"})).await;
    assert_eq!(status, 200, "{answer}");
    world.receiver.answer("/ops", Answer::status(410).header("webhook-delivery", "disable"));
    world.endpoint("/a").await;
    heard(&world, 1).await;
    eventually("it to be disabled", async || {
        let found = world.call("GET", &format!("{ROOT}/{id}"), &Value::Null).await;
        (found["disabled"] == true && found["disabledReason"].is_string()).then_some(())
    })
    .await;
    // Events are kept for it all the same, and it hears of new ones once it is enabled.
    world.endpoint("/b").await;
    world.receiver.answer_always("/ops", Answer::status(200));
    let again = json!({"url": world.receiver.url("/ops"), "disabled": false});
    let (status, answer) = put(&world, &id, &again).await;
    assert_eq!(status, 200, "{answer}");
    world.endpoint("/c").await;
    eventually("the next one", async || (world.arrived("/ops").len() >= 2).then_some(())).await;
    for one in world.arrived("/ops") {
        assert_eq!(one.json()["type"], "endpoint.created");
        assert_ne!(one.json()["data"]["endpointId"], json!(id));
    }
    world.stop().await;
}

async fn put(world: &World, id: &str, body: &Value) -> (u16, Value) {
    let client = testkit::HttpClient::new(world.url());
    client.put(&format!("{ROOT}/{id}"), &world.token, body).await
}

async fn their_application_is_nowhere_to_be_seen(store: Store) {
    let world = World::start(store).await;
    let id = listens(&world, &["endpoint.created"]).await;
    let client = testkit::HttpClient::new(world.url());
    let list = world.call("GET", "/api/v1/app", &Value::Null).await;
    let ids: Vec<_> = list["data"].as_array().expect("a list").iter().map(|one| text(&one["id"])).collect();
    assert_eq!(ids, [&*world.application]);
    let organisation = posthaste::token::ENVIRONMENT_DEFAULT;
    for name in
        [format!("operational:{organisation}"), format!("operational%3A{organisation}"), String::from("%00")]
    {
        for path in [format!("/api/v1/app/{name}"), format!("/api/v1/app/{name}/endpoint/{id}")] {
            assert_eq!(client.get(&path, &world.token).await.0, 404, "{path}");
        }
    }
    let (status, answer) =
        client.get(&format!("/api/v1/app/{}/endpoint/{id}", world.application), &world.token).await;
    assert_eq!(status, 404, "{answer}");
    // Only those who may see the whole environment set them up.
    for asked in [json!({"application": world.application}), json!({"role": "manager"})] {
        let key = world.call("POST", "/api/v1/api-key", &asked).await;
        assert_eq!(client.get(ROOT, text(&key["token"])).await.0, 403, "{asked}");
    }
    let wrong = json!({"url": world.receiver.url("/ops"), "eventTypes": ["endpoint.exploded"]});
    let (status, answer) = client.post(ROOT, &world.token, &wrong).await;
    assert_eq!(status, 422);
    assert!(answer.to_string().contains("`endpoint.exploded` are no operational events"), "{answer}");
    world.stop().await;
}

async fn an_application_can_be_left_out(store: Store) {
    let world = World::start(store).await;
    listens(&world, &["endpoint.created"]).await;
    world.of_application("PATCH", "/notify", &json!({"operationalWebhook": false})).await;
    world.endpoint("/quiet").await;
    let other = world.call("POST", "/api/v1/app", &json!({"name": "Other"})).await;
    let path = format!("/api/v1/app/{}/endpoint", text(&other["id"]));
    world.call("POST", &path, &json!({"url": world.receiver.url("/loud")})).await;
    let events = heard(&world, 1).await;
    assert_eq!(events[0].1["appId"], other["id"]);
    world.fence().await;
    // The fence's own endpoint is told; the quiet one is not.
    let applications: Vec<_> =
        heard(&world, 2).await.into_iter().map(|(_, data)| data["appId"].clone()).collect();
    assert!(!applications.contains(&json!(world.application)), "{applications:?}");
    world.stop().await;
}

each_store!(
    what_people_do_with_endpoints_is_told,
    deliveries_that_fail_are_given_up_or_arrive_after_all_are_told_once,
    what_happens_to_operational_webhooks_themselves_is_told_to_nobody,
    their_application_is_nowhere_to_be_seen,
    an_application_can_be_left_out,
);
