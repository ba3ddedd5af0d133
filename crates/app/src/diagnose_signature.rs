//! A hint about signatures: by what a request is signed, where its answer may be about that. Pure.

use crate::diagnose::{Finding, Grade};
use domain::clock::Timestamp;
use domain::endpoint::Endpoint;
use domain::signature::{Signature, SigningKey};
use egress::Response;

/// By what requests to an endpoint are signed at one moment.
struct Signed {
    /// Under the endpoint's own secret, as most are.
    by_secret: bool,
    /// In a header with nothing but the signature, in which two stand with a comma between.
    by_hmac: bool,
    /// Under anything at all.
    is_signed: bool,
    /// Until when each old key still signs.
    old: Vec<Timestamp>,
}

/// The hint: where the receiver does not believe the request, and where an old key still signs.
pub(crate) fn signature(answer: &Response, endpoint: &Endpoint, now: Timestamp) -> Option<Finding> {
    let signed = Signed::of(endpoint, now);
    let is_doubted = match answer.status {
        401 | 403 => true,
        400 => String::from_utf8_lossy(&answer.body).to_ascii_lowercase().contains("signature"),
        _ => false,
    };
    if is_doubted {
        return Some(Finding::new("signature", Grade::Warning, signed.told(), &signed.advice()));
    }
    (!signed.old.is_empty()).then(|| Finding::new("signature", Grade::Good, signed.told(), ""))
}

impl Signed {
    fn of(endpoint: &Endpoint, now: Timestamp) -> Self {
        let mut found = Self { by_secret: false, by_hmac: false, is_signed: false, old: Vec::new() };
        for signature in &endpoint.credentials.signatures {
            found.is_signed = true;
            match signature {
                Signature::Standard => {
                    found.by_secret = true;
                    found.old.extend(endpoint.secrets.iter().filter_map(|secret| secret.expires_at));
                }
                Signature::StandardEd25519 { keys } => found.old.extend(ends(keys)),
                Signature::Hmac(hmac) => {
                    found.by_hmac = true;
                    found.old.extend(ends(&hmac.keys));
                }
            }
        }
        found.old.retain(|end| *end > now);
        found
    }

    fn told(&self) -> String {
        if !self.is_signed {
            return "Requests are not signed: `signatures` is empty.".to_owned();
        }
        let end = self.old.iter().max();
        match (self.old.len(), end) {
            (1, Some(end)) => {
                format!("Requests are signed with the current secret, and with an old one until {end}.")
            }
            (count, Some(end)) => {
                format!(
                    "Requests are signed with the current secrets, and with {count} old ones until {end} at most."
                )
            }
            (_, None) => {
                "Requests are signed with the current secret alone: no old one signs any more.".to_owned()
            }
        }
    }

    fn advice(&self) -> String {
        if !self.is_signed {
            return "If the receiver verifies signatures, choose those that it knows (`signatures`)."
                .to_owned();
        }
        let place = if self.by_secret { "…/secret" } else { "…/credentials" };
        let mut advice = format!(
            "Look whether the receiver verifies with the current secret (read it at {place}), over the raw body, and with a clock that is right."
        );
        if self.by_hmac && !self.old.is_empty() {
            advice.push_str(
                " While an old key signs too, the header of an `hmac` has two signatures with a comma between.",
            );
        }
        advice
    }
}

fn ends(keys: &[SigningKey]) -> impl Iterator<Item = Timestamp> {
    keys.iter().filter_map(|key| key.expires_at.map(Timestamp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use domain::credentials::Credentials;
    use domain::endpoint::{EndpointFields, EndpointSecret};
    use domain::id::{ApplicationKey, EndpointKey};
    use http::HeaderMap;
    use signing::Secret;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    /// An endpoint whose old secrets sign so many milliseconds on.
    fn endpoint(signatures: Vec<Signature>, old: &[i64]) -> Endpoint {
        let ends = [None].into_iter().chain(old.iter().map(|ms| Some(NOW.plus_ms(*ms))));
        let secret = |expires_at| EndpointSecret { secret: Secret::generate(&mut |_| {}), expires_at };
        Endpoint {
            key: EndpointKey(1),
            application: ApplicationKey(1),
            id: String::new(),
            fields: EndpointFields::default(),
            headers: Vec::new(),
            secrets: ends.map(secret).collect(),
            credentials: Credentials { signatures, ..Credentials::default() },
            disabling: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn hint(status: u16, body: &'static str, endpoint: &Endpoint) -> Option<(Grade, String)> {
        let body = Bytes::from_static(body.as_bytes());
        let answer = Response { status, headers: HeaderMap::new(), body, truncated: false };
        let found = signature(&answer, endpoint, NOW)?;
        assert_eq!((found.about, found.grade == Grade::Good), ("signature", found.advice.is_none()));
        Some((found.grade, found.text))
    }

    #[test]
    fn a_hint_comes_with_answers_that_may_be_about_the_signature() {
        let plain = endpoint(vec![Signature::Standard], &[]);
        let text = "Requests are signed with the current secret alone: no old one signs any more.".to_owned();
        for (status, body) in [(401, ""), (403, ""), (400, "Invalid SIGNATURE")] {
            assert_eq!(hint(status, body, &plain), Some((Grade::Warning, text.clone())), "{status}");
        }
        for (status, body) in [(200, "signature"), (400, "no such event"), (500, "signature")] {
            assert_eq!(hint(status, body, &plain), None, "{status}");
        }
    }

    #[test]
    fn the_hint_says_whether_an_old_secret_still_signs_and_until_when() {
        let one = endpoint(vec![Signature::Standard], &[-1, 3_600_000]);
        let text =
            "Requests are signed with the current secret, and with an old one until 2027-01-15T09:00:00Z.";
        assert_eq!(hint(401, "", &one), Some((Grade::Warning, text.to_owned())));
        assert_eq!(hint(200, "", &one), Some((Grade::Good, text.to_owned())));
        let several = endpoint(vec![Signature::Standard], &[3_600_000, 1_000]);
        let text = "Requests are signed with the current secrets, and with 2 old ones until 2027-01-15T09:00:00Z at most.";
        assert_eq!(hint(401, "", &several), Some((Grade::Warning, text.to_owned())));
        let unsigned = endpoint(Vec::new(), &[3_600_000]);
        let text = "Requests are not signed: `signatures` is empty.";
        assert_eq!(hint(401, "", &unsigned), Some((Grade::Warning, text.to_owned())));
        assert_eq!(hint(200, "", &unsigned), None);
    }
}
