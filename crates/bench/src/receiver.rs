//! The customers' servers, all in one process: counts what arrives and how long it took.
//!
//! Three listeners: deliveries (`/lane/0` … `/lane/15`, answered as the mode says), hanging (`/hang/…` is never answered,
//! `/answer/…` at once, `/fail/…` with 404; none is timed), and control (`GET /report`, `POST /reset`, `POST /mode/ok|hang|some-fail|twentieth-once`). Numbers seen are kept as bits, per lane, so that
//! duplicates and losses are exact. One thread: it must cost little beside what is measured.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::histogram::{Histogram, Sparse};
use crate::payload::read_stamp;
use crate::server::{announce, answer, raise_file_limit, serve};

/// Endpoints that are told apart.
const LANES: usize = 16;
/// Messages of one run whose numbers are kept: 8 MiB of bits for each lane in use.
const NUMBERS_MAX: u64 = 64 * 1024 * 1024;
/// In mode `some-fail` every message with a number divisible by this is answered 503.
const SOME_FAIL_EVERY: u64 = 100;
/// In mode `twentieth-once` every message with a number divisible by this is answered 503 the first time.
const FAIL_ONCE_EVERY: u64 = 20;

/// What the control listener reports; counted since the last reset.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Report {
    /// Requests to deliveries that were answered 200.
    pub(crate) arrivals: u64,
    /// Of these, the first of their number on their lane.
    pub(crate) distinct: u64,
    /// Of these, without a stamp of ours.
    pub(crate) foreign: u64,
    /// Requests that were answered 503, or left hanging by the mode.
    pub(crate) refused: u64,
    /// Requests to the hanging listener.
    pub(crate) hanging: u64,
    /// When the first of `arrivals` came, on the shared clock; 0 when none did.
    pub(crate) first_arrival_ns: u64,
    /// From POST to arrival.
    pub(crate) latency: Sparse,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mode {
    #[default]
    Ok,
    Hang,
    SomeFail,
    TwentiethOnce,
}

#[derive(Default)]
struct State {
    mode: Mode,
    report: Report,
    latency: Histogram,
    seen: [Vec<u64>; LANES],
    /// Numbers that were refused once.
    once: Vec<u64>,
}

type Shared = Arc<Mutex<State>>;

/// Serves until it is killed.
pub(crate) fn run() -> Outcome<()> {
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let deliveries = TcpListener::bind("127.0.0.1:0").await?;
        let hanging = TcpListener::bind("127.0.0.1:0").await?;
        let control = TcpListener::bind("127.0.0.1:0").await?;
        announce("deliveries", deliveries.local_addr()?);
        announce("hanging", hanging.local_addr()?);
        announce("control", control.local_addr()?);
        let state = Shared::default();
        let (for_deliveries, for_hanging) = (state.clone(), state.clone());
        tokio::try_join!(
            serve(deliveries, move |request| deliver(for_deliveries.clone(), request)),
            serve(hanging, move |request| hang(for_hanging.clone(), request)),
            serve(control, move |request| steer(state.clone(), request)),
        )?;
        Ok(())
    })
}

async fn deliver(state: Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let lane = lane_of(request.uri().path());
    let Ok(body) = request.into_body().collect().await else {
        return answer(StatusCode::BAD_REQUEST, "");
    };
    let arrived = monotonic_ns();
    let status = state.lock().arrive(arrived, lane, &body.to_bytes());
    match status {
        Some(status) => answer(status, ""),
        None => pending().await,
    }
}

async fn hang(state: Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    if request.uri().path().starts_with("/answer/") {
        return answer(StatusCode::OK, "");
    }
    if request.uri().path().starts_with("/fail/") {
        return answer(StatusCode::NOT_FOUND, "no such page");
    }
    state.lock().report.hanging += 1;
    pending().await
}

async fn steer(state: Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut state = state.lock();
    match request.uri().path() {
        "/report" => {
            let report = Report { latency: state.latency.sparse(), ..state.report.clone() };
            return answer(StatusCode::OK, serde_json::to_vec(&report).unwrap_or_default());
        }
        "/reset" => *state = State { mode: state.mode, ..State::default() },
        "/mode/ok" => state.mode = Mode::Ok,
        "/mode/hang" => state.mode = Mode::Hang,
        "/mode/some-fail" => state.mode = Mode::SomeFail,
        "/mode/twentieth-once" => state.mode = Mode::TwentiethOnce,
        _ => return answer(StatusCode::NOT_FOUND, ""),
    }
    answer(StatusCode::NO_CONTENT, "")
}

impl State {
    /// What to answer; `None` is never.
    fn arrive(&mut self, now: u64, lane: usize, body: &[u8]) -> Option<StatusCode> {
        let stamp = read_stamp(body);
        let fails = stamp.is_some_and(|stamp| match self.mode {
            Mode::SomeFail => stamp.number % SOME_FAIL_EVERY == 0,
            Mode::TwentiethOnce => {
                stamp.number % FAIL_ONCE_EVERY == 0 && first_time(&mut self.once, stamp.number)
            }
            Mode::Ok | Mode::Hang => false,
        });
        if self.mode == Mode::Hang || fails {
            self.report.refused += 1;
            return fails.then_some(StatusCode::SERVICE_UNAVAILABLE);
        }
        self.report.arrivals += 1;
        if self.report.first_arrival_ns == 0 {
            self.report.first_arrival_ns = now;
        }
        match stamp {
            Some(stamp) => {
                self.report.distinct += u64::from(first_time(&mut self.seen[lane], stamp.number));
                self.latency.record(now.saturating_sub(stamp.sent_ns));
            }
            None => self.report.foreign += 1,
        }
        Some(StatusCode::OK)
    }
}

/// Sets the number's bit; whether it was not set.
fn first_time(seen: &mut Vec<u64>, number: u64) -> bool {
    let number = number % NUMBERS_MAX;
    let word = usize::try_from(number / 64).unwrap_or(0);
    if word >= seen.len() {
        seen.resize(word + 1, 0);
    }
    let bit = 1_u64 << (number % 64);
    let first = seen[word] & bit == 0;
    seen[word] |= bit;
    first
}

fn lane_of(path: &str) -> usize {
    path.strip_prefix("/lane/").and_then(|lane| lane.parse().ok()).filter(|lane| *lane < LANES).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::{Stamp, Template};

    #[test]
    fn duplicates_are_counted_by_lane_and_latency_from_the_stamp() {
        let mut state = State::default();
        let body = Template::new(500).stamped(Stamp { sent_ns: 1_000_000, number: 7 });
        for lane in [0, 1, 1] {
            assert_eq!(state.arrive(3_000_000, lane, &body), Some(StatusCode::OK));
        }
        assert_eq!((state.report.arrivals, state.report.distinct), (3, 2));
        assert!((state.latency.quantile_ms(0.5) - 2.0).abs() < 0.05);
        state.mode = Mode::Hang;
        assert_eq!(state.arrive(4_000_000, 0, &body), None);
        assert_eq!((state.report.arrivals, state.report.refused), (3, 1));
    }
}
