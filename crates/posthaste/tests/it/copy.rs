//! `posthaste copy`: a server that began on SQLite goes on on PostgreSQL, and its clients notice nothing.

use crate::binary::run;
use crate::live::{Home, WITHIN, stopped};
use serde_json::json;
use testkit::{Answer, Cluster, Receiver};

#[tokio::test]
async fn what_began_on_sqlite_goes_on_on_postgresql() {
    let receiver = Receiver::start().await;
    receiver.answer_always("/late", Answer::status(503));
    let small = Home::new(&[("RETRY_SCHEDULE", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1")]);
    let process = small.start().await;
    let api = small.api();
    let application = api.application("moved").await;
    let good = api.endpoint(&application, &receiver.url("/good")).await;
    let late = api.endpoint(&application, &receiver.url("/late")).await;
    let messages = format!("/app/{application}/msg");
    for number in 0..20 {
        api.post(&messages, &json!({ "eventType": "order.paid", "payload": { "number": number } })).await;
    }
    receiver.wait_for_path("/good", 20, WITHIN).await;
    let secret = api.get(&format!("/app/{application}/endpoint/{good}/secret")).await;
    let listed = api.list(&messages).await;
    let database = Cluster::shared().database();
    let command = ["copy", "--to", &database];
    let refused = run(small.command(&command));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("Stop it first"), "{}", refused.err);
    stopped(&process).await;
    let told = small.run(&command);
    assert!(told.contains("20  message\n") && told.contains("encryption-key"), "{told}");

    let kept = |name| std::fs::read_to_string(small.data().join(name)).expect("a secret");
    let (jwt, seal) = (kept("jwt-secret"), kept("encryption-key"));
    let large = Home::new(&[
        ("STORE", &database),
        ("JWT_SECRET", jwt.trim()),
        ("ENCRYPTION_KEY", seal.trim()),
        ("RETRY_SCHEDULE", "1,1,1,1,1"),
    ]);
    receiver.answer_always("/late", Answer::status(200));
    let _process = large.start().await;
    // The client's token, secrets and ids are what they were, and what was pending is delivered.
    let mut api = large.api();
    api.token.clone_from(&small.token);
    assert_eq!(api.get(&format!("/app/{application}/endpoint/{good}/secret")).await, secret);
    assert_eq!(api.list(&messages).await, listed);
    api.settled().await;
    let done = api.list(&format!("/app/{application}/endpoint/{late}/msg")).await;
    assert_eq!(done.iter().filter(|message| message["status"] == 0).count(), 20, "{done:?}");
    api.post(&messages, &json!({ "eventType": "order.paid", "payload": {} })).await;
    receiver.wait_for_path("/good", 21, WITHIN).await;
    assert_eq!(receiver.requests().iter().filter(|request| request.path == "/good").count(), 21);
}

#[test]
fn a_copy_says_what_it_needs() {
    let home = Home::new(&[]);
    let refusal = |arguments: &[&str]| {
        let done = run(home.command(&[&["copy"], arguments].concat()));
        assert_ne!(done.code, Some(0));
        done.err
    };
    assert!(refusal(&["--to", "sqlite:other.db"]).contains("from SQLite to PostgreSQL"));
    assert!(refusal(&["--to", "mysql://a/b"]).contains("must be sqlite:PATH"));
    let missing = refusal(&["--from", "sqlite:no.db", "--to", "postgres://127.0.0.1:1/none"]);
    assert!(missing.contains("no.db is not there"), "{missing}");
    let key = home.data().join("encryption-key");
    std::fs::remove_file(&key).expect("a key");
    std::fs::write(home.data().join("posthaste.db"), "").expect("a file");
    let keyless = refusal(&["--to", "postgres://127.0.0.1:1/none"]);
    assert!(keyless.contains("set POSTHASTE_ENCRYPTION_KEY") && !key.exists(), "{keyless}");
}
