//! `/metrics`: what the store and the engine count, in the OpenMetrics text format.
//!
//! Nothing is counted here. A scrape reads the counters where they are kept and asks the store for its backlog. There
//! are no ids and no URLs among the labels: the number of series does not grow with what is sent.

mod write;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::attempt::Outcome;
use domain::clock::Clock;
use engine::EngineMetrics;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use store::Store;
use store::metrics::StoreMetrics;
use write::{About, Writer};

/// The OpenMetrics text format, which Prometheus reads.
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Where the numbers are.
#[derive(Clone)]
pub struct Sources {
    /// The store, for its counters and its backlog.
    pub store: Arc<dyn Store>,
    /// The engine's counters.
    pub engine: Arc<EngineMetrics>,
    /// For ages.
    pub clock: Arc<dyn Clock>,
}

/// The one route.
pub fn router(sources: Sources) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(sources)
}

async fn scrape(State(sources): State<Sources>) -> Response {
    let (pending, oldest_due) = match sources.store.backlog().await {
        Ok(backlog) => backlog,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    };
    let late = oldest_due.map_or(0, |due| sources.clock.now().since(due).max(0));
    let snapshot = Snapshot {
        store: Arc::clone(sources.store.metrics()),
        engine: sources.engine,
        pending,
        late_ms: late,
    };
    let mut registry = Registry::with_prefix("posthaste");
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, FORMAT)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The numbers of one scrape.
#[derive(Debug)]
struct Snapshot {
    store: Arc<StoreMetrics>,
    engine: Arc<EngineMetrics>,
    pending: u64,
    late_ms: i64,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut out = Writer(encoder);
        self.of_the_store(&mut out)?;
        self.of_the_engine(&mut out)?;
        out.info("build", "The version that runs", &[("version", env!("CARGO_PKG_VERSION"))])
    }
}

impl Snapshot {
    fn of_the_store(&self, out: &mut Writer<'_>) -> fmt::Result {
        let store = &self.store;
        out.counter(
            "accepted",
            "Messages accepted, each durable before its 202",
            store.accepted.load(Relaxed),
        )?;
        out.counter("parked", "Deliveries put aside into the store", store.parked.load(Relaxed))?;
        out.counter("commit_failures", "Commits that failed", store.commit_failures.load(Relaxed))?;
        out.sizes(About { name: "commit_batch", help: "Commands that each commit carried" }, &store.batch)?;
        out.microseconds(
            About { name: "commit", help: "What each commit took, its fsync included" },
            &store.commit_us,
        )?;
        out.gauge("deliveries_pending", "Deliveries that wait in the store", self.pending)?;
        out.seconds("oldest_due_age", "For how long the oldest waiting delivery has been due", self.late_ms)
    }

    fn of_the_engine(&self, out: &mut Writer<'_>) -> fmt::Result {
        let engine = &self.engine;
        let by_outcome: Vec<_> =
            Outcome::ALL.iter().map(|outcome| (outcome.word(), engine.attempts(*outcome))).collect();
        let about = About { name: "attempts", help: "Requests to endpoints, by what came of them" };
        out.counters(about, "outcome", &by_outcome)?;
        let blocked = engine.attempts(Outcome::Blocked);
        out.counter("blocked_by_policy", "Attempts that the address policy refused", blocked)?;
        let about = About { name: "accept_to_delivered", help: "From accepting a message to its delivery" };
        out.milliseconds(about, &engine.accept_to_delivered_ms)?;
        out.gauge("in_flight", "Requests on the wire", count(&engine.in_flight))?;
        out.gauge("queued", "Deliveries that wait in memory", count(&engine.queued))?;
        out.gauge("breakers_open", "Endpoints whose breaker is open", count(&engine.breakers_open))
    }
}

fn count(counter: &AtomicUsize) -> u64 {
    u64::try_from(counter.load(Relaxed)).unwrap_or(u64::MAX)
}
