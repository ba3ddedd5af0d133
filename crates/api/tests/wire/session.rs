use crate::world::{ORG, Reply, World, grant};
use app::jwt::{Grant, Jwt};
use domain::clock::Clock;
use http::Method;
use serde_json::json;

async fn with(world: &World, credential: &str, method: Method, path: &str, body: &str) -> Reply {
    let bearer = format!("Bearer {credential}");
    world.send(method, path, &[("authorization", &bearer)], body).await
}

#[tokio::test]
async fn a_request_without_a_good_credential_is_refused() {
    let world = World::with_application().await;
    let other = Jwt::new("HS256", b"another secret of enough bytes").unwrap();
    let claim = Grant { environment: ORG, application: None, feature_flags: None, lifetime_seconds: 60 };
    let forged = format!("Bearer {}", other.sign(claim.clone(), world.clock.now()).unwrap());
    let expired =
        format!("Bearer {}", world.app.token_create(Grant { lifetime_seconds: -60, ..claim }).unwrap());
    let none = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJvcmdfMmFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWEifQ.";
    for header in
        ["", "Bearer", "Bearer junk", "Basic dXNlcjpwYXNz", "Bearer ph_unknown", &forged, &expired, none]
    {
        for (method, path) in [(Method::GET, "/app/customer"), (Method::POST, "/app/customer/msg")] {
            let body = if method == Method::POST { r#"{"eventType":"a","payload":{}}"# } else { "" };
            let reply = world.send(method, path, &[("authorization", header)], body).await;
            assert_eq!(reply.error(), (401, "authentication_failed"), "{header}");
            assert_eq!(reply.json["detail"], "Invalid token");
        }
    }
    assert_eq!(world.get("/app/customer/msg").await.json["data"], json!([]));
}

#[tokio::test]
async fn a_token_stops_when_it_expires_even_if_it_was_used_before() {
    let world = World::new();
    let token = world
        .app
        .token_create(Grant {
            environment: ORG,
            application: None,
            feature_flags: None,
            lifetime_seconds: 60,
        })
        .unwrap();
    assert_eq!(with(&world, &token, Method::GET, "/app", "").await.status, 200);
    world.clock.advance_ms(91_000);
    assert_eq!(with(&world, &token, Method::GET, "/app", "").await.status, 401);
}

#[tokio::test]
async fn an_application_token_opens_its_application_and_nothing_else() {
    let world = World::with_endpoint().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    let token = grant(&world.app, ORG, Some(&id));
    let status = async |method, path: &str, body: &str| with(&world, &token, method, path, body).await.status;
    assert_eq!(status(Method::GET, "/app/customer", "").await, 200);
    assert_eq!(status(Method::GET, &format!("/app/{id}/endpoint"), "").await, 200);
    assert_eq!(status(Method::GET, "/app/customer/endpoint/hook/secret", "").await, 200);
    assert_eq!(status(Method::PATCH, "/app/customer/endpoint/hook", "{}").await, 200);
    assert_eq!(status(Method::GET, "/event-type", "").await, 200);
    assert_eq!(status(Method::GET, "/app/other", "").await, 404);
    assert_eq!(status(Method::GET, "/app/other/msg", "").await, 404);
    for (method, path, body) in [
        (Method::GET, "/app", ""),
        (Method::POST, "/app", r#"{"name":"x"}"#),
        (Method::PUT, "/app/customer", r#"{"name":"x"}"#),
        (Method::PATCH, "/app/customer", r#"{"name":"x"}"#),
        (Method::DELETE, "/app/customer", ""),
        (Method::POST, "/app/customer/msg", r#"{"eventType":"a","payload":{}}"#),
        (Method::POST, "/event-type", r#"{"name":"x","description":""}"#),
        (Method::POST, "/app/customer/endpoint/hook/send-example", r#"{"eventType":"svix.ping"}"#),
        (Method::GET, "/api-key", ""),
    ] {
        let reply = with(&world, &token, method.clone(), path, body).await;
        assert_eq!(reply.error(), (403, "insufficient access"), "{method} {path}");
    }
    world.delete("/app/customer").await;
    for path in ["/app/customer", "/event-type"] {
        assert_eq!(status(Method::GET, path, "").await, 401, "{path}");
    }
}

#[tokio::test]
async fn an_api_key_does_what_its_role_may_until_it_is_revoked() {
    let world = World::with_endpoint().await;
    let mut keys = Vec::new();
    for role in ["viewer", "member", "manager", "administrator"] {
        let made = world.post("/api-key", &format!(r#"{{"role":"{role}","name":"{role}"}}"#)).await;
        assert_eq!(made.status, 201, "{:?}", made.json);
        let token = made.json["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with("ph_") && token.len() == 46);
        keys.push((token, made.json["key"]["id"].as_str().unwrap().to_owned()));
    }
    let table = [
        (Method::GET, "/app/customer/endpoint/hook", "", [200, 200, 200, 200]),
        (Method::POST, "/app/customer/msg", r#"{"eventType":"a","payload":{}}"#, [403, 202, 202, 202]),
        (Method::GET, "/app/customer/endpoint/hook/secret", "", [403, 403, 200, 200]),
        (Method::PATCH, "/app/customer/endpoint/hook", "{}", [403, 403, 200, 200]),
        (Method::PUT, "/app/customer", r#"{"name":"x"}"#, [403, 403, 403, 200]),
        (Method::PATCH, "/app/customer", r#"{"name":"x"}"#, [403, 403, 403, 200]),
        (
            Method::POST,
            "/app/on-the-way/msg",
            r#"{"eventType":"a","payload":{},"application":{"name":"x","uid":"on-the-way"}}"#,
            [403, 403, 403, 202],
        ),
        (Method::POST, "/api-key", "{}", [403, 403, 403, 201]),
    ];
    for (method, path, body, expected) in table {
        for ((token, _), expected) in keys.iter().zip(expected) {
            let reply = with(&world, token, method.clone(), path, body).await;
            assert_eq!(reply.status, expected, "{method} {path}");
        }
    }
    let listed = world.get("/api-key").await;
    assert_eq!(listed.json["data"].as_array().unwrap().len(), 5);
    assert!(!String::from_utf8_lossy(&listed.bytes).contains(&keys[0].0));
    assert_eq!(world.delete(&format!("/api-key/{}", keys[3].1)).await.status, 204);
    assert_eq!(with(&world, &keys[3].0, Method::GET, "/app", "").await.status, 401);
    assert_eq!(world.delete("/api-key/key_none").await.error(), (404, "not_found"));
    assert_eq!(
        world.post("/api-key", r#"{"role":"owner"}"#).await.wrong(),
        (422, vec!["body/role".to_owned()])
    );
}

#[tokio::test]
async fn an_applications_key_opens_that_application() {
    let world = World::with_endpoint().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let made = world.post("/api-key", r#"{"application":"customer"}"#).await;
    let token = made.json["token"].as_str().unwrap();
    assert_eq!(with(&world, token, Method::GET, "/app/customer", "").await.status, 200);
    assert_eq!(with(&world, token, Method::GET, "/app/other", "").await.status, 404);
    assert_eq!(with(&world, token, Method::GET, "/app", "").await.status, 403);
    assert_eq!(world.post("/api-key", r#"{"application":"nobody"}"#).await.error(), (404, "not_found"));
    assert_eq!(world.post("/auth/logout", "").await.status, 204);
}
