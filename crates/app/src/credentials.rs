//! An endpoint's authentication, certificates and signatures as they come in, go into what is there, and are shown.
//!
//! Secret parts are never shown but on purpose ([`App::credentials_get`]). So that what is shown can be sent back with a
//! change, a secret part that is absent stays as it is, where the rest is of the same kind.

use crate::App;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Place, Right};
use domain::audit::Action;
use domain::auth::{API_KEY_HEADER, Auth, OAuth2};
use domain::confidential::Confidential;
use domain::credentials::{Credentials, Identity};
use domain::endpoint::Endpoint;
use domain::limit::{OLD_SECRETS_MAX, SECRET_GRACE_SECONDS_DEFAULT, SECRET_GRACE_SECONDS_MAX};
use domain::signature::{Algorithm, Digits, HMAC_HEADER, Hmac, Signature, SigningKey, Signs};
use egress::TlsOptions;
use std::borrow::Cow;
use store::StoreError;
use store::endpoint::EndpointChange;

/// Authentication as a client gives it; secret parts that are absent stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuthInput {
    /// None at all.
    #[default]
    None,
    /// HTTP Basic.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Option<String>,
    },
    /// A bearer token.
    Bearer {
        /// The token.
        token: Option<String>,
    },
    /// An API key in a header.
    ApiKey {
        /// The header; `X-API-Key` unless told otherwise.
        header: Option<String>,
        /// The key.
        value: Option<String>,
    },
    /// Any header.
    Header {
        /// Its name.
        name: String,
        /// Its value.
        value: Option<String>,
    },
    /// Client credentials.
    Oauth2 {
        /// Where tokens are given.
        token_url: String,
        /// The client.
        client_id: String,
        /// Its secret.
        client_secret: Option<String>,
        /// What is asked for.
        scope: Option<String>,
    },
    /// A client certificate.
    Mtls {
        /// In PEM, with those that lead to its authority.
        certificate: String,
        /// In PEM.
        private_key: Option<String>,
    },
}

impl AuthInput {
    /// The secret part that is neither given nor there to stay.
    pub(crate) fn lacks(&self, there: Option<&Credentials>) -> Option<&'static str> {
        let auth = there.map(|there| &there.auth);
        let (name, given, stays) = match self {
            Self::None => return None,
            Self::Basic { password, .. } => ("password", password, matches!(auth, Some(Auth::Basic { .. }))),
            Self::Bearer { token } => ("token", token, matches!(auth, Some(Auth::Bearer { .. }))),
            Self::ApiKey { value, .. } => ("value", value, matches!(auth, Some(Auth::ApiKey { .. }))),
            Self::Header { value, .. } => ("value", value, matches!(auth, Some(Auth::Header { .. }))),
            Self::Oauth2 { client_secret, .. } => {
                ("clientSecret", client_secret, matches!(auth, Some(Auth::Oauth2(_))))
            }
            Self::Mtls { private_key, .. } => {
                ("privateKey", private_key, there.is_some_and(|there| there.identity.is_some()))
            }
        };
        (given.is_none() && !stays).then_some(name)
    }

    /// Puts it in the place of what is there.
    pub(crate) fn apply(self, there: &mut Credentials) {
        let old = std::mem::take(&mut there.auth);
        let old_identity = there.identity.take();
        let kept = |given: Option<String>, old: Option<&Confidential>| {
            given.map_or_else(|| old.cloned().unwrap_or_default(), Confidential::new)
        };
        there.auth = match (self, &old) {
            (Self::None, _) => Auth::None,
            (Self::Basic { username, password }, old) => {
                let old = if let Auth::Basic { password, .. } = old { Some(password) } else { None };
                Auth::Basic { username, password: kept(password, old) }
            }
            (Self::Bearer { token }, old) => {
                let old = if let Auth::Bearer { token } = old { Some(token) } else { None };
                Auth::Bearer { token: kept(token, old) }
            }
            (Self::ApiKey { header, value }, old) => {
                let old = if let Auth::ApiKey { value, .. } = old { Some(value) } else { None };
                let header = header.unwrap_or_else(|| API_KEY_HEADER.to_owned());
                Auth::ApiKey { header, value: kept(value, old) }
            }
            (Self::Header { name, value }, old) => {
                let old = if let Auth::Header { value, .. } = old { Some(value) } else { None };
                Auth::Header { name, value: kept(value, old) }
            }
            (Self::Oauth2 { token_url, client_id, client_secret, scope }, old) => {
                let old = if let Auth::Oauth2(old) = old { Some(&old.client_secret) } else { None };
                Auth::Oauth2(OAuth2 { token_url, client_id, client_secret: kept(client_secret, old), scope })
            }
            (Self::Mtls { certificate, private_key }, _) => {
                let private_key =
                    kept(private_key, old_identity.as_ref().map(|identity| &identity.private_key));
                there.identity = Some(Identity { certificate, private_key });
                Auth::None
            }
        };
    }
}

/// A signature as a client gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureInput {
    /// Which.
    pub kind: SignatureKind,
    /// Its key; absent keeps the one that is there, or takes `spare`.
    pub key: Option<String>,
    /// A key that was made for it.
    pub spare: String,
}

/// Which signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignatureKind {
    /// The standard's, with the endpoint's secret.
    Standard,
    /// The standard's, with an Ed25519 key.
    StandardEd25519,
    /// An HMAC in a header; what is absent is as in the preset or the default.
    Hmac {
        /// The header.
        header: Option<String>,
        /// The hash.
        algorithm: Algorithm,
        /// How it is written.
        encoding: Digits,
        /// What stands before it.
        prefix: String,
        /// What is signed.
        signs: Signs,
    },
}

/// Signatures as they are given, with the keys of their like among those that are there. An HMAC whose header is another one
/// now is the like of the only one that is gone.
pub(crate) fn beside(inputs: Vec<SignatureInput>, there: &[Signature]) -> Vec<Signature> {
    let mut made: Vec<_> = inputs.into_iter().map(|input| input.made()).collect();
    let at =
        |made: &[(Signature, _)], place| made.iter().any(|(one, _): &(Signature, _)| one.place() == place);
    let gone: Vec<_> = there.iter().filter(|old| !at(&made, old.place()) && is_hmac(old)).collect();
    let is_new = |(one, keys): &(Signature, Keys)| {
        is_hmac(one) && keys.given.is_none() && !there.iter().any(|old| old.place() == one.place())
    };
    let moved = if gone.len() == 1 && made.iter().filter(|one| is_new(one)).count() == 1 {
        made.iter().position(is_new).zip(gone.first().copied())
    } else {
        None
    };
    let with_keys = |(index, (signature, keys)): (usize, (Signature, Keys))| {
        let like = there.iter().find(|old| old.place() == signature.place());
        let moved = moved.filter(|(at, _)| *at == index).map(|(_, old)| old);
        keys.put_into(signature, like.or(moved))
    };
    made.drain(..).enumerate().map(with_keys).collect()
}

const fn is_hmac(signature: &Signature) -> bool {
    matches!(signature, Signature::Hmac(_))
}

/// The key that was given, and one that was made.
struct Keys {
    given: Option<String>,
    spare: String,
}

impl Keys {
    fn put_into(self, mut made: Signature, like: Option<&Signature>) -> Signature {
        let old = like.cloned().and_then(|mut old| old.keys_mut().map(std::mem::take)).unwrap_or_default();
        if let Some(keys) = made.keys_mut() {
            let single = |key| vec![SigningKey { key: Confidential::new(key), expires_at: None }];
            *keys = match self.given {
                // The same key sent back is no new key.
                Some(key) if old.first().is_some_and(|current| current.key.reveal() == key) => old,
                Some(key) => single(key),
                None if old.is_empty() => single(self.spare),
                None => old,
            };
        }
        made
    }
}

impl SignatureInput {
    /// The signature, and what it may be signed with.
    fn made(self) -> (Signature, Keys) {
        let made = match self.kind {
            SignatureKind::Standard => Signature::Standard,
            SignatureKind::StandardEd25519 => Signature::StandardEd25519 { keys: Vec::new() },
            SignatureKind::Hmac { header, algorithm, encoding, prefix, signs } => Signature::Hmac(Hmac {
                keys: Vec::new(),
                header: header.unwrap_or_else(|| HMAC_HEADER.to_owned()),
                algorithm,
                encoding,
                prefix,
                signs,
            }),
        };
        (made, Keys { given: self.key, spare: self.spare })
    }
}

/// Notes what is wrong with certificates.
pub(crate) fn check_certificates(credentials: &Credentials, problems: &mut Problems) {
    if let Some(identity) = &credentials.identity {
        let key = identity.private_key.reveal();
        if key.is_empty() {
            problems.add_at(
                ["auth".into(), "privateKey".into()],
                "is missing: a certificate needs its private key",
            );
        } else if let Err(error) = egress::Identity::from_pem(&identity.certificate, key) {
            problems.add_at(["auth".into(), "certificate".into()], error);
        }
    }
    if let Some(pem) = &credentials.certificate_authority
        && let Err(error) = TlsOptions::default().believing(pem)
    {
        problems.add("certificateAuthority", error);
    }
}

impl App {
    /// An endpoint's credentials with all their secret parts.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` below the role of a manager.
    pub async fn credentials_get(&self, at: Place<'_>) -> Result<Credentials> {
        let found = self.endpoint_of(at, Right::Reveal).await?;
        self.note_endpoint(at.principal, &found, Action::CredentialsShown).await;
        Ok(found.credentials)
    }

    /// Makes `key`, or a generated one, the current key of the signature in `header` (`standard-ed25519` for that one); the
    /// one before goes on signing for `grace_seconds`. Answers the current key.
    ///
    /// # Errors
    /// `Invalid`, `NotFound` when there is no such signature, `Forbidden`; `Refused` with `limit_reached` when ten old ones
    /// still sign.
    pub async fn signature_rotate(
        &self,
        at: Place<'_>,
        header: &str,
        (key, grace_seconds): (Option<String>, Option<u64>),
    ) -> Result<()> {
        let found = self.endpoint_of(at, Right::Rotate).await?;
        let place = header.to_ascii_lowercase();
        let fits = |signature: &Signature| signature.place() == place;
        if place == "standard" || !found.credentials.signatures.iter().any(fits) {
            return Err(AppError::NotFound);
        }
        let grace = grace_seconds.unwrap_or(SECRET_GRACE_SECONDS_DEFAULT.into());
        if grace > SECRET_GRACE_SECONDS_MAX.into() {
            let what = format!("{grace} seconds: 0 to {SECRET_GRACE_SECONDS_MAX} are allowed");
            return Err(AppError::invalid("gracePeriodSeconds", what));
        }
        let fresh = key.unwrap_or_else(|| self.spare_key(place == "standard-ed25519"));
        let now = self.now();
        let overlap_ends = now.plus_ms(i64::try_from(grace).unwrap_or(i64::MAX / 1000) * 1000);
        let rotate = move |endpoint: &Endpoint| -> Option<Credentials> {
            let mut credentials = endpoint.credentials.clone();
            let signature = credentials.signatures.iter_mut().find(|one| one.place() == place)?;
            let rotated = signature.rotate(Confidential::new(fresh.clone()), overlap_ends, now);
            rotated.then_some(credentials)
        };
        if let Some(tried) = rotate(&found) {
            let mut wrong = Vec::new();
            tried.check(&found.headers, &mut domain::wrong::Found::new(&mut wrong));
            if let Some(first) =
                wrong.into_iter().find(|wrong| wrong.at.last().is_some_and(|name| name == "key"))
            {
                return Err(AppError::invalid("key", first.what));
            }
        }
        let change = move |endpoint: &Endpoint| {
            let full = || {
                StoreError::Limit(format!(
                    "{OLD_SECRETS_MAX} old keys still sign (old_secrets_max): wait until one has expired"
                ))
            };
            let credentials = rotate(endpoint).ok_or_else(full)?;
            Ok(EndpointChange { credentials: Some(credentials), ..EndpointChange::default() })
        };
        self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        Ok(())
    }

    /// A key for a signature that has none.
    #[must_use]
    pub fn spare_key(&self, ed25519: bool) -> String {
        if ed25519 {
            return signing::Secret::generate_ed25519(&mut |out| self.inner.parts.random.fill(out)).export();
        }
        let bytes: [u8; 24] = self.random();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The public half of an Ed25519 signing key, `whpk_…`, for receivers.
#[must_use]
pub fn public_key(key: &SigningKey) -> Option<String> {
    signing::Secret::parse(key.key.reveal()).ok().map(|secret| secret.reveal())
}

/// What is worth knowing about credentials that are taken as they are.
#[must_use]
pub fn warnings(credentials: &Credentials, now: domain::clock::Timestamp) -> Vec<Cow<'static, str>> {
    let Some(identity) = &credentials.identity else { return Vec::new() };
    let about = egress::certificate_validity(&identity.certificate);
    let Some((begins, ends)) = about else { return Vec::new() };
    let at = |seconds: i64| domain::clock::Timestamp::from_seconds(seconds);
    if now > at(ends) {
        return vec![Cow::Owned(format!("the client certificate expired at {}", at(ends)))];
    }
    if now < at(begins) {
        return vec![Cow::Owned(format!("the client certificate is not valid before {}", at(begins)))];
    }
    Vec::new()
}
