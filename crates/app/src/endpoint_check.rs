//! What an endpoint may be, whoever creates or changes it: everything wrong is told at once, and nothing is saved before.

use crate::App;
use crate::application::check_throttle;
use crate::change::Change;
use crate::error::{Problems, Result};
use crate::list::{CHANNELS, Rule, unique};
use crate::operational;
use crate::options::{OptionsPatch, Proposed};
use crate::principal::{Principal, Right, Scope};
use domain::endpoint::{Endpoint, EndpointFields};
use domain::header::Header;
use domain::limit::{EVENT_TYPES_MAX, URL_BYTES_MAX};
use domain::name::{check_description, check_metadata, check_plain, check_uid};
use domain::wire_id::Kind;
use std::collections::HashSet;

/// Who asks for a change of which endpoint, and what it makes of the options.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) principal: &'a Principal,
    pub(crate) before: Option<&'a Endpoint>,
    pub(crate) options: &'a OptionsPatch,
}

impl App {
    /// The fields with the options that were asked for, when all of it is good.
    pub(crate) async fn checked(
        &self,
        asked: Asked<'_>,
        mut fields: EndpointFields,
        (headers, mut problems): (&[Header], Problems),
    ) -> Result<EndpointFields> {
        asked.options.clone().apply(&mut fields.options);
        check(&fields, &mut problems);
        self.check_url(&fields.url, true, &mut problems);
        let types = fields.event_types.as_deref().unwrap_or_default();
        self.check_event_types(asked, types, &mut problems).await?;
        self.check_own(asked, &fields, (headers, &mut problems)).await?;
        problems.finish()?;
        Ok(each_once(fields))
    }

    /// Checks what is beyond the wire's fields.
    pub(crate) async fn check_own(
        &self,
        asked: Asked<'_>,
        fields: &EndpointFields,
        (headers, problems): (&[Header], &mut Problems),
    ) -> Result<()> {
        let mut credentials = asked.before.map(|endpoint| endpoint.credentials.clone()).unwrap_or_default();
        asked.options.clone().apply_credentials(&mut credentials);
        let options = &fields.options;
        if asked.options.transformation != Change::Keep
            || asked.options.transformation_enabled != Change::Keep
        {
            self.check_transformation(asked)?;
        }
        if asked.principal.scope == Scope::Operational {
            operational::check_options(fields, problems);
        }
        let proposed = Proposed { options, credentials: &credentials, headers, before: asked.before };
        self.check_options(&proposed, asked.options, problems).await?;
        if let Change::Set(input) = &asked.options.notify
            && input.operational_webhook != Change::Keep
            && asked.principal.scope != Scope::Environment
        {
            let what = "is for the environment to say: leave it out";
            problems.add_at(["notify".into(), "operationalWebhook".into()], what);
        }
        if let Change::Set(input) = &asked.options.notify
            && matches!(input.slack_url, Change::Set(_))
            && let Some(url) = credentials.notify.as_ref().and_then(|notify| notify.slack_url.as_ref())
            && let Err(what) = self.check_target(url.reveal())
        {
            problems.add_at(["notify".into(), "slackUrl".into()], what);
        }
        if let Change::Set(routes) = &asked.options.routes {
            let types: Vec<_> = routes.iter().map(|mapping| mapping.event_type.clone()).collect();
            let known = asked.before.map(|endpoint| &*endpoint.fields.options.routes).unwrap_or_default();
            let present: Vec<_> = known.iter().map(|mapping| mapping.event_type.clone()).collect();
            self.check_known((asked.principal, &present), ("routes", &types), problems).await?;
        }
        Ok(())
    }

    /// What is sent back as it is there is no change.
    fn check_transformation(&self, asked: Asked<'_>) -> Result<()> {
        let before = asked.before.map(|endpoint| endpoint.fields.options.clone()).unwrap_or_default();
        let mut after = before.clone();
        asked.options.clone().apply(&mut after);
        if after.transformation == before.transformation {
            Ok(())
        } else {
            asked.principal.may(Right::Transform)
        }
    }

    /// A URL that was good stays good when something else is changed, even if the policy is stricter by now.
    pub(crate) fn check_url(&self, text: &str, changed: bool, problems: &mut Problems) {
        if !changed {
            return;
        }
        if text.len() > URL_BYTES_MAX {
            let bytes = text.len();
            return problems
                .add("url", format!("has {bytes} bytes: at most {URL_BYTES_MAX} (url_bytes_max)"));
        }
        if let Err(what) = self.check_target(text) {
            problems.add("url", what);
        }
    }

    /// Those that the endpoint has may stay also when the one who asks does not see them. A list that is too long was
    /// refused before, and costs no query.
    pub(crate) async fn check_event_types(
        &self,
        asked: Asked<'_>,
        names: &[String],
        problems: &mut Problems,
    ) -> Result<()> {
        let present = asked.before.and_then(|endpoint| endpoint.fields.event_types.as_deref());
        let present = present.unwrap_or_default();
        self.check_known((asked.principal, present), ("eventTypes", names), problems).await
    }

    async fn check_known(
        &self,
        (principal, present): (&Principal, &[String]),
        (field, names): (&'static str, &[String]),
        problems: &mut Problems,
    ) -> Result<()> {
        if names.is_empty() || names.len() > EVENT_TYPES_MAX {
            return Ok(());
        }
        if principal.scope == Scope::Operational {
            operational::check_event_types(names, problems);
            return Ok(());
        }
        let environment = principal.environment.key;
        let flags = principal.feature_flags.as_deref();
        let present: HashSet<&String> = present.iter().collect();
        let (kept, new): (Vec<_>, Vec<_>) = names.iter().cloned().partition(|name| present.contains(name));
        let mut missing = self.store().event_type_missing(environment, flags, &new).await?;
        missing.extend(self.store().event_type_missing(environment, None, &kept).await?);
        if !missing.is_empty() {
            let list = missing.join("`, `");
            problems.add(field, format!("these event types do not exist or are archived: `{list}`"));
        }
        Ok(())
    }
}

pub(crate) fn each_once(fields: EndpointFields) -> EndpointFields {
    let event_types = fields.event_types.map(unique);
    let channels = fields.channels.map(unique);
    EndpointFields { event_types, channels, ..fields }
}

pub(crate) fn check(fields: &EndpointFields, problems: &mut Problems) {
    if let Some(uid) = &fields.uid {
        problems.check("uid", check_uid(uid, Kind::Endpoint));
    }
    problems.check("description", check_description(&fields.description));
    problems.check("metadata", check_metadata(&fields.metadata));
    check_throttle(problems, fields.throttle_rate);
    let types = fields.event_types.as_deref();
    Rule { least: 1, most: EVENT_TYPES_MAX, limit: "event_types_max", item: check_plain }.check(
        problems,
        "eventTypes",
        types,
    );
    let channels = fields.channels.as_deref();
    CHANNELS.check(problems, "channels", channels);
}
