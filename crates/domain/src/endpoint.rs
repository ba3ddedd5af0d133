//! An endpoint: where an application's events go (the console calls it a *webhook*; wire id `ep_…`).

use crate::clock::Timestamp;
use crate::credentials::Credentials;
use crate::header::Header;
use crate::health::LastAnswer;
use crate::id::{ApplicationKey, EndpointKey};
use crate::limit::OLD_SECRETS_MAX;
use crate::name::Metadata;
use crate::options::EndpointOptions;
use signing::{Secret, Signer};

/// What a client may set of an endpoint through its main resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointFields {
    /// The client's own id, unique in the application.
    pub uid: Option<String>,
    /// Where requests go; `http` or `https`.
    pub url: String,
    /// A text for people.
    pub description: String,
    /// The client's own notes.
    pub metadata: Metadata,
    /// Switched off: matched messages are kept as canceled deliveries.
    pub disabled: bool,
    /// Kept, not sent, until resumed.
    pub paused: bool,
    /// The event types it wants; none is all.
    pub event_types: Option<Vec<String>>,
    /// The channels it wants; none is every message.
    pub channels: Option<Vec<String>>,
    /// Messages in a period, which is a second unless the options say otherwise; none is no limit.
    pub throttle_rate: Option<u16>,
    /// What it can be told beyond the wire's fields.
    pub options: EndpointOptions,
}

/// A secret of an endpoint.
#[derive(Clone, Debug)]
pub struct EndpointSecret {
    /// The key itself.
    pub secret: Secret,
    /// When it stops signing; none for the current one.
    pub expires_at: Option<Timestamp>,
}

/// How the server came to switch an endpoint off by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disabling {
    /// Why, in a sentence.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The last answer before.
    pub answer: Option<LastAnswer>,
}

/// An endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The small key.
    pub key: EndpointKey,
    /// The application that it belongs to.
    pub application: ApplicationKey,
    /// The wire id, `ep_…`.
    pub id: String,
    /// What clients may set.
    pub fields: EndpointFields,
    /// Headers added to each request.
    pub headers: Vec<Header>,
    /// The current secret first, then the old ones, newest first.
    pub secrets: Vec<EndpointSecret>,
    /// Authentication, certificates and signatures.
    pub credentials: Credentials,
    /// How the server itself came to switch it off, if it did.
    pub disabling: Option<Disabling>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// The name of an endpoint that has not been given one: the host of its URL.
#[must_use]
pub fn default_name(url: &str) -> String {
    let parsed = url::Url::parse(url).ok();
    parsed.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Too many old secrets still sign.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{OLD_SECRETS_MAX} old secrets still sign for this endpoint (old_secrets_max): wait until one has expired"
)]
pub struct TooManySecrets;

impl Endpoint {
    /// Its name for people: the one that it was given, or the host of its URL.
    #[must_use]
    pub fn name(&self) -> String {
        self.fields.options.name.clone().unwrap_or_else(|| default_name(&self.fields.url))
    }

    /// Whether a message of this type and these channels is for this endpoint: the type matches or is mapped, and the
    /// endpoint has no channels or shares one with the message. An endpoint that maps event types and names no others wants
    /// only the mapped ones.
    #[must_use]
    pub fn wants(&self, event_type: &str, channels: &[String]) -> bool {
        let options = &self.fields.options;
        let type_fits = match &self.fields.event_types {
            Some(types) => types.iter().any(|t| t == event_type) || options.mapped(event_type).is_some(),
            None => options.routes.is_empty() || options.mapped(event_type).is_some(),
        };
        let channel_fits =
            self.fields.channels.as_ref().is_none_or(|wanted| wanted.iter().any(|c| channels.contains(c)));
        type_fits && channel_fits
    }

    /// The keys that sign at `now`, current first.
    pub fn signers(&self, now: Timestamp) -> impl Iterator<Item = Signer> + '_ {
        self.secrets
            .iter()
            .filter(move |s| s.expires_at.is_none_or(|end| end > now))
            .map(|s| s.secret.signer())
    }

    /// Makes `fresh` the current secret; the one before goes on signing until `overlap_ends`.
    ///
    /// # Errors
    /// [`TooManySecrets`] when ten old ones still sign.
    pub fn rotate_secret(
        &mut self,
        fresh: Secret,
        overlap_ends: Timestamp,
        now: Timestamp,
    ) -> Result<(), TooManySecrets> {
        let mut kept: Vec<_> = self.secrets.clone();
        for secret in kept.iter_mut().filter(|s| s.expires_at.is_none()) {
            secret.expires_at = Some(overlap_ends);
        }
        kept.retain(|s| s.expires_at.is_some_and(|end| end > now));
        if kept.len() > OLD_SECRETS_MAX {
            return Err(TooManySecrets);
        }
        kept.insert(0, EndpointSecret { secret: fresh, expires_at: None });
        self.secrets = kept;
        Ok(())
    }
}
