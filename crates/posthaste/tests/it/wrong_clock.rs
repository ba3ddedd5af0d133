//! Nodes whose wall clocks are an hour off: schedules, scheduled messages and signatures go by the database's clock.

use crate::live::{Home, WITHIN};
use crate::nodes::{home, knows};
use crate::shim;
use domain::clock::Clock;
use posthaste::clock::SystemClock;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use testkit::{Answer, Cluster, Durability, Process, Receiver};

const HOUR_S: i64 = 3_600;
/// The first step of the nodes' schedule, less its jitter, and what a busy machine may add to it.
const RETRY_AFTER: std::ops::Range<Duration> = Duration::from_millis(700)..Duration::from_secs(5);
fn off_by(mut command: Command, library: &Path, seconds: i64) -> Command {
    command.env("LD_PRELOAD", library).env("SHIM_SECONDS", seconds.to_string());
    command
}

/// When a token says that it was made, in seconds.
fn made_at(home: &Home, library: &Path, seconds: i64) -> i64 {
    let made =
        off_by(home.command(&["token", "create"]), library, seconds).output().expect("the binary runs");
    let token = String::from_utf8(made.stdout).expect("a token");
    let claims = token.split('.').nth(1).expect("claims");
    let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims);
    let claims: Value = serde_json::from_slice(&claims.expect("base64")).expect("JSON");
    claims["iat"].as_i64().expect("a time")
}

fn now_s() -> i64 {
    SystemClock.now().0 / 1_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_stay_right_on_nodes_whose_clocks_are_an_hour_off() {
    let cluster = Cluster::start(Durability::Quick);
    let database = cluster.database();
    let receiver = Receiver::start().await;
    let (mut homes, mut processes) = (Vec::new(), Vec::new());
    for seconds in [0, HOUR_S, -HOUR_S] {
        let home = home(&database);
        let library = shim::build(&home, "clock");
        let off = made_at(&home, &library, seconds) - now_s();
        assert!((off - seconds).abs() < 60, "the shim has no effect: {off} s");
        let process = Process::start(off_by(home.serve(), &library, seconds));
        process.wait_for_line("posthaste serves", WITHIN).await;
        homes.push(home);
        processes.push(process);
    }
    let api = homes[0].api();
    let application = api.application("clocks").await;
    let late = api.endpoint(&application, &receiver.url("/late")).await;
    for home in &homes {
        knows(&home.api(), &application, &late).await;
    }
    // Two messages a node, whose first tries fail, and one that is scheduled.
    (0..6).for_each(|_| receiver.answer("/late", Answer::status(503)));
    let path = format!("/app/{application}/msg");
    for home in homes.iter().chain(&homes) {
        home.api().post(&path, &json!({ "eventType": "clock.retry", "payload": {} })).await;
    }
    receiver.wait_for_path("/late", 12, WITHIN).await;
    // By a clock that is an hour off this would be in the past, or more than a day away.
    for minutes in [2, 23 * 60] {
        let due = SystemClock.now().plus_ms(minutes * 60_000).to_string();
        for home in &homes {
            let scheduled = json!({ "eventType": "clock.scheduled", "payload": {}, "deliverAt": due });
            home.api().post(&path, &scheduled).await;
        }
    }

    let mut tries: HashMap<String, Vec<Instant>> = HashMap::new();
    for request in receiver.requests() {
        let signed: i64 = request.header("webhook-timestamp").parse().expect("seconds");
        assert!((signed - now_s()).abs() < 60, "it was signed at {signed}");
        tries.entry(request.header("webhook-id").to_owned()).or_default().push(request.arrived);
    }
    assert_eq!(tries.len(), 6, "what is scheduled has not come yet");
    for arrived in tries.values() {
        assert_eq!(arrived.len(), 2);
        let gap = arrived[1] - arrived[0];
        assert!(RETRY_AFTER.contains(&gap), "tried again after {gap:?}");
    }
}
