use super::*;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SECRET: &[u8] = b"a secret of enough bytes, for tests";
const ORG: &str = "org_2aaaaaaaaaaaaaaaaaaaaaaaaaa";
const APP: &str = "app_2aaaaaaaaaaaaaaaaaaaaaaaaaa";

fn hs256() -> Jwt {
    Jwt::new("HS256", SECRET).unwrap()
}

fn grant(application: Option<&'static str>) -> Grant<'static> {
    Grant { environment: ORG, application, feature_flags: None, lifetime_seconds: 60 }
}

/// A token with this header and these claims, signed with HMAC-SHA256 under `key`.
fn forged(header: &str, claims: &str, key: &[u8]) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let content = format!("{}.{}", part(header), part(claims));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let signature = aws_lc_rs::hmac::sign(&key, content.as_bytes());
    format!("{content}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
}

#[test]
fn a_token_says_what_it_was_granted() {
    let jwt = hs256();
    let token = jwt.sign(grant(None), NOW).unwrap();
    let verified = jwt.verify(token.as_bytes(), NOW).unwrap();
    assert_eq!((verified.environment.as_str(), verified.application), (ORG, None));
    let flags = Some(vec!["beta".to_owned()]);
    let token = jwt.sign(Grant { feature_flags: flags.clone(), ..grant(Some(APP)) }, NOW).unwrap();
    let verified = jwt.verify(token.as_bytes(), NOW).unwrap();
    assert_eq!((verified.environment.as_str(), verified.application.as_deref()), (ORG, Some(APP)));
    assert_eq!(Some(verified.feature_flags), flags);
}

#[test]
fn our_tokens_have_whole_seconds() {
    let token = hs256().sign(grant(None), NOW).unwrap();
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims = String::from_utf8(claims).unwrap();
    assert!(claims.contains("\"iat\":1800000000,"), "{claims}");
    assert!(!claims.contains('.'), "{claims}");
}

#[test]
fn a_token_is_good_within_its_time_and_a_small_leeway() {
    let jwt = hs256();
    let token = jwt.sign(grant(None), NOW).unwrap();
    let at = |seconds: i64| jwt.verify(token.as_bytes(), NOW.plus_ms(seconds * 1000)).is_some();
    assert_eq!([at(-31), at(-30), at(0), at(89), at(90)], [false, true, true, true, false]);
}

#[test]
fn forged_tokens_are_refused() {
    let jwt = hs256();
    let claims = format!(r#"{{"sub":"{ORG}"}}"#);
    let good = forged(r#"{"alg":"HS256","typ":"JWT"}"#, &claims, SECRET);
    assert!(jwt.verify(good.as_bytes(), NOW).is_some());
    let unsigned = format!("{}.", good.rsplit_once('.').unwrap().0);
    let table = [
        forged(r#"{"alg":"HS256"}"#, &claims, b"another secret of enough bytes....."),
        forged(r#"{"alg":"none"}"#, &claims, SECRET),
        forged(r#"{"alg":"None"}"#, &claims, SECRET),
        forged(r#"{"alg":"HS512"}"#, &claims, SECRET),
        forged(r#"{"alg":"RS256"}"#, &claims, SECRET),
        forged(r#"{}"#, &claims, SECRET),
        forged("none", &claims, SECRET),
        forged(r#"{"alg":"none"}"#, &claims, SECRET).rsplit_once('.').unwrap().0.to_owned() + ".",
        unsigned,
        good.replace('.', ".."),
        good[..good.len() - 1].to_owned(),
        String::new(),
        "..".to_owned(),
        "junk".to_owned(),
    ];
    for token in table {
        assert_eq!(jwt.verify(token.as_bytes(), NOW), None, "{token}");
    }
}

#[test]
fn claims_that_name_no_environment_are_refused() {
    let jwt = hs256();
    for claims in [
        r#"{}"#.to_owned(),
        r#"{"sub":"user_1"}"#.to_owned(),
        r#"{"sub":"org_"}"#.to_owned(),
        format!(r#"{{"sub":"{APP}"}}"#),
        format!(r#"{{"sub":"{ORG}","org":"{ORG}"}}"#),
        format!(r#"{{"sub":"{APP}","org":"{APP}"}}"#),
        format!(r#"{{"sub":"{ORG}","exp":"soon"}}"#),
        format!(r#"{{"sub":"{ORG}","exp":1}}"#),
        format!(r#"{{"sub":"{ORG}","nbf":99999999999}}"#),
        r#"{"sub":"org_../../x"}"#.to_owned(),
    ] {
        let token = forged(r#"{"alg":"HS256"}"#, &claims, SECRET);
        assert_eq!(jwt.verify(token.as_bytes(), NOW), None, "{claims}");
    }
}

#[test]
fn a_public_key_never_serves_as_a_shared_secret() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = pem("PUBLIC KEY", pair.public_key().as_der().unwrap().as_ref());
    let private = pem("PRIVATE KEY", pair.as_der().unwrap().as_ref());
    let jwt = Jwt::new("RS256", public.as_bytes()).unwrap();
    let claims = serde_json::json!({ "sub": ORG });
    let key = EncodingKey::from_rsa_pem(private.as_bytes()).unwrap();
    let honest = encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
    assert!(jwt.verify(honest.as_bytes(), NOW).is_some());
    let other_hash = encode(&Header::new(Algorithm::RS512), &claims, &key).unwrap();
    assert_eq!(jwt.verify(other_hash.as_bytes(), NOW), None);
    let confused = forged(r#"{"alg":"HS256"}"#, &claims.to_string(), public.as_bytes());
    assert_eq!(jwt.verify(confused.as_bytes(), NOW), None);
    assert_eq!(hs256().verify(honest.as_bytes(), NOW), None);
    assert_eq!(jwt.sign(grant(None), NOW), Err(CannotSign));
}

#[test]
fn only_known_algorithms_and_strong_keys_are_taken() {
    assert!(matches!(Jwt::new("none", SECRET), Err(BadJwtKey::Algorithm(_))));
    assert!(matches!(Jwt::new("ES256", SECRET), Err(BadJwtKey::Algorithm(_))));
    assert!(matches!(Jwt::new("HS256", b"short"), Err(BadJwtKey::Short(5))));
    assert!(matches!(Jwt::new("RS256", SECRET), Err(BadJwtKey::NotPem(_))));
    assert!(matches!(Jwt::new("EdDSA", SECRET), Err(BadJwtKey::NotPem(_))));
    for name in ["HS256", "HS384", "HS512"] {
        let jwt = Jwt::new(name, SECRET).unwrap();
        let token = jwt.sign(grant(None), NOW).unwrap();
        assert!(jwt.verify(token.as_bytes(), NOW).is_some(), "{name}");
    }
}
