//! `posthaste doctor endpoint`: what the running server finds, for people and as JSON, by its exit code.

use crate::binary::{Run, posthaste, run};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::{Answer, HttpClient, Process, Receiver};

const WITHIN: Duration = Duration::from_secs(20);

/// A server, and an application with one endpoint of its own in it.
struct World {
    folder: tempfile::TempDir,
    receiver: Receiver,
    endpoint: String,
    process: Process,
}

impl World {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let receiver = Receiver::start().await;
        let mut command = posthaste(folder.path(), &["serve"]);
        command.env("POSTHASTE_LISTEN", "127.0.0.1:0").env("POSTHASTE_EGRESS_ALLOW", "127.0.0.0/8");
        let process = Process::start(command);
        process.wait_for_line("posthaste serves", WITHIN).await;
        let token = run(posthaste(folder.path(), &["token", "create"])).out.trim().to_owned();
        let address = std::fs::read_to_string(folder.path().join("posthaste-data/address")).expect("it");
        let client = HttpClient::new(format!("http://{}", address.trim()));
        let post = async |path: &str, body: Value| {
            let (status, made) = client.post(path, &token, &body).await;
            assert_eq!(status, 201, "{made}");
            made
        };
        for uid in ["one", "two"] {
            post("/api/v1/app", json!({"name": uid, "uid": uid})).await;
        }
        let hook = json!({"url": receiver.url("/hook"), "uid": "hook"});
        let made = post("/api/v1/app/two/endpoint", hook).await;
        let endpoint = made["id"].as_str().expect("an id").to_owned();
        Self { folder, receiver, endpoint, process }
    }

    /// Runs the doctor beside the test's own receiver.
    async fn doctor(&self, arguments: &[&str]) -> Run {
        doctor(self.folder.path(), arguments).await
    }
}

async fn doctor(folder: &Path, arguments: &[&str]) -> Run {
    let command = posthaste(folder, &[&["doctor", "endpoint"], arguments].concat());
    tokio::task::spawn_blocking(|| run(command)).await.expect("it ran")
}

/// The output without what differs from run to run: milliseconds and the receiver's port.
fn plain(world: &World, text: &str) -> String {
    let port = world.receiver.url("").rsplit(':').next().expect("a port").to_owned();
    let mut words: Vec<_> = text.split(' ').collect();
    for at in 1..words.len() {
        if words[at].starts_with("ms") {
            words[at - 1] = "N";
        }
    }
    words.join(" ").replace(&port, "PORT")
}

#[tokio::test]
async fn an_endpoint_that_is_well_ends_with_nothing() {
    let world = World::start().await;
    let found = world.doctor(&[&world.endpoint]).await;
    assert_eq!((found.code, &*found.err), (Some(0), ""));
    insta::assert_snapshot!(plain(&world, &found.out), @r"
    good     switch       It is enabled.
    good     policy       Requests may go to 127.0.0.1.
    good     tcp          127.0.0.1:PORT took the connection after N ms.
    good     request      It works: the endpoint took the event. It took N ms.
    good     breaker      Its breaker is closed.
    good     backlog      Nothing waits.
    good     errors       Nothing was sent yet.
    All is well.
    ");
    for arguments in [["hook", "--app", "two"], [&world.endpoint, "--app", "two"]] {
        let found = world.doctor(&arguments).await;
        assert_eq!((found.code, &*found.err), (Some(0), ""), "{arguments:?}");
    }
    assert_eq!(world.receiver.requests().len(), 3);
}

#[tokio::test]
async fn a_problem_ends_with_one_and_says_what_to_do() {
    let world = World::start().await;
    world.receiver.answer_always("/hook", Answer::status(401));
    let found = world.doctor(&[&world.endpoint]).await;
    assert_eq!((found.code, &*found.err), (Some(1), ""));
    insta::assert_snapshot!(plain(&world, &found.out), @r"
    good     switch       It is enabled.
    good     policy       Requests may go to 127.0.0.1.
    good     tcp          127.0.0.1:PORT took the connection after N ms.
    problem  request      It answered 401: it does not accept the authentication. It took N ms.
                          Compare its authentication (`auth`) with what the receiver expects.
    warning  signature    Requests are signed with the current secret alone: no old one signs any more.
                          Look whether the receiver verifies with the current secret (read it at …/secret), over the raw body, and with a clock that is right.
    good     breaker      Its breaker is closed.
    good     backlog      Nothing waits.
    good     errors       Nothing was sent yet.
    Events do not arrive: 1 problem, 1 warning.
    ");
    let found = world.doctor(&[&world.endpoint, "--json"]).await;
    assert_eq!((found.code, &*found.err), (Some(1), ""));
    let told: Value = serde_json::from_str(&found.out).expect("JSON");
    assert_eq!((&told["ok"], &told["findings"][3]["about"]), (&json!(false), &json!("request")));
}

#[tokio::test]
async fn what_cannot_be_looked_at_ends_with_three_and_a_sentence() {
    let world = World::start().await;
    let unknown = "ep_2aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let table: [(&[&str], &str); 6] = [
        (
            &[unknown],
            "no application of the environment org_00000000000000000000default has an endpoint ep_2aa",
        ),
        (&[unknown, "--app", "two"], "no application two of the environment"),
        (&[&world.endpoint, "--app", "one"], "no application one of the environment"),
        (&["hook"], "it must be an id: ep_, then letters and digits. A uid needs --app"),
        (&["../x", "--app", "two"], "the endpoint's id \"../x\""),
        (&[unknown, "--environment", "other"], "--environment is \"other\": it must be an id: org_"),
    ];
    for (arguments, sentence) in table {
        let found = world.doctor(arguments).await;
        assert_eq!((found.code, &*found.out), (Some(3), ""), "{arguments:?}: {}", found.err);
        assert!(found.err.starts_with("posthaste: ") && found.err.contains(sentence), "{}", found.err);
    }
    assert!(world.receiver.requests().is_empty());
    world.process.terminate();
    world.process.wait(WITHIN).await;
    let found = world.doctor(&[&world.endpoint]).await;
    assert_eq!(found.code, Some(3));
    assert!(found.err.contains("no server runs on "), "{}", found.err);
}

#[tokio::test]
async fn where_no_server_ever_ran_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let found = doctor(folder.path(), &["ep_2aaaaaaaaaaaaaaaaaaaaaaaaaa"]).await;
    assert_eq!(found.code, Some(3));
    assert!(found.err.contains("no server runs on "), "{}", found.err);
    assert!(!folder.path().join("posthaste-data").exists());
}

#[tokio::test]
async fn on_postgresql_the_doctor_looks_itself_beside_the_servers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = testkit::Cluster::shared().database();
    let with_store = |arguments: &[&str]| {
        let mut command = posthaste(folder.path(), arguments);
        command.env("POSTHASTE_STORE", &store).env("POSTHASTE_LISTEN", "127.0.0.1:0");
        command.env("POSTHASTE_JWT_SECRET", "j".repeat(64)).env("POSTHASTE_ENCRYPTION_KEY", "e".repeat(64));
        command
    };
    let process = Process::start(with_store(&["serve"]));
    process.wait_for_line("posthaste serves", WITHIN).await;
    let token = run(with_store(&["token", "create"])).out.trim().to_owned();
    let address = std::fs::read_to_string(folder.path().join("posthaste-data/address")).expect("it");
    let client = HttpClient::new(format!("http://{}", address.trim()));
    client.post("/api/v1/app", &token, &json!({"name": "A", "uid": "a"})).await;
    let (_, made) =
        client.post("/api/v1/app/a/endpoint", &token, &json!({"url": "https://nobody.invalid/"})).await;
    let id = made["id"].as_str().expect("an id").to_owned();
    let command = with_store(&["doctor", "endpoint", &id]);
    let found = tokio::task::spawn_blocking(|| run(command)).await.expect("it ran");
    assert_eq!(found.code, Some(1), "{}", found.err);
    assert!(found.out.contains("\nproblem  dns "), "{}", found.out);
}
