//! Timelines that people make: resend, deliver later, pause, change, delete, expunge.

use super::Story;
use crate::server::{START, Store, World, text};
use insta::assert_snapshot;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use testkit::Answer;

async fn resend(world: &World, story: &Story<'_>) {
    let path = format!("/msg/{}/endpoint/{}/resend", story.message, story.endpoint);
    world.of_application("POST", &path, &Value::Null).await;
}

async fn a_resend_while_retries_are_pending_leaves_them_as_they_are(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/down", Answer::status(503));
    let endpoint = world.endpoint("/down").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    story.pass();
    story.attempt().await;
    world.clock.advance_ms(60_000);
    resend(&world, &story).await;
    story.note("a person resends");
    story.attempt().await;
    world.receiver.answer_always("/down", Answer::status(204));
    story.finish().await.state().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:06 attempt 2 503 retry in ~5m
    00:01:06 a person resends
    00:01:06 resend 1 503 retry in ~5s
    00:01:12 resend 2 204 and the retry still waits
    00:06:06 attempt 3 204 delivered
    00:06:06 is success (attempts: 5)
    ");
    drop(story);
    world.stop().await;
}

async fn a_resend_after_exhaustion_delivers(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/refuses", Answer::status(400).header("webhook-delivery", "abort-message"));
    let endpoint = world.endpoint("/refuses").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.finish().await;
    world.clock.advance_ms(3_600_000);
    resend(&world, &story).await;
    story.note("a person resends");
    story.attempt().await.state().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 400 given up
    01:00:00 a person resends
    01:00:00 resend 1 200 delivered
    01:00:00 is success (attempts: 2)
    ");
    drop(story);
    world.stop().await;
}

async fn deliver_at_waits_for_its_time(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/later").await;
    let at = START.plus_ms(7_200_000).to_string();
    let mut story = Story::begin_with(&world, &endpoint, json!({"deliverAt": at})).await;
    story.state().await;
    world.clock.advance_ms(7_199_999);
    world.fence().await;
    story.state().await;
    assert_eq!(world.arrived("/later").len(), 0);
    world.clock.advance_ms(1);
    story.attempt().await;
    assert_snapshot!(story, @"
    00:00:00 is pending, due 02:00:00 (attempts: 0)
    01:59:59 is pending, due 02:00:00 (attempts: 0)
    02:00:00 attempt 1 200 delivered
    ");
    drop(story);
    world.stop().await;
}

async fn a_paused_endpoint_keeps_its_messages_until_it_is_resumed(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/slow", Answer::status(503));
    let endpoint = world.endpoint("/slow").await;
    let mut before = Story::begin(&world, &endpoint).await;
    before.attempt().await;
    world.change(&endpoint, &json!({"paused": true})).await;
    before.note("a person pauses the endpoint");
    let mut during = Story::begin(&world, &endpoint).await;
    during.state().await;
    world.clock.advance_ms(3_600_000);
    world.fence().await;
    before.state().await;
    during.state().await;
    assert_eq!(world.arrived("/slow").len(), 1);
    world.change(&endpoint, &json!({"paused": false})).await;
    before.note("a person resumes the endpoint");
    before.attempt().await;
    during.attempt().await;
    assert_snapshot!(before, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 a person pauses the endpoint
    01:00:00 is pending (attempts: 1)
    01:00:00 a person resumes the endpoint
    01:00:00 attempt 2 200 delivered
    ");
    assert_snapshot!(during, @"
    00:00:00 is pending, due 00:00:00 (attempts: 0)
    01:00:00 is pending, due 00:00:00 (attempts: 0)
    01:00:00 attempt 1 200 delivered
    ");
    drop((before, during));
    world.stop().await;
}

async fn the_next_try_uses_the_endpoint_as_it_is_then(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/old", Answer::status(503));
    let endpoint = world.endpoint("/old").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    world.change(&endpoint, &json!({"url": world.receiver.url("/new")})).await;
    let rotate = format!("/endpoint/{endpoint}/secret/rotate");
    world.of_application("POST", &rotate, &json!({"gracePeriodSeconds": 0})).await;
    let secret = world.of_application("GET", &format!("/endpoint/{endpoint}/secret"), &Value::Null).await;
    story.note("a person changes the URL and the secret");
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 a person changes the URL and the secret
    00:00:06 attempt 2 200 delivered
    ");
    let arrived = world.receiver.requests();
    let [first, second] = arrived.as_slice() else { panic!("{} requests", arrived.len()) };
    assert_eq!((first.path.as_str(), second.path.as_str()), ("/old", "/new"));
    let fresh = Webhook::new(text(&secret["key"])).expect("a secret");
    let signed = |request: &testkit::Received| {
        let seconds = request.header("webhook-timestamp").parse().expect("seconds");
        fresh.sign(request.header("webhook-id"), seconds, &request.body).expect("a signature")
    };
    assert_eq!(second.header("webhook-signature"), signed(second));
    assert_ne!(first.header("webhook-signature"), signed(first));
    let attempts = world.attempts(&story.message).await;
    let urls: Vec<_> = attempts.iter().map(|attempt| text(&attempt["url"]).to_owned()).collect();
    assert_eq!(urls, [world.receiver.url("/old"), world.receiver.url("/new")]);
    drop(story);
    world.stop().await;
}

async fn nothing_is_sent_to_an_endpoint_that_was_deleted_while_retrying(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/gone", Answer::status(503));
    let endpoint = world.endpoint("/gone").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    story.note("a person deletes the endpoint");
    story.pass();
    world.fence().await;
    world.clock.advance_ms(86_400_000);
    world.fence().await;
    story.state().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 a person deletes the endpoint
    24:00:06 is not listed (attempts: 1)
    ");
    assert_eq!(world.arrived("/gone").len(), 1);
    drop(story);
    world.stop().await;
}

async fn a_disabled_endpoint_cancels_what_waits_and_a_resend_brings_it_back(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/off", Answer::status(503));
    let endpoint = world.endpoint("/off").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    world.change(&endpoint, &json!({"disabled": true})).await;
    story.note("a person disables the endpoint");
    story.pass();
    world.wait_for_state(&story.message, &endpoint, "canceled").await;
    story.state().await;
    world.change(&endpoint, &json!({"disabled": false})).await;
    world.clock.advance_ms(86_400_000);
    world.fence().await;
    story.state().await;
    assert_eq!(world.arrived("/off").len(), 1, "canceled stays canceled");
    resend(&world, &story).await;
    story.note("a person enables it and resends");
    story.attempt().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 a person disables the endpoint
    00:00:06 is canceled (attempts: 1)
    24:00:06 is canceled (attempts: 1)
    24:00:06 a person enables it and resends
    24:00:06 resend 1 200 delivered
    ");
    drop(story);
    world.stop().await;
}

async fn a_payload_that_is_expunged_between_tries_ends_it_with_a_sentence(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer("/late", Answer::status(503));
    let endpoint = world.endpoint("/late").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    world.of_application("DELETE", &format!("/msg/{}/content", story.message), &Value::Null).await;
    story.note("a person expunges the payload");
    story.pass();
    story.attempt().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 a person expunges the payload
    00:00:06 attempt 2 no answer (the payload was expunged, or past its retention, before it could be delivered) given up
    ");
    assert_eq!(world.arrived("/late").len(), 1, "nothing was sent");
    drop(story);
    world.stop().await;
}

async fn a_restart_between_tries_changes_nothing(store: Store) {
    let mut world = World::start(store).await;
    world.receiver.answer("/down", Answer::status(503));
    world.receiver.answer("/down", Answer::status(503));
    let endpoint = world.endpoint("/down").await;
    let mut story = Story::begin(&world, &endpoint).await;
    story.attempt().await;
    story.note("the server stops and starts");
    let Story { message, sent_at, told, retry, next, lines, .. } = story;
    world.stop_server().await;
    world.start_again(|_| {}).await;
    let mut story = Story { world: &world, message, endpoint, sent_at, told, retry, next, lines };
    story.finish().await;
    assert_snapshot!(story, @"
    00:00:00 attempt 1 503 retry in ~5s
    00:00:00 the server stops and starts
    00:00:06 attempt 2 503 retry in ~5m
    00:06:06 attempt 3 200 delivered
    ");
    drop(story);
    world.stop().await;
}

each_store!(
    a_resend_while_retries_are_pending_leaves_them_as_they_are,
    a_resend_after_exhaustion_delivers,
    deliver_at_waits_for_its_time,
    a_paused_endpoint_keeps_its_messages_until_it_is_resumed,
    the_next_try_uses_the_endpoint_as_it_is_then,
    nothing_is_sent_to_an_endpoint_that_was_deleted_while_retrying,
    a_disabled_endpoint_cancels_what_waits_and_a_resend_brings_it_back,
    a_payload_that_is_expunged_between_tries_ends_it_with_a_sentence,
    a_restart_between_tries_changes_nothing,
);
