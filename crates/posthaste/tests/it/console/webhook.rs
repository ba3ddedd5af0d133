//! What is done with one webhook, by the forms of its pages.

use super::{EVERYWHERE, Person, between, header, text_of};
use crate::server::{Store, WITHIN, World, eventually};
use serde_json::{Value, json};

async fn a_transformation_is_tried_on_a_real_event_before_it_is_saved(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let endpoint = world.endpoint("/hook").await;
    let message = world.send_with(&json!({"eventType": "invoice.paid", "payload": {"amount": 12.50}})).await;
    world.wait_for_attempts(&message, 1).await;
    let path = format!("/app/{}/endpoint/{endpoint}/transformation", world.application);
    let code = "function handler(webhook) { webhook.payload = { cents: webhook.payload.amount * 100 }; return webhook; }";
    let form = [("transformation", code), ("message", &*message), ("try", "yes")];
    let tried = text_of(&ada.post(&path, &form).await);
    assert!(tried.contains("This would be sent; nothing was.") && tried.contains("1250"), "{tried}");
    assert!(tried.contains("12.50"), "the event stands beside it, digit by digit");
    let broken = [("transformation", "function handler(webhook) { nonsense(); }"), form[1], form[2]];
    let told = text_of(&ada.post(&path, &broken).await);
    assert!(told.contains("nonsense"), "{told}");
    let there = world.of_application("GET", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    assert_eq!(there["transformation"], Value::Null, "nothing is saved yet");
    let saved = ada.post(&path, &[("transformation", code), ("transformationEnabled", "on")]).await;
    assert_eq!(saved.status, 303);
    world.send_with(&json!({"eventType": "invoice.paid", "payload": {"amount": 3}})).await;
    let arrived = world.receiver.wait_for_path("/hook", 2, WITHIN).await;
    assert_eq!(arrived[1].json(), json!({"cents": 300}));
    let wrong = ada.post(&path, &[("transformation", "function (")]).await;
    assert!(wrong.status == 422 && text_of(&wrong).contains("function ("), "what was typed is kept");
    world.stop().await;
}

async fn the_settings_of_a_webhook_are_all_there_and_secrets_stay_where_they_are_left_empty(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let given = json!({
        "url": world.receiver.url("/hook"), "name": "Orders", "description": "For the shop", "uid": "orders",
        "method": "PUT", "contentType": "application/vnd.acme+json", "format": "envelope", "fields": ["$.id"],
        "filter": "data.amount > 1", "eventHeaders": false, "maxAttempts": 3, "timeoutSeconds": 7,
        "throttleRate": 9, "throttlePeriod": "minute", "maxInFlight": 1, "ordered": true, "disablePolicy": "never",
        "auth": {"type": "basic", "username": "ada", "password": "canary"}, "channels": ["eu"], "metadata": {"team": "shop"},
        "routes": [{"eventType": "invoice.paid", "url": world.receiver.url("/invoices")}],
        "signatures": ["standard", {"type": "hmac", "key": "mine", "header": "X-Mine", "encoding": "base64", "prefix": "p="}],
    });
    world.call("POST", "/api/v1/event-type", &json!({"name": "invoice.paid", "description": "x"})).await;
    let endpoint = world.endpoint_with(&given).await;
    let path = format!("/app/{}/endpoint/{endpoint}/settings", world.application);
    let before = world.of_application("GET", "/endpoint/orders", &Value::Null).await;
    let page = text_of(&ada.get(&path).await);
    assert!(!page.contains("canary") && !page.contains("\"mine\""), "no secret is in the form");
    // What the form shows, sent back as it is, changes nothing.
    let fields = super::fields_of(&page);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
    let saved = ada.post_as_is(&path, &fields, &[]).await;
    assert_eq!(saved.status, 303, "{}", text_of(&saved));
    let mut after = world.of_application("GET", "/endpoint/orders", &Value::Null).await;
    after["updatedAt"] = before["updatedAt"].clone();
    assert_eq!(after, before);
    let path = format!("/endpoint/{endpoint}/credentials");
    let kept = world.of_application("GET", &path, &Value::Null).await;
    assert_eq!(kept["auth"]["password"], "canary");
    assert_eq!(kept["signatures"][1]["key"], "mine");
    world.stop().await;
}

async fn a_secret_is_shown_to_those_who_ask_and_replaced_with_an_overlap(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let endpoint = world.endpoint("/hook").await;
    let base = format!("/app/{}/endpoint/{endpoint}", world.application);
    assert!(!text_of(&ada.get(&format!("{base}/verify")).await).contains("id=\"secret\""));
    let secret = async || {
        let page = text_of(&ada.post(&format!("{base}/verify"), &[]).await);
        between(&page, "<code id=\"secret\">", "<").expect("a secret").to_owned()
    };
    let first = secret().await;
    let there = world.of_application("GET", &format!("/endpoint/{endpoint}/secret"), &Value::Null).await;
    assert_eq!(there["key"], first);
    let replaced = ada.post(&format!("{base}/rotate"), &[("overlap", "3600")]).await;
    assert_eq!(header(&replaced, "location"), format!("{base}/verify?told=rotated"));
    let page = text_of(&ada.get(&format!("{base}/verify")).await);
    assert!(page.contains("An old secret signs as well") && page.contains("in 1 hour"), "{page}");
    assert_ne!(secret().await, first);
    world.send().await;
    let arrived = world.receiver.wait_for_path("/hook", 1, WITHIN).await;
    assert_eq!(arrived[0].header("webhook-signature").split(' ').count(), 2);
    world.stop().await;
}

async fn headers_are_added_kept_and_taken_away(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let given =
        json!({"url": world.receiver.url("/hook"), "headers": {"X-Team": "shop", "X-Api-Token": "canary"}});
    let endpoint = world.endpoint_with(&given).await;
    let path = format!("/app/{}/endpoint/{endpoint}/headers", world.application);
    let page = text_of(&ada.get(&path).await);
    assert!(page.contains("X-Team: shop") && !page.contains("canary"), "{page}");
    let lines = between(&page, "spellcheck=\"false\" aria-describedby=\"h-headers\">", "<").expect("a field");
    let lines = lines.replace("X-Team: shop", "X-New: 1");
    assert_eq!(ada.post(&path, &[("headers", &*lines)]).await.status, 303);
    world.send().await;
    let arrived = &world.receiver.wait_for_path("/hook", 1, WITHIN).await[0];
    assert_eq!(
        (arrived.header("x-new"), arrived.header("x-api-token"), arrived.header("x-team")),
        ("1", "canary", "")
    );
    let wrong = ada.post(&path, &[("headers", "no colon")]).await;
    assert!(wrong.status == 422 && text_of(&wrong).contains("no colon"));
    world.stop().await;
}

async fn an_attempt_shows_the_very_request_that_was_sent(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let given = json!({
        "url": world.receiver.url("/hook"), "format": "envelope", "auth": {"type": "bearer", "token": "canary"},
        "signatures": ["standard", {"type": "hmac", "key": "mine", "header": "X-Mine"}],
    });
    let endpoint = world.endpoint_with(&given).await;
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    let attempt = crate::server::text(&attempts[0]["id"]).to_owned();
    world.clock.advance_ms(90_000);
    let path = format!("/app/{}/msg/{message}/attempt/{attempt}", world.application);
    let page = text_of(&ada.get(&path).await);
    let shown = super::unescaped(between(&page, "id=\"request\">", "</pre>").expect("a request"));
    let sent = &world.receiver.wait_for_path("/hook", 1, WITHIN).await[0];
    for name in [
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-mine",
        "content-type",
        "x-event-type",
        "user-agent",
    ] {
        assert!(shown.contains(&format!("{name}: {}\n", sent.header(name))), "{name}: {shown}");
    }
    assert!(shown.contains("authorization: …\n") && !page.contains("canary"), "{shown}");
    let body = between(&page, "data-copy=\"", "\"").map(super::unescaped).expect("a body");
    assert_eq!(body.as_bytes(), &sent.body[..]);
    assert!(!page.contains("was changed since"));
    world.change(&endpoint, &json!({"format": "raw"})).await;
    assert!(text_of(&ada.get(&path).await).contains("was changed since"));
    world.stop().await;
}

async fn what_was_delivered_is_sent_again_after_it_was_counted(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let endpoint = world.endpoint("/hook").await;
    world.endpoint("/other").await;
    for _ in 0..2 {
        let message = world.send().await;
        world.wait_for_attempts(&message, 2).await;
    }
    let path = format!("/app/{}/endpoint/{endpoint}/recover", world.application);
    let nothing = text_of(&ada.get(&format!("{path}?kind=failed&hours=24")).await);
    assert!(nothing.contains("There is nothing of that kind."), "{nothing}");
    let counted = text_of(&ada.get(&format!("{path}?kind=delivered&hours=24")).await);
    assert!(counted.contains("2 events are sent to this webhook again."), "{counted}");
    let begun = ada.post(&path, &[("kind", "delivered"), ("hours", "24")]).await;
    assert_eq!(begun.status, 303, "{}", text_of(&begun));
    eventually("both to come again", async || {
        world.clock.advance_ms(500);
        (world.arrived("/hook").len() == 4).then_some(())
    })
    .await;
    assert_eq!(world.arrived("/other").len(), 2, "another webhook gets nothing again");
    world.stop().await;
}

each_store!(
    what_was_delivered_is_sent_again_after_it_was_counted,
    an_attempt_shows_the_very_request_that_was_sent,
    a_transformation_is_tried_on_a_real_event_before_it_is_saved,
    the_settings_of_a_webhook_are_all_there_and_secrets_stay_where_they_are_left_empty,
    a_secret_is_shown_to_those_who_ask_and_replaced_with_an_overlap,
    headers_are_added_kept_and_taken_away,
);
