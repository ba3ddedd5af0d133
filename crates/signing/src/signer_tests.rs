//! Signatures against published vectors, a second implementation, and each other.

use std::time::{SystemTime, UNIX_EPOCH};

use super::signature_header;
use crate::Secret;

const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const TIMESTAMP: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;

/// The vector of the Standard Webhooks libraries.
const SYMMETRIC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SYMMETRIC_SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

/// The key of RFC 8032, section 7.1, test 1. The signature was computed twice elsewhere, by OpenSSL 3.0
/// (`pkeyutl -sign -rawin`) and by the RFC's own arithmetic in Python.
const ED25519: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const ED25519_SIGNATURE: &str =
    "v1a,fldxM4gAKugP6nnt1hdz3sgGfZ6d99nzrMFnZOELIxbzEHoVmAb2ADpkJK7zgPePmPsle0zV9jSeGlHFG2NVAw==";

fn secret(text: &str) -> Secret {
    Secret::parse(text).expect("a secret")
}

#[test]
fn a_symmetric_signature_is_the_published_one() {
    assert_eq!(secret(SYMMETRIC).signer().sign(ID, TIMESTAMP, BODY), SYMMETRIC_SIGNATURE);
}

#[test]
fn an_ed25519_signature_is_the_one_that_others_compute() {
    assert_eq!(secret(ED25519).signer().sign(ID, TIMESTAMP, BODY), ED25519_SIGNATURE);
}

#[test]
fn one_signer_signs_many_messages_alike() {
    let signer = secret(SYMMETRIC).signer();
    signer.sign("msg_other", 1, b"{}");
    assert_eq!(signer.clone().sign(ID, TIMESTAMP, BODY), SYMMETRIC_SIGNATURE);
}

#[test]
fn a_rotated_key_signs_beside_the_new_one() {
    let signers = [secret(ED25519).signer(), secret(SYMMETRIC).signer()];
    let header = signature_header(&signers, ID, TIMESTAMP, BODY);
    assert_eq!(header, format!("{ED25519_SIGNATURE} {SYMMETRIC_SIGNATURE}"));
    assert_eq!(signature_header(&[], ID, TIMESTAMP, BODY), "");
}

#[test]
fn a_signature_is_appended_to_what_is_there() {
    let mut out = String::from("v0,old ");
    secret(SYMMETRIC).signer().sign_into(&mut out, ID, TIMESTAMP, BODY);
    assert_eq!(out, format!("v0,old {SYMMETRIC_SIGNATURE}"));
}

#[test]
fn signatures_agree_with_the_standards_own_library() {
    let theirs = standardwebhooks::Webhook::new(SYMMETRIC).expect("a secret");
    let signer = secret(SYMMETRIC).signer();
    for timestamp in [i64::MIN, -1, 0, 9, 1_614_265_330, i64::MAX] {
        for body in ["", "{}", "a.b.c", "snow ☃ man", &"long ".repeat(5_000)] {
            let expected = theirs.sign(ID, timestamp, body.as_bytes()).expect("text");
            assert_eq!(signer.sign(ID, timestamp, body.as_bytes()), expected, "{timestamp} {body:.20}");
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "their verifier looks at the clock itself")]
fn the_standards_own_library_accepts_a_header_in_rotation() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let timestamp = i64::try_from(now).expect("before the year 292 billion");
    let newer = Secret::generate(&mut |bytes| bytes.fill(9));
    let signers = [newer.signer(), secret(SYMMETRIC).signer()];

    let mut headers = http::HeaderMap::new();
    headers.insert("webhook-id", http::HeaderValue::from_static(ID));
    headers.insert("webhook-timestamp", http::HeaderValue::from(timestamp));
    let signature = signature_header(&signers, ID, timestamp, BODY);
    headers.insert("webhook-signature", signature.parse().expect("a header value"));

    let old_receiver = standardwebhooks::Webhook::new(SYMMETRIC).expect("a secret");
    old_receiver.verify(BODY, &headers).expect("signed with the key before");
    let new_receiver = standardwebhooks::Webhook::new(&newer.export()).expect("a secret");
    new_receiver.verify(BODY, &headers).expect("signed with the key after");
}
