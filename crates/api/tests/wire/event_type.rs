use crate::world::{ORG, World, grant};
use app::jwt::Grant;
use http::Method;
use serde_json::json;

#[tokio::test]
async fn an_event_type_is_made_read_changed_archived_and_brought_back() {
    let world = World::new();
    let body =
        r#"{"name":"a.b","description":"d","schemas":{"1":{"type":"object"}},"featureFlags":["beta"]}"#;
    let made = world.post("/event-type", body).await;
    assert_eq!(made.status, 201, "{:?}", made.json);
    assert_eq!(
        made.json,
        json!({
            "name": "a.b", "description": "d", "archived": false, "deprecated": false,
            "schemas": {"1": {"type": "object"}}, "groupName": null, "featureFlags": ["beta"], "featureFlag": "beta",
            "maxAttempts": null, "retrySchedule": null,
            "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
        })
    );
    assert_eq!(world.get("/event-type/a.b").await.json, made.json);
    assert_eq!(world.post("/event-type", body).await.error(), (409, "event_type_exists"));
    let patched = world.patch("/event-type/a.b", r#"{"deprecated":true,"featureFlags":null}"#).await;
    assert_eq!(
        (&patched.json["deprecated"], &patched.json["featureFlags"], &patched.json["description"]),
        (&json!(true), &json!(null), &json!("d"))
    );
    assert_eq!(world.get("/event-type").await.json["data"][0]["schemas"], json!(null));
    assert_eq!(
        world.get("/event-type?with_content=true").await.json["data"][0]["schemas"]["1"]["type"],
        "object"
    );
    assert_eq!(world.delete("/event-type/a.b").await.status, 204);
    assert_eq!(world.get("/event-type").await.json["data"], json!([]));
    assert_eq!(world.get("/event-type?include_archived=true").await.column("archived"), [json!(true)]);
    assert_eq!(world.post("/event-type", body).await.status, 201);
    assert_eq!(world.get("/event-type/a.b").await.json["archived"], false);
    assert_eq!(world.delete("/event-type/a.b?expunge=true").await.status, 204);
    assert_eq!(world.get("/event-type/a.b").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn a_put_creates_or_replaces() {
    let world = World::new();
    assert_eq!(world.put("/event-type/a", r#"{"description":"1","groupName":"g"}"#).await.status, 201);
    let put = world.put("/event-type/a", r#"{"description":"2"}"#).await;
    assert_eq!((put.status, &put.json["groupName"]), (200, &json!(null)));
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_is_stored() {
    let world = World::new();
    let table = [
        ("{}", vec!["body/name", "body/description"]),
        (r#"{"name":"a b","description":""}"#, vec!["body/name"]),
        (r#"{"name":"a","description":"","schemas":{"1":{"type":"objekt"}}}"#, vec!["body/schemas/1"]),
        (r#"{"name":"a","description":"","schemas":[],"archived":1}"#, vec!["body/archived", "body/schemas"]),
        (r#"{"name":"a","description":"","featureFlags":[]}"#, vec!["body/featureFlags"]),
    ];
    for (body, at) in table {
        let at: Vec<_> = at.into_iter().map(str::to_owned).collect();
        assert_eq!(world.post("/event-type", body).await.wrong(), (422, at), "{body}");
    }
    assert_eq!(world.get("/event-type?include_archived=true").await.json["data"], json!([]));
}

#[tokio::test]
async fn flags_hide_event_types_from_tokens_without_them() {
    let world = World::with_application().await;
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    world.post("/event-type", r#"{"name":"open","description":""}"#).await;
    world.post("/event-type", r#"{"name":"hidden","description":"","featureFlags":["beta"]}"#).await;
    let seen = async |token: String| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let list = world.send(Method::GET, "/event-type", &headers, "").await.column("name");
        (list.len(), world.send(Method::GET, "/event-type/hidden", &headers, "").await.status)
    };
    assert_eq!(seen(world.token.clone()).await, (2, 200));
    assert_eq!(seen(grant(&world.app, ORG, Some(&id))).await, (1, 404));
    let flagged = Grant {
        environment: ORG,
        application: Some(&id),
        feature_flags: Some(vec!["beta".into()]),
        lifetime_seconds: 60,
    };
    assert_eq!(seen(world.app.token_create(flagged).unwrap()).await, (2, 200));
}

#[tokio::test]
async fn names_that_begin_with_a_dash_are_paged_both_ways() {
    let world = World::new();
    for name in ["-a", "-b", "-c", "d", "e"] {
        let made = world.post("/event-type", &format!(r#"{{"name":"{name}","description":""}}"#)).await;
        assert_eq!(made.status, 201, "{:?}", made.json);
    }
    let mut names = Vec::new();
    let mut path = "/event-type?limit=1".to_owned();
    for _ in 0..5 {
        let page = world.get(&path).await;
        names.extend(page.column("name"));
        path = format!("/event-type?limit=1&iterator={}", page.json["iterator"].as_str().unwrap());
    }
    assert_eq!(names, ["-a", "-b", "-c", "d", "e"]);
    let third = world.get("/event-type?limit=1&iterator=~-b").await;
    let back = third.json["prevIterator"].as_str().unwrap();
    let second = world.get(&format!("/event-type?limit=1&iterator={back}")).await;
    assert_eq!((third.column("name"), second.column("name")), (vec![json!("-c")], vec![json!("-b")]));
}

#[tokio::test]
async fn a_schema_of_an_unknown_kind_is_refused_in_our_own_words() {
    let world = World::new();
    let body = r#"{"name":"a","description":"","schemas":{"1":{"$schema":"https://example.com/own"}}}"#;
    let refused = world.post("/event-type", body).await;
    assert_eq!(refused.wrong(), (422, vec!["body/schemas/1".to_owned()]));
    let text = refused.json["detail"][0]["msg"].as_str().unwrap();
    assert!(text.contains("https://example.com/own") && !text.contains("resolve"), "{text}");
}
