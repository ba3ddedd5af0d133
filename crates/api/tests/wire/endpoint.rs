use crate::world::{ORG, World, grant};
use http::Method;
use serde_json::json;

const HOOK: &str = "/app/customer/endpoint/hook";

#[tokio::test]
async fn an_endpoint_is_made_read_changed_and_deleted() {
    let world = World::with_application().await;
    let body = r#"{"url":"https://example.com/in","uid":"hook","filterTypes":null,"channels":["a","a"],"rateLimit":9}"#;
    let made = world.post("/app/customer/endpoint", body).await;
    assert_eq!(made.status, 201, "{:?}", made.json);
    let id = made.json["id"].as_str().unwrap().to_owned();
    let mut shown = made.json.clone();
    assert_eq!(shown.as_object_mut().unwrap().remove("notify"), Some(json!(null)));
    assert_eq!(
        shown,
        json!({
            "id": id, "uid": "hook", "url": "https://example.com/in", "description": "", "disabled": false,
            "paused": false, "eventTypes": null, "filterTypes": null, "channels": ["a"], "throttleRate": 9,
            "rateLimit": 9, "version": 1, "metadata": {}, "disabledReason": null, "disabledAt": null, "disabledAnswer": null,
            "name": "example.com", "type": "rest", "method": "POST", "contentType": "application/json", "format": "raw",
            "fields": null, "template": null, "transformation": null, "transformationEnabled": true, "filter": null,
            "eventHeaders": true, "routes": [], "maxAttempts": null, "retrySchedule": null, "timeoutSeconds": null,
            "throttlePeriod": "second", "maxInFlight": null, "ordered": false, "disablePolicy": "both", "auth": {"type": "none"},
            "certificateAuthority": null, "signatures": [{"type": "standard"}],
            "createdAt": "2027-01-15T08:00:00Z", "updatedAt": "2027-01-15T08:00:00Z",
        })
    );
    assert_eq!(world.get(HOOK).await.json, made.json);
    let patched = world.patch(HOOK, r#"{"paused":true,"channels":null,"description":"d"}"#).await;
    assert_eq!(
        (&patched.json["paused"], &patched.json["channels"], &patched.json["throttleRate"]),
        (&json!(true), &json!(null), &json!(9))
    );
    let put = world.put(HOOK, r#"{"url":"https://example.com/other"}"#).await;
    assert_eq!(
        (
            put.status,
            &put.json["paused"],
            &put.json["throttleRate"],
            &put.json["description"],
            &put.json["uid"]
        ),
        (200, &json!(true), &json!(null), &json!(""), &json!("hook"))
    );
    world.clock.advance_ms(1);
    assert_eq!(world.put("/app/customer/endpoint/new", r#"{"url":"https://example.com"}"#).await.status, 201);
    assert_eq!(world.get("/app/customer/endpoint").await.column("uid"), ["new", "hook"].map(|u| json!(u)));
    assert_eq!(world.patch(HOOK, r#"{"uid":"new"}"#).await.error(), (409, "conflict"));
    assert_eq!(world.delete(HOOK).await.status, 204);
    assert_eq!(world.get(HOOK).await.error(), (404, "not_found"));
}

#[tokio::test]
async fn wrong_fields_are_named_and_nothing_is_stored() {
    let world = World::with_application().await;
    let table = [
        (r#"{}"#, vec!["body/url"]),
        (r#"{"url":"nonsense"}"#, vec!["body/url"]),
        (r#"{"url":"http://example.com"}"#, vec![]),
        (r#"{"url":"ftp://example.com"}"#, vec!["body/url"]),
        (r#"{"url":"https://127.0.0.1/"}"#, vec!["body/url"]),
        (r#"{"url":"https://0x7f.1/"}"#, vec!["body/url"]),
        (r#"{"url":"https://[::ffff:10.0.0.1]/"}"#, vec!["body/url"]),
        (r#"{"url":"https://localhost/"}"#, vec!["body/url"]),
        (r#"{"url":"https://169.254.169.254/"}"#, vec!["body/url"]),
        (r#"{"url":"https://user:secret@example.com/"}"#, vec!["body/url"]),
        (
            r#"{"url":"https://example.com","uid":"ep_1","channels":[],"throttleRate":0,"secret":"x","headers":{"Host":"a"}}"#,
            vec!["body/secret", "body/headers", "body/uid", "body/throttleRate", "body/channels"],
        ),
        (r#"{"url":"https://example.com","eventTypes":["missing","gone"]}"#, vec!["body/eventTypes"]),
        (r#"{"url":"https://example.com","eventTypes":[]}"#, vec!["body/eventTypes"]),
        (r#"{"url":"https://example.com","channels":["a","b c"]}"#, vec!["body/channels/[1]"]),
        (
            r#"{"url":"https://example.com","headers":{"X":1},"disabled":"no"}"#,
            vec!["body/disabled", "body/headers/X"],
        ),
    ];
    for (body, at) in table.into_iter().filter(|(_, at)| !at.is_empty()) {
        let at: Vec<_> = at.into_iter().map(str::to_owned).collect();
        assert_eq!(world.post("/app/customer/endpoint", body).await.wrong(), (422, at), "{body}");
    }
    assert_eq!(world.get("/app/customer/endpoint").await.json["data"], json!([]));
    assert_eq!(world.post("/app/nobody/endpoint", r#"{"url":"https://example.com"}"#).await.status, 404);
}

#[tokio::test]
async fn event_types_must_exist_and_the_missing_ones_are_named() {
    let world = World::with_endpoint().await;
    world.post("/event-type", r#"{"name":"known","description":""}"#).await;
    let refused = world.patch(HOOK, r#"{"eventTypes":["known","lost"]}"#).await;
    assert_eq!(refused.wrong(), (422, vec!["body/eventTypes".to_owned()]));
    assert!(refused.json["detail"][0]["msg"].as_str().unwrap().contains("`lost`"));
    let taken = world.patch(HOOK, r#"{"eventTypes":["known"]}"#).await;
    assert_eq!((taken.status, &taken.json["filterTypes"]), (200, &json!(["known"])));
}

#[tokio::test]
async fn a_secret_is_shown_and_rotated_up_to_its_limit() {
    let world = World::with_endpoint().await;
    let secret = format!("{HOOK}/secret");
    let first = world.get(&secret).await.json["key"].as_str().unwrap().to_owned();
    assert!(first.starts_with("whsec_"));
    let rotate = format!("{HOOK}/secret/rotate");
    let given = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let rotated = world.post(&rotate, &format!(r#"{{"key":"{given}"}}"#)).await;
    assert_eq!(
        (rotated.status, &rotated.json),
        (200, &json!({"key": given})),
        "as the published SDKs read it"
    );
    assert_eq!(world.get(&secret).await.json, json!({"key": given}));
    assert_eq!(world.post(&rotate, r#"{"key":"whpk_x"}"#).await.wrong(), (422, vec!["body/key".to_owned()]));
    assert_eq!(
        world.post(&rotate, r#"{"gracePeriodSeconds":604801}"#).await.wrong(),
        (422, vec!["body/gracePeriodSeconds".to_owned()])
    );
    for _ in 0..9 {
        assert_eq!(world.post(&rotate, "{}").await.status, 200);
    }
    assert_eq!(world.post(&rotate, "{}").await.error(), (400, "limit_reached"));
    world.clock.advance_ms(86_400_001);
    assert_eq!(world.post(&rotate, "{}").await.status, 200);
}

#[tokio::test]
async fn an_ed25519_key_is_taken_and_only_its_public_half_is_shown() {
    let world = World::with_endpoint().await;
    let rotate = format!("{HOOK}/secret/rotate");
    let seed = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
    assert_eq!(world.post(&rotate, &format!(r#"{{"key":"{seed}"}}"#)).await.status, 200);
    let shown = world.get(&format!("{HOOK}/secret")).await.json["key"].as_str().unwrap().to_owned();
    assert_eq!(shown, "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    assert_eq!(world.post(&rotate, "{}").await.status, 200);
    let next = world.get(&format!("{HOOK}/secret")).await.json["key"].as_str().unwrap().to_owned();
    assert!(next.starts_with("whpk_") && next != shown);
}

#[tokio::test]
async fn headers_are_set_changed_and_shown_without_credentials() {
    let world = World::with_endpoint().await;
    let headers = format!("{HOOK}/headers");
    let put =
        world.put(&headers, r#"{"headers":{"X-One":"1","X-Two":"2","Authorization":"Bearer canary"}}"#).await;
    assert_eq!(put.status, 204);
    let shown = world.get(&headers).await;
    assert_eq!(shown.json, json!({"headers": {"X-One": "1", "X-Two": "2"}, "sensitive": ["Authorization"]}));
    let patch = r#"{"headers":{"x-one":"new","X-Two":null},"deleteHeaders":["authorization"]}"#;
    assert_eq!(world.patch(&headers, patch).await.status, 204);
    assert_eq!(world.get(&headers).await.json, json!({"headers": {"x-one": "new"}, "sensitive": []}));
    for body in [r#"{"headers":{"Host":"x"}}"#, r#"{"headers":{"webhook-id":"x"}}"#, r#"{}"#] {
        assert_eq!(world.put(&headers, body).await.wrong(), (422, vec!["body/headers".to_owned()]), "{body}");
    }
    assert_eq!(world.get(&headers).await.json["headers"], json!({"x-one": "new"}));
}

#[tokio::test]
async fn statistics_count_deliveries_in_a_window() {
    let world = World::with_endpoint().await;
    let stats = format!("{HOOK}/stats");
    assert_eq!(
        world.get(&stats).await.json,
        json!({"success": 0, "pending": 0, "sending": 0, "fail": 0, "canceled": 0})
    );
    let wide = world.get(&format!("{stats}?since=2026-12-01T00:00:00Z")).await;
    assert_eq!(wide.wrong(), (422, vec!["query/since".to_owned()]));
    assert_eq!(world.get(&format!("{stats}?since=yesterday")).await.error(), (400, "generic_error"));
}

#[tokio::test]
async fn an_example_is_sent_as_a_message() {
    let mut world = World::with_endpoint().await;
    let path = format!("{HOOK}/send-example");
    let sent = world.post(&path, r#"{"eventType":"svix.ping"}"#).await;
    assert_eq!((sent.status, &sent.json["eventType"]), (202, &json!("svix.ping")));
    assert!(world.handoff.messages.try_recv().is_ok());
    let none = world.post(&path, r#"{"eventType":"unknown"}"#).await;
    assert_eq!(none.error(), (400, "invalid_scheme"));
    let schema =
        r#"{"name":"known","description":"","schemas":{"1":{"type":"object","examples":[{"a":1}]}}}"#;
    assert_eq!(world.post("/event-type", schema).await.status, 201);
    assert_eq!(world.post(&path, r#"{"eventType":"known"}"#).await.json["payload"], json!({"a": 1}));
    assert_eq!(
        world.post(&path, r#"{"eventType":"known","exampleIndex":1}"#).await.error(),
        (400, "invalid_scheme")
    );
}

#[tokio::test]
async fn lists_and_descriptions_have_limits_that_are_named() {
    let world = World::with_endpoint().await;
    let names = |count: usize| (0..count).map(|n| format!(r#""n{n}""#)).collect::<Vec<_>>().join(",");
    let began = std::time::Instant::now();
    for field in ["channels", "eventTypes"] {
        let body = format!(r#"{{"{field}":[{}]}}"#, names(100_000));
        let refused = world.patch(HOOK, &body).await;
        assert_eq!(refused.wrong(), (422, vec![format!("body/{field}")]));
        assert!(refused.json["detail"][0]["msg"].as_str().unwrap().contains("100000 items"));
        let put = format!(r#"{{"url":"https://example.com","{field}":[{}]}}"#, names(100_000));
        assert_eq!(world.put(HOOK, &put).await.wrong(), (422, vec![format!("body/{field}")]));
    }
    let many = (0..9_000).map(|n| format!("n{n}")).collect::<Vec<_>>().join(",");
    let refused = world.get(&format!("/app/customer/msg?event_types={many}")).await;
    assert_eq!(refused.wrong(), (422, vec!["query/event_types".to_owned()]));
    let numbers = format!(r#"{{"url":"https://example.com","channels":[{}]}}"#, vec!["1"; 100_000].join(","));
    let refused = world.put(HOOK, &numbers).await;
    assert_eq!((refused.status, refused.wrong().1.len()), (422, 100), "problems are told up to a limit");
    assert!(began.elapsed() < std::time::Duration::from_secs(10), "{:?}", began.elapsed());
    let long = "x".repeat(4097);
    for (path, body) in [
        ("/app/customer/endpoint", format!(r#"{{"url":"https://example.com","description":"{long}"}}"#)),
        ("/event-type", format!(r#"{{"name":"a","description":"{long}"}}"#)),
    ] {
        let refused = world.post(path, &body).await;
        assert_eq!(refused.wrong(), (422, vec!["body/description".to_owned()]), "{path}");
        assert!(refused.json["detail"][0]["msg"].as_str().unwrap().contains("description_bytes_max"));
    }
    assert_eq!(world.patch(HOOK, &format!(r#"{{"description":"{}"}}"#, &long[1..])).await.status, 200);
}

#[tokio::test]
async fn event_types_that_a_token_does_not_see_cannot_be_chosen_and_chosen_ones_stay() {
    let world = World::with_endpoint().await;
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    world.post("/event-type", r#"{"name":"open","description":""}"#).await;
    world.post("/event-type", r#"{"name":"hidden","description":"","featureFlags":["beta"]}"#).await;
    let bearer = format!("Bearer {}", grant(&world.app, ORG, Some(&id)));
    let headers = [("authorization", bearer.as_str())];
    let types = |names: &str| format!(r#"{{"url":"https://example.com","eventTypes":[{names}]}}"#);
    for (method, path) in [
        (Method::PUT, "/app/customer/endpoint/other"),
        (Method::POST, "/app/customer/endpoint"),
        (Method::PATCH, HOOK),
        (Method::PUT, HOOK),
    ] {
        let refused = world.send(method.clone(), path, &headers, &types(r#""hidden""#)).await;
        assert_eq!(refused.wrong(), (422, vec!["body/eventTypes".to_owned()]), "{method} {path}");
    }
    assert_eq!(world.patch(HOOK, r#"{"eventTypes":["hidden"]}"#).await.status, 200);
    for method in [Method::PATCH, Method::PUT] {
        let kept = world.send(method, HOOK, &headers, &types(r#""open","hidden""#)).await;
        assert_eq!((kept.status, &kept.json["eventTypes"]), (200, &json!(["open", "hidden"])));
    }
}

#[tokio::test]
async fn one_header_in_two_spellings_is_refused() {
    let world = World::with_endpoint().await;
    let headers = format!("{HOOK}/headers");
    let twice = r#"{"headers":{"X-Dup":"1","x-dup":"2"}}"#;
    assert_eq!(world.put(&headers, twice).await.wrong(), (422, vec!["body/headers".to_owned()]));
    assert_eq!(world.patch(&headers, twice).await.wrong(), (422, vec!["body/headers".to_owned()]));
    assert_eq!(world.get(&headers).await.json["headers"], json!({}));
}

#[tokio::test]
async fn an_example_is_not_sent_to_a_disabled_endpoint() {
    let world = World::with_endpoint().await;
    world.patch(HOOK, r#"{"disabled":true}"#).await;
    let refused = world.post(&format!("{HOOK}/send-example"), r#"{"eventType":"svix.ping"}"#).await;
    assert_eq!(refused.error(), (400, "generic_error"));
    assert_eq!(world.get("/app/customer/msg").await.json["data"], json!([]));
}
