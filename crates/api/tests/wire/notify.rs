//! Who hears of failing webhooks, as the wire shows it: read, changed, by whom, and of whose application.

use crate::world::{ORG, OTHER_ORG, World, grant};
use http::Method;
use serde_json::{Value, json};

/// A browser's keys: the public one is that of RFC 8291's example.
fn subscription(endpoint: &str) -> Value {
    let p256dh = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    json!({"endpoint": endpoint, "keys": {"p256dh": p256dh, "auth": "BTBZMqHH6r4Tts7J_aSIgg"}})
}

#[tokio::test]
async fn preferences_begin_as_defaults_and_change_field_by_field() {
    let world = World::with_application().await;
    let path = "/app/customer/notify";
    let defaults = json!({
        "emails": [], "slackUrl": null, "push": true, "operationalWebhook": true, "kinds": null, "unsubscribed": [],
    });
    assert_eq!(world.get(path).await.json, defaults);
    let change = r#"{"emails":["a@b.example"],"kinds":["disabled","recovered"],"push":false}"#;
    let changed = world.patch(path, change).await;
    assert_eq!((changed.status, &changed.json["kinds"]), (200, &json!(["disabled", "recovered"])));
    let slack = world.patch(path, r#"{"slackUrl":"https://hooks.slack.com/services/T/B/secret"}"#).await.json;
    assert_eq!((&slack["slackUrl"], &slack["push"]), (&json!("https://hooks.slack.com/…"), &json!(false)));
    let back = json!({"slackUrl": slack["slackUrl"], "push": null, "kinds": null}).to_string();
    let back = world.patch(path, &back).await.json;
    assert_eq!(
        (&back["slackUrl"], &back["push"], &back["kinds"]),
        (&slack["slackUrl"], &json!(true), &Value::Null)
    );
    assert_eq!(world.patch(path, r#"{"slackUrl":null,"emails":null}"#).await.json, defaults);
}

#[tokio::test]
async fn wrong_preferences_are_refused_at_once_and_nothing_is_kept() {
    let world = World::with_application().await;
    let many: Vec<_> = (0..21).map(|n| format!("a{n}@b.example")).collect();
    let table = [
        (json!({"emails": ["nobody"]}), "emails/[0]"),
        (json!({"emails": ["a@b.example", "A@B.example"]}), "emails/[1]"),
        (json!({"emails": many}), "emails"),
        (json!({"emails": "a@b.example"}), "emails"),
        (json!({"slackUrl": "https://10.0.0.1/x"}), "slackUrl"),
        (json!({"slackUrl": "/services"}), "slackUrl"),
        (json!({"push": "yes"}), "push"),
        (json!({"kinds": ["everything"]}), "kinds/[0]"),
        (json!({"kinds": ["created"]}), "kinds/[0]"),
    ];
    for (body, field) in table {
        let refused = world.patch("/app/customer/notify", &body.to_string()).await;
        assert_eq!(refused.wrong(), (422, vec![format!("body/{field}")]), "{body}");
    }
    assert_eq!(world.get("/app/customer/notify").await.json["emails"], json!([]));
    let browser = |endpoint| subscription(endpoint).to_string();
    for (body, field) in [
        (browser("https://127.0.0.1/x"), "endpoint"),
        (browser("push"), "endpoint"),
        (
            r#"{"endpoint":"https://push.example/x","keys":{"p256dh":"AAAA","auth":"AAAA"}}"#.to_owned(),
            "keys",
        ),
        (r#"{"endpoint":"https://push.example/x"}"#.to_owned(), "keys"),
    ] {
        let refused = world.post("/app/customer/push-subscription", &body).await;
        assert_eq!(refused.wrong().0, 422, "{body}");
        assert!(refused.wrong().1[0].contains(field), "{body}: {:?}", refused.wrong());
    }
    assert_eq!(world.get("/app/customer/push-subscription").await.json, json!([]));
    assert_eq!(world.get("/app/customer/notice?iterator=one").await.wrong().0, 422);
}

#[tokio::test]
async fn only_managers_change_them_and_nobody_elses_application_is_reached() {
    let world = World::with_application().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    let of_one = grant(&world.app, ORG, Some(&id));
    let stranger = grant(&world.app, OTHER_ORG, None);
    let kept = subscription("https://push.example/1").to_string();
    let kept = world.post("/app/customer/push-subscription", &kept).await;
    let kept = format!("/push-subscription/{}", kept.json["id"].as_str().unwrap());
    let key = async |role: &str| {
        let made = world.post("/api-key", &json!({"role": role}).to_string()).await;
        made.json["token"].as_str().unwrap().to_owned()
    };
    let (viewer, member) = (key("viewer").await, key("member").await);
    let routes = [
        (Method::GET, "/notify"),
        (Method::PATCH, "/notify"),
        (Method::GET, "/push-subscription"),
        (Method::POST, "/push-subscription"),
        (Method::GET, "/notice"),
        (Method::DELETE, &*kept),
    ];
    let asked = async |credential: &str, app: &str, (method, path): &(Method, &str)| {
        let body = match *method {
            Method::PATCH => "{}".to_owned(),
            Method::POST => subscription("https://push.example/2").to_string(),
            _ => String::new(),
        };
        let bearer = format!("Bearer {credential}");
        let path = format!("/app/{app}{path}");
        world.send(method.clone(), &path, &[("authorization", &bearer)], &body).await.status
    };
    for route in &routes {
        assert_eq!(asked(&of_one, "other", route).await, 404, "{route:?}");
        assert_eq!(asked(&stranger, "customer", route).await, 404, "{route:?}");
        let expected = if route.0 == Method::PATCH { 403 } else { 200 };
        if route.0 != Method::DELETE {
            let looks = if route.0 == Method::GET { 200 } else { 403 };
            assert_eq!(asked(&viewer, "customer", route).await, looks, "{route:?}");
            assert_eq!(asked(&member, "customer", route).await, expected, "{route:?}");
        }
    }
    assert_eq!(asked(&of_one, "customer", &routes[5]).await, 204);
    assert_eq!(asked(&of_one, "customer", &routes[5]).await, 404);
}

#[tokio::test]
async fn operational_webhooks_are_one_environments_own() {
    let world = World::new();
    let root = "/operational-webhook/endpoint";
    assert_eq!(world.get(root).await.json["data"], json!([]));
    let made =
        world.post(root, r#"{"url":"https://example.com/ops","uid":"ops","metadata":{"a":"b"}}"#).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    let expected = json!({
        "id": id, "uid": "ops", "url": "https://example.com/ops", "description": "", "disabled": false,
        "disabledReason": null, "eventTypes": null, "throttleRate": null, "rateLimit": null, "metadata": {"a": "b"},
        "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
    });
    assert_eq!((made.status, &made.json), (201, &expected));
    assert_eq!(world.get(&format!("{root}/ops")).await.json, expected);
    let replaced =
        world.put(&format!("{root}/{id}"), r#"{"url":"https://example.com/two","disabled":true}"#).await;
    assert_eq!((replaced.status, &replaced.json["disabled"]), (200, &json!(true)));
    let stranger = format!("Bearer {}", grant(&world.app, OTHER_ORG, None));
    let theirs = world.send(Method::GET, &format!("{root}/{id}"), &[("authorization", &stranger)], "").await;
    assert_eq!(theirs.status, 404);
    let theirs = world.send(Method::GET, root, &[("authorization", &stranger)], "").await;
    assert_eq!(theirs.json["data"], json!([]));
    assert_eq!(world.delete(&format!("{root}/{id}")).await.status, 204);
    assert_eq!(world.get(root).await.json["data"], json!([]));
    assert_eq!(world.get("/app").await.json["data"], json!([]));
}
