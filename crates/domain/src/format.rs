//! What the body of a request looks like: its format, its content type, and the method that carries it.

use crate::name::BadName;
use crate::word::worded;

/// A content type, in bytes.
const CONTENT_TYPE_BYTES_MAX: usize = 255;

worded!(
    /// How an event becomes a body.
    Format {
        /// The payload's own bytes.
        Raw = "raw",
        /// `{type, timestamp, data}`, as Standard Webhooks advises.
        Standard = "standard",
        /// `{event_time, event_type, current_context, data}`.
        Envelope = "envelope",
        /// CloudEvents 1.0, structured mode: one JSON object.
        CloudEvents = "cloudevents",
        /// CloudEvents 1.0, binary mode: the payload, with its attributes in `ce-…` headers.
        CloudEventsBinary = "cloudevents-binary",
        /// `{text}` as Slack's incoming webhooks take it.
        Slack = "slack",
    }
);

worded!(
    /// What the console calls an endpoint: whether its format is `slack`.
    NotificationType {
        /// Any HTTP API.
        Rest = "rest",
        /// A Slack-compatible channel.
        Slack = "slack",
    }
);

worded!(
    /// The method of a request.
    Method {
        /// POST.
        Post = "POST",
        /// PUT.
        Put = "PUT",
        /// PATCH.
        Patch = "PATCH",
        /// DELETE.
        Delete = "DELETE",
        /// GET: without a body; the event stands in headers and in the query.
        Get = "GET",
    }
);

/// How a body is written, as its content type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON.
    Json,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// XML.
    Xml,
    /// Anything else.
    Text,
}

impl Encoding {
    /// The encoding that a content type asks for: JSON (also `+json`), form, XML (also `+xml`), otherwise text.
    #[must_use]
    pub fn of(content_type: &str) -> Self {
        let media = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let suffix = media.rsplit(['/', '+']).next().unwrap_or_default();
        match &*media {
            "application/x-www-form-urlencoded" => Self::Form,
            _ if suffix == "json" => Self::Json,
            _ if suffix == "xml" => Self::Xml,
            _ => Self::Text,
        }
    }
}

/// Checks a content type: `type/subtype`, with parameters if any (RFC 9110, section 8.3.1).
///
/// # Errors
/// A sentence that says what a content type is.
pub fn check_content_type(text: &str) -> Result<(), BadName> {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let mut parts = text.split(';');
    let media = parts.next().unwrap_or_default().trim().split_once('/');
    let media_fits = media.is_some_and(|(kind, subtype)| token(kind) && token(subtype));
    let visible = |part: &str| part.bytes().all(|b| (0x20..0x7f).contains(&b));
    let parameters_fit = parts
        .all(|part| part.trim().split_once('=').is_some_and(|(name, value)| token(name) && visible(value)));
    if text.len() > CONTENT_TYPE_BYTES_MAX || !media_fits || !parameters_fit {
        return Err(BadName(format!(
            "must be a media type like `application/json` or `text/plain; charset=utf-8`, of at most \
             {CONTENT_TYPE_BYTES_MAX} bytes (RFC 9110, section 8.3.1)"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::word::Worded;

    #[test]
    fn the_content_type_chooses_the_encoding() {
        let table = [
            ("application/json", Encoding::Json),
            ("Application/JSON; charset=utf-8", Encoding::Json),
            ("application/vnd.acme.event+json", Encoding::Json),
            ("application/x-www-form-urlencoded", Encoding::Form),
            ("application/xml", Encoding::Xml),
            ("text/xml;charset=utf-8", Encoding::Xml),
            ("application/atom+xml", Encoding::Xml),
            ("text/plain", Encoding::Text),
            ("application/jsonlines", Encoding::Text),
        ];
        for (content_type, encoding) in table {
            assert_eq!(Encoding::of(content_type), encoding, "{content_type}");
            assert!(check_content_type(content_type).is_ok(), "{content_type}");
        }
        for bad in ["", "json", "a/b/c", "text/plain; charset", "text/plain\r\nX: y", "text/ plain", "a/é"] {
            assert!(check_content_type(bad).is_err(), "{bad}");
        }
        assert!(check_content_type(&format!("text/{}", "x".repeat(300))).is_err());
    }

    #[test]
    fn words_read_back_and_no_other_does() {
        assert!(Format::ALL.iter().all(|format| Format::from_word(format.word()) == Some(*format)));
        assert_eq!((Format::from_word("RAW"), Method::from_word("post")), (None, None));
        assert_eq!((Format::default(), Method::default()), (Format::Raw, Method::Post));
    }
}
