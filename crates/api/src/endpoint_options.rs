//! What an endpoint can be told beyond the wire's fields, as JSON: read for creation and change alike, shown with its
//! defaults. docs/endpoints.md explains each.

use crate::endpoint_auth::{auth_out, signatures_out};
use crate::json::{At, Field, Wire};
use crate::notify::NotifyOut;
use app::Problems;
use app::credentials::{AuthInput, SignatureInput};
use app::notify::NotifyInput;
use app::options::OptionsPatch;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::format::{Format, Method, NotificationType};
use domain::health::DisablePolicy;
use domain::options::Mapping;
use domain::throttle::Period;
use domain::word::Worded;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use utoipa::ToSchema;

/// Makes enums of words into fields of the wire.
macro_rules! words {
    ($($type:ty),+) => {$(
        impl crate::json::Wire for $type {
            const NAME: &'static str = "a word";

            fn read(value: serde_json::Value, at: &crate::json::At, problems: &mut app::Problems) -> Option<Self> {
                crate::endpoint_options::word(value, at, problems)
            }
        }
    )+};
}

pub(crate) use words;

words!(Format, Method, Period, NotificationType, DisablePolicy, domain::portal::Capability);

/// One of a type's words.
pub(crate) fn word<T: Worded>(value: Value, at: &At, problems: &mut Problems) -> Option<T> {
    let text = String::read(value, at, problems)?;
    let found = T::from_word(&text);
    if found.is_none() {
        let known: Vec<_> = T::ALL.iter().map(|value| format!("`{}`", value.word())).collect();
        problems.add_at(at.clone(), format!("`{text}` is not known: {} are allowed", known.join(", ")));
    }
    found
}

/// Any JSON.
impl Wire for Value {
    const NAME: &'static str = "JSON";

    fn read(value: Value, _: &At, _: &mut Problems) -> Option<Self> {
        Some(value)
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MappingIn {
    event_type: Field<String>,
    url: Field<String>,
}

impl Wire for Mapping {
    const NAME: &'static str = "an object like {\"eventType\": …, \"url\": …}";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        let object = Map::read(value, at, problems)?;
        let given: MappingIn = serde_json::from_value(Value::Object(object)).unwrap_or_default();
        let mut inner = Problems::default();
        let event_type = given.event_type.required("eventType", &mut inner);
        let url = given.url.required("url", &mut inner);
        let good = inner.is_empty();
        problems.add_within(at, inner);
        good.then_some(Self { event_type, url })
    }
}

/// The options as a client gives them: absent keeps, null is the default again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OptionsIn {
    /// A name for people; the URL's host unless told otherwise.
    #[serde(default)]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    name: Field<String>,
    /// `rest` or `slack`; `slack` sets the format.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    r#type: Field<NotificationType>,
    /// `POST`, `PUT`, `PATCH`, `DELETE` or `GET`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    method: Field<Method>,
    /// The media type; JSON, form, XML or text follows from it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    content_type: Field<String>,
    /// `raw`, `standard`, `envelope`, `cloudevents`, `cloudevents-binary` or `slack`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    format: Field<Format>,
    /// JSON paths of the payload to keep.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    fields: Field<Vec<String>>,
    /// A text, or JSON whose texts are templates.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    template: Field<Value>,
    /// JavaScript with a function `handler(webhook)`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    transformation: Field<String>,
    /// Whether the transformation is used.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    transformation_enabled: Field<bool>,
    /// A predicate over `type`, `data`, `context` and `headers`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    filter: Field<String>,
    /// Whether `X-Event-Type` and `X-Event-Origin` are sent.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    event_headers: Field<bool>,
    /// Event mappings: `[{eventType, url}]`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    routes: Field<Vec<Mapping>>,
    /// Tries after the first one.
    #[serde(default)]
    #[schema(value_type = Option<u8>, maximum = 25)]
    max_attempts: Field<u16>,
    /// Seconds between tries.
    #[serde(default)]
    #[schema(value_type = Option<Vec<u32>>, max_items = 25)]
    retry_schedule: Field<Vec<u64>>,
    /// The deadline of one request.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 30)]
    timeout_seconds: Field<u16>,
    /// `second`, `minute` or `hour`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    throttle_period: Field<Period>,
    /// Requests in flight at most.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 1, maximum = 128)]
    max_in_flight: Field<u16>,
    /// The next waits until the one before is settled.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    ordered: Field<bool>,
    /// What disables it by itself: `unrecoverable`, `failingFor`, `both` or `never`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    disable_policy: Field<DisablePolicy>,
    /// Authentication; secret parts that are absent stay as they are.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    auth: Field<AuthInput>,
    /// Certificate authorities, in PEM, that are believed too.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    certificate_authority: Field<String>,
    /// Signatures; keys that are absent stay as they are.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    signatures: Field<Vec<SignatureInput>>,
    /// Who hears of it when it fails; null is whoever the application says.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    notify: Field<NotifyInput>,
}

impl OptionsIn {
    /// The change that was asked for. Keys for signatures that have none are made by `spare`.
    pub(crate) fn read(self, spare: &dyn Fn(bool) -> String, problems: &mut Problems) -> OptionsPatch {
        let mut patch = OptionsPatch {
            name: self.name.change("name", problems),
            kind: self.r#type.change("type", problems),
            method: self.method.change("method", problems),
            content_type: self.content_type.change("contentType", problems),
            format: self.format.change("format", problems),
            fields: self.fields.change("fields", problems),
            template: self.template.change("template", problems),
            transformation: self.transformation.change("transformation", problems),
            transformation_enabled: self.transformation_enabled.change("transformationEnabled", problems),
            filter: self.filter.change("filter", problems),
            event_headers: self.event_headers.change("eventHeaders", problems),
            routes: self.routes.change("routes", problems),
            // What does not fit a byte is over each of these limits: 255 is refused with the limit's name.
            max_attempts: self.max_attempts.change("maxAttempts", problems).map(byte),
            retry_schedule: self.retry_schedule.change("retrySchedule", problems).map(seconds),
            timeout_seconds: self.timeout_seconds.change("timeoutSeconds", problems).map(byte),
            throttle_period: self.throttle_period.change("throttlePeriod", problems),
            max_in_flight: self.max_in_flight.change("maxInFlight", problems).map(byte),
            ordered: self.ordered.change("ordered", problems),
            disable_policy: self.disable_policy.change("disablePolicy", problems),
            auth: self.auth.change("auth", problems),
            certificate_authority: self.certificate_authority.change("certificateAuthority", problems),
            signatures: self.signatures.change("signatures", problems),
            notify: self.notify.change("notify", problems),
        };
        if let app::change::Change::Set(signatures) = &mut patch.signatures {
            for signature in signatures {
                let ed25519 = signature.kind == app::credentials::SignatureKind::StandardEd25519;
                signature.spare = spare(ed25519);
            }
        }
        patch
    }
}

pub(crate) fn byte(number: u16) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

pub(crate) fn seconds(given: Vec<u64>) -> Vec<u32> {
    given.into_iter().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX)).collect()
}

/// The options as they are shown.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OptionsOut {
    /// A name for people.
    name: String,
    /// `rest` or `slack`.
    r#type: &'static str,
    /// The method.
    method: &'static str,
    /// The media type of the body.
    content_type: String,
    /// The format.
    format: &'static str,
    /// JSON paths of the payload to keep.
    fields: Option<Vec<String>>,
    /// The template.
    #[schema(value_type = Option<Object>)]
    template: Option<Value>,
    /// JavaScript.
    transformation: Option<String>,
    /// Whether the transformation is used.
    transformation_enabled: bool,
    /// The filter.
    filter: Option<String>,
    /// Whether `X-Event-Type` and `X-Event-Origin` are sent.
    event_headers: bool,
    /// Event mappings.
    #[schema(value_type = Vec<Object>)]
    routes: Vec<Mapping>,
    /// Tries after the first one; null is as the levels above say.
    max_attempts: Option<u8>,
    /// Seconds between tries; null is as the levels above say.
    retry_schedule: Option<Vec<u32>>,
    /// The deadline of one request; null is the setting's.
    timeout_seconds: Option<u8>,
    /// What `throttleRate` counts in.
    throttle_period: &'static str,
    /// Requests in flight at most; null is adaptive.
    max_in_flight: Option<u8>,
    /// The next waits until the one before is settled.
    ordered: bool,
    /// What disables it by itself.
    disable_policy: &'static str,
    /// Authentication, without its secret part.
    #[schema(value_type = Object)]
    auth: Value,
    /// Certificate authorities that are believed too.
    certificate_authority: Option<String>,
    /// Signatures, without their keys.
    #[schema(value_type = Vec<Object>)]
    signatures: Vec<Value>,
    /// Who hears of it when it fails; null is whoever the application says.
    notify: Option<NotifyOut>,
    /// What is worth knowing: a certificate that has expired.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    warnings: Vec<Cow<'static, str>>,
}

impl OptionsOut {
    pub(crate) fn of(endpoint: &Endpoint, now: Timestamp) -> Self {
        let options = endpoint.fields.options.clone();
        let credentials = &endpoint.credentials;
        let is_slack = options.format == Format::Slack;
        Self {
            r#type: if is_slack { NotificationType::Slack } else { NotificationType::Rest }.word(),
            method: options.method.word(),
            content_type: options.content_type().to_owned(),
            format: options.format.word(),
            name: options.name.unwrap_or_else(|| domain::endpoint::default_name(&endpoint.fields.url)),
            fields: options.fields,
            template: options.template,
            transformation_enabled: options.transformation.as_ref().is_none_or(|t| t.enabled),
            transformation: options.transformation.map(|t| t.code),
            filter: options.filter,
            event_headers: !options.without_event_headers,
            routes: options.routes,
            max_attempts: options.max_attempts,
            retry_schedule: options.retry_schedule,
            timeout_seconds: options.timeout_seconds,
            throttle_period: options.throttle_period.word(),
            max_in_flight: options.max_in_flight,
            ordered: options.ordered,
            disable_policy: options.disable_policy.word(),
            auth: auth_out(credentials, false),
            certificate_authority: credentials.certificate_authority.clone(),
            signatures: signatures_out(&credentials.signatures, false),
            notify: credentials.notify.as_ref().map(NotifyOut::of),
            warnings: app::credentials::warnings(credentials, now),
        }
    }
}
