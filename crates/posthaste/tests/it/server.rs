//! A whole server in this process, wired as `posthaste serve` wires it, on a clock that the test holds.
//!
//! Store, engine, API and sockets are the real ones. Only the present is made: it moves when a test moves it, so a
//! schedule of two days takes a second. Beside the server stands one [`Receiver`], the customers' servers, and loopback
//! is opened for delivery. A [`World`] is ended with [`World::stop`]; what a failed test leaves behind ends with its
//! runtime.

use app::App;
use domain::clock::{Clock, ManualClock, Timestamp};
use domain::environment::SignatureHeaders;
use posthaste::clock::Present;
use posthaste::config::{Config, SecretText, StoreAddress};
use posthaste::data_folder::DataFolder;
use posthaste::serve::Server;
use posthaste::token::{ENVIRONMENT_DEFAULT, Keys, environment_grant};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use testkit::{Cluster, HttpClient, Received, Receiver};

/// Where the clock stands at first, unless the test says otherwise: 2027-01-15T08:00:00Z.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);
/// How long anything that is to happen may take.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);
/// Between two looks at something that is to happen.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The tokens hold longer than any test's time.
const TOKEN_SECONDS: i64 = 10 * 365 * 86_400;

/// Where a server of a test stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    Sqlite,
    Postgres,
}

/// Makes a test of each function for each store: `sqlite::name` and `postgres::name`.
macro_rules! each_store {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[test]
                fn $name() {
                    crate::server::on_its_own(super::$name(crate::server::Store::Sqlite));
                }
            )+
        }
        mod postgres {
            $(
                #[test]
                fn $name() {
                    crate::server::on_its_own(super::$name(crate::server::Store::Postgres));
                }
            )+
        }
    };
}

/// Runs a test on a runtime of its own. Its inline snapshots hold for every store.
pub(crate) fn on_its_own(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    insta::allow_duplicates! { runtime.block_on(test) }
}

/// A server, its clock, and a customer's server.
pub(crate) struct World {
    /// The present.
    pub clock: Arc<ManualClock>,
    /// The customers' servers.
    pub receiver: Receiver,
    /// The application of all short calls.
    pub application: String,
    /// A token of the environment.
    pub token: String,
    config: Config,
    keys: Keys,
    client: HttpClient,
    server: Option<Server>,
    folder: TempDir,
}

/// Looks again and again until `look` finds something; panics with `what` when it never does.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let looks = WITHIN.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        tick.tick().await;
        if let Some(found) = look().await {
            return found;
        }
    }
    panic!("waited {WITHIN:?} for {what}");
}

/// A JSON string's text.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

impl World {
    /// A world at [`START`] with the settings' defaults.
    pub(crate) async fn start(store: Store) -> Self {
        Self::with((store, START), |_| {}).await
    }

    /// A world at this time, its settings adjusted.
    pub(crate) async fn with((store, now): (Store, Timestamp), adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut config = settings(&folder);
        if store == Store::Postgres {
            config.store = StoreAddress::Postgres(SecretText::new(Cluster::shared().database()));
        }
        adjust(&mut config);
        let clock = Arc::new(ManualClock::new(now));
        let data = DataFolder::open(&config.data_dir).expect("a data folder");
        let keys = Keys::read(&config, &data).expect("keys");
        let grant = environment_grant(ENVIRONMENT_DEFAULT, TOKEN_SECONDS);
        let token = keys.mint(&config, grant, now).expect("a token");
        let mut world = Self {
            clock,
            receiver: Receiver::start().await,
            application: String::new(),
            token,
            config,
            keys,
            client: HttpClient::new(""),
            server: None,
            folder,
        };
        world.start_server().await;
        let application = world.call("POST", "/api/v1/app", &json!({"name": "Acme"})).await;
        world.application = text(&application["id"]).to_owned();
        world
    }

    /// Ends the server in order.
    pub(crate) async fn stop(mut self) {
        self.stop_server().await;
    }

    /// Ends the server in order; the store stays for the next one.
    pub(crate) async fn stop_server(&mut self) {
        self.server.take().expect("a running server").stop().await;
    }

    /// Starts a server on the same store, its settings adjusted.
    pub(crate) async fn start_again(&mut self, adjust: impl FnOnce(&mut Config)) {
        adjust(&mut self.config);
        self.start_server().await;
    }

    async fn start_server(&mut self) {
        let data = DataFolder::open(&self.config.data_dir).expect("a data folder");
        let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let server = Server::start(&self.config, &self.keys, data, Present::Handed(clock)).await;
        let server = server.unwrap_or_else(|why| panic!("{}: {why}", self.folder.path().display()));
        self.client = HttpClient::new(format!("http://{}", server.address()));
        self.server = Some(server);
    }

    /// The use cases of the running server.
    pub(crate) fn app(&self) -> &App {
        self.server.as_ref().expect("a running server").app()
    }

    /// The server's address, as clients write it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.as_ref().expect("a running server").address())
    }

    /// Any call; panics unless it succeeds.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = match method {
            "GET" => self.client.get(path, &self.token).await,
            "POST" => self.client.post(path, &self.token, body).await,
            "PATCH" => self.client.patch(path, &self.token, body).await,
            "DELETE" => self.client.delete(path, &self.token).await,
            other => panic!("{other} is no method of these tests"),
        };
        assert!((200..300).contains(&status), "{method} {path} {body}: {status} {answer}");
        answer
    }

    /// A POST below the application that is refused with 422; its answer.
    pub(crate) async fn refused(&self, path: &str, body: &Value) -> Value {
        let path = format!("/api/v1/app/{}{path}", self.application);
        let (status, answer) = self.client.post(&path, &self.token, body).await;
        assert_eq!(status, 422, "{path} {body}: {answer}");
        answer
    }

    /// Any call below the application; its status and its answer.
    pub(crate) async fn answer(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let path = format!("/api/v1/app/{}{path}", self.application);
        match method {
            "GET" => self.client.get(&path, &self.token).await,
            "POST" => self.client.post(&path, &self.token, body).await,
            "PUT" => self.client.put(&path, &self.token, body).await,
            "PATCH" => self.client.patch(&path, &self.token, body).await,
            other => panic!("{other} is no method of these tests"),
        }
    }

    /// A call below the application.
    pub(crate) async fn of_application(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/api/v1/app/{}{path}", self.application), body).await
    }

    /// Creates an endpoint at this path of the receiver; its id.
    pub(crate) async fn endpoint(&self, path: &str) -> String {
        self.endpoint_with(&json!({"url": self.receiver.url(path)})).await
    }

    /// Creates an endpoint; its id.
    pub(crate) async fn endpoint_with(&self, endpoint: &Value) -> String {
        text(&self.of_application("POST", "/endpoint", endpoint).await["id"]).to_owned()
    }

    /// Changes an endpoint.
    pub(crate) async fn change(&self, endpoint: &str, change: &Value) -> Value {
        self.of_application("PATCH", &format!("/endpoint/{endpoint}"), change).await
    }

    /// Sends a small message; its id.
    pub(crate) async fn send(&self) -> String {
        self.send_with(&json!({"eventType": "invoice.paid", "payload": {"amount": 1}})).await
    }

    /// Sends a message; its id.
    pub(crate) async fn send_with(&self, message: &Value) -> String {
        text(&self.of_application("POST", "/msg", message).await["id"]).to_owned()
    }

    /// Sends a message of just these bytes; its id.
    pub(crate) async fn send_text(&self, body: &str) -> String {
        let path = format!("/api/v1/app/{}/msg?with_content=false", self.application);
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        let reply =
            self.client.send(http::Method::POST, &path, &headers, body.to_owned()).await.expect("an answer");
        assert_eq!(reply.status, 202, "{:?}", reply.body);
        text(&reply.json()["id"]).to_owned()
    }

    /// A message's attempts, oldest first.
    pub(crate) async fn attempts(&self, message: &str) -> Vec<Value> {
        let list =
            self.of_application("GET", &format!("/attempt/msg/{message}?limit=250"), &Value::Null).await;
        let mut attempts = list["data"].as_array().expect("a list").clone();
        attempts.reverse();
        attempts
    }

    /// Waits until a message has so many attempts, and answers them all, oldest first.
    pub(crate) async fn wait_for_attempts(&self, message: &str, count: usize) -> Vec<Value> {
        let what = format!("{count} attempts of {message}");
        eventually(&what, async || {
            let attempts = self.attempts(message).await;
            (attempts.len() >= count).then_some(attempts)
        })
        .await
    }

    /// What became of a message at an endpoint; none when the endpoint is gone or never was to get it.
    pub(crate) async fn destination(&self, message: &str, endpoint: &str) -> Option<Value> {
        let path = format!("/msg/{message}/endpoint?expanded_statuses=true");
        let list = self.of_application("GET", &path, &Value::Null).await;
        list["data"].as_array().expect("a list").iter().find(|one| one["id"] == endpoint).cloned()
    }

    /// Waits until a message is in this state at an endpoint.
    pub(crate) async fn wait_for_state(&self, message: &str, endpoint: &str, state: &str) -> Value {
        eventually(&format!("{message} to be {state} at {endpoint}"), async || {
            self.destination(message, endpoint).await.filter(|found| found["statusText"] == state)
        })
        .await
    }

    /// Sends messages of another application and waits until they have arrived: dispatch has looked at the clock since,
    /// and what it found due then was claimed and sent before the last of them.
    pub(crate) async fn fence(&self) {
        let application = json!({"name": "Fence", "uid": "fence"});
        self.call("POST", "/api/v1/app?get_if_exists=true", &application).await;
        let endpoint = json!({"url": self.receiver.url("/fence")});
        let (status, answer) =
            self.client.put("/api/v1/app/fence/endpoint/fence", &self.token, &endpoint).await;
        assert!(matches!(status, 200 | 201), "{status} {answer}");
        for _ in 0..3 {
            let before = self.arrived("/fence").len();
            self.call("POST", "/api/v1/app/fence/msg", &json!({"eventType": "fence", "payload": {}})).await;
            self.receiver.wait_for_path("/fence", before + 1, WITHIN).await;
        }
    }

    /// The text of `/metrics`.
    pub(crate) async fn metrics(&self) -> String {
        let reply = self.client.send(http::Method::GET, "/metrics", &[], "").await.expect("the metrics");
        String::from_utf8(reply.body.to_vec()).expect("text")
    }

    /// What came to a path of the receiver so far.
    pub(crate) fn arrived(&self, path: &str) -> Vec<Received> {
        let mut all = self.receiver.requests();
        all.retain(|one| one.path == path);
        all
    }
}

fn settings(folder: &TempDir) -> Config {
    Config {
        listen: "127.0.0.1:0".to_owned(),
        data_dir: folder.path().to_owned(),
        store: StoreAddress::Sqlite(folder.path().join("posthaste.db")),
        egress_allow: vec!["127.0.0.0/8".parse().expect("a subnet")],
        https_only: true,
        request_timeout: Duration::from_secs(5),
        signature_headers: SignatureHeaders::Webhook,
        retention_days: 90,
        public_url: "http://posthaste.test".to_owned(),
        event_origin: "posthaste.test".to_owned(),
        script_worker: Some(env!("CARGO_BIN_EXE_posthaste").into()),
        ..Config::default()
    }
}
