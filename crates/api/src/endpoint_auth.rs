//! An endpoint's authentication and signatures on the wire: read with their secrets, shown without.

use crate::endpoint_options::words;
use crate::json::{At, Field, Wire};
use app::Problems;
use app::credentials::{AuthInput, SignatureInput, SignatureKind, public_key};
use domain::auth::Auth;
use domain::credentials::Credentials;
use domain::signature::{Algorithm, Digits, PRESETS, Signature, Signs};
use domain::word::Worded;
use serde::Deserialize;
use serde_json::{Map, Value, json};

words!(Algorithm, Digits, Signs);

/// Every field that an authentication can have.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AuthIn {
    r#type: Field<String>,
    username: Field<String>,
    password: Field<String>,
    token: Field<String>,
    header: Field<String>,
    name: Field<String>,
    value: Field<String>,
    token_url: Field<String>,
    client_id: Field<String>,
    client_secret: Field<String>,
    scope: Field<String>,
    certificate: Field<String>,
    private_key: Field<String>,
}

const AUTHS: &str = "`none`, `basic`, `bearer`, `apiKey`, `header`, `oauth2` and `mtls`";

impl Wire for AuthInput {
    const NAME: &'static str = "an object like {\"type\": \"bearer\", \"token\": …}, or \"none\"";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        if value == "none" {
            return Some(Self::None);
        }
        let object = Map::read(value, at, problems)?;
        let given: AuthIn = serde_json::from_value(Value::Object(object)).unwrap_or_default();
        let inner = &mut Problems::default();
        let read = read_auth(given, inner);
        let good = inner.is_empty();
        problems.add_within(at, std::mem::take(inner));
        read.filter(|_| good)
    }
}

fn read_auth(given: AuthIn, problems: &mut Problems) -> Option<AuthInput> {
    let secret = |field: Field<String>, name, problems: &mut Problems| field.optional(name, problems);
    Some(match &*given.r#type.required("type", problems) {
        "none" => AuthInput::None,
        "basic" => AuthInput::Basic {
            username: given.username.required("username", problems),
            password: secret(given.password, "password", problems),
        },
        "bearer" => AuthInput::Bearer { token: secret(given.token, "token", problems) },
        "apiKey" => AuthInput::ApiKey {
            header: given.header.optional("header", problems),
            value: secret(given.value, "value", problems),
        },
        "header" => AuthInput::Header {
            name: given.name.required("name", problems),
            value: secret(given.value, "value", problems),
        },
        "oauth2" => AuthInput::Oauth2 {
            token_url: given.token_url.required("tokenUrl", problems),
            client_id: given.client_id.required("clientId", problems),
            client_secret: secret(given.client_secret, "clientSecret", problems),
            scope: given.scope.optional("scope", problems),
        },
        "mtls" => AuthInput::Mtls {
            certificate: given.certificate.required("certificate", problems),
            private_key: secret(given.private_key, "privateKey", problems),
        },
        "" => return None,
        other => {
            problems.add("type", format!("`{other}` is not known: {AUTHS} are allowed"));
            return None;
        }
    })
}

/// Every field that a signature can have.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SignatureIn {
    r#type: Field<String>,
    preset: Field<String>,
    key: Field<String>,
    header: Field<String>,
    algorithm: Field<Algorithm>,
    encoding: Field<Digits>,
    prefix: Field<String>,
    signs: Field<Signs>,
}

impl Wire for SignatureInput {
    const NAME: &'static str = "\"standard\", \"standard-ed25519\", the name of a preset, or an object like {\"type\": \"hmac\", \"key\": …}";

    fn read(value: Value, at: &At, problems: &mut Problems) -> Option<Self> {
        if let Value::String(word) = &value {
            let kind = kind_of(word).or_else(|| preset(word));
            if kind.is_none() {
                problems.add_at(
                    at.clone(),
                    format!("`{word}` is not known: {} are allowed, or an object", kinds()),
                );
            }
            return kind.map(|kind| Self { kind, key: None, spare: String::new() });
        }
        let object = Map::read(value, at, problems)?;
        let given: SignatureIn = serde_json::from_value(Value::Object(object)).unwrap_or_default();
        let inner = &mut Problems::default();
        let read = read_signature(given, inner);
        let good = inner.is_empty();
        problems.add_within(at, std::mem::take(inner));
        read.filter(|_| good)
    }
}

fn read_signature(given: SignatureIn, problems: &mut Problems) -> Option<SignatureInput> {
    let word = given.preset.optional("preset", problems);
    let base = match &word {
        None => None,
        Some(word) => match preset(word) {
            None => {
                let known: Vec<_> = PRESETS.iter().map(|preset| format!("`{}`", preset.word)).collect();
                problems.add("preset", format!("`{word}` is not known: {} are allowed", known.join(", ")));
                return None;
            }
            found => found,
        },
    };
    let kind = given.r#type.optional("type", problems);
    let key = given.key.optional("key", problems);
    let kind = match (kind.as_deref(), base) {
        (None | Some("hmac"), base) => base.or_else(|| kind_of("hmac"))?,
        (Some(word), None) if kind_of(word).is_some() => kind_of(word)?,
        (Some(word), _) => {
            problems.add("type", format!("`{word}` is not known here: {} are allowed", kinds()));
            return None;
        }
    };
    let SignatureKind::Hmac { header, algorithm, encoding, prefix, signs } = kind else {
        if kind == SignatureKind::Standard && key.is_some() {
            problems.add("key", "`standard` signs with the endpoint's secret: set that, and leave this out");
        }
        return Some(SignatureInput { kind, key, spare: String::new() });
    };
    let kind = SignatureKind::Hmac {
        header: given.header.optional("header", problems).or(header),
        algorithm: given.algorithm.optional("algorithm", problems).unwrap_or(algorithm),
        encoding: given.encoding.optional("encoding", problems).unwrap_or(encoding),
        prefix: given.prefix.optional("prefix", problems).unwrap_or(prefix),
        signs: given.signs.optional("signs", problems).unwrap_or(signs),
    };
    Some(SignatureInput { kind, key, spare: String::new() })
}

fn kind_of(word: &str) -> Option<SignatureKind> {
    match word {
        "standard" => Some(SignatureKind::Standard),
        "standard-ed25519" => Some(SignatureKind::StandardEd25519),
        "hmac" => Some(SignatureKind::Hmac {
            header: None,
            algorithm: Algorithm::default(),
            encoding: Digits::default(),
            prefix: String::new(),
            signs: Signs::default(),
        }),
        _ => None,
    }
}

fn preset(word: &str) -> Option<SignatureKind> {
    PRESETS.iter().find(|preset| preset.word == word).map(|preset| SignatureKind::Hmac {
        header: Some(preset.header.to_owned()),
        algorithm: Algorithm::Sha256,
        encoding: preset.encoding,
        prefix: preset.prefix.to_owned(),
        signs: preset.signs,
    })
}

fn kinds() -> String {
    let presets = PRESETS.iter().map(|preset| preset.word);
    let all: Vec<_> = ["standard", "standard-ed25519", "hmac"]
        .into_iter()
        .chain(presets)
        .map(|word| format!("`{word}`"))
        .collect();
    all.join(", ")
}

/// Authentication as it is shown: with `revealed`, also its secret parts.
pub(crate) fn auth_out(credentials: &Credentials, revealed: bool) -> Value {
    let mut out = match (&credentials.auth, &credentials.identity) {
        (Auth::None, Some(identity)) => json!({"type": "mtls", "certificate": identity.certificate}),
        (auth @ (Auth::None | Auth::Bearer { .. }), _) => json!({"type": auth.word()}),
        (Auth::Basic { username, .. }, _) => json!({"type": "basic", "username": username}),
        (Auth::ApiKey { header, .. }, _) => json!({"type": "apiKey", "header": header}),
        (Auth::Header { name, .. }, _) => json!({"type": "header", "name": name}),
        (Auth::Oauth2(oauth2), _) => json!({
            "type": "oauth2",
            "tokenUrl": oauth2.token_url,
            "clientId": oauth2.client_id,
            "scope": oauth2.scope,
        }),
    };
    if revealed {
        let (name, secret) = match (&credentials.auth, &credentials.identity) {
            (Auth::None, None) => return out,
            (Auth::None, Some(identity)) => ("privateKey", &identity.private_key),
            (Auth::Basic { password, .. }, _) => ("password", password),
            (Auth::Bearer { token }, _) => ("token", token),
            (Auth::ApiKey { value, .. } | Auth::Header { value, .. }, _) => ("value", value),
            (Auth::Oauth2(oauth2), _) => ("clientSecret", &oauth2.client_secret),
        };
        out[name] = json!(secret.reveal());
    }
    out
}

/// Signatures as they are shown: with `revealed`, also their current keys.
pub(crate) fn signatures_out(signatures: &[Signature], revealed: bool) -> Vec<Value> {
    let shown = |signature: &Signature| {
        let (mut out, keys) = match signature {
            Signature::Standard => return json!({"type": "standard"}),
            Signature::StandardEd25519 { keys } => {
                let public = keys.first().and_then(public_key);
                (json!({"type": "standard-ed25519", "publicKey": public}), keys)
            }
            Signature::Hmac(hmac) => (
                json!({
                    "type": "hmac",
                    "header": hmac.header,
                    "algorithm": hmac.algorithm.word(),
                    "encoding": hmac.encoding.word(),
                    "prefix": hmac.prefix,
                    "signs": hmac.signs.word(),
                }),
                &hmac.keys,
            ),
        };
        if let (true, Some(current)) = (revealed, keys.first()) {
            out["key"] = json!(current.key.reveal());
        }
        out
    };
    signatures.iter().map(shown).collect()
}
