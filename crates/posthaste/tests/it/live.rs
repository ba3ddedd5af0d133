//! A server that a test may kill and start again: one folder, one port, one token for all of its lives.

use crate::binary::{posthaste, run};
use http::Method;
use rustix::process::getuid;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use testkit::{HttpClient, Process, free_port};
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// How long anything that must happen may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(60);

/// A number from the environment, by which a test is made longer: `POSTHASTE_TEST_…`.
pub(crate) fn from_environment(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What outlives the processes.
pub(crate) struct Home {
    folder: TempDir,
    port: u16,
    settings: Vec<(String, String)>,
    /// An environment token.
    pub(crate) token: String,
}

impl Home {
    /// A new folder, with loopback opened to delivery and these settings beside it (names without their prefix).
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let settings: Vec<_> = [("EGRESS_ALLOW", "127.0.0.0/8")]
            .iter()
            .chain(settings)
            .map(|(name, value)| (format!("POSTHASTE_{name}"), (*value).to_owned()))
            .collect();
        let mut home = Self { folder, port: free_port(), settings, token: String::new() };
        home.token = home.run(&["token", "create"]);
        home
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("posthaste-data")
    }

    /// The folder around it.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The command that serves.
    pub(crate) fn serve(&self) -> Command {
        self.command(&["serve"])
    }

    /// The command that serves in a mount namespace of its own, after this shell script: what it mounts goes with the
    /// process, however the test ends. Works for root, and where users may make namespaces of their own.
    pub(crate) fn serve_unshared(&self, script: &str, arguments: &[&Path]) -> Command {
        println!(
            "this test mounts something: it runs as root, or where users may make namespaces of their own"
        );
        let serve = self.serve();
        let mut command = Command::new("unshare");
        command.arg(if getuid().is_root() { "-m" } else { "-rm" });
        let script = format!("{script} && shift {} && exec \"$@\"", arguments.len());
        command.args(["sh", "-c", &script, "sh"]).args(arguments);
        command.arg(serve.get_program()).args(serve.get_args()).current_dir(self.folder.path());
        for (name, value) in serve.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    /// Any command, with this home's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = posthaste(self.folder.path(), arguments);
        command.env("POSTHASTE_LISTEN", format!("127.0.0.1:{}", self.port));
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command to its end; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let done = run(self.command(arguments));
        assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.err);
        done.out.trim().to_owned()
    }

    /// Starts the server and waits until it serves.
    pub(crate) async fn start(&self) -> Process {
        let process = Process::start(self.serve());
        serves(&process).await;
        process
    }

    /// Where it listens.
    pub(crate) fn base(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A client of the API.
    pub(crate) fn api(&self) -> Api {
        Api { client: HttpClient::new(self.base()), token: self.token.clone() }
    }
}

/// Waits until this process serves.
pub(crate) async fn serves(process: &Process) {
    process.wait_for_line("posthaste serves", WITHIN).await;
}

/// Asks the process to stop and waits until it has.
pub(crate) async fn stopped(process: &Process) {
    process.terminate();
    let status = process.wait(WITHIN).await;
    assert!(status.success(), "{status}: {}", process.lines().join("\n"));
}

/// The API, with a token.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) client: HttpClient,
    pub(crate) token: String,
}

impl Api {
    /// GET of what must be there.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.client.get(&format!("/api/v1{path}"), &self.token).await;
        assert_eq!(status, 200, "GET {path}: {answer}");
        answer
    }

    /// POST of what must be accepted.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.client.post(&format!("/api/v1{path}"), &self.token, body).await;
        assert!((200..300).contains(&status), "POST {path}: {status} {answer}");
        answer
    }

    /// Makes an application; its id.
    pub(crate) async fn application(&self, name: &str) -> String {
        id_of(&self.post("/app", &json!({ "name": name })).await)
    }

    /// Makes an endpoint; its id.
    pub(crate) async fn endpoint(&self, application: &str, url: &str) -> String {
        id_of(&self.post(&format!("/app/{application}/endpoint"), &json!({ "url": url })).await)
    }

    /// Every item of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let (mut all, mut iterator) = (Vec::new(), String::new());
        for _ in 0..10_000 {
            let page = self.get(&format!("{path}?limit=250{iterator}")).await;
            all.extend(page["data"].as_array().expect("a list").iter().cloned());
            if page["done"] == true {
                return all;
            }
            iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
        }
        panic!("{path} does not end");
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let reply = self.client.send(Method::GET, "/metrics", &[], "").await.expect("the metrics");
        String::from_utf8(reply.body.to_vec()).expect("text")
    }

    /// Waits until nothing waits, nothing is on the wire, and that stays so.
    pub(crate) async fn settled(&self) {
        let (mut tick, mut calm) = (pace(Duration::from_millis(50)), 0);
        for _ in 0..WITHIN.as_millis() / 50 {
            tick.tick().await;
            let text = self.metrics().await;
            let is_zero = |name: &&str| text.lines().any(|line| line == format!("posthaste_{name} 0"));
            let all = ["deliveries_pending", "queued", "in_flight"].iter().all(is_zero);
            calm = if all { calm + 1 } else { 0 };
            if calm == 5 {
                return;
            }
        }
        panic!("not settled within {WITHIN:?}:\n{}", self.metrics().await);
    }
}

/// The id of what was answered.
pub(crate) fn id_of(answer: &Value) -> String {
    answer["id"].as_str().unwrap_or_else(|| panic!("no id in {answer}")).to_owned()
}

/// A ticking clock that never hurries to catch up; its first tick is at once.
pub(crate) fn pace(every: Duration) -> tokio::time::Interval {
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Lets this much time pass: where the moment itself is what a test is about.
pub(crate) async fn let_pass(time: Duration) {
    interval_at(Instant::now() + time, Duration::from_secs(1)).tick().await;
}
