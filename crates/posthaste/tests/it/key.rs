//! `posthaste key`: through the live server when there is one, through the store when there is none.

use crate::binary::{posthaste, run};
use std::path::Path;
use std::time::Duration;
use testkit::{HttpClient, Process};

const WITHIN: Duration = Duration::from_secs(20);

/// Runs `posthaste key …` and answers what it printed.
fn key(folder: &Path, arguments: &[&str]) -> String {
    let done = run(posthaste(folder, &[&["key"], arguments].concat()));
    assert_eq!(done.code, Some(0), "{}", done.err);
    done.out.trim().to_owned()
}

async fn started(folder: &Path) -> (Process, HttpClient) {
    let mut command = posthaste(folder, &["serve"]);
    command.env("POSTHASTE_LISTEN", "127.0.0.1:0");
    let process = Process::start(command);
    process.wait_for_line("posthaste serves", WITHIN).await;
    let address = std::fs::read_to_string(folder.join("posthaste-data/address")).expect("the address");
    (process, HttpClient::new(format!("http://{}", address.trim())))
}

#[tokio::test]
async fn a_key_made_without_a_server_opens_the_next_one_and_closes_when_it_is_revoked_beside_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = key(folder.path(), &["create", "--name", "back end"]);
    let (_process, client) = started(folder.path()).await;
    assert_eq!(client.get("/api/v1/app", &text).await.0, 200);
    let list = key(folder.path(), &["list"]);
    assert!(list.contains("back end") && list.contains(&text[..8]) && !list.contains(&text), "{list}");
    let id = list.split(' ').next().expect("an id");
    key(folder.path(), &["revoke", id]);
    assert_eq!(client.get("/api/v1/app", &text).await.0, 401);
    assert!(key(folder.path(), &["list"]).contains("revoked"));
}

#[tokio::test]
async fn a_viewers_key_reads_and_does_not_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_process, client) = started(folder.path()).await;
    let text = key(folder.path(), &["create", "--role", "viewer"]);
    assert_eq!(client.get("/api/v1/app", &text).await.0, 200);
    let new = serde_json::json!({ "name": "Acme" });
    assert_eq!(client.post("/api/v1/app", &text, &new).await.0, 403);
}

#[test]
fn an_unknown_role_is_refused_with_the_known_ones() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = run(posthaste(folder.path(), &["key", "create", "--role", "boss"]));
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains("administrator, manager, member, viewer"), "{}", refused.err);
}

#[tokio::test]
async fn whoever_listens_at_a_killed_servers_address_gets_no_token() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    key(folder.path(), &["create", "--name", "mine"]);
    let other = testkit::Receiver::start().await;
    let address = other.url("/").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let note = folder.path().join("posthaste-data/address");
    std::fs::write(&note, format!("{address}\n")).expect("a stale address");
    let data = folder.path().to_owned();
    let list = tokio::task::spawn_blocking(move || key(&data, &["list"])).await.expect("it ran");
    assert!(list.contains("mine"), "{list}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
    assert!(!note.exists(), "the stale address is gone");
}

#[test]
fn what_is_no_keys_id_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = run(posthaste(folder.path(), &["key", "revoke", "x y"]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("\"x y\": it must be an id: key_"), "{}", refused.err);
}

#[test]
fn where_a_public_key_only_verifies_the_commands_say_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // The public key of RFC 8410, section 10.1.
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
                  -----END PUBLIC KEY-----";
    for arguments in [&["key", "list"][..], &["dev"]] {
        let mut command = posthaste(folder.path(), arguments);
        command.env("POSTHASTE_JWT_ALGORITHM", "EdDSA").env("POSTHASTE_JWT_PUBLIC_KEY", public);
        let refused = run(command);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {}", refused.err);
        assert!(refused.err.contains("POSTHASTE_JWT_PUBLIC_KEY only verifies tokens"), "{}", refused.err);
    }
    assert!(!folder.path().join("posthaste-data").exists(), "nothing was made");
}
