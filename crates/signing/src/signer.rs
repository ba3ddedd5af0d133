//! A prepared key, and the `webhook-signature` header that it writes.
//!
//! Every attempt signs, so this is on the hot path: the HMAC key schedule is computed once and copied, the signed
//! content is fed in pieces instead of being joined, and a [`Signer`] is cloned by counting a reference.

use std::{fmt, io::Write, sync::Arc};

use aws_lc_rs::{
    hmac::{self, HMAC_SHA256},
    signature::Ed25519KeyPair,
};
use base64::{Engine, prelude::BASE64_STANDARD};

pub(crate) const V1: &str = "v1,";
pub(crate) const V1A: &str = "v1a,";

/// `-9223372036854775808`, the longest decimal of an `i64`.
const DECIMAL_BYTES_MAX: usize = 20;
/// `v1,` and base64 of 32 bytes, and a space: what one more symmetric signature adds to the header.
const V1_LENGTH: usize = 48;

/// A key ready to sign: about 1.3 KB, shared by its clones.
#[derive(Clone)]
pub struct Signer(Prepared);

#[derive(Clone)]
enum Prepared {
    /// The key is already absorbed: a signature starts from a copy.
    Hmac(Arc<hmac::Context>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// What is signed, in its parts; the timestamp as it is written in the header.
pub(crate) struct Content<'a> {
    pub(crate) id: &'a str,
    pub(crate) timestamp: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Signer {
    pub(crate) fn hmac(key: &[u8]) -> Signer {
        let context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, key));
        Signer(Prepared::Hmac(Arc::new(context)))
    }

    pub(crate) fn ed25519(pair: Ed25519KeyPair) -> Signer {
        Signer(Prepared::Ed25519(Arc::new(pair)))
    }

    /// The signature of `{id}.{timestamp_seconds}.{body}`, as `v1,…` or `v1a,…`.
    ///
    /// `id` must hold no `.`, or two different messages could have the same signed content.
    pub fn sign(&self, id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
        let mut out = String::with_capacity(V1_LENGTH);
        self.sign_into(&mut out, id, timestamp_seconds, body);
        out
    }

    /// [`Signer::sign`], appended to `out`.
    pub fn sign_into(&self, out: &mut String, id: &str, timestamp_seconds: i64, body: &[u8]) {
        let mut digits = [0; DECIMAL_BYTES_MAX];
        let timestamp = decimal(timestamp_seconds, &mut digits);
        self.sign_content_into(out, &Content { id, timestamp, body });
    }

    pub(crate) fn sign_content_into(&self, out: &mut String, content: &Content<'_>) {
        match &self.0 {
            Prepared::Hmac(context) => {
                let mut context = hmac::Context::clone(context);
                for part in [content.id.as_bytes(), b".", content.timestamp, b".", content.body] {
                    context.update(part);
                }
                out.push_str(V1);
                BASE64_STANDARD.encode_string(context.sign(), out);
            }
            Prepared::Ed25519(pair) => {
                // Ed25519 reads its message twice, so it cannot be fed in pieces.
                let signature = pair.sign(&content.joined());
                out.push_str(V1A);
                BASE64_STANDARD.encode_string(signature, out);
            }
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Signer(…)")
    }
}

/// The value of the `webhook-signature` header: one signature for each key, in the order given (the current key
/// first), joined by spaces.
pub fn signature_header<'a>(
    signers: impl IntoIterator<Item = &'a Signer>,
    id: &str,
    timestamp_seconds: i64,
    body: &[u8],
) -> String {
    let mut header = String::with_capacity(V1_LENGTH);
    for signer in signers {
        if !header.is_empty() {
            header.push(' ');
        }
        signer.sign_into(&mut header, id, timestamp_seconds, body);
    }
    header
}

impl Content<'_> {
    /// `{id}.{timestamp}.{body}` in one piece.
    pub(crate) fn joined(&self) -> Vec<u8> {
        [self.id.as_bytes(), self.timestamp, self.body].join(&b'.')
    }
}

fn decimal(number: i64, digits: &mut [u8; DECIMAL_BYTES_MAX]) -> &[u8] {
    let mut rest = digits.as_mut_slice();
    write!(rest, "{number}").expect("twenty bytes hold every i64");
    let unused = rest.len();
    &digits[..DECIMAL_BYTES_MAX - unused]
}

#[cfg(test)]
#[path = "signer_tests.rs"]
mod tests;
