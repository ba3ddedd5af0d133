use crate::world::{OTHER_ORG, World, grant};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn an_application_is_made_read_changed_and_deleted() {
    let world = World::new();
    let made =
        world.post("/app", r#"{"name":"One","uid":"one","metadata":{"k":"v"},"rateLimit":5,"x":1}"#).await;
    assert_eq!(made.status, 201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("app_") && id.len() == 31);
    assert_eq!(
        made.json,
        json!({
            "id": id, "uid": "one", "name": "One", "throttleRate": 5, "rateLimit": 5, "metadata": {"k": "v"},
            "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
        })
    );
    assert_eq!(world.get("/app/one").await.json, made.json);
    assert_eq!(world.get(&format!("/app/{id}")).await.json, made.json);
    let patched = world.patch("/app/one", r#"{"name":"Two","throttleRate":null}"#).await;
    assert_eq!(
        (patched.status, &patched.json["name"], &patched.json["throttleRate"]),
        (200, &json!("Two"), &json!(null))
    );
    assert_eq!(patched.json["metadata"], json!({"k": "v"}));
    let put = world.put("/app/one", r#"{"name":"Three"}"#).await;
    assert_eq!(
        (put.status, &put.json["uid"], &put.json["metadata"], &put.json["id"]),
        (200, &json!("one"), &json!({}), &json!(id))
    );
    let deleted = world.delete("/app/one").await;
    assert_eq!((deleted.status, deleted.bytes.len()), (204, 0));
    assert_eq!(world.get("/app/one").await.error(), (404, "not_found"));
    assert_eq!(world.get(&format!("/app/{id}")).await.json["detail"], "Entity not found");
    assert_eq!(world.delete("/app/one").await.status, 404);
}

#[tokio::test]
async fn a_known_uid_is_a_conflict_or_the_existing_one() {
    let world = World::with_application().await;
    let body = r#"{"name":"Again","uid":"customer"}"#;
    assert_eq!(world.post("/app", body).await.error(), (409, "conflict"));
    let existing = world.post("/app?get_if_exists=true", body).await;
    assert_eq!((existing.status, &existing.json["name"]), (200, &json!("Customer")));
    assert_eq!(world.post("/app?get_if_exists=true", r#"{"name":"New","uid":"new"}"#).await.status, 201);
    assert_eq!(world.put("/app/third", r#"{"name":"Third"}"#).await.status, 201);
    assert_eq!(world.get("/app/third").await.json["uid"], "third");
    assert_eq!(world.patch("/app/third", r#"{"uid":"customer"}"#).await.error(), (409, "conflict"));
    assert_eq!(world.put("/app/app_2aaaaaaaaaaaaaaaaaaaaaaaaaa", r#"{"name":"x"}"#).await.status, 404);
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_is_stored() {
    let world = World::new();
    let table = [
        ("{}", vec!["body/name"]),
        (
            r#"{"name":7,"uid":"app_x","throttleRate":-1,"metadata":[]}"#,
            vec!["body/name", "body/throttleRate", "body/metadata"],
        ),
        (r#"{"name":"","uid":"app_x","throttleRate":0}"#, vec!["body/name", "body/uid", "body/throttleRate"]),
        (r#"{"name":"a","uid":"no spaces"}"#, vec!["body/uid"]),
        (r#"{"name":"a\u0007"}"#, vec!["body/name"]),
        (r#"{"name":"a","metadata":{"k":1}}"#, vec!["body/metadata/k"]),
        ("[]", vec!["body"]),
        ("nonsense", vec!["body"]),
        ("", vec!["body"]),
    ];
    for (body, at) in table {
        let at: Vec<_> = at.into_iter().map(str::to_owned).collect();
        assert_eq!(world.post("/app", body).await.wrong(), (422, at), "{body}");
    }
    let large = format!(r#"{{"name":"a","metadata":{{"k":"{}"}}}}"#, "x".repeat(4096));
    assert_eq!(world.post("/app", &large).await.wrong(), (422, vec!["body/metadata".to_owned()]));
    assert_eq!(world.get("/app").await.json["data"], json!([]));
}

#[tokio::test]
async fn a_list_is_paged_both_ways() {
    let world = World::new();
    for n in 0..5 {
        world.clock.advance_ms(1);
        world.post("/app", &format!(r#"{{"name":"{n}"}}"#)).await;
    }
    let first = world.get("/app?limit=2").await;
    assert_eq!(first.column("name"), ["0", "1"]);
    assert_eq!(first.json["done"], false);
    let iterator = first.json["iterator"].as_str().unwrap();
    let second = world.get(&format!("/app?limit=2&iterator={iterator}")).await;
    assert_eq!(second.column("name"), ["2", "3"]);
    let third =
        world.get(&format!("/app?limit=2&iterator={}", second.json["iterator"].as_str().unwrap())).await;
    assert_eq!((third.column("name"), &third.json["done"]), (vec![json!("4")], &json!(true)));
    let back =
        world.get(&format!("/app?limit=2&iterator={}", third.json["prevIterator"].as_str().unwrap())).await;
    assert_eq!(back.column("name"), ["2", "3"]);
    assert_eq!(world.get("/app?limit=0&order=descending").await.column("name"), ["4", "3", "2", "1", "0"]);
    let empty = World::new().get("/app").await;
    assert_eq!(empty.json, json!({"data": [], "iterator": null, "prevIterator": null, "done": true}));
    assert_eq!(world.get("/app?limit=251").await.wrong(), (422, vec!["query/limit".to_owned()]));
    assert_eq!(world.get("/app?iterator=msg_1").await.wrong(), (422, vec!["query/iterator".to_owned()]));
    assert_eq!(world.get("/app?limit=many").await.error(), (400, "generic_error"));
    assert_eq!(world.get("/app?order=up").await.error(), (400, "generic_error"));
}

#[tokio::test]
async fn another_tenant_sees_and_changes_nothing() {
    let world = World::with_application().await;
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    let other = format!("Bearer {}", grant(&world.app, OTHER_ORG, None));
    let other = [("authorization", other.as_str())];
    for (method, path, body) in [
        (Method::GET, format!("/app/{id}"), ""),
        (Method::GET, "/app/customer".to_owned(), ""),
        (Method::PUT, format!("/app/{id}"), r#"{"name":"stolen"}"#),
        (Method::PATCH, format!("/app/{id}"), r#"{"name":"stolen"}"#),
        (Method::DELETE, format!("/app/{id}"), ""),
        (Method::POST, format!("/app/{id}/msg"), r#"{"eventType":"a","payload":{}}"#),
        (Method::GET, format!("/app/{id}/endpoint"), ""),
        (Method::POST, format!("/app/{id}/endpoint"), r#"{"url":"https://example.com"}"#),
    ] {
        let reply = world.send(method.clone(), &path, &other, body).await;
        assert_eq!(reply.error(), (404, "not_found"), "{method} {path}");
    }
    assert_eq!(world.send(Method::GET, "/app", &other, "").await.json["data"], json!([]));
    assert_eq!(world.get("/app/customer").await.json["name"], "Customer");
    assert_eq!(
        world.send(Method::POST, "/app", &other, r#"{"name":"a","uid":"customer"}"#).await.status,
        201
    );
}

#[tokio::test]
async fn changes_at_once_all_hold() {
    let world = World::with_application().await;
    for round in 0..20 {
        let name = format!(r#"{{"name":"n{round}"}}"#);
        let rate = format!(r#"{{"throttleRate":{}}}"#, round + 1);
        let notes = format!(r#"{{"metadata":{{"round":"{round}"}}}}"#);
        let calls = [&name, &rate, &notes].map(|body| world.patch("/app/customer", body));
        for reply in futures_util::future::join_all(calls).await {
            assert_eq!(reply.status, 200, "{:?}", reply.json);
        }
        let now = world.get("/app/customer").await.json;
        assert_eq!(now["name"], format!("n{round}"));
        assert_eq!(now["throttleRate"], round + 1);
        assert_eq!(now["metadata"]["round"], round.to_string());
    }
}

#[tokio::test]
async fn puts_of_a_new_uid_at_once_create_it_once_and_replace_it() {
    let world = World::with_application().await;
    for (path, body) in [
        ("/app/fresh", r#"{"name":"Fresh"}"#),
        ("/app/customer/endpoint/fresh", r#"{"url":"https://example.com/in"}"#),
    ] {
        let calls = (0..8).map(|_| world.put(path, body));
        let mut statuses: Vec<_> =
            futures_util::future::join_all(calls).await.iter().map(|reply| reply.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 200, 200, 200, 200, 200, 200, 201], "{path}");
    }
    let other = world.put("/app/third", r#"{"name":"Third","uid":"customer"}"#).await;
    assert_eq!(other.error(), (409, "conflict"), "another's uid");
}

#[tokio::test]
async fn names_have_a_limit_that_is_named() {
    let world = World::with_application().await;
    let (fits, long) = ("é".repeat(256), "é".repeat(257));
    assert_eq!(world.patch("/app/customer", &format!(r#"{{"name":"{fits}"}}"#)).await.status, 200);
    let refused = world.post("/app", &format!(r#"{{"name":"{long}"}}"#)).await;
    assert_eq!(refused.wrong(), (422, vec!["body/name".to_owned()]));
    assert!(refused.json["detail"][0]["msg"].as_str().unwrap().contains("name_chars_max"));
    for uid in [".", ".."] {
        let refused = world.post("/app", &format!(r#"{{"name":"a","uid":"{uid}"}}"#)).await;
        assert_eq!(refused.wrong(), (422, vec!["body/uid".to_owned()]), "clients take `{uid}` out of a path");
    }
}
