//! A fresh store of each engine, a manual clock, and short ways to say what a test needs.

use crate::plans::{Plans, Verdict};
use bytes::Bytes;
use domain::application::{Application, ApplicationFields};
use domain::attempt::{NewAttempt, Outcome, Trigger};
use domain::clock::{Clock, ManualClock, Timestamp};
use domain::credentials::Credentials;
use domain::delivery::{DeliveryKey, MAIN_RUN, Next};
use domain::endpoint::{Endpoint, EndpointFields, EndpointSecret};
use domain::environment::{Environment, SignatureHeaders};
use domain::id::{EndpointKey, MessageId};
use domain::message::{Message, Overrides};
use domain::wire_id::Kind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use store::delivery::{Claimed, Held, Record};
use store::endpoint::NewEndpoint;
use store::handoff::{Handoff, HandoffReceiver, channel};
use store::message::{Admission, NewMessage};
use store::postgres::{self, DatabaseClock, Postgres};
use store::sqlite::{Options, Sqlite};
use store::{Store, StoreError};
use testkit::Cluster;

/// When every test begins.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

/// An engine of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

/// Where a store's data is.
enum Place {
    File(tempfile::TempDir),
    Database(String),
}

/// How long leases live where a test does not wait for their end.
const LEASE_TTL: Duration = Duration::from_secs(5);

/// A store under test.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) handoff: Handoff,
    pub(crate) accepted: HandoffReceiver,
    pub(crate) environment: Environment,
    place: Place,
    ids: AtomicU8,
    _verdict: Verdict,
}

impl Fixture {
    /// A fresh store.
    pub(crate) async fn new(engine: Engine) -> Self {
        let place = match engine {
            Engine::Sqlite => Place::File(tempfile::tempdir().unwrap()),
            Engine::Postgres => Place::Database(Cluster::shared().database()),
        };
        Self::open(place, Arc::new(ManualClock::new(START)), LEASE_TTL).await
    }

    /// A fresh store on PostgreSQL whose leases live so long.
    pub(crate) async fn with_ttl(ttl: Duration) -> Self {
        let place = Place::Database(Cluster::shared().database());
        Self::open(place, Arc::new(ManualClock::new(START)), ttl).await
    }

    /// A store on a database that is there already.
    pub(crate) async fn on(url: String, clock: Arc<ManualClock>) -> Self {
        Self::open(Place::Database(url), clock, LEASE_TTL).await
    }

    /// A store on a file that is there already.
    pub(crate) async fn in_folder(folder: tempfile::TempDir, clock: Arc<ManualClock>) -> Self {
        Self::open(Place::File(folder), clock, LEASE_TTL).await
    }

    /// Closes the store; the folder of its file.
    pub(crate) fn close(self) -> tempfile::TempDir {
        self.store.close();
        let Place::File(folder) = self.place else { panic!("PostgreSQL has no file") };
        folder
    }

    /// Another node on the same database.
    pub(crate) async fn beside(&self, ttl: Duration) -> Self {
        let Place::Database(url) = &self.place else { panic!("a file is one process's") };
        let beside = Self::open(Place::Database(url.clone()), Arc::clone(&self.clock), ttl).await;
        // Ids of what the two make must differ.
        beside.ids.store(128, Ordering::Relaxed);
        beside
    }

    /// The database's address.
    pub(crate) fn url(&self) -> &str {
        let Place::Database(url) = &self.place else { panic!("a file has no server") };
        url
    }

    /// Runs SQL on the database, beside the store.
    pub(crate) fn sql(&self, sql: &str) -> String {
        Cluster::shared().sql(self.database(), sql)
    }

    /// Runs SQL from another database of the server.
    pub(crate) fn sql_elsewhere(&self, sql: &str) -> String {
        Cluster::shared().sql("postgres", sql)
    }

    /// The database's name.
    pub(crate) fn database(&self) -> &str {
        self.url().rsplit('/').next().unwrap()
    }

    /// Why the database does not open.
    pub(crate) fn refusal(&self) -> StoreError {
        self.refusal_with(|_| {})
    }

    /// Why the database does not open with these options.
    pub(crate) fn refusal_with(&self, adjust: impl FnOnce(&mut postgres::Options)) -> StoreError {
        let Place::Database(url) = &self.place else { panic!("a file has no server") };
        let mut options = shared_options(&self.clock);
        adjust(&mut options);
        Postgres::open(url, options).unwrap_err()
    }

    async fn open(place: Place, clock: Arc<ManualClock>, ttl: Duration) -> Self {
        let store: Arc<dyn Store> = match &place {
            Place::File(folder) => {
                let options = Options {
                    encryption_key: b"k".repeat(32),
                    old_encryption_keys: Vec::new(),
                    clock: Arc::clone(&clock) as _,
                    probe: Some(Arc::new(Plans)),
                };
                Sqlite::open(&folder.path().join("store.db"), options).unwrap()
            }
            Place::Database(url) => {
                let options = postgres::Options { lease_ttl: ttl, ..shared_options(&clock) };
                Postgres::open(url, options).unwrap()
            }
        };
        let environment = store
            .environment_ensure("org_000000000000000000000000001", SignatureHeaders::Webhook)
            .await
            .unwrap();
        let (handoff, accepted) = channel();
        let engine = if matches!(place, Place::File(_)) { Engine::Sqlite } else { Engine::Postgres };
        Self {
            store,
            clock,
            handoff,
            accepted,
            environment,
            place,
            ids: AtomicU8::new(1),
            _verdict: Verdict(engine),
        }
    }

    /// What stands on the disk: the file and its WAL; the database's files.
    pub(crate) fn bytes_on_disk(&self) -> Vec<u8> {
        let folder = match &self.place {
            Place::File(folder) => folder.path().to_owned(),
            Place::Database(url) => {
                let database = url.rsplit('/').next().unwrap();
                let cluster = Cluster::shared();
                cluster.sql(database, "CHECKPOINT");
                let relative = cluster.sql(
                    database,
                    "SELECT current_setting('data_directory') || '/base/' || oid FROM pg_database WHERE datname = current_database()",
                );
                relative.into()
            }
        };
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            bytes.extend(std::fs::read(entry.unwrap().path()).unwrap());
        }
        bytes
    }

    /// The database file.
    pub(crate) fn path(&self) -> std::path::PathBuf {
        let Place::File(folder) = &self.place else { panic!("PostgreSQL has no file") };
        folder.path().join("store.db")
    }

    /// The same database in another process: what was in memory is gone.
    pub(crate) async fn restart(self) -> Self {
        let Self { store, clock, place, .. } = self;
        store.close();
        drop(store);
        Self::open(place, clock, LEASE_TTL).await
    }

    /// An id of this kind that no other has.
    pub(crate) fn id(&self, kind: Kind) -> String {
        kind.make(self.clock.now(), [self.ids.fetch_add(1, Ordering::Relaxed); 16])
    }

    pub(crate) async fn application(&self, uid: &str) -> Application {
        let fields =
            ApplicationFields { uid: Some(uid.into()), name: uid.into(), ..ApplicationFields::default() };
        let id = self.id(Kind::Application);
        self.store.application_create(self.environment.key, id, fields).await.unwrap()
    }

    pub(crate) async fn endpoint(&self, application: &Application) -> Endpoint {
        let fields = EndpointFields { url: "https://example.com/hook".into(), ..EndpointFields::default() };
        let secret = EndpointSecret {
            secret: signing::Secret::generate(&mut |bytes| bytes.fill(7)),
            expires_at: None,
        };
        let new = NewEndpoint {
            id: self.id(Kind::Endpoint),
            application: application.key,
            fields,
            headers: vec![("X-Canary".into(), "canary-header-value".into())],
            secrets: vec![secret],
            credentials: Credentials::default(),
            notice: None,
            entry: None,
        };
        self.store.endpoint_create(new).await.unwrap()
    }

    /// Changes the fields of an endpoint.
    pub(crate) async fn change(
        &self,
        endpoint: EndpointKey,
        mut change: impl FnMut(&mut EndpointFields) + Send + 'static,
    ) -> Endpoint {
        let decide = move |there: &Endpoint| {
            let mut fields = there.fields.clone();
            change(&mut fields);
            Ok(store::endpoint::EndpointChange { fields: Some(fields), ..Default::default() })
        };
        self.store.endpoint_update(endpoint, Box::new(decide)).await.unwrap()
    }

    /// A message to be accepted, for these endpoints.
    pub(crate) fn message(
        &self,
        application: &Application,
        deliveries: &[(EndpointKey, Admission)],
    ) -> NewMessage {
        let gauges: Vec<_> = deliveries
            .iter()
            .filter(|(_, admission)| *admission == Admission::Handoff)
            .filter_map(|(endpoint, _)| self.store.routing().route(*endpoint))
            .map(|route| route.gauge)
            .collect();
        let slot = if gauges.is_empty() { None } else { self.handoff.reserve(gauges, 0) };
        NewMessage {
            application: application.key,
            event_type: "invoice.paid".into(),
            event_id: None,
            channels: Vec::new(),
            tags: Vec::new(),
            payload: Bytes::from_static(br#"{"amount": 1.00}"#),
            payload_expires_at: None,
            deliver_at: None,
            overrides: Overrides::default(),
            deliveries: deliveries.to_vec(),
            key: None,
            slot,
        }
    }

    /// Accepts a plain message.
    pub(crate) async fn accept(
        &self,
        application: &Application,
        deliveries: &[(EndpointKey, Admission)],
    ) -> Arc<Message> {
        self.store.accept(self.message(application, deliveries)).await.unwrap()
    }

    /// Claims up to `room` due rows of an endpoint.
    pub(crate) async fn claim(&self, endpoint: EndpointKey, room: u32) -> Vec<Claimed> {
        let claims = self.store.claim(vec![(endpoint, room)], self.clock.now()).await.unwrap();
        claims.into_iter().flat_map(|c| c.rows).collect()
    }

    /// Records one attempt.
    pub(crate) async fn record(&self, key: DeliveryKey, held: Held, number: u32, next: Next) {
        let record = Record { attempt: self.attempt(key, number, next), held, next };
        self.store.record(Arc::new(vec![record])).await.unwrap();
    }

    pub(crate) fn attempt(&self, key: DeliveryKey, number: u32, next: Next) -> NewAttempt {
        let succeeded = next == Next::Succeeded;
        NewAttempt {
            message: key.message,
            endpoint: key.endpoint,
            run: key.run,
            number,
            trigger: Trigger::Message,
            outcome: if succeeded { Outcome::Succeeded } else { Outcome::BadStatus },
            disposition: next.disposition(),
            started_at: self.clock.now(),
            duration_ms: 3,
            status: if succeeded { 200 } else { 503 },
            url: "https://example.com/hook".into(),
            response: Bytes::from_static(b"answer"),
        }
    }
}

/// How a PostgreSQL store is opened on a clock that the test holds.
pub(crate) fn shared_options(clock: &Arc<ManualClock>) -> postgres::Options {
    postgres::Options {
        encryption_key: b"k".repeat(32),
        old_encryption_keys: Vec::new(),
        time: DatabaseClock::handed(Arc::clone(clock) as _),
        lease_ttl: LEASE_TTL,
        retention_days: 90,
    }
}

/// The main run of a message at an endpoint.
pub(crate) const fn main_run(message: MessageId, endpoint: EndpointKey) -> DeliveryKey {
    DeliveryKey { message, endpoint, run: MAIN_RUN }
}
