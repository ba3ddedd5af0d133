//! Callers who are not who they say, and ids that are not theirs: the exact refusal, nothing shown, nothing changed.
//!
//! The operations come from the server's own OpenAPI document, so that a new one is tried too.

use crate::live::{Api, Home, WITHIN};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::clock::Clock;
use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use posthaste::clock::SystemClock;
use serde_json::{Value, json};
use testkit::{Process, Receiver, Reply};

/// The server's key for tokens.
const KEY: &str = "the key that signs the tokens of this test";
/// Two environments.
const OURS: &str = "org_ours0000000000000000000000";
const THEIRS: &str = "org_theirs00000000000000000000";

/// A server with one tenant's things in it.
struct World {
    home: Home,
    ours: Api,
    ids: Ids,
    receiver: Receiver,
    _process: Process,
}

/// What a path's parameters stand for.
#[derive(Clone)]
struct Ids {
    application: String,
    endpoint: String,
    message: String,
    attempt: String,
    key: String,
    event_type: String,
}

impl Ids {
    fn fill(&self, path: &str) -> String {
        path.replace("{app_id}", &self.application)
            .replace("{endpoint_id}", &self.endpoint)
            .replace("{msg_id}", &self.message)
            .replace("{attempt_id}", &self.attempt)
            .replace("{key_id}", &self.key)
            .replace("{event_type_name}", &self.event_type)
    }
}

/// A token of these claims under this key.
fn token(algorithm: Algorithm, key: &str, claims: &Value) -> String {
    encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(key.as_bytes())).expect("a token")
}

/// A good token of an environment.
fn environment(id: &str) -> String {
    token(Algorithm::HS256, KEY, &json!({ "sub": id }))
}

fn application(environment: &str, id: &str) -> String {
    token(Algorithm::HS256, KEY, &json!({ "org": environment, "sub": id }))
}

impl World {
    async fn new() -> Self {
        let home = Home::new(&[("JWT_SECRET", KEY)]);
        let process = home.start().await;
        let receiver = Receiver::start().await;
        let ours = Api { token: environment(OURS), ..home.api() };
        let application = ours.application("ours").await;
        let endpoint = ours.endpoint(&application, &receiver.url("/hook")).await;
        ours.post("/event-type", &json!({ "name": "ours.only", "description": "" })).await;
        let key = ours.post("/api-key", &json!({ "name": "ours" })).await;
        let sent = json!({ "eventType": "ours.only", "payload": {} });
        let message = ours.post(&format!("/app/{application}/msg"), &sent).await;
        receiver.wait_for(1, WITHIN).await;
        ours.settled().await;
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let message = text(&message["id"]);
        let attempts = ours.get(&format!("/app/{application}/attempt/msg/{message}")).await;
        let ids = Ids {
            attempt: text(&attempts["data"][0]["id"]),
            key: text(&key["key"]["id"]),
            event_type: "ours.only".into(),
            application,
            endpoint,
            message,
        };
        Self { home, ours, ids, receiver, _process: process }
    }

    /// Any request, with a body that would do.
    async fn send(&self, method: &str, path: &str, credential: &str) -> Reply {
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let headers = [("authorization", credential)];
        let body = if matches!(method, Method::GET | Method::DELETE) { String::new() } else { body(path) };
        let sent = self.ours.client.send(method, path, &headers, body).await;
        sent.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// All that is ours.
    async fn everything(&self) -> Vec<Value> {
        let Ids { application, endpoint, message, .. } = &self.ids;
        let mut all = vec![self.ours.get("/api-key").await];
        for path in [
            "/app".to_owned(),
            "/event-type".to_owned(),
            format!("/app/{application}/endpoint"),
            format!("/app/{application}/msg"),
            format!("/app/{application}/attempt/msg/{message}"),
            format!("/app/{application}/attempt/endpoint/{endpoint}"),
        ] {
            all.push(json!(self.ours.list(&path).await));
        }
        all.push(self.ours.get(&format!("/app/{application}/endpoint/{endpoint}/secret")).await);
        all.push(self.ours.get(&format!("/app/{application}/endpoint/{endpoint}/headers")).await);
        all
    }

    /// Method and path of every operation that asks for a credential.
    async fn operations(&self) -> Vec<(String, String)> {
        let document = self.ours.get("/openapi.json").await;
        let mut all = Vec::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            let methods = methods.as_object().expect("methods").iter();
            let closed = methods.filter(|(_, operation)| operation["security"].get(0) != Some(&json!({})));
            all.extend(closed.map(|(method, _)| (method.clone(), path.clone())));
        }
        assert!(all.len() >= 40, "{all:?}");
        all
    }
}

/// A body that any operation with this path can read.
fn body(path: &str) -> String {
    let all = json!({
        "name": "stranger", "url": "https://example.com/", "description": "stranger", "eventType": "ours.only",
        "payload": {}, "headers": { "X-Stranger": "x" }, "gracePeriodSeconds": 0,
        "since": "2026-01-01T00:00:00Z", "recover": "since",
    });
    if path.ends_with("/signature/rotate") {
        json!({ "header": "X-Stranger" }).to_string()
    } else if path.ends_with("/push-subscription") {
        crate::browser::Browser::new().subscription("https://push.example.com/x").to_string()
    } else if path.ends_with("/headers") {
        json!({ "headers": { "X-Stranger": "x" } }).to_string()
    } else {
        all.to_string()
    }
}

fn refusal(reply: &Reply) -> (u16, String) {
    (reply.status, reply.json()["code"].as_str().unwrap_or_default().to_owned())
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// Credentials that open nothing, each with what is wrong with it.
fn bad_credentials(ids: &Ids) -> Vec<(&'static str, String)> {
    let now = SystemClock.now().seconds();
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let good = environment(OURS);
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let other = part(&json!({ "sub": THEIRS }));
    let none =
        |word: &str, signature: &str| format!("{}.{claims}.{signature}", part(&json!({ "alg": word })));
    let signed = |claims: Value| token(Algorithm::HS256, KEY, &claims);
    let mut own_key = Header::new(Algorithm::HS256);
    own_key.kid = Some("../../dev/null".into());
    own_key.jku = Some("http://127.0.0.1/keys".into());
    let attacker = EncodingKey::from_secret(b"a key of the attacker, long enough");
    let own_key = encode(&own_key, &json!({ "sub": OURS }), &attacker).expect("a token");
    let mut all = vec![
        ("expired", signed(json!({ "sub": OURS, "exp": now - 3_600 }))),
        ("expired two minutes ago", signed(json!({ "sub": OURS, "exp": now - 120 }))),
        ("not yet valid", signed(json!({ "sub": OURS, "nbf": now + 3_600 }))),
        (
            "forged with another key",
            token(Algorithm::HS256, "another key that is long enough", &json!({ "sub": OURS })),
        ),
        ("forged with an empty key", token(Algorithm::HS256, "", &json!({ "sub": OURS }))),
        ("forged with a key of its own choice", own_key),
        ("alg none", none("none", "")),
        ("alg None with the signature", none("None", signature)),
        ("alg NONE", none("NONE", "")),
        ("no alg", format!("{}.{claims}.{signature}", part(&json!({ "typ": "JWT" })))),
        ("HS384 with the right key", token(Algorithm::HS384, KEY, &json!({ "sub": OURS }))),
        ("HS512 with the right key", token(Algorithm::HS512, KEY, &json!({ "sub": OURS }))),
        ("RS256 in name", format!("{}.{claims}.{signature}", part(&json!({ "alg": "RS256", "typ": "JWT" })))),
        ("other claims under the signature", format!("{head}.{other}.{signature}")),
        ("half a signature", format!("{head}.{claims}.{}", &signature[..20])),
        ("no signature", format!("{head}.{claims}.")),
        ("two parts", format!("{head}.{claims}")),
        ("four parts", format!("{good}.{signature}")),
        ("no subject", signed(json!({ "exp": now + 3_600 }))),
        ("an empty subject", signed(json!({ "sub": "" }))),
        ("a subject that is no environment", signed(json!({ "sub": "user_1" }))),
        ("an application without its environment", signed(json!({ "sub": ids.application }))),
        ("an application of another environment", application(THEIRS, &ids.application)),
        ("an application that is not there", application(OURS, "app_000000000000000000000000000")),
        ("a key that was never made", "phk_0000000000000000000000000000000000000000000".into()),
        ("something very long", "x".repeat(30_000)),
        ("something that is not a token", "let me in".into()),
    ];
    all.iter_mut().for_each(|(_, text)| text.insert_str(0, "Bearer "));
    all.extend([
        ("nothing", String::new()),
        ("no credential", "Bearer ".into()),
        ("another scheme", "Basic dXNlcjpwYXNz".into()),
        ("no scheme", good.clone()),
    ]);
    all
}

#[tokio::test]
async fn a_credential_that_does_not_hold_is_a_401_everywhere_and_changes_nothing() {
    let world = World::new().await;
    let made = world.ours.post("/api-key", &json!({ "name": "to be revoked" })).await;
    let key = format!("Bearer {}", made["token"].as_str().expect("a key"));
    assert_eq!(world.send("GET", "/api/v1/app", &key).await.status, 200);
    let revoke = format!("/api/v1/api-key/{}", made["key"]["id"].as_str().expect("an id"));
    assert_eq!(world.ours.client.delete(&revoke, &world.ours.token).await.0, 204);
    let before = world.everything().await;
    let mut bad = bad_credentials(&world.ids);
    bad.push(("a revoked key", key));
    let message = format!("/api/v1/app/{}/msg", world.ids.application);
    for (what, credential) in &bad {
        for (method, path) in
            [("GET", "/api/v1/app"), ("POST", "/api/v1/app"), ("POST", &message), ("GET", &message)]
        {
            let reply = world.send(method, path, credential).await;
            let expected = json!({ "code": "authentication_failed", "detail": "Invalid token" });
            assert_eq!((reply.status, reply.json()), (401, expected), "{what} at {method} {path}");
        }
    }
    for (method, path) in world.operations().await {
        let reply = world.send(&method, &world.ids.fill(&path), &bad[0].1).await;
        if !path.ends_with("/logout") {
            assert_eq!(refusal(&reply), is(401, "authentication_failed"), "{method} {path}");
        }
    }
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn another_tenants_ids_are_a_404_for_every_operation_and_nothing_changes() {
    let world = World::new().await;
    let theirs = Api { token: environment(THEIRS), ..world.home.api() };
    let their_application = theirs.application("theirs").await;
    let neighbour = world.ours.application("a neighbour in the same environment").await;
    let mixed = Ids { application: their_application, ..world.ids.clone() };
    let beside = Ids { application: neighbour.clone(), ..world.ids.clone() };
    let before = world.everything().await;
    let mut asked = 0;
    let strangers = [
        ("another environment", &world.ids, theirs.token.clone()),
        ("another environment, below its own application", &mixed, theirs.token.clone()),
        ("our environment, below another application", &beside, world.ours.token.clone()),
        ("a neighbour's application token", &world.ids, application(OURS, &neighbour)),
    ];
    for (method, path) in world.operations().await {
        let names_application = path.contains("{app_id}");
        let names_more = path.matches('{').count() > 1;
        for (who, ids, token) in &strangers {
            let is_own_application = ids.application != world.ids.application;
            if !names_application || (is_own_application && !names_more) {
                continue;
            }
            let reply = world.send(&method, &ids.fill(&path), &format!("Bearer {token}")).await;
            // What only an environment's token may do is refused before anything is looked up.
            let expected = if reply.status == 403 && who.contains("token") {
                is(403, "insufficient access")
            } else {
                is(404, "not_found")
            };
            assert_eq!(refusal(&reply), expected, "{who}: {method} {path}: {}", reply.json());
            asked += 1;
        }
    }
    for path in ["/api/v1/event-type/ours.only", "/api/v1/api-key/{key_id}"] {
        let path = world.ids.fill(path);
        let reply = world.send("DELETE", &path, &format!("Bearer {}", theirs.token)).await;
        assert_eq!(refusal(&reply), is(404, "not_found"), "{path}");
    }
    assert!(asked > 80, "{asked}");
    assert_eq!(world.everything().await, before);
    assert_eq!(world.receiver.requests().len(), 1, "nobody else sent anything");
}

#[tokio::test]
async fn an_id_that_names_nothing_is_a_404_for_every_operation() {
    let world = World::new().await;
    let before = world.everything().await;
    let credential = format!("Bearer {}", world.ours.token);
    let of = |body: &str| Ids {
        application: world.ids.application.clone(),
        endpoint: format!("ep_{body}"),
        message: format!("msg_{body}"),
        attempt: format!("atmpt_{body}"),
        key: format!("key_{body}"),
        event_type: format!("not.there.{body}"),
    };
    let unchecked = &world.ids.message[4..30];
    let bodies = [
        "000000000000000000000000000",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "x",
        "%00",
        "..%2f..",
        "%ff%fe",
        unchecked,
    ];
    let long = "x".repeat(5_000);
    for (method, path) in world.operations().await {
        if path.ends_with("/logout") || !path.contains('{') || method == "put" {
            continue;
        }
        for body in bodies.into_iter().chain([long.as_str()]) {
            let mut ids = of(body);
            if path.matches('{').count() == 1 {
                ids.application = format!("app_{body}");
            }
            let reply = world.send(&method, &ids.fill(&path), &credential).await;
            let allowed = [is(404, "not_found")];
            assert!(
                allowed.contains(&refusal(&reply)),
                "{method} {path} {body}: {} {}",
                reply.status,
                reply.json()
            );
        }
    }
    assert_eq!(world.everything().await, before);
}
