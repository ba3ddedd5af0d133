//! Signed tokens (RFC 7519): verified under one pinned algorithm, made where the key can sign.
//!
//! An environment token's `sub` is an `org_…` id. An application token's `sub` is an `app_…` id, its `org` claim the
//! environment, and `feature_flags` says which flagged event types it sees. The algorithm is the operator's choice
//! and never read from the token. Time is handed in.

use domain::clock::Timestamp;
use domain::limit::NAME_CHARS_MAX;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;

/// How far the issuer's clock may be off, in seconds.
const LEEWAY_SECONDS: i64 = 30;
/// A shared secret with fewer bytes could be found by trying (RFC 7518, section 3.2, asks for the hash's length; some
/// existing secrets are shorter, so only what is plainly too weak is refused).
const SECRET_BYTES_MIN: usize = 16;

/// The algorithms that a server may pin.
pub const ALGORITHMS: &[&str] = &["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "EdDSA"];

/// Verifies tokens, and makes them when its key is a shared secret.
pub struct Jwt {
    algorithm: Algorithm,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
    validation: Validation,
}

/// A key that cannot verify tokens.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJwtKey {
    /// Not one of [`ALGORITHMS`].
    #[error(
        "`{0}` is not an algorithm for tokens: use one of HS256, HS384, HS512, RS256, RS384, RS512, EdDSA"
    )]
    Algorithm(String),
    /// Too short.
    #[error("the secret for tokens has {0} bytes: at least 16 are needed")]
    Short(usize),
    /// Not a public key.
    #[error("the key for {0} tokens is not a public key in PEM form")]
    NotPem(String),
}

/// A token cannot be made: the key only verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this server verifies tokens with a public key and cannot make any: make them where the private key is"
)]
pub struct CannotSign;

/// What a token is to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant<'a> {
    /// The environment, `org_…`.
    pub environment: &'a str,
    /// One application of it, `app_…`; none is the whole environment.
    pub application: Option<&'a str>,
    /// Which flagged event types an application's token sees.
    pub feature_flags: Option<Vec<String>>,
    /// For how long.
    pub lifetime_seconds: i64,
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// `org_…`
    pub(crate) environment: String,
    /// `app_…`, in an application token.
    pub(crate) application: Option<String>,
    /// The flags of an application token.
    pub(crate) feature_flags: Vec<String>,
    /// When it stops being good.
    pub(crate) expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    org: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    feature_flags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole")]
    iat: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole")]
    exp: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none", serialize_with = "whole")]
    nbf: Option<f64>,
}

impl Jwt {
    /// A verifier for `algorithm`, under a shared secret (HS…) or a public key in PEM (RS…, EdDSA).
    ///
    /// # Errors
    /// An unknown algorithm, a secret that is too short, a key that does not read.
    pub fn new(algorithm: &str, key: &[u8]) -> Result<Self, BadJwtKey> {
        let unknown = || BadJwtKey::Algorithm(algorithm.to_owned());
        let not_pem = |_| BadJwtKey::NotPem(algorithm.to_owned());
        let pinned: Algorithm =
            ALGORITHMS.contains(&algorithm).then(|| algorithm.parse().ok()).flatten().ok_or_else(unknown)?;
        let (verifying, signing) = match algorithm {
            "RS256" | "RS384" | "RS512" => (DecodingKey::from_rsa_pem(key).map_err(not_pem)?, None),
            "EdDSA" => (DecodingKey::from_ed_pem(key).map_err(not_pem)?, None),
            _ if key.len() < SECRET_BYTES_MIN => return Err(BadJwtKey::Short(key.len())),
            _ => (DecodingKey::from_secret(key), Some(EncodingKey::from_secret(key))),
        };
        let mut validation = Validation::new(pinned);
        // Times are checked here, against the clock that was handed in.
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self { algorithm: pinned, verifying, signing, validation })
    }

    /// What the token says, if it is good at `now`.
    pub(crate) fn verify(&self, token: &[u8], now: Timestamp) -> Option<Verified> {
        let claims = decode::<Claims>(token, &self.verifying, &self.validation).ok()?.claims;
        let expires_at = claims.exp.map(|exp| moment(exp).plus_ms(LEEWAY_SECONDS * 1000));
        let begins_at = claims.nbf.map(|nbf| moment(nbf).plus_ms(-LEEWAY_SECONDS * 1000));
        if expires_at.is_some_and(|end| end <= now) || begins_at.is_some_and(|begin| begin > now) {
            return None;
        }
        let (environment, application) = match claims.org {
            Some(org) => (org, Some(claims.sub)),
            None => (claims.sub, None),
        };
        let good = is_id("org_", &environment) && application.as_deref().is_none_or(|id| is_id("app_", id));
        let feature_flags = claims.feature_flags.unwrap_or_default();
        good.then_some(Verified { environment, application, feature_flags, expires_at })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The key only verifies.
    pub fn sign(&self, grant: Grant<'_>, now: Timestamp) -> Result<String, CannotSign> {
        let key = self.signing.as_ref().ok_or(CannotSign)?;
        let environment = grant.environment.to_owned();
        let (sub, org) = match grant.application {
            Some(application) => (application.to_owned(), Some(environment)),
            None => (environment, None),
        };
        let seconds = |moment: i64| Some(moment as f64);
        let claims = Claims {
            sub,
            org,
            feature_flags: grant.feature_flags,
            iss: Some("posthaste".into()),
            iat: seconds(now.seconds()),
            nbf: seconds(now.seconds()),
            exp: seconds(now.seconds().saturating_add(grant.lifetime_seconds)),
        };
        encode(&Header::new(self.algorithm), &claims, key).map_err(|_| CannotSign)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwt({:?}, …)", self.algorithm)
    }
}

/// A NumericDate, which may have a fraction (RFC 7519, section 2).
/// Tokens of ours have whole seconds; RFC 7519 lets others write fractions.
fn whole<S: serde::Serializer>(seconds: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(seconds.unwrap_or_default() as i64)
}

fn moment(numeric_date: f64) -> Timestamp {
    Timestamp((numeric_date * 1000.0) as i64)
}

fn is_id(prefix: &str, text: &str) -> bool {
    let body = text.strip_prefix(prefix).unwrap_or_default();
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    !body.is_empty() && text.len() <= NAME_CHARS_MAX && body.bytes().all(fits)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
