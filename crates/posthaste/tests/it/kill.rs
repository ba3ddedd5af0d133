//! SIGKILL at random moments under load, and an exact ledger afterwards.
//!
//! Eight clients post numbered messages as SDKs do and try again with the same idempotency key when there was no
//! answer; every seventh gives up instead. The server is killed again and again, some of the times while it starts.
//! In the end each message that was answered 202 has arrived at all three endpoints, signed and byte for byte, and
//! its attempts are on record. A request without a record is one that was on its way at a kill: at most one for a
//! delivery and a life of the process, and the last one of that life.
//!
//! `POSTHASTE_TEST_KILLS` and `POSTHASTE_TEST_SEED` change how often, and which moments.

use crate::live::{Home, WITHIN, from_environment, let_pass, pace, serves, stopped};
use domain::clock::{Clock, Timestamp};
use http::Method;
use parking_lot::Mutex;
use posthaste::clock::SystemClock;
use standardwebhooks::Webhook;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::{Answer, Cluster, HttpClient, Process, Received, Receiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Kills, unless told otherwise.
const KILLS: u64 = 20;
/// Clients that post at the same time, each with a connection of its own.
const CLIENTS: u64 = 8;
/// Between two messages of one client.
const POST_EVERY: Duration = Duration::from_millis(20);
/// Between two tries of one message, and how many there are.
const AGAIN_AFTER: Duration = Duration::from_millis(25);
const TRIES_MAX: u32 = 2_400;
/// A client with such a number does not try again.
const GIVES_UP: u64 = 7;
/// The receiver's paths. `/flaky` answers 503 to each fifth request, `/slow` takes 20 ms.
const PATHS: [&str; 3] = ["/good", "/flaky", "/slow"];
const FLAKY_EVERY: usize = 5;
const FLAKY_ANSWERS: usize = 200_000;

/// What the clients share.
struct Load {
    base: String,
    path: String,
    token: String,
    next: AtomicU64,
    stop: CancellationToken,
    accepted: Mutex<BTreeMap<u64, String>>,
    retried: AtomicU64,
}

/// A payload that shows it when anyone reads and writes it again.
fn payload(number: u64) -> String {
    format!("{{ \"number\": {number},  \"big\": 12345678901234567890.10, \"z\":1e2,\"a\": \"\\u00e9 ü\" }}")
}

/// A key as the SDKs make it.
fn auto_key(random: &mut fastrand::Rng) -> String {
    let hex = format!("{:032x}", random.u128(..));
    format!("auto_{}-{}-4{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

impl Load {
    async fn client(self: Arc<Self>, seed: u64) {
        let client = HttpClient::new(self.base.clone());
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tick = pace(POST_EVERY);
        while !self.stop.is_cancelled() {
            tick.tick().await;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.post(&client, number, &auto_key(&mut random)).await;
        }
    }

    async fn post(&self, client: &HttpClient, number: u64, key: &str) {
        let authorization = format!("Bearer {}", self.token);
        let body = format!("{{\"eventType\":\"order.paid\",\"payload\":{}}}", payload(number));
        let mut tick = pace(AGAIN_AFTER);
        for tried in 0..TRIES_MAX {
            tick.tick().await;
            let tried_text = tried.to_string();
            let mut headers = vec![
                ("authorization", authorization.as_str()),
                ("content-type", "application/json"),
                ("user-agent", "svix-libs/2.0.0/rust"),
                ("idempotency-key", key),
            ];
            if tried > 0 {
                headers.push(("svix-retry-count", &tried_text));
            }
            match client.send(Method::POST, &self.path, &headers, body.clone()).await {
                Ok(reply) if reply.status == 202 => {
                    let id = reply.json()["id"].as_str().expect("an id").to_owned();
                    self.accepted.lock().insert(number, id);
                    return;
                }
                Ok(reply) => panic!("message {number}: {} {}", reply.status, reply.json()),
                Err(_) if number.is_multiple_of(GIVES_UP) => return,
                Err(_) => _ = self.retried.fetch_add(1, Ordering::Relaxed),
            }
        }
        panic!("message {number} was never answered");
    }
}

/// Kills and starts again, so many times; the last process, and when each life began.
async fn lives(
    home: &Home,
    first: Process,
    kills: u64,
    random: &mut fastrand::Rng,
) -> (Process, Vec<Instant>) {
    let (mut process, mut births) = (first, vec![Instant::now()]);
    for kill in 1..=kills {
        // Each fifth life ends while it begins.
        let ms = if kill % 5 == 0 { random.u64(0..150) } else { random.u64(200..1_500) };
        let_pass(Duration::from_millis(ms)).await;
        process.kill9();
        process.wait(WITHIN).await;
        births.push(Instant::now());
        process = Process::start(home.serve());
    }
    serves(&process).await;
    (process, births)
}

/// An endpoint's attempt on record: when it began and what was answered.
struct Recorded {
    began: Instant,
    status: u64,
}

/// The ledger of one endpoint.
struct Ledger<'a> {
    path: &'static str,
    births: &'a [Instant],
    /// By message: arrivals with what was answered.
    arrived: HashMap<String, Vec<(&'a Received, u64)>>,
    /// By message: oldest first.
    recorded: HashMap<String, Vec<Recorded>>,
}

impl Ledger<'_> {
    fn life_of(&self, moment: Instant) -> usize {
        self.births.partition_point(|birth| *birth <= moment)
    }

    /// Compares one delivery life by life; answers how many of its arrivals have no record.
    fn check(&self, id: &str, wanted: &[u8], webhook: &Webhook) -> usize {
        let (path, none) = (self.path, Vec::new());
        let arrived = self.arrived.get(id).unwrap_or_else(|| panic!("{id} never arrived at {path}"));
        let recorded = self.recorded.get(id).unwrap_or(&none);
        for (request, _) in arrived {
            assert_eq!(request.body, wanted, "the bytes of {id} at {path}");
            webhook.verify(&request.body, &request.headers).unwrap_or_else(|e| panic!("{id} at {path}: {e}"));
        }
        let statuses: Vec<_> = recorded.iter().map(|attempt| attempt.status).collect();
        let (last, before) = statuses.split_last().unwrap_or_else(|| panic!("no attempt of {id} at {path}"));
        assert!(*last == 200 && before.iter().all(|status| *status == 503), "{id} at {path}: {statuses:?}");
        let last_life = self.births.len();
        let mut without = 0;
        for life in 1..=last_life {
            let came: Vec<_> =
                arrived.iter().filter(|a| self.life_of(a.0.arrived) == life).map(|a| a.1).collect();
            let kept: Vec<_> =
                recorded.iter().filter(|r| self.life_of(r.began) == life).map(|r| r.status).collect();
            let story =
                || format!("{id} at {path} in life {life} of {last_life}: {came:?} came, {kept:?} kept");
            let extra = came.len().checked_sub(kept.len()).unwrap_or_else(|| panic!("{}", story()));
            assert!(extra <= usize::from(life < last_life), "{}", story());
            assert_eq!(came[..kept.len()], kept, "{}", story());
            without += extra;
        }
        without
    }
}

/// All arrivals at a path by message, each with the answer that the script gave it.
fn arrivals<'a>(all: &'a [Received], path: &str) -> HashMap<String, Vec<(&'a Received, u64)>> {
    let mut by_message: HashMap<_, Vec<_>> = HashMap::new();
    for (index, request) in all.iter().filter(|request| request.path == path).enumerate() {
        let status = if path == "/flaky" && index % FLAKY_EVERY == FLAKY_EVERY - 1 { 503 } else { 200 };
        by_message.entry(request.header("webhook-id").to_owned()).or_default().push((request, status));
    }
    by_message
}

/// Numbers and ids of everything that arrived: one id a number, one number an id, whatever a client tried again.
fn numbers(all: &[Received], accepted: &BTreeMap<u64, String>) -> HashMap<String, u64> {
    let mut id_of: HashMap<u64, String> = accepted.iter().map(|(n, id)| (*n, id.clone())).collect();
    for request in all {
        let number = request.json()["number"].as_u64().expect("a number");
        let id = request.header("webhook-id");
        let known = id_of.entry(number).or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "message {number} was made twice");
    }
    id_of.into_iter().map(|(number, id)| (id, number)).collect()
}

/// The whole ledger; answers how many arrivals have no record.
async fn compare(home: &Home, place: &Place, load: &Load, births: &[Instant], all: &[Received]) -> usize {
    let (api, application) = (home.api(), &place.application);
    let anchor = (Instant::now(), SystemClock.now());
    let moment = |text: &str| {
        let ago = anchor.1.since(Timestamp::parse(text).expect("a timestamp"));
        anchor.0 - Duration::from_millis(ago.max(0).unsigned_abs())
    };
    let accepted = load.accepted.lock().clone();
    let numbers = numbers(all, &accepted);
    let mut without = 0;
    for (endpoint, path) in place.endpoints.iter().zip(PATHS) {
        let secret = api.get(&format!("/app/{application}/endpoint/{endpoint}/secret")).await;
        let webhook = Webhook::new(secret["key"].as_str().expect("a secret")).expect("a usable secret");
        let mut recorded: HashMap<_, Vec<_>> = HashMap::new();
        for attempt in api.list(&format!("/app/{application}/attempt/endpoint/{endpoint}")).await.iter().rev()
        {
            let text = |name: &str| attempt[name].as_str().expect("text").to_owned();
            let status = attempt["responseStatusCode"].as_u64().expect("a status");
            let began = moment(&text("timestamp"));
            recorded.entry(text("msgId")).or_default().push(Recorded { began, status });
        }
        let listed = api.list(&format!("/app/{application}/endpoint/{endpoint}/msg")).await;
        let undone: Vec<_> = listed.iter().filter(|message| message["status"] != 0).collect();
        assert!(undone.is_empty(), "at {path}: {undone:?}");
        let listed: HashSet<_> = listed.iter().map(|m| m["id"].as_str().expect("an id").to_owned()).collect();
        let lost: Vec<_> = accepted.iter().filter(|(_, id)| !listed.contains(*id)).collect();
        assert!(lost.is_empty(), "answered 202 and not listed at {path}: {lost:?}");
        let ledger = Ledger { path, births, arrived: arrivals(all, path), recorded };
        for id in listed.iter().chain(ledger.arrived.keys().filter(|id| !listed.contains(*id))) {
            let number = numbers.get(id).unwrap_or_else(|| panic!("{id} never arrived"));
            without += ledger.check(id, payload(*number).as_bytes(), &webhook);
        }
    }
    without
}

/// Where the messages go.
struct Place {
    application: String,
    endpoints: Vec<String>,
}

async fn set_up(home: &Home, receiver: &Receiver) -> Place {
    for index in 0..FLAKY_ANSWERS {
        let fails = index % FLAKY_EVERY == FLAKY_EVERY - 1;
        receiver.answer("/flaky", Answer::status(if fails { 503 } else { 200 }));
    }
    receiver.answer_always("/slow", Answer::status(200).delay(Duration::from_millis(20)));
    let api = home.api();
    let application = api.application("ledger").await;
    let mut endpoints = Vec::new();
    for path in PATHS {
        endpoints.push(api.endpoint(&application, &receiver.url(path)).await);
    }
    Place { application, endpoints }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_arrives_and_is_recorded_however_often_the_process_is_killed() {
    killed_again_and_again(&[], None).await;
}

/// What a killed process left is taken over when its lease has ended, by a process that has lived that long itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_postgres_too() {
    let database = Cluster::shared().database();
    let settings = [
        ("STORE", database.as_str()),
        ("JWT_SECRET", "the secret of a test on a shared store"),
        ("ENCRYPTION_KEY", "the encryption key of a test on a shared store"),
    ];
    killed_again_and_again(&settings, Some(&database)).await;
}

/// Waits until what every killed process left has been settled: only the lease of the living one is there.
async fn rescued(database: &str) {
    let name = database.rsplit('/').next().expect("a name");
    let mut tick = pace(Duration::from_millis(200));
    for _ in 0..WITHIN.as_millis() / 200 {
        tick.tick().await;
        if Cluster::shared().sql(name, "SELECT count(*) FROM lease") == "1" {
            return;
        }
    }
    panic!(
        "leases are left: {}",
        Cluster::shared().sql(name, "SELECT id, node, state, expires_at FROM lease")
    );
}

async fn killed_again_and_again(settings: &[(&str, &str)], database: Option<&str>) {
    let kills = from_environment("POSTHASTE_TEST_KILLS", KILLS);
    let seed = from_environment("POSTHASTE_TEST_SEED", fastrand::u64(..));
    println!("POSTHASTE_TEST_KILLS={kills} POSTHASTE_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    // More tries than the five: a fifth of 503s in a row must not end a delivery by chance.
    let home = Home::new(&[&[("RETRY_SCHEDULE", "1,1,1,1,1,1,1,1,1,1,1,1")], settings].concat());
    let receiver = Receiver::start().await;
    let first = home.start().await;
    let place = set_up(&home, &receiver).await;
    let load = Arc::new(Load {
        base: home.base(),
        path: format!("/api/v1/app/{}/msg", place.application),
        token: home.token.clone(),
        next: AtomicU64::new(1),
        stop: CancellationToken::new(),
        accepted: Mutex::default(),
        retried: AtomicU64::new(0),
    });
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(Arc::clone(&load).client(random.u64(..)));
    }
    let (last, births) = lives(&home, first, kills, &mut random).await;
    load.stop.cancel();
    while let Some(ended) = clients.join_next().await {
        ended.expect("a client ends in order");
    }
    if let Some(database) = database {
        rescued(database).await;
    }
    home.api().settled().await;
    // What is on record is what the next process finds, and it has nothing left to send.
    stopped(&last).await;
    let arrived = receiver.requests();
    let _again = home.start().await;
    home.api().settled().await;
    assert_eq!(receiver.requests().len(), arrived.len(), "everything had been settled");
    let without = compare(&home, &place, &load, &births, &arrived).await;
    println!(
        "{} accepted, {} tries without an answer, {} arrivals, {without} of them on the wire at a kill",
        load.accepted.lock().len(),
        load.retried.load(Ordering::Relaxed),
        arrived.len(),
    );
}
