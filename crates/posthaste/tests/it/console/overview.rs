//! The overview: what was sent shows in its numbers, exactly, and who needs somebody stands at its top.

use super::{EVERYWHERE, Person, between, text_of};
use crate::server::{Store, World, eventually};
use domain::environment::ENVIRONMENT_DEFAULT;
use serde_json::json;
use testkit::Answer;

const HOUR_MS: i64 = 3_600_000;
/// After this everything is counted with the next tick.
const SETTLED_MS: i64 = 40_000;

/// Name and value of each tile.
fn tiles(page: &str) -> Vec<(String, String)> {
    let tiles = page.split("<div class=\"sheet\"><dt>").skip(1);
    let part = |tile: &str, before, after| between(tile, before, after).unwrap_or_default().to_owned();
    tiles
        .map(|tile| (tile.split("</dt>").next().unwrap_or_default().to_owned(), part(tile, "<b>", "</b>")))
        .collect()
}

/// What the points of the charts say that brought anything.
fn points(page: &str) -> Vec<&str> {
    let words = page.split("<g><title>").skip(1).filter_map(|one| one.split("</title>").next());
    words
        .filter(|words| !words.contains(": 0 ") && !words.contains("nothing") && !words.contains("p50"))
        .collect()
}

/// A page once it has what is looked for; meanwhile time passes, as counting needs it.
async fn shown(world: &World, person: &Person, path: &str, wanted: &str) -> String {
    eventually(&format!("{wanted} on {path}"), async || {
        world.clock.advance_ms(200);
        let page = text_of(&person.get(path).await);
        page.contains(wanted).then_some(page)
    })
    .await
}

/// A tile with this value.
fn tile(name: &str, value: &str) -> String {
    format!("<dt>{name}</dt><dd><b>{value}</b>")
}

async fn what_was_sent_shows_in_the_numbers(store: Store) {
    let world = World::start(store).await;
    let person = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let whole = format!("/environment/{ENVIRONMENT_DEFAULT}/overview");
    let app = format!("/app/{}/overview", world.application);
    for (path, next) in [(&whole, "Make an application"), (&app, "Create webhook")] {
        let page = text_of(&person.get(path).await);
        assert!(page.contains("No events in the last 24 hours") && page.contains(next), "{page}");
        assert!(!page.contains("Needs attention"), "{page}");
    }
    world.endpoint("/good").await;
    world.endpoint_with(&json!({"url": world.receiver.url("/bad"), "maxAttempts": 0})).await;
    for status in [200, 200, 500, 500, 500] {
        world.receiver.answer("/bad", Answer::status(status));
    }
    for nth in 0..5 {
        if nth == 3 {
            world.clock.advance_ms(HOUR_MS);
        }
        let message = world.send().await;
        world.wait_for_attempts(&message, 2).await;
    }
    let other = json!({"name": "Other", "uid": "other"});
    world.call("POST", "/api/v1/app", &other).await;
    world.call("POST", "/api/v1/app/other/msg", &json!({"eventType": "a.b", "payload": {}})).await;
    world.clock.advance_ms(SETTLED_MS);
    let page = shown(&world, &person, &app, &tile("Events accepted", "5")).await;
    let found = tiles(&page);
    let found: Vec<_> = found[..3].iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(found, [("Events accepted", "5"), ("Delivered", "7"), ("Failed attempts", "30.0 %")]);
    assert!(page.contains("3 of 10; 3 given up"), "{page}");
    assert_eq!(
        points(&page),
        [
            "08:00: 3 accepted",
            "09:00: 2 accepted",
            "08:00: 5 delivered, 1 failed",
            "09:00: 2 delivered, 2 failed"
        ]
    );
    for (period, words) in [
        ("week", ["15 Jan, 06:00: 5 accepted", "15 Jan, 06:00: 7 delivered, 3 failed"]),
        ("month", ["15 Jan: 5 accepted", "15 Jan: 7 delivered, 3 failed"]),
    ] {
        let page = text_of(&person.get(&format!("{app}?period={period}")).await);
        assert_eq!(points(&page), words);
    }
    let page = shown(&world, &person, &whole, &tile("Events accepted", "6")).await;
    assert!(page.contains(&tile("Delivered", "7")), "{page}");
    // A day later they have left the shortest period, and are in the next one.
    world.clock.advance_ms(24 * HOUR_MS);
    assert!(text_of(&person.get(&app).await).contains("No events in the last 24 hours"));
    let week = text_of(&person.get(&format!("{app}?period=week")).await);
    assert!(week.contains(&tile("Events accepted", "5")), "{week}");
    world.stop().await;
}

/// The badges of the webhooks that need somebody, in their order, with their applications.
fn needs(page: &str) -> Vec<(String, String)> {
    let table = between(page, "id=\"needs\"", "</table>").unwrap_or_default();
    let rows = table.split("<tr><td>").skip(1);
    rows.map(|row| {
        let part = |before, after| between(row, before, after).unwrap_or_default().to_owned();
        (part("data-label=\"Application\">", "<"), part("<span class=\"badge", "</span>"))
    })
    .collect()
}

async fn who_needs_somebody_stands_at_the_top(store: Store) {
    let world = World::start(store).await;
    let person = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let (whole, app) = (
        format!("/environment/{ENVIRONMENT_DEFAULT}/overview"),
        format!("/app/{}/overview", world.application),
    );
    let paused = world.endpoint_with(&json!({"url": world.receiver.url("/paused"), "paused": true})).await;
    let message = world.send().await;
    world.wait_for_state(&message, &paused, "pending").await;
    world.clock.advance_ms(2 * HOUR_MS);
    world.receiver.answer_always("/failing", Answer::status(503));
    world.receiver.answer("/gone", Answer::status(410).header("webhook-delivery", "disable"));
    world.endpoint("/good").await;
    world.endpoint("/failing").await;
    world.endpoint("/gone").await;
    // By a person: that is no news.
    world.endpoint_with(&json!({"url": world.receiver.url("/off"), "disabled": true})).await;
    let message = world.send().await;
    world.wait_for_attempts(&message, 3).await;
    let of = |application: &str| {
        let words = [" bad\">Disabled by itself", " bad\">Failing", " warn\">Paused"];
        words.map(|word| (application.to_owned(), word.to_owned())).to_vec()
    };
    eventually("all three", async || (needs(&text_of(&person.get(&app).await)) == of("")).then_some(()))
        .await;
    let page = text_of(&person.get(&whole).await);
    assert_eq!(needs(&page), of("Acme"));
    assert!(page.contains("1 time, the last answer: HTTP 503."), "{page}");
    assert!(page.contains("2 hours ago"), "{page}");
    // What works again needs nobody any more.
    world.receiver.answer_always("/failing", Answer::status(200));
    world.clock.advance_ms(10 * 60_000);
    eventually("the end of it", async || {
        (!text_of(&person.get(&app).await).contains("\">Failing<")).then_some(())
    })
    .await;
    world.stop().await;
}

each_store!(what_was_sent_shows_in_the_numbers, who_needs_somebody_stands_at_the_top);
