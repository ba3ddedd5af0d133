use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::json;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const NOW_SECONDS: i64 = 1_800_000_000;
const ISSUER: &str = "https://id.example";

/// A provider with one key.
struct Signer(Ed25519KeyPair, EncodingKey);

impl Signer {
    fn new() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let der = pair.to_pkcs8v1().unwrap();
        Self(pair, EncodingKey::from_ed_der(der.as_ref()))
    }

    fn jwk(&self) -> Value {
        let x = BASE64_URL_SAFE_NO_PAD.encode(self.0.public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": "one"})
    }

    fn token(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &self.1).unwrap()
    }

    fn read(&self, claims: &Value) -> Result<Person, BadToken> {
        let keys = [Key::read(self.jwk()).unwrap()];
        let expected = Expected { issuer: ISSUER, client_id: "us", nonce: "once", now: NOW };
        read(&self.token(Some("one"), claims), &keys, expected)
    }
}

fn good() -> Value {
    json!({
        "iss": ISSUER, "sub": "17", "aud": "us", "exp": NOW_SECONDS + 60, "iat": NOW_SECONDS, "nonce": "once",
        "email": "ada@acme.example", "email_verified": true, "name": "Ada",
    })
}

/// The good token with these claims instead; `null` leaves one out.
fn with(changes: &Value) -> Value {
    let mut claims = good();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[test]
fn a_token_says_whom_it_is_about() {
    let ada = Person {
        sub: "17".into(),
        email: Some("ada@acme.example".into()),
        email_verified: Some(true),
        name: Some("Ada".into()),
    };
    let signer = Signer::new();
    assert_eq!(signer.read(&good()), Ok(ada));
    for (told, verified) in [
        (json!("true"), Some(true)),
        (json!("yes"), Some(false)),
        (json!(1), Some(false)),
        (Value::Null, None),
    ] {
        let person = signer.read(&with(&json!({ "email_verified": told }))).unwrap();
        assert_eq!(person.email_verified, verified, "{told}");
    }
}

#[test]
fn a_token_must_be_this_providers_for_us_for_now_and_for_this_sign_in() {
    let signer = Signer::new();
    for (changes, why) in [
        (json!({"iss": "https://id.example/"}), "it is another provider's"),
        (json!({"aud": "them"}), "it is for another application"),
        (json!({"aud": ["us", "them"]}), "it is for another application"),
        (json!({"aud": ["us", "them"], "azp": "them"}), "it is for another application"),
        (json!({"azp": "them"}), "it is for another application"),
        (json!({"aud": []}), "it is for another application"),
        (json!({"aud": "them", "azp": "us"}), "it is for another application"),
        (json!({"exp": NOW_SECONDS - 60}), "it has expired"),
        (json!({"exp": -1e300}), "it has expired"),
        (json!({"iat": NOW_SECONDS + 61}), "it is from the future: one of the two clocks is wrong"),
        (json!({"nbf": NOW_SECONDS + 61}), "it is from the future: one of the two clocks is wrong"),
        (json!({"nonce": "twice"}), "it is not for this sign-in"),
        (json!({"nonce": null}), "it is not for this sign-in"),
        (json!({"sub": ""}), "it does not say whom it is about"),
        (json!({"sub": "x".repeat(256)}), "it does not say whom it is about"),
        (json!({"sub": null}), "it cannot be read, or something is missing in it"),
        (json!({"sub": 17}), "it cannot be read, or something is missing in it"),
        (json!({"exp": null}), "it cannot be read, or something is missing in it"),
        (json!({"iat": null}), "it cannot be read, or something is missing in it"),
        (json!({"aud": null}), "it cannot be read, or something is missing in it"),
        (json!({"iss": null}), "it cannot be read, or something is missing in it"),
    ] {
        assert_eq!(signer.read(&with(&changes)), Err(BadToken::Wrong(why)), "{changes}");
    }
    for changes in [
        json!({"aud": ["us"]}),
        json!({"aud": ["them", "us"], "azp": "us"}),
        json!({"exp": NOW_SECONDS - 59}),
        json!({"iat": NOW_SECONDS + 60, "nbf": NOW_SECONDS as f64 - 0.5}),
        json!({"sub": "x".repeat(255)}),
    ] {
        assert!(signer.read(&with(&changes)).is_ok(), "{changes}");
    }
}

#[test]
fn only_a_key_that_is_meant_checks_a_token() {
    let (signer, other) = (Signer::new(), Signer::new());
    let expected = Expected { issuer: ISSUER, client_id: "us", nonce: "once", now: NOW };
    let check = |id, jwks: &[Value]| {
        let keys: Vec<_> = jwks.iter().cloned().filter_map(Key::read).collect();
        read(&signer.token(id, &good()), &keys, expected).map(|_| ())
    };
    let named = |jwk: Value, name: &str, value: Value| {
        let mut jwk = jwk;
        jwk[name] = value;
        jwk
    };
    let two = named(other.jwk(), "kid", json!("two"));
    assert_eq!(check(Some("one"), &[two.clone(), signer.jwk()]), Ok(()));
    assert_eq!(check(None, &[signer.jwk()]), Ok(()));
    let unsaid = Err(BadToken::Wrong("it does not say with which key it is signed"));
    assert_eq!(check(None, &[signer.jwk(), two.clone()]), unsaid);
    assert_eq!(check(Some("three"), &[signer.jwk(), two.clone()]), Err(BadToken::UnknownKey));
    assert_eq!(check(Some("two"), &[two]), Err(BadToken::Wrong("its signature does not hold")));
    for (name, value) in [("use", "enc"), ("alg", "RS256"), ("crv", "X25519"), ("kty", "EC")] {
        let jwk = named(signer.jwk(), name, json!(value));
        assert_eq!(check(Some("one"), &[jwk]), Err(BadToken::UnknownKey), "{name} {value}");
    }
    for (name, value) in [("use", "sig"), ("alg", "EdDSA"), ("x5t", "what we do not read")] {
        assert_eq!(check(Some("one"), &[named(signer.jwk(), name, json!(value))]), Ok(()), "{name} {value}");
    }
    // A key that both sides have is no proof.
    assert!(Key::read(json!({"kty": "oct", "k": "c2VjcmV0", "kid": "one"})).is_none());
}

#[test]
fn what_is_signed_in_another_way_is_not_read() {
    let signer = Signer::new();
    let keys = [Key::read(signer.jwk()).unwrap()];
    let expected = Expected { issuer: ISSUER, client_id: "us", nonce: "once", now: NOW };
    let token = signer.token(Some("one"), &good());
    let rest = token.split_once('.').unwrap().1;
    let unsigned = rest.rsplit_once('.').unwrap().0;
    let header = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let none = header(json!({"alg": "none"}));
    let secret = encode(&Header::default(), &good(), &EncodingKey::from_secret(b"secret")).unwrap();
    let critical = header(json!({"alg": "EdDSA", "kid": "one", "crit": ["b64"], "b64": false}));
    for forged in [
        format!("{none}.{unsigned}."),
        secret,
        format!("{critical}.{rest}"),
        String::new(),
        "a.b.c".into(),
        token.replacen('.', "..", 1),
    ] {
        let why = "it is not signed in a way that is taken";
        assert_eq!(read(&forged, &keys, expected), Err(BadToken::Wrong(why)), "{forged}");
    }
}
