//! A script in every field that anybody can store, and in what receivers answer: it is shown, and never runs.

use super::signed_in;
use crate::server::{Store, World};
use domain::environment::ENVIRONMENT_DEFAULT;
use serde_json::json;
use testkit::Answer;

/// It would leave its mark on the page, in each way that markup has.
const CANARY: &str =
    "\"'></textarea></script><script>window.canary=1</script><img src=x onerror=window.canary=1>";

async fn a_script_in_any_stored_field_never_runs(store: Store) {
    let world = World::start(store).await;
    let schema = json!({"1": {"type": "object", "properties": {(CANARY): {"type": "string", "description": CANARY}}, "examples": [{(CANARY): CANARY}]}});
    let event_type =
        json!({"name": "invoice.paid", "description": CANARY, "groupName": "group", "schemas": schema});
    world.call("POST", "/api/v1/event-type", &event_type).await;
    world.call("PATCH", &format!("/api/v1/app/{}", world.application), &json!({"name": CANARY})).await;
    world.receiver.answer_always("/hook", Answer::status(500).body(CANARY));
    let endpoint = json!({
        "url": world.receiver.url("/hook"), "name": CANARY, "description": CANARY, "metadata": {(CANARY): CANARY},
        "template": CANARY, "transformation": format!("function handler(w) {{ return w; }} // {CANARY}"),
        "headers": {"X-Canary": CANARY}, "eventTypes": ["invoice.paid"], "channels": null,
        "signatures": ["standard", {"type": "hmac", "header": "X-Signature", "prefix": "\"><script>window.canary=1</script>"}],
    });
    let endpoint = world.endpoint_with(&endpoint).await;
    let message = json!({"eventType": "invoice.paid", "payload": {(CANARY): CANARY}, "tags": ["eu"]});
    let message = world.send_with(&message).await;
    world.wait_for_attempts(&message, 1).await;
    let browser = signed_in(&world).await;
    let app = format!("/app/{}", world.application);
    let webhook = format!("{app}/endpoint/{endpoint}");
    let instance = format!("/environment/{ENVIRONMENT_DEFAULT}");
    browser.goto(&format!("{}/account", world.url())).await;
    browser.fill("What you are called", CANARY).await;
    browser.press("Save").await;
    browser.wait_for_text("Your name is changed").await;
    let mut shown = 0;
    for path in [
        format!("{instance}/application"),
        format!("{instance}/application?find=%22%3E%3Cscript%3Ewindow.canary%3D1%3C%2Fscript%3E"),
        format!("{instance}/member"),
        format!("{app}/endpoint"),
        webhook.clone(),
        format!("{webhook}/settings"),
        format!("{webhook}/verify"),
        format!("{webhook}/transformation"),
        format!("{webhook}/headers"),
        format!("{webhook}/delete"),
        format!("{app}/event-type"),
        format!("{app}/event-type/invoice.paid"),
        format!("{app}/log"),
        format!("{app}/log?event=%22%3E%3Cscript%3Ewindow.canary%3D1%3C%2Fscript%3E"),
        format!("{app}/msg/{message}"),
        "/login?next=%22%3E%3Cscript%3Ewindow.canary%3D1%3C%2Fscript%3E".to_owned(),
        "/account".to_owned(),
    ] {
        browser.goto(&format!("{}{path}", world.url())).await;
        assert_eq!(browser.script("return window.canary ?? null", &[]).await, json!(null), "{path}");
        assert!(!browser.exists("img[src=x]").await, "{path}: it became markup");
        let text = browser.script("return document.documentElement.outerHTML", &[]).await;
        shown += usize::from(text.as_str().is_some_and(|text| text.contains("window.canary=1")));
        // A picture that is not there, or a script that is kept from running, would stand here.
        assert_eq!(browser.problems().await, Vec::<String>::new(), "{path}");
    }
    assert!(shown >= 12, "it is shown as text on {shown} pages");
    // What comes later, by itself, is text too.
    browser.goto(&format!("{}{webhook}", world.url())).await;
    let later = json!({"eventType": "invoice.paid", "payload": {(CANARY): CANARY}});
    let later = world.send_with(&later).await;
    browser.wait_for_text(&later).await;
    assert_eq!(browser.script("return window.canary ?? null", &[]).await, json!(null));
    world.stop().await;
}

each_store!(a_script_in_any_stored_field_never_runs);
