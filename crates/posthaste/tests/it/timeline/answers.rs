//! Timelines that the receiver's answers make: the schedule, `Retry-After`, `webhook-delivery`, redirects.

use super::Story;
use crate::server::{START, Store, World, eventually};
use domain::retry::Schedule;
use insta::assert_snapshot;
use serde_json::Value;
use testkit::Answer;

async fn the_default_schedule_goes_to_exhaustion(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/down", Answer::status(503));
    let endpoint = world.endpoint("/down").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:06 attempt 2 503 retry in ~5m
    00:06:06 attempt 3 503 retry in ~30m
    00:42:06 attempt 4 503 retry in ~2h
    03:06:06 attempt 5 503 retry in ~5h
    09:06:06 attempt 6 503 retry in ~10h
    21:06:06 attempt 7 503 retry in ~10h
    33:06:06 attempt 8 503 given up
    ");
    drop(story);
    world.stop().await;
}

async fn a_success_at_the_third_try_ends_it(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/mends", Answer::status(503));
    world.receiver.answer("/mends", Answer::status(500));
    let endpoint = world.endpoint("/mends").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:06 attempt 2 500 retry in ~5m
    00:06:06 attempt 3 200 delivered
    ");
    let ids: Vec<_> = world.arrived("/mends").iter().map(|r| r.header("webhook-id").to_owned()).collect();
    assert_eq!(ids, [story.message.as_str(); 3], "the id is the same on every try");
    drop(story);
    world.stop().await;
}

async fn a_retry_is_not_sent_before_the_near_end_of_its_jitter(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/down", Answer::status(503));
    let endpoint = world.endpoint("/down").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    world.clock.advance_ms(3_999);
    world.fence().await;
    assert_eq!(world.arrived("/down").len(), 1, "four fifths of 5 s are not over");
    world.clock.advance_ms(2_001);
    story.attempt().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:06 attempt 2 200 delivered
    ");
    drop(story);
    world.stop().await;
}

async fn retry_after_puts_the_next_try_off_and_never_forward(store: Store) {
    let world = World::start(store).await;
    for asked in ["120", "1", "Fri, 15 Jan 2027 20:00:00 GMT", "172800", "soon"] {
        world.receiver.answer("/busy", Answer::status(429).header("retry-after", asked));
    }
    let endpoint = world.endpoint("/busy").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 429 retry in 2m
    00:02:00 attempt 2 429 retry in ~5m
    00:08:00 attempt 3 429 retry in 11h 52m
    12:00:00 attempt 4 429 retry in 24h
    36:00:00 attempt 5 429 retry in ~5h
    42:00:00 attempt 6 200 delivered
    ");
    drop(story);
    world.stop().await;
}

async fn every_status_but_2xx_is_tried_again(store: Store) {
    let world = World::start(store).await;
    for status in [410, 404, 500, 304, 204] {
        world.receiver.answer("/mixed", Answer::status(status));
    }
    let endpoint = world.endpoint("/mixed").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 410 retry in ~5s
    00:00:06 attempt 2 404 retry in ~5m
    00:06:06 attempt 3 500 retry in ~30m
    00:42:06 attempt 4 304 retry in ~2h
    03:06:06 attempt 5 204 delivered
    ");
    drop(story);
    world.stop().await;
}

async fn a_redirect_is_a_failure_and_is_not_followed(store: Store) {
    let world =
        World::with((store, START), |config| config.schedule = Schedule::new(vec![]).expect("a schedule"))
            .await;
    let to = world.receiver.url("/elsewhere");
    world.receiver.answer_always("/moved", Answer::status(302).header("location", &to).body("gone there"));
    let endpoint = world.endpoint("/moved").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"00:00:00 attempt 1 302 given up");
    assert_eq!(world.attempts(&story.message).await[0]["response"], "gone there");
    assert_eq!(world.receiver.requests().len(), 1);
    drop(story);
    world.stop().await;
}

async fn an_empty_schedule_is_a_single_try(store: Store) {
    let world =
        World::with((store, START), |config| config.schedule = Schedule::new(vec![]).expect("a schedule"))
            .await;
    world.receiver.answer_always("/down", Answer::status(503).header("retry-after", "60"));
    let endpoint = world.endpoint("/down").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"00:00:00 attempt 1 503 given up");
    drop(story);
    world.stop().await;
}

async fn a_receiver_can_end_one_message(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/refuses", Answer::status(422).header("webhook-delivery", "abort-message"));
    let endpoint = world.endpoint("/refuses").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"00:00:00 attempt 1 422 given up");
    let mut later = Story::begin(&world, &endpoint).await;
    later.finish().await;
    assert_snapshot!(later, @"00:00:00 attempt 1 200 delivered");
    drop((story, later));
    world.stop().await;
}

async fn a_receiver_can_switch_its_endpoint_off(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/leaves", Answer::status(410).header("webhook-delivery", "disable"));
    let endpoint = world.endpoint("/leaves").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    assert_snapshot!(story, @"00:00:00 attempt 1 410 given up");
    let path = format!("/endpoint/{endpoint}");
    let disabled = eventually("the endpoint to be disabled", async || {
        let found = world.of_application("GET", &path, &Value::Null).await;
        (found["disabled"] == true).then_some(found)
    })
    .await;
    assert_eq!(
        disabled["disabledReason"],
        "the receiver asked for it with the header `webhook-delivery: disable`"
    );
    let mut later = Story::begin(&world, &endpoint).await;
    later.state().await;
    assert_snapshot!(later, @"00:00:00 is canceled (attempts: 0)");
    assert_eq!(world.receiver.requests().len(), 1);
    drop((story, later));
    world.stop().await;
}

each_store!(
    the_default_schedule_goes_to_exhaustion,
    a_success_at_the_third_try_ends_it,
    a_retry_is_not_sent_before_the_near_end_of_its_jitter,
    retry_after_puts_the_next_try_off_and_never_forward,
    every_status_but_2xx_is_tried_again,
    a_redirect_is_a_failure_and_is_not_followed,
    an_empty_schedule_is_a_single_try,
    a_receiver_can_end_one_message,
    a_receiver_can_switch_its_endpoint_off,
);
