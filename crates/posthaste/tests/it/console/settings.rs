//! What is set for an application, an environment and the catalogue, by its forms; and what receivers are told of it.

use super::{EVERYWHERE, Person, Seat, between, header, text_of};
use crate::server::{START, Store, World};
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::role::Role;
use serde_json::{Value, json};

async fn an_application_is_renamed_limited_and_deleted_by_its_name(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    world.endpoint("/hook").await;
    let app = format!("/app/{}", world.application);
    let form = [
        ("name", "Acme & Sons"),
        ("uid", "acme"),
        ("throttleRate", "7"),
        ("metadata", "tier=gold\n\nsince = 2026"),
    ];
    assert_eq!(ada.post(&format!("{app}/settings"), &form).await.status, 303);
    let there = world.call("GET", "/api/v1/app/acme", &Value::Null).await;
    assert_eq!((&there["name"], &there["throttleRate"]), (&json!("Acme & Sons"), &json!(7)));
    assert_eq!(there["metadata"], json!({"tier": "gold", "since": "2026"}));
    let wrong = [("name", ""), ("uid", "a b"), ("throttleRate", "many"), ("metadata", "junk")];
    let refused = ada.post(&format!("{app}/settings"), &wrong).await;
    let told = text_of(&refused);
    assert_eq!(refused.status, 422);
    for part in ["is needed", "`many` is no whole number", "`junk` has no `=`", "value=\"a b\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let unsure = ada.post(&format!("{app}/delete"), &[("confirm", "Acme")]).await;
    assert!(unsure.status == 422 && text_of(&unsure).contains("is not its name"));
    let gone = ada.post(&format!("{app}/delete"), &[("confirm", "Acme & Sons")]).await;
    assert_eq!(gone.status, 303);
    assert_eq!(ada.get(&format!("{app}/endpoint")).await.status, 404);
    world.stop().await;
}

async fn a_key_is_shown_once_opens_what_it_says_and_tells_when_it_was_used(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let keys = format!("/app/{}/settings/keys", world.application);
    let page = text_of(&ada.post(&keys, &[("name", "back end"), ("role", "member")]).await);
    let key = between(&page, "<code id=\"key\">", "<").expect("a key").to_owned();
    let list = text_of(&ada.get(&keys).await);
    assert!(!list.contains(&key) && list.contains(&key[..8]) && list.contains("never"), "{list}");
    let client = testkit::HttpClient::new(world.url());
    let own = format!("/api/v1/app/{}", world.application);
    assert_eq!(client.get(&own, &key).await.0, 200);
    assert_eq!(client.get("/api/v1/event-type", &key).await.0, 200);
    assert_eq!(client.post("/api/v1/app", &key, &json!({"name": "x"})).await.0, 403);
    assert!(!text_of(&ada.get(&keys).await).contains("never"), "it was used just now");
    let id = between(&list, "/settings/keys/", "/revoke").expect("an id").to_owned();
    assert_eq!(ada.post(&format!("{keys}/{id}/revoke"), &[]).await.status, 303);
    assert_eq!(client.get(&own, &key).await.0, 401);
    assert!(text_of(&ada.get(&keys).await).contains("revoked"));
    let nameless = ada.post(&keys, &[("name", " "), ("role", "member")]).await;
    assert!(nameless.status == 422 && text_of(&nameless).contains("what the key is for"));
    world.stop().await;
}

async fn who_is_told_is_set_and_the_slack_url_is_not_shown_again(store: Store) {
    let world = World::start(store).await;
    let manager = Seat { application: Some(&world.application), role: Role::Manager };
    let bob = Person::of(&world, "bob@acme.example", &[manager]).await;
    let path = format!("/app/{}/settings/notifications", world.application);
    let slack = world.receiver.url("/slack/canary");
    let form = [
        ("emails", "ops@acme.example\nada@acme.example"),
        ("slackUrl", &*slack),
        ("push", "on"),
        ("kinds", "disabled"),
        ("kinds", "recovered"),
    ];
    assert_eq!(bob.post(&path, &form).await.status, 303);
    let there = world.of_application("GET", "/notify", &Value::Null).await;
    assert_eq!(there["emails"], json!(["ops@acme.example", "ada@acme.example"]));
    assert_eq!(there["kinds"], json!(["disabled", "recovered"]));
    let page = text_of(&bob.get(&path).await);
    assert!(!page.contains("canary"), "{page}");
    // What is shown, sent back, changes nothing.
    let shown = between(&page, "name=\"slackUrl\" value=\"", "\"").expect("a field").to_owned();
    let form = [("emails", "ops@acme.example"), ("slackUrl", &*shown), ("kinds", "disabled")];
    assert_eq!(bob.post(&path, &form).await.status, 303);
    assert_eq!(world.of_application("GET", "/notify", &Value::Null).await["slackUrl"], there["slackUrl"]);
    let wrong = bob.post(&path, &[("emails", "nonsense"), ("slackUrl", "")]).await;
    assert!(wrong.status == 422 && text_of(&wrong).contains("is not an e-mail address"));
    world.stop().await;
}

async fn an_environment_says_how_it_signs_checks_and_tries(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let path = format!("/environment/{ENVIRONMENT_DEFAULT}/settings");
    let form = [
        ("signatureHeaders", "both"),
        ("schemaValidation", "enforce"),
        ("maxAttempts", ""),
        ("retrySchedule", "5, 60"),
    ];
    assert_eq!(ada.post(&path, &form).await.status, 303);
    let there = world.call("GET", "/api/v1/environment", &Value::Null).await;
    assert_eq!(there["retrySchedule"], json!([5, 60]));
    assert_eq!((&there["signatureHeaders"], &there["schemaValidation"]), (&json!("both"), &json!("enforce")));
    let docs = text_of(&ada.get(&format!("/app/{}/docs", world.application)).await);
    assert!(docs.contains("after 5 seconds, then after 1 minute"), "{docs}");
    let wrong = ada.post(&path, &[("maxAttempts", "99"), ("retrySchedule", "soon")]).await;
    assert!(wrong.status == 422 && text_of(&wrong).contains("`soon` is no list"));
    world.stop().await;
}

async fn an_event_type_is_made_described_changed_and_archived(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let base = format!("/environment/{ENVIRONMENT_DEFAULT}/event-type");
    let schema = json!({"type": "object", "properties": {"amount": {"type": "number", "description": "In euro."}}, "examples": [{"amount": 7}]});
    let schema = schema.to_string();
    let form = [("name", "invoice.paid"), ("description", "It is paid."), ("schemas", &*schema)];
    let made = ada.post(&format!("{base}/new"), &form).await;
    assert_eq!(header(&made, "location"), format!("{base}/invoice.paid?told=event-type"));
    assert!(text_of(&ada.post(&format!("{base}/new"), &form).await).contains("is there already"));
    for (schema, told) in [("{", "is no JSON"), (r#"{"type": "objekt"}"#, "is not a JSON Schema")] {
        let wrong = [("name", "x"), ("description", "x"), ("schemas", schema)];
        let refused = ada.post(&format!("{base}/new"), &wrong).await;
        assert!(refused.status == 422 && text_of(&refused).contains(told), "{}", text_of(&refused));
    }
    // Customers read it where they choose it, and in the docs.
    let app = format!("/app/{}", world.application);
    for page in [format!("{app}/event-type/invoice.paid"), format!("{app}/docs")] {
        let page = text_of(&ada.get(&page).await);
        assert!(page.contains("In euro.") && page.contains("j-number\">7"), "{page}");
    }
    assert!(text_of(&ada.get(&format!("{app}/endpoint/new")).await).contains("value=\"invoice.paid\""));
    let changed = [("description", "It was paid."), ("deprecated", "on"), ("schemas", "")];
    assert_eq!(ada.post(&format!("{base}/invoice.paid/edit"), &changed).await.status, 303);
    let there = world.call("GET", "/api/v1/event-type/invoice.paid", &Value::Null).await;
    assert_eq!((&there["deprecated"], &there["schemas"]), (&json!(true), &Value::Null));
    assert_eq!(ada.post(&format!("{base}/invoice.paid/archive"), &[]).await.status, 303);
    assert!(!text_of(&ada.get(&format!("{app}/endpoint/new")).await).contains("value=\"invoice.paid\""));
    world.stop().await;
}

async fn the_docs_are_public_only_where_the_operator_wants_it(store: Store) {
    let path = format!("/docs/{ENVIRONMENT_DEFAULT}");
    let closed = World::start(store).await;
    assert_eq!(Person::new(&closed).get(&path).await.status, 404);
    closed.stop().await;
    let open = World::with((store, START), |config| {
        config.public_docs = true;
        config.sender_addresses = vec!["192.0.2.1/32".parse().expect("a subnet")];
    });
    let open = open.await;
    let flagged = json!({"name": "secret.plan", "description": "x", "featureFlags": ["beta"]});
    open.call("POST", "/api/v1/event-type", &flagged).await;
    open.call("POST", "/api/v1/event-type", &json!({"name": "invoice.paid", "description": "x"})).await;
    let page = text_of(&Person::new(&open).get(&path).await);
    assert!(
        page.contains("invoice.paid") && page.contains("192.0.2.1") && !page.contains("secret.plan"),
        "{page}"
    );
    assert_eq!(Person::new(&open).get("/docs/org_00000000000000000000nothing").await.status, 404);
    open.stop().await;
}

each_store!(
    an_application_is_renamed_limited_and_deleted_by_its_name,
    a_key_is_shown_once_opens_what_it_says_and_tells_when_it_was_used,
    who_is_told_is_set_and_the_slack_url_is_not_shown_again,
    an_environment_says_how_it_signs_checks_and_tries,
    an_event_type_is_made_described_changed_and_archived,
    the_docs_are_public_only_where_the_operator_wants_it,
);
