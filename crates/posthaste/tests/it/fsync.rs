//! A 202 stands on a completed fsync, and a failed one is never answered 202.
//!
//! Killing a process says nothing about fsync: the page cache survives it. So a small C library (`shim/sync.c`) is
//! built here and preloaded into the server. It logs each write that carries a message and each sync of the store,
//! slows syncs down, and makes them fail on demand.

use crate::live::{Api, Home, WITHIN, serves};
use crate::shim;
use http::Method;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use testkit::{Answer, Process, Receiver, Reply};
use tokio::task::JoinSet;

/// What each sync takes at least.
const SYNC_MS: u64 = 200;
const MS: i64 = 1_000_000;

/// The library, its log and its trigger, beside a home's data folder.
struct Shim {
    library: PathBuf,
    log: PathBuf,
    fail: PathBuf,
}

/// A line of its log, times in nanoseconds of the monotonic clock: a sync with its result, or a write of the message
/// of this number.
struct Seen {
    what: String,
    began: i64,
    ended: i64,
    number: i64,
    file: String,
}

impl Shim {
    fn build(home: &Home) -> Self {
        let at = |name: &str| home.folder().join(name);
        Self { library: shim::build(home, "sync"), log: at("sync.log"), fail: at("syncs-fail") }
    }

    async fn start(&self, home: &Home, delay_ms: u64) -> Process {
        let mut command = home.serve();
        command.env("LD_PRELOAD", &self.library).env("SHIM_MATCH", "posthaste.db").env("SHIM_LOG", &self.log);
        command.env("SHIM_FAIL", &self.fail).env("SHIM_DELAY_MS", delay_ms.to_string());
        let process = Process::start(command);
        serves(&process).await;
        process
    }

    fn seen(&self) -> Vec<Seen> {
        let log = fs::read_to_string(&self.log).expect("the shim was loaded and wrote its log");
        let seen = |line: &str| {
            let parts: Vec<_> = line.split(' ').collect();
            let [what, began, ended, number, file] = parts[..] else { panic!("{line:?}") };
            let whole = |text: &str| text.parse::<i64>().expect("a whole number");
            Seen {
                what: what.to_owned(),
                began: whole(began),
                ended: whole(ended),
                number: whole(number),
                file: file.to_owned(),
            }
        };
        log.lines().map(seen).collect()
    }
}

/// The clock that the shim reads.
fn monotonic() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000 * MS + time.tv_nsec
}

fn body(number: u64) -> String {
    json!({ "eventType": "synced", "payload": { "text": format!("mark-{number}."), "number": number } })
        .to_string()
}

/// Posts one message; no answer at all when the server is gone.
async fn post(api: &Api, application: &str, number: u64) -> Option<Reply> {
    let authorization = format!("Bearer {}", api.token);
    let key = format!("auto_{number}");
    let headers = [("authorization", authorization.as_str()), ("idempotency-key", &key)];
    let path = format!("/api/v1/app/{application}/msg");
    api.client.send(Method::POST, &path, &headers, body(number)).await.ok()
}

#[tokio::test]
async fn a_202_comes_after_a_sync_that_began_after_its_message_was_written() {
    let home = Home::new(&[]);
    let shim = Shim::build(&home);
    let receiver = Receiver::start().await;
    let process = shim.start(&home, SYNC_MS).await;
    let api = home.api();
    let application = api.application("synced").await;
    api.endpoint(&application, &receiver.url("/hook")).await;
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let (api, application) = (home.api(), application.clone());
        clients.spawn(async move {
            let mut answers = Vec::new();
            for number in client * 5..client * 5 + 5 {
                let asked = monotonic();
                let reply = post(&api, &application, number).await.expect("an answer");
                assert_eq!(reply.status, 202, "{}", reply.json());
                answers.push((number, asked, monotonic()));
            }
            answers
        });
    }
    let answers = clients.join_all().await.concat();
    receiver.wait_for(answers.len(), WITHIN).await;
    drop(process);
    let seen = shim.seen();
    let is_of_wal = |one: &&Seen| one.file == "posthaste.db-wal";
    let syncs: Vec<_> = seen.iter().filter(is_of_wal).filter(|one| one.what == "sync").collect();
    assert!(syncs.iter().all(|sync| sync.number == 0 && sync.ended - sync.began >= SYNC_MS as i64 * MS));
    for (number, asked, answered) in answers {
        let is_its = |one: &&Seen| one.what == "mark" && one.number == number as i64;
        let written = seen.iter().filter(is_of_wal).find(is_its);
        let written = written.unwrap_or_else(|| panic!("message {number} was not written to the WAL"));
        assert!(written.began >= asked, "message {number} was written before it was posted");
        let after = |sync: &&&Seen| sync.began >= written.ended && sync.ended <= answered;
        assert!(
            syncs.iter().any(|sync| after(&sync)),
            "202 of message {number} {} ms after its write, and no sync came between",
            (answered - written.ended) / MS
        );
    }
}

#[tokio::test]
async fn while_syncs_fail_nothing_is_acknowledged_and_the_server_ends_and_what_was_acknowledged_is_there() {
    let home = Home::new(&[("RETRY_SCHEDULE", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1")]);
    let shim = Shim::build(&home);
    let receiver = Receiver::start().await;
    receiver.answer_always("/hook", Answer::status(503));
    let process = shim.start(&home, 0).await;
    let api = home.api();
    let application = api.application("synced").await;
    let endpoint = api.endpoint(&application, &receiver.url("/hook")).await;
    let mut accepted = Vec::new();
    for number in 0..30 {
        let reply = post(&api, &application, number).await.expect("an answer");
        assert_eq!(reply.status, 202, "{}", reply.json());
        accepted.push(reply.json()["id"].as_str().expect("an id").to_owned());
    }
    fs::write(&shim.fail, "").expect("the trigger");
    let (mut refused, mut number) = (0, 1_000);
    while process.is_running() && number < 3_000 {
        number += 1;
        let Some(reply) = post(&api, &application, number).await else { continue };
        assert_eq!(reply.status, 503, "a failed sync was answered {}", reply.json());
        assert_eq!(reply.json()["code"], "unavailable");
        assert!(reply.headers.contains_key("retry-after"));
        refused += 1;
    }
    assert!(refused > 0, "no request was refused");
    let status = process.wait(WITHIN).await;
    let said = process.lines().join("\n");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("the disk failed during a commit"), "{said}");
    assert!(said.contains("the store has failed, so the server stopped"), "{said}");
    assert!(!said.contains("panicked"), "{said}");

    receiver.answer_always("/hook", Answer::status(200));
    let _again = home.start().await;
    let listed = api.list(&format!("/app/{application}/msg")).await;
    for id in &accepted {
        assert!(listed.iter().any(|message| message["id"] == id.as_str()), "{id} is gone");
    }
    api.settled().await;
    let states = api.list(&format!("/app/{application}/endpoint/{endpoint}/msg")).await;
    assert!(states.len() >= accepted.len() && states.iter().all(|one| one["status"] == 0), "{states:?}");
}

#[tokio::test]
async fn a_server_whose_syncs_fail_from_the_start_does_not_start() {
    let home = Home::new(&[]);
    let shim = Shim::build(&home);
    fs::write(&shim.fail, "").expect("the trigger");
    let mut command = home.serve();
    command.env("LD_PRELOAD", &shim.library).env("SHIM_MATCH", "posthaste.db").env("SHIM_FAIL", &shim.fail);
    let process = Process::start(command);
    let status = process.wait(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(1), "{}", process.lines().join("\n"));
    let told = process.lines();
    assert!(told.iter().any(|line| line.contains("the disk answered with an error")), "{told:#?}");
}
