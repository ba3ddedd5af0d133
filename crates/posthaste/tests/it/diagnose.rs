//! A diagnosis of an endpoint: each step of a request, and what happened lately, with what to do.

use crate::server::{Store, World, text};
use crate::tls_receiver::TlsReceiver;
use serde_json::{Value, json};
use testkit::Answer;

async fn diagnosed(world: &World, id: &str) -> Value {
    world.of_application("POST", &format!("/endpoint/{id}/diagnose"), &Value::Null).await
}

/// What was looked at, with its grade.
fn graded(told: &Value) -> Vec<String> {
    let findings = told["findings"].as_array().expect("findings").iter();
    findings.map(|f| format!("{} {}", text(&f["about"]), text(&f["grade"]))).collect()
}

fn finding<'a>(told: &'a Value, about: &str) -> &'a Value {
    let findings = told["findings"].as_array().expect("findings");
    findings.iter().find(|f| f["about"] == about).unwrap_or_else(|| panic!("no {about} in {told}"))
}

/// Its text and its advice.
fn sentences<'a>(told: &'a Value, about: &str) -> (&'a str, &'a str) {
    let found = finding(told, about);
    (text(&found["text"]), found["advice"].as_str().unwrap_or_default())
}

async fn a_diagnosis_says_what_is_wrong_and_what_to_do(store: Store) {
    let world = World::start(store).await;
    let id = world.endpoint("/hook").await;
    let fine = diagnosed(&world, &id).await;
    assert_eq!(fine["ok"], true);
    let all = ["switch", "policy", "tcp", "request", "breaker", "backlog", "errors"];
    assert_eq!(graded(&fine), all.map(|about| format!("{about} good")));
    let port = world.receiver.url("").rsplit(':').next().expect("a port").to_owned();
    assert!(
        sentences(&fine, "tcp").0.starts_with(&format!("127.0.0.1:{port} took the connection after ")),
        "{fine}"
    );
    world.receiver.answer_always("/hook", Answer::status(401).body("who are you?"));
    let message = world.send().await;
    world.wait_for_attempts(&message, 1).await;
    let told = diagnosed(&world, &id).await;
    assert_eq!(told["ok"], false);
    let expected = [
        "switch good",
        "policy good",
        "tcp good",
        "request problem",
        "signature warning",
        "breaker good",
        "backlog good",
        "errors problem",
    ];
    assert_eq!(graded(&told), expected);
    let (found, advice) = sentences(&told, "request");
    assert!(found.starts_with("It answered 401: it does not accept the authentication. It took "), "{found}");
    assert!(advice.contains("authentication"), "{advice}");
    let (found, advice) = sentences(&told, "errors");
    assert_eq!(found, "1 of the last 1 attempts ended with: HTTP 401. The latest at 2027-01-15T08:00:00Z.");
    assert!(advice.contains("authentication"), "{advice}");
    assert_eq!(finding(&told, "backlog")["text"], "One delivery waits.");
    world.change(&id, &json!({"disabled": true})).await;
    assert_eq!(finding(&diagnosed(&world, &id).await, "switch")["text"], "It is disabled, by hand.");
    world.stop().await;
}

async fn a_diagnosis_ends_with_the_step_that_failed(store: Store) {
    let world = World::start(store).await;
    let receiver = TlsReceiver::start().await;
    let closed = format!("http://127.0.0.1:{}/hook", testkit::free_port());
    let plain = world.receiver.url("/hook").replacen("http", "https", 1);
    let authority = receiver.authority.clone();
    let table = [
        (json!({"url": "https://nobody.invalid/hook"}), vec!["dns"], "name"),
        (json!({"url": closed}), vec!["policy", "tcp"], "listens at this port"),
        (json!({"url": plain}), vec!["policy", "tcp", "tls"], "TLS 1.2"),
        (json!({"url": receiver.url("/hook")}), vec!["policy", "tcp", "tls"], "certificateAuthority"),
        (
            json!({"url": receiver.url("/hook"), "certificateAuthority": authority}),
            vec!["policy", "tcp", "tls", "certificate", "request"],
            "mtls",
        ),
        (
            json!({"url": world.receiver.url("/hook"), "transformation": "const handler = () => x"}),
            vec!["request"],
            "simulate",
        ),
    ];
    for (asked, steps, advice) in table {
        let id = world.endpoint_with(&asked).await;
        let told = diagnosed(&world, &id).await;
        let mut found = graded(&told);
        assert_eq!(told["ok"], false, "{told}");
        let others = [found.remove(0), found.pop().unwrap(), found.pop().unwrap(), found.pop().unwrap()];
        assert_eq!(others, ["switch good", "errors good", "backlog good", "breaker good"]);
        let last = steps.len() - 1;
        let grade = |index| if index == last { "problem" } else { "good" };
        let expected: Vec<_> =
            steps.iter().enumerate().map(|(index, about)| format!("{about} {}", grade(index))).collect();
        assert_eq!(found, expected, "{told}");
        assert!(sentences(&told, steps[last]).1.contains(advice), "{told}");
    }
    world.stop().await;
}

async fn a_diagnosis_knows_the_name_the_certificate_and_an_old_secret(store: Store) {
    let world = World::start(store).await;
    let receiver = TlsReceiver::start().await;
    let auth = json!({"type": "mtls", "certificate": receiver.client_certificate, "privateKey": receiver.client_key});
    let asked =
        json!({"url": receiver.url("/hook"), "auth": auth, "certificateAuthority": receiver.authority});
    let id = world.endpoint_with(&asked).await;
    world.of_application("POST", &format!("/endpoint/{id}/secret/rotate"), &json!({})).await;
    let told = diagnosed(&world, &id).await;
    let all = [
        "switch",
        "policy",
        "tcp",
        "tls",
        "certificate",
        "request",
        "signature",
        "breaker",
        "backlog",
        "errors",
    ];
    assert_eq!(graded(&told), all.map(|about| format!("{about} good")));
    assert_eq!(
        finding(&told, "signature")["text"],
        "Requests are signed with the current secret, and with an old one until 2027-01-16T08:00:00Z."
    );
    assert!(sentences(&told, "tls").0.starts_with("It speaks TLSv1.3 (TLS13_"), "{told}");
    world.stop().await;
}

each_store!(
    a_diagnosis_says_what_is_wrong_and_what_to_do,
    a_diagnosis_ends_with_the_step_that_failed,
    a_diagnosis_knows_the_name_the_certificate_and_an_old_secret,
);
