//! How the body of an endpoint's requests is made: chosen fields, template or format, and the encoding of the content type.

use crate::event::Event;
use crate::fields::Fields;
use crate::recipe::Surroundings;
use crate::template::Template;
use crate::tree::{self, Tree};
use crate::{form, sign, slack, xml};
use bytes::Bytes;
use domain::endpoint::Endpoint;
use domain::format::{Encoding, Format};
use domain::header::is_sensitive;
use domain::limit::{GET_QUERY_BYTES_MAX, SHAPED_BODY_BYTES_MAX};
use http::HeaderMap;
use http::header::HeaderName;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is beyond the payload's own bytes. What cannot be read any more is told by each attempt.
#[derive(Debug)]
pub(crate) struct Shaping {
    pub(crate) format: Format,
    encoding: Encoding,
    pub(crate) content_type: String,
    fields: Option<Result<Fields, String>>,
    pub(crate) script: Option<Arc<str>>,
    template: Option<Result<Template, String>>,
    source: String,
    /// The endpoint's own headers, as a transformation sees them.
    pub(crate) given_headers: Vec<(String, String)>,
}

impl Shaping {
    pub(crate) fn new(endpoint: &Endpoint, around: &Surroundings<'_>) -> Self {
        let options = &endpoint.fields.options;
        let fields = options.fields.as_ref().map(|paths| {
            Fields::parse(paths).map_err(|wrong| {
                let told: Vec<_> = wrong.into_iter().map(|(_, what)| what).collect();
                told.join("; ")
            })
        });
        Self {
            format: options.format,
            encoding: options.encoding(),
            content_type: options.content_type().to_owned(),
            fields,
            script: options.transformation.as_ref().filter(|t| t.enabled).map(|t| Arc::from(&*t.code)),
            template: options.template.as_ref().map(Template::parse),
            source: format!("https://{}", around.event_origin),
            given_headers: endpoint.headers.clone(),
        }
    }

    /// The headers of the endpoint and the message, of which the message's win, but for those that may be credentials.
    pub(crate) fn shown_headers(&self, event: &Event<'_>) -> BTreeMap<String, String> {
        let of_message = |name: &str| event.headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        let of_endpoint = self.given_headers.iter().filter(|(name, _)| !of_message(name));
        of_endpoint.chain(event.headers).filter(|(name, _)| !is_sensitive(name)).cloned().collect()
    }

    /// The payload, or the chosen parts of it.
    pub(crate) fn kept<'a>(&self, event: &'a Event<'_>) -> Result<Cow<'a, [u8]>, String> {
        match &self.fields {
            None => Ok(Cow::Borrowed(event.payload)),
            Some(Ok(fields)) => fields.keep(event.payload).map(Cow::Owned),
            Some(Err(what)) => Err(format!("`fields` cannot be used: {what}")),
        }
    }

    pub(crate) fn body(&self, event: &Event<'_>, data: &[u8]) -> Result<Bytes, String> {
        let body = match &self.template {
            Some(Err(what)) => return Err(format!("the template cannot be used: {what}")),
            Some(Ok(template)) => self.filled(template, event, data)?,
            None => self.formatted(event, data)?,
        };
        if body.len() > SHAPED_BODY_BYTES_MAX {
            return Err(format!(
                "the body has more than {SHAPED_BODY_BYTES_MAX} bytes (shaped_body_bytes_max)"
            ));
        }
        Ok(body.into())
    }

    fn filled(&self, template: &Template, event: &Event<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        let out = template.render(event, data).map_err(|what| format!("the template failed: {what}"))?;
        if template.is_json() {
            return self.encoded(out);
        }
        if self.format == Format::Slack {
            return Ok(slack::message(&String::from_utf8_lossy(&out)));
        }
        let wrong = match self.encoding {
            Encoding::Json => {
                serde_json::from_slice::<IgnoredAny>(&out).err().map(|error| format!("JSON: {error}"))
            }
            Encoding::Xml => xml::wrong(&String::from_utf8_lossy(&out)).map(|error| format!("XML: {error}")),
            Encoding::Form => form::wrong(&out).map(|error| format!("a form: {error}")),
            Encoding::Text => None,
        };
        wrong.map_or(Ok(out), |what| Err(format!("the template did not make {what}")))
    }

    fn formatted(&self, event: &Event<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        let json = match self.format {
            Format::Raw | Format::CloudEventsBinary => data.to_vec(),
            Format::Standard => event.standard(data),
            Format::Envelope => event.envelope(data),
            Format::CloudEvents => event.cloud_event(&self.source, data),
            Format::Slack => slack::message(&slack::default_text(event, &read(&tree::mended(data))?)),
        };
        self.encoded(json)
    }

    /// JSON as the content type has it.
    fn encoded(&self, json: Vec<u8>) -> Result<Vec<u8>, String> {
        if self.encoding == Encoding::Json {
            return Ok(json);
        }
        let readable = tree::mended(&json);
        let tree = read(&readable)?;
        Ok(match (self.encoding, tree) {
            (Encoding::Form, tree) => form::write(&tree, SHAPED_BODY_BYTES_MAX).into_bytes(),
            (Encoding::Xml, tree) => xml::write(&tree, SHAPED_BODY_BYTES_MAX),
            (Encoding::Text, Tree::Text(text)) => text.into_owned().into_bytes(),
            (Encoding::Text | Encoding::Json, _) => json,
        })
    }

    /// The event as a query.
    pub(crate) fn query(&self, event: &Event<'_>, data: &[u8]) -> Result<String, String> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("event_id", event.id)
            .append_pair("event_type", event.event_type)
            .append_pair("event_time", &event.time.to_string());
        let mut query = query.finish();
        let data = form::write(&read(&tree::mended(data))?, GET_QUERY_BYTES_MAX);
        if !data.is_empty() {
            query.push('&');
            query.push_str(&data);
        }
        if query.len() > GET_QUERY_BYTES_MAX {
            return Err(format!(
                "the event is more than {GET_QUERY_BYTES_MAX} bytes as a query (get_query_bytes_max): choose less of it with \
                 `fields`, or a method with a body"
            ));
        }
        Ok(query)
    }

    /// CloudEvents in binary mode: attributes as headers (HTTP protocol binding, section 3.1.3).
    pub(crate) fn attributes(&self, event: &Event<'_>, headers: &mut HeaderMap) {
        let time = event.time.to_string();
        let attributes = [
            ("ce-specversion", "1.0"),
            ("ce-id", event.id),
            ("ce-source", &self.source),
            ("ce-type", event.event_type),
            ("ce-time", &time),
        ];
        for (name, value) in attributes {
            sign::insert(headers, &HeaderName::from_static(name), value);
        }
    }
}

fn read(json: &[u8]) -> Result<Tree<'_>, String> {
    Tree::parse(json).map_err(|error| format!("the event is not JSON: {error}"))
}
