//! What `dev` prints: the steps in plain words, for a terminal of 100 columns.

use super::demo::{Arrived, EVENT, STEP_TIMEOUT, Sent, SetUp};
use super::receiver::Received;
use serde_json::Value;
use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

/// Characters of a later request's body that are shown.
const BODY_CHARS_SHOWN: usize = 60;

/// Writes the story to standard output.
pub(super) struct Story {
    bold: bool,
}

impl Story {
    pub(super) fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { bold: std::io::stdout().is_terminal() && !plain }
    }

    pub(super) fn opening(&self, data: &Path) {
        self.heading(&format!("Posthaste {}, to try out", env!("CARGO_PKG_VERSION")));
        println!("   Everything it keeps is in {}. Delete that folder to start afresh.", data.display());
    }

    pub(super) fn set_up(&self, setup: &SetUp) {
        let heading = match setup.again {
            false => "1  An application (one of your customers) with one webhook endpoint",
            true => "1  The application and its endpoint are there from an earlier run",
        };
        self.heading(heading);
        println!("   application  demo      {}", setup.application_id);
        println!("   endpoint     receiver  {}", setup.endpoint_id);
        println!("                {}  (a small receiver inside of this command)", setup.endpoint_url);
    }

    pub(super) fn sent(&self, base: &str, sent: &Sent) {
        self.heading("2  One event, posted as your back end would");
        println!("   POST {base}/api/v1/app/demo/msg");
        println!("   {EVENT}");
        println!(
            "\n   The answer came after {}, when the event was safely on disk:",
            milliseconds(sent.took)
        );
        println!("   {}  {}", sent.status, sent.message_id);
    }

    pub(super) fn arrived(&self, arrived: &Arrived) {
        let request = &arrived.request;
        self.heading(&format!(
            "3  What the receiver got, {} after the event was posted",
            milliseconds(arrived.after)
        ));
        println!("   {} {} HTTP/1.1", request.method, request.uri);
        for (name, value) in &request.headers {
            println!("   {name}: {}", String::from_utf8_lossy(value.as_bytes()));
        }
        println!("\n   {}", String::from_utf8_lossy(&request.body));
        match &arrived.verified {
            Ok(()) => println!(
                "\n   The signature is right: checked with the endpoint's secret, as your customer does."
            ),
            Err(reason) => println!("\n   The signature is WRONG, which must never happen: {reason}"),
        }
    }

    pub(super) fn lost(&self, sent: &Sent) {
        let seconds = STEP_TIMEOUT.as_secs();
        self.heading(&format!("3  The receiver did not get it within {seconds} seconds"));
        println!("   The event {} is on disk all the same, and is tried again.", sent.message_id);
        println!("   What became of it is in the record: the third of the lines below lists the attempts.");
    }

    pub(super) fn recorded(&self, attempt: Option<&Value>) {
        self.heading("4  The record of it");
        let Some(attempt) = attempt else {
            let seconds = STEP_TIMEOUT.as_secs();
            return println!("   It is not there after {seconds} seconds, which is a fault of ours.");
        };
        let text = |field: &str| attempt.get(field).and_then(Value::as_str).unwrap_or("?").to_owned();
        let number = |field: &str| attempt.get(field).and_then(Value::as_i64).unwrap_or_default();
        println!("   {}  {}", text("id"), text("timestamp"));
        println!(
            "   {}: HTTP {} in {} ms from {}",
            text("statusText"),
            number("responseStatusCode"),
            number("responseDurationMs"),
            text("url")
        );
    }

    pub(super) fn console(&self, link: &str) {
        self.heading("The console: see it all in your browser, create webhooks, send tests");
        println!("   This link signs you in. Keep it to yourself, it holds for 30 days:\n");
        println!("{link}");
    }

    pub(super) fn your_turn(&self, base: &str, token: &str, setup: &SetUp) {
        self.heading("Now you");
        println!(
            "   Paste this first. The token opens your environment for 30 days, so keep it to yourself:\n"
        );
        println!("TOKEN={token}\n");
        println!("   Create an endpoint (this one leads to the receiver above; yours can be any address):\n");
        println!("curl {base}/api/v1/app/demo/endpoint -H \"Authorization: Bearer $TOKEN\" \\");
        println!("  -d '{{\"url\": \"{}mine\"}}'\n", setup.endpoint_url);
        println!("   Send a message to every endpoint that wants its type:\n");
        println!("curl {base}/api/v1/app/demo/msg -H \"Authorization: Bearer $TOKEN\" \\");
        println!("  -d '{{\"eventType\": \"order.paid\", \"payload\": {{\"order\": \"A-1002\"}}}}'\n");
        println!("   List the attempts to deliver to an endpoint, newest first:\n");
        println!("curl {base}/api/v1/app/demo/attempt/endpoint/receiver \\");
        println!("  -H \"Authorization: Bearer $TOKEN\"\n");
        println!("   It goes on serving; Ctrl-C stops it. What the receiver gets is shown here:\n");
    }

    /// One line for a request that came after the story.
    pub(super) fn later(&self, request: &Received) {
        let body = String::from_utf8_lossy(&request.body);
        // Control characters would be the terminal's to obey.
        let visible = body.chars().map(|c| if c.is_control() { ' ' } else { c });
        let mut shown: String = visible.take(BODY_CHARS_SHOWN).collect();
        if shown.len() < body.len() {
            shown.push('…');
        }
        let id = match request.header("webhook-id") {
            "" => request.header("svix-id"),
            id => id,
        };
        println!("   received {} {}  {id}\n      {}", request.method, request.uri.path(), shown);
    }

    fn heading(&self, text: &str) {
        let (on, off) = if self.bold { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        println!("\n{on}{text}{off}");
    }
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}
