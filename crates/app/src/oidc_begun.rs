//! What a browser keeps while somebody is at the identity provider: it comes back with it, to whichever node.
//!
//! It is sealed under a key that all nodes have, so nothing is kept here, and nobody else can make one.

use crate::session::{hex, sha256};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use domain::clock::Timestamp;
use serde::{Deserialize, Serialize};
use store::seal::{Sealer, derive};

/// How long a sign-in may take, in milliseconds (10 minutes).
pub const BEGUN_MS: i64 = 600_000;
/// What the sealed text is bound to.
const PLACE: &str = "oidc.begun";
/// Characters of where they wanted to go: a browser keeps 4,096 bytes, sealed, with the name (RFC 6265, section 6.1).
const NEXT_BYTES_MAX: usize = 1_500;

/// A sign-in that was begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Comes back in the address: that the answer is for this browser (RFC 6749, section 10.12).
    pub(crate) state: String,
    /// Comes back in the token: that the token is for this sign-in.
    pub(crate) nonce: String,
    /// Shown together with the code: that whoever has the code began the sign-in (RFC 7636).
    pub(crate) verifier: String,
    /// Where they wanted to go.
    pub(crate) next: String,
    /// When it was, in milliseconds.
    at: i64,
}

impl Begun {
    /// One made of this randomness.
    pub(crate) fn new(random: [[u8; 32]; 3], next: &str, now: Timestamp) -> Self {
        let [state, nonce, verifier] = random.map(|bytes| hex(&bytes));
        let next = if next.len() <= NEXT_BYTES_MAX { next.to_owned() } else { String::new() };
        Self { state, nonce, verifier, next, at: now.0 }
    }

    /// What the provider is shown of the verifier at first (RFC 7636, section 4.2).
    pub(crate) fn challenge(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes()))
    }
}

/// Seals and opens them.
pub(crate) struct Seal(Sealer);

impl Seal {
    /// Under a key that is made of the instance's.
    pub(crate) fn new(instance_key: &[u8]) -> Self {
        Self(Sealer::new(&derive(instance_key, "oidc"), &[]))
    }

    /// What the cookie holds.
    pub(crate) fn seal(&self, begun: &Begun) -> Result<String, store::StoreError> {
        let json = serde_json::to_vec(begun).unwrap_or_default();
        Ok(BASE64_URL_SAFE_NO_PAD.encode(self.0.seal(PLACE, &json)?))
    }

    /// The one that a cookie holds, if it is ours and not too old.
    pub(crate) fn open(&self, cookie: &str, now: Timestamp) -> Option<Begun> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let begun: Begun = serde_json::from_slice(&self.0.open(PLACE, &sealed).ok()?).ok()?;
        (now < Timestamp(begun.at).plus_ms(BEGUN_MS)).then_some(begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_sign_in_is_remembered_for_ten_minutes_by_whoever_has_the_key() {
        let seal = Seal::new(&[7; 32]);
        let begun = Begun::new([[1; 32], [2; 32], [3; 32]], "/account", NOW);
        let cookie = seal.seal(&begun).unwrap();
        let last = NOW.plus_ms(BEGUN_MS - 1);
        let opened = Seal::new(&[7; 32]).open(&cookie, last).unwrap();
        assert_eq!((opened.next, opened.state), ("/account".to_owned(), "01".repeat(32)));
        assert!(seal.open(&cookie, NOW.plus_ms(BEGUN_MS)).is_none());
        assert!(Seal::new(&[8; 32]).open(&cookie, NOW).is_none());
        let (before, after) = cookie.split_at(40);
        let changed = format!("{before}{}{}", if after.starts_with('A') { "B" } else { "A" }, &after[1..]);
        for forged in [&*changed, "", "x", "%"] {
            assert!(seal.open(forged, NOW).is_none(), "{forged}");
        }
        let long = Begun::new([[1; 32], [2; 32], [3; 32]], &"/".repeat(1_501), NOW);
        assert_eq!(long.next, "");
        let long = Begun::new([[1; 32], [2; 32], [3; 32]], &"/".repeat(1_500), NOW);
        assert!(seal.seal(&long).unwrap().len() < 3_500);
    }

    #[test]
    fn the_challenge_is_the_one_of_the_standard() {
        // RFC 7636, appendix B.
        let begun = Begun {
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(),
            ..Begun::new([[0; 32]; 3], "", NOW)
        };
        assert_eq!(begun.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
