//! API keys: made, listed, revoked. The text of a key is shown once and kept only as its SHA-256.

use crate::App;
use crate::audit::Deed;
use crate::error::{AppError, Result};
use crate::principal::{Principal, Right};
use crate::session::{API_KEY_PREFIX, sha256};
use domain::api_key::ApiKey;
use domain::audit::{Action, Difference};
use domain::name::check_text;
use domain::role::Role;
use domain::wire_id::Kind;
use serde_json::json;

/// Random bytes of a key.
const KEY_BYTES: usize = 32;
/// 62^43 is the first power of 62 above 2^256.
const KEY_CHARS: usize = 43;
/// Characters by which a key is recognised in lists.
const SHOWN_CHARS: usize = 8;
/// A key's name, in characters at most.
const NAME_CHARS_MAX: usize = 128;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The one application that it opens (id or uid); none is the whole environment.
    pub application: Option<String>,
    /// What it may do there.
    pub role: Role,
    /// A name for people.
    pub name: String,
}

impl App {
    /// Makes a key for the environment, or for one application of it. The text is in the answer and nowhere else.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`.
    pub async fn api_key_create(&self, principal: &Principal, new: NewApiKey) -> Result<(ApiKey, String)> {
        let NewApiKey { application, role, name } = new;
        principal.may_in_environment(Right::Administer)?;
        if name.chars().count() > NAME_CHARS_MAX {
            return Err(AppError::invalid("name", format!("must have at most {NAME_CHARS_MAX} characters")));
        }
        check_text(&name).map_err(|bad| AppError::invalid("name", bad))?;
        let application =
            application.as_deref().map(|id| self.workspace(principal, id, Right::Administer)).transpose()?;
        let text = format!("{API_KEY_PREFIX}{}", base62(self.random::<KEY_BYTES>()));
        let key = ApiKey {
            id: self.new_id(Kind::ApiKey),
            environment: principal.environment.key,
            application: application.as_ref().map(|a| a.key),
            role,
            name,
            prefix: text[..SHOWN_CHARS].to_owned(),
            created_at: self.now(),
            used_at: None,
            revoked_at: None,
        };
        self.store().api_key_create(key.clone(), sha256(text.as_bytes())).await?;
        let of = json!({"role": role.word(), "application": application.as_ref().map(|one| &one.id), "begins": key.prefix});
        let deed = Deed::new(Action::ApiKeyCreated, &*key.id, called(&key)).with(Difference::made(&of));
        self.note_deed(principal, application.as_deref(), deed).await;
        Ok((key, text))
    }

    /// All keys of the environment, revoked ones included, newest first.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn api_key_list(&self, principal: &Principal) -> Result<Vec<ApiKey>> {
        principal.may_in_environment(Right::Administer)?;
        Ok(self.store().api_key_list(principal.environment.key).await?)
    }

    /// Revokes a key: it opens nothing from the next request on.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn api_key_revoke(&self, principal: &Principal, id: &str) -> Result<()> {
        principal.may_in_environment(Right::Administer)?;
        let keys = self.store().api_key_list(principal.environment.key).await?;
        self.store().api_key_revoke(principal.environment.key, id).await?;
        self.inner.sessions.forget_api_keys();
        let Some(key) = keys.into_iter().find(|key| key.id == id) else { return Ok(()) };
        let application = key.application.and_then(|key| self.store().routing().application_by_key(key));
        let deed = Deed::new(Action::ApiKeyRevoked, &*key.id, called(&key));
        self.note_deed(principal, application.as_deref(), deed).await;
        Ok(())
    }
}

/// What a key is called: its name, or how it begins.
fn called(key: &ApiKey) -> &str {
    if key.name.is_empty() { &key.prefix } else { &key.name }
}

/// Long division of a 256-bit number by 62. No `.` is among the digits, so that no SDK takes a key's end for a cloud
/// region.
fn base62(mut number: [u8; KEY_BYTES]) -> String {
    let mut digits = [0; KEY_CHARS];
    for digit in digits.iter_mut().rev() {
        let rest = number.iter_mut().fold(0_u16, |rest, byte| {
            let value = (rest << 8) | u16::from(*byte);
            *byte = (value / 62) as u8;
            value % 62
        });
        *digit = ALPHABET[usize::from(rest)];
    }
    digits.iter().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_base62_of_all_its_bits() {
        assert_eq!(base62([0; 32]), "0".repeat(43));
        let mut one = [0; 32];
        one[31] = 63;
        assert_eq!(base62(one), format!("{}11", "0".repeat(41)));
        assert_ne!(base62([255; 32]), base62([254; 32]));
        assert!(base62([255; 32]).bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
