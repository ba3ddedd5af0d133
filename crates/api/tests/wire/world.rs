//! A server in memory: router, use cases and a fresh store, with a clock that stands still.

use api::{ApiSettings, Service};
use app::jwt::{Grant, Jwt};
use app::random::SystemRandom;
use app::{App, AppParts, AppSettings};
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use courier::{Courier, Vapid};
use domain::attempt::{Disposition, NewAttempt, Outcome, Trigger};
use domain::clock::{Clock, ManualClock, Timestamp};
use domain::delivery::Next;
use domain::environment::SignatureHeaders;
use domain::id::EndpointKey;
use domain::wire_id::IdCodec;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use store::delivery::{Deliveries, Held, Record};
use store::handoff::{self, HandoffReceiver};
use store::sqlite::{Options, Sqlite};

/// The environment that tests work in.
pub(crate) const ORG: &str = "org_2aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Another tenant.
pub(crate) const OTHER_ORG: &str = "org_2bbbbbbbbbbbbbbbbbbbbbbbbbb";
/// When the clock starts.
pub(crate) const START: Timestamp = Timestamp(1_800_000_000_000);

pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) store: Arc<Sqlite>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) handoff: HandoffReceiver,
    pub(crate) service: Service,
    pub(crate) token: String,
    _folder: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Bytes,
    pub(crate) json: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(START));
        let shared: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let options = Options {
            encryption_key: vec![7; 32],
            old_encryption_keys: Vec::new(),
            clock: Arc::clone(&shared),
            probe: None,
        };
        let store = Sqlite::open(&folder.path().join("store.db"), options).unwrap();
        let (app, handoff) = use_cases(&store, shared, 0);
        let service = Service::new(app.clone(), ApiSettings::default(), Router::new());
        let token = grant(&app, ORG, None);
        Self { app, store, clock, handoff, service, token, _folder: folder }
    }

    /// Makes the use cases anew, with so many requests of one credential in a second.
    pub(crate) fn limit_requests(&mut self, most: u32) {
        (self.app, self.handoff) = use_cases(&self.store, Arc::clone(&self.clock) as _, most);
        self.service = Service::new(self.app.clone(), ApiSettings::default(), Router::new());
    }

    /// Makes the use cases anew, as a restart does: what they had in memory is lost.
    pub(crate) fn restart(&mut self) {
        (self.app, self.handoff) = use_cases(&self.store, Arc::clone(&self.clock) as _, 0);
        self.service = Service::new(self.app.clone(), ApiSettings::default(), Router::new());
    }

    /// A world with the application `customer` in it.
    pub(crate) async fn with_application() -> Self {
        let world = Self::new();
        let made = world.post("/app", r#"{"name":"Customer","uid":"customer"}"#).await;
        assert_eq!(made.status, 201, "{:?}", made.json);
        world
    }

    /// A world with the application `customer` and its endpoint `hook`.
    pub(crate) async fn with_endpoint() -> Self {
        let world = Self::with_application().await;
        let made =
            world.post("/app/customer/endpoint", r#"{"url":"https://example.com/in","uid":"hook"}"#).await;
        assert_eq!(made.status, 201, "{:?}", made.json);
        world
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(Method::POST, path, &[], body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &str) -> Reply {
        self.send(Method::PUT, path, &[], body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &str) -> Reply {
        self.send(Method::PATCH, path, &[], body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[], "").await
    }

    /// Sends with the environment's token, unless `headers` bring another `authorization`.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        self.call(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Reply {
        let response = self.service.answer(request, None).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes, json }
    }

    /// Records that the newest handed-off message was tried once at its first endpoint.
    pub(crate) async fn record(&mut self, status: u16, next: Next) {
        let accepted = self.handoff.messages.try_recv().unwrap();
        let endpoint: EndpointKey = accepted.endpoints[0];
        let succeeded = (200..300).contains(&status);
        let attempt = NewAttempt {
            message: accepted.message.id,
            endpoint,
            run: 0,
            number: 1,
            trigger: Trigger::Message,
            outcome: if succeeded { Outcome::Succeeded } else { Outcome::BadStatus },
            disposition: if succeeded { Disposition::Succeeded } else { next.disposition() },
            started_at: self.clock.now(),
            duration_ms: 12,
            status,
            url: "https://example.com/in".into(),
            response: Bytes::from_static(b"the receiver's answer"),
        };
        self.store.record(Arc::new(vec![Record { attempt, held: Held::Fresh, next }])).await.unwrap();
        self.store.routing().route(endpoint).unwrap().gauge.leave(accepted.message.payload_bytes());
        self.handoff.left(1);
    }
}

fn use_cases(store: &Arc<Sqlite>, clock: Arc<dyn Clock>, api_rate_limit: u32) -> (App, HandoffReceiver) {
    let (sender, handoff) = handoff::channel();
    let policy = egress::Policy::new(vec!["10.1.0.0/16".parse().unwrap()], true);
    let resolver = Arc::new(egress::SystemResolver::new());
    let egress = egress::Client::new(policy, egress::Limits::default(), resolver);
    let vapid = Vapid::new([7; 32], "mailto:ops@posthaste.test".into());
    let app = App::new(AppParts {
        courier: Arc::new(Courier::new(None, egress.clone(), vapid, Duration::from_secs(5))),
        store: Arc::clone(store) as _,
        handoff: sender,
        egress,
        sandbox: shape::Sandbox::new(None),
        clock,
        random: Arc::new(SystemRandom),
        ids: IdCodec::new(b"ids"),
        oidc: None,
        settings: AppSettings {
            name: "Posthaste".to_owned(),
            jwt: Jwt::new("HS256", b"a secret of enough bytes").unwrap(),
            signature_headers: SignatureHeaders::Webhook,
            retention_days: 90,
            api_rate_limit,
            event_origin: "posthaste.test".into(),
            public_url: "http://posthaste.test".into(),
            trusted_proxies: Vec::new(),
        },
    });
    (app, handoff)
}

impl Reply {
    /// The status, and where its wrong fields are.
    pub(crate) fn wrong(&self) -> (u16, Vec<String>) {
        let entries = self.json["detail"].as_array().cloned().unwrap_or_default();
        let path = |entry: &Value| {
            assert!(entry["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{entry}");
            assert!(entry["type"].as_str().is_some_and(|kind| kind.starts_with("value_error")), "{entry}");
            let loc = entry["loc"].as_array().unwrap();
            loc.iter().map(|part| part.as_str().unwrap()).collect::<Vec<_>>().join("/")
        };
        (self.status, entries.iter().map(path).collect())
    }

    /// The status and the error's code.
    pub(crate) fn error(&self) -> (u16, &str) {
        assert!(self.json["detail"].as_str().is_some_and(|text| !text.is_empty()), "{:?}", self.json);
        (self.status, self.json["code"].as_str().unwrap_or_default())
    }

    /// The field of each item of a list.
    pub(crate) fn column(&self, field: &str) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.json);
        self.json["data"].as_array().unwrap().iter().map(|item| item[field].clone()).collect()
    }
}

/// A token for an environment, or for one of its applications.
pub(crate) fn grant(app: &App, environment: &str, application: Option<&str>) -> String {
    let grant = Grant { environment, application, feature_flags: None, lifetime_seconds: 365 * 86_400 };
    app.token_create(grant).unwrap()
}
