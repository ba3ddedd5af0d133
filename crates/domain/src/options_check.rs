//! Which values the options of an endpoint may have, each by itself and beside each other: the tables in docs/endpoints.md.

use crate::format::{Encoding, Format, Method, check_content_type};
use crate::limit::{
    ENDPOINT_IN_FLIGHT_MAX, ENDPOINT_NAME_CHARS_MAX, FIELD_BYTES_MAX, FIELDS_MAX, FILTER_BYTES_MAX,
    MAX_ATTEMPTS_MAX, OPTIONS_BYTES_MAX, ROUTES_MAX, TEMPLATE_BYTES_MAX, TIMEOUT_SECONDS_MAX,
    TRANSFORMATION_BYTES_MAX, URL_BYTES_MAX,
};
use crate::name::{BadName, check_plain, check_text};
use crate::options::{EndpointOptions, Mapping};
use crate::retry::Schedule;
use crate::word::Worded;
use crate::wrong::Found;
use serde_json::Value;

/// What the content types of CloudEvents in structured mode begin with.
const CLOUD_EVENTS_FAMILY: &str = "application/cloudevents";

impl EndpointOptions {
    /// Notes what is wrong with each option by itself. Whether paths, templates, code, filters and URLs can be used is asked by
    /// whoever can use them.
    pub fn check(&self, found: &mut Found<'_>) {
        if let Some(name) = &self.name {
            found.check("name", check_endpoint_name(name));
        }
        if let Some(content_type) = &self.content_type {
            found.check("contentType", check_content_type(content_type));
        }
        let bytes = serde_json::to_vec(self).map_or(0, |json| json.len());
        if bytes > OPTIONS_BYTES_MAX {
            found.add(format!(
                "all options together have {bytes} bytes: at most {OPTIONS_BYTES_MAX} (options_bytes_max)"
            ));
        }
        self.check_fields(found);
        self.check_texts(found);
        self.check_routes(found);
        self.check_retries(found);
        if let Some(most) = self.max_in_flight
            && !(1..=ENDPOINT_IN_FLIGHT_MAX).contains(&u32::from(most))
        {
            found.wrong(
                "maxInFlight",
                format!("{most}: 1 to {ENDPOINT_IN_FLIGHT_MAX} are allowed (endpoint_in_flight_max)"),
            );
        }
    }

    fn check_fields(&self, found: &mut Found<'_>) {
        let Some(fields) = &self.fields else { return };
        let mut found = found.below("fields");
        if !(1..=FIELDS_MAX).contains(&fields.len()) {
            found.add(format!("has {} paths: 1 to {FIELDS_MAX} are allowed (fields_max)", fields.len()));
        }
        for (index, path) in fields.iter().enumerate() {
            if path.len() > FIELD_BYTES_MAX {
                found
                    .item(index)
                    .add(format!("has {} bytes: at most {FIELD_BYTES_MAX} (field_bytes_max)", path.len()));
            }
        }
    }

    fn check_texts(&self, found: &mut Found<'_>) {
        if let Some(template) = &self.template {
            let bytes = template.as_str().map_or_else(|| template.to_string().len(), str::len);
            if bytes > TEMPLATE_BYTES_MAX {
                found.wrong(
                    "template",
                    format!("has {bytes} bytes: at most {TEMPLATE_BYTES_MAX} (template_bytes_max)"),
                );
            }
        }
        if let Some(code) = self.transformation.as_ref().map(|t| &t.code)
            && code.len() > TRANSFORMATION_BYTES_MAX
        {
            let bytes = code.len();
            found.wrong(
                "transformation",
                format!("has {bytes} bytes: at most {TRANSFORMATION_BYTES_MAX} (transformation_bytes_max)"),
            );
        }
        // PostgreSQL's JSON cannot hold it, and no language here needs it.
        let has_nul = |text: &str| text.contains(['\0']) || text.contains("\\u0000");
        for (name, text) in [
            ("template", self.template.as_ref().map(Value::to_string)),
            ("filter", self.filter.clone()),
            ("transformation", self.transformation.as_ref().map(|t| t.code.clone())),
            ("fields", self.fields.as_ref().map(|paths| paths.concat())),
        ] {
            if text.is_some_and(|text| has_nul(&text)) {
                found.wrong(name, "holds the character U+0000: remove it");
            }
        }
        if let Some(filter) = &self.filter
            && filter.len() > FILTER_BYTES_MAX
        {
            found.wrong(
                "filter",
                format!("has {} bytes: at most {FILTER_BYTES_MAX} (filter_bytes_max)", filter.len()),
            );
        }
    }

    fn check_routes(&self, found: &mut Found<'_>) {
        let mut found = found.below("routes");
        if self.routes.len() > ROUTES_MAX {
            return found
                .add(format!("has {} mappings: at most {ROUTES_MAX} (routes_max)", self.routes.len()));
        }
        let mut seen = std::collections::HashSet::new();
        for (index, Mapping { event_type, url }) in self.routes.iter().enumerate() {
            let mut found = found.item(index);
            found.check("eventType", check_plain(event_type));
            if !seen.insert(event_type) {
                found.wrong(
                    "eventType",
                    format!("`{event_type}` is mapped twice: one URL for each event type"),
                );
            }
            if url.len() > URL_BYTES_MAX {
                found.wrong(
                    "url",
                    format!("has {} bytes: at most {URL_BYTES_MAX} (url_bytes_max)", url.len()),
                );
            }
        }
    }

    fn check_retries(&self, found: &mut Found<'_>) {
        if let Some(most) = self.max_attempts.filter(|most| *most > MAX_ATTEMPTS_MAX) {
            found.wrong(
                "maxAttempts",
                format!(
                    "{most}: 0 to {MAX_ATTEMPTS_MAX} tries after the first are allowed (max_attempts_max)"
                ),
            );
        }
        if let Some(seconds) = &self.retry_schedule {
            found.check("retrySchedule", Schedule::new(seconds.clone()).map(|_| ()));
        }
        if let Some(seconds) =
            self.timeout_seconds.filter(|seconds| !(1..=TIMEOUT_SECONDS_MAX).contains(seconds))
        {
            found.wrong(
                "timeoutSeconds",
                format!("{seconds}: 1 to {TIMEOUT_SECONDS_MAX} are allowed (timeout_seconds_max)"),
            );
        }
    }
}

/// Notes which options make no sense beside each other: the table in docs/endpoints.md.
pub fn check_together(options: &EndpointOptions, found: &mut Found<'_>) {
    let encoding = options.encoding();
    let has_content_type = options.content_type.is_some();
    if options.method == Method::Get {
        let body = [
            ("template", options.template.is_some()),
            ("format", options.format != Format::Raw),
            ("contentType", has_content_type),
        ];
        for (name, _) in body.into_iter().filter(|(_, given)| *given) {
            found.wrong(
                name,
                "shapes a body, and `method` GET sends none: the event stands in headers and in the query",
            );
        }
    }
    let is_cloud_event =
        options.content_type().trim_start().to_ascii_lowercase().starts_with(CLOUD_EVENTS_FAMILY);
    match options.format {
        // HTTP binding of CloudEvents, section 3: receivers tell the modes apart by this.
        Format::CloudEvents if encoding == Encoding::Json && !is_cloud_event => {
            found.wrong(
                "contentType",
                "must be `application/cloudevents+json` for `format` cloudevents: leave it out",
            );
        }
        Format::CloudEventsBinary if is_cloud_event => {
            found.wrong(
                "contentType",
                "is that of structured events, and `format` is cloudevents-binary: leave it out",
            );
        }
        Format::CloudEvents | Format::CloudEventsBinary if encoding != Encoding::Json => {
            let format = options.format;
            found.wrong(
                "contentType",
                format!("`format` {} is JSON: leave `contentType` out, or choose a JSON one", format.word()),
            );
        }
        Format::Slack if encoding != Encoding::Json || options.method != Method::Post => {
            let name = if encoding == Encoding::Json { "method" } else { "contentType" };
            found.wrong(name, "Slack takes JSON by POST: leave this out, or choose another `format`");
        }
        _ => {}
    }
    if options.template.is_some() && !matches!(options.format, Format::Raw | Format::Slack) {
        found.wrong("template", "makes the whole body, and so does `format`: keep `format` raw or slack, or leave the template out");
    }
    if options.template.as_ref().is_some_and(|template| !template.is_string()) && encoding == Encoding::Text {
        found.wrong("template", "is JSON, and `contentType` is text: give the template as a text");
    }
    if options.ordered && options.max_in_flight.is_some_and(|most| most > 1) {
        found.wrong("maxInFlight", "must be 1 or left out: `ordered` sends one after the other");
    }
}

/// Checks an endpoint's name: 1–128 characters, no control characters.
fn check_endpoint_name(name: &str) -> Result<(), BadName> {
    let chars = name.chars().count();
    if !(1..=ENDPOINT_NAME_CHARS_MAX).contains(&chars) {
        let most = format!("1 to {ENDPOINT_NAME_CHARS_MAX} are allowed (endpoint_name_chars_max)");
        return Err(BadName(format!("has {chars} characters: {most}")));
    }
    check_text(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Transformation;
    use serde_json::json;

    fn wrong(options: &EndpointOptions) -> Vec<String> {
        let mut found = Vec::new();
        options.check(&mut Found::new(&mut found));
        check_together(options, &mut Found::new(&mut found));
        found.into_iter().map(|wrong| wrong.at.join("/")).collect()
    }

    #[test]
    fn each_wrong_value_is_named() {
        let mapping = |event_type: &str| Mapping {
            event_type: event_type.to_owned(),
            url: "https://a.test".to_owned(),
        };
        let wrong_ones = EndpointOptions {
            name: Some(String::new()),
            content_type: Some("json".to_owned()),
            fields: Some(vec![]),
            template: Some(json!("x".repeat(TEMPLATE_BYTES_MAX + 1))),
            transformation: Some(Transformation {
                code: "x".repeat(TRANSFORMATION_BYTES_MAX + 1),
                enabled: true,
            }),
            filter: Some("x".repeat(FILTER_BYTES_MAX + 1)),
            routes: vec![mapping("a"), mapping("a"), mapping("b c")],
            max_attempts: Some(26),
            retry_schedule: Some(vec![1; 26]),
            timeout_seconds: Some(31),
            max_in_flight: Some(129),
            ..EndpointOptions::default()
        };
        assert_eq!(
            wrong(&wrong_ones).join(" "),
            "name contentType fields template transformation filter \
            routes/[1]/eventType routes/[2]/eventType maxAttempts retrySchedule timeoutSeconds maxInFlight"
        );
    }

    #[test]
    fn what_makes_no_sense_together_is_named() {
        let options = EndpointOptions::default;
        let text = |text: &str| Some(text.to_owned());
        let table = [
            (EndpointOptions { method: Method::Get, template: Some(json!("x")), ..options() }, "template"),
            (EndpointOptions { method: Method::Get, format: Format::Envelope, ..options() }, "format"),
            (
                EndpointOptions { method: Method::Get, content_type: text("text/plain"), ..options() },
                "contentType",
            ),
            (
                EndpointOptions {
                    format: Format::CloudEventsBinary,
                    content_type: text("application/x-www-form-urlencoded"),
                    ..options()
                },
                "contentType",
            ),
            (
                EndpointOptions { format: Format::CloudEvents, content_type: text("text/xml"), ..options() },
                "contentType",
            ),
            (
                EndpointOptions { format: Format::Slack, content_type: text("text/xml"), ..options() },
                "contentType",
            ),
            (EndpointOptions { format: Format::Slack, method: Method::Put, ..options() }, "method"),
            (
                EndpointOptions { format: Format::Envelope, template: Some(json!("x")), ..options() },
                "template",
            ),
            (
                EndpointOptions {
                    content_type: text("text/plain"),
                    template: Some(json!({"a": 1})),
                    ..options()
                },
                "template",
            ),
            (EndpointOptions { ordered: true, max_in_flight: Some(2), ..options() }, "maxInFlight"),
        ];
        for (options, expected) in table {
            assert_eq!(wrong(&options), [expected], "{options:?}");
        }
        let good = EndpointOptions {
            format: Format::Slack,
            template: Some(json!("x")),
            ordered: true,
            max_in_flight: Some(1),
            ..options()
        };
        assert!(wrong(&good).is_empty());
    }
}
