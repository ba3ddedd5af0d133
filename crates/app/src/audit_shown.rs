//! What the audit log says of a thing: its fields as JSON, without secrets. What could be one is not copied but named: only what
//! stands here gets in.

use crate::notify::shown_slack;
use domain::application::ApplicationFields;
use domain::audit::{Action, Difference, HIDDEN, REPLACED};
use domain::auth::Auth;
use domain::credentials::Credentials;
use domain::endpoint::{Endpoint, EndpointFields};
use domain::environment::{EnvironmentSettings, SignatureHeaders};
use domain::event_type::EventTypeFields;
use domain::header::Header;
use domain::notify::Notify;
use domain::options::EndpointOptions;
use serde_json::{Map, Value, json};
use store::endpoint::EndpointChange;
use url::Url;

/// What a change makes of an endpoint, by its name; none when it changes nothing.
pub(crate) fn changed(now: &Endpoint, change: &EndpointChange) -> Option<(Action, Difference)> {
    let mut after = now.clone();
    change.fields.clone().into_iter().for_each(|fields| after.fields = fields);
    change.headers.clone().into_iter().for_each(|headers| after.headers = headers);
    change.credentials.clone().into_iter().for_each(|credentials| after.credentials = credentials);
    let difference = Difference::between(&endpoint(now, None), &endpoint(&after, Some(now)));
    if change.secrets.is_some() || (change.credentials.is_some() && change.fields.is_none()) {
        return Some((Action::SecretReplaced, Difference::default()));
    }
    let (old, new) = (&now.fields, &after.fields);
    let action = match ((old.disabled, new.disabled), (old.paused, new.paused)) {
        ((false, true), _) => Action::EndpointDisabled,
        ((true, false), _) => Action::EndpointEnabled,
        (_, (false, true)) => Action::EndpointPaused,
        (_, (true, false)) => Action::EndpointResumed,
        _ if change.fields.is_none() => Action::HeadersChanged,
        _ => Action::EndpointChanged,
    };
    difference.map(|difference| (action, difference))
}

/// An endpoint. Of secrets that `before` has too it says whether they are others now.
pub(crate) fn endpoint(endpoint: &Endpoint, before: Option<&Endpoint>) -> Value {
    let mut shown = Map::new();
    fields(&endpoint.fields, before.map(|before| &before.fields), &mut shown);
    options(&endpoint.fields.options, before.map(|before| &before.fields.options), &mut shown);
    let headers = self::headers(&endpoint.headers, before.map(|before| &*before.headers));
    put(&mut shown, "headers", (!headers.is_empty()).then_some(Value::Object(headers)));
    credentials(&endpoint.credentials, before.map(|before| &before.credentials), &mut shown);
    Value::Object(shown)
}

fn put(shown: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    shown.extend(value.filter(|value| !value.is_null()).map(|value| (name.to_owned(), value)));
}

fn fields(fields: &EndpointFields, before: Option<&EndpointFields>, shown: &mut Map<String, Value>) {
    put(shown, "url", Some(json!(shown_url(&fields.url, before.map(|before| &*before.url)))));
    put(shown, "uid", Some(json!(fields.uid)));
    put(shown, "description", (!fields.description.is_empty()).then(|| json!(fields.description)));
    put(shown, "metadata", (!fields.metadata.is_empty()).then(|| json!(fields.metadata)));
    put(shown, "disabled", Some(json!(fields.disabled)));
    put(shown, "paused", Some(json!(fields.paused)));
    put(shown, "eventTypes", Some(json!(fields.event_types)));
    put(shown, "channels", Some(json!(fields.channels)));
    put(shown, "throttleRate", Some(json!(fields.throttle_rate)));
}

/// They are stored as they are, and so they may be seen; but for what a URL can hold.
fn options(options: &EndpointOptions, before: Option<&EndpointOptions>, shown: &mut Map<String, Value>) {
    let mut options = options.clone();
    for route in &mut options.routes {
        let old = before.and_then(|before| before.mapped(&route.event_type)).map(|old| &*old.url);
        route.url = shown_url(&route.url, old);
    }
    if let Ok(Value::Object(all)) = serde_json::to_value(&options) {
        shown.extend(all);
    }
}

/// Their values may all be secrets: they are stored sealed.
fn headers(headers: &[Header], before: Option<&[Header]>) -> Map<String, Value> {
    let shown = headers.iter().map(|(name, value)| {
        let is_other = |(there, old): &Header| there.eq_ignore_ascii_case(name) && old != value;
        let replaced = before.is_some_and(|before| before.iter().any(is_other));
        (name.clone(), json!(if replaced { REPLACED } else { HIDDEN }))
    });
    shown.collect()
}

fn credentials(of: &Credentials, before: Option<&Credentials>, shown: &mut Map<String, Value>) {
    let secret = |is_other: bool| json!(if is_other { REPLACED } else { HIDDEN });
    if of.auth != Auth::None {
        let mut auth = json!({"type": of.auth.word(), "header": of.auth.header()});
        if let Auth::Oauth2(oauth2) = &of.auth {
            auth["tokenUrl"] = json!(plain_url(&oauth2.token_url));
            auth["clientId"] = json!(oauth2.client_id);
        }
        auth["secret"] =
            secret(before.is_some_and(|before| before.auth != of.auth && before.auth != Auth::None));
        put(shown, "auth", Some(auth));
    }
    if let Some(identity) = &of.identity {
        let old = before.and_then(|before| before.identity.as_ref());
        put(shown, "clientCertificate", Some(secret(old.is_some_and(|old| old != identity))));
    }
    if let Some(authority) = &of.certificate_authority {
        let old = before.and_then(|before| before.certificate_authority.as_ref());
        put(shown, "certificateAuthority", Some(secret(old.is_some_and(|old| old != authority))));
    }
    let signatures = of.signatures.iter().map(|one| {
        let old = before.and_then(|before| before.signatures.iter().find(|old| old.place() == one.place()));
        let changed = if old.is_some_and(|old| old != one) { " (changed)" } else { "" };
        format!("{}{changed}", one.place())
    });
    put(shown, "signatures", Some(json!(signatures.collect::<Vec<_>>())));
    let notify = of.notify.as_ref();
    put(shown, "notify", notify.map(|notify| self::notify(notify, before.and_then(|b| b.notify.as_ref()))));
}

/// Who is told: of a URL for Slack only where it is.
pub(crate) fn notify(notify: &Notify, before: Option<&Notify>) -> Value {
    let old = before.and_then(|before| before.slack_url.as_ref());
    let replaced = notify.slack_url.is_some() && old.is_some() && old != notify.slack_url.as_ref();
    let slack = shown_slack(notify).map(|url| if replaced { format!("{url} (replaced)") } else { url });
    json!({
        "emails": notify.emails,
        "slackUrl": slack,
        "push": notify.push,
        "operationalWebhook": notify.operational_webhook,
        "kinds": notify.kinds,
    })
}

pub(crate) fn application(fields: &ApplicationFields) -> Value {
    json!({
        "name": fields.name,
        "uid": fields.uid,
        "throttleRate": fields.throttle_rate,
        "metadata": Some(&fields.metadata).filter(|metadata| !metadata.is_empty()),
    })
}

/// Schemas are large: only which versions there are, and what they say where they are short.
pub(crate) fn event_type(fields: &EventTypeFields) -> Value {
    let schemas = fields.schemas.as_ref().map(|all| {
        let shown = all.iter().map(|(version, schema)| (version.clone(), Value::String(schema.to_string())));
        Value::Object(shown.collect())
    });
    json!({
        "description": fields.description,
        "archived": fields.archived,
        "deprecated": fields.deprecated,
        "schemas": schemas,
        "groupName": fields.group_name,
        "featureFlags": fields.feature_flags,
        "maxAttempts": fields.retries.max_attempts,
        "retrySchedule": fields.retries.retry_schedule,
    })
}

pub(crate) fn environment(headers: SignatureHeaders, settings: &EnvironmentSettings) -> Value {
    json!({
        "signatureHeaders": headers.word(),
        "schemaValidation": settings.schema_validation,
        "maxAttempts": settings.retries.max_attempts,
        "retrySchedule": settings.retries.retry_schedule,
    })
}

/// A URL without what opens it; where only that became another, it says so.
fn shown_url(text: &str, before: Option<&str>) -> String {
    let shown = plain_url(text);
    let is_other = before.is_some_and(|before| before != text && plain_url(before) == shown);
    if is_other { format!("{shown} (replaced)") } else { shown }
}

/// A URL without what opens it: user and password, and the values of its query.
fn plain_url(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return String::new() };
    if !url.username().is_empty() || url.password().is_some() {
        // Neither fails where there is a host.
        let _ = url.set_username(HIDDEN);
        let _ = url.set_password(None);
    }
    if url.query().is_some() {
        let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        url.query_pairs_mut().clear().extend_pairs(names.iter().map(|name| (name, HIDDEN)));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_opens_it() {
        assert_eq!(plain_url("https://hooks.example/in"), "https://hooks.example/in");
        assert_eq!(
            plain_url("https://ada:canary@hooks.example:8443/in?token=canary&x="),
            "https://hidden@hooks.example:8443/in?token=hidden&x=hidden"
        );
        let (one, other) = ("https://hooks.example/?token=1", "https://hooks.example/?token=2");
        assert_eq!(shown_url(other, Some(one)), "https://hooks.example/?token=hidden (replaced)");
        assert_eq!(shown_url(one, Some(one)), "https://hooks.example/?token=hidden");
    }
}
