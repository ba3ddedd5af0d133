//! What a receiver accepts, and what it does not.

use super::{SIGNATURES_MAX, TOLERANCE_SECONDS, VerifyError, verify};
use crate::{Secret, signature_header};

const ID: &str = "msg_1";
const NOW: i64 = 1_700_000_000;
const TIMESTAMP: &str = "1700000000";
const BODY: &[u8] = b"{\"a\":1}";

fn symmetric() -> Secret {
    Secret::generate(&mut |bytes| bytes.fill(1))
}

fn ed25519() -> Secret {
    Secret::generate_ed25519(&mut |bytes| bytes.fill(2))
}

fn header(secret: &Secret) -> String {
    secret.signer().sign(ID, NOW, BODY)
}

/// [`verify`] of an id, a timestamp and a signature header, with the usual tolerance, at [`NOW`].
fn check(secret: &Secret, headers: [&str; 3], body: &[u8]) -> Result<(), VerifyError> {
    let [id, timestamp, header] = headers;
    verify(secret, id, timestamp, header, body, NOW, TOLERANCE_SECONDS)
}

#[test]
fn what_was_signed_is_accepted() {
    for secret in [symmetric(), ed25519()] {
        assert_eq!(check(&secret, [ID, TIMESTAMP, &header(&secret)], BODY), Ok(()));
    }
}

#[test]
fn a_change_to_any_part_is_refused() {
    for secret in [symmetric(), ed25519()] {
        let header = header(&secret);
        let refused = Err(VerifyError::Signature);
        assert_eq!(check(&secret, ["msg_2", TIMESTAMP, &header], BODY), refused);
        assert_eq!(check(&secret, [ID, "1700000001", &header], BODY), refused);
        assert_eq!(check(&secret, [ID, "01700000000", &header], BODY), refused);
        assert_eq!(check(&secret, [ID, TIMESTAMP, &header], b"{\"a\":2}"), refused);
        assert_eq!(check(&secret, [ID, TIMESTAMP, &header], b""), refused);
    }
}

#[test]
fn every_single_changed_character_of_a_signature_is_refused() {
    for secret in [symmetric(), ed25519()] {
        let header = header(&secret);
        for position in 0..header.len() {
            let mut changed = header.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ASCII");
            assert!(check(&secret, [ID, TIMESTAMP, &changed], BODY).is_err(), "{changed}");
        }
        for cut in 0..header.len() {
            assert!(check(&secret, [ID, TIMESTAMP, &header[..cut]], BODY).is_err(), "{cut}");
        }
    }
}

#[test]
fn another_secret_is_refused_also_one_of_the_other_kind() {
    let other = Secret::generate(&mut |bytes| bytes.fill(3));
    for secret in [other, ed25519()] {
        assert_eq!(check(&secret, [ID, TIMESTAMP, &header(&symmetric())], BODY), Err(VerifyError::Signature));
    }
}

#[test]
fn either_key_of_a_rotation_is_accepted_beside_versions_that_we_do_not_know() {
    let signers = [ed25519().signer(), symmetric().signer()];
    let header = format!("v2,?? {} v1,AAAA", signature_header(&signers, ID, NOW, BODY));
    for secret in [symmetric(), ed25519()] {
        assert_eq!(check(&secret, [ID, TIMESTAMP, &header], BODY), Ok(()));
    }
}

#[test]
fn a_header_longer_than_any_rotation_is_not_read_to_its_end() {
    let header = format!("{}{}", "v1,AAAA ".repeat(SIGNATURES_MAX), header(&symmetric()));
    assert_eq!(check(&symmetric(), [ID, TIMESTAMP, &header], BODY), Err(VerifyError::Signature));
}

#[test]
fn the_timestamp_may_lie_five_minutes_away_and_not_a_second_more() {
    let secret = symmetric();
    let at = |now| verify(&secret, ID, TIMESTAMP, &header(&secret), BODY, now, TOLERANCE_SECONDS);
    assert_eq!(at(NOW + 300), Ok(()));
    assert_eq!(at(NOW + 301), Err(VerifyError::TooOld));
    assert_eq!(at(NOW - 300), Ok(()));
    assert_eq!(at(NOW - 301), Err(VerifyError::InFuture));
    assert_eq!(at(i64::MAX), Err(VerifyError::TooOld));
    assert_eq!(at(i64::MIN), Err(VerifyError::InFuture));
}

#[test]
fn a_timestamp_that_is_no_plain_number_is_refused() {
    for timestamp in ["", " ", "now", "1700000000.0", "+1700000000", "-1", "1.7e9", "99999999999999999999"] {
        let refused = Err(VerifyError::Timestamp);
        assert_eq!(
            check(&symmetric(), [ID, timestamp, &header(&symmetric())], BODY),
            refused,
            "{timestamp:?}"
        );
    }
}

#[test]
fn an_id_that_could_move_the_border_of_the_timestamp_is_refused() {
    // "msg.1" at 2 with the body "x" and "msg" at 1 with "2.x" would be the same signed bytes.
    for id in ["", ".", "msg.1", "msg_1.1700000000"] {
        let header = symmetric().signer().sign(id, NOW, BODY);
        assert_eq!(check(&symmetric(), [id, TIMESTAMP, &header], BODY), Err(VerifyError::Id), "{id:?}");
    }
}
