//! A full disk: nothing is acknowledged that is not kept, reading goes on, and room is all it takes to go on.
//!
//! The data folder is a small tmpfs, mounted in a mount namespace of the server's own (`unshare`, as root or with a
//! user namespace), so that it goes with the process however the test ends. A ballast file is the room to come.

use crate::live::{Api, Home, WITHIN, pace, serves, stopped};
use http::Method;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use testkit::{Answer, Process, Receiver};

/// The tmpfs: smaller than the size at which the WAL is copied back where there is room.
const DISK: &str = "24m";
/// Room that comes back later: more than the WAL, all of which may have to be copied back.
const BALLAST: &str = "8M";
/// A payload's text.
const TEXT_BYTES: usize = 20_000;
/// Messages that fit on the disk when its WAL is copied back early (about 490); where it is not, 380 do.
const ACCEPTED_MIN: usize = 430;
/// Refusals in a row after which the disk counts as full.
const REFUSED: u32 = 10;

/// Mounts the disk and writes the ballast.
const SCRIPT: &str = "mount -t tmpfs -o size=$2,mode=700 tmpfs $1 && head -c $3 /dev/zero > $1/ballast";

/// Starts the server on a disk of its own.
async fn start(home: &Home) -> Process {
    let arguments = [&home.data(), Path::new(DISK), Path::new(BALLAST)];
    let process = Process::start(home.serve_unshared(SCRIPT, &arguments));
    serves(&process).await;
    process
}

/// The ballast as this process reaches it, in the other's mount namespace.
fn ballast(home: &Home, process: &Process) -> PathBuf {
    let data = home.data();
    let inside = data.strip_prefix("/").expect("an absolute path");
    Path::new("/proc").join(process.pid().to_string()).join("root").join(inside).join("ballast")
}

/// Posts a message; its id, or none when it was refused as it must be on a full disk.
async fn post(api: &Api, application: &str) -> Option<String> {
    let authorization = format!("Bearer {}", api.token);
    let headers = [("authorization", authorization.as_str())];
    let body = json!({ "eventType": "full", "payload": { "text": "x".repeat(TEXT_BYTES) } });
    let path = format!("/api/v1/app/{application}/msg");
    let reply = api.client.send(Method::POST, &path, &headers, body.to_string()).await.expect("an answer");
    let answer = reply.json();
    if reply.status == 202 {
        return Some(answer["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!((reply.status, &answer["code"]), (503, &json!("unavailable")), "{answer}");
    assert!(reply.headers.contains_key("retry-after"));
    None
}

/// Posts until the disk is full; what was accepted.
async fn fill(api: &Api, application: &str) -> HashSet<String> {
    let (mut accepted, mut refused) = (HashSet::new(), 0);
    for _ in 0..2_000 {
        match post(api, application).await {
            Some(id) => {
                refused = 0;
                accepted.insert(id);
            }
            None => refused += 1,
        }
        if refused == REFUSED {
            return accepted;
        }
    }
    panic!("the disk does not get full: {} messages", accepted.len());
}

fn ids(list: &[Value]) -> HashSet<String> {
    list.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect()
}

/// Waits until the server says about itself that it can take messages, or cannot.
async fn wait_for_health(api: &Api, wanted: u16) {
    let mut tick = pace(Duration::from_millis(50));
    for _ in 0..WITHIN.as_millis() / 50 {
        tick.tick().await;
        if api.client.get("/api/v1/health", "").await.0 == wanted {
            return;
        }
    }
    panic!("health was never {wanted}");
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_acknowledged_or_lost_and_room_is_enough_to_go_on() {
    // Its secrets are settings: the data folder of the home is hidden by the mount.
    let secret = "a secret that is long enough for a test";
    let home = Home::new(&[
        ("JWT_SECRET", secret),
        ("ENCRYPTION_KEY", secret),
        ("RETRY_SCHEDULE", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"),
    ]);
    let receiver = Receiver::start().await;
    receiver.answer_always("/late", Answer::status(503));
    let process = start(&home).await;
    let api = home.api();
    let application = api.application("full").await;
    let messages = format!("/app/{application}/msg");
    let good = api.endpoint(&application, &receiver.url("/good")).await;
    let late = api.endpoint(&application, &receiver.url("/late")).await;

    let mut accepted = fill(&api, &application).await;
    assert!(accepted.len() > ACCEPTED_MIN, "{} messages: the WAL took the room", accepted.len());
    assert!(process.is_running());
    wait_for_health(&api, 503).await;
    assert_eq!(ids(&api.list(&messages).await), accepted, "what is listed is what was acknowledged");
    api.list(&format!("/app/{application}/attempt/endpoint/{good}")).await;
    let (status, answer) =
        api.client.post("/api/v1/app", &api.token, &json!({ "name": "x".repeat(200) })).await;
    assert!(status == 503 || status == 201, "{answer}");
    // What was accepted is delivered all the same; on record it comes later.
    receiver.wait_for_path("/good", accepted.len(), WITHIN).await;

    fs::remove_file(ballast(&home, &process)).expect("the ballast");
    receiver.answer_always("/late", Answer::status(200));
    wait_for_health(&api, 200).await;
    for _ in 0..10 {
        accepted.insert(post(&api, &application).await.expect("there is room again"));
    }
    api.settled().await;
    for endpoint in [&good, &late] {
        let listed = api.list(&format!("/app/{application}/endpoint/{endpoint}/msg")).await;
        assert_eq!(ids(&listed), accepted);
        let undone: Vec<_> = listed.iter().filter(|message| message["status"] != 0).collect();
        assert!(undone.is_empty(), "{undone:?}");
    }
    let mut arrivals = HashMap::new();
    for request in receiver.requests().iter().filter(|request| request.path == "/good") {
        *arrivals.entry(request.header("webhook-id").to_owned()).or_insert(0) += 1;
    }
    assert_eq!(arrivals.keys().cloned().collect::<HashSet<_>>(), accepted, "nothing refused was delivered");
    assert!(arrivals.values().all(|count| *count == 1), "a result was forgotten while the disk was full");
    stopped(&process).await;
    let said = process.lines().join("\n");
    assert!(said.contains("the disk is full") && said.contains("the store writes again"), "{said}");
}
