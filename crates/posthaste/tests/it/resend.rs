//! One message sent again: to all of its endpoints, and counted once by a recovery however often it failed.

use crate::server::{Store, WITHIN, World, text};
use serde_json::{Value, json};
use testkit::Answer;

async fn a_message_arrives_again_at_all_its_endpoints_as_a_run_of_its_own(store: Store) {
    let world = World::start(store).await;
    let (first, second) = (world.endpoint("/first").await, world.endpoint("/second").await);
    let message = world.send().await;
    world.wait_for_attempts(&message, 2).await;
    let later = world.endpoint("/later").await;
    let path = format!("/msg/{message}/resend");
    let (status, sent) = world.answer("POST", &path, &json!({})).await;
    assert_eq!((status, sent), (202, json!({"queued": 2, "skipped": []})));
    let attempts = world.wait_for_attempts(&message, 4).await;
    for endpoint in [&first, &second] {
        let theirs = attempts.iter().filter(|one| one["endpointId"] == **endpoint);
        let triggers: Vec<_> = theirs.map(|one| one["triggerType"].clone()).collect();
        assert_eq!(triggers, [0, 1], "the message itself, and a resend");
    }
    assert!(world.arrived("/later").is_empty());
    let named = json!({"endpoints": [later]});
    assert_eq!(world.of_application("POST", &path, &named).await["queued"], 1);
    let arrived = world.receiver.wait_for_path("/later", 1, WITHIN).await.remove(0);
    assert_eq!(arrived.header("webhook-id"), message);
    world.stop().await;
}

async fn a_message_that_failed_twice_is_counted_and_recovered_once(store: Store) {
    let world = World::start(store).await;
    let start = Value::from(domain::clock::Clock::now(&*world.clock).to_string());
    world.receiver.answer_always("/hook", Answer::status(500));
    let asked = json!({"url": world.receiver.url("/hook"), "maxAttempts": 0});
    let id = world.endpoint_with(&asked).await;
    let message = world.send().await;
    world.wait_for_state(&message, &id, "fail").await;
    world.of_application("POST", &format!("/msg/{message}/resend"), &json!({})).await;
    world.wait_for_attempts(&message, 2).await;
    world.wait_for_state(&message, &id, "fail").await;
    let recover = format!("/endpoint/{id}/recover");
    let asked = json!({"since": start});
    let count = world.of_application("POST", &format!("{recover}?dry_run=true"), &asked).await;
    assert_eq!(count, json!({"messages": 1, "complete": true}));
    let begun = world.of_application("POST", &recover, &asked).await;
    world.clock.advance_ms(3_000);
    world.wait_for_attempts(&message, 3).await;
    world.wait_for_state(&message, &id, "fail").await;
    let task =
        world.call("GET", &format!("/api/v1/background-task/{}", text(&begun["id"])), &Value::Null).await;
    assert_eq!(task["data"]["queued"], 1, "{task}");
    world.stop().await;
}

each_store!(
    a_message_arrives_again_at_all_its_endpoints_as_a_run_of_its_own,
    a_message_that_failed_twice_is_counted_and_recovered_once,
);
