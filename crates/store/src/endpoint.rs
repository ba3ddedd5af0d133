//! Contract: endpoints.

use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::audit::NewEntry;
use domain::clock::Timestamp;
use domain::credentials::Credentials;
use domain::endpoint::{Disabling, Endpoint, EndpointFields, EndpointSecret};
use domain::header::Header;
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::NewNotice;
use domain::page::{Page, Slice};

/// An endpoint before the store gave it a key.
#[derive(Clone, Debug)]
pub struct NewEndpoint {
    /// The wire id, `ep_…`.
    pub id: String,
    /// The application that it belongs to.
    pub application: ApplicationKey,
    /// What clients may set.
    pub fields: EndpointFields,
    /// Headers added to each request.
    pub headers: Vec<Header>,
    /// Current secret first.
    pub secrets: Vec<EndpointSecret>,
    /// Authentication, certificates and signatures.
    pub credentials: Credentials,
    /// What is to be told of it; the endpoint in it is this one.
    pub notice: Option<NewNotice>,
    /// What the audit log says of it.
    pub entry: Option<NewEntry>,
}

/// What a change of an endpoint replaces; absent parts stay.
#[derive(Clone, Debug, Default)]
pub struct EndpointChange {
    /// All client-set fields.
    pub fields: Option<EndpointFields>,
    /// All headers.
    pub headers: Option<Vec<Header>>,
    /// All secrets.
    pub secrets: Option<Vec<EndpointSecret>>,
    /// Authentication, certificates and signatures.
    pub credentials: Option<Credentials>,
    /// What counts towards disabling it begins anew: it was enabled again, or mended.
    pub begins_again: bool,
    /// How the server came to switch it off (or, as none inside, that it did not).
    pub disabling: Option<Option<Disabling>>,
    /// What is to be told of it, written with it.
    pub notices: Vec<NewNotice>,
    /// What the audit log says of it, written with it.
    pub entry: Option<NewEntry>,
}

/// What the store does with endpoints. An `id` argument is a wire id or a uid.
#[async_trait]
pub trait Endpoints: Send + Sync {
    /// Creates one. `Taken("uid")`; `Limit` at 10,000 endpoints an application.
    async fn endpoint_create(&self, new: NewEndpoint) -> Result<Endpoint>;
    /// Reads it, lets `change` decide, writes it, all in one transaction, so that two changes at once both hold.
    ///
    /// What `change` refuses comes back as it is. `Taken("uid")`, `NotFound`.
    async fn endpoint_update(&self, key: EndpointKey, change: ChangeEndpoint) -> Result<Endpoint>;
    /// Deletes it; deliveries still pending are canceled when they would be claimed (PROTOCOL rule 12).
    /// What is to be told of it, and what the audit log says of it, are written with it.
    async fn endpoint_delete(
        &self,
        key: EndpointKey,
        (notice, entry): (Option<NewNotice>, Option<NewEntry>),
    ) -> Result<()>;
    /// The wire ids of these endpoints, deleted ones included; unknown ones are left out.
    async fn endpoint_ids(&self, keys: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, String)>>;
    /// The key of the application's endpoint of this wire id or uid; by its wire id also of a deleted one.
    async fn endpoint_key(&self, application: ApplicationKey, id: &str) -> Result<EndpointKey>;
    /// The endpoint of this wire id or uid.
    async fn endpoint_find(&self, application: ApplicationKey, id: &str) -> Result<Endpoint>;
    /// A page ordered by wire id.
    async fn endpoint_list(&self, application: ApplicationKey, page: Page<String>)
    -> Result<Slice<Endpoint>>;
}

/// Decides, on the endpoint as it is in the transaction, what changes. It is asked again when another node changed the
/// endpoint in between.
pub type ChangeEndpoint = Box<dyn FnMut(&Endpoint) -> Result<EndpointChange> + Send>;

/// The columns of a [`Disabling`]: reason, time, answer.
pub(crate) type DisablingColumns = (Option<String>, Option<i64>, Option<String>);

/// Writes the columns.
pub(crate) fn pack_disabling(disabling: Option<&Disabling>) -> DisablingColumns {
    let Some(Disabling { reason, at, answer }) = disabling else { return (None, None, None) };
    let answer = answer.as_ref().map(|answer| serde_json::to_string(answer).unwrap_or_default());
    (Some(reason.clone()), Some(at.0), answer)
}

/// Reads [`pack_disabling`] back.
pub(crate) fn unpack_disabling((reason, at, answer): DisablingColumns) -> Result<Option<Disabling>> {
    let Some(reason) = reason else { return Ok(None) };
    let broken = |error| StoreError::Broken(format!("a stored answer does not read back: {error}"));
    let answer = answer.map(|json| serde_json::from_str(&json).map_err(broken)).transpose()?;
    Ok(Some(Disabling { reason, at: Timestamp(at.unwrap_or_default()), answer }))
}

/// What the sealed columns are bound to.
pub(crate) const HEADERS_PLACE: &str = "endpoint.headers";
pub(crate) const SECRETS_PLACE: &str = "endpoint.secrets";
pub(crate) const CREDENTIALS_PLACE: &str = "endpoint.credentials";

/// Credentials as they are stored: none where all are at their defaults, so that they cost nothing to most endpoints.
pub(crate) fn seal_credentials(credentials: &Credentials, sealer: &Sealer) -> Result<Option<Vec<u8>>> {
    if *credentials == Credentials::default() {
        return Ok(None);
    }
    let plain = serde_json::to_vec(credentials).unwrap_or_default();
    sealer.seal(CREDENTIALS_PLACE, &plain).map(Some)
}

/// Reads [`seal_credentials`] back.
pub(crate) fn open_credentials(sealed: Option<&[u8]>, sealer: &Sealer) -> Result<Credentials> {
    let Some(sealed) = sealed else { return Ok(Credentials::default()) };
    let plain = sealer.open(CREDENTIALS_PLACE, sealed)?;
    let broken = |error| StoreError::Broken(format!("stored credentials do not read back: {error}"));
    serde_json::from_slice(&plain).map_err(broken)
}

/// Signing keys as the text that is sealed: the same in every engine, so that one can be copied to another.
pub(crate) fn pack_secrets(secrets: &[EndpointSecret]) -> String {
    let packed: Vec<_> = secrets.iter().map(|s| (s.secret.export(), s.expires_at.map(|t| t.0))).collect();
    serde_json::to_string(&packed).unwrap_or_default()
}

/// Reads [`pack_secrets`] back.
pub(crate) fn unpack_secrets(text: &str) -> Result<Vec<EndpointSecret>> {
    let broken = |why: String| StoreError::Broken(format!("a stored secret does not read back: {why}"));
    let packed: Vec<(String, Option<i64>)> =
        serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let unpack = |(secret, expires_at): (String, Option<i64>)| {
        let secret = signing::Secret::parse(&secret).map_err(|error| broken(error.to_string()))?;
        Ok(EndpointSecret { secret, expires_at: expires_at.map(Timestamp) })
    };
    packed.into_iter().map(unpack).collect()
}
