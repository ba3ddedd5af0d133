//! How requests say who they are from, and how they are signed: what each receiver finds in its headers.

use crate::server::{Store, WITHIN, World, eventually};
use crate::tls_receiver::TlsReceiver;
use serde_json::{Value, json};
use signing::Secret;
use testkit::{Answer, Received};

/// Sends `{"amount":1}` to an endpoint of these options and answers what arrived.
async fn deliver(world: &World, path: &str, mut options: Value) -> Received {
    options["url"] = json!(world.receiver.url(path));
    let endpoint = world.endpoint_with(&options).await;
    world.send().await;
    let received = world.receiver.wait_for_path(path, 1, WITHIN).await.remove(0);
    world.of_application("DELETE", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    received
}

async fn each_authentication_sets_its_header(store: Store) {
    let world = World::start(store).await;
    let table = [
        ("/none", json!({"type": "none"}), "authorization", ""),
        (
            "/basic",
            json!({"type": "basic", "username": "Ann", "password": "pä:ss"}),
            "authorization",
            "Basic QW5uOnDDpDpzcw==",
        ),
        ("/bearer", json!({"type": "bearer", "token": "t0ken"}), "authorization", "Bearer t0ken"),
        ("/key", json!({"type": "apiKey", "value": "k3y"}), "x-api-key", "k3y"),
        ("/own-key", json!({"type": "apiKey", "header": "X-Shop-Key", "value": "k3y"}), "x-shop-key", "k3y"),
        (
            "/header",
            json!({"type": "header", "name": "X-Custom", "value": "any thing"}),
            "x-custom",
            "any thing",
        ),
    ];
    for (path, auth, header, expected) in table {
        let received = deliver(&world, path, json!({"auth": auth})).await;
        assert_eq!(received.header(header), expected, "{path}");
    }
    world.stop().await;
}

async fn the_signatures_that_customers_verify_already_are_sent_beside_each_other(store: Store) {
    let world = World::start(store).await;
    let key = "my-secret";
    let signatures = json!([
        {"preset": "x-signature", "key": key},
        {"preset": "x-hub-signature-256", "key": key},
        {"preset": "timestamped", "key": key, "header": "X-Timed"},
        {"preset": "base64", "key": key, "header": "X-Base64"},
        {"type": "hmac", "key": key, "header": "X-Sha512", "algorithm": "sha512"},
    ]);
    let received = deliver(&world, "/all", json!({"signatures": signatures})).await;
    let found = ["x-signature", "x-hub-signature-256", "x-timed", "x-base64"]
        .map(|name| received.header(name).to_owned());
    assert_eq!(
        found,
        [
            SHA256.to_owned(),
            format!("sha256={SHA256}"),
            format!("t=1800000000,v1={TIMED}"),
            BASE64.to_owned(),
        ]
    );
    assert!(received.header("x-sha512").starts_with(SHA512), "{}", received.header("x-sha512"));
    let unsigned = ["webhook-id", "webhook-timestamp", "webhook-signature"]
        .map(|name| received.headers.contains_key(name));
    assert_eq!(unsigned, [true, true, false], "the standard's signature was not asked for");
    let sha1 = json!([{"type": "hmac", "key": key, "algorithm": "sha1"}, "standard"]);
    let received = deliver(&world, "/sha1", json!({"signatures": sha1})).await;
    assert_eq!(received.header("x-signature"), SHA1);
    assert!(received.header("webhook-signature").starts_with("v1,"));
    let received = deliver(&world, "/none", json!({"signatures": []})).await;
    assert!(!received.headers.contains_key("webhook-signature"));
    world.stop().await;
}

/// HMACs of `{"amount":1}` under `my-secret`, as Python's `hmac` and PHP's `hash_hmac` make them.
const SHA256: &str = "165baf9d88b36f06105e3999940f95f14af32fffca51b5bf145873d8743a26e2";
const SHA512: &str = "ae03c128461c748093eb52a2bab1781f35d6e3c9c810b86d73e21c9985b1c86695bd61693e914878dbe2eeb7944196a3c43bb73e08fdcceca867a9671c2336ae";
const SHA1: &str = "b92169eb7111a2ee8870b2c07f32e6bc472d22a8";
const BASE64: &str = "FluvnYizbwYQXjmZlA+V8UrzL//KUbW/FFhz2HQ6JuI=";
/// Of `1800000000.{"amount":1}`.
const TIMED: &str = "fb4790da1ada9264ace8a36e6d1c85620ac3c0ae1b1ab62d7f0ae1232a7cc75e";

async fn both_kinds_of_the_standards_signature_are_sent_in_one_header(store: Store) {
    let world = World::start(store).await;
    let url = world.receiver.url("/both");
    let endpoint =
        world.endpoint_with(&json!({"url": url, "signatures": ["standard", "standard-ed25519"]})).await;
    let secret = world.of_application("GET", &format!("/endpoint/{endpoint}/secret"), &Value::Null).await;
    let shown = world.of_application("GET", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    world.send().await;
    let received = world.receiver.wait_for_path("/both", 1, WITHIN).await.remove(0);
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| received.header(name));
    let [id, timestamp, signature] = headers;
    assert_eq!(
        signature.split(' ').map(|one| one.split(',').next().unwrap()).collect::<Vec<_>>(),
        ["v1", "v1a"]
    );
    let credentials =
        world.of_application("GET", &format!("/endpoint/{endpoint}/credentials"), &Value::Null).await;
    for key in [&secret["key"], &credentials["signatures"][1]["key"]] {
        let key = Secret::parse(key.as_str().unwrap()).unwrap();
        let checked = signing::verify(&key, id, timestamp, signature, &received.body, 1_800_000_000, 5);
        assert_eq!(checked, Ok(()));
    }
    assert!(shown["signatures"][1]["publicKey"].as_str().unwrap().starts_with("whpk_"));
    world.stop().await;
}

async fn a_rotated_key_goes_on_signing_for_its_overlap(store: Store) {
    let world = World::start(store).await;
    let url = world.receiver.url("/rotated");
    let signatures = json!([{"type": "hmac", "key": "old"}]);
    let endpoint = world.endpoint_with(&json!({"url": url, "signatures": signatures})).await;
    let rotation = json!({"header": "X-Signature", "key": "my-secret", "gracePeriodSeconds": 60});
    world.of_application("POST", &format!("/endpoint/{endpoint}/signature/rotate"), &rotation).await;
    world.send().await;
    let first = world.receiver.wait_for_path("/rotated", 1, WITHIN).await.remove(0);
    let signatures: Vec<_> = first.header("x-signature").split(',').collect();
    assert_eq!((signatures.len(), signatures[0]), (2, SHA256), "the current key first");
    world.clock.advance_ms(60_000);
    world.send().await;
    let second = world.receiver.wait_for_path("/rotated", 2, WITHIN).await.remove(1);
    assert_eq!(second.header("x-signature"), SHA256);
    world.stop().await;
}

fn granted(token: &str) -> Answer {
    Answer::status(200)
        .body(json!({"access_token": token, "token_type": "Bearer", "expires_in": 600}).to_string())
}

async fn a_token_is_fetched_once_kept_renewed_before_it_expires_and_when_it_is_refused(store: Store) {
    let world = World::start(store).await;
    for token in ["one", "two", "three"] {
        world.receiver.answer("/token", granted(token));
    }
    let auth = json!({"type": "oauth2", "tokenUrl": world.receiver.url("/token"), "clientId": "a b", "clientSecret": "c:d", "scope": "hooks write"});
    world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "auth": auth})).await;
    let arrived = async |count: usize| {
        let all = world.receiver.wait_for_path("/hook", count, WITHIN).await;
        all.iter().map(|one| one.header("authorization").to_owned()).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        world.send().await;
    }
    assert_eq!(arrived(3).await, ["Bearer one"; 3]);
    let asked = world.arrived("/token");
    assert_eq!(asked.len(), 1, "one request for all that want one");
    assert_eq!(asked[0].body, "grant_type=client_credentials&scope=hooks+write");
    assert_eq!(asked[0].header("authorization"), "Basic YStiOmMlM0Fk");
    world.clock.advance_ms(541_000);
    world.send().await;
    assert_eq!(arrived(4).await[3], "Bearer two", "renewed a minute before it expires");
    world.receiver.answer("/hook", Answer::status(401));
    let message = world.send().await;
    assert_eq!(arrived(6).await[4..], ["Bearer two", "Bearer three"]);
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert_eq!(attempts[0]["responseStatusCode"], 200, "a token that was revoked costs no attempt");
    world.stop().await;
}

async fn a_server_that_gives_no_token_is_a_failed_attempt_that_says_so(store: Store) {
    let world = World::start(store).await;
    world.receiver.answer_always("/token", Answer::status(400).body(r#"{"error":"invalid_client"}"#));
    let auth = json!({"type": "oauth2", "tokenUrl": world.receiver.url("/token"), "clientId": "a", "clientSecret": "b"});
    world.endpoint_with(&json!({"url": world.receiver.url("/hook"), "auth": auth})).await;
    let messages = [world.send().await, world.send().await];
    for message in &messages {
        let attempts = world.wait_for_attempts(message, 1).await;
        let told = attempts[0]["response"].as_str().unwrap();
        assert!(
            told.contains("gave no token, and answered 400") && told.contains("invalid_client"),
            "{told}"
        );
        assert_eq!(attempts[0]["responseStatusCode"], 0);
    }
    assert_eq!(
        (world.arrived("/token").len(), world.arrived("/hook").len()),
        (1, 0),
        "asked once in some seconds"
    );
    world.stop().await;
}

async fn a_receiver_that_asks_for_a_certificate_gets_the_endpoints_own(store: Store) {
    let world = World::start(store).await;
    let receiver = TlsReceiver::start().await;
    let auth = json!({"type": "mtls", "certificate": receiver.client_certificate, "privateKey": receiver.client_key});
    let good =
        json!({"url": receiver.url("/hook"), "auth": auth, "certificateAuthority": receiver.authority});
    world.endpoint_with(&good).await;
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, 1).await;
    assert_eq!(attempts[0]["responseStatusCode"], 200, "{}", attempts[0]);
    assert_eq!(receiver.bodies(), [r#"{"amount":1}"#]);
    // Without the certificate, or without believing the authority, there is no connection.
    let world = World::start(store).await;
    world
        .endpoint_with(&json!({"url": receiver.url("/hook"), "certificateAuthority": receiver.authority}))
        .await;
    world.endpoint_with(&json!({"url": receiver.url("/hook"), "auth": auth})).await;
    let message = world.send().await;
    let attempts = world.wait_for_attempts(&message, 2).await;
    let told: Vec<_> = attempts.iter().map(|one| one["response"].as_str().unwrap().to_owned()).collect();
    assert!(
        told.iter().any(|one| one.contains("refused TLS") || one.contains("CertificateRequired")),
        "{told:?}"
    );
    assert!(told.iter().any(|one| one.contains("not from an authority that we know")), "{told:?}");
    eventually("no more than the first", async || (receiver.bodies().len() == 1).then_some(())).await;
    world.stop().await;
}

each_store!(
    each_authentication_sets_its_header,
    the_signatures_that_customers_verify_already_are_sent_beside_each_other,
    both_kinds_of_the_standards_signature_are_sent_in_one_header,
    a_rotated_key_goes_on_signing_for_its_overlap,
    a_token_is_fetched_once_kept_renewed_before_it_expires_and_when_it_is_refused,
    a_server_that_gives_no_token_is_a_failed_attempt_that_says_so,
    a_receiver_that_asks_for_a_certificate_gets_the_endpoints_own,
);
