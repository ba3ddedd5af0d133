//! One bad endpoint hurts only itself: who gets a turn, how many at a time, and what waits for whom.
//!
//! Structure, not time: the tests count requests and connections at the receiver and compare what came with what had
//! not ended yet.

use crate::server::{START, Store, WITHIN, World, eventually};
use domain::retry::Schedule;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Duration;
use testkit::{Answer, Received};

/// Where slow start begins: requests in flight to an endpoint that has never answered.
const SLOW_START: usize = 4;
/// Hanging endpoints.
const HANGING: usize = 50;

fn ids(requests: &[Received]) -> Vec<String> {
    requests.iter().map(|request| request.header("webhook-id").to_owned()).collect()
}

async fn send_many(world: &World, count: usize) -> Vec<String> {
    let mut sent = Vec::with_capacity(count);
    for _ in 0..count {
        sent.push(world.send().await);
        // So that every message is due at a time of its own.
        world.clock.advance_ms(1);
    }
    sent
}

async fn a_healthy_endpoint_gets_everything_while_fifty_others_hang(store: Store) {
    let world = World::start(store).await;
    for index in 0..HANGING {
        let path = format!("/hangs/{index}");
        world.receiver.answer_always(&path, Answer::hang());
        world.endpoint(&path).await;
    }
    let healthy = world.endpoint("/healthy").await;
    let sent = send_many(&world, 40).await;
    let arrived = world.receiver.wait_for_path("/healthy", sent.len(), WITHIN).await;
    assert_eq!(ids(&arrived).into_iter().collect::<HashSet<_>>(), sent.iter().cloned().collect());
    // Every hanging endpoint holds its few connections, and none of its requests has ended yet.
    let all = (HANGING * SLOW_START) as u64;
    eventually("every hanging endpoint to have its share", async || {
        (world.receiver.open_connections() >= all).then_some(())
    })
    .await;
    for index in 0..HANGING {
        assert_eq!(
            world.arrived(&format!("/hangs/{index}")).len(),
            SLOW_START,
            "in flight to /hangs/{index}"
        );
    }
    for message in &sent {
        let attempts = world.wait_for_attempts(message, 1).await;
        assert!(
            attempts.iter().all(|one| one["endpointId"] == healthy),
            "a hanging request has ended: {attempts:?}"
        );
    }
    // The deadline ends them, four timeouts open the breakers, and nothing else is sent to anyone who hangs.
    world
        .receiver
        .wait_until("every request to hang", WITHIN, |all| all.len() >= 40 + HANGING * SLOW_START)
        .await;
    eventually("the hanging requests to end", async || {
        (world.receiver.open_connections() < 40).then_some(())
    })
    .await;
    world.fence().await;
    for index in 0..HANGING {
        assert_eq!(
            world.arrived(&format!("/hangs/{index}")).len(),
            SLOW_START,
            "to /hangs/{index}, breaker open"
        );
    }
    world.stop().await;
}

async fn an_open_breaker_parks_and_one_success_lets_the_backlog_through_oldest_first(store: Store) {
    let world = World::with((store, START), |config| {
        config.schedule = Schedule::new(vec![3_600]).expect("a schedule");
    })
    .await;
    world.receiver.answer_always("/sick", Answer::status(500));
    let endpoint = world.endpoint("/sick").await;
    // Failures one by one, so that nothing else is in flight when the twelfth opens the breaker.
    for _ in 0..12 {
        let message = world.send().await;
        world.wait_for_attempts(&message, 1).await;
    }
    let parked = send_many(&world, 30).await;
    world.clock.advance_ms(9_900);
    world.fence().await;
    assert_eq!(world.arrived("/sick").len(), 12, "nothing is sent before the probe");
    for message in &parked {
        let found = world.destination(message, &endpoint).await.expect("it is listed");
        assert_eq!((&found["statusText"], world.attempts(message).await.len()), (&json!("pending"), 0));
    }
    // The first probe fails and costs its message an attempt; the next one is twice as far away.
    world.clock.advance_ms(200);
    world.receiver.wait_for_path("/sick", 13, WITHIN).await;
    world.wait_for_attempts(&parked[0], 1).await;
    world.clock.advance_ms(19_900);
    world.fence().await;
    assert_eq!(world.arrived("/sick").len(), 13, "one probe at a time");
    world.receiver.answer_always("/sick", Answer::status(200));
    world.clock.advance_ms(200);
    let arrived = world.receiver.wait_for_path("/sick", 13 + parked.len() - 1, WITHIN).await;
    let order = ids(&arrived[12..]);
    assert_eq!(order[0], parked[0], "the first probe is the oldest");
    assert_eq!(order[1], parked[1], "so is the second");
    for (place, id) in order.iter().enumerate() {
        let due = parked.iter().position(|parked| parked == id).expect("one of those parked");
        // Requests in flight beside each other may overtake each other on the way.
        assert!(due.abs_diff(place) <= 2 * SLOW_START, "{id}, {due}th in time, came {place}th");
    }
    world.stop().await;
}

async fn a_change_of_an_endpoint_counts_for_the_very_next_message(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/0").await;
    for round in 1..=20 {
        let path = format!("/{round}");
        world.change(&endpoint, &json!({"url": world.receiver.url(&path)})).await;
        let message = world.send().await;
        let arrived = world.receiver.wait_for(round, WITHIN).await;
        assert_eq!(
            (arrived[round - 1].path.as_str(), arrived[round - 1].header("webhook-id")),
            (&*path, &*message)
        );
    }
    for round in 0..10 {
        world.change(&endpoint, &json!({"disabled": true})).await;
        let message = world.send().await;
        let found = world.destination(&message, &endpoint).await.expect("it is listed");
        assert_eq!(found["statusText"], "canceled", "round {round}");
        world.change(&endpoint, &json!({"disabled": false})).await;
    }
    let created = world.endpoint("/created").await;
    let message = world.send().await;
    assert_eq!(ids(&world.receiver.wait_for_path("/created", 1, WITHIN).await), [message.as_str()]);
    world.of_application("DELETE", &format!("/endpoint/{created}"), &Value::Null).await;
    world.change(&endpoint, &json!({"eventTypes": null, "channels": ["other"]})).await;
    world.send().await;
    world.fence().await;
    assert_eq!(world.arrived("/created").len(), 1, "a deleted endpoint gets nothing");
    assert_eq!(world.arrived("/20").len(), 21 - 20 + 1, "an endpoint of another channel gets nothing");
    world.stop().await;
}

async fn a_graceful_stop_records_what_is_in_flight_and_the_next_process_sends_the_rest(store: Store) {
    let mut world = World::start(store).await;
    world.receiver.answer_always("/slow", Answer::status(200).delay(Duration::from_secs(1)));
    world.endpoint("/slow").await;
    let sent = send_many(&world, 10).await;
    world.receiver.wait_for(SLOW_START, WITHIN).await;
    world.stop_server().await;
    let first = ids(&world.receiver.requests());
    assert_eq!(first, sent[..SLOW_START], "those in flight, in order; the others wait");
    world.receiver.answer_always("/slow", Answer::status(200));
    world.start_again(|_| {}).await;
    for message in &sent[..SLOW_START] {
        let attempts = world.attempts(message).await;
        assert_eq!(attempts.len(), 1, "recorded by the process that sent it");
        assert_eq!(attempts[0]["statusText"], "success");
    }
    world.receiver.wait_for(sent.len(), WITHIN).await;
    for message in &sent {
        assert_eq!(world.wait_for_attempts(message, 1).await.len(), 1);
    }
    world.fence().await;
    let mut all = ids(&world.receiver.requests());
    all.retain(|id| sent.contains(id));
    all.sort_unstable();
    let mut expected = sent.clone();
    expected.sort_unstable();
    assert_eq!(all, expected, "each once");
    world.stop().await;
}

each_store!(
    a_healthy_endpoint_gets_everything_while_fifty_others_hang,
    an_open_breaker_parks_and_one_success_lets_the_backlog_through_oldest_first,
    a_change_of_an_endpoint_counts_for_the_very_next_message,
    a_graceful_stop_records_what_is_in_flight_and_the_next_process_sends_the_rest,
);
