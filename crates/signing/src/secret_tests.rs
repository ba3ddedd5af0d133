//! The text forms of a secret: what is read, what is shown, and what is refused.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{Secret, SecretError};

/// RFC 8032, section 7.1, test 1: the seed, the same with its public key, and the public key alone.
const SEED: &str = "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
const SEED_AND_PUBLIC: &str =
    "whsk_nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
const PUBLIC: &str = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

fn of_length(prefix: &str, bytes: usize) -> String {
    format!("{prefix}{}", BASE64_STANDARD.encode(vec![7; bytes]))
}

fn refusal(text: &str) -> SecretError {
    Secret::parse(text).expect_err("this text is not a secret")
}

#[test]
fn a_symmetric_secret_reads_back_as_it_was_written() {
    for bytes in [24, 32, 64] {
        let text = of_length("whsec_", bytes);
        let secret = Secret::parse(&text).expect("a secret");
        assert_eq!((secret.export(), secret.reveal()), (text.clone(), text));
    }
}

#[test]
fn the_prefix_of_a_symmetric_secret_may_be_missing() {
    let secret = Secret::parse(&of_length("", 24)).expect("a secret");
    assert_eq!(secret.export(), of_length("whsec_", 24));
}

#[test]
fn a_symmetric_secret_has_24_to_64_bytes() {
    for bytes in [0, 1, 23, 65, 512] {
        assert_eq!(refusal(&of_length("whsec_", bytes)), SecretError::Length { bytes });
    }
}

#[test]
fn an_ed25519_key_reads_as_seed_or_pair_under_either_prefix_and_shows_only_its_public_key() {
    let versioned = SEED.replace("whsk_", "whsk1_");
    for text in [SEED, SEED_AND_PUBLIC, &versioned] {
        let secret = Secret::parse(text).expect("a key");
        assert_eq!(secret.reveal(), PUBLIC);
        assert_eq!(secret.export(), SEED_AND_PUBLIC);
    }
}

#[test]
fn a_public_key_is_refused_because_it_cannot_sign() {
    assert_eq!(refusal(PUBLIC), SecretError::PublicKey);
    assert!(refusal(PUBLIC).to_string().contains("public key"));
}

#[test]
fn an_ed25519_key_of_another_length_is_refused() {
    for bytes in [0, 31, 33, 63, 65] {
        assert_eq!(refusal(&of_length("whsk_", bytes)), SecretError::KeyLength { bytes });
    }
}

#[test]
fn a_pair_whose_halves_differ_is_refused() {
    assert_eq!(refusal(&of_length("whsk_", 64)), SecretError::KeyMismatch);
}

#[test]
fn what_is_not_base64_is_refused() {
    for text in ["whsec_!", "whsk_!", "whsec_Mf KQ", "hello there", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS"] {
        assert_eq!(refusal(text), SecretError::NotBase64, "{text}");
    }
}

#[test]
fn nothing_printed_holds_key_material() {
    for text in [SEED_AND_PUBLIC, &of_length("whsec_", 32)] {
        let secret = Secret::parse(text).expect("a secret");
        assert_eq!(format!("{secret:?} {:?}", secret.signer()), "Secret(…) Signer(…)");
    }
    let broken = "whsec_XYZZY*XYZZY";
    assert!(!format!("{0} {0:?}", refusal(broken)).contains("XYZZY"));
}

#[test]
fn a_generated_secret_is_the_randomness_it_was_given() {
    let mut random = |bytes: &mut [u8]| bytes.fill(7);
    assert_eq!(Secret::generate(&mut random).export(), of_length("whsec_", 32));

    let seed = BASE64_STANDARD.decode(&SEED["whsk_".len()..]).expect("base64");
    let mut random = |bytes: &mut [u8]| bytes.copy_from_slice(&seed);
    assert_eq!(Secret::generate_ed25519(&mut random).export(), SEED_AND_PUBLIC);
}
