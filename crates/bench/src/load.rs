//! The load: keep-alive connections that post messages as an SDK does, on one thread of their own.
//!
//! Closed loop (each connection posts again as soon as it was answered) or a fixed rate. One thread carries far more than
//! any server here takes, and every thread less is one that does not compete with the server for two cores.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::histogram::Histogram;
use crate::worker;

/// How long requests on the way may take to end after the stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// What is sent, where, and how fast.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The servers; connections are shared out among them.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Paths that take a message; taken in turn.
    pub(crate) paths: Vec<String>,
    /// The bearer token.
    pub(crate) token: String,
    /// Whether each POST carries a fresh `idempotency-key: auto_…`, as the SDKs add it.
    pub(crate) keys: bool,
    /// Keep-alive connections.
    pub(crate) connections: usize,
    /// Messages a second in all; `None` is as fast as they are answered.
    pub(crate) per_second: Option<f64>,
    /// Stop after this many messages.
    pub(crate) messages_max: u64,
    /// The number of the first message; loads that run side by side must not share numbers.
    pub(crate) first_number: u64,
    /// Size of the payload.
    pub(crate) payload_bytes: usize,
}

/// What was answered so far.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) stop: AtomicBool,
    pub(crate) taken: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) last_refusal: Mutex<String>,
    pub(crate) answered: Mutex<Histogram>,
}

/// A load that is running. Dropping it stops it.
#[derive(Debug)]
pub(crate) struct Load {
    counters: Arc<Counters>,
    stopped: Arc<Notify>,
    thread: Option<JoinHandle<()>>,
}

/// What a finished load was answered.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) last_refusal: String,
}

impl Load {
    pub(crate) fn start(plan: Plan) -> Outcome<Self> {
        let counters = Arc::new(Counters::default());
        let stopped = Arc::new(Notify::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (for_thread, until) = (counters.clone(), stopped.clone());
        let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = run(plan, for_thread) => {}
                    () = overtime(until) => {}
                }
            });
        })?;
        Ok(Self { counters, stopped, thread: Some(thread) })
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.counters.accepted.load(Ordering::Relaxed)
    }

    /// From POST to its answer, up to now.
    pub(crate) fn answered(&self) -> Histogram {
        self.counters.answered.lock().clone()
    }

    /// Whether all of `messages_max` were sent and answered.
    pub(crate) fn is_done(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Sends no more, waits for the answers on the way.
    pub(crate) fn finish(mut self) -> Totals {
        self.stop();
        Totals {
            accepted: self.accepted(),
            refused: self.counters.refused.load(Ordering::Relaxed),
            last_refusal: self.counters.last_refusal.lock().clone(),
        }
    }

    fn stop(&mut self) {
        self.counters.stop.store(true, Ordering::Relaxed);
        self.stopped.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn run(plan: Plan, counters: Arc<Counters>) {
    let plan = Arc::new(plan);
    let mut workers = JoinSet::new();
    for connection in 0..plan.connections {
        let address = plan.addresses[connection % plan.addresses.len()];
        workers.spawn(worker::run(plan.clone(), address, counters.clone()));
    }
    while workers.join_next().await.is_some() {}
}

async fn overtime(stopped: Arc<Notify>) {
    stopped.notified().await;
    tokio::time::sleep(STOP_TIMEOUT).await;
}
