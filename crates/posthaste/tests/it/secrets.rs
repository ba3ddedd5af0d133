//! `posthaste secrets rotate`: another key seals everything, and nothing that a client knows changes.

use crate::binary::run;
use crate::live::{Home, WITHIN};
use serde_json::{Value, json};
use std::fs;
use testkit::Receiver;

/// Everything sealed that a client can see.
async fn sealed(home: &Home, application: &str, endpoint: &str, message: &str) -> [Value; 6] {
    let api = home.api();
    let base = format!("/app/{application}/endpoint/{endpoint}");
    [
        api.get(&format!("{base}/secret")).await,
        api.get(&format!("{base}/credentials")).await,
        api.get(&format!("{base}/headers")).await,
        api.get(&format!("/app/{application}/msg/{message}")).await,
        api.get(&format!("/app/{application}/notify")).await,
        api.get(&format!("/app/{application}/push-subscription")).await,
    ]
}

/// An application, an endpoint with all that is sealed, and a message with overrides that waits.
async fn filled(home: &Home, receiver: &Receiver) -> (String, String, String) {
    let api = home.api();
    let application = api.application("ours").await;
    let endpoint = json!({
        "url": receiver.url("/hook"), "paused": true, "headers": {"X-Own": "1"},
        "auth": {"type": "bearer", "token": "t0ken"}, "signatures": ["standard", {"type": "hmac", "key": "k"}],
    });
    let endpoint = api.post(&format!("/app/{application}/endpoint"), &endpoint).await;
    let message = json!({"eventType": "a.b", "payload": {"n": 1}, "context": {"c": 1}, "transformationsParams": {"headers": {"X-More": "2"}}});
    let message = api.post(&format!("/app/{application}/msg"), &message).await;
    let path = format!("/api/v1/app/{application}/notify");
    let notify = json!({"emails": ["ops@customer.example"], "slackUrl": receiver.url("/slack")});
    let (status, answer) = api.client.patch(&path, &api.token, &notify).await;
    assert_eq!(status, 200, "{answer}");
    let subscription = crate::browser::Browser::new().subscription(&receiver.url("/push"));
    api.post(&format!("/app/{application}/push-subscription"), &subscription).await;
    let text = |value: &Value| value["id"].as_str().expect("an id").to_owned();
    (application, text(&endpoint), text(&message))
}

async fn resumes(home: &Home, receiver: &Receiver, application: &str, endpoint: &str) {
    let (api, path) = (home.api(), format!("/api/v1/app/{application}/endpoint/{endpoint}"));
    let (status, answer) = api.client.patch(&path, &api.token, &json!({"paused": false})).await;
    assert_eq!(status, 200, "{answer}");
    let received = receiver.wait_for_path("/hook", 1, WITHIN).await.remove(0);
    let found = ["authorization", "x-own", "x-more"].map(|name| received.header(name).to_owned());
    assert_eq!(found, ["Bearer t0ken", "1", "2"]);
}

#[tokio::test]
async fn a_generated_key_is_replaced_and_everything_stays_readable() {
    let (home, receiver) = (Home::new(&[]), Receiver::start().await);
    let process = home.start().await;
    let (application, endpoint, message) = filled(&home, &receiver).await;
    let before = sealed(&home, &application, &endpoint, &message).await;
    let refused = run(home.command(&["secrets", "rotate"]));
    assert!(refused.code == Some(1) && refused.err.contains("another posthaste process"), "{}", refused.err);
    process.terminate();
    process.wait(WITHIN).await;
    let (file, kept) = (home.data().join("encryption-key"), home.data().join("encryption-key.old"));
    let old = fs::read_to_string(&file).expect("a key");
    let rotated = run(home.command(&["secrets", "rotate"]));
    assert_eq!(rotated.code, Some(0), "{}", rotated.err);
    assert!(rotated.out.contains("values are sealed with the new key"), "{}", rotated.out);
    assert!(!kept.exists() && fs::read_to_string(&file).expect("a key") != old);
    let process = home.start().await;
    assert_eq!(sealed(&home, &application, &endpoint, &message).await, before);
    resumes(&home, &receiver, &application, &endpoint).await;
    process.terminate();
    process.wait(WITHIN).await;
    let mut with_old = home.serve();
    with_old.env("POSTHASTE_ENCRYPTION_KEY", old.trim());
    let refused = run(with_old);
    assert!(refused.err.contains("is not the key that it was sealed with"), "{}", refused.err);
}

#[tokio::test]
async fn a_rotation_that_was_cut_short_is_served_and_goes_on() {
    let (home, receiver) = (Home::new(&[]), Receiver::start().await);
    let process = home.start().await;
    let (application, endpoint, message) = filled(&home, &receiver).await;
    let before = sealed(&home, &application, &endpoint, &message).await;
    process.terminate();
    process.wait(WITHIN).await;
    let (file, kept) = (home.data().join("encryption-key"), home.data().join("encryption-key.old"));
    // As a crash leaves it that comes after the new key, and before anything was sealed with it.
    fs::rename(&file, &kept).expect("the old key");
    fs::write(&file, "f".repeat(64)).expect("the new key");
    let process = home.start().await;
    assert_eq!(sealed(&home, &application, &endpoint, &message).await, before);
    process.terminate();
    process.wait(WITHIN).await;
    assert_eq!(run(home.command(&["secrets", "rotate"])).code, Some(0));
    assert!(!kept.exists() && fs::read_to_string(&file).expect("a key") == "f".repeat(64));
    let _process = home.start().await;
    assert_eq!(sealed(&home, &application, &endpoint, &message).await, before);
}

#[tokio::test]
async fn on_postgresql_a_key_of_the_settings_is_replaced_beside_a_node_that_runs() {
    let database = testkit::Cluster::shared().database();
    let (first, second) = ("first".repeat(8), "second".repeat(8));
    let settings = |keys: &[(&str, &str)]| {
        let mut all = vec![("STORE".to_owned(), database.clone()), ("JWT_SECRET".to_owned(), "j".repeat(40))];
        all.extend(keys.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all
    };
    let home_of = |keys: &[(&str, &str)]| {
        let all = settings(keys);
        Home::new(&all.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>())
    };
    let receiver = Receiver::start().await;
    let old = home_of(&[("ENCRYPTION_KEY", &first)]);
    let process = old.start().await;
    let (application, endpoint, message) = filled(&old, &receiver).await;
    let before = sealed(&old, &application, &endpoint, &message).await;
    let missing = run(old.command(&["secrets", "rotate"]));
    assert!(missing.err.contains("POSTHASTE_ENCRYPTION_KEY_OLD"), "{}", missing.err);
    process.terminate();
    process.wait(WITHIN).await;
    let both = home_of(&[("ENCRYPTION_KEY", &second), ("ENCRYPTION_KEY_OLD", &first)]);
    let process = both.start().await;
    assert_eq!(sealed(&both, &application, &endpoint, &message).await, before, "the ids stay what they are");
    let rotated = run(both.command(&["secrets", "rotate"]));
    assert_eq!(rotated.code, Some(0), "{}", rotated.err);
    assert_eq!(sealed(&both, &application, &endpoint, &message).await, before);
    process.terminate();
    process.wait(WITHIN).await;
    let new = home_of(&[("ENCRYPTION_KEY", &second)]);
    let _process = new.start().await;
    assert_eq!(sealed(&new, &application, &endpoint, &message).await, before);
    resumes(&new, &receiver, &application, &endpoint).await;
}
