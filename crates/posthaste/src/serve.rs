//! The wiring: settings in, a running server out, and everything taken apart again in the right order.
//!
//! [`Core`] is what answers requests: store, use cases, API. [`Server`] is a core with the delivery engine behind it
//! and a listener before it. Stopping: not ready → stop accepting → finish the requests in flight → finish the
//! deliveries in flight and record them → release the lease.

use crate::clock::{Present, SystemClock};
use crate::config::{Config, StoreAddress};
use crate::data_folder::DataFolder;
use crate::identity_provider;
use crate::listener::Listener;
use crate::metrics::{self, Sources};
use crate::token::Keys;
use api::{ApiSettings, Service};
use app::random::{Random, SystemRandom};
use app::{App, AppParts, AppSettings};
use axum::Router;
use courier::{Courier, Email, EmailSettings, Vapid};
use domain::clock::Clock;
use domain::wire_id::IdCodec;
use egress::{Limits, Policy, SystemResolver};
use engine::Engine;
use shape::Sandbox;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use store::handoff::{self, HandoffReceiver};
use store::postgres::{self, DatabaseClock, Postgres};
use store::seal::derive;
use store::sqlite::{self, Sqlite};
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use web::WebSettings;

/// How long requests in flight may take once the server stops.
const REQUESTS_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a letter may take.
const LETTER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a node may be silent before another one takes its work over.
const LEASE_TTL: Duration = Duration::from_secs(5);
/// What recording may take on top of the deadline of the deliveries in flight.
const RECORD_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Events that one page of the console's log looks through, when it looks for some: a tenth of the time that a page may take.
const LOOKED_MAX: u32 = 25_000;

/// What answers requests.
pub struct Core {
    store: Arc<dyn Store>,
    app: App,
    egress: egress::Client,
    courier: Arc<Courier>,
    ids: IdCodec,
    handoff: HandoffReceiver,
    clock: Arc<dyn Clock>,
    sandbox: Sandbox,
}

/// A running server.
pub struct Server {
    store: Arc<dyn Store>,
    app: App,
    engine: Engine,
    address: SocketAddr,
    folder: DataFolder,
    request_timeout: Duration,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Core {
    /// Opens the store and puts the use cases over it.
    ///
    /// # Errors
    /// A sentence: the file is another process's, the database does not answer, what is there was sealed with another
    /// key or cannot be written.
    pub fn open(config: &Config, keys: &Keys, present: Present) -> Result<Self, String> {
        let (store, clock) = open_store(config, keys, present)?;
        let ids = IdCodec::new(&store.wire_id_key());
        let (sender, handoff) = handoff::channel();
        let policy = Policy::new(config.egress_allow.clone(), config.https_only);
        let egress = egress::Client::new(policy, Limits::default(), Arc::new(SystemResolver::new()));
        let sandbox = Sandbox::new(config.script_worker.clone());
        let courier = Arc::new(courier(config, &egress, &*store)?);
        let app = App::new(AppParts {
            sandbox: sandbox.clone(),
            store: Arc::clone(&store),
            handoff: sender,
            egress: egress.clone(),
            clock: Arc::clone(&clock),
            random: Arc::new(SystemRandom),
            ids: ids.clone(),
            courier: Arc::clone(&courier),
            oidc: identity_provider::parts(config)?,
            settings: AppSettings {
                name: config.look.name.clone(),
                jwt: keys.jwt(config)?,
                signature_headers: config.signature_headers,
                retention_days: config.retention_days,
                api_rate_limit: config.api_rate_limit,
                event_origin: config.event_origin.clone(),
                public_url: config.public_url.clone(),
                trusted_proxies: config.trusted_proxies.clone(),
            },
        });
        Ok(Self { store, app, egress, courier, ids, handoff, clock, sandbox })
    }

    /// The API.
    pub fn service(&self) -> Service {
        Service::new(self.app.clone(), ApiSettings::default(), Router::new())
    }

    /// The API with the console beside it.
    pub fn console(&self, config: &Config, keys: &Keys) -> Service {
        let pages = web::router(self.app.clone(), web_settings(config, keys));
        Service::new(self.app.clone(), ApiSettings::default(), pages)
    }

    /// Ends all writing and releases the lease.
    pub async fn close(self) {
        close(self.store).await;
    }

    fn start_engine(self, config: &Config) -> Result<(Arc<dyn Store>, App, Engine), String> {
        let mut seed = [0; 8];
        SystemRandom.fill(&mut seed);
        let engine = Engine::start(engine::Parts {
            store: Arc::clone(&self.store),
            handoff: self.handoff,
            sandbox: self.sandbox,
            egress: self.egress,
            courier: self.courier,
            ids: self.ids,
            clock: self.clock,
            settings: engine::Settings {
                schedule: config.schedule.clone(),
                request_timeout: config.request_timeout,
                event_origin: config.event_origin.clone(),
                public_url: config.public_url.clone(),
                retention_days: config.retention_days,
                seed: u64::from_le_bytes(seed),
            },
        });
        Ok((self.store, self.app, engine))
    }
}

impl Server {
    /// Binds the listeners, opens the store, starts the engine and serves.
    ///
    /// # Errors
    /// A sentence for the person who starts it.
    pub async fn start(
        config: &Config,
        keys: &Keys,
        folder: DataFolder,
        present: Present,
    ) -> Result<Self, String> {
        // The port first: a second start by mistake ends here, before it touches the store.
        let listener = Listener::bind(&config.listen, "POSTHASTE_LISTEN").await?;
        let for_metrics = match &config.metrics_listen {
            Some(listen) => Some(Listener::bind(listen, "POSTHASTE_METRICS_LISTEN").await?),
            None => None,
        };
        let core = Core::open(config, keys, present)?;
        // The store is ours now, so an address that stands there is that of a server which was killed.
        folder.withdraw();
        let clock = Arc::clone(&core.clock);
        let (store, app, engine) = core.start_engine(config)?;
        let address = listener.address();
        folder.announce(address)?;
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let server = Self {
            store,
            app,
            engine,
            address,
            folder,
            request_timeout: config.request_timeout,
            stop,
            tasks,
        };
        let sources = Sources { store: Arc::clone(&server.store), engine: server.engine.metrics(), clock };
        let metrics = metrics::router(sources);
        let pages = web::router(server.app.clone(), web_settings(config, keys));
        let all = |beside| Service::new(server.app.clone(), ApiSettings::default(), beside);
        match for_metrics {
            Some(own) => {
                server.spawn_listener(own, metrics.into());
                server.spawn_listener(listener, all(pages));
            }
            None => server.spawn_listener(listener, all(pages.merge(metrics))),
        }
        Ok(server)
    }

    /// Where the API listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The use cases, for what is done in this process.
    #[must_use]
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Serves something else too, for as long as this server runs.
    pub fn spawn_listener(&self, listener: Listener, service: Service) {
        self.tasks.spawn(listener.serve(service, self.stop.clone(), self.tasks.clone()));
    }

    /// Waits until the store can never write again; answers why. Then the server is to be stopped.
    pub async fn failed(&self) -> String {
        self.store.failed().await
    }

    /// Stops gracefully. Nothing that was accepted is lost when this is cut short: it is only done later.
    pub async fn stop(self) {
        self.app.stop_soon();
        self.stop.cancel();
        self.tasks.close();
        let requests = async {
            self.tasks.wait().await;
            self.app.finish().await;
        };
        if tokio::time::timeout(REQUESTS_STOP_TIMEOUT, requests).await.is_err() {
            tracing::warn!(open = self.tasks.len(), "connections still open are cut");
        }
        if !self.engine.stop(self.request_timeout + RECORD_STOP_TIMEOUT).await {
            tracing::warn!("some deliveries in flight were not finished: the next start sends them again");
        }
        // Before the store is let go of: the next server's address must stay.
        self.folder.withdraw();
        close(self.store).await;
    }
}

fn web_settings(config: &Config, keys: &Keys) -> WebSettings {
    WebSettings {
        public_url: config.public_url.clone(),
        retry_schedule: config.schedule.seconds().to_vec(),
        sender_addresses: config.sender_addresses.iter().map(ToString::to_string).collect(),
        has_public_docs: config.public_docs,
        embed_origins: config.embed_origins.clone(),
        looked_max: config.looked_max.unwrap_or(LOOKED_MAX),
        look: config.look.clone(),
        operator_token: keys.operator_token(),
    }
}

/// What takes letters to people.
fn courier(config: &Config, egress: &egress::Client, store: &dyn Store) -> Result<Courier, String> {
    let timeout = config.letter_timeout.unwrap_or(LETTER_TIMEOUT);
    let email = config.smtp_url.as_ref().map(|url| {
        let settings = EmailSettings {
            url: url.reveal().to_owned(),
            certificate_authority: config.smtp_certificate_authority.clone(),
            from: config.mail_from.clone(),
        };
        Email::new(&settings, timeout).map_err(|error| format!("POSTHASTE_SMTP_URL: {error}"))
    });
    let contact = if config.public_url.starts_with("https:") {
        config.public_url.clone()
    } else {
        let address = config.mail_from.rsplit('<').next().unwrap_or_default();
        format!("mailto:{}", address.trim_end_matches('>'))
    };
    let vapid = Vapid::new(derive(&store.wire_id_key(), "vapid"), contact);
    Ok(Courier::new(email.transpose()?, egress.clone(), vapid, timeout))
}

type Opened = (Arc<dyn Store>, Arc<dyn Clock>);

/// Opens the store that the settings name, and tells whose present everything goes by.
pub(crate) fn open_store(config: &Config, keys: &Keys, present: Present) -> Result<Opened, String> {
    let encryption_key = keys.encryption_key.reveal().as_bytes().to_vec();
    let old_encryption_keys = keys.old_encryption_keys();
    match &config.store {
        StoreAddress::Sqlite(path) => {
            let clock: Arc<dyn Clock> = match present {
                Present::OfStore => Arc::new(SystemClock),
                Present::Handed(clock) => clock,
            };
            let options = sqlite::Options {
                encryption_key,
                old_encryption_keys,
                clock: Arc::clone(&clock),
                probe: None,
            };
            let opened = Sqlite::open(path, options);
            let refused = |error| format!("the store {} cannot be opened: {}", path.display(), reason(error));
            Ok((opened.map_err(refused)?, clock))
        }
        StoreAddress::Postgres(url) => {
            let time = match present {
                Present::OfStore => DatabaseClock::following(),
                Present::Handed(clock) => DatabaseClock::handed(clock),
            };
            let options = postgres::Options {
                encryption_key,
                old_encryption_keys,
                time: Arc::clone(&time),
                lease_ttl: LEASE_TTL,
                retention_days: config.retention_days,
            };
            let opened = Postgres::open(url.reveal(), options);
            let refused = |error| format!("the PostgreSQL store cannot be opened: {}", reason(error));
            Ok((opened.map_err(refused)?, time))
        }
    }
}

/// The store's own words, without what it says of a store at work.
fn reason(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(text) | StoreError::Broken(text) => text,
        other => other.to_string(),
    }
}

/// The writer is joined off the async threads: it finishes its queue first.
pub(crate) async fn close(store: Arc<dyn Store>) {
    if let Err(error) = tokio::task::spawn_blocking(move || store.close()).await {
        tracing::error!(%error, "the store did not close well");
    }
}
