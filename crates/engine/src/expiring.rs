//! What is about to end: secrets that still sign beside a new one, certificates of receivers and of ours.

use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::notice::{CERTIFICATE_EXPIRES_DAYS, Facts, NewNotice, NoticeKind, SECRET_EXPIRES_MS};
use domain::signature::Signature;
use egress::{Client, certificate_validity};
use foldhash::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use store::routing::Route;
use store::{Store, StoreError};

const DAY_MS: i64 = 86_400_000;

/// An endpoint, what ends, when, and which of several.
type Known = (i64, NoticeKind, i64, String);

/// Notices that are written in one step, and the pause between two: the path of messages goes first.
const STEP: usize = 25;
const PAUSE: Duration = Duration::from_millis(5);

/// What was noted already: the store keeps each once, but need not be asked every time.
#[derive(Debug, Default)]
pub(crate) struct Expiring(HashSet<Known>);

impl Expiring {
    /// Notes what will end soon.
    pub(crate) async fn look(
        &mut self,
        store: &Arc<dyn Store>,
        egress: &Client,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let certificates: HashMap<_, _> = egress.certificates().into_iter().collect();
        let key =
            |notice: &NewNotice| (notice.endpoint.0, notice.kind, notice.episode, notice.subject.clone());
        let mut found = HashSet::default();
        for routes in store.routing().every() {
            let soon: Vec<_> = routes.iter().flat_map(|route| soon(route, &certificates, now)).collect();
            let keys: Vec<_> = soon.iter().map(key).collect();
            let fresh: Vec<_> = soon.into_iter().filter(|notice| !self.0.contains(&key(notice))).collect();
            for step in fresh.chunks(STEP) {
                store.notices_add(step.to_vec()).await?;
                tokio::time::sleep(PAUSE).await;
            }
            found.extend(keys);
            tokio::task::yield_now().await;
        }
        // What is over is forgotten.
        self.0 = found;
        Ok(())
    }
}

/// What of an endpoint will end soon.
fn soon(route: &Route, certificates: &HashMap<String, i64>, now: Timestamp) -> Vec<NewNotice> {
    let endpoint = &*route.endpoint;
    if endpoint.fields.disabled || route.application.is_operational() {
        return Vec::new();
    }
    let of = (route.application.key, endpoint.key);
    let notice = |kind, ends: Timestamp, about: String| {
        let facts = Facts { expires_at: Some(ends.0), about: Some(about.clone()), ..Facts::default() };
        // Several may end at the same moment.
        NewNotice { subject: about, ..NewNotice::new(of, kind, (ends, now), facts) }
    };
    let mut notices = Vec::new();
    let is_soon = |ends: Timestamp, ms: i64| ends > now && ends.since(now) <= ms;
    for (about, ends) in secrets(endpoint).filter(|(_, ends)| is_soon(*ends, SECRET_EXPIRES_MS)) {
        notices.push(notice(NoticeKind::SecretExpiring, ends, about));
    }
    for (about, ends) in certificates_of(endpoint, certificates) {
        if is_soon(ends, CERTIFICATE_EXPIRES_DAYS * DAY_MS) {
            notices.push(notice(NoticeKind::CertificateExpiring, ends, about));
        }
    }
    notices
}

/// Secrets that sign beside a newer one, with when they end.
fn secrets(endpoint: &Endpoint) -> impl Iterator<Item = (String, Timestamp)> + '_ {
    let own = endpoint.secrets.iter().filter_map(|secret| secret.expires_at);
    let own = own.map(|ends| ("the old secret".to_owned(), ends));
    let signatures = endpoint.credentials.signatures.iter().flat_map(|signature| {
        let (about, keys) = match signature {
            Signature::Standard => (String::new(), [].as_slice()),
            Signature::StandardEd25519 { keys } => ("the old Ed25519 key".to_owned(), &**keys),
            Signature::Hmac(hmac) => (format!("the old key of {}", hmac.header), &*hmac.keys),
        };
        keys.iter().filter_map(|key| key.expires_at).map(move |ends| (about.clone(), Timestamp(ends)))
    });
    own.chain(signatures)
}

/// The certificate that its server showed last, and the one that we show it.
fn certificates_of(endpoint: &Endpoint, certificates: &HashMap<String, i64>) -> Vec<(String, Timestamp)> {
    let mut found = Vec::new();
    if !certificates.is_empty()
        && let Some(host) = egress::uri_of(&endpoint.fields.url)
            .ok()
            .filter(|uri| uri.scheme_str() == Some("https"))
            .and_then(|uri| uri.authority().map(|authority| authority.as_str().to_owned()))
        && let Some(ends) = certificates.get(&host)
    {
        found.push((format!("The certificate of {host}"), Timestamp::from_seconds(*ends)));
    }
    if let Some(identity) = &endpoint.credentials.identity
        && let Some((_, ends)) = certificate_validity(&identity.certificate)
    {
        found.push(("The client certificate that it is shown".to_owned(), Timestamp::from_seconds(ends)));
    }
    found
}
