//! Headers that an endpoint adds to its requests: which are refused, which are never shown.

use crate::limit::{HEADER_NAME_BYTES_MAX, HEADER_VALUE_BYTES_MAX, HEADERS_MAX};
use crate::name::BadName;

/// A header of an endpoint, its name in the case that the customer wrote.
pub type Header = (String, String);

/// Set by the client itself, by the connection, or by us.
const FORBIDDEN: &[&str] = &[
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "connection",
    "keep-alive",
    "upgrade",
    "expect",
    "proxy-connection",
    "traceparent",
    "tracestate",
    "x-event-type",
    "x-event-origin",
];

/// Beginnings of names that belong to us or to clouds' inner workings.
const FORBIDDEN_PREFIXES: &[&str] =
    &["webhook-", "svix-", "x-amz-", "x-amzn-", "x-goog-", "x-google-", "x-azure-", "x-ms-", "metadata-"];

/// Shown by name only: their values are credentials.
const SENSITIVE: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "x-auth-token",
    "x-api-key",
    "x-auth",
    "api-key",
    "apikey",
    "cookie",
    "x-signature",
    "x-csrf-token",
    "x-access-token",
    "x-secret",
    "x-webhook-token",
];

/// Checks the headers of an endpoint.
///
/// # Errors
/// A sentence that names the header and what is wrong with it.
pub fn check(headers: &[Header]) -> Result<(), BadName> {
    if headers.len() > HEADERS_MAX {
        return Err(BadName(format!("has {} headers: at most {HEADERS_MAX} (headers_max)", headers.len())));
    }
    for (index, (name, value)) in headers.iter().enumerate() {
        check_one(name, value)?;
        // Names are the same in any case (RFC 9110, section 5.1), so only one of the two could be sent.
        if let Some((other, _)) = headers[..index].iter().find(|(other, _)| other.eq_ignore_ascii_case(name))
        {
            return Err(BadName(format!("`{other}` and `{name}` are one header: give it once")));
        }
    }
    Ok(())
}

/// Checks one header that an endpoint adds.
///
/// # Errors
/// A sentence that names the header and what is wrong with it.
pub fn check_one(name: &str, value: &str) -> Result<(), BadName> {
    let lower = name.to_ascii_lowercase();
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(BadName(format!("`{name}` is not a header name (RFC 9110, section 5.1)")));
    }
    if name.len() > HEADER_NAME_BYTES_MAX {
        let bytes = name.len();
        return Err(BadName(format!(
            "a header name has {bytes} bytes: at most {HEADER_NAME_BYTES_MAX} (header_name_bytes_max)"
        )));
    }
    if FORBIDDEN.contains(&&*lower) || FORBIDDEN_PREFIXES.iter().any(|p| lower.starts_with(p)) {
        return Err(BadName(format!("`{name}` is set by the server and cannot be chosen")));
    }
    if value.len() > HEADER_VALUE_BYTES_MAX {
        return Err(BadName(format!(
            "the value of `{name}` has {} bytes: at most {HEADER_VALUE_BYTES_MAX} (header_value_bytes_max)",
            value.len()
        )));
    }
    if value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
        return Err(BadName(format!("the value of `{name}` has a control character")));
    }
    Ok(())
}

/// Whether the value of this header is never shown.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SENSITIVE.contains(&&*lower)
        || ["token", "secret", "password", "api-key", "apikey", "authorization"]
            .iter()
            .any(|w| lower.contains(w))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_own_and_cloud_headers_are_refused_in_any_case() {
        for name in ["Host", "CONTENT-LENGTH", "Webhook-Id", "svix-signature", "X-Amz-Target", "bad name", ""]
        {
            assert!(check(&[(name.into(), "x".into())]).is_err(), "{name}");
        }
        assert!(
            check(&[("X-Custom".into(), "x".into()), ("Authorization".into(), "Bearer x".into())]).is_ok()
        );
        assert!(check(&[("X-Custom".into(), "a\r\nb: c".into())]).is_err());
        assert!(check(&[("X-Custom".into(), "x".repeat(4097))]).is_err());
        assert!(check(&[("x".repeat(257), "x".into())]).is_err());
        assert!(check(&[("X-Dup".into(), "1".into()), ("x-dup".into(), "2".into())]).is_err());
    }

    #[test]
    fn credentials_are_sensitive() {
        assert!(is_sensitive("AUTHORIZATION") && is_sensitive("x-api-key") && is_sensitive("X-My-Token"));
        assert!(!is_sensitive("x-request-source"));
    }
}
