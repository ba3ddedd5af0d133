//! When, how often and where an endpoint's deliveries go: mappings, filters, retries, deadlines, rates, order.

use crate::server::{Store, WITHIN, World, eventually, text};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Answer;

/// Makes event types, for those who name them.
async fn event_types(world: &World, names: &[&str]) {
    for name in names {
        world.call("POST", "/api/v1/event-type", &json!({"name": name, "description": ""})).await;
    }
}

async fn send(world: &World, event_type: &str, payload: Value) -> String {
    world.send_with(&json!({"eventType": event_type, "payload": payload})).await
}

async fn mapped_event_types_go_to_their_urls_and_no_others_unless_named(store: Store) {
    let world = World::start(store).await;
    event_types(&world, &["a.one", "b.two", "c.three"]).await;
    let routes = json!([
        {"eventType": "a.one", "url": world.receiver.url("/a")},
        {"eventType": "b.two", "url": world.receiver.url("/b")},
    ]);
    let auth = json!({"type": "bearer", "token": "one-for-all"});
    let endpoint = world
        .endpoint_with(&json!({"url": world.receiver.url("/own"), "routes": routes, "auth": auth}))
        .await;
    let first = send(&world, "a.one", json!({})).await;
    send(&world, "b.two", json!({})).await;
    let unmapped = send(&world, "c.three", json!({})).await;
    for path in ["/a", "/b"] {
        let arrived = world.receiver.wait_for_path(path, 1, WITHIN).await;
        assert_eq!(arrived[0].header("authorization"), "Bearer one-for-all");
    }
    assert!(world.destination(&unmapped, &endpoint).await.is_none(), "only the mapped ones");
    let attempts = world.wait_for_attempts(&first, 1).await;
    assert!(text(&attempts[0]["url"]).ends_with("/a"), "{}", attempts[0]);
    world.change(&endpoint, &json!({"eventTypes": ["c.three"]})).await;
    send(&world, "c.three", json!({})).await;
    send(&world, "a.one", json!({})).await;
    world.receiver.wait_for_path("/own", 1, WITHIN).await;
    world.receiver.wait_for_path("/a", 2, WITHIN).await;
    world.stop().await;
}

async fn a_mapping_to_a_forbidden_address_is_refused(store: Store) {
    let world = World::start(store).await;
    event_types(&world, &["a.one"]).await;
    let routes = json!([{"eventType": "a.one", "url": "https://169.254.169.254/latest"}]);
    let refused =
        world.refused("/endpoint", &json!({"url": world.receiver.url("/"), "routes": routes})).await;
    assert_eq!(refused["detail"][0]["loc"], json!(["body", "routes", "[0]", "url"]));
    world.stop().await;
}

async fn only_events_that_the_filter_holds_for_are_sent(store: Store) {
    let world = World::start(store).await;
    let filter = "data.amount > 100 && context.tenant == 't1'";
    let endpoint = world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "filter": filter})).await;
    let message = |amount: Value, tenant: &str| json!({"eventType": "invoice.paid", "payload": {"amount": amount}, "context": {"tenant": tenant}});
    let mut kept = Vec::new();
    for (amount, tenant) in [
        (json!(101), "t1"),
        (json!(100), "t1"),
        (json!(500), "t2"),
        (json!("many"), "t1"),
        (json!(102.5), "t1"),
    ] {
        kept.push(world.send_with(&message(amount, tenant)).await);
    }
    world.send().await;
    let arrived = world.receiver.wait_for_path("/hook", 2, WITHIN).await;
    let mut bodies: Vec<_> = arrived.iter().map(|one| one.json()["amount"].clone()).collect();
    bodies.sort_by(|a, b| a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap()));
    assert_eq!(bodies, [json!(101), json!(102.5)]);
    assert!(world.destination(&kept[1], &endpoint).await.is_none(), "stored, and not for this endpoint");
    world.change(&endpoint, &json!({"filter": null})).await;
    world.send().await;
    world.receiver.wait_for_path("/hook", 3, WITHIN).await;
    world.stop().await;
}

/// The waits between a message's attempts, in whole seconds without their jitter.
async fn waits(world: &World, endpoint: Value, expected: &[i64]) {
    let path = text(&endpoint["path"]).to_owned();
    world.receiver.answer_always(&path, Answer::status(500));
    let mut options = endpoint;
    options["url"] = json!(world.receiver.url(&path));
    options.as_object_mut().unwrap().remove("path");
    let id = world.endpoint_with(&options).await;
    let message = world.send().await;
    for (number, seconds) in expected.iter().enumerate() {
        let count = number + 1;
        let next = eventually("the next try", async || {
            let attempts = world.attempts(&message).await;
            let there = world.destination(&message, &id).await?;
            (attempts.len() == count && there["statusText"] == "pending")
                .then(|| there["nextAttempt"].clone())
        })
        .await;
        let due = domain::clock::Timestamp::parse(text(&next)).unwrap();
        let wait = due.since(domain::clock::Clock::now(&*world.clock));
        let spread = seconds * 200;
        assert!(
            (seconds * 1000 - spread..=seconds * 1000 + spread).contains(&wait),
            "{count}: {wait} ms, not {seconds} s"
        );
        world.clock.advance_ms(wait);
    }
    world.wait_for_state(&message, &id, "fail").await;
    assert_eq!(world.attempts(&message).await.len(), expected.len() + 1);
    world.of_application("DELETE", &format!("/endpoint/{id}"), &Value::Null).await;
}

async fn an_endpoint_says_how_often_and_how_far_apart_it_is_tried(store: Store) {
    let world = World::start(store).await;
    waits(&world, json!({"path": "/none", "maxAttempts": 0}), &[]).await;
    waits(&world, json!({"path": "/two", "maxAttempts": 2}), &[5, 300]).await;
    waits(&world, json!({"path": "/own", "retrySchedule": [7, 70]}), &[7, 70]).await;
    waits(&world, json!({"path": "/more", "retrySchedule": [10], "maxAttempts": 3}), &[10, 10, 10]).await;
    world.stop().await;
}

async fn an_event_types_schedule_goes_before_its_environments(store: Store) {
    let world = World::start(store).await;
    world.call("PATCH", "/api/v1/environment", &json!({"retrySchedule": [13, 130]})).await;
    waits(&world, json!({"path": "/environment"}), &[13, 130]).await;
    event_types(&world, &["invoice.paid"]).await;
    world.call("PATCH", "/api/v1/event-type/invoice.paid", &json!({"retrySchedule": [11]})).await;
    // Event types are kept for two seconds.
    world.clock.advance_ms(2_000);
    waits(&world, json!({"path": "/event-type"}), &[11]).await;
    waits(&world, json!({"path": "/endpoint", "retrySchedule": [7, 70]}), &[7, 70]).await;
    world.call("PATCH", "/api/v1/event-type/invoice.paid", &json!({"retrySchedule": null})).await;
    world.clock.advance_ms(2_000);
    waits(&world, json!({"path": "/again"}), &[13, 130]).await;
    world.stop().await;
}

async fn an_endpoints_own_deadline_ends_a_request(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/slow", Answer::hang());
    world.endpoint_with(&json!({"url": world.receiver.url("/slow"), "timeoutSeconds": 1})).await;
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert!(text(&attempts[0]["response"]).starts_with("timed out after 1."), "{}", attempts[0]);
    world.stop().await;
}

async fn no_stretch_of_time_has_more_requests_than_the_rate(store: Store) {
    let world = World::start(store).await;
    let url = world.receiver.url("/rated");
    let rated = json!({"url": url, "throttleRate": 3, "throttlePeriod": "minute"});
    world.endpoint_with(&rated).await;
    world.endpoint("/free").await;
    for _ in 0..8 {
        world.send().await;
    }
    world.receiver.wait_for_path("/free", 8, WITHIN).await;
    for minute in 1..=3 {
        world.receiver.wait_for_path("/rated", (3 * minute).min(8), WITHIN).await;
        world.fence().await;
        assert_eq!(world.arrived("/rated").len(), (3 * minute).min(8), "in minute {minute}");
        world.clock.advance_ms(59_900);
        world.fence().await;
        assert_eq!(world.arrived("/rated").len(), (3 * minute).min(8), "just before the next one");
        world.clock.advance_ms(200);
    }
    world.stop().await;
}

async fn a_rate_that_is_lifted_holds_nothing_back_any_more(store: Store) {
    let world = World::start(store).await;
    let rated = json!({"url": world.receiver.url("/rated"), "throttleRate": 1, "throttlePeriod": "hour"});
    let endpoint = world.endpoint_with(&rated).await;
    for _ in 0..30 {
        world.send().await;
    }
    world.receiver.wait_for_path("/rated", 1, WITHIN).await;
    world.fence().await;
    assert_eq!(world.arrived("/rated").len(), 1);
    world.of_application("PATCH", &format!("/endpoint/{endpoint}"), &json!({"throttleRate": null})).await;
    world.receiver.wait_for_path("/rated", 30, WITHIN).await;
    world.stop().await;
}

async fn an_applications_rate_is_shared_by_its_endpoints_in_turn(store: Store) {
    let world = World::start(store).await;
    let path = format!("/api/v1/app/{}", world.application);
    world.call("PATCH", &path, &json!({"throttleRate": 1})).await;
    let paths = ["/a", "/b", "/c", "/d"];
    for path in paths {
        world.endpoint(path).await;
    }
    for _ in 0..4 {
        world.send().await;
    }
    let counts = || paths.map(|path| world.arrived(path).len());
    for second in 1..=8 {
        eventually("one more", async || (counts().iter().sum::<usize>() == second).then_some(())).await;
        world.clock.advance_ms(1_001);
    }
    let counts = counts();
    assert!(counts.iter().all(|count| (1..=3).contains(count)), "{counts:?}");
    world.stop().await;
}

async fn an_applications_rate_holds_over_all_its_endpoints(store: Store) {
    let world = World::start(store).await;
    let path = format!("/api/v1/app/{}", world.application);
    world.call("PATCH", &path, &json!({"throttleRate": 2})).await;
    world.endpoint("/one").await;
    world.endpoint("/two").await;
    for _ in 0..2 {
        world.send().await;
    }
    let both = || world.arrived("/one").len() + world.arrived("/two").len();
    for second in 1..=2 {
        eventually("two requests", async || (both() == 2 * second).then_some(())).await;
        world.fence().await;
        assert_eq!(both(), 2 * second);
        world.clock.advance_ms(1_001);
    }
    world.stop().await;
}

async fn no_more_requests_are_in_flight_than_allowed(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/narrow", Answer::status(200).delay(Duration::from_millis(20)));
    world.endpoint_with(&json!({"url": world.receiver.url("/narrow"), "maxInFlight": 2})).await;
    for _ in 0..40 {
        world.send().await;
    }
    world.receiver.wait_for_path("/narrow", 40, WITHIN).await;
    assert!(world.receiver.connections() <= 2, "{} connections", world.receiver.connections());
    world.stop().await;
}

/// Numbers of the messages that got through, in the order in which they did.
fn delivered(world: &World, path: &str) -> Vec<u64> {
    world.arrived(path).iter().map(|one| one.json()["n"].as_u64().unwrap()).collect()
}

async fn an_ordered_endpoint_gets_one_after_the_other_whatever_fails(store: Store) {
    let world = World::start(store).await;
    let options = json!({"url": world.receiver.url("/ordered"), "ordered": true, "retrySchedule": [5, 5]});
    let endpoint = world.endpoint_with(&options).await;
    // The second message fails twice, the third for good.
    for status in [200, 500, 503, 200, 500, 500, 500, 200, 200] {
        world.receiver.answer("/ordered", Answer::status(status));
    }
    let mut messages = Vec::new();
    for number in 1..=5 {
        messages.push(send(&world, "invoice.paid", json!({"n": number})).await);
    }
    let expected = [1, 2, 2, 2, 3, 3, 3, 4, 5];
    for count in 1..=expected.len() {
        eventually("the next request", async || {
            if delivered(&world, "/ordered").len() >= count {
                return Some(());
            }
            world.clock.advance_ms(1_000);
            None
        })
        .await;
    }
    assert_eq!(delivered(&world, "/ordered"), expected);
    world.wait_for_state(&messages[4], &endpoint, "success").await;
    assert_eq!(world.destination(&messages[2], &endpoint).await.unwrap()["statusText"], "fail");
    world.stop().await;
}

async fn a_paused_endpoint_resumes_in_order(store: Store) {
    let world = World::start(store).await;
    let options = json!({"url": world.receiver.url("/paused"), "ordered": true, "paused": true});
    let endpoint = world.endpoint_with(&options).await;
    for number in 1..=20 {
        send(&world, "invoice.paid", json!({"n": number})).await;
    }
    assert_eq!(delivered(&world, "/paused"), [0_u64; 0]);
    world.change(&endpoint, &json!({"paused": false})).await;
    world.receiver.wait_for_path("/paused", 20, WITHIN).await;
    assert_eq!(delivered(&world, "/paused"), (1..=20).collect::<Vec<_>>());
    world.stop().await;
}

async fn what_a_script_cancels_is_a_canceled_delivery(store: Store) {
    let world = World::start(store).await;
    let code = "function handler(w) { w.cancel = w.payload.amount < 10; return w }";
    let endpoint =
        world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "transformation": code})).await;
    let small = send(&world, "invoice.paid", json!({"amount": 1})).await;
    let large = send(&world, "invoice.paid", json!({"amount": 10})).await;
    world.wait_for_state(&large, &endpoint, "success").await;
    world.wait_for_state(&small, &endpoint, "canceled").await;
    assert_eq!((world.arrived("/hook").len(), world.attempts(&small).await.len()), (1, 0));
    world.stop().await;
}

async fn a_script_that_fails_is_an_attempt_with_its_message_and_is_tried_again(store: Store) {
    let world = World::start(store).await;
    let code = "function handler(w) {\n  return w.payload.none.such;\n}";
    let endpoint =
        world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "transformation": code})).await;
    let message = send(&world, "invoice.paid", json!({})).await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert_eq!(attempts[0]["responseStatusCode"], 0);
    assert_eq!(
        text(&attempts[0]["response"]),
        "the transformation failed: TypeError: cannot read property 'such' of undefined (line 2)"
    );
    world.change(&endpoint, &json!({"transformation": "const handler = (w) => w"})).await;
    world.clock.advance_ms(6_000);
    world.wait_for_state(&message, &endpoint, "success").await;
    world.stop().await;
}

async fn scripts_that_never_end_are_ended_and_open_the_breaker(store: Store) {
    let world = World::start(store).await;
    let loops = "function handler(w) { for (;;) {} }";
    // QuickJS looks for its limit nowhere in here: the process goes with it.
    let hangs = "function handler(w) { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); return w }";
    let fine = "const handler = (w) => w";
    for (path, code) in [("/loops", loops), ("/hangs", hangs), ("/fine", fine)] {
        world.endpoint_with(&json!({"url": world.receiver.url(path), "transformation": code})).await;
    }
    // Each weighs as much as a timeout: four open a breaker.
    for _ in 0..4 {
        let message = send(&world, "invoice.paid", json!({})).await;
        let attempts = world.wait_for_attempts(&message, 3).await;
        let mut told: Vec<_> = attempts.iter().map(|one| text(&one["response"]).to_owned()).collect();
        told.sort();
        assert_eq!(told[0], "");
        assert_eq!(told[1..], ["the transformation took longer than 100 ms (script_time_max)"; 2]);
    }
    eventually("both breakers to open", async || {
        world.metrics().await.contains("posthaste_breakers_open 2\n").then_some(())
    })
    .await;
    world.stop().await;
}

each_store!(
    mapped_event_types_go_to_their_urls_and_no_others_unless_named,
    a_mapping_to_a_forbidden_address_is_refused,
    only_events_that_the_filter_holds_for_are_sent,
    an_endpoint_says_how_often_and_how_far_apart_it_is_tried,
    an_event_types_schedule_goes_before_its_environments,
    an_endpoints_own_deadline_ends_a_request,
    no_stretch_of_time_has_more_requests_than_the_rate,
    a_rate_that_is_lifted_holds_nothing_back_any_more,
    an_applications_rate_is_shared_by_its_endpoints_in_turn,
    an_applications_rate_holds_over_all_its_endpoints,
    no_more_requests_are_in_flight_than_allowed,
    an_ordered_endpoint_gets_one_after_the_other_whatever_fails,
    a_paused_endpoint_resumes_in_order,
    what_a_script_cancels_is_a_canceled_delivery,
    a_script_that_fails_is_an_attempt_with_its_message_and_is_tried_again,
    scripts_that_never_end_are_ended_and_open_the_breaker,
);
