//! The only loops: they take accepted messages and due rows, send them, and record what came of it.
//!
//! | actor | reads | writes | promises |
//! |---|---|---|---|
//! | [`dispatch`] | handoff, claims, wakes | nothing durable itself | one bad endpoint hurts only itself; memory stays bounded |
//! | [`attempt`] | one delivery, its endpoint's configuration of that moment | one request, one [`store::delivery::Record`] | every request made is recorded, or made again |
//! | [`exchange`] | the event, as its endpoint wants it; a token | the request itself | nothing leaves but through `egress` |
//! | [`memory`] | how large bodies became | nothing | what is under way stays bounded |
//! | [`record`] | records | attempts and rows, in batches | a record is kept until the store has it |
//! | [`health`] | what attempts tell | episodes of failing endpoints; disables them | once a second, in small steps |
//! | [`notice`] | notices, and what expires soon ([`expiring`]) | letters to people ([`letter`]), events for operational webhooks ([`operational`]) | once an episode; a message a minute for each recipient |
//! | [`task`] | background tasks | runs of their own, step by step | cut short, it goes on; nothing is sent twice |
//! | [`statistics`] | the log, behind its end | what each hour brought | each row once; small steps |
//! | [`prune`] | the clock | drops what is past its retention | small steps |
//!
//! Two doors lead into dispatch: the handoff (fresh, from memory) and the claim (due rows). All else is the same.

mod attempt;
mod breaker;
mod claim;
mod dispatch;
mod due;
mod exchange;
mod expiring;
mod health;
mod letter;
mod line;
mod memory;
pub mod metrics;
mod notice;
mod operational;
mod pace;
mod prune;
mod queue;
mod record;
mod request;
mod retries;
mod statistics;
mod task;
mod throttle;
mod token;

pub use metrics::EngineMetrics;

use attempt::Context;
use courier::Courier;
use domain::clock::Clock;
use domain::retry::Schedule;
use domain::wire_id::IdCodec;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::handoff::HandoffReceiver;
use store::notify::recipients;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What an engine is made of.
pub struct Parts {
    /// Where everything durable is.
    pub store: Arc<dyn Store>,
    /// Accepted messages.
    pub handoff: HandoffReceiver,
    /// Runs customers' scripts.
    pub sandbox: shape::Sandbox,
    /// The only way out.
    pub egress: egress::Client,
    /// Takes letters to people.
    pub courier: Arc<Courier>,
    /// Writes the ids that requests carry.
    pub ids: IdCodec,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// How it behaves.
    pub settings: Settings,
}

/// How an engine behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The intervals between tries.
    pub schedule: Schedule,
    /// One deadline from DNS to the last byte of the answer.
    pub request_timeout: Duration,
    /// What `X-Event-Origin` says.
    pub event_origin: String,
    /// The address under which people know this instance, without a slash at its end.
    pub public_url: String,
    /// Days that messages and attempts are kept.
    pub retention_days: u32,
    /// Where jitter begins: another seed, another jitter.
    pub seed: u64,
}

/// The running loops.
#[derive(Debug)]
pub struct Engine {
    stop: CancellationToken,
    tasks: TaskTracker,
    metrics: Arc<EngineMetrics>,
}

impl Engine {
    /// Starts the loops on the current tokio runtime.
    #[must_use]
    pub fn start(parts: Parts) -> Self {
        let metrics = Arc::new(EngineMetrics::default());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let health = Arc::new(health::Health::default());
        let (records, recorded) = mpsc::channel(record::QUEUE);
        let retention_days = parts.settings.retention_days;
        let telling = letter::Telling {
            store: Arc::clone(&parts.store),
            courier: parts.courier,
            egress: parts.egress.clone(),
            recipients: recipients(&parts.store.wire_id_key()),
            clock: Arc::clone(&parts.clock),
            ids: parts.ids.clone(),
            public_url: parts.settings.public_url.clone(),
        };
        let context = Arc::new(Context {
            store: Arc::clone(&parts.store),
            egress: parts.egress,
            sandbox: parts.sandbox,
            retries: retries::Retries::default(),
            memory: memory::Memory::default(),
            health: Arc::clone(&health),
            ids: parts.ids,
            clock: Arc::clone(&parts.clock),
            random: Mutex::new(fastrand::Rng::with_seed(parts.settings.seed)),
            settings: parts.settings,
            metrics: Arc::clone(&metrics),
            records,
        });
        tasks.spawn(record::run(Arc::clone(&parts.store), recorded));
        tasks.spawn(dispatch::run(context, parts.handoff, tasks.clone(), stop.clone()));
        tasks.spawn(health::run(Arc::clone(&parts.store), health, Arc::clone(&parts.clock), stop.clone()));
        tasks.spawn(notice::run(telling, tasks.clone(), stop.clone()));
        tasks.spawn(task::run(Arc::clone(&parts.store), Arc::clone(&parts.clock), stop.clone()));
        tasks.spawn(statistics::run(Arc::clone(&parts.store), Arc::clone(&parts.clock), stop.clone()));
        tasks.spawn(prune::run(parts.store, parts.clock, retention_days, stop.clone()));
        tasks.close();
        Self { stop, tasks, metrics }
    }

    /// What the loops count.
    #[must_use]
    pub fn metrics(&self) -> Arc<EngineMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Stops sending, lets what is in flight finish and be recorded, and answers whether all of it was within `within`.
    /// What is left is sent again by the next process.
    pub async fn stop(self, within: Duration) -> bool {
        self.stop.cancel();
        tokio::time::timeout(within, self.tasks.wait()).await.is_ok()
    }
}
