//! The provider's keys, and the tokens that they sign (RFC 7515, RFC 7517, RFC 7518).

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// With the newest key.
    Right,
    /// With the newest key, and then something in the token is changed.
    Changed,
    /// With a key that nobody has published, under the name of one that is.
    OtherKey,
    /// With a key that nobody has published, under a name of its own.
    UnknownKey,
    /// Not at all: the algorithm `none`.
    None,
    /// With HMAC, and the published key as the secret.
    Hmac,
}

/// A key pair.
pub(super) struct Key {
    id: String,
    pair: Pair,
}

enum Pair {
    Es256(EcdsaKeyPair),
    Rs256(rsa::KeyPair),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

pub(super) fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub(super) fn es256(id: String) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key on P-256");
        Self { id, pair: Pair::Es256(pair) }
    }

    pub(super) fn rs256(id: String) -> Self {
        Self { id, pair: Pair::Rs256(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("an RSA key")) }
    }

    /// The public half.
    pub(super) fn published(&self) -> Value {
        match &self.pair {
            Pair::Es256(pair) => {
                // An uncompressed point: 4, x, y.
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id, "x": base64(x), "y": base64(y)})
            }
            Pair::Rs256(pair) => {
                // RSAPublicKey in DER (RFC 8017, appendix A.1.1): 9 bytes of framing, 256 of the modulus, then the exponent.
                let der = pair.public_key().as_ref();
                let (n, e) = (&der[9..265], &der[267..]);
                json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": base64(n), "e": base64(e)})
            }
        }
    }

    const fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Es256(_) => "ES256",
            Pair::Rs256(_) => "RS256",
        }
    }

    fn sign(&self, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Es256(pair) => pair.sign(&random, text).expect("a signature").as_ref().to_vec(),
            Pair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature).expect("a signature");
                signature
            }
        }
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value, signing: Signing) -> String {
        let other =
            Self::es256(if signing == Signing::UnknownKey { "nobodys".into() } else { self.id.clone() });
        let (algorithm, key) = match signing {
            Signing::Right | Signing::Changed => (self.algorithm(), self),
            Signing::OtherKey | Signing::UnknownKey => ("ES256", &other),
            Signing::None => ("none", self),
            Signing::Hmac => ("HS256", self),
        };
        let header = json!({"typ": "JWT", "alg": algorithm, "kid": key.id});
        let part = |json: &Value| base64(json.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = match signing {
            Signing::None => String::new(),
            Signing::Hmac => {
                let public = self.published().to_string();
                base64(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes()), signed.as_bytes()))
            }
            _ => base64(key.sign(signed.as_bytes())),
        };
        if signing == Signing::Changed {
            let mut changed = claims.clone();
            changed["name"] = "Somebody else".into();
            return format!("{}.{}.{signature}", part(&header), part(&changed));
        }
        format!("{signed}.{signature}")
    }
}
