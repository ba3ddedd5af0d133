//! Three nodes on one PostgreSQL under load, and what may happen to them: killed, stood still, restarted, cut off, their
//! database crashed. Each test keeps the exact ledger of what was answered 202 and what arrived.
//!
//! Clients post numbered messages with a key of their own and try again, at the next node, until they are answered. In the
//! end every message that was answered 202 has arrived, byte for byte, under one id; what arrived more than once was on the
//! wire when something happened.

use crate::live::{Api, Home, WITHIN, from_environment, let_pass, pace, stopped};
use http::Method;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::{Answer, Cluster, Durability, HttpClient, Process, Proxy, Receiver};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Clients that post at the same time.
const CLIENTS: u64 = 6;
/// Between two messages of one client.
const POST_EVERY: Duration = Duration::from_millis(10);
/// Between two tries of one message.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
const TRIES_MAX: u32 = 1_200;
/// How long a client waits for an answer: a node that stands still gives none.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// A lease lives for 5 s; what a dead node left arrives within this.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(10);
/// What is on the wire at once, to one endpoint: at most so much arrives again.
const ON_THE_WIRE_MAX: usize = 128;

/// Nodes on one database, and their load.
struct Nodes {
    homes: Vec<Home>,
    processes: Vec<Option<Process>>,
    receiver: Receiver,
    load: Arc<Load>,
    clients: JoinSet<()>,
}

struct Load {
    bases: Vec<String>,
    path: String,
    token: String,
    next: AtomicU64,
    stop: CancellationToken,
    /// By number: the id, and when it was answered.
    accepted: Mutex<BTreeMap<u64, (String, Instant)>>,
    /// Tries that were not answered 202, by what they were answered; 0 is no answer.
    refused: Mutex<BTreeMap<u16, u64>>,
}

fn payload(number: u64) -> String {
    format!("{{ \"number\": {number},  \"big\": 12345678901234567890.10 }}")
}

impl Load {
    async fn client(self: Arc<Self>, first: usize) {
        let mut tick = pace(POST_EVERY);
        let clients: Vec<_> = self.bases.iter().map(HttpClient::new).collect();
        while !self.stop.is_cancelled() {
            tick.tick().await;
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            self.post(&clients, number, first).await;
        }
    }

    async fn post(&self, clients: &[HttpClient], number: u64, first: usize) {
        let authorization = format!("Bearer {}", self.token);
        let key = format!("key-{number}");
        let body = format!("{{\"eventType\":\"order.paid\",\"payload\":{}}}", payload(number));
        let headers = [
            ("authorization", authorization.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", &key),
        ];
        let mut tick = pace(AGAIN_AFTER);
        for tried in 0..TRIES_MAX {
            tick.tick().await;
            let client = &clients[(first + tried as usize) % clients.len()];
            let sent = client.send(Method::POST, &self.path, &headers, body.clone());
            let status = match tokio::time::timeout(ANSWER_TIMEOUT, sent).await {
                Ok(Ok(reply)) if reply.status == 202 => {
                    let id = reply.json()["id"].as_str().expect("an id").to_owned();
                    self.accepted.lock().insert(number, (id, Instant::now()));
                    return;
                }
                Ok(Ok(reply)) => reply.status,
                Ok(Err(_)) | Err(_) => 0,
            };
            assert!(matches!(status, 0 | 503), "message {number}: {status}");
            *self.refused.lock().entry(status).or_default() += 1;
        }
        panic!("message {number} was never answered");
    }
}

/// A node's folder and settings. Secrets are the same on all.
pub(crate) fn home(database: &str) -> Home {
    Home::new(&[
        ("STORE", database),
        ("JWT_SECRET", "the secret that all nodes of a test share"),
        ("ENCRYPTION_KEY", "the encryption key that all nodes of a test share"),
        ("RETRY_SCHEDULE", "1,1,1,1,1"),
    ])
}

impl Nodes {
    /// A node at each of these addresses of the database, and no load yet.
    async fn start(databases: &[String]) -> Self {
        let receiver = Receiver::start().await;
        let homes: Vec<_> = databases.iter().map(|database| home(database)).collect();
        let mut processes = Vec::new();
        for home in &homes {
            processes.push(Some(home.start().await));
        }
        let api = homes[0].api();
        let application = api.application("ledger").await;
        let endpoint = api.endpoint(&application, &receiver.url("/good")).await;
        for home in &homes {
            knows(&home.api(), &application, &endpoint).await;
        }
        let load = Arc::new(Load {
            bases: homes.iter().map(Home::base).collect(),
            path: format!("/api/v1/app/{application}/msg"),
            token: homes[0].token.clone(),
            next: AtomicU64::new(1),
            stop: CancellationToken::new(),
            accepted: Mutex::default(),
            refused: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let first = usize::try_from(client).expect("small") % homes.len();
            clients.spawn(Arc::clone(&load).client(first));
        }
        Self { homes, processes, receiver, load, clients }
    }

    fn process(&self, node: usize) -> &Process {
        self.processes[node].as_ref().expect("a running node")
    }

    async fn start_again(&mut self, node: usize) {
        self.processes[node] = Some(self.homes[node].start().await);
    }

    fn accepted(&self) -> usize {
        self.load.accepted.lock().len()
    }

    /// Waits until so many more messages were accepted.
    async fn accept_more(&self, more: usize) {
        let wanted = self.accepted() + more;
        let mut tick = pace(Duration::from_millis(20));
        for _ in 0..WITHIN.as_millis() / 20 {
            tick.tick().await;
            if self.accepted() >= wanted {
                return;
            }
        }
        panic!("only {} of {wanted} were accepted; refused: {:?}", self.accepted(), self.load.refused.lock());
    }

    /// Ends the load and compares the ledgers; answers how many arrivals were not the first of their message, and how
    /// long the longest took from its 202.
    async fn compare(mut self) -> (usize, Duration) {
        self.load.stop.cancel();
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("a client ends in order");
        }
        let accepted = self.load.accepted.lock().clone();
        let mut first: HashMap<String, Instant> = HashMap::new();
        let mut tick = pace(Duration::from_millis(50));
        for _ in 0..WITHIN.as_millis() / 50 {
            tick.tick().await;
            for request in self.receiver.requests() {
                first.entry(request.header("webhook-id").to_owned()).or_insert(request.arrived);
            }
            if accepted.values().all(|(id, _)| first.contains_key(id)) {
                break;
            }
        }
        let lost: Vec<_> = accepted.values().filter(|(id, _)| !first.contains_key(id)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} were answered 202 and never arrived: {lost:?}",
            lost.len(),
            accepted.len()
        );
        let requests = self.receiver.requests();
        let mut number_of: HashMap<String, u64> = HashMap::new();
        let mut id_of: HashMap<u64, String> = HashMap::new();
        for request in &requests {
            let number = request.json()["number"].as_u64().expect("a number");
            let id = request.header("webhook-id").to_owned();
            assert_eq!(request.body, payload(number).as_bytes(), "the bytes of {id}");
            assert_eq!(
                *id_of.entry(number).or_insert_with(|| id.clone()),
                id,
                "message {number} was made twice"
            );
            number_of.insert(id, number);
        }
        let longest =
            accepted.values().map(|(id, answered)| first[id].saturating_duration_since(*answered)).max();
        println!(
            "{} accepted, refused {:?}, {} arrivals of {} messages, longest {longest:?}",
            accepted.len(),
            self.load.refused.lock(),
            requests.len(),
            number_of.len(),
        );
        (requests.len() - number_of.len(), longest.unwrap_or_default())
    }
}

/// Waits until a node knows the endpoint.
pub(crate) async fn knows(api: &Api, application: &str, endpoint: &str) {
    let mut tick = pace(Duration::from_millis(20));
    for _ in 0..100 {
        tick.tick().await;
        let path = format!("/api/v1/app/{application}/endpoint/{endpoint}");
        if api.client.get(&path, &api.token).await.0 == 200 {
            return;
        }
    }
    panic!("a node never heard of {endpoint}");
}

fn three(cluster: &Cluster) -> Vec<String> {
    vec![cluster.database(); 3]
}

/// How often each of these things happens in one test; more by argument.
fn rounds() -> usize {
    usize::try_from(from_environment("POSTHASTE_TEST_ROUNDS", 1)).expect("small")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nodes_work_is_taken_over_in_time() {
    let cluster = Cluster::start(Durability::Quick);
    let mut nodes = Nodes::start(&three(&cluster)).await;
    for round in 0..rounds() {
        let node = round % 3;
        if round > 0 {
            // Only who has held a lease for its full life takes over: one death at a time.
            let_pass(TAKEN_OVER_WITHIN).await;
        }
        // Slow answers, slower than the messages come: lines form, so that there is something in memory at the kill.
        nodes.receiver.answer_always("/good", Answer::status(200).delay(Duration::from_millis(300)));
        nodes.accept_more(150).await;
        nodes.process(node).kill9();
        nodes.process(node).wait(WITHIN).await;
        nodes.receiver.answer_always("/good", Answer::status(200));
        nodes.accept_more(300).await;
        nodes.start_again(node).await;
    }
    let (again, longest) = nodes.compare().await;
    assert!(again <= rounds() * ON_THE_WIRE_MAX, "{again} arrived again");
    assert!(
        longest > Duration::from_secs(3),
        "nothing was in memory at the kill: this shows nothing ({longest:?})"
    );
    assert!(longest < TAKEN_OVER_WITHIN, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stood_still_past_its_lease_sends_nothing_that_is_not_its_own() {
    let cluster = Cluster::start(Durability::Quick);
    let nodes = Nodes::start(&three(&cluster)).await;
    for round in 0..rounds() {
        nodes.accept_more(300).await;
        nodes.process(round % 3).pause();
        // Its lease ends after 5 s, and the others take its work over.
        let_pass(Duration::from_secs(8)).await;
        nodes.process(round % 3).resume();
        nodes.accept_more(600).await;
    }
    let (again, longest) = nodes.compare().await;
    assert!(again <= rounds() * ON_THE_WIRE_MAX, "{again} arrived again");
    assert!(longest < TAKEN_OVER_WITHIN, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_database_loses_no_acknowledged_message() {
    let mut cluster = Cluster::start(Durability::Full);
    let nodes = Nodes::start(&three(&cluster)).await;
    let crashes = 2 * rounds();
    for _ in 0..crashes {
        nodes.accept_more(200).await;
        cluster.crash();
        let_pass(Duration::from_secs(1)).await;
        cluster.run();
        nodes.accept_more(200).await;
    }
    assert!(nodes.processes.iter().flatten().all(Process::is_running));
    let (again, _) = nodes.compare().await;
    assert!(again <= crashes * ON_THE_WIRE_MAX, "{again} arrived again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_from_the_database_refuses_and_comes_back() {
    let cut_for = Duration::from_secs(from_environment("POSTHASTE_TEST_CUT_SECONDS", 7));
    let cluster = Cluster::start(Durability::Quick);
    let proxy = Proxy::start(SocketAddr::from(([127, 0, 0, 1], cluster.port()))).await;
    let direct = cluster.database();
    let cut = direct.replace(&cluster.port().to_string(), &proxy.address().port().to_string());
    let nodes = Nodes::start(&[direct.clone(), cut, direct]).await;
    for _ in 0..rounds() {
        nodes.accept_more(300).await;
        proxy.cut();
        let_pass(cut_for).await;
        let refused = nodes.load.refused.lock().get(&503).copied().unwrap_or_default();
        assert!(refused > 0, "the node that is cut off answers 503");
        proxy.mend().await;
        nodes.accept_more(600).await;
    }
    assert!(nodes.processes.iter().flatten().all(Process::is_running));
    let (again, longest) = nodes.compare().await;
    assert!(again <= rounds() * ON_THE_WIRE_MAX, "{again} arrived again");
    assert!(longest < TAKEN_OVER_WITHIN, "{longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request_that_is_tried_again_and_repeats_no_delivery() {
    let cluster = Cluster::start(Durability::Quick);
    let mut nodes = Nodes::start(&three(&cluster)).await;
    for node in (0..rounds()).flat_map(|_| 0..3) {
        nodes.accept_more(200).await;
        stopped(nodes.process(node)).await;
        nodes.accept_more(100).await;
        nodes.start_again(node).await;
    }
    nodes.accept_more(200).await;
    let (again, _) = nodes.compare().await;
    assert_eq!(again, 0, "a graceful stop ends what is in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sdks_retry_at_another_node_makes_no_second_message() {
    let cluster = Cluster::start(Durability::Quick);
    let nodes = Nodes::start(&three(&cluster)[..2]).await;
    let authorization = format!("Bearer {}", nodes.load.token);
    let clients: Vec<_> = nodes.load.bases.iter().map(HttpClient::new).collect();
    let post = async |client: &HttpClient, round: u64, tried: &str| {
        let key = format!("auto_{round}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("idempotency-key", &key),
            ("svix-retry-count", tried),
        ];
        let body = format!("{{\"eventType\":\"order.paid\",\"payload\":{}}}", payload(round));
        let reply = client.send(Method::POST, &nodes.load.path, &headers, body).await.unwrap();
        assert_eq!(reply.status, 202);
        reply.json()["id"].as_str().expect("an id").to_owned()
    };
    // Read once, the other node's memory is not complete for ever.
    for round in 1_000_000..1_000_005 {
        let first = post(&clients[0], round, "0").await;
        assert_eq!(post(&clients[1], round, "1").await, first);
        assert_eq!(post(&clients[0], round, "2").await, first);
    }
    nodes.compare().await;
}
