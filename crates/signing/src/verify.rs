//! The receiver's side: is this request from who holds the secret, and is it fresh?
//!
//! The timestamp is checked because it is signed: an old request that somebody recorded keeps its valid signature for
//! ever, so it is refused by age. All comparisons of signatures take the same time whatever they find.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    signature::{ED25519, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    Secret,
    signer::{Content, V1A},
};

/// How far a timestamp may lie from now, in seconds, unless there is a reason for another number (the five minutes
/// that the libraries of the standard use).
pub const TOLERANCE_SECONDS: i64 = 300;
/// How many signatures of one header are looked at. A sender in rotation has eleven keys; a longer list only buys its
/// author our time.
pub const SIGNATURES_MAX: usize = 32;

/// Why a request is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The id is empty or holds a `.`, which would make the signed content ambiguous (Standard Webhooks,
    /// "Signature scheme").
    #[error("the webhook id is empty or holds a full stop")]
    Id,
    /// The timestamp is not a whole number of seconds.
    #[error("the webhook timestamp is not a whole number of seconds")]
    Timestamp,
    /// The timestamp is further in the past than the tolerance.
    #[error("the webhook timestamp is too old")]
    TooOld,
    /// The timestamp is further in the future than the tolerance.
    #[error("the webhook timestamp is in the future")]
    InFuture,
    /// No signature in the header was made by this secret over these bytes.
    #[error("no signature matches")]
    Signature,
}

/// Checks one request as its receiver does: a fresh timestamp, and at least one signature by `secret` over `id`,
/// `timestamp` and `body`. Signatures of other versions are passed over.
///
/// `timestamp` is the header as it came and is signed as it came; `now_seconds` is Unix time;
/// see [`TOLERANCE_SECONDS`].
///
/// # Errors
/// The first [`VerifyError`] found.
#[expect(clippy::too_many_arguments, reason = "what a receiver has in hand, header by header, and its clock")]
pub fn verify(
    secret: &Secret,
    id: &str,
    timestamp: &str,
    signature_header: &str,
    body: &[u8],
    now_seconds: i64,
    tolerance_seconds: i64,
) -> Result<(), VerifyError> {
    if id.is_empty() || id.contains('.') {
        return Err(VerifyError::Id);
    }
    check_age(timestamp, now_seconds, tolerance_seconds)?;
    let content = Content { id, timestamp: timestamp.as_bytes(), body };
    let candidates = signature_header.split(' ').take(SIGNATURES_MAX);
    let matches = match secret.public_key() {
        Some(public_key) => {
            let content = content.joined();
            any(candidates, |candidate| is_ed25519_signature(public_key, &content, candidate))
        }
        None => {
            let mut expected = String::new();
            secret.signer().sign_content_into(&mut expected, &content);
            any(candidates, |candidate| {
                verify_slices_are_equal(expected.as_bytes(), candidate.as_bytes()).is_ok()
            })
        }
    };
    matches.then_some(()).ok_or(VerifyError::Signature)
}

fn check_age(timestamp: &str, now_seconds: i64, tolerance_seconds: i64) -> Result<(), VerifyError> {
    // A plus sign parses as a number too, but no sender writes one.
    if !timestamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(VerifyError::Timestamp);
    }
    let seconds: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    if seconds < now_seconds.saturating_sub(tolerance_seconds) {
        Err(VerifyError::TooOld)
    } else if seconds > now_seconds.saturating_add(tolerance_seconds) {
        Err(VerifyError::InFuture)
    } else {
        Ok(())
    }
}

/// Tries every candidate, also after a match: the time must not tell which of them it was.
fn any<'a>(candidates: impl Iterator<Item = &'a str>, is_match: impl Fn(&str) -> bool) -> bool {
    candidates.fold(false, |found, candidate| is_match(candidate) | found)
}

fn is_ed25519_signature(public_key: &[u8], content: &[u8], candidate: &str) -> bool {
    let signature = candidate.strip_prefix(V1A).and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    signature.is_some_and(|signature| key.verify(content, &signature).is_ok())
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
