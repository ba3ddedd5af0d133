//! Every page, in a real browser: nothing that shuts anybody out, nothing that jumps, nothing in the browser's log.

use super::signed_in;
use crate::server::{START, Store, World, text};
use domain::environment::ENVIRONMENT_DEFAULT;
use serde_json::{Value, json};
use testkit::{Answer, Chromium, key};

/// Bytes that a page may bring, its styles and scripts included, when none of it is there yet.
const TRANSFERRED_MAX: f64 = 100_000.0;

/// A world whose docs anybody may read.
async fn with_docs(store: Store) -> World {
    World::with((store, START), |config| config.public_docs = true).await
}

/// Pages with something on each.
async fn pages(world: &World) -> Vec<(&'static str, String)> {
    let (good, bad, message, attempt) = something_to_see(world).await;
    let app = format!("/app/{}", world.application);
    let (webhook, instance) =
        (format!("{app}/endpoint/{good}"), format!("/environment/{ENVIRONMENT_DEFAULT}"));
    vec![
        ("log-in", "/login".to_owned()),
        ("forgotten password", "/forgot".to_owned()),
        ("overview of the instance", format!("{instance}/overview?period=week")),
        ("applications", format!("{instance}/application")),
        ("applications found", format!("{instance}/application?find=acm")),
        ("new application", format!("{instance}/application/new")),
        ("members of the instance", format!("{instance}/member")),
        ("overview", format!("{app}/overview")),
        ("webhooks", format!("{app}/endpoint")),
        ("new webhook", format!("{app}/endpoint/new")),
        ("webhook", webhook.clone()),
        ("webhook that fails", format!("{app}/endpoint/{bad}")),
        ("settings", format!("{webhook}/settings")),
        ("verification", format!("{webhook}/verify")),
        ("transformation", format!("{webhook}/transformation")),
        ("headers", format!("{webhook}/headers")),
        ("check", format!("{webhook}/check")),
        ("disable", format!("{webhook}/disable")),
        ("enable", format!("{webhook}/enable")),
        ("delete", format!("{webhook}/delete")),
        ("test", format!("{webhook}/test")),
        ("rotate", format!("{webhook}/rotate")),
        ("send again", format!("{webhook}/recover")),
        ("events", format!("{app}/event-type")),
        ("event", format!("{app}/event-type/invoice.paid")),
        ("logs", format!("{app}/log")),
        ("nothing in the log", format!("{app}/log?event=nothing")),
        ("message", format!("{app}/msg/{message}")),
        ("attempt", format!("{app}/msg/{message}/attempt/{}", attempt)),
        ("members", format!("{app}/member")),
        ("application", format!("{app}/settings")),
        ("notifications", format!("{app}/settings/notifications")),
        ("keys of an application", format!("{app}/settings/keys")),
        ("deleting an application", format!("{app}/delete")),
        ("docs", format!("{app}/docs")),
        ("docs for anybody", format!("/docs/{ENVIRONMENT_DEFAULT}")),
        ("environment", format!("{instance}/settings")),
        ("keys", format!("{instance}/keys")),
        ("catalogue", format!("{instance}/event-type")),
        ("event of the catalogue", format!("{instance}/event-type/invoice.paid")),
        ("new event type", format!("{instance}/event-type/new")),
        ("event type", format!("{instance}/event-type/invoice.paid/edit")),
        ("audit log", format!("{app}/audit")),
        ("audit log of the instance", format!("{instance}/audit")),
        ("nothing in the audit log", format!("{app}/audit?who=nobody")),
        ("account", "/account".to_owned()),
        ("second factor", "/account/totp".to_owned()),
    ]
}

/// A webhook that works, one that fails, a message to both, and the id of one of its attempts.
async fn something_to_see(world: &World) -> (String, String, String, String) {
    let schema = json!({"1": {
        "type": "object", "required": ["amount"],
        "properties": {"amount": {"type": "number", "description": "In euro."}, "to": {"properties": {"id": {"type": "string"}}}},
        "examples": [{"amount": 1}],
    }});
    let event_type = json!({"name": "invoice.paid", "description": "It is paid.", "schemas": schema});
    world.call("POST", "/api/v1/event-type", &event_type).await;
    world.receiver.answer_always("/bad", Answer::status(500).body("oh no"));
    let url = world.receiver.url("/hook");
    let good = json!({"url": url, "name": "Orders", "headers": {"X-Team": "orders"}, "routes": [{"eventType": "invoice.paid", "url": url}]});
    let good = world.endpoint_with(&good).await;
    let bad = world.endpoint("/bad").await;
    let message = world
        .send_with(&json!({"eventType": "invoice.paid", "payload": {"amount": 1}, "tags": ["eu"]}))
        .await;
    let attempts = world.wait_for_attempts(&message, 2).await;
    world.clock.advance_ms(60_000);
    counted(world).await;
    let attempt = text(&attempts[0]["id"]).to_owned();
    (good, bad, message, attempt)
}

/// Waits until the overview has numbers to show.
async fn counted(world: &World) {
    let person = super::Person::of(world, "eve@acme.example", &[super::EVERYWHERE]).await;
    let overview = format!("/app/{}/overview", world.application);
    let shows = async || {
        world.clock.advance_ms(200);
        let page = super::text_of(&person.get(&overview).await);
        (page.contains("<figure") && page.contains("Needs attention")).then_some(())
    };
    crate::server::eventually("the overview", shows).await;
}

/// What shuts anybody out, jumps, is too large, or came from elsewhere.
async fn faults(browser: &Chromium, name: &str, url: &str) -> Vec<String> {
    browser.goto(url).await;
    let mut found = Vec::new();
    for dark in [false, true] {
        browser.dark(dark).await;
        found.extend(browser.axe().await.into_iter().map(|one| format!("{name}, dark {dark}: {one}")));
    }
    let shift = browser.layout_shift().await;
    if shift > 0.01 {
        found.push(format!("{name}: it jumps by {shift}"));
    }
    let wide = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
    for width in [1280, 390] {
        browser.size(width, 800).await;
        let over = browser.script(wide, &[]).await;
        if over.as_f64().unwrap_or(1.0) > 0.0 {
            found.push(format!("{name}: at {width} it is {over} pixels too wide"));
        }
    }
    found.extend(browser.problems().await.into_iter().map(|one| format!("{name}: {one}")));
    found
}

async fn no_page_shuts_anybody_out_jumps_or_complains(store: Store) {
    let world = with_docs(store).await;
    let browser = signed_in(&world).await;
    let mut all = Vec::new();
    for (name, path) in pages(&world).await {
        all.extend(faults(&browser, name, &format!("{}{path}", world.url())).await);
    }
    assert!(all.is_empty(), "{all:#?}");
    world.stop().await;
}

/// The entries of the browser's own book of what it fetched.
const FETCHED: &str = "const all = [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')];
                       return all.map((one) => [one.name, one.transferSize]);";

async fn a_page_is_small_and_comes_from_here_alone(store: Store) {
    let world = with_docs(store).await;
    let browser = signed_in(&world).await;
    browser.cdp("Network.enable", json!({})).await;
    browser.cdp("Network.setCacheDisabled", json!({"cacheDisabled": true})).await;
    for (name, path) in pages(&world).await {
        browser.goto(&format!("{}{path}", world.url())).await;
        let fetched = browser.script(FETCHED, &[]).await;
        let fetched: Vec<_> = fetched
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| (text(&one[0]).to_owned(), one[1].as_f64().expect("bytes")))
            .collect();
        let foreign: Vec<_> = fetched.iter().filter(|(url, _)| !url.starts_with(&world.url())).collect();
        assert!(foreign.is_empty(), "{name}: {foreign:?}");
        let bytes: f64 = fetched.iter().map(|(_, bytes)| bytes).sum();
        assert!(fetched.len() >= 3 && bytes > 3_000.0, "{name}: {fetched:?}");
        assert!(bytes <= TRANSFERRED_MAX, "{name}: {bytes} bytes: {fetched:?}");
    }
    world.stop().await;
}

async fn everything_is_reached_by_keyboard(store: Store) {
    let world = World::start(store).await;
    let browser = signed_in(&world).await;
    browser.goto(&format!("{}/app/{}/endpoint", world.url(), world.application)).await;
    browser.keys(key::TAB).await;
    assert_eq!(browser.active_element().await.text().await, "Skip to the content");
    browser.keys(key::ENTER).await;
    browser.keys(key::TAB).await;
    assert_eq!(browser.active_element().await.text().await, "Create webhook");
    browser.keys(key::ENTER).await;
    browser.wait_for_url_part("/endpoint/new").await;
    browser.field("Callback URL").await.send_keys(&world.receiver.url("/hook")).await;
    browser.keys(key::ENTER).await;
    browser.wait_for_text("Events go to it from now on").await;
    // A question comes as a dialog, which holds the focus, and Escape takes it away.
    browser.link("Delete").await.send_keys(key::ENTER).await;
    browser.wait_for_text("Delete this webhook?").await;
    let is_within = "return document.activeElement.closest('dialog') !== null";
    assert_eq!(browser.script(is_within, &[]).await, true);
    browser.keys(key::ESCAPE).await;
    let is_open = "return document.getElementById('dialog').open";
    assert_eq!(browser.script(is_open, &[]).await, false);
    browser.link("Delete").await.send_keys(key::ENTER).await;
    browser.press("Delete").await;
    browser.wait_for_text("The webhook is deleted").await;
    world.stop().await;
}

async fn without_javascript_a_webhook_is_created_tested_and_deleted(store: Store) {
    let world = World::start(store).await;
    let browser = signed_in(&world).await;
    browser.without_javascript(true).await;
    browser.goto(&format!("{}/app/{}/endpoint/new", world.url(), world.application)).await;
    browser.fill("Callback URL", &world.receiver.url("/hook")).await;
    browser.choose("Authentication", "Bearer token").await;
    browser.fill("Token", "canary-token").await;
    browser.press("Create").await;
    browser.wait_for_text("Events go to it from now on").await;
    browser.follow("Send test").await;
    browser.press("Send").await;
    browser.wait_for_text("The test event is on its way").await;
    let arrived = world.receiver.wait_for_path("/hook", 1, crate::server::WITHIN).await;
    assert_eq!(arrived[0].header("authorization"), "Bearer canary-token");
    browser.follow("Delete").await;
    browser.press("Delete").await;
    browser.wait_for_text("No webhook yet").await;
    let list = world.of_application("GET", "/endpoint", &Value::Null).await;
    assert_eq!(list["data"], json!([]));
    world.stop().await;
}

each_store!(
    no_page_shuts_anybody_out_jumps_or_complains,
    a_page_is_small_and_comes_from_here_alone,
    everything_is_reached_by_keyboard,
    without_javascript_a_webhook_is_created_tested_and_deleted,
);
