//! The log: narrowed down, leafed through, and told as it happens.

use super::{EVERYWHERE, Person, text_of};
use crate::server::{START, Store, World};
use serde_json::json;
use testkit::Answer;

/// The messages that a page lists, by what is in their tags.
fn tags(page: &str) -> Vec<&str> {
    page.split("<span class=\"chip\">").skip(1).filter_map(|rest| rest.split('<').next()).collect()
}

async fn the_log_is_narrowed_down_by_what_an_event_is_and_what_became_of_it(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    world.receiver.answer_always("/bad", Answer::status(503));
    let good = world.endpoint("/good").await;
    let bad = world.endpoint_with(&json!({"url": world.receiver.url("/bad"), "maxAttempts": 0})).await;
    for (tag, event_type) in [("one", "invoice.paid"), ("two", "invoice.paid"), ("three", "customer.created")]
    {
        let message = json!({"eventType": event_type, "payload": {}, "tags": [tag], "channels": ["eu"]});
        let message = world.send_with(&message).await;
        world.wait_for_attempts(&message, 2).await;
        world.clock.advance_ms(2 * 3_600_000);
    }
    let base = format!("/app/{}/log", world.application);
    let listed = async |query: &str| {
        let page = text_of(&ada.get(&format!("{base}?{query}")).await);
        tags(&page).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ["three", "two", "one"]);
    assert_eq!(listed("event=invoice.paid").await, ["two", "one"]);
    assert_eq!(listed("tag=two&channel=eu").await, ["two"]);
    assert_eq!(listed("channel=us").await, [""; 0]);
    assert_eq!(listed("hours=3").await, ["three"]);
    assert_eq!(listed(&format!("webhook={good}&state=delivered")).await, ["three", "two", "one"]);
    assert_eq!(listed(&format!("webhook={good}&state=failed")).await, [""; 0]);
    assert_eq!(listed(&format!("webhook={bad}&state=failed&event=customer.created")).await, ["three"]);
    assert_eq!(listed(&format!("webhook={bad}&code=500")).await, ["three", "two", "one"]);
    assert_eq!(listed(&format!("webhook={bad}&code=200")).await, [""; 0]);
    world.stop().await;
}

async fn a_long_log_is_leafed_through_to_its_end(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    for n in 0..105 {
        let message = json!({"eventType": "invoice.paid", "payload": {}, "tags": [format!("n{n}")]});
        world.send_with(&message).await;
        world.clock.advance_ms(1);
    }
    let mut path = format!("/app/{}/log?event=invoice.paid", world.application);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let page = text_of(&ada.get(&path).await);
        seen.extend(tags(&page).into_iter().map(str::to_owned));
        let next = page
            .split("href=\"")
            .filter_map(|rest| rest.split('"').next())
            .find(|url| url.contains("after="));
        let Some(next) = next else { break };
        path = super::unescaped(next);
    }
    let wanted: Vec<_> = (0..105).rev().map(|n| format!("n{n}")).collect();
    assert_eq!(seen, wanted);
    world.stop().await;
}

async fn a_text_is_found_in_payloads_and_an_id_wherever_it_is(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let mut ids = Vec::new();
    for (tag, name) in [("one", "Zo\u{eb}"), ("two", "<b>Bob</b>")] {
        let message = json!({"eventType": "customer.created", "payload": {"name": name}, "tags": [tag], "eventId": format!("evt-{tag}")});
        ids.push(world.send_with(&message).await);
    }
    let base = format!("/app/{}/log", world.application);
    for (text, found) in [
        ("Zo%C3%AB", vec!["one"]),
        ("%3Cb%3EBob", vec!["two"]),
        ("name", vec!["two", "one"]),
        ("bob", vec![]),
        ("evt-one", vec!["one"]),
    ] {
        let page = text_of(&ada.get(&format!("{base}?text={text}")).await);
        assert_eq!(tags(&page), found, "{text}: {page}");
    }
    let page = text_of(&ada.get(&format!("{base}?text={}", ids[1])).await);
    assert_eq!(tags(&page), ["two"]);
    world.stop().await;
}

async fn what_is_rare_is_looked_for_step_by_step(store: Store) {
    let world = World::with((store, START), |config| config.looked_max = Some(4)).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    for (tag, event_type) in
        [("old", "rare"), ("1", "usual"), ("2", "usual"), ("3", "usual"), ("4", "usual"), ("new", "rare")]
    {
        world.send_with(&json!({"eventType": event_type, "payload": {}, "tags": [tag]})).await;
        world.clock.advance_ms(1);
    }
    let base = format!("/app/{}/log", world.application);
    let first = text_of(&ada.get(&format!("{base}?event=rare")).await);
    assert_eq!(tags(&first), ["new"]);
    assert!(first.contains("Found among 4 events.") && first.contains("Look further back"), "{first}");
    let query =
        super::between(&first, &format!("href=\"{base}?event=rare&#38;after="), "\"").expect("a way back");
    let second = text_of(&ada.get(&format!("{base}?event=rare&after={query}")).await);
    assert_eq!(tags(&second), ["old"]);
    assert!(!second.contains("Look further back"), "{second}");
    let nothing = text_of(&ada.get(&format!("{base}?event=never")).await);
    assert!(
        nothing.contains("4 events were looked through, and none fits. There are older ones."),
        "{nothing}"
    );
    world.stop().await;
}

each_store!(
    a_text_is_found_in_payloads_and_an_id_wherever_it_is,
    what_is_rare_is_looked_for_step_by_step,
    the_log_is_narrowed_down_by_what_an_event_is_and_what_became_of_it,
    a_long_log_is_leafed_through_to_its_end,
);
