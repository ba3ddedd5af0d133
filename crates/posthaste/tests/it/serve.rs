//! `posthaste serve` as a process: one at a time on a store, private files, a graceful end, metrics.

use crate::binary::{posthaste, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::{HttpClient, Process};

const WITHIN: Duration = Duration::from_secs(20);

fn serve(folder: &Path) -> Command {
    let mut command = posthaste(folder, &["serve"]);
    command.env("POSTHASTE_LISTEN", "127.0.0.1:0");
    command
}

/// Starts a server on a port of the system's choice; its address as it announced it.
async fn started(folder: &Path) -> (Process, String) {
    let process = Process::start(serve(folder));
    process.wait_for_line("posthaste serves", WITHIN).await;
    let address =
        fs::read_to_string(folder.join("posthaste-data/address")).expect("the address is announced");
    (process, format!("http://{}", address.trim()))
}

#[tokio::test]
async fn a_second_serve_on_the_same_store_is_refused_and_the_first_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, base) = started(folder.path()).await;
    let second = run(serve(folder.path()));
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("another posthaste process has"), "{}", second.err);
    assert!(second.err.contains("posthaste.db open"), "{}", second.err);
    let (status, _) = HttpClient::new(base).get("/api/v1/health/ping", "").await;
    assert_eq!(status, 204);
    assert!(process.is_running());
}

#[tokio::test]
async fn a_taken_port_is_refused_before_the_store_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut command = serve(folder.path());
    command.env("POSTHASTE_LISTEN", &address);
    let refused = run(command);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains(&format!("{address} is taken")), "{}", refused.err);
    assert!(refused.err.contains("POSTHASTE_LISTEN=127.0.0.1:"), "{}", refused.err);
    assert!(!folder.path().join("posthaste-data/posthaste.db").exists());
}

#[tokio::test]
async fn everything_that_is_kept_is_for_this_user_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (_process, _) = started(folder.path()).await;
    let data = folder.path().join("posthaste-data");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for entry in fs::read_dir(&data).expect("the data folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn sigterm_ends_it_in_order_and_a_new_one_starts_on_the_same_store() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, base) = started(folder.path()).await;
    // A kept connection must not hold it up.
    let client = HttpClient::new(base);
    assert_eq!(client.get("/api/v1/health", "").await.0, 200);
    process.terminate();
    assert!(process.wait(WITHIN).await.success(), "{:?}", process.lines());
    assert!(!folder.path().join("posthaste-data/address").exists());
    let (_again, base) = started(folder.path()).await;
    assert_eq!(HttpClient::new(base).get("/api/v1/health", "").await.0, 200);
}

#[tokio::test]
async fn metrics_are_on_the_main_listener_or_on_their_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, base) = started(folder.path()).await;
    let reply = HttpClient::new(base).send(http::Method::GET, "/metrics", &[], "").await.expect("an answer");
    let text = String::from_utf8(reply.body.to_vec()).expect("text");
    for name in [
        "posthaste_accepted_total 0",
        "posthaste_commit_batch_count",
        "posthaste_commit_seconds_bucket",
        "posthaste_attempts_total{outcome=\"succeeded\"} 0",
        "posthaste_accept_to_delivered_seconds_count 0",
        "posthaste_in_flight 0",
        "posthaste_queued 0",
        "posthaste_parked_total 0",
        "posthaste_oldest_due_age_seconds 0",
        "posthaste_breakers_open 0",
        "posthaste_blocked_by_policy_total 0",
        "posthaste_build_info{version=",
        "# EOF",
    ] {
        assert!(text.contains(name), "{name} is missing from\n{text}");
    }
    drop(process);
    let own = format!("127.0.0.1:{}", testkit::free_port());
    let mut command = serve(folder.path());
    command.env("POSTHASTE_METRICS_LISTEN", &own);
    let process = Process::start(command);
    process.wait_for_line("posthaste serves", WITHIN).await;
    let (status, _) = HttpClient::new(format!("http://{own}")).get("/metrics", "").await;
    assert_eq!(status, 200);
    let address = fs::read_to_string(folder.path().join("posthaste-data/address")).expect("the address");
    let (status, _) = HttpClient::new(format!("http://{}", address.trim())).get("/metrics", "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn a_second_serve_by_another_name_of_the_same_file_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, _) = started(folder.path()).await;
    let data = folder.path().join("posthaste-data");
    let key = fs::read_to_string(data.join("encryption-key")).expect("the key");
    std::os::unix::fs::symlink(data.join("posthaste.db"), folder.path().join("alias.db")).expect("a link");
    let mut second = serve(folder.path());
    second.env("POSTHASTE_STORE", "sqlite:alias.db").env("POSTHASTE_DATA_DIR", "other-data");
    second.env("POSTHASTE_ENCRYPTION_KEY", key.trim());
    let second = run(second);
    assert_eq!(second.code, Some(1));
    assert!(second.err.contains("another posthaste process has"), "{}", second.err);
    assert!(process.is_running());
}

#[tokio::test]
async fn a_lost_or_changed_encryption_key_is_told_and_not_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (process, _) = started(folder.path()).await;
    process.terminate();
    process.wait(WITHIN).await;
    let key = folder.path().join("posthaste-data/encryption-key");
    let mut other = serve(folder.path());
    other.env("POSTHASTE_ENCRYPTION_KEY", "another key of more than 32 characters");
    let refused = run(other);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("POSTHASTE_ENCRYPTION_KEY is not the key"), "{}", refused.err);
    fs::remove_file(&key).expect("the key is lost");
    let refused = run(serve(folder.path()));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("restore") && refused.err.contains("encryption-key"), "{}", refused.err);
    assert!(!key.exists());
}
