//! The alphabets of names: uids, event types, channels, tags, and what free text may hold.

use crate::limit::{CHANNEL_CHARS_MAX, DESCRIPTION_BYTES_MAX, METADATA_BYTES_MAX, NAME_CHARS_MAX};
use crate::wire_id::Kind;
use std::collections::BTreeMap;

/// A string map that travels with an application or endpoint.
pub type Metadata = BTreeMap<String, String>;

/// Why a name is refused, as a sentence for whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadName(pub String);

/// Checks a `uid` or `eventId`: 1–256 of `[a-zA-Z0-9\-_.]`, never beginning with `kind`'s own prefix, never `.` or `..`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_uid(text: &str, kind: Kind) -> Result<(), BadName> {
    check_plain(text)?;
    if text.starts_with(kind.prefix()) {
        return Err(BadName(format!(
            "must not begin with `{}`: that prefix is for ids that the server makes",
            kind.prefix()
        )));
    }
    check_segment(text)
}

/// Checks that a name can stand in a path by itself: clients take `.` and `..` out of paths (RFC 3986, section 5.2.4).
///
/// # Errors
/// A sentence that says why.
pub fn check_segment(text: &str) -> Result<(), BadName> {
    if matches!(text, "." | "..") {
        return Err(BadName(format!("must not be `{text}`: clients take that out of a path")));
    }
    Ok(())
}

/// Checks an event type, event id or group name: 1–256 of `[a-zA-Z0-9\-_.]`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_plain(text: &str) -> Result<(), BadName> {
    check(text, NAME_CHARS_MAX, "", "a-z, A-Z, 0-9, `-`, `_` and `.`")
}

/// Checks a channel: 1–128 of `[a-zA-Z0-9\-_.:+]`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_channel(text: &str) -> Result<(), BadName> {
    check(text, CHANNEL_CHARS_MAX, ":+", "a-z, A-Z, 0-9, `-`, `_`, `.`, `:` and `+`")
}

/// Checks a tag: 1–128 of `[a-zA-Z0-9\-_./\\#]`.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_tag(text: &str) -> Result<(), BadName> {
    check(text, CHANNEL_CHARS_MAX, "/\\#", "a-z, A-Z, 0-9, `-`, `_`, `.`, `/`, `\\` and `#`")
}

/// Checks a name for people: at most 256 characters, no control characters 0x00–0x08.
///
/// # Errors
/// A sentence that says how long it is, or names the character.
pub fn check_name(text: &str) -> Result<(), BadName> {
    let chars = text.chars().count();
    if chars > NAME_CHARS_MAX {
        return Err(BadName(format!(
            "has {chars} characters: at most {NAME_CHARS_MAX} (name_chars_max) are kept"
        )));
    }
    check_text(text)
}

/// Checks a description: at most 4096 bytes, no control characters 0x00–0x08.
///
/// # Errors
/// A sentence that says how long it is, or names the character.
pub fn check_description(text: &str) -> Result<(), BadName> {
    let bytes = text.len();
    if bytes > DESCRIPTION_BYTES_MAX {
        return Err(BadName(format!(
            "has {bytes} bytes: at most {DESCRIPTION_BYTES_MAX} (description_bytes_max) are kept"
        )));
    }
    check_text(text)
}

/// Checks free text: no control characters 0x00–0x08.
///
/// # Errors
/// A sentence that names the character.
pub fn check_text(text: &str) -> Result<(), BadName> {
    match text.chars().find(|c| ('\0'..='\u{8}').contains(c)) {
        Some(c) => Err(BadName(format!("must not contain the control character U+{:04X}", u32::from(c)))),
        None => Ok(()),
    }
}

/// Checks metadata: at most 4096 bytes as JSON.
///
/// # Errors
/// A sentence with the size that it has.
pub fn check_metadata(metadata: &Metadata) -> Result<(), BadName> {
    let bytes = serde_json::to_vec(metadata).map_or(0, |json| json.len());
    if bytes > METADATA_BYTES_MAX {
        return Err(BadName(format!(
            "is {bytes} bytes as JSON: at most {METADATA_BYTES_MAX} bytes (metadata_bytes_max) are kept"
        )));
    }
    Ok(())
}

fn check(text: &str, chars_max: usize, more: &str, allowed: &str) -> Result<(), BadName> {
    if text.is_empty() || text.chars().count() > chars_max {
        return Err(BadName(format!("must have 1 to {chars_max} characters")));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c) || more.contains(c);
    if text.chars().all(fits) {
        return Ok(());
    }
    Err(BadName(format!("may only contain {allowed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabets() {
        assert!(check_uid("customer-1.x_Y", Kind::Application).is_ok());
        assert!(check_uid("app_mine", Kind::Application).is_err());
        assert!(check_uid("app_mine", Kind::Endpoint).is_ok());
        assert!(check_uid("", Kind::Application).is_err());
        assert!(check_uid(&"x".repeat(257), Kind::Application).is_err());
        assert!(check_plain("invoice paid").is_err());
        assert!(check_channel("project:1+2").is_ok());
        assert!(check_plain("project:1").is_err());
        assert!(check_tag("a/b\\c#d").is_ok());
        assert!(check_channel(&"x".repeat(129)).is_err());
        assert!(check_text("tab\tand newline\n").is_ok());
        assert!(check_text("bell\u{7}").is_err());
        assert!(check_name(&"é".repeat(256)).is_ok() && check_name(&"é".repeat(257)).is_err());
        assert!(check_name("bell\u{7}").is_err() && check_description("bell\u{7}").is_err());
        assert!(
            check_description(&"é".repeat(2048)).is_ok() && check_description(&"é".repeat(2049)).is_err()
        );
        assert!(check_uid(".", Kind::Application).is_err() && check_uid("..", Kind::Endpoint).is_err());
        assert!(check_uid("...", Kind::Endpoint).is_ok());
    }
}
