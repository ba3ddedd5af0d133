//! What an ID token must be (OpenID Connect Core 1.0, section 3.1.3.7), and the keys that it is signed with. Pure: the keys and the
//! present are handed in.
//!
//! The algorithm is the token's own word only as far as a key of the provider fits it: one without a key, or with one that both
//! sides share, is never taken.

use domain::clock::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::HashSet;

/// How far the provider's clock may be off, in milliseconds (1 minute).
const LEEWAY_MS: i64 = 60_000;
/// What a provider calls a user, in bytes (OpenID Connect Core 1.0, section 2).
const SUBJECT_BYTES_MAX: usize = 255;

/// The algorithms that are taken: signed with a key that the provider alone has.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A public key of the provider.
pub(crate) struct Key {
    id: Option<String>,
    /// The algorithms that it can check.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

impl Key {
    /// Reads a key of a set (RFC 7517, section 5); none when it is for something else, or of a kind that we do not know.
    pub(crate) fn read(json: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(json).ok()?;
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
            return None;
        }
        let named = common.key_algorithm;
        let fits = |algorithm: &Algorithm| {
            fits(*algorithm, &jwk.algorithm)
                && named.is_none_or(|named| named == KeyAlgorithm::from(*algorithm))
        };
        let algorithms: Vec<_> = ALGORITHMS.into_iter().filter(fits).collect();
        if algorithms.is_empty() {
            return None;
        }
        Some(Self { id: common.key_id.clone(), algorithms, key: DecodingKey::from_jwk(&jwk).ok()? })
    }
}

/// Whether a key of this kind checks this algorithm (RFC 7518, section 3.1; RFC 8037, section 3.1).
fn fits(algorithm: Algorithm, key: &AlgorithmParameters) -> bool {
    match (key, algorithm) {
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(_), Algorithm::EdDSA) => true,
        (AlgorithmParameters::RSA(_), algorithm) => {
            !matches!(algorithm, Algorithm::ES256 | Algorithm::ES384 | Algorithm::EdDSA)
        }
        _ => false,
    }
}

/// What a token must say.
#[derive(Clone, Copy)]
pub(crate) struct Expected<'a> {
    /// Who gives it.
    pub(crate) issuer: &'a str,
    /// Whom it is for: us.
    pub(crate) client_id: &'a str,
    /// For which sign-in.
    pub(crate) nonce: &'a str,
    /// The present.
    pub(crate) now: Timestamp,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadToken {
    /// None of the keys is the one that it names: there may be new ones.
    UnknownKey,
    /// What is wrong, for a sentence.
    Wrong(&'static str),
}

/// Somebody as the provider knows them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Person {
    /// What it calls them.
    pub(crate) sub: String,
    /// Their address.
    #[serde(default)]
    pub(crate) email: Option<String>,
    /// Whether it knows that this is theirs; none when it does not say.
    #[serde(default, deserialize_with = "truth")]
    pub(crate) email_verified: Option<bool>,
    /// Their name.
    #[serde(default)]
    pub(crate) name: Option<String>,
}

/// Some providers write it as a text. What is neither is as if they had said no.
fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => None,
        Value::Bool(truth) => Some(truth),
        Value::String(text) => Some(text == "true"),
        _ => Some(false),
    })
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(flatten)]
    person: Person,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    All(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::All(all) => all,
        }
    }
}

/// Whom a token is about.
///
/// # Errors
/// [`BadToken`]: nothing that it says is to be believed.
pub(crate) fn read(token: &str, keys: &[Key], expected: Expected<'_>) -> Result<Person, BadToken> {
    let wrong = BadToken::Wrong;
    let header = decode_header(token).map_err(|_| wrong("it is not signed in a way that is taken"))?;
    // What must be understood (RFC 7515, section 4.1.11) is not.
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(wrong("it is not signed in a way that is taken"));
    }
    let key = key_of(keys, header.alg, header.kid.as_deref())?;
    let mut validation = Validation::new(header.alg);
    // What it says is checked below, against the clock that was handed in.
    validation.required_spec_claims = HashSet::new();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    let decoded = decode::<Claims>(token, &key.key, &validation).map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => wrong("its signature does not hold"),
        _ => wrong("it cannot be read, or something is missing in it"),
    })?;
    check(&decoded.claims, expected).map_err(wrong)?;
    Ok(decoded.claims.person)
}

/// The key that a token names. One that names none is checked where only one key can be meant (section 10.1).
fn key_of<'a>(keys: &'a [Key], algorithm: Algorithm, id: Option<&str>) -> Result<&'a Key, BadToken> {
    let mut fitting = keys
        .iter()
        .filter(|key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id.as_deref() == id));
    match (fitting.next(), fitting.next()) {
        (Some(key), None) => Ok(key),
        (Some(_), Some(_)) => Err(BadToken::Wrong("it does not say with which key it is signed")),
        (None, _) => Err(BadToken::UnknownKey),
    }
}

fn check(claims: &Claims, expected: Expected<'_>) -> Result<(), &'static str> {
    if claims.iss != expected.issuer {
        return Err("it is another provider's");
    }
    let audiences = claims.aud.all();
    let is_ours = |id: &String| id == expected.client_id;
    // One that is for others, too, must have been given to us (section 2, `azp`).
    let was_given_to_us = claims.azp.as_ref().map_or(audiences.len() == 1, is_ours);
    if !audiences.iter().any(is_ours) || !was_given_to_us {
        return Err("it is for another application");
    }
    let moment = |seconds: f64| Timestamp((seconds * 1_000.0) as i64);
    if moment(claims.exp).plus_ms(LEEWAY_MS) <= expected.now {
        return Err("it has expired");
    }
    let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
    if moment(begins) > expected.now.plus_ms(LEEWAY_MS) {
        return Err("it is from the future: one of the two clocks is wrong");
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err("it is not for this sign-in");
    }
    if claims.person.sub.is_empty() || claims.person.sub.len() > SUBJECT_BYTES_MAX {
        return Err("it does not say whom it is about");
    }
    Ok(())
}

#[cfg(test)]
#[path = "oidc_token_tests.rs"]
mod tests;
