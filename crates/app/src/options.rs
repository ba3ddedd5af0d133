//! What an endpoint can be told beyond the wire's fields: changed field by field, checked as a whole.
//!
//! A field that is absent stays as it is, also where the wire's own fields are all replaced (PUT): SDKs cannot send these.

use crate::App;
use crate::change::Change;
use crate::credentials::{AuthInput, SignatureInput, beside, check_certificates};
use crate::error::{AppError, Problems, Result};
use crate::notify::NotifyInput;
use domain::auth::Auth;
use domain::credentials::Credentials;
use domain::endpoint::Endpoint;
use domain::format::{Format, Method, NotificationType};
use domain::header::Header;
use domain::health::DisablePolicy;
use domain::options::{EndpointOptions, Mapping, Transformation};
use domain::options_check::check_together;
use domain::throttle::Period;
use domain::wrong::{Found, Wrong};
use serde_json::Value;
use shape::{Fields, Filter, ScriptError, Template};
use std::borrow::Cow;
use url::Url;

/// What changes of an endpoint's options.
#[derive(Clone, Debug, Default)]
pub struct OptionsPatch {
    /// A name for people.
    pub name: Change<String>,
    /// The notification type.
    pub kind: Change<NotificationType>,
    /// The method.
    pub method: Change<Method>,
    /// The content type.
    pub content_type: Change<String>,
    /// The format.
    pub format: Change<Format>,
    /// JSON paths to keep.
    pub fields: Change<Vec<String>>,
    /// The template.
    pub template: Change<Value>,
    /// The transformation's code.
    pub transformation: Change<String>,
    /// Whether the transformation is used.
    pub transformation_enabled: Change<bool>,
    /// The filter.
    pub filter: Change<String>,
    /// Whether `X-Event-Type` and `X-Event-Origin` are sent.
    pub event_headers: Change<bool>,
    /// Event mappings.
    pub routes: Change<Vec<Mapping>>,
    /// Tries after the first.
    pub max_attempts: Change<u8>,
    /// Seconds between tries.
    pub retry_schedule: Change<Vec<u32>>,
    /// The deadline of one request.
    pub timeout_seconds: Change<u8>,
    /// What the throttle's rate counts in.
    pub throttle_period: Change<Period>,
    /// Requests in flight.
    pub max_in_flight: Change<u8>,
    /// Strict order.
    pub ordered: Change<bool>,
    /// What disables it by itself.
    pub disable_policy: Change<DisablePolicy>,
    /// Authentication.
    pub auth: Change<AuthInput>,
    /// Certificate authorities that are believed too.
    pub certificate_authority: Change<String>,
    /// Signatures.
    pub signatures: Change<Vec<SignatureInput>>,
    /// Who hears of it when it fails.
    pub notify: Change<NotifyInput>,
}

impl OptionsPatch {
    /// Applies the changes to the options alone.
    pub(crate) fn apply(self, options: &mut EndpointOptions) {
        let own_content_type = options.own_content_type();
        self.name.apply_to(&mut options.name);
        self.method.apply_or_default(&mut options.method);
        match (&self.kind, self.format) {
            (Change::Set(NotificationType::Slack), Change::Keep | Change::Clear) => {
                options.format = Format::Slack
            }
            // Back to REST: the format of Slack goes, any other stays.
            (Change::Set(NotificationType::Rest) | Change::Clear, Change::Keep)
                if options.format == Format::Slack =>
            {
                options.format = Format::Raw;
            }
            (_, format) => format.apply_or_default(&mut options.format),
        }
        self.content_type.apply_to(&mut options.content_type);
        // What is, or was, shown as the default may be sent back: it is no choice.
        let defaults = [own_content_type, options.own_content_type()];
        if options.content_type.as_deref().is_some_and(|chosen| defaults.contains(&chosen)) {
            options.content_type = None;
        }
        self.fields.apply_to(&mut options.fields);
        self.template.apply_to(&mut options.template);
        apply_transformation(self.transformation, self.transformation_enabled, &mut options.transformation);
        self.filter.apply_to(&mut options.filter);
        let without = match self.event_headers {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(with) => Change::Set(!with),
        };
        without.apply_or_default(&mut options.without_event_headers);
        self.routes.apply_or_default(&mut options.routes);
        self.max_attempts.apply_to(&mut options.max_attempts);
        self.retry_schedule.apply_to(&mut options.retry_schedule);
        self.timeout_seconds.apply_to(&mut options.timeout_seconds);
        self.throttle_period.apply_or_default(&mut options.throttle_period);
        self.max_in_flight.apply_to(&mut options.max_in_flight);
        self.ordered.apply_or_default(&mut options.ordered);
        self.disable_policy.apply_or_default(&mut options.disable_policy);
    }

    /// Applies the changes to the credentials alone.
    pub(crate) fn apply_credentials(self, credentials: &mut Credentials) {
        match self.auth {
            Change::Keep => {}
            Change::Clear => AuthInput::default().apply(credentials),
            Change::Set(input) => input.apply(credentials),
        }
        self.certificate_authority.apply_to(&mut credentials.certificate_authority);
        match self.signatures {
            Change::Keep => {}
            Change::Clear => credentials.signatures = Credentials::default().signatures,
            Change::Set(inputs) => {
                let there = std::mem::take(&mut credentials.signatures);
                credentials.signatures = beside(inputs, &there);
            }
        }
        match self.notify {
            Change::Keep => {}
            Change::Clear => credentials.notify = None,
            Change::Set(input) => {
                credentials.notify = Some(input.apply(credentials.notify.take().unwrap_or_default()));
            }
        }
    }

    /// Whether what is stored sealed changes.
    pub(crate) const fn has_sealed(&self) -> bool {
        self.has_credentials() || !matches!(self.notify, Change::Keep)
    }

    /// Whether the credentials change that requests are made with.
    pub(crate) const fn has_credentials(&self) -> bool {
        !matches!(
            (&self.auth, &self.certificate_authority, &self.signatures),
            (Change::Keep, Change::Keep, Change::Keep)
        )
    }

    /// What contradicts itself within the change.
    fn check_kind(&self, problems: &mut Problems) {
        let format = self.format.value().copied();
        let contradicts = match self.kind.value() {
            Some(NotificationType::Slack) => format.is_some_and(|format| format != Format::Slack),
            Some(NotificationType::Rest) => format == Some(Format::Slack),
            None => false,
        };
        if contradicts {
            problems
                .add("type", "`slack` and `format` slack go together: leave `format` out, or choose `rest`");
        }
    }
}

/// The code and whether it is used are two fields of one thing.
fn apply_transformation(code: Change<String>, enabled: Change<bool>, there: &mut Option<Transformation>) {
    match code {
        Change::Keep => {}
        Change::Clear => *there = None,
        // New code is meant to be used, unless told otherwise.
        Change::Set(code) => *there = Some(Transformation { code, enabled: true }),
    }
    if let Some(transformation) = there {
        match enabled {
            Change::Keep => {}
            Change::Clear => transformation.enabled = true,
            Change::Set(enabled) => transformation.enabled = enabled,
        }
    }
}

/// An endpoint as it would be, to be checked.
pub(crate) struct Proposed<'a> {
    pub(crate) options: &'a EndpointOptions,
    pub(crate) credentials: &'a Credentials,
    pub(crate) headers: &'a [Header],
    /// What it was before, if it was there: a part that stays as it was is not asked about again.
    pub(crate) before: Option<&'a Endpoint>,
}

/// What is wrong with options and credentials, each by itself and beside each other, as far as values tell.
pub(crate) fn wrong(options: &EndpointOptions, credentials: &Credentials, headers: &[Header]) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    options.check(&mut Found::new(&mut wrong));
    check_together(options, &mut Found::new(&mut wrong));
    credentials.check(headers, &mut Found::new(&mut wrong));
    wrong
}

impl App {
    /// Checks an endpoint's options as a whole: each by itself, beside each other, and by those who use them.
    pub(crate) async fn check_options(
        &self,
        proposed: &Proposed<'_>,
        patch: &OptionsPatch,
        problems: &mut Problems,
    ) -> Result<()> {
        let Proposed { options, credentials, headers, before } = proposed;
        patch.check_kind(problems);
        for Wrong { at, what } in wrong(options, credentials, headers) {
            problems.add_at(at, what);
        }
        let there = before.map(|endpoint| &endpoint.credentials);
        if let Some(name) = patch.auth.value().and_then(|auth| auth.lacks(there)) {
            problems.add_at(["auth".into(), name.into()], "is missing: there is none that could stay");
        }
        if let Some(Err(wrong)) = options.fields.as_ref().map(|paths| Fields::parse(paths)) {
            wrong.into_iter().for_each(|(index, what)| problems.add_item("fields", index, what));
        }
        if let Some(Err(what)) = options.template.as_ref().map(Template::parse) {
            problems.add("template", format!("does not read: {what}"));
        }
        if let Some(Err(what)) = options.filter.as_deref().map(Filter::parse) {
            problems.add("filter", what);
        }
        check_certificates(credentials, problems);
        let known = before.map(|endpoint| &endpoint.fields.options);
        self.check_urls(options, known, problems);
        self.check_token_url(credentials, there, problems);
        let code = options.transformation.as_ref().map(|t| &t.code);
        if code != known.and_then(|known| known.transformation.as_ref()).map(|t| &t.code)
            && let Some(code) = code
        {
            self.check_code(code, problems).await?;
        }
        Ok(())
    }

    async fn check_code(&self, code: &str, problems: &mut Problems) -> Result<()> {
        match self.inner.parts.sandbox.check(code).await {
            Ok(Ok(())) => {}
            Ok(Err(what)) => problems.add("transformation", format!("cannot be used: {what}")),
            Err(ScriptError::TimedOut) => {
                problems.add("transformation", "takes too long before `handler` is called")
            }
            // Nothing is wrong with it, as far as we know.
            Err(error) => return Err(AppError::Unavailable(error.to_string())),
        }
        Ok(())
    }

    /// A URL that was good stays good when something else is changed.
    fn check_urls(
        &self,
        options: &EndpointOptions,
        known: Option<&EndpointOptions>,
        problems: &mut Problems,
    ) {
        for (index, mapping) in options.routes.iter().enumerate() {
            if known.is_some_and(|known| known.routes.contains(mapping)) {
                continue;
            }
            if let Err(what) = self.check_target(&mapping.url) {
                problems.add_at(["routes".into(), Cow::Owned(format!("[{index}]")), "url".into()], what);
            }
        }
    }

    fn check_token_url(
        &self,
        credentials: &Credentials,
        there: Option<&Credentials>,
        problems: &mut Problems,
    ) {
        let Auth::Oauth2(oauth2) = &credentials.auth else { return };
        let is_known = there.is_some_and(
            |there| matches!(&there.auth, Auth::Oauth2(known) if known.token_url == oauth2.token_url),
        );
        if !is_known && let Err(what) = self.check_target(&oauth2.token_url) {
            problems.add_at(["auth".into(), "tokenUrl".into()], what);
        }
    }

    /// Whether requests may be sent to a URL, as far as it tells.
    ///
    /// # Errors
    /// A sentence for whoever gave it.
    pub(crate) fn check_target(&self, text: &str) -> Result<(), String> {
        let url = Url::parse(text)
            .map_err(|error| format!("is not a URL ({error}): give https:// and a host name"))?;
        self.inner.parts.egress.policy().check_url(&url).map_err(|blocked| blocked.to_string())
    }
}
