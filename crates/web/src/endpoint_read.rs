//! From the form of a webhook to what is to be saved. What was typed is kept as it is, also where it cannot be taken.

use crate::form::Form;
use crate::mistakes::Mistakes;
use app::change::Change;
use app::credentials::{AuthInput, SignatureInput, SignatureKind};
use app::endpoint::{EndpointInput, EndpointPatch};
use app::options::OptionsPatch;
use domain::endpoint::EndpointFields;
use domain::format::{Format, Method, NotificationType};
use domain::health::DisablePolicy;
use domain::name::Metadata;
use domain::options::{EndpointOptions, Mapping};
use domain::signature::{Algorithm, Digits, HMAC_HEADER, Signs};
use domain::throttle::Period;
use domain::word::Worded;
use serde_json::Value;
use std::collections::BTreeMap;

/// The fields of the form, as texts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// One value each, by the name in the form.
    pub(crate) texts: BTreeMap<&'static str, String>,
    /// Boxes that are ticked.
    pub(crate) ticks: Vec<&'static str>,
    /// The event types that are chosen.
    pub(crate) events: Vec<String>,
    /// Event mappings: type and URL.
    pub(crate) routes: Vec<(String, String)>,
}

/// Every field with one value.
pub(crate) const TEXTS: [&str; 41] = [
    "name",
    "type",
    "url",
    "events",
    "method",
    "contentType",
    "auth.type",
    "auth.username",
    "auth.password",
    "auth.token",
    "auth.header",
    "auth.key",
    "auth.name",
    "auth.value",
    "auth.tokenUrl",
    "auth.clientId",
    "auth.clientSecret",
    "auth.scope",
    "auth.certificate",
    "auth.privateKey",
    "secret",
    "maxAttempts",
    "format",
    "fields",
    "template",
    "transformation",
    "filter",
    "retrySchedule",
    "timeoutSeconds",
    "throttleRate",
    "throttlePeriod",
    "maxInFlight",
    "disablePolicy",
    "hmac.header",
    "hmac.key",
    "hmac.algorithm",
    "hmac.encoding",
    "hmac.prefix",
    "hmac.signs",
    "description",
    "uid",
];
/// Fields of several lines beside those.
pub(crate) const LINES: [&str; 4] = ["headers", "channels", "metadata", "certificateAuthority"];
/// Every box.
pub(crate) const TICKS: [&str; 8] = [
    "enabled",
    "transformationEnabled",
    "eventHeaders",
    "ordered",
    "paused",
    "signs.standard",
    "signs.ed25519",
    "signs.hmac",
];

impl Fields {
    /// What was sent.
    pub(crate) fn of(form: &Form) -> Self {
        let names = TEXTS.into_iter().chain(LINES);
        let kept = |name: &'static str| (name, form.get(name).to_owned());
        let routes = form.all("routes.eventType").zip(form.all("routes.url"));
        let routes = routes.map(|(event_type, url)| (event_type.trim().to_owned(), url.trim().to_owned()));
        Self {
            texts: names.map(kept).collect(),
            ticks: TICKS.into_iter().filter(|name| form.has(name)).collect(),
            events: form
                .all("eventTypes")
                .flat_map(str::lines)
                .map(|one| one.trim().to_owned())
                .filter(|one| !one.is_empty())
                .collect(),
            routes: routes.filter(|(event_type, url)| !event_type.is_empty() || !url.is_empty()).collect(),
        }
    }

    /// The text of a field.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", String::as_str)
    }

    /// Whether a box is ticked.
    pub(crate) fn ticked(&self, name: &str) -> bool {
        self.ticks.contains(&name)
    }

    /// Whether an event type is chosen.
    pub(crate) fn wants(&self, event_type: &str) -> bool {
        self.events.iter().any(|one| one == event_type)
    }

    fn given(&self, name: &str) -> Option<String> {
        let text = self.text(name).trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn change(&self, name: &str) -> Change<String> {
        self.given(name).map_or(Change::Clear, Change::Set)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        self.text(name).lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
    }

    fn listed(&self, name: &str) -> Change<Vec<String>> {
        let lines = self.lines(name);
        if lines.is_empty() { Change::Clear } else { Change::Set(lines) }
    }

    fn number<T: std::str::FromStr>(&self, name: &str, mistakes: &mut Mistakes) -> Change<T> {
        let Some(text) = self.given(name) else { return Change::Clear };
        match text.parse() {
            Ok(number) => Change::Set(number),
            Err(_) => {
                mistakes.add(name, format!("`{text}` is no whole number, or far too large"));
                Change::Keep
            }
        }
    }

    fn word<T: Worded>(&self, name: &str, mistakes: &mut Mistakes) -> Change<T> {
        let Some(text) = self.given(name) else { return Change::Clear };
        T::from_word(&text).map_or_else(
            || {
                let known: Vec<_> = T::ALL.iter().map(|one| one.word()).collect();
                mistakes.add(name, format!("`{text}` is not known: {} are allowed", known.join(", ")));
                Change::Keep
            },
            Change::Set,
        )
    }

    /// `name: value` or `name=value`, one on each line.
    fn pairs(&self, name: &str, between: char, mistakes: &mut Mistakes) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for line in self.lines(name) {
            match line.split_once(between) {
                Some((key, value)) => pairs.push((key.trim().to_owned(), value.trim().to_owned())),
                None => mistakes.add(
                    name,
                    format!("`{line}` has no `{between}`: write a name, `{between}`, and a value"),
                ),
            }
        }
        pairs
    }

    fn seconds(&self, mistakes: &mut Mistakes) -> Change<Vec<u32>> {
        let name = "retrySchedule";
        let Some(text) = self.given(name) else { return Change::Clear };
        let parts = text.split([',', ' ', '\n']).filter(|part| !part.is_empty());
        match parts.map(str::parse).collect::<Result<Vec<u32>, _>>() {
            Ok(seconds) => Change::Set(seconds),
            Err(_) => {
                mistakes.add(name, format!("`{text}` is no list of seconds like `5, 60, 3600`"));
                Change::Keep
            }
        }
    }

    fn event_types(&self) -> Option<Vec<String>> {
        (self.text("events") == "some").then(|| self.events.clone())
    }

    fn metadata(&self, mistakes: &mut Mistakes) -> Metadata {
        self.pairs("metadata", '=', mistakes).into_iter().collect()
    }

    /// What is to be created. `spare` makes keys for signatures that have none.
    pub(crate) fn input(&self, spare: &dyn Fn(bool) -> String, mistakes: &mut Mistakes) -> EndpointInput {
        let throttle_rate = self.number("throttleRate", mistakes).value().copied();
        EndpointInput {
            fields: EndpointFields {
                uid: self.given("uid"),
                url: self.given("url").unwrap_or_default(),
                description: self.given("description").unwrap_or_default(),
                metadata: self.metadata(mistakes),
                disabled: !self.ticked("enabled"),
                paused: false,
                event_types: self.event_types(),
                channels: self.listed("channels").value().cloned(),
                throttle_rate,
                options: EndpointOptions::default(),
            },
            paused: Some(self.ticked("paused")),
            secret: self.given("secret"),
            headers: self.pairs("headers", ':', mistakes),
            options: self.options(spare, mistakes),
        }
    }

    /// What changes of one that is there. Its secret and its headers have pages of their own.
    pub(crate) fn patch(&self, spare: &dyn Fn(bool) -> String, mistakes: &mut Mistakes) -> EndpointPatch {
        EndpointPatch {
            uid: self.change("uid"),
            url: Some(self.given("url").unwrap_or_default()),
            description: self.change("description"),
            metadata: Change::Set(self.metadata(mistakes)),
            disabled: Change::Set(!self.ticked("enabled")),
            paused: Change::Set(self.ticked("paused")),
            event_types: self.event_types().map_or(Change::Clear, Change::Set),
            channels: self.listed("channels"),
            throttle_rate: self.number("throttleRate", mistakes),
            options: self.options(spare, mistakes),
        }
    }

    fn options(&self, spare: &dyn Fn(bool) -> String, mistakes: &mut Mistakes) -> OptionsPatch {
        let kind: Change<NotificationType> = self.word("type", mistakes);
        let format: Change<Format> = self.word("format", mistakes);
        // The type says it too: what was left as it stood follows the other one.
        let format = match (&kind, format) {
            (Change::Set(NotificationType::Slack), _) => Change::Keep,
            (_, Change::Set(Format::Slack)) => Change::Set(Format::Raw),
            (_, format) => format,
        };
        let routes = self
            .routes
            .iter()
            .map(|(event_type, url)| Mapping { event_type: event_type.clone(), url: url.clone() });
        OptionsPatch {
            name: self.change("name"),
            kind,
            method: self.word::<Method>("method", mistakes),
            content_type: self.change("contentType"),
            format,
            fields: self.listed("fields"),
            template: self.template(),
            transformation: self.code(),
            transformation_enabled: Change::Set(self.ticked("transformationEnabled")),
            filter: self.change("filter"),
            event_headers: Change::Set(self.ticked("eventHeaders")),
            routes: Change::Set(routes.collect()),
            max_attempts: self.number("maxAttempts", mistakes),
            retry_schedule: self.seconds(mistakes),
            timeout_seconds: self.number("timeoutSeconds", mistakes),
            throttle_period: self.word::<Period>("throttlePeriod", mistakes),
            max_in_flight: self.number("maxInFlight", mistakes),
            ordered: Change::Set(self.ticked("ordered")),
            disable_policy: self.word::<DisablePolicy>("disablePolicy", mistakes),
            auth: self.auth(mistakes),
            certificate_authority: self.change("certificateAuthority"),
            signatures: self.signatures(spare, mistakes),
            notify: Change::Keep,
        }
    }

    /// Code keeps its own blanks.
    fn code(&self) -> Change<String> {
        match self.text("transformation") {
            code if code.trim().is_empty() => Change::Clear,
            code => Change::Set(code.to_owned()),
        }
    }

    /// An object or a list of JSON whose texts are templates, or one text.
    fn template(&self) -> Change<Value> {
        let text = self.text("template");
        match serde_json::from_str::<Value>(text) {
            _ if text.trim().is_empty() => Change::Clear,
            Ok(json @ (Value::Object(_) | Value::Array(_))) => Change::Set(json),
            _ => Change::Set(Value::String(text.to_owned())),
        }
    }

    /// A secret part that is left empty stays as it is.
    fn auth(&self, mistakes: &mut Mistakes) -> Change<AuthInput> {
        let plain = |name: &str| self.given(name).unwrap_or_default();
        Change::Set(match self.text("auth.type") {
            "" | "none" => AuthInput::None,
            "basic" => {
                AuthInput::Basic { username: plain("auth.username"), password: self.given("auth.password") }
            }
            "bearer" => AuthInput::Bearer { token: self.given("auth.token") },
            "apiKey" => {
                AuthInput::ApiKey { header: self.given("auth.header"), value: self.given("auth.key") }
            }
            "header" => AuthInput::Header { name: plain("auth.name"), value: self.given("auth.value") },
            "oauth2" => AuthInput::Oauth2 {
                token_url: plain("auth.tokenUrl"),
                client_id: plain("auth.clientId"),
                client_secret: self.given("auth.clientSecret"),
                scope: self.given("auth.scope"),
            },
            "mtls" => AuthInput::Mtls {
                certificate: plain("auth.certificate"),
                private_key: self.given("auth.privateKey"),
            },
            other => {
                mistakes.add("auth.type", format!("`{other}` is not known"));
                return Change::Keep;
            }
        })
    }

    fn signatures(
        &self,
        spare: &dyn Fn(bool) -> String,
        mistakes: &mut Mistakes,
    ) -> Change<Vec<SignatureInput>> {
        let mut signatures = Vec::new();
        if self.ticked("signs.standard") {
            signatures.push(SignatureInput {
                kind: SignatureKind::Standard,
                key: None,
                spare: String::new(),
            });
        }
        if self.ticked("signs.ed25519") {
            let kind = SignatureKind::StandardEd25519;
            signatures.push(SignatureInput { kind, key: None, spare: spare(true) });
        }
        if self.ticked("signs.hmac") {
            let kind = SignatureKind::Hmac {
                header: Some(self.given("hmac.header").unwrap_or_else(|| HMAC_HEADER.to_owned())),
                algorithm: self
                    .word::<Algorithm>("hmac.algorithm", mistakes)
                    .value()
                    .copied()
                    .unwrap_or_default(),
                encoding: self.word::<Digits>("hmac.encoding", mistakes).value().copied().unwrap_or_default(),
                prefix: self.text("hmac.prefix").to_owned(),
                signs: self.word::<Signs>("hmac.signs", mistakes).value().copied().unwrap_or_default(),
            };
            // A key is its literal bytes: blanks count.
            let key = Some(self.text("hmac.key").to_owned()).filter(|key| !key.is_empty());
            signatures.push(SignatureInput { kind, key, spare: spare(false) });
        }
        Change::Set(signatures)
    }
}

#[cfg(test)]
#[path = "endpoint_read_tests.rs"]
mod tests;
