//! What an endpoint can be told beyond the wire's fields: wrong values named, nothing half done, secrets not shown.
//! (Transformations need the sandbox's process: they are tested end to end.)

use crate::world::World;
use serde_json::{Value, json};

const HOOK: &str = "/app/customer/endpoint/hook";

/// A self-signed certificate and its key.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["client.test".to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Wrong values of what shapes and paces requests, and where they are.
fn wrong_shapes() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"name": ""}), "name"),
        (json!({"name": "x".repeat(129)}), "name"),
        (json!({"name": 5}), "name"),
        (json!({"type": "mail"}), "type"),
        (json!({"type": "slack", "format": "raw"}), "type"),
        (json!({"method": "post"}), "method"),
        (json!({"contentType": "json"}), "contentType"),
        (json!({"contentType": "text/plain\r\nX: y"}), "contentType"),
        (json!({"format": "RAW"}), "format"),
        (json!({"fields": []}), "fields"),
        (json!({"fields": ["$.a", "$.b["]}), "fields/[1]"),
        (json!({"fields": ["$..a..b"]}), "fields/[0]"),
        (json!({"fields": ["x".repeat(513)]}), "fields/[0]"),
        (json!({"template": "{% if %}"}), "template"),
        (json!({"template": 5}), "template"),
        (json!({"template": "x", "format": "envelope"}), "template"),
        (json!({"template": {"a": "{{ b"}}), "template"),
        (json!({"filter": "data.amount >"}), "filter"),
        (json!({"filter": "amount > 5"}), "filter"),
        (json!({"filter": "x".repeat(4_097)}), "filter"),
        (json!({"template": "a\u{0}b"}), "template"),
        (json!({"template": {"a": ["\u{0}"]}}), "template"),
        (json!({"filter": "data.a == '\u{0}'"}), "filter"),
        (json!({"eventHeaders": "yes"}), "eventHeaders"),
        (json!({"format": "cloudevents", "contentType": "application/json; charset=utf-8"}), "contentType"),
        (
            json!({"format": "cloudevents-binary", "contentType": "application/cloudevents+xml"}),
            "contentType",
        ),
        (json!({"routes": [{"eventType": "a.b"}]}), "routes/[0]/url"),
        (json!({"routes": [{"eventType": "none.such", "url": "https://example.com"}]}), "routes"),
        (json!({"maxAttempts": 26}), "maxAttempts"),
        (json!({"maxAttempts": 300}), "maxAttempts"),
        (json!({"maxAttempts": -1}), "maxAttempts"),
        (json!({"retrySchedule": [604_801]}), "retrySchedule"),
        (json!({"retrySchedule": [1, "2"]}), "retrySchedule/[1]"),
        (json!({"timeoutSeconds": 0}), "timeoutSeconds"),
        (json!({"timeoutSeconds": 31}), "timeoutSeconds"),
        (json!({"throttlePeriod": "day"}), "throttlePeriod"),
        (json!({"disablePolicy": "sometimes"}), "disablePolicy"),
        (json!({"maxInFlight": 0}), "maxInFlight"),
        (json!({"maxInFlight": 129}), "maxInFlight"),
        (json!({"ordered": true, "maxInFlight": 2}), "maxInFlight"),
        (json!({"method": "GET", "format": "envelope"}), "format"),
        (
            json!({"format": "cloudevents-binary", "contentType": "application/x-www-form-urlencoded"}),
            "contentType",
        ),
    ]
}

/// The same for authentication and certificates.
fn wrong_auths() -> Vec<(Value, &'static str)> {
    let (certificate, _) = certificate();
    let (_, other_key) = self::certificate();
    let long = "x".repeat(5_000);
    vec![
        (json!({"auth": "basic"}), "auth"),
        (json!({"auth": {"type": "digest"}}), "auth/type"),
        (json!({"auth": {"type": "basic", "username": "a:b", "password": "x"}}), "auth/username"),
        (json!({"auth": {"type": "basic", "password": "x"}}), "auth/username"),
        (json!({"auth": {"type": "basic", "username": "a"}}), "auth/password"),
        (json!({"auth": {"type": "bearer"}}), "auth/token"),
        (
            json!({"auth": {"type": "oauth2", "tokenUrl": "https://example.com/", "clientId": "a"}}),
            "auth/clientSecret",
        ),
        (json!({"auth": {"type": "bearer", "token": "a\r\nb"}}), "auth/token"),
        (json!({"auth": {"type": "bearer", "token": long}}), "auth/token"),
        (json!({"auth": {"type": "apiKey", "header": long, "value": "x"}}), "auth/header"),
        (json!({"auth": {"type": "apiKey", "header": "bad name", "value": "x"}}), "auth/header"),
        (json!({"auth": {"type": "header", "name": "Host", "value": "x"}}), "auth/name"),
        (json!({"auth": {"type": "header", "name": "X-A", "value": "a\nb"}}), "auth/value"),
        (
            json!({"auth": {"type": "oauth2", "tokenUrl": "https://127.0.0.1/", "clientId": "a", "clientSecret": "b"}}),
            "auth/tokenUrl",
        ),
        (
            json!({"auth": {"type": "oauth2", "tokenUrl": "https://example.com/", "clientId": "", "clientSecret": "b"}}),
            "auth/clientId",
        ),
        (json!({"auth": {"type": "mtls", "certificate": certificate}}), "auth/privateKey"),
        (
            json!({"auth": {"type": "mtls", "certificate": certificate, "privateKey": other_key}}),
            "auth/certificate",
        ),
        (
            json!({"auth": {"type": "mtls", "certificate": "none", "privateKey": other_key}}),
            "auth/certificate",
        ),
        (json!({"certificateAuthority": "none"}), "certificateAuthority"),
    ]
}

/// The same for signatures.
fn wrong_signatures() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"signatures": ["md5"]}), "signatures/[0]"),
        (json!({"signatures": [{"type": "hmac", "algorithm": "md5"}]}), "signatures/[0]/algorithm"),
        (json!({"signatures": [{"type": "hmac", "key": ""}]}), "signatures/[0]/key"),
        (json!({"signatures": [{"type": "hmac", "key": "x".repeat(257)}]}), "signatures/[0]/key"),
        (json!({"signatures": [{"type": "hmac", "header": "webhook-signature"}]}), "signatures/[0]/header"),
        (json!({"signatures": [{"type": "hmac", "prefix": "a\nb"}]}), "signatures/[0]/prefix"),
        (json!({"signatures": [{"type": "standard", "key": "whsec_AAAA"}]}), "signatures/[0]/key"),
        (json!({"signatures": [{"type": "standard-ed25519", "key": "whsec_AAAA"}]}), "signatures/[0]/key"),
        (json!({"signatures": ["x-signature", {"type": "hmac", "header": "x-signature"}]}), "signatures/[1]"),
        (json!({"signatures": vec!["standard"; 6]}), "signatures"),
    ]
}

#[tokio::test]
async fn wrong_options_are_each_named_and_nothing_is_stored() {
    let world = World::with_endpoint().await;
    let before = world.get(HOOK).await.json;
    let table = [wrong_shapes(), wrong_auths(), wrong_signatures()].concat();
    for (options, place) in table {
        let refused = world.patch(HOOK, &options.to_string()).await;
        let (status, places) = refused.wrong();
        assert_eq!(status, 422, "{options}: {:?}", refused.json);
        assert_eq!(places[0], format!("body/{place}"), "{options}: {:?}", refused.json);
        let mut new = options.clone();
        new["url"] = json!("https://example.com/new");
        let refused = world.post("/app/customer/endpoint", &new.to_string()).await;
        assert_eq!((refused.status, refused.wrong().1[0].clone()), (422, format!("body/{place}")), "{new}");
    }
    assert_eq!(world.get(HOOK).await.json, before, "nothing was half done");
    assert_eq!(world.get("/app/customer/endpoint").await.json["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn own_fields_stay_when_the_wires_are_replaced_and_null_is_the_default_again() {
    let world = World::with_endpoint().await;
    let set = json!({"format": "standard", "method": "PUT", "maxAttempts": 3, "filter": "data.a == 1", "name": "Mine"});
    assert_eq!(world.patch(HOOK, &set.to_string()).await.status, 200);
    let put = world.put(HOOK, r#"{"url":"https://example.com/other"}"#).await.json;
    for (name, value) in set.as_object().unwrap() {
        assert_eq!(&put[name], value, "{name}");
    }
    let cleared = world
        .patch(HOOK, r#"{"format":null,"method":null,"maxAttempts":null,"filter":null,"name":null}"#)
        .await;
    let shown = ["format", "method", "maxAttempts", "filter", "name"].map(|name| cleared.json[name].clone());
    assert_eq!(shown, [json!("raw"), json!("POST"), Value::Null, Value::Null, json!("example.com")]);
}

#[tokio::test]
async fn what_is_shown_can_be_sent_back() {
    let (certificate, key) = certificate();
    for options in [
        json!({"format": "cloudevents"}),
        json!({"method": "GET"}),
        json!({"type": "slack", "template": {"text": "{{ type }}"}}),
        json!({"auth": {"type": "mtls", "certificate": certificate, "privateKey": key}}),
        json!({"auth": {"type": "basic", "username": "u", "password": "canary"}, "signatures": ["standard", "timestamped"]}),
    ] {
        let world = World::with_endpoint().await;
        let shown = world.patch(HOOK, &options.to_string()).await;
        assert_eq!(shown.status, 200, "{options}: {:?}", shown.json);
        let revealed = world.get(&format!("{HOOK}/credentials")).await.json;
        let back = world.put(HOOK, &shown.json.to_string()).await;
        assert_eq!(back.json, shown.json, "{options}");
        assert_eq!(
            world.get(&format!("{HOOK}/credentials")).await.json,
            revealed,
            "secret parts stay as they are"
        );
    }
}

#[tokio::test]
async fn secret_parts_are_revealed_to_managers_only_and_never_in_lists() {
    let world = World::with_endpoint().await;
    let auth = json!({"type": "basic", "username": "shop", "password": "canary-password"});
    let signatures = json!([{"type": "hmac", "key": "canary-key"}, "standard-ed25519"]);
    let changed = world.patch(HOOK, &json!({"auth": auth, "signatures": signatures}).to_string()).await;
    let list = world.get("/app/customer/endpoint").await;
    for answer in [&changed, &list] {
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("canary"), "{:?}", answer.json);
    }
    assert_eq!(changed.json["auth"], json!({"type": "basic", "username": "shop"}));
    let hmac = json!({"type": "hmac", "header": "X-Signature", "algorithm": "sha256", "encoding": "hex", "prefix": "", "signs": "body"});
    assert_eq!(changed.json["signatures"][0], hmac);
    assert!(changed.json["signatures"][1]["publicKey"].as_str().unwrap().starts_with("whpk_"));
    let shown = world.get(&format!("{HOOK}/credentials")).await.json;
    assert_eq!(shown["auth"]["password"], "canary-password");
    assert_eq!(shown["signatures"][0]["key"], "canary-key");
}

#[tokio::test]
async fn a_signatures_key_is_rotated_generated_or_given() {
    let world = World::with_endpoint().await;
    world.patch(HOOK, &json!({"signatures": ["standard", "x-signature"]}).to_string()).await;
    let path = format!("{HOOK}/signature/rotate");
    let key = |shown: &Value| shown["signatures"][1]["key"].as_str().unwrap().to_owned();
    let first = key(&world.get(&format!("{HOOK}/credentials")).await.json);
    assert_eq!(first.len(), 48, "generated");
    let rotated = world.post(&path, r#"{"header":"x-signature"}"#).await;
    assert_eq!(rotated.status, 200, "{:?}", rotated.json);
    assert_ne!(key(&rotated.json), first);
    let given = world.post(&path, r#"{"header":"X-Signature","key":"mine","gracePeriodSeconds":0}"#).await;
    assert_eq!(key(&given.json), "mine");
    assert_eq!(world.post(&path, r#"{"header":"X-Other"}"#).await.status, 404);
    assert_eq!(world.post(&path, r#"{"header":"standard"}"#).await.status, 404);
    assert_eq!(world.post(&path, r#"{"header":"X-Signature","key":""}"#).await.wrong().1, ["body/key"]);
    assert_eq!(world.post(&path, r#"{"key":"x"}"#).await.wrong().1, ["body/header"]);
}

#[tokio::test]
async fn a_header_that_a_signature_moves_to_keeps_its_key() {
    let world = World::with_endpoint().await;
    let key = async || {
        let all = world.get(&format!("{HOOK}/credentials")).await.json["signatures"].clone();
        all.as_array().unwrap().iter().find(|one| one["type"] == "hmac").unwrap()["key"].clone()
    };
    let sign = async |signatures: Value| {
        let changed = world.patch(HOOK, &json!({"signatures": signatures}).to_string()).await;
        assert_eq!(changed.status, 200, "{:?}", changed.json);
    };
    sign(json!([{"type": "hmac", "key": "theirs"}])).await;
    sign(json!(["standard", {"type": "hmac", "header": "X-Sig"}])).await;
    assert_eq!(key().await, "theirs");
    sign(json!([{"type": "hmac", "header": "X-Sig"}, {"type": "hmac", "header": "X-Other"}])).await;
    assert_eq!(key().await, "theirs", "the one that stays; the other's is its own");
}

#[tokio::test]
async fn what_was_a_default_is_no_choice_when_it_is_sent_back_with_a_change() {
    let world = World::with_endpoint().await;
    let shown = world.get(HOOK).await.json;
    let (name, content_type) = (&shown["name"], &shown["contentType"]);
    let change = json!({"name": name, "contentType": content_type, "format": "cloudevents", "url": "https://example.org/"});
    let changed = world.patch(HOOK, &change.to_string()).await;
    assert_eq!(changed.status, 200, "{:?}", changed.json);
    let changed = world.get(HOOK).await.json;
    assert_eq!(
        (&changed["name"], &changed["contentType"]),
        (&json!("example.org"), &json!("application/cloudevents+json"))
    );
    let back = json!({"contentType": changed["contentType"], "format": "raw"}).to_string();
    assert_eq!(world.patch(HOOK, &back).await.json["contentType"], "application/json");
}

#[tokio::test]
async fn headers_and_authentication_do_not_set_the_same_header() {
    let world = World::with_endpoint().await;
    let headers = format!("{HOOK}/headers");
    let authorization = r#"{"headers":{"Authorization":"Bearer x"}}"#;
    assert_eq!(world.put(&headers, authorization).await.status, 204);
    let bearer = json!({"auth": {"type": "bearer", "token": "t"}}).to_string();
    assert_eq!(world.patch(HOOK, &bearer).await.wrong(), (422, vec!["body/auth".to_owned()]));
    assert_eq!(world.put(&headers, r#"{"headers":{}}"#).await.status, 204);
    assert_eq!(world.patch(HOOK, &bearer).await.status, 200);
    assert_eq!(world.put(&headers, authorization).await.wrong(), (422, vec!["body/headers".to_owned()]));
    assert_eq!(world.patch(&headers, authorization).await.wrong(), (422, vec!["body/headers".to_owned()]));
    let signed = json!({"signatures": ["x-hub-signature-256"]}).to_string();
    assert_eq!(world.patch(HOOK, &signed).await.status, 200);
    let hub = r#"{"headers":{"x-hub-signature-256":"x"}}"#;
    assert_eq!(world.put(&headers, hub).await.wrong(), (422, vec!["body/headers".to_owned()]));
}

#[tokio::test]
async fn a_certificate_that_has_expired_is_taken_with_a_warning() {
    let world = World::with_endpoint().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(["client.test".to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) =
        (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2021, 1, 1));
    let certificate = parameters.self_signed(&key).unwrap().pem();
    let auth = json!({"type": "mtls", "certificate": certificate, "privateKey": key.serialize_pem()});
    let changed = world.patch(HOOK, &json!({"auth": auth}).to_string()).await;
    assert_eq!(changed.status, 200, "{:?}", changed.json);
    assert_eq!(changed.json["warnings"], json!(["the client certificate expired at 2021-01-01T00:00:00Z"]));
}
