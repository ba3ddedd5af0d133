use crate::world::{Reply, World};
use http::Method;
use serde_json::json;

const BODY: &str = r#"{"eventType":"a","payload":{"k":1}}"#;

async fn keyed(world: &World, path: &str, key: &str, body: &str) -> Reply {
    world.send(Method::POST, path, &[("idempotency-key", key)], body).await
}

async fn messages(world: &World) -> usize {
    world.get("/app/customer/msg").await.json["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_message_with_an_automatic_key_is_made_once_within_two_minutes() {
    let world = World::with_endpoint().await;
    let first = keyed(&world, "/app/customer/msg", "auto_1", BODY).await;
    let again = keyed(&world, "/app/customer/msg/", "auto_1", BODY).await;
    assert_eq!((again.status, &again.bytes), (202, &first.bytes));
    assert_ne!(keyed(&world, "/app/customer/msg", "auto_2", BODY).await.bytes, first.bytes);
    world.clock.advance_ms(119_000);
    assert_eq!(keyed(&world, "/app/customer/msg", "auto_1", BODY).await.bytes, first.bytes);
    assert_eq!(messages(&world).await, 2);
    world.clock.advance_ms(240_000);
    assert_ne!(keyed(&world, "/app/customer/msg", "auto_1", BODY).await.bytes, first.bytes);
}

#[tokio::test]
async fn a_message_with_a_chosen_key_is_replayed_and_another_body_is_a_conflict() {
    let world = World::with_endpoint().await;
    let first = keyed(&world, "/app/customer/msg", "mine", BODY).await;
    world.clock.advance_ms(11 * 3_600_000);
    assert_eq!(keyed(&world, "/app/customer/msg", "mine", BODY).await.bytes, first.bytes);
    let other = keyed(&world, "/app/customer/msg", "mine", r#"{"eventType":"b","payload":{}}"#).await;
    assert_eq!(other.error(), (409, "conflict"));
    assert_eq!(messages(&world).await, 1);
    world.clock.advance_ms(2 * 3_600_000);
    assert_ne!(keyed(&world, "/app/customer/msg", "mine", BODY).await.bytes, first.bytes);
}

#[tokio::test]
async fn a_refused_request_frees_its_key() {
    let world = World::with_endpoint().await;
    for key in ["auto_1", "mine"] {
        let bad = r#"{"eventType":"a b","payload":{}}"#;
        assert_eq!(keyed(&world, "/app/customer/msg", key, bad).await.status, 422);
        assert_eq!(keyed(&world, "/app/customer/msg", key, BODY).await.status, 202);
        assert_eq!(keyed(&world, "/app", key, "{}").await.status, 422);
        assert_eq!(keyed(&world, "/app", key, r#"{"name":"x"}"#).await.status, 201);
    }
}

#[tokio::test]
async fn all_posts_replay_their_answers() {
    let world = World::with_endpoint().await;
    for (path, body) in [
        ("/app", r#"{"name":"x","uid":"x"}"#),
        ("/app/customer/endpoint", r#"{"url":"https://example.com"}"#),
        ("/event-type", r#"{"name":"t","description":""}"#),
        ("/app/customer/endpoint/hook/secret/rotate", "{}"),
    ] {
        for key in ["auto_1", "mine"] {
            let first = keyed(&world, path, key, body).await;
            if first.status == 409 {
                continue;
            }
            let again = keyed(&world, path, key, body).await;
            assert_eq!((again.status, &again.bytes), (first.status, &first.bytes), "{path}");
            let other = keyed(&world, path, key, &format!("{body} ")).await;
            assert_eq!(other.status, if key == "mine" { 409 } else { first.status }, "{path}");
        }
    }
    let endpoints = world.get("/app/customer/endpoint").await;
    assert_eq!(endpoints.json["data"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_key_counts_for_one_subject_and_path() {
    let world = World::with_endpoint().await;
    world.post("/app", r#"{"name":"Other","uid":"other"}"#).await;
    let first = keyed(&world, "/app/customer/msg", "mine", BODY).await;
    assert_ne!(keyed(&world, "/app/other/msg", "mine", BODY).await.bytes, first.bytes);
    let made = world.post("/api-key", "{}").await;
    let bearer = format!("Bearer {}", made.json["token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "mine")];
    assert_ne!(world.send(Method::POST, "/app/customer/msg", &headers, BODY).await.bytes, first.bytes);
    let fresh = crate::world::grant(&world.app, crate::world::ORG, None);
    let bearer = format!("Bearer {fresh}");
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", "mine")];
    assert_eq!(world.send(Method::POST, "/app/customer/msg", &headers, BODY).await.bytes, first.bytes);
}

#[tokio::test]
async fn concurrent_requests_with_one_key_make_one_message() {
    let world = World::with_endpoint().await;
    for (path, body) in [("/app/customer/msg", BODY), ("/app", r#"{"name":"once","uid":"once"}"#)] {
        for key in ["auto_c", "chosen"] {
            let calls = (0..8).map(|_| keyed(&world, path, key, body));
            let replies = futures_util::future::join_all(calls).await;
            if replies[0].status == 409 {
                continue;
            }
            assert!(replies.iter().all(|reply| reply.bytes == replies[0].bytes), "{path} {key}");
            assert!(replies[0].status < 300);
        }
    }
    assert_eq!(messages(&world).await, 2);
}

#[tokio::test]
async fn a_client_that_went_away_finds_its_message_when_it_tries_again() {
    let world = World::with_endpoint().await;
    {
        let call = keyed(&world, "/app/customer/msg", "auto_gone", BODY);
        // One poll: the message is on its way to the disk, and its client is gone.
        assert!(futures_util::FutureExt::now_or_never(call).is_none());
    }
    let again = keyed(&world, "/app/customer/msg", "auto_gone", BODY).await;
    assert_eq!(again.status, 202);
    assert_eq!(messages(&world).await, 1);
    assert_eq!(world.get("/app/customer/msg").await.json["data"][0]["id"], again.json["id"]);
}

#[tokio::test]
async fn a_key_that_is_too_long_is_refused() {
    let world = World::with_endpoint().await;
    let reply = keyed(&world, "/app/customer/msg", &"k".repeat(257), BODY).await;
    assert_eq!(reply.error(), (400, "generic_error"));
    assert_eq!(world.get("/app/customer/msg").await.json["data"], json!([]));
}

#[tokio::test]
async fn a_repeated_try_after_a_restart_finds_its_message() {
    let mut world = World::with_endpoint().await;
    let first = keyed(&world, "/app/customer/msg", "auto_1", BODY).await;
    world.clock.advance_ms(10_000);
    world.restart();
    let retry = [("idempotency-key", "auto_1"), ("svix-retry-count", "1")];
    let again = world.send(Method::POST, "/app/customer/msg", &retry, BODY).await;
    assert_eq!((again.status, &again.bytes), (202, &first.bytes));
    assert_eq!(messages(&world).await, 1);
    let other = [("idempotency-key", "auto_2"), ("svix-retry-count", "3")];
    assert_eq!(world.send(Method::POST, "/app/customer/msg", &other, BODY).await.status, 202);
    assert_eq!(messages(&world).await, 2);
}

#[tokio::test]
async fn a_key_does_not_outlive_its_application() {
    let world = World::with_endpoint().await;
    for key in ["auto_1", "mine"] {
        let first = keyed(&world, "/app/customer/msg", key, BODY).await;
        world.delete("/app/customer").await;
        assert_eq!(world.post("/app", r#"{"name":"Again","uid":"customer"}"#).await.status, 201);
        let again = keyed(&world, "/app/customer/msg", key, BODY).await;
        assert_eq!(again.status, 202, "{key}: {:?}", again.json);
        assert_ne!(again.json["id"], first.json["id"]);
        assert_eq!(keyed(&world, "/app/customer/msg", key, BODY).await.bytes, again.bytes);
    }
}
