//! Endpoints that fail: disabled when it is enough, with the reason told, and mended.

use crate::server::{Store, WITHIN, World, eventually, text};
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

/// Waits until a background task has ended.
async fn ended(world: &World, id: &str) -> Value {
    eventually("the task to end", async || {
        // What is younger than two seconds is not looked at yet.
        world.clock.advance_ms(500);
        let task = world.call("GET", &format!("/api/v1/background-task/{id}"), &Value::Null).await;
        (task["status"] != "running").then_some(task)
    })
    .await
}

/// What a task would send, before it is begun.
async fn counted(world: &World, path: &str, asked: &Value) -> Value {
    let count = world.of_application("POST", &format!("{path}?dry_run=true"), asked).await;
    assert_eq!(count["complete"], true, "{count}");
    count["messages"].clone()
}

/// Waits until these endpoints' failures are judged: they are told, and so is one more that came after them.
async fn judged(world: &World, ids: &[&str]) {
    for _ in 0..2 {
        let failures = async |id: &str| {
            let told = world.of_application("GET", &format!("/endpoint/{id}/health"), &Value::Null).await;
            told["failures"].as_u64().expect("a number")
        };
        let mut before = Vec::new();
        for id in ids {
            before.push(failures(id).await);
        }
        world.send().await;
        for (id, before) in ids.iter().zip(before) {
            eventually("another failure to be told", async || (failures(id).await > before).then_some(()))
                .await;
        }
    }
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
    judged(&world, &[&id]).await;
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
    judged(&world, &kept.iter().map(String::as_str).collect::<Vec<_>>()).await;
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
    // What ends in the same millisecond as a success counts as before it.
    world.clock.advance_ms(1);
    tried(&world, 1, 1).await;
    judged(&world, &[&id]).await;
    assert_eq!(endpoint(&world, &id).await["disabled"], false);
    world.stop().await;
}

async fn enabled_again_an_endpoint_gets_what_it_missed_in_order(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/hook", Answer::status(410).header("webhook-delivery", "disable"));
    let asked = json!({"url": world.receiver.url("/hook"), "ordered": true});
    let id = world.endpoint_with(&asked).await;
    let first = world.send().await;
    disabled(&world, &id).await;
    let mut sent = vec![first];
    for _ in 0..250 {
        let message = world.send().await;
        world.clock.advance_ms(1);
        sent.push(message);
    }
    world.wait_for_state(&sent[250], &id, "canceled").await;
    let path = format!("/endpoint/{id}/enable");
    for (asked, expected) in [(json!({"recover": "all"}), 251), (json!({"recover": "none"}), 0)] {
        assert_eq!(counted(&world, &path, &asked).await, expected);
        assert_eq!(endpoint(&world, &id).await["disabled"], true);
    }
    let enabled = world.of_application("POST", &path, &json!({"recover": "all"})).await;
    assert_eq!(enabled["endpoint"]["disabled"], false);
    let task = ended(&world, text(&enabled["task"]["id"])).await;
    assert_eq!((&task["status"], &task["data"]["progress"]), (&json!("finished"), &json!(1.0)));
    // The first one failed by the receiver's own wish: it is sent again too.
    assert_eq!(task["data"]["queued"], 251);
    world.receiver.wait_for_path("/hook", 252, WITHIN).await;
    world.wait_for_state(&sent[250], &id, "success").await;
    let arrived: Vec<_> =
        world.arrived("/hook").iter().skip(1).map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(arrived, sent);
    world.stop().await;
}

async fn a_task_goes_on_after_a_restart_and_sends_nothing_twice(store: Store) {
    let mut world = World::start(store).await;
    let asked = json!({"url": world.receiver.url("/hook"), "disabled": true});
    let id = world.endpoint_with(&asked).await;
    let mut sent = Vec::new();
    for _ in 0..350 {
        sent.push(world.send().await);
        world.clock.advance_ms(1);
    }
    let path = format!("/endpoint/{id}/enable");
    let enabled = world.of_application("POST", &path, &json!({"recover": "all"})).await;
    world.stop_server().await;
    world.start_again(|_| {}).await;
    let task = ended(&world, text(&enabled["task"]["id"])).await;
    assert_eq!((&task["status"], &task["data"]["queued"]), (&json!("finished"), &json!(350)));
    world.receiver.wait_for_path("/hook", 350, WITHIN).await;
    world.wait_for_state(&sent[349], &id, "success").await;
    let arrived = world.arrived("/hook");
    let mut ids: Vec<_> = arrived.iter().map(|one| one.header("webhook-id").to_owned()).collect();
    ids.sort_unstable();
    sent.sort_unstable();
    assert_eq!(ids, sent);
    world.stop().await;
}

async fn what_an_endpoint_missed_before_it_was_there_is_replayed_as_it_wants_it(store: Store) {
    let world = World::start(store).await;
    let send = async |amount: u32| {
        let message = json!({"eventType": "invoice.paid", "payload": {"amount": amount}});
        let id = world.send_with(&message).await;
        world.clock.advance_ms(1);
        id
    };
    let start = Value::from(domain::clock::Clock::now(&*world.clock).to_string());
    let (small, large) = (send(1).await, send(100).await);
    let asked = json!({"url": world.receiver.url("/hook"), "filter": "data.amount > 10"});
    let id = world.endpoint_with(&asked).await;
    let later = send(200).await;
    world.wait_for_state(&later, &id, "success").await;
    for queued in [1, 0] {
        let path = format!("/endpoint/{id}/replay-missing");
        assert_eq!(counted(&world, &path, &json!({"since": start})).await, queued);
        let begun = world.of_application("POST", &path, &json!({"since": start})).await;
        assert_eq!(begun["task"], "endpoint.replay");
        let task = ended(&world, text(&begun["id"])).await;
        assert_eq!((&task["data"]["looked"], &task["data"]["queued"]), (&json!(3), &json!(queued)), "{task}");
        world.wait_for_state(&large, &id, "success").await;
    }
    assert_eq!(world.destination(&small, &id).await, None);
    assert_eq!(world.arrived("/hook").len(), 2);
    world.stop().await;
}

async fn a_filter_chooses_what_is_replayed(store: Store) {
    let world = World::start(store).await;
    let start = Value::from(domain::clock::Clock::now(&*world.clock).to_string());
    let id = world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "maxAttempts": 0})).await;
    let mut all = Vec::new();
    for (event_type, status) in [("a.one", 200), ("a.one", 500), ("b.two", 500), ("a.one", 404)] {
        world.receiver.answer("/hook", Answer::status(status));
        let message = world.send_with(&json!({"eventType": event_type, "payload": {}, "tags": ["t"]})).await;
        world.wait_for_attempts(&message, 1).await;
        world.clock.advance_ms(1);
        all.push(message);
    }
    let cases = [
        (json!({"eventTypes": ["a.one"], "status": 2, "statusCodeClass": 500}), vec![1]),
        (json!({"eventTypes": ["b.two"], "tag": "t"}), vec![2]),
        (json!({"tag": "another"}), vec![]),
    ];
    for (mut asked, expected) in cases {
        let before = world.arrived("/hook").len();
        asked["since"] = start.clone();
        let path = format!("/endpoint/{id}/bulk-replay");
        assert_eq!(counted(&world, &path, &asked).await, expected.len());
        let begun = world.of_application("POST", &path, &asked).await;
        let task = ended(&world, text(&begun["id"])).await;
        assert_eq!((&task["status"], &task["data"]["queued"]), (&json!("finished"), &json!(expected.len())));
        world.receiver.wait_for_path("/hook", before + expected.len(), WITHIN).await;
        for index in expected {
            world.wait_for_state(&all[index], &id, "success").await;
        }
    }
    world.stop().await;
}

async fn an_endpoint_that_has_too_much_to_do_is_left_alone_as_a_whole(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/hook", Answer::status(429).header("retry-after", "120"));
    let id = world.endpoint("/hook").await;
    let first = world.send().await;
    world.wait_for_attempts(&first, 1).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(world.send().await);
    }
    world.clock.advance_ms(119_000);
    world.fence().await;
    assert_eq!(world.arrived("/hook").len(), 1);
    for message in &others {
        let found = world.destination(message, &id).await.expect("it is listed");
        assert_eq!((&found["statusText"], world.attempts(message).await.len()), (&json!("pending"), 0));
    }
    world.clock.advance_ms(1_100);
    world.receiver.wait_for_path("/hook", 2, WITHIN).await;
    world.clock.advance_ms(200);
    world.receiver.wait_for_path("/hook", 7, WITHIN).await;
    for message in others.iter().chain([&first]) {
        world.wait_for_state(message, &id, "success").await;
    }
    world.stop().await;
}

async fn how_an_endpoint_fares_is_told(store: Store) {
    let world = World::start(store).await;
    let id = world.endpoint("/hook").await;
    let told = async || world.of_application("GET", &format!("/endpoint/{id}/health"), &Value::Null).await;
    let healthy = json!({"status": "healthy", "failingSince": null, "failures": 0, "lastAnswer": null,
        "breaker": "closed", "nextProbeAt": null, "disabledReason": null, "waiting": 0});
    assert_eq!(told().await, healthy);
    world.receiver.answer("/hook", Answer::status(503).header("retry-after", "60").body("later"));
    world.send().await;
    let failing = eventually("it to be told", async || {
        let found = told().await;
        (found["status"] == "failing").then_some(found)
    })
    .await;
    let answer = json!({"at": "2027-01-15T08:00:00Z", "status": 503, "text": "later"});
    let expected = json!({"status": "failing", "failingSince": "2027-01-15T08:00:00Z", "failures": 1,
        "lastAnswer": answer, "breaker": "open", "nextProbeAt": "2027-01-15T08:01:00Z", "disabledReason": null, "waiting": 1});
    assert_eq!(failing, expected);
    world.clock.advance_ms(61_000);
    eventually("it to work again", async || (told().await == healthy).then_some(())).await;
    world.stop().await;
}

async fn a_mended_endpoint_has_its_tries_again(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/old", Answer::status(404));
    world.receiver.answer_always("/new", Answer::status(404));
    let id = world.endpoint("/old").await;
    tried(&world, 2, 1).await;
    judged(&world, &[&id]).await;
    world.clock.advance_ms(400_000);
    world.change(&id, &json!({"url": world.receiver.url("/new")})).await;
    judged(&world, &[&id]).await;
    assert_eq!(endpoint(&world, &id).await["disabled"], false);
    world.stop().await;
}

async fn a_task_ends_when_its_endpoint_is_disabled(store: Store) {
    let world = World::start(store).await;
    let id = world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "disabled": true})).await;
    world.send().await;
    let start = Value::from(domain::clock::Clock::now(&*world.clock).plus_ms(-1_000).to_string());
    let path = format!("/endpoint/{id}/recover");
    let (status, answer) = world.answer("POST", &path, &json!({"since": start})).await;
    assert_eq!(status, 400, "{answer}");
    world.change(&id, &json!({"disabled": false, "paused": true})).await;
    let begun = world.of_application("POST", &path, &json!({"since": start})).await;
    world.change(&id, &json!({"disabled": true})).await;
    let task = ended(&world, text(&begun["id"])).await;
    // It may have been through before.
    let is_over = task["status"] == "finished" || task["data"]["error"] == "the endpoint was disabled";
    assert!(is_over, "{task}");
    world.stop().await;
}

each_store!(
    enabled_again_an_endpoint_gets_what_it_missed_in_order,
    a_task_goes_on_after_a_restart_and_sends_nothing_twice,
    what_an_endpoint_missed_before_it_was_there_is_replayed_as_it_wants_it,
    a_filter_chooses_what_is_replayed,
    an_endpoint_that_has_too_much_to_do_is_left_alone_as_a_whole,
    how_an_endpoint_fares_is_told,
    a_mended_endpoint_has_its_tries_again,
    a_task_ends_when_its_endpoint_is_disabled,
    what_is_not_there_is_disabled_after_three_tries_and_its_events_are_kept,
    a_certificate_that_is_not_believed_disables_too,
    another_kind_of_failure_or_another_policy_keeps_an_endpoint,
    a_success_between_makes_failures_count_anew,
);
