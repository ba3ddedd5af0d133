//! Signatures of the Standard Webhooks specification, made and checked.
//!
//! A [`Secret`] is what an endpoint and its receiver share, in its text form (`whsec_…` or `whsk_…`). It is turned
//! once into a [`Signer`], which signs as many messages as there are. [`signature_header`] writes the header with
//! the current key first and the rotated ones after it, and [`verify`] is the other side: what a receiver does.
//!
//! The signed content is `{id}.{timestamp}.{body}`, byte for byte; `v1` is base64 HMAC-SHA256 (RFC 2104) of it and
//! `v1a` is base64 Ed25519 (RFC 8032) of it.
//!
//! This crate reads nothing and asks nobody: the time and the randomness are handed in, there is no I/O, and no text
//! that it prints (`Debug`, errors) holds key material.

mod hmac;
mod secret;
mod signer;
mod verify;

pub use hmac::{Hash, HmacKey};
pub use secret::{SYMMETRIC_BYTES_MAX, SYMMETRIC_BYTES_MIN, Secret, SecretError};
pub use signer::{Signer, signature_header};
pub use verify::{SIGNATURES_MAX, TOLERANCE_SECONDS, VerifyError, verify};
