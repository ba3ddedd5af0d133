//! From a webhook to its form. Secret parts are never in it: left empty they stay as they are.

use crate::endpoint_read::Fields;
use domain::auth::Auth;
use domain::endpoint::Endpoint;
use domain::format::{Format, NotificationType};
use domain::options::{CONTENT_TYPE, EndpointOptions};
use domain::signature::{HMAC_HEADER, Signature};
use domain::word::Worded;
use serde_json::Value;

impl Fields {
    /// The form of a webhook that is to be.
    pub(crate) fn empty() -> Self {
        let mut fields = Self::default();
        for (name, text) in [
            ("type", "rest"),
            ("events", "all"),
            ("method", "POST"),
            ("contentType", CONTENT_TYPE),
            ("auth.type", "none"),
            ("format", "raw"),
            ("throttlePeriod", "second"),
            ("disablePolicy", "both"),
            ("hmac.header", HMAC_HEADER),
        ] {
            fields.set(name, text);
        }
        fields.ticks = vec!["enabled", "transformationEnabled", "eventHeaders", "signs.standard"];
        fields
    }

    /// The form of one that is there.
    pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Self {
        let mut fields = Self::empty();
        let given = &endpoint.fields;
        fields.set("url", &given.url);
        fields.set("uid", given.uid.as_deref().unwrap_or_default());
        fields.set("description", &given.description);
        fields.set("channels", given.channels.clone().unwrap_or_default().join("\n"));
        fields.set("throttleRate", text(given.throttle_rate));
        let metadata: Vec<_> = given.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
        fields.set("metadata", metadata.join("\n"));
        fields.tick("enabled", !given.disabled);
        fields.tick("paused", given.paused);
        if let Some(events) = &given.event_types {
            fields.set("events", "some");
            fields.events = events.clone();
        }
        fields.set_options(&given.options);
        fields.set_auth(endpoint);
        fields.set_signatures(&endpoint.credentials.signatures);
        fields.set(
            "certificateAuthority",
            endpoint.credentials.certificate_authority.as_deref().unwrap_or_default(),
        );
        fields
    }

    fn set_options(&mut self, options: &EndpointOptions) {
        let is_slack = options.format == Format::Slack;
        let kind = if is_slack { NotificationType::Slack } else { NotificationType::Rest };
        self.set("name", options.name.as_deref().unwrap_or_default());
        self.set("type", kind.word());
        self.set("method", options.method.word());
        self.set("contentType", options.content_type());
        self.set("format", options.format.word());
        self.set("fields", options.fields.clone().unwrap_or_default().join("\n"));
        self.set(
            "template",
            match &options.template {
                None => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(json) => serde_json::to_string_pretty(json).unwrap_or_default(),
            },
        );
        let transformation = options.transformation.as_ref();
        self.set("transformation", transformation.map_or("", |one| &*one.code));
        self.tick("transformationEnabled", transformation.is_none_or(|one| one.enabled));
        self.set("filter", options.filter.as_deref().unwrap_or_default());
        self.tick("eventHeaders", !options.without_event_headers);
        self.routes = options.routes.iter().map(|one| (one.event_type.clone(), one.url.clone())).collect();
        self.set("maxAttempts", text(options.max_attempts));
        let seconds = options.retry_schedule.iter().flatten().map(u32::to_string).collect::<Vec<_>>();
        self.set("retrySchedule", seconds.join(", "));
        self.set("timeoutSeconds", text(options.timeout_seconds));
        self.set("throttlePeriod", options.throttle_period.word());
        self.set("maxInFlight", text(options.max_in_flight));
        self.tick("ordered", options.ordered);
        self.set("disablePolicy", options.disable_policy.word());
    }

    fn set_auth(&mut self, endpoint: &Endpoint) {
        let identity = endpoint.credentials.identity.as_ref();
        let auth = &endpoint.credentials.auth;
        self.set("auth.type", if identity.is_some() { "mtls" } else { auth.word() });
        if let Some(identity) = identity {
            self.set("auth.certificate", &identity.certificate);
        }
        match auth {
            Auth::None | Auth::Bearer { .. } => {}
            Auth::Basic { username, .. } => self.set("auth.username", username),
            Auth::ApiKey { header, .. } => self.set("auth.header", header),
            Auth::Header { name, .. } => self.set("auth.name", name),
            Auth::Oauth2(client) => {
                self.set("auth.tokenUrl", &client.token_url);
                self.set("auth.clientId", &client.client_id);
                self.set("auth.scope", client.scope.as_deref().unwrap_or_default());
            }
        }
    }

    fn set_signatures(&mut self, signatures: &[Signature]) {
        self.tick("signs.standard", signatures.iter().any(|one| matches!(one, Signature::Standard)));
        let has_ed25519 = signatures.iter().any(|one| matches!(one, Signature::StandardEd25519 { .. }));
        self.tick("signs.ed25519", has_ed25519);
        let hmac =
            signatures.iter().find_map(|one| if let Signature::Hmac(hmac) = one { Some(hmac) } else { None });
        self.tick("signs.hmac", hmac.is_some());
        if let Some(hmac) = hmac {
            self.set("hmac.header", &hmac.header);
            self.set("hmac.algorithm", hmac.algorithm.word());
            self.set("hmac.encoding", hmac.encoding.word());
            self.set("hmac.prefix", &hmac.prefix);
            self.set("hmac.signs", hmac.signs.word());
        }
    }

    fn set(&mut self, name: &'static str, text: impl Into<String>) {
        self.texts.insert(name, text.into());
    }

    fn tick(&mut self, name: &'static str, is_on: bool) {
        self.ticks.retain(|there| *there != name);
        if is_on {
            self.ticks.push(name);
        }
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Whether the form can show all signatures: it has room for one HMAC.
pub(crate) fn shows_signatures(signatures: &[Signature]) -> bool {
    signatures.iter().filter(|one| matches!(one, Signature::Hmac(_))).count() <= 1
}
