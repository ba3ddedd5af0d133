//! The signatures of a request, in all the shapes that its endpoint wants.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::environment::SignatureHeaders;
use domain::signature::{Algorithm, Digits, Hmac, Signature, SigningKey, Signs, TIMESTAMP_PLACE};
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use signing::{Hash, HmacKey, Secret, Signer, signature_header};

/// Everything that signs an endpoint's requests.
#[derive(Debug)]
pub(crate) struct Signatures {
    /// The names of the standard's three headers, once or twice.
    names: Vec<[HeaderName; 3]>,
    /// What the standard's signature header carries; empty means none.
    signers: Vec<(Signer, Option<Timestamp>)>,
    hmacs: Vec<Ready>,
}

/// An HMAC with its keys prepared.
#[derive(Debug)]
struct Ready {
    header: HeaderName,
    keys: Vec<(HmacKey, Option<Timestamp>)>,
    encoding: Digits,
    prefix: String,
    signs: Signs,
}

impl Signatures {
    pub(crate) fn of(endpoint: &Endpoint, which: SignatureHeaders) -> Self {
        let mut found = Self { names: names(which), signers: Vec::new(), hmacs: Vec::new() };
        for signature in &endpoint.credentials.signatures {
            match signature {
                Signature::Standard => {
                    found.signers.extend(endpoint.secrets.iter().map(|s| (s.secret.signer(), s.expires_at)));
                }
                Signature::StandardEd25519 { keys } => found.signers.extend(keys.iter().filter_map(ed25519)),
                Signature::Hmac(hmac) => found.hmacs.extend(ready(hmac)),
            }
        }
        found
    }

    /// Adds the headers of id and time, and those of all signatures of `body`.
    pub(crate) fn add(&self, headers: &mut HeaderMap, id: &str, now: Timestamp, body: &[u8]) {
        let live = self.signers.iter().filter(|(_, end)| end.is_none_or(|end| end > now));
        let signature = signature_header(live.map(|(signer, _)| signer), id, now.seconds(), body);
        let timestamp = now.seconds().to_string();
        for names in &self.names {
            // Unsigned requests still say which message they are, so that receivers can tell repeated ones.
            let values = [id, &timestamp, &signature];
            for (name, value) in names.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
                insert(headers, name, value);
            }
        }
        for hmac in &self.hmacs {
            insert(headers, &hmac.header, &hmac.value(&timestamp, now, body));
        }
    }
}

impl Ready {
    /// The current key's signature first; during a rotation those of the old ones follow, with a comma between.
    fn value(&self, timestamp: &str, now: Timestamp, body: &[u8]) -> String {
        let mut value = String::new();
        for (key, _) in self.keys.iter().filter(|(_, end)| end.is_none_or(|end| end > now)) {
            let code = match self.signs {
                Signs::Body => key.sign(&[body]),
                Signs::TimestampBody => key.sign(&[timestamp.as_bytes(), b".", body]),
            };
            if !value.is_empty() {
                value.push(',');
            }
            value.push_str(&self.prefix.replace(TIMESTAMP_PLACE, timestamp));
            match self.encoding {
                Digits::Hex => code.iter().for_each(|byte| value.push_str(&format!("{byte:02x}"))),
                Digits::Base64 => BASE64_STANDARD.encode_string(code, &mut value),
            }
        }
        value
    }
}

fn ready(hmac: &Hmac) -> Option<Ready> {
    let hash = match hmac.algorithm {
        Algorithm::Sha256 => Hash::Sha256,
        Algorithm::Sha512 => Hash::Sha512,
        Algorithm::Sha1 => Hash::Sha1,
    };
    let key =
        |key: &SigningKey| (HmacKey::new(hash, key.key.reveal().as_bytes()), key.expires_at.map(Timestamp));
    Some(Ready {
        // What cannot be a header was refused when it was saved.
        header: HeaderName::try_from(&hmac.header).ok()?,
        keys: hmac.keys.iter().map(key).collect(),
        encoding: hmac.encoding,
        prefix: hmac.prefix.clone(),
        signs: hmac.signs,
    })
}

fn ed25519(key: &SigningKey) -> Option<(Signer, Option<Timestamp>)> {
    let secret = Secret::parse(key.key.reveal()).ok()?;
    Some((secret.signer(), key.expires_at.map(Timestamp)))
}

fn names(which: SignatureHeaders) -> Vec<[HeaderName; 3]> {
    let webhook = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(HeaderName::from_static);
    let svix = ["svix-id", "svix-timestamp", "svix-signature"].map(HeaderName::from_static);
    match which {
        SignatureHeaders::Webhook => vec![webhook],
        SignatureHeaders::Svix => vec![svix],
        SignatureHeaders::Both => vec![webhook, svix],
    }
}

/// Ids, times, signatures and prefixes are visible ASCII: there is none that cannot be a header.
pub(crate) fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
        headers.insert(name, value);
    }
}
