//! Endpoints that fail: disabled when it is enough, with the reason told, and mended.

use crate::server::{Store, World, eventually, text};
use crate::tls_receiver::TlsReceiver;
use serde_json::{Value, json};
use testkit::Answer;

/// One message, tried so often at each of so many endpoints; the clock moves past each retry of the default schedule.
async fn tried(world: &World, times: usize, endpoints: usize) -> String {
    const PAST_RETRY_MS: [i64; 2] = [7_000, 400_000];
    let message = world.send().await;
    for (nth, ms) in (1..times).zip(PAST_RETRY_MS) {
        world.wait_for_attempts(&message, nth * endpoints).await;
        world.clock.advance_ms(ms);
    }
    world.wait_for_attempts(&message, times * endpoints).await;
    message
}

async fn endpoint(world: &World, id: &str) -> Value {
    world.of_application("GET", &format!("/endpoint/{id}"), &Value::Null).await
}

async fn disabled(world: &World, id: &str) -> Value {
    eventually("the endpoint to be disabled", async || {
        Some(endpoint(world, id).await).filter(|found| found["disabled"] == true)
    })
    .await
}

/// Waits until what failed so far is judged: another endpoint, that fails later, is.
async fn judged(world: &World) {
    world.receiver.answer("/judged", Answer::status(410).header("webhook-delivery", "disable"));
    let last = world.endpoint("/judged").await;
    world.send().await;
    disabled(world, &last).await;
    world.of_application("DELETE", &format!("/endpoint/{last}"), &Value::Null).await;
}

async fn what_is_not_there_is_disabled_after_three_tries_and_its_events_are_kept(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/hook", Answer::status(404).body("no such page"));
    let id = world.endpoint("/hook").await;
    assert_eq!(endpoint(&world, &id).await["disablePolicy"], "both");
    let message = tried(&world, 3, 1).await;
    let found = disabled(&world, &id).await;
    insta::assert_snapshot!(text(&found["disabledReason"]), @"the last 3 requests in a row, since 2027-01-15T08:00:00Z, ended with: HTTP 404");
    insta::assert_snapshot!(found["disabledAnswer"].to_string(), @r#"{"at":"2027-01-15T08:06:47Z","status":404,"text":"no such page"}"#);
    world.wait_for_state(&message, &id, "canceled").await;
    let later = world.send().await;
    world.wait_for_state(&later, &id, "canceled").await;
    assert_eq!(world.arrived("/hook").len(), 3);
    // Enabled again, it has its tries again.
    let enabled = world.change(&id, &json!({"disabled": false})).await;
    for field in ["disabledReason", "disabledAt", "disabledAnswer"] {
        assert_eq!(enabled[field], Value::Null, "{field}");
    }
    tried(&world, 2, 1).await;
    judged(&world).await;
    assert_eq!(endpoint(&world, &id).await["disabled"], false);
    world.stop().await;
}

async fn a_certificate_that_is_not_believed_disables_too(store: Store) {
    let world = World::start(store).await;
    let receiver = TlsReceiver::start().await;
    let id = world.endpoint_with(&json!({"url": receiver.url("/hook")})).await;
    tried(&world, 3, 1).await;
    let found = disabled(&world, &id).await;
    assert_eq!(found["disabledAnswer"]["status"], 0);
    assert!(text(&found["disabledReason"]).contains("certificate"), "{found}");
    world.stop().await;
}

async fn another_kind_of_failure_or_another_policy_keeps_an_endpoint(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/gone", Answer::status(404));
    world.receiver.answer_always("/busy", Answer::status(503));
    let mut kept = Vec::new();
    for (path, policy) in [("/gone", "never"), ("/gone", "failingFor"), ("/busy", "both")] {
        let asked = json!({"url": world.receiver.url(path), "disablePolicy": policy});
        kept.push(world.endpoint_with(&asked).await);
    }
    tried(&world, 3, 3).await;
    judged(&world).await;
    for id in kept {
        assert_eq!(endpoint(&world, &id).await["disabled"], false, "{id}");
    }
    world.stop().await;
}

async fn a_success_between_makes_failures_count_anew(store: Store) {
    let world = World::start(store).await;
    for status in [404, 404, 200] {
        world.receiver.answer("/hook", Answer::status(status));
    }
    world.receiver.answer_always("/hook", Answer::status(404));
    let id = world.endpoint("/hook").await;
    tried(&world, 3, 1).await;
    tried(&world, 1, 1).await;
    judged(&world).await;
    assert_eq!(endpoint(&world, &id).await["disabled"], false);
    world.stop().await;
}

each_store!(
    what_is_not_there_is_disabled_after_three_tries_and_its_events_are_kept,
    a_certificate_that_is_not_believed_disables_too,
    another_kind_of_failure_or_another_policy_keeps_an_endpoint,
    a_success_between_makes_failures_count_anew,
);
