//! What is about to end: secrets that still sign beside a new one, certificates of receivers and of ours.

use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::notice::{CERTIFICATE_EXPIRES_DAYS, Facts, NewNotice, NoticeKind, SECRET_EXPIRES_MS};
use domain::signature::Signature;
use egress::{Client, certificate_validity};
use foldhash::{HashMap, HashSet};
use std::sync::Arc;
use store::routing::Route;
use store::{Store, StoreError};

const DAY_MS: i64 = 86_400_000;

/// What was noted already: the store keeps each once, but need not be asked every time.
#[derive(Debug, Default)]
pub(crate) struct Expiring(HashSet<(i64, NoticeKind, i64)>);

impl Expiring {
    /// Notes what will end soon.
    pub(crate) async fn look(
        &mut self,
        store: &Arc<dyn Store>,
        egress: &Client,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let certificates: HashMap<_, _> = egress.certificates().into_iter().collect();
        let found = store.routing().choose(|route| {
            let notices = soon(route, &certificates, now);
            (!notices.is_empty()).then_some(notices)
        });
        let key = |notice: &NewNotice| (notice.endpoint.0, notice.kind, notice.episode);
        let found: Vec<_> = found.into_iter().flatten().collect();
        self.0.retain(|known| found.iter().any(|notice| key(notice) == *known));
        let fresh: Vec<_> = found.into_iter().filter(|notice| !self.0.contains(&key(notice))).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = fresh.iter().map(key).collect();
        store.notices_add(fresh).await?;
        self.0.extend(keys);
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
        let facts = Facts { expires_at: Some(ends.0), about: Some(about), ..Facts::default() };
        NewNotice::new(of, kind, (ends, now), facts)
    };
    let mut notices = Vec::new();
    let is_soon = |ends: Timestamp, ms: i64| ends > now && ends.since(now) <= ms;
    for (about, ends) in secrets(endpoint).filter(|(_, ends)| is_soon(*ends, SECRET_EXPIRES_MS)) {
        notices.push(notice(NoticeKind::SecretExpiring, ends, about));
    }
    for (about, ends) in certificates_of(endpoint, certificates) {
        if ends.since(now) <= CERTIFICATE_EXPIRES_DAYS * DAY_MS {
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
