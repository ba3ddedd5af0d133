//! Settings of an environment: schemas, retries, header names; and how many requests a credential may make.

use crate::world::{ORG, World, grant};
use serde_json::{Value, json};

const MESSAGES: &str = "/app/customer/msg";

async fn with_schema(world: &World) {
    let schema = json!({"1": {"type": "object"}, "2": {"type": "object", "required": ["id"], "properties": {"lines": {"items": {"type": "number"}}}}});
    let event_type = json!({"name": "invoice.paid", "description": "", "schemas": schema});
    assert_eq!(world.post("/event-type", &event_type.to_string()).await.status, 201);
}

fn message(payload: &Value) -> String {
    json!({"eventType": "invoice.paid", "payload": payload}).to_string()
}

async fn validation(world: &World, word: &str) {
    let changed = world.patch("/environment", &json!({"schemaValidation": word}).to_string()).await;
    assert_eq!((changed.status, &changed.json["schemaValidation"]), (200, &json!(word)));
}

#[tokio::test]
async fn payloads_are_checked_as_their_environment_asks() {
    let world = World::with_application().await;
    with_schema(&world).await;
    let wrong = message(&json!({"lines": [1, "two", null]}));
    let accepted = world.post(MESSAGES, &wrong).await;
    assert_eq!((accepted.status, accepted.json.get("warnings")), (202, None), "off by default");
    validation(&world, "warn").await;
    let warned = world.post(MESSAGES, &wrong).await;
    assert_eq!((warned.status, warned.json["warnings"].as_array().unwrap().len()), (202, 3));
    assert_eq!(world.post(MESSAGES, &message(&json!({"id": 1}))).await.json.get("warnings"), None);
    validation(&world, "enforce").await;
    let refused = world.post(MESSAGES, &wrong).await;
    assert_eq!(
        refused.wrong(),
        (422, ["body/payload", "body/payload/lines/1", "body/payload/lines/2"].map(str::to_owned).to_vec())
    );
    assert_eq!(world.post(MESSAGES, &message(&json!({"id": 1}))).await.status, 202);
    let other = json!({"eventType": "not.in.the.catalogue", "payload": {}}).to_string();
    assert_eq!(world.post(MESSAGES, &other).await.status, 202);
    assert_eq!(
        world.get(MESSAGES).await.json["data"].as_array().unwrap().len(),
        5,
        "what was refused is not stored"
    );
    // A changed schema counts at once.
    let changed = json!({"schemas": {"3": {"type": "object"}}}).to_string();
    assert_eq!(world.patch("/event-type/invoice.paid", &changed).await.status, 200);
    assert_eq!(world.post(MESSAGES, &wrong).await.status, 202);
}

#[tokio::test]
async fn a_refused_payload_makes_no_application_and_what_is_elsewhere_is_never_fetched() {
    let world = World::new();
    with_schema(&world).await;
    validation(&world, "enforce").await;
    let body =
        json!({"eventType": "invoice.paid", "payload": {}, "application": {"name": "New", "uid": "new"}});
    assert_eq!(world.post("/app/new/msg", &body.to_string()).await.status, 422);
    assert_eq!(world.get("/app/new").await.status, 404);
    let remote = json!({"schemas": {"9": {"$ref": "https://example.com/schema.json"}}}).to_string();
    let refused = world.patch("/event-type/invoice.paid", &remote).await;
    assert_eq!(refused.wrong(), (422, vec!["body/schemas/9".to_owned()]));
    assert!(
        refused.json["detail"][0]["msg"].as_str().unwrap().contains("never fetched"),
        "{:?}",
        refused.json
    );
}

#[tokio::test]
async fn settings_are_read_changed_and_checked() {
    let world = World::new();
    let shown = world.get("/environment").await.json;
    let defaults = json!({"id": ORG, "signatureHeaders": "webhook", "schemaValidation": "off", "maxAttempts": null, "retrySchedule": null});
    assert_eq!(shown, defaults);
    for (wrong, place) in [
        (json!({"schemaValidation": "on"}), "schemaValidation"),
        (json!({"signatureHeaders": null}), "signatureHeaders"),
        (json!({"signatureHeaders": "none"}), "signatureHeaders"),
        (json!({"maxAttempts": 26}), "maxAttempts"),
        (json!({"retrySchedule": [604_801]}), "retrySchedule"),
    ] {
        assert_eq!(
            world.patch("/environment", &wrong.to_string()).await.wrong(),
            (422, vec![format!("body/{place}")])
        );
    }
    assert_eq!(world.get("/environment").await.json, defaults);
    let set = json!({"signatureHeaders": "both", "maxAttempts": 3, "retrySchedule": [1, 2]});
    let changed = world.patch("/environment", &set.to_string()).await.json;
    assert_eq!(
        (&changed["signatureHeaders"], &changed["maxAttempts"], &changed["retrySchedule"]),
        (&json!("both"), &json!(3), &json!([1, 2]))
    );
    assert_eq!(world.get("/environment").await.json, changed);
}

#[tokio::test]
async fn an_event_types_retries_stay_when_an_sdk_replaces_it() {
    let world = World::new();
    let made = world
        .post("/event-type", &json!({"name": "a", "description": "", "maxAttempts": 3}).to_string())
        .await;
    assert_eq!(
        (made.status, &made.json["maxAttempts"], &made.json["retrySchedule"]),
        (201, &json!(3), &Value::Null)
    );
    let put = world.put("/event-type/a", r#"{"description":"new"}"#).await;
    assert_eq!(put.json["maxAttempts"], 3);
    let put = world.put("/event-type/a", r#"{"description":"new","retrySchedule":[9]}"#).await;
    assert_eq!((&put.json["maxAttempts"], &put.json["retrySchedule"]), (&json!(3), &json!([9])));
    assert_eq!(
        world.patch("/event-type/a", r#"{"maxAttempts":null,"retrySchedule":[7]}"#).await.json["retrySchedule"],
        json!([7])
    );
    assert_eq!(world.get("/event-type/a").await.json["maxAttempts"], Value::Null);
    assert_eq!(world.patch("/event-type/a", r#"{"maxAttempts":26}"#).await.wrong().1, ["body/maxAttempts"]);
}

#[tokio::test]
async fn a_credential_that_asks_too_often_is_told_when_to_ask_again() {
    let mut world = World::with_application().await;
    world.limit_requests(3);
    let asked: Vec<u16> = {
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(world.get("/app").await.status);
        }
        all
    };
    assert_eq!(asked, [200, 200, 200, 429]);
    let refused = world.post(MESSAGES, &message(&json!({}))).await;
    assert_eq!(refused.error(), (429, "rate_limited"));
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.json["detail"].as_str().unwrap().contains("api_rate_limit"));
    let other = grant(&world.app, "org_000000000000000000000000009", None);
    let bearer = format!("Bearer {other}");
    assert_eq!(
        world.send(http::Method::GET, "/app", &[("authorization", &bearer)], "").await.status,
        200,
        "each for itself"
    );
    world.clock.advance_ms(1_000);
    assert_eq!(world.get("/app").await.status, 200);
}
