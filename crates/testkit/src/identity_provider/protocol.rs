//! What the provider answers, and what it asks of its client.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{Method, Response};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

use super::key::base64;
use super::{Account, ClientKind, IdentityProvider, Script, State};

/// How long a token is good for, in seconds.
const TOKEN_SECONDS: i64 = 300;

/// What a code stands for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    account: Account,
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

type Answer = Response<Full<Bytes>>;
type Parameters = HashMap<String, String>;

/// The name of a path.
pub(super) fn place(path: &str) -> &'static str {
    match path {
        "/realms/acme/.well-known/openid-configuration" => "document",
        "/realms/acme/keys" => "keys",
        "/realms/acme/authorize" => "authorize",
        "/realms/acme/token" => "token",
        "/realms/acme/userinfo" => "userinfo",
        _ => "nowhere",
    }
}

pub(super) fn plain(status: u16, text: String) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status.try_into().expect("a status");
    answer
}

fn json_of(status: u16, value: &Value) -> Answer {
    let mut answer = plain(status, value.to_string());
    answer.headers_mut().insert(CONTENT_TYPE, "application/json".parse().expect("a header"));
    answer
}

fn refused(status: u16, error: &str) -> Answer {
    json_of(status, &json!({"error": error, "error_description": "as the test wanted"}))
}

fn parameters(text: &[u8]) -> Parameters {
    form_urlencoded::parse(text).into_owned().collect()
}

fn text<'a>(parameters: &'a Parameters, name: &str) -> &'a str {
    parameters.get(name).map_or("", |value| value)
}

fn random() -> String {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).expect("randomness");
    base64(bytes)
}

/// Puts what a test wants into what is right.
fn overlaid(mut right: Value, wanted: &Map<String, Value>) -> Value {
    let all = right.as_object_mut().expect("an object");
    for (name, value) in wanted {
        match value {
            Value::Null => drop(all.remove(name)),
            value => drop(all.insert(name.clone(), value.clone())),
        }
    }
    right
}

impl State {
    pub(super) fn issuer(&self) -> String {
        format!("http://{}/realms/acme", self.address)
    }

    pub(super) fn answer(&self, place: &str, head: &Parts, body: &[u8]) -> Answer {
        let mut script = self.script.lock();
        let query = parameters(head.uri.query().unwrap_or_default().as_bytes());
        match (place, &head.method) {
            ("document", &Method::GET) => self.document(&script),
            ("keys", &Method::GET) => {
                let mut keys: Vec<_> = script.keys.iter().map(super::Key::published).collect();
                // What clients do not know stands beside what they do.
                keys.push(json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "odd"}));
                keys.push(json!({"kty": "RSA", "use": "enc", "n": "AA", "e": "AQAB", "kid": "key-1"}));
                json_of(200, &json!({ "keys": keys }))
            }
            ("authorize", &Method::GET) => self.authorize(&mut script, &query),
            ("token", &Method::POST) => self.token(&mut script, head, &parameters(body)),
            ("userinfo", &Method::GET) => userinfo(&script, head),
            _ => plain(404, "nothing is here".to_owned()),
        }
    }

    fn document(&self, script: &Script) -> Answer {
        let issuer = self.issuer();
        let methods = match script.client {
            ClientKind::Basic => json!(["client_secret_basic"]),
            ClientKind::Post => json!(["client_secret_post", "private_key_jwt"]),
            ClientKind::Public => json!(["none"]),
        };
        let right = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize?tenant=acme"),
            "token_endpoint": format!("{issuer}/token"),
            "jwks_uri": format!("{issuer}/keys"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": methods,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": script.names_itself,
        });
        json_of(200, &overlaid(right, &script.document))
    }

    /// OpenID Connect Core 1.0, section 3.1.2: nobody is sent anywhere but to an address that was registered.
    fn authorize(&self, script: &mut Script, query: &Parameters) -> Answer {
        let redirect_uri = text(query, "redirect_uri");
        if text(query, "client_id") != IdentityProvider::CLIENT_ID
            || !script.redirect_uris.iter().any(|known| known == redirect_uri)
            || text(query, "tenant") != "acme"
        {
            return plain(400, format!("no client is sent back to {redirect_uri}"));
        }
        let is_whole = text(query, "response_type") == "code"
            && text(query, "scope").split(' ').any(|scope| scope == "openid")
            && text(query, "state").len() >= 22
            && text(query, "nonce").len() >= 22
            && text(query, "code_challenge_method") == "S256"
            && text(query, "code_challenge").len() == 43;
        let mut back = Url::parse(redirect_uri).expect("a registered URL");
        let (name, value) = match (is_whole, script.denied, script.account.clone()) {
            (false, ..) => ("error", "invalid_request".to_owned()),
            (_, Some(error), _) => ("error", error.to_owned()),
            (_, _, None) => ("error", "login_required".to_owned()),
            (_, _, Some(account)) => {
                let (code, own) = (random(), |name: &str| text(query, name).to_owned());
                let (nonce, challenge) = (own("nonce"), own("code_challenge"));
                let grant = Grant { account, nonce, challenge, redirect_uri: redirect_uri.to_owned() };
                script.grants.insert(code.clone(), grant);
                ("code", code)
            }
        };
        back.query_pairs_mut().append_pair(name, &value);
        back.query_pairs_mut().append_pair("state", text(query, "state"));
        if script.names_itself {
            back.query_pairs_mut().append_pair("iss", &self.issuer());
        }
        let mut answer = plain(303, String::new());
        answer.headers_mut().insert(LOCATION, back.as_str().parse().expect("a header"));
        answer
    }

    /// RFC 6749, section 4.1.3; RFC 7636, section 4.6.
    fn token(&self, script: &mut Script, head: &Parts, form: &Parameters) -> Answer {
        if !is_the_client(script.client, head, form) {
            return refused(401, "invalid_client");
        }
        if text(form, "grant_type") != "authorization_code" {
            return refused(400, "unsupported_grant_type");
        }
        // A code is gone once it was shown, whatever comes of it.
        let Some(grant) = script.grants.remove(text(form, "code")) else {
            return refused(400, "invalid_grant");
        };
        let challenge = base64(digest(&SHA256, text(form, "code_verifier").as_bytes()));
        if challenge != grant.challenge || text(form, "redirect_uri") != grant.redirect_uri {
            return refused(400, "invalid_grant");
        }
        let mut claims = json!({
            "iss": self.issuer(),
            "sub": grant.account.subject,
            "aud": IdentityProvider::CLIENT_ID,
            "iat": script.now,
            "exp": script.now + TOKEN_SECONDS,
            "nonce": grant.nonce,
        });
        if !script.has_email_in_userinfo_alone {
            claims = overlaid(claims, &profile(&grant.account));
        }
        let claims = overlaid(claims, &script.claims);
        let token = script.keys.last().expect("a key").token(&claims, script.signing);
        let access = random();
        script.access.insert(access.clone(), grant.account);
        json_of(
            200,
            &json!({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": token}),
        )
    }
}

fn profile(account: &Account) -> Map<String, Value> {
    let mut profile = Map::new();
    let mut put =
        |name: &str, value: Option<Value>| value.map(|value| profile.insert(name.to_owned(), value));
    put("email", account.email.clone().map(Value::from));
    put("email_verified", account.email_verified.map(Value::from));
    put("name", account.name.clone().map(Value::from));
    profile
}

fn userinfo(script: &Script, head: &Parts) -> Answer {
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match script.access.get(token.strip_prefix("Bearer ").unwrap_or_default()) {
        Some(account) => {
            let told = overlaid(json!({"sub": account.subject}), &profile(account));
            json_of(200, &overlaid(told, &script.claims))
        }
        None => refused(401, "invalid_token"),
    }
}

fn is_the_client(kind: ClientKind, head: &Parts, form: &Parameters) -> bool {
    let basic = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (id, secret) = (form.get("client_id"), form.get("client_secret"));
    let is_ours = id.is_some_and(|id| id == IdentityProvider::CLIENT_ID);
    match (kind, basic) {
        (ClientKind::Basic, Some(basic)) => {
            let decoded = basic.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok());
            let pair = String::from_utf8(decoded.unwrap_or_default()).unwrap_or_default();
            // Each part is encoded as forms are, so that a colon in it is none here.
            let decode = |part: &str| {
                form_urlencoded::parse(part.as_bytes()).map(|(name, _)| name.into_owned()).collect::<String>()
            };
            let parts: Vec<_> = pair.split(':').map(decode).collect();
            parts == [IdentityProvider::CLIENT_ID, IdentityProvider::CLIENT_SECRET] && secret.is_none()
        }
        (ClientKind::Post, None) => {
            is_ours && secret.is_some_and(|secret| secret == IdentityProvider::CLIENT_SECRET)
        }
        (ClientKind::Public, None) => is_ours && secret.is_none(),
        _ => false,
    }
}
