//! Background tasks as the wire shows them: asked for wrongly, begun once, listed, canceled; enabling with recovery.

use crate::world::{ORG, OTHER_ORG, World, grant};
use domain::delivery::Next;
use futures_util::future::join_all;
use serde_json::{Value, json};
use store::delivery::Deliveries;

const ENDPOINT: &str = "/app/customer/endpoint/hook";
/// The clock's start.
const NOW: &str = "2027-01-15T08:00:00Z";

async fn begin(world: &World, what: &str, body: &Value) -> Value {
    let begun = world.post(&format!("{ENDPOINT}/{what}"), &body.to_string()).await;
    assert_eq!(begun.status, 202, "{:?}", begun.json);
    begun.json
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_with_its_field() {
    let world = World::with_endpoint().await;
    let table = [
        ("recover", json!({}), "since"),
        ("recover", json!({"since": "yesterday"}), "since"),
        ("recover", json!({"since": "2027-01-16T08:00:00Z"}), "since"),
        ("recover", json!({"since": "2027-01-01T07:58:00Z"}), "since"),
        ("recover", json!({"since": NOW, "until": "2027-01-14T08:00:00Z"}), "until"),
        ("replay-missing", json!({"until": NOW}), "since"),
        ("bulk-replay", json!({"since": NOW, "eventTypes": ["a b"]}), "eventTypes/[0]"),
        ("bulk-replay", json!({"since": NOW, "channel": ""}), "channel"),
        ("bulk-replay", json!({"since": NOW, "tag": "a b"}), "tag"),
        ("bulk-replay", json!({"since": NOW, "status": 5}), "status"),
        ("bulk-replay", json!({"since": NOW, "statusCodeClass": 201}), "statusCodeClass"),
        ("enable", json!({"recover": "some"}), "recover"),
        ("enable", json!({"recover": "since"}), "since"),
        ("enable", json!({"recover": "all", "since": NOW}), "since"),
        ("enable", json!({"recover": "since", "since": "2027-01-16T08:00:00Z"}), "since"),
    ];
    for (what, body, field) in table {
        let refused = world.post(&format!("{ENDPOINT}/{what}"), &body.to_string()).await;
        assert_eq!(refused.wrong(), (422, vec![format!("body/{field}")]), "{what} {body}");
    }
    let list = world.get("/background-task?status=over").await;
    assert_eq!(list.wrong(), (422, vec!["query/status".to_owned()]));
    assert_eq!(world.get("/background-task").await.json["data"], json!([]), "nothing was begun");
}

#[tokio::test]
async fn a_task_is_begun_once_listed_and_canceled() {
    let world = World::with_endpoint().await;
    let asked = json!({"since": "2027-01-02T08:00:00Z"}).to_string();
    let once = [("idempotency-key", "k1")];
    let path = format!("{ENDPOINT}/recover");
    let begun = world.send(http::Method::POST, &path, &once, &asked).await;
    assert_eq!((begun.status, &begun.json["status"]), (202, &json!("running")));
    assert_eq!((&begun.json["task"], &begun.json["updatedAt"]), (&json!("endpoint.recover"), &json!(NOW)));
    let again = world.send(http::Method::POST, &path, &once, &asked).await;
    assert_eq!(again.json["id"], begun.json["id"]);
    let id = begun.json["id"].as_str().unwrap();
    let found = world.get(&format!("/background-task/{id}")).await.json;
    assert_eq!(
        found["data"],
        json!({"progress": 0.0, "looked": 0, "queued": 0, "error": null, "since": "2027-01-02T08:00:00Z",
               "until": "2027-01-15T08:00:00.001Z", "createdAt": NOW})
    );
    let replay = begin(&world, "replay-missing", &json!({"since": NOW})).await;
    let list = async |query: &str| {
        let found = world.get(&format!("/background-task{query}")).await.json;
        found["data"].as_array().unwrap().iter().map(|task| task["id"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(list("").await.len(), 2);
    assert_eq!(list("?task=endpoint.replay").await, [replay["id"].clone()]);
    assert_eq!(list("?task=sdk.generate").await, [] as [Value; 0]);
    let canceled = world.post(&format!("/background-task/{id}/cancel"), "").await.json;
    assert_eq!(
        (&canceled["status"], &canceled["data"]["error"]),
        (&json!("failed"), &json!("it was canceled"))
    );
    assert_eq!(list("?status=failed").await, [json!(id)]);
    assert_eq!(world.post(&format!("/background-task/{id}/cancel"), "").await.status, 400);
}

#[tokio::test]
async fn a_task_is_nobody_elses() {
    let world = World::with_endpoint().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let begun = begin(&world, "recover", &json!({"since": NOW})).await;
    let path = format!("/background-task/{}", begun["id"].as_str().unwrap());
    let other = world.get("/app/other").await.json["id"].as_str().unwrap().to_owned();
    let own = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    let tokens = [
        (grant(&world.app, OTHER_ORG, None), 404, 0),
        (grant(&world.app, ORG, Some(&other)), 404, 0),
        (grant(&world.app, ORG, Some(&own)), 200, 1),
    ];
    for (token, status, listed) in tokens {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        assert_eq!(world.send(http::Method::GET, &path, &headers, "").await.status, status);
        let list = world.send(http::Method::GET, "/background-task", &headers, "").await.json;
        assert_eq!(list["data"].as_array().unwrap().len(), listed);
    }
}

#[tokio::test]
async fn an_endpoint_stays_disabled_when_its_recovery_is_refused() {
    let world = World::with_endpoint().await;
    for _ in 0..100 {
        begin(&world, "recover", &json!({"since": NOW})).await;
    }
    world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
    let refused = world.post(&format!("{ENDPOINT}/enable"), r#"{"recover": "all"}"#).await;
    assert_eq!((refused.status, &refused.json["code"]), (400, &json!("limit_reached")));
    assert_eq!(world.get(ENDPOINT).await.json["disabled"], true);
}

#[tokio::test]
async fn a_disabled_endpoint_is_enabled_with_or_without_what_it_missed() {
    let world = World::with_endpoint().await;
    world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
    let refused = world.post(&format!("{ENDPOINT}/recover"), &json!({"since": NOW}).to_string()).await;
    assert_eq!(refused.status, 400);
    for (body, has_task) in [
        (json!({}), false),
        (json!({"recover": "none"}), false),
        (json!({"recover": "all"}), true),
        (json!({"recover": "since", "since": NOW}), true),
    ] {
        world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
        let enabled = world.post(&format!("{ENDPOINT}/enable"), &body.to_string()).await;
        assert_eq!((enabled.status, &enabled.json["endpoint"]["disabled"]), (200, &json!(false)), "{body}");
        assert_eq!(enabled.json["task"].is_object(), has_task, "{body}");
    }
}

/// Counts what a task would send, and begins none.
async fn count(world: &World, what: &str, body: &Value) -> Value {
    let counted = world.post(&format!("{ENDPOINT}/{what}?dry_run=true"), &body.to_string()).await;
    assert_eq!(counted.status, 200, "{:?}", counted.json);
    counted.json
}

#[tokio::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let mut world = World::with_endpoint().await;
    let message = async |world: &mut World, event_type: &str, status: u16| {
        world.clock.advance_ms(1);
        let body = json!({"eventType": event_type, "payload": {}}).to_string();
        assert_eq!(world.post("/app/customer/msg", &body).await.status, 202);
        world.record(status, if status == 200 { Next::Succeeded } else { Next::Failed }).await;
    };
    for (event_type, status) in [("a.one", 200), ("a.one", 500), ("b.two", 404)] {
        message(&mut world, event_type, status).await;
    }
    let since = json!({"since": NOW});
    let of = |messages: u32| json!({"messages": messages, "complete": true});
    assert_eq!(count(&world, "recover", &since).await, of(2));
    assert_eq!(count(&world, "recover", &json!({"since": NOW, "until": NOW})).await, of(0));
    assert_eq!(count(&world, "bulk-replay", &since).await, of(3));
    assert_eq!(count(&world, "bulk-replay", &json!({"since": NOW, "eventTypes": ["a.one"]})).await, of(2));
    assert_eq!(count(&world, "bulk-replay", &json!({"since": NOW, "statusCodeClass": 400})).await, of(1));
    assert_eq!(count(&world, "replay-missing", &since).await, of(0));
    world.post("/app/customer/endpoint", r#"{"url":"https://example.com/in","uid":"new"}"#).await;
    let missed =
        world.post("/app/customer/endpoint/new/replay-missing?dry_run=true", &since.to_string()).await;
    assert_eq!((missed.status, missed.json), (200, of(3)));
    world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
    for (recover, messages) in [("all", 2), ("none", 0)] {
        assert_eq!(count(&world, "enable", &json!({"recover": recover})).await, of(messages));
    }
    assert_eq!(world.get(ENDPOINT).await.json["disabled"], true);
    assert_eq!(world.get("/background-task").await.json["data"], json!([]));
    assert_eq!(world.store.backlog().await.unwrap().0, 0, "nothing waits");
}

#[tokio::test]
async fn a_dry_run_refuses_what_the_task_would_but_for_the_number_of_tasks() {
    let world = World::with_endpoint().await;
    for (query, status) in [("dry_run=maybe", 400), ("dry_run=false", 202), ("dry_run=true", 200)] {
        let asked =
            world.post(&format!("{ENDPOINT}/recover?{query}"), &json!({"since": NOW}).to_string()).await;
        assert_eq!(asked.status, status, "{query}");
    }
    let wrong = world.post(&format!("{ENDPOINT}/recover?dry_run=true"), "{}").await.wrong();
    assert_eq!(wrong, (422, vec!["body/since".to_owned()]));
    for _ in 1..100 {
        begin(&world, "recover", &json!({"since": NOW})).await;
    }
    assert_eq!(count(&world, "recover", &json!({"since": NOW})).await["messages"], 0);
    // The key of a count is free for what it was counted for.
    let key = [("idempotency-key", "k")];
    let path = format!("{ENDPOINT}/bulk-replay");
    let asked = json!({"since": NOW}).to_string();
    let counted = world.send(http::Method::POST, &format!("{path}?dry_run=true"), &key, &asked).await;
    let begun = world.send(http::Method::POST, &path, &key, &asked).await;
    assert_eq!((counted.status, begun.error()), (200, (400, "limit_reached")));
    world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
    let refused = world.post(&format!("{path}?dry_run=true"), &asked).await;
    assert_eq!(refused.error(), (400, "generic_error"));
}

#[tokio::test]
async fn a_count_ends_after_ten_thousand() {
    let world = World::with_endpoint().await;
    world.patch(ENDPOINT, r#"{"disabled": true}"#).await;
    let body = r#"{"eventType":"a.b","payload":{}}"#;
    for (batches, messages, complete) in [(99, 9_900, true), (2, 10_000, false)] {
        for _ in 0..batches {
            let sent = join_all((0..100).map(|_| world.post("/app/customer/msg", body))).await;
            assert!(sent.iter().all(|one| one.status == 202));
        }
        let found = count(&world, "enable", &json!({"recover": "all"})).await;
        assert_eq!(found, json!({"messages": messages, "complete": complete}));
    }
}
