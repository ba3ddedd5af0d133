//! Endpoints: where an application's events go. Their secrets and headers are in `secret` and `header`.

use crate::App;
use crate::audit_shown;
use crate::change::Change;
use crate::endpoint_check::{Asked, check, each_once};
use crate::error::{AppError, Problems, Result};
use crate::options::{OptionsPatch, wrong};
use crate::principal::{Place, Principal, Right};
use crate::window::Window;
use domain::application::Application;
use domain::audit::{Action, Difference};
use domain::clock::Timestamp;
use domain::credentials::Credentials;
use domain::endpoint::{Endpoint, EndpointFields, EndpointSecret, default_name};
use domain::header::{self, Header};
use domain::id::ApplicationKey;
use domain::name::Metadata;
use domain::page::{Page, Slice};
use domain::wire_id::Kind;
use signing::Secret;
use store::StoreError;
use store::attempt::DeliveryCounts;
use store::endpoint::{EndpointChange, NewEndpoint};
pub use store::health::Episode;

/// How far back statistics look at most, in days.
pub(crate) const STATS_DAYS_MAX: i64 = 28;

/// An endpoint as a client posts or puts it.
#[derive(Clone, Debug, Default)]
pub struct EndpointInput {
    /// All client-set fields; `paused` counts only through [`EndpointInput::paused`].
    pub fields: EndpointFields,
    /// Whether it is paused; absent keeps.
    pub paused: Option<bool>,
    /// Its first secret as text; generated if absent. Only on creation.
    pub secret: Option<String>,
    /// Headers added to each request. Only on creation.
    pub headers: Vec<Header>,
    /// What changes of the options; on creation, of the defaults.
    pub options: OptionsPatch,
}

/// How an endpoint fares.
#[derive(Clone, Debug)]
pub struct EndpointHealth {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its failures without a success since, if it fails.
    pub episode: Option<Episode>,
    /// While its breaker is open: when the next request goes.
    pub probe_at: Option<Timestamp>,
    /// Deliveries that wait for their next try.
    pub waiting: u64,
}

/// What a PATCH changes.
#[derive(Clone, Debug, Default)]
pub struct EndpointPatch {
    /// The client's own id.
    pub uid: Change<String>,
    /// Where requests go.
    pub url: Option<String>,
    /// A text for people.
    pub description: Change<String>,
    /// The client's own notes.
    pub metadata: Change<Metadata>,
    /// Switched off.
    pub disabled: Change<bool>,
    /// Kept, not sent.
    pub paused: Change<bool>,
    /// The event types it wants.
    pub event_types: Change<Vec<String>>,
    /// The channels it wants.
    pub channels: Change<Vec<String>>,
    /// Messages in a period.
    pub throttle_rate: Change<u16>,
    /// The options.
    pub options: OptionsPatch,
}

impl App {
    /// Creates an endpoint.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict` when the uid is taken, `Refused` at the limit of endpoints.
    pub async fn endpoint_create(
        &self,
        principal: &Principal,
        application: &str,
        input: EndpointInput,
    ) -> Result<Endpoint> {
        let application = self.workspace(principal, application, Right::Manage)?;
        self.endpoint_add(principal, &application, input).await
    }

    /// The endpoint of this id or uid.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_get(&self, at: Place<'_>) -> Result<Endpoint> {
        self.endpoint_of(at, Right::Read).await
    }

    /// A page of an application's endpoints.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_list(
        &self,
        principal: &Principal,
        application: &str,
        page: Page<String>,
    ) -> Result<Slice<Endpoint>> {
        let application = self.workspace(principal, application, Right::Read)?;
        Ok(self.store().endpoint_list(application.key, page).await?)
    }

    /// Replaces an endpoint's fields, or creates it under this uid. The flag tells whether it was created.
    ///
    /// # Errors
    /// As [`App::endpoint_create`]; `NotFound` for an unknown id that is not a uid.
    pub async fn endpoint_put(&self, at: Place<'_>, mut input: EndpointInput) -> Result<(Endpoint, bool)> {
        let application = self.workspace(at.principal, at.application, Right::Manage)?;
        let by_uid = !at.id.starts_with(Kind::Endpoint.prefix());
        if input.fields.uid.is_none() && by_uid {
            input.fields.uid = Some(at.id.to_owned());
        }
        let found = match self.store().endpoint_find(application.key, at.id).await {
            Err(StoreError::NotFound) if by_uid => {
                match self.endpoint_add(at.principal, &application, input.clone()).await {
                    // Someone else was faster, or the fields' uid is another's: only the path's own is updated.
                    Err(taken @ AppError::Conflict { .. }) => {
                        self.store().endpoint_find(application.key, at.id).await.map_err(|_| taken)?
                    }
                    added => return Ok((added?, true)),
                }
            }
            found => found?,
        };
        let mut fields = input.fields;
        fields.options = found.fields.options.clone();
        let asked = Asked { principal: at.principal, before: Some(&found), options: &input.options };
        let fields = self.checked(asked, fields, (&found.headers, Problems::default())).await?;
        let (paused, options) = (input.paused, input.options);
        let change = move |now: &Endpoint| {
            let paused = paused.unwrap_or(now.fields.paused);
            let mut fields = EndpointFields { paused, ..fields.clone() };
            fields.options = now.fields.options.clone();
            options.clone().apply(&mut fields.options);
            replacing(now, fields, &options)
        };
        let updated = self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        self.resume(&found, &updated);
        Ok((updated, false))
    }

    /// Changes some of an endpoint's fields.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict`.
    pub async fn endpoint_patch(&self, at: Place<'_>, patch: EndpointPatch) -> Result<Endpoint> {
        let found = self.endpoint_of(at, Right::Manage).await?;
        self.check_patch(at.principal, &found, &patch).await?;
        let change = move |now: &Endpoint| {
            let mut fields = now.fields.clone();
            patch.clone().apply(&mut fields);
            replacing(now, each_once(fields), &patch.options)
        };
        let updated = self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        self.resume(&found, &updated);
        Ok(updated)
    }

    /// Deletes an endpoint.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_delete(&self, at: Place<'_>) -> Result<()> {
        let found = self.endpoint_of(at, Right::Manage).await?;
        let notice = self.teller(found.application).and_then(|teller| teller.deleted(&found));
        let gone = (Action::EndpointDeleted, Difference::gone(&audit_shown::endpoint(&found, None)));
        let entry = self.entry_of_endpoint(at.principal, &found, gone);
        Ok(self.store().endpoint_delete(found.key, (notice, Some(entry))).await?)
    }

    /// Counts an endpoint's deliveries by state, over the last 28 days unless told otherwise.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for a window over 28 days.
    pub async fn endpoint_stats(
        &self,
        at: Place<'_>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<DeliveryCounts> {
        let found = self.endpoint_of(at, Right::Read).await?;
        let window = Window { after: since, before: until }.named("since", "until");
        let (since, until) = window.closed(STATS_DAYS_MAX, self.now())?;
        Ok(self.store().delivery_counts(found.key, since, until).await?)
    }

    /// How an endpoint fares: what is wrong with it, as far as this process knows of its breaker.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn endpoint_health(&self, at: Place<'_>) -> Result<EndpointHealth> {
        let endpoint = self.endpoint_of(at, Right::Read).await?;
        let episode = self.store().episode(endpoint.key).await?;
        let waiting = self.store().waiting_count(endpoint.key).await?;
        let probe_at = self.store().routing().route(endpoint.key).and_then(|route| route.gauge.probe_at());
        Ok(EndpointHealth { endpoint, episode, probe_at, waiting })
    }

    /// The endpoint that a path names, for an operation that needs `right`.
    pub(crate) async fn endpoint_of(&self, at: Place<'_>, right: Right) -> Result<Endpoint> {
        let application = self.workspace(at.principal, at.application, right)?;
        Ok(self.store().endpoint_find(application.key, at.id).await?)
    }

    /// Checks what an endpoint would be after a change.
    async fn check_patch(
        &self,
        principal: &Principal,
        found: &Endpoint,
        patch: &EndpointPatch,
    ) -> Result<EndpointFields> {
        let mut tried = found.fields.clone();
        patch.clone().apply(&mut tried);
        let mut problems = Problems::default();
        check(&tried, &mut problems);
        self.check_url(&tried.url, patch.url.is_some(), &mut problems);
        let asked = Asked { principal, before: Some(found), options: &patch.options };
        let types = patch.event_types.value().map(Vec::as_slice).unwrap_or_default();
        self.check_event_types(asked, types, &mut problems).await?;
        self.check_own(asked, &tried, (&found.headers, &mut problems)).await?;
        problems.finish()?;
        Ok(tried)
    }

    /// An endpoint with a change that is not saved.
    pub(crate) async fn changed(
        &self,
        principal: &Principal,
        mut found: Endpoint,
        patch: EndpointPatch,
    ) -> Result<Endpoint> {
        found.fields = self.check_patch(principal, &found, &patch).await?;
        patch.options.apply_credentials(&mut found.credentials);
        Ok(found)
    }

    /// An endpoint as it would be created.
    pub(crate) async fn proposed(
        &self,
        principal: &Principal,
        application: ApplicationKey,
        input: EndpointInput,
    ) -> Result<Endpoint> {
        let (fields, secret) = self.check_new(principal, &input).await?;
        let mut endpoint = self.nobody(application, String::new());
        input.options.apply_credentials(&mut endpoint.credentials);
        if let Some(secret) = secret {
            endpoint.secrets = vec![EndpointSecret { secret, expires_at: None }];
        }
        Ok(Endpoint { fields, headers: input.headers, ..endpoint })
    }

    /// Checks an endpoint that is to be created.
    async fn check_new(
        &self,
        principal: &Principal,
        input: &EndpointInput,
    ) -> Result<(EndpointFields, Option<Secret>)> {
        let mut problems = Problems::default();
        let secret = input.secret.as_deref().map(Secret::parse).transpose().unwrap_or_else(|error| {
            problems.add("secret", error);
            None
        });
        problems.check("headers", header::check(&input.headers));
        let paused = input.paused.unwrap_or(false);
        let fields = EndpointFields { paused, ..input.fields.clone() };
        let asked = Asked { principal, before: None, options: &input.options };
        Ok((self.checked(asked, fields, (&input.headers, problems)).await?, secret))
    }

    async fn endpoint_add(
        &self,
        principal: &Principal,
        application: &Application,
        input: EndpointInput,
    ) -> Result<Endpoint> {
        let (mut fields, secret) = self.check_new(principal, &input).await?;
        let url = fields.url.clone();
        drop_default_name(&mut fields, &url);
        let mut credentials = Credentials::default();
        input.options.apply_credentials(&mut credentials);
        let secret = secret.unwrap_or_else(|| Secret::generate(&mut |out| self.inner.parts.random.fill(out)));
        let id = self.new_id(Kind::Endpoint);
        let teller = self.teller(application.key);
        let mut new = NewEndpoint {
            notice: teller.and_then(|teller| teller.created(&id, fields.uid.as_deref())),
            entry: None,
            id,
            application: application.key,
            fields,
            headers: input.headers,
            secrets: vec![EndpointSecret { secret, expires_at: None }],
            credentials,
        };
        let shown = Endpoint {
            id: new.id.clone(),
            fields: new.fields.clone(),
            headers: new.headers.clone(),
            credentials: new.credentials.clone(),
            ..self.nobody(application.key, String::new())
        };
        let made = (Action::EndpointCreated, Difference::made(&audit_shown::endpoint(&shown, None)));
        new.entry = Some(self.entry_of_endpoint(principal, &shown, made));
        Ok(self.store().endpoint_create(new).await?)
    }

    /// Rows that waited while the endpoint was paused are due: dispatch is told at once.
    fn resume(&self, before: &Endpoint, after: &Endpoint) {
        if before.fields.paused && !after.fields.paused && !after.fields.disabled {
            self.store().wakes().note(after.key, self.now());
        }
    }
}

impl EndpointPatch {
    fn apply(self, fields: &mut EndpointFields) {
        self.uid.apply_to(&mut fields.uid);
        self.description.apply_or_default(&mut fields.description);
        self.metadata.apply_or_default(&mut fields.metadata);
        self.disabled.apply_or_default(&mut fields.disabled);
        self.paused.apply_or_default(&mut fields.paused);
        self.event_types.apply_to(&mut fields.event_types);
        self.channels.apply_to(&mut fields.channels);
        self.throttle_rate.apply_to(&mut fields.throttle_rate);
        self.options.apply(&mut fields.options);
        if let Some(url) = self.url {
            fields.url = url;
        }
    }
}

/// A person's choice also ends the server's own reason for having switched the endpoint off.
///
/// # Errors
/// `Limit`, when somebody else has changed the endpoint since it was checked, and both changes do not go together.
fn replacing(
    now: &Endpoint,
    mut fields: EndpointFields,
    options: &OptionsPatch,
) -> std::result::Result<EndpointChange, StoreError> {
    let is_enabled = now.fields.disabled && !fields.disabled;
    let disabling = is_enabled.then_some(None);
    let begins_again = is_enabled || is_mended(&now.fields, &fields) || options.has_credentials();
    let mut credentials = now.credentials.clone();
    options.clone().apply_credentials(&mut credentials);
    let lacks = options.auth.value().and_then(|auth| auth.lacks(Some(&now.credentials)));
    let wrong = wrong(&fields.options, &credentials, &now.headers).into_iter().next();
    if let Some(what) = wrong.map(|wrong| wrong.what).or(lacks.map(|name| format!("`auth` has no {name}"))) {
        return Err(StoreError::Limit(format!(
            "the endpoint was changed by somebody else meanwhile: {what}"
        )));
    }
    drop_default_name(&mut fields, &now.fields.url);
    let credentials = options.has_sealed().then_some(credentials);
    Ok(EndpointChange {
        fields: Some(fields),
        begins_again,
        disabling,
        credentials,
        ..EndpointChange::default()
    })
}

/// Whether what changes may be what made requests fail, or what judges them.
fn is_mended(before: &EndpointFields, after: &EndpointFields) -> bool {
    let (old, new) = (&before.options, &after.options);
    before.url != after.url
        || (&old.routes, old.method, old.disable_policy) != (&new.routes, new.method, new.disable_policy)
}

/// The name that is shown where none was chosen may be sent back: it is no choice.
fn drop_default_name(fields: &mut EndpointFields, url: &str) {
    let shown = [default_name(url), default_name(&fields.url)];
    if fields.options.name.as_ref().is_some_and(|name| shown.contains(name)) {
        fields.options.name = None;
    }
}
