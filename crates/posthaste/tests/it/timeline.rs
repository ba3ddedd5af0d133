//! What becomes of a delivery, told as a timeline: one line an attempt, its time since the message was accepted.
//!
//! A [`Story`] sends a message and follows it at one endpoint. `retry in ~5m` is a wait of the schedule, checked to be
//! within its jitter of a fifth either way; the clock then moves to the jitter's far end, so that the lines are the
//! same whatever the jitter was (6 s for 5 s). A wait without `~` is exact, and the clock moves to its very end.

mod answers;
mod changes;

use crate::server::{World, text};
use domain::clock::{Clock, Timestamp};
use domain::retry::Schedule;
use serde_json::{Value, json};
use std::fmt;

/// A message on its way to one endpoint.
struct Story<'a> {
    world: &'a World,
    message: String,
    endpoint: String,
    sent_at: Timestamp,
    /// Attempts told: by themselves, and because a person asked.
    told: [usize; 2],
    /// The main run's next try: when it is due, and the far end of its jitter.
    retry: Option<(Timestamp, Timestamp)>,
    /// When to go on, if there is more to come.
    next: Option<Timestamp>,
    lines: Vec<String>,
}

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

impl<'a> Story<'a> {
    /// Sends a message.
    async fn begin(world: &'a World, endpoint: &str) -> Self {
        Self::begin_with(world, endpoint, json!({})).await
    }

    /// Sends a message with these fields beside the usual ones.
    async fn begin_with(world: &'a World, endpoint: &str, fields: Value) -> Self {
        let mut message = json!({"eventType": "invoice.paid", "payload": {"amount": 1}});
        for (name, value) in fields.as_object().expect("fields") {
            message[name] = value.clone();
        }
        let message = world.send_with(&message).await;
        let sent_at = world.clock.now();
        let (endpoint, lines) = (endpoint.to_owned(), Vec::new());
        Self { world, message, endpoint, sent_at, told: [0, 0], retry: None, next: None, lines }
    }

    /// Waits for the next attempt and tells it.
    async fn attempt(&mut self) -> &mut Self {
        let before = self.told[0] + self.told[1];
        let all = self.world.wait_for_attempts(&self.message, before + 1).await;
        let this = &all[before];
        let status = match this["responseStatusCode"].as_u64() {
            Some(0) | None => format!("no answer ({})", text(&this["response"])),
            Some(status) => status.to_string(),
        };
        let manual = this["triggerType"] == 1;
        self.told[usize::from(manual)] += 1;
        let (name, number) = if manual { ("resend", self.told[1]) } else { ("attempt", self.told[0]) };
        let at = Timestamp::parse(text(&this["timestamp"])).expect("a time");
        let then = self.then(at, number, manual).await;
        self.lines.push(format!("{} {name} {number} {status} {then}", since(self.sent_at, at)));
        self
    }

    /// Lets time pass to the next attempt and tells it, as often as there is one.
    async fn finish(&mut self) -> &mut Self {
        loop {
            if self.next.is_some() {
                self.pass();
            }
            self.attempt().await;
            if self.next.is_none() {
                return self;
            }
        }
    }

    /// Moves the clock to the next attempt.
    fn pass(&mut self) {
        let next = self.next.take().expect("something is to come");
        self.world.clock.advance_ms(next.since(self.world.clock.now()));
    }

    /// Tells what a person did, or what was seen.
    fn note(&mut self, what: &str) {
        self.lines.push(format!("{} {what}", since(self.sent_at, self.world.clock.now())));
    }

    /// Tells the delivery's state, and when it is due where no jitter has a say.
    async fn state(&mut self) -> &mut Self {
        let state = match self.world.destination(&self.message, &self.endpoint).await {
            None => "not listed".to_owned(),
            Some(found) => {
                match due(&found).filter(|due| self.retry.is_none_or(|(retry, _)| retry != *due)) {
                    Some(due) => format!("{}, due {}", text(&found["statusText"]), since(self.sent_at, due)),
                    None => text(&found["statusText"]).to_owned(),
                }
            }
        };
        let attempts = self.world.attempts(&self.message).await.len();
        self.note(&format!("is {state} (attempts: {attempts})"));
        self
    }

    /// What follows an attempt that ended at `at`, the `number`th of its run.
    async fn then(&mut self, at: Timestamp, number: usize, manual: bool) -> String {
        let found =
            self.world.destination(&self.message, &self.endpoint).await.expect("its endpoint is there");
        let Some(due) = due(&found) else {
            (self.retry, self.next) = (None, None);
            return match text(&found["statusText"]) {
                "success" => "delivered".to_owned(),
                "fail" => "given up".to_owned(),
                other => other.to_owned(),
            };
        };
        if let Some((_, far)) = self.retry.filter(|(retry, _)| manual && *retry == due) {
            self.next = Some(far);
            return "and the retry still waits".to_owned();
        }
        let wait = due.since(at);
        let planned =
            Schedule::default().seconds().get(number - 1).map(|seconds| i64::from(*seconds) * 1_000);
        let within = planned.filter(|ms| (ms * 8 / 10..=ms * 12 / 10).contains(&wait));
        let far = within.map_or(due, |ms| at.plus_ms(ms * 12 / 10));
        self.next = Some(far);
        if !manual {
            self.retry = Some((due, far));
        }
        within.map_or_else(|| format!("retry in {}", length(wait)), |ms| format!("retry in ~{}", length(ms)))
    }
}

/// When a destination is tried next.
fn due(destination: &Value) -> Option<Timestamp> {
    destination["nextAttempt"].as_str().map(|time| Timestamp::parse(time).expect("a time"))
}

/// `00:00:05`, hours without end.
fn since(begin: Timestamp, end: Timestamp) -> String {
    let seconds = end.since(begin) / 1_000;
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// `5s`, `5m`, `2h`, `1h 30m`: only what is not nothing.
fn length(ms: i64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let mut rest = ms;
    let mut parts = Vec::new();
    for (unit, name) in units {
        if rest >= unit {
            parts.push(format!("{}{name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}
