//! A message sent again to all of its endpoints, or to some.

use crate::world::{ORG, OTHER_ORG, World, grant};
use serde_json::{Value, json};

const AGAIN: &str = "/app/customer/msg/once/resend";

/// A world with the endpoints `hook`, `off` (disabled since), `gone` (deleted since), `paused` and, which came later, `late`;
/// and a message that was for all but the last.
async fn world() -> World {
    let world = World::with_endpoint().await;
    let endpoint = async |uid: &str, paused: bool| {
        let new = json!({"url": "https://example.com/in", "uid": uid, "paused": paused});
        assert_eq!(world.post("/app/customer/endpoint", &new.to_string()).await.status, 201);
    };
    for (uid, paused) in [("off", false), ("gone", false), ("paused", true)] {
        endpoint(uid, paused).await;
    }
    let sent =
        world.post("/app/customer/msg", r#"{"eventType":"a.b","payload":{"k":1},"eventId":"once"}"#).await;
    assert_eq!(sent.status, 202);
    endpoint("late", false).await;
    world.patch("/app/customer/endpoint/off", r#"{"disabled":true}"#).await;
    world
}

async fn id(world: &World, uid: &str) -> Value {
    world.get(&format!("/app/customer/endpoint/{uid}")).await.json["id"].clone()
}

#[tokio::test]
async fn a_message_is_sent_again_to_all_that_it_was_for_but_those_that_cannot_get_it() {
    let world = world().await;
    let (off, gone) = (id(&world, "off").await, id(&world, "gone").await);
    world.delete("/app/customer/endpoint/gone").await;
    let skipped = json!([
        {"endpointId": gone, "reason": "It was deleted."},
        {"endpointId": off, "reason": "It is disabled: enable it first."},
    ]);
    for body in ["", "{}", r#"{"endpoints":null}"#] {
        let again = world.post(AGAIN, body).await;
        assert_eq!((again.status, again.json), (202, json!({"queued": 2, "skipped": skipped})), "{body}");
    }
    // Idempotent as other POSTs are.
    let key = [("idempotency-key", "again")];
    let first = world.send(http::Method::POST, AGAIN, &key, "{}").await;
    let second = world.send(http::Method::POST, AGAIN, &key, "{}").await;
    assert_eq!((first.status, first.json), (second.status, second.json));
    // Four times to each, in runs of their own; to nobody else.
    let rows = store::delivery::Deliveries::backlog(&*world.store).await.unwrap().0;
    assert_eq!(rows, 2 * 4 + 1, "the paused endpoint's own delivery waits too");
}

#[tokio::test]
async fn only_those_that_are_named_get_it() {
    let world = world().await;
    let (off, late) = (id(&world, "off").await, id(&world, "late").await);
    let body = json!({"endpoints": ["late", late, "off", off]});
    let again = world.post(AGAIN, &body.to_string()).await;
    let skipped = json!([{"endpointId": off, "reason": "It is disabled: enable it first."}]);
    assert_eq!((again.status, again.json), (202, json!({"queued": 1, "skipped": skipped})));
    let listed = world.get("/app/customer/msg/once/endpoint").await.column("id");
    assert!(listed.contains(&late), "{listed:?}");
}

#[tokio::test]
async fn what_cannot_be_sent_again_is_refused_and_nothing_is_queued() {
    let world = world().await;
    for (body, at) in [
        (json!({"endpoints": []}), "endpoints"),
        (json!({"endpoints": "hook"}), "endpoints"),
        (json!({"endpoints": ["hook", "nobody", "ep_nobody"]}), "endpoints/[1],body/endpoints/[2]"),
        (json!({"endpoints": ["hook", 1]}), "endpoints/[1]"),
    ] {
        let refused = world.post(AGAIN, &body.to_string()).await;
        let (status, wrong) = refused.wrong();
        assert_eq!((status, wrong.join(",")), (422, format!("body/{at}")), "{body}");
    }
    let many: Vec<_> = (0..10_001).map(|n| format!("e{n}")).collect();
    let refused = world.post(AGAIN, &json!({"endpoints": many}).to_string()).await;
    assert!(refused.json.to_string().contains("endpoints_per_application_max"), "{:?}", refused.json);
    assert_eq!(world.post("/app/customer/msg/never/resend", "").await.error(), (404, "not_found"));
    world.delete("/app/customer/msg/once/content").await;
    assert_eq!(world.post(AGAIN, "").await.error(), (400, "generic_error"));
    let rows = store::delivery::Deliveries::backlog(&*world.store).await.unwrap().0;
    assert_eq!(rows, 1, "only the paused endpoint's own");
}

#[tokio::test]
async fn a_message_is_nobody_elses_to_send_again() {
    let world = world().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let other = world.get("/app/other").await.json["id"].as_str().unwrap().to_owned();
    world.post("/app/other/endpoint", r#"{"url":"https://example.com/in","uid":"theirs"}"#).await;
    let refused = world.post(AGAIN, r#"{"endpoints":["theirs"]}"#).await;
    assert_eq!(refused.status, 422);
    for token in [grant(&world.app, OTHER_ORG, None), grant(&world.app, ORG, Some(&other))] {
        let bearer = format!("Bearer {token}");
        let refused = world.send(http::Method::POST, AGAIN, &[("authorization", &bearer)], "").await;
        assert_eq!(refused.status, 404);
    }
}
