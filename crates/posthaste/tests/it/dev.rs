//! `posthaste dev` as a newcomer sees it, and what it prints works when it is pasted.

use crate::binary::{posthaste, run};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::{HttpClient, Process};

const WITHIN: Duration = Duration::from_secs(30);

fn dev(folder: &Path) -> Command {
    let mut command = posthaste(folder, &["dev"]);
    command.env("POSTHASTE_LISTEN", "127.0.0.1:0");
    command
}

/// Starts it and waits until the story is told.
async fn told(folder: &Path) -> (Process, String) {
    let process = Process::start(dev(folder));
    process.wait_for_line("What the receiver gets is shown here", WITHIN).await;
    let story = process.lines().join("\n");
    (process, story)
}

/// What stands between `before` and the next space, quote or line's end.
fn after<'a>(story: &'a str, before: &str) -> &'a str {
    let rest = story.split_once(before).unwrap_or_else(|| panic!("no {before:?} in\n{story}")).1;
    rest.split([' ', '"', '\n']).next().unwrap_or_default()
}

#[tokio::test]
async fn dev_sends_one_event_and_shows_its_way_step_by_step() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, story) = told(folder.path()).await;
    for part in [
        "Everything it keeps is in ./posthaste-data",
        "application  demo",
        "202 Accepted",
        "webhook-signature: v1,",
        "webhook-id: msg_",
        r#"{"order": "A-1001", "amount": "49.90", "currency": "EUR"}"#,
        "The signature is right",
        "HTTP 204",
        "success",
    ] {
        assert!(story.contains(part), "{part:?} is missing from\n{story}");
    }
    assert_eq!(
        after(&story, "webhook-id: "),
        after(&story, "202 Accepted  "),
        "the message that was accepted arrives"
    );
    let wide: Vec<_> =
        story.lines().filter(|line| line.chars().count() > 100 && !line.starts_with("TOKEN=")).collect();
    assert!(wide.is_empty(), "{wide:#?}");
    process.terminate();
    assert!(process.wait(WITHIN).await.success(), "{:?}", process.lines());
}

#[tokio::test]
async fn a_second_run_goes_on_with_its_data_and_the_new_receiver() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (first, story) = told(folder.path()).await;
    let ids = |story: &str| (after(story, "demo      ").to_owned(), after(story, "receiver  ").to_owned());
    let before = ids(&story);
    // What a newcomer may have tried must not keep the next event from the receiver.
    let (url, token) = (after(&story, "curl "), after(&story, "TOKEN="));
    let base = url.split("/api/").next().expect("a base");
    let changed = serde_json::json!({"paused": true, "channels": ["another"]});
    let (status, _) =
        HttpClient::new(base).patch("/api/v1/app/demo/endpoint/receiver", token, &changed).await;
    assert_eq!(status, 200);
    first.terminate();
    first.wait(WITHIN).await;
    let (_second, story) = told(folder.path()).await;
    assert_eq!(ids(&story), before);
    assert!(
        story.contains("there from an earlier run") && story.contains("The signature is right"),
        "{story}"
    );
}

#[tokio::test]
async fn the_printed_token_and_calls_work() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, story) = told(folder.path()).await;
    let token = after(&story, "TOKEN=");
    let curls: Vec<_> = story.split("\ncurl ").skip(1).collect();
    assert_eq!(curls.len(), 3, "{story}");
    let client = HttpClient::new("");
    for (curl, expected) in curls.iter().zip([201, 202, 200]) {
        let url = curl.split(' ').next().expect("a URL");
        let (status, answer) = match curl.split_once("-d '").and_then(|(_, rest)| rest.split_once('\'')) {
            Some((body, _)) => client.post(url, token, &body.parse().expect("JSON")).await,
            None => client.get(url.trim(), token).await,
        };
        assert_eq!(status, expected, "{curl}: {answer}");
    }
    process.wait_for_line("POST /mine  msg_", WITHIN).await;
}

#[tokio::test]
async fn a_taken_port_is_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut command = dev(folder.path());
    command.env("POSTHASTE_LISTEN", taken.local_addr().expect("its address").to_string());
    let refused = run(command);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("is taken: another program listens there"), "{}", refused.err);
}
