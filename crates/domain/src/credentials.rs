//! What an endpoint has that is stored sealed, beside its secret and its headers: authentication, certificates, signatures,
//! and who hears of it.

use crate::auth::Auth;
use crate::confidential::Confidential;
use crate::header::Header;
use crate::limit::CERTIFICATES_BYTES_MAX;
use crate::notify::Notify;
use crate::signature::{self, Signature};
use crate::wrong::Found;
use serde::{Deserialize, Serialize};

/// The sealed part of an endpoint's options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Credentials {
    /// How requests say who they are from.
    #[serde(skip_serializing_if = "is_default")]
    pub auth: Auth,
    /// What is shown to a receiver that asks who we are (mutual TLS).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// Certificate authorities, in PEM, that are believed beside the public ones for this endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<String>,
    /// How requests are signed.
    pub signatures: Vec<Signature>,
    /// Who hears of it when it fails; none is whoever its application says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
}

/// A client certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The certificate, then those that lead to its authority.
    pub certificate: String,
    /// The private key of the first one.
    pub private_key: Confidential,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            identity: None,
            certificate_authority: None,
            signatures: vec![Signature::Standard],
            notify: None,
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Credentials {
    /// Notes what is wrong with them, also beside the endpoint's own `headers`. Whether certificates read is asked by whoever
    /// can read them.
    pub fn check(&self, headers: &[Header], found: &mut Found<'_>) {
        self.auth.check(&mut found.below("auth"));
        signature::check(&self.signatures, &mut found.below("signatures"));
        self.check_sizes(found);
        if let Some(notify) = &self.notify {
            notify.check(&mut found.below("notify"));
        }
        let taken = |name: &str| headers.iter().any(|(there, _)| there.eq_ignore_ascii_case(name));
        if let Some(name) = self.auth.header().filter(|name| taken(name)) {
            found.wrong(
                "auth",
                format!("sets `{name}`, which the endpoint's headers set too: remove it from one of them"),
            );
        }
        for (index, signature) in self.signatures.iter().enumerate() {
            let Signature::Hmac(hmac) = signature else { continue };
            let by_auth = self.auth.header().is_some_and(|name| name.eq_ignore_ascii_case(&hmac.header));
            if by_auth || taken(&hmac.header) {
                let name = &hmac.header;
                let what = format!(
                    "`{name}` is set by the endpoint's headers or its authentication too: choose another header"
                );
                found.below("signatures").item(index).wrong("header", what);
            }
        }
    }

    fn check_sizes(&self, found: &mut Found<'_>) {
        let too_long = |pem: &str| pem.len() > CERTIFICATES_BYTES_MAX;
        let what = format!("must have at most {CERTIFICATES_BYTES_MAX} bytes (certificates_bytes_max)");
        if let Some(identity) = &self.identity {
            for (name, pem) in
                [("certificate", &*identity.certificate), ("privateKey", identity.private_key.reveal())]
            {
                if too_long(pem) {
                    found.below("auth").wrong(name, &what);
                }
            }
        }
        if self.certificate_authority.as_deref().is_some_and(too_long) {
            found.wrong("certificateAuthority", &what);
        }
    }
}
