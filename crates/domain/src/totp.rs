//! The second factor: codes of six digits that change with the time (RFC 6238 over RFC 4226).
//!
//! HMAC-SHA-1, steps of 30 seconds: what every authenticator app takes. A code is right in its own step and in the ones beside it,
//! for clocks that differ; that it counts once is kept by whoever stores the step.

use crate::clock::Timestamp;
use crate::confidential::Confidential;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use std::fmt::Write;

/// Bytes of a secret: as many as the hash has (RFC 4226, section 4, requirement 6).
pub const TOTP_SECRET_BYTES: usize = 20;
/// How long a step is, in milliseconds.
const STEP_MS: i64 = 30_000;
/// Steps before and after the present one whose codes are right.
const STEPS_BESIDE: i64 = 1;
const DIGITS: usize = 6;
/// RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// What a person's app and this server share.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret([u8; TOTP_SECRET_BYTES]);

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

impl TotpSecret {
    /// A secret of these random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; TOTP_SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads [`TotpSecret::base32`].
    #[must_use]
    pub fn read(base32: &str) -> Option<Self> {
        let mut bits = 0_u64;
        let (mut count, mut bytes) = (0, Vec::with_capacity(TOTP_SECRET_BYTES));
        for digit in base32.bytes() {
            let value = BASE32.iter().position(|known| *known == digit)?;
            bits = bits << 5 | value as u64;
            count += 5;
            if count >= 8 {
                count -= 8;
                bytes.push((bits >> count & 0xff) as u8);
            }
        }
        bytes.try_into().ok().map(Self)
    }

    /// As apps take it: 32 letters and digits.
    #[must_use]
    pub fn base32(&self) -> Confidential {
        let chunk = |five: &[u8]| {
            let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            (0..8).rev().map(move |n| char::from(BASE32[(bits >> (5 * n) & 31) as usize])).collect::<String>()
        };
        Confidential::new(self.0.chunks(5).map(chunk).collect())
    }

    /// The code of a step.
    fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let hash = hmac::sign(&key, &step.to_be_bytes());
        let hash = hash.as_ref();
        // RFC 4226, section 5.3.
        let offset = usize::from(hash[hash.len() - 1] & 0xf);
        let word = hash[offset..offset + 4].iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
    }

    /// The step of this code, if it is right now, and later than the last one that was used.
    #[must_use]
    pub fn step_of(&self, code: &str, (now, last_step): (Timestamp, i64)) -> Option<i64> {
        let code = digits(code)?;
        let present = now.0.div_euclid(STEP_MS);
        let beside = (present - STEPS_BESIDE)..=(present + STEPS_BESIDE);
        let mut later = beside.filter(|step| *step > last_step);
        later.find(|step| verify_slices_are_equal(self.code(*step).as_bytes(), code.as_bytes()).is_ok())
    }

    /// The code that is right now: what the person's app shows.
    #[must_use]
    pub fn code_now(&self, now: Timestamp) -> String {
        self.code(now.0.div_euclid(STEP_MS))
    }

    /// What a QR code tells an app (github.com/google/google-authenticator, "Key Uri Format").
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> String {
        let (issuer, account) = (percent_encoded(issuer), percent_encoded(account));
        let secret = self.base32();
        format!("otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}", secret.reveal())
    }
}

/// The digits of a code as people type it: apps show it in two groups.
#[must_use]
pub fn digits(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    (digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit())).then_some(digits)
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
                out.push(char::from(byte))
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the secret of its SHA-1 vectors.
    const SECRET: TotpSecret = TotpSecret(*b"12345678901234567890");

    /// The last six digits of the vectors' eight.
    const VECTORS: [(i64, &str); 6] = [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ];

    #[test]
    fn the_vectors_of_rfc_6238_hold() {
        for (seconds, code) in VECTORS {
            let now = Timestamp(seconds * 1_000);
            assert_eq!(SECRET.code_now(now), code);
            assert_eq!(SECRET.step_of(code, (now, 0)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_holds_in_its_step_and_those_beside_it_and_never_after_a_later_one() {
        let of = |seconds: i64, last| SECRET.step_of("287082", (Timestamp(seconds * 1_000), last));
        // Its own step is the second one: from 30 to 59 seconds.
        assert_eq!([0, 29, 30, 59, 60, 89].map(|at| of(at, 0)), [Some(1); 6]);
        assert_eq!([-1, 90].map(|at| of(at, -9)), [None; 2]);
        assert_eq!([0, 1, 2].map(|last| of(59, last)), [Some(1), None, None]);
        let now = Timestamp(59_000);
        for typed in ["287 082", " 287082 ", "287-082"] {
            assert_eq!(SECRET.step_of(typed, (now, 0)), Some(1), "{typed}");
        }
        for wrong in ["", "28708", "2870820", "287083", "28708a", "²87082", "94287082"] {
            assert_eq!(SECRET.step_of(wrong, (now, 0)), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_read_as_it_was_written() {
        let text = SECRET.base32();
        assert_eq!(text.reveal(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(TotpSecret::read(text.reveal()), Some(SECRET));
        for wrong in ["", "GEZD", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1"] {
            assert_eq!(TotpSecret::read(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{SECRET:?}"), "TotpSecret(…)");
    }

    #[test]
    fn an_app_is_told_who_and_where() {
        assert_eq!(
            SECRET.uri("hooks.example & co", "ada+x@acme.example"),
            "otpauth://totp/hooks.example%20%26%20co:ada%2Bx@acme.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=hooks.example%20%26%20co"
        );
    }
}
