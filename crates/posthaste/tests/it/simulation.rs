//! Engine and store, crashed at every durable step: whatever was accepted is delivered and recorded.
//!
//! One life of the simulation accepts messages for three endpoints (one succeeds, one fails at first, one always
//! fails) and is stopped at commit number k, right before it or right after it, as if the process had died there. A
//! second life opens the same file and goes on until nothing is left. Then the ledger is compared, exactly.

use bytes::Bytes;
use courier::{Courier, Vapid};
use domain::application::ApplicationFields;
use domain::attempt::{Attempt, Disposition};
use domain::clock::{Clock, ManualClock, Timestamp};
use domain::endpoint::{EndpointFields, EndpointSecret};
use domain::environment::SignatureHeaders;
use domain::id::{ApplicationKey, EndpointKey, MessageId};
use domain::message::Overrides;
use domain::page::{Order, Page};
use domain::retry::Schedule;
use domain::wire_id::{IdCodec, Kind};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::Store;
use store::attempt::AttemptFilter;
use store::endpoint::NewEndpoint;
use store::handoff::{Handoff, channel};
use store::message::{Admission, NewMessage};
use store::sqlite::{Options, Probe, Sqlite};
use testkit::{Answer, Receiver};
use tokio::runtime::Runtime;

/// Messages of one simulation.
const MESSAGES: u64 = 12;
/// The three paths of the receiver.
const PATHS: [&str; 3] = ["/good", "/mends", "/bad"];
/// Tries that a delivery has.
const TRIES: usize = 3;

/// Stops the store at one commit.
struct CrashAt {
    commit: u64,
    after: bool,
}

impl Probe for CrashAt {
    fn before_commit(&self, commit: u64) -> bool {
        self.after || commit < self.commit
    }

    fn after_commit(&self, commit: u64) -> bool {
        !self.after || commit < self.commit
    }
}

/// Simulations beside each other.
const WORKERS: usize = 6;

/// One process.
struct Life {
    store: Arc<dyn Store>,
    handoff: Handoff,
    clock: Arc<ManualClock>,
    ids: IdCodec,
    _engine: engine::Engine,
}

impl Life {
    fn begin(path: &Path, clock: Arc<ManualClock>, probe: Option<Arc<dyn Probe>>) -> Self {
        let options = Options {
            encryption_key: b"k".repeat(32),
            old_encryption_keys: Vec::new(),
            clock: Arc::clone(&clock) as _,
            probe,
        };
        let store: Arc<dyn Store> = Sqlite::open(path, options).unwrap();
        let (handoff, accepted) = channel();
        let policy = egress::Policy::new(vec!["127.0.0.0/8".parse().unwrap()], true);
        let resolver = Arc::new(egress::SystemResolver::default());
        let ids = IdCodec::new(b"simulation");
        let client = egress::Client::new(policy, egress::Limits::default(), resolver);
        let vapid = Vapid::new([1; 32], "mailto:ops@example.com".into());
        let parts = engine::Parts {
            store: Arc::clone(&store),
            handoff: accepted,
            sandbox: shape::Sandbox::new(None),
            courier: Arc::new(Courier::new(None, client.clone(), vapid, Duration::from_secs(5))),
            egress: client,
            ids: ids.clone(),
            clock: Arc::clone(&clock) as _,
            settings: engine::Settings {
                schedule: Schedule::new(vec![5; TRIES - 1]).unwrap(),
                request_timeout: Duration::from_secs(5),
                event_origin: "simulation".into(),
                public_url: "http://localhost".into(),
                retention_days: 90,
                seed: 7,
            },
        };
        Self { store, handoff, clock, ids, _engine: engine::Engine::start(parts) }
    }

    async fn set_up(&self, receiver: &Receiver) -> Option<(ApplicationKey, Vec<EndpointKey>)> {
        let environment = self
            .store
            .environment_ensure("org_000000000000000000000000001", SignatureHeaders::Webhook)
            .await
            .ok()?;
        let fields = ApplicationFields { uid: Some("app".into()), name: "app".into(), ..Default::default() };
        let id = Kind::Application.make(self.clock.now(), [1; 16]);
        let application = self.store.application_create(environment.key, id, fields).await.ok()?;
        let mut endpoints = Vec::new();
        for (index, path) in PATHS.into_iter().enumerate() {
            let new = NewEndpoint {
                id: Kind::Endpoint.make(self.clock.now(), [index as u8; 16]),
                application: application.key,
                fields: EndpointFields { url: receiver.url(path), ..Default::default() },
                headers: Vec::new(),
                secrets: vec![EndpointSecret {
                    secret: signing::Secret::generate(&mut |bytes| bytes.fill(9)),
                    expires_at: None,
                }],
                credentials: Default::default(),
                notice: None,
                entry: None,
            };
            endpoints.push(self.store.endpoint_create(new).await.ok()?.key);
        }
        Some((application.key, endpoints))
    }

    async fn accept(&self, application: ApplicationKey, number: u64) -> Option<MessageId> {
        let routes = self.store.routing().routes(application);
        let payload = Bytes::from(format!("{{\"number\": {number}}}"));
        // Every third message is parked, so that claims are crashed too.
        let fresh = |r: &&store::routing::Route| !number.is_multiple_of(3) && r.gauge.enter(payload.len());
        let entered: Vec<_> = routes.iter().filter(fresh).map(|r| Arc::clone(&r.gauge)).collect();
        let all = entered.len() == routes.len();
        let slot = self.handoff.reserve(entered, payload.len()).filter(|_| all);
        let admission = if slot.is_some() { Admission::Handoff } else { Admission::Park };
        let new = NewMessage {
            application,
            event_type: "simulated".into(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            payload,
            payload_expires_at: None,
            deliver_at: None,
            overrides: Overrides::default(),
            deliveries: routes.iter().map(|r| (r.endpoint.key, admission)).collect(),
            key: None,
            slot,
        };
        self.store.accept(new).await.ok().map(|message| message.id)
    }

    /// Lets time pass until nothing is pending any more, or the store has ended.
    async fn settle(&self) {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        let mut calm = 0;
        for _ in 0..2_000 {
            tick.tick().await;
            // The breaker of `/bad` lets one try through every five minutes in the end.
            self.clock.advance_ms(30_000);
            let Ok((rows, _)) = self.store.backlog().await else { return };
            if !self.store.lease_is_valid() {
                return;
            }
            let busy = rows > 0 || self.handoff_held();
            calm = if busy { 0 } else { calm + 1 };
            if calm >= 10 {
                return;
            }
        }
        let (rows, due) = self.store.backlog().await.unwrap();
        let held = self.handoff.held();
        panic!(
            "{rows} rows are pending (due {due:?}, now {:?}) and {held} deliveries held",
            self.clock.now()
        );
    }

    fn handoff_held(&self) -> bool {
        self.handoff.held() > 0
    }

    async fn attempts(&self, endpoint: EndpointKey) -> Vec<Attempt> {
        let page = Page::first(250, Order::Ascending);
        self.store.attempt_list_by_endpoint(endpoint, AttemptFilter::default(), page).await.unwrap().items
    }
}

/// How many commits a life without a crash makes.
fn commits_of_a_whole_life() -> u64 {
    struct Count(std::sync::atomic::AtomicU64);
    impl Probe for Count {
        fn before_commit(&self, commit: u64) -> bool {
            self.0.store(commit, std::sync::atomic::Ordering::Relaxed);
            true
        }
        fn after_commit(&self, _: u64) -> bool {
            true
        }
    }
    let count = Arc::new(Count(std::sync::atomic::AtomicU64::new(0)));
    simulate(Some(Arc::clone(&count) as _));
    count.0.load(std::sync::atomic::Ordering::Relaxed)
}

/// Two lives; checks the ledger after them.
fn simulate(probe: Option<Arc<dyn Probe>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    let clock = Arc::new(ManualClock::new(Timestamp(1_800_000_000_000)));
    let outside = Runtime::new().unwrap();
    let receiver = outside.block_on(Receiver::start());
    receiver.answer_always("/bad", Answer::status(500));
    // Fewer failures than tries, whichever message gets them.
    for _ in 1..TRIES {
        receiver.answer("/mends", Answer::status(503));
    }
    let mut accepted = HashMap::new();
    let first = Runtime::new().unwrap();
    let set_up = first.block_on(async {
        let life = Life::begin(&path, Arc::clone(&clock), probe);
        let set_up = life.set_up(&receiver).await?;
        for number in 0..MESSAGES {
            if let Some(id) = life.accept(set_up.0, number).await {
                accepted.insert(id, number);
            }
        }
        life.settle().await;
        Some(set_up)
    });
    // The process is gone, whatever it was doing.
    first.shutdown_timeout(Duration::from_secs(5));
    // Its lock goes with the last of its threads.
    let until = Instant::now() + Duration::from_secs(20);
    while store::sqlite::is_open(&path) && Instant::now() < until {
        std::thread::yield_now();
    }
    let second = Runtime::new().unwrap();
    second.block_on(async {
        let life = Life::begin(&path, clock, None);
        let Some((_, endpoints)) = set_up else { return };
        life.settle().await;
        check(&life, &receiver, &endpoints, &accepted).await;
        life.store.close();
    });
    second.shutdown_timeout(Duration::from_secs(5));
}

async fn check(
    life: &Life,
    receiver: &Receiver,
    endpoints: &[EndpointKey],
    accepted: &HashMap<MessageId, u64>,
) {
    let arrived = receiver.requests();
    for (endpoint, path) in endpoints.iter().zip(PATHS) {
        let attempts = life.attempts(*endpoint).await;
        for (id, number) in accepted {
            let of_message: Vec<_> = attempts.iter().filter(|a| a.record.message == *id).collect();
            let numbers: Vec<_> = of_message.iter().map(|a| a.record.number as usize).collect();
            assert_eq!(numbers, (1..=numbers.len()).collect::<Vec<_>>(), "tries of {number} at {path}");
            let last = of_message.last().unwrap_or_else(|| panic!("no attempt of {number} at {path}"));
            let expected = if path == "/bad" { Disposition::Failed } else { Disposition::Succeeded };
            assert_eq!(last.record.disposition, expected, "the end of {number} at {path}");
            if path == "/bad" {
                assert_eq!(numbers.len(), TRIES, "the whole budget of {number} at {path}");
            }
            let succeeded =
                of_message.iter().filter(|a| a.record.disposition == Disposition::Succeeded).count();
            assert!(succeeded <= 1, "{number} at {path} was sent again after a recorded success");
            let wire_id = life.ids.message(*id);
            let sent: Vec<_> =
                arrived.iter().filter(|r| r.path == path && r.header("webhook-id") == wire_id).collect();
            // One request an attempt, and at most one more: the one that was on the wire at the crash.
            assert!(
                sent.len() == numbers.len() || sent.len() == numbers.len() + 1,
                "{number} at {path}: {} requests, {} attempts",
                sent.len(),
                numbers.len()
            );
            let body = format!("{{\"number\": {number}}}");
            assert!(sent.iter().all(|r| r.body == body.as_bytes()), "the bytes of {number} at {path}");
        }
    }
}

#[test]
fn a_crash_at_any_commit_loses_nothing_and_repeats_only_what_was_on_the_wire() {
    let commits = commits_of_a_whole_life();
    assert!(commits > 20, "the simulation has {commits} durable steps");
    let points: Vec<_> = (1..=commits).flat_map(|commit| [(commit, false), (commit, true)]).collect();
    // Each simulation mostly waits, so several run beside each other.
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let points = points.iter().skip(worker).step_by(WORKERS);
            scope.spawn(move || {
                for (commit, after) in points.copied() {
                    println!("crash at commit {commit} of {commits}, after it: {after}");
                    simulate(Some(Arc::new(CrashAt { commit, after })));
                }
            });
        }
    });
}
