//! The processes of this same binary, seen from the run that starts them.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use testkit::{HttpClient, Process};

use crate::Outcome;
use crate::receiver::Report;

const START_TIMEOUT: Duration = Duration::from_secs(10);

/// A running receiver.
#[derive(Debug)]
pub(crate) struct Receiver {
    process: Process,
    control: HttpClient,
    deliveries: SocketAddr,
    hanging: SocketAddr,
}

impl Receiver {
    pub(crate) async fn start() -> Outcome<Self> {
        let process = Process::start(ourselves(&["receiver"])?);
        let deliveries = announced(&process, "deliveries").await?;
        let hanging = announced(&process, "hanging").await?;
        let control = HttpClient::new(format!("http://{}", announced(&process, "control").await?));
        Ok(Self { process, control, deliveries, hanging })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Where deliveries of this lane go.
    pub(crate) fn lane(&self, lane: u8) -> String {
        format!("http://{}/lane/{lane}", self.deliveries)
    }

    /// Where nothing is ever answered.
    pub(crate) fn hanging(&self, number: u64) -> String {
        format!("http://{}/hang/{number}", self.hanging)
    }

    /// Where the answer is a 404.
    pub(crate) fn failing(&self, number: u64) -> String {
        format!("http://{}/fail/{number}", self.hanging)
    }

    /// Where the answer comes at once, beside what is timed.
    pub(crate) fn answering(&self, number: u64) -> String {
        format!("http://{}/answer/{number}", self.hanging)
    }

    pub(crate) async fn report(&self) -> Outcome<Report> {
        Ok(serde_json::from_value(self.control.get("/report", "").await.1)?)
    }

    /// Forgets all that was counted.
    pub(crate) async fn reset(&self) {
        self.steer("/reset").await;
    }

    /// `ok`, `hang`, `some-fail` or `twentieth-once`.
    pub(crate) async fn mode(&self, mode: &str) {
        self.steer(&format!("/mode/{mode}")).await;
    }

    async fn steer(&self, path: &str) {
        let (status, _) = self.control.post(path, "", &serde_json::Value::Null).await;
        assert_eq!(status, 204, "the receiver knows {path}");
    }
}

/// Starts a floor that makes this many copies of each request.
pub(crate) async fn start_floor(receiver: &Receiver, copies: u8) -> Outcome<(Process, SocketAddr)> {
    let target = format!("http://{}/lane", receiver.deliveries);
    let process =
        Process::start(ourselves(&["floor", "--target", &target, "--copies", &copies.to_string()])?);
    let address = announced(&process, "floor").await?;
    Ok((process, address))
}

fn ourselves(arguments: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments);
    Ok(command)
}

async fn announced(process: &Process, what: &str) -> Outcome<SocketAddr> {
    let words = format!("{what} listens on ");
    let line = process.wait_for_line(&words, START_TIMEOUT).await;
    Ok(line.trim_start_matches(&words).parse()?)
}
