//! The instance's keys, and the tokens that they sign.

use crate::config::{Config, SecretText};
use crate::data_folder::DataFolder;
use app::jwt::{Grant, Jwt};
use domain::clock::Timestamp;
use store::seal::derive;

pub use domain::environment::ENVIRONMENT_DEFAULT;

/// The file of the generated encryption key.
pub(crate) const ENCRYPTION_KEY: &str = "encryption-key";
/// The file of the one before, while a rotation is under way.
pub(crate) const ENCRYPTION_KEY_OLD: &str = "encryption-key.old";

/// The keys of this instance, from the settings or from the data folder.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Signs and checks JWTs; none when tokens are signed elsewhere (RS256 and the like).
    pub jwt_secret: Option<SecretText>,
    /// Seals secrets at rest.
    pub encryption_key: SecretText,
    /// The one before, while not everything is sealed with the new one yet.
    pub old_encryption_key: Option<SecretText>,
}

impl Keys {
    /// Takes what the settings give and makes the rest in the data folder.
    ///
    /// # Errors
    /// A sentence that names the file which cannot be read or made; also when a store is there, whose key is not.
    pub fn read(config: &Config, folder: &DataFolder) -> Result<Self, String> {
        // A key made now would not open what is there. (With PostgreSQL the key is a setting that must be there.)
        let store =
            config.store.file().filter(|file| std::fs::metadata(file).is_ok_and(|about| about.len() > 0));
        if let Some(store) = store
            && config.encryption_key.is_none()
            && folder.note(ENCRYPTION_KEY).is_none()
        {
            return Err(format!(
                "the store {} is there, and the key that it was sealed with is not: restore {} from a copy, or set \
                 POSTHASTE_ENCRYPTION_KEY to that key",
                store.display(),
                config.data_dir.join(ENCRYPTION_KEY).display()
            ));
        }
        let or_made = |given: &Option<SecretText>, name| match given {
            Some(secret) => Ok(secret.clone()),
            None => folder.secret(name),
        };
        let symmetric = config.jwt_algorithm.is_symmetric();
        let jwt_secret = symmetric.then(|| or_made(&config.jwt_secret, "jwt-secret")).transpose()?;
        let old_encryption_key = match &config.encryption_key {
            Some(_) => config.encryption_key_old.clone(),
            None => folder.note(ENCRYPTION_KEY_OLD).map(SecretText::new),
        };
        let encryption_key = or_made(&config.encryption_key, ENCRYPTION_KEY)?;
        Ok(Self { jwt_secret, encryption_key, old_encryption_key })
    }

    /// The old key as the store takes it.
    pub(crate) fn old_encryption_keys(&self) -> Vec<Vec<u8>> {
        self.old_encryption_key.iter().map(|key| key.reveal().as_bytes().to_vec()).collect()
    }

    /// The credential with which commands on this machine speak with the server about users.
    pub(crate) fn operator_token(&self) -> String {
        hex::encode(derive(self.encryption_key.reveal().as_bytes(), "operator"))
    }

    /// What checks tokens and, where it holds the key, makes them.
    ///
    /// # Errors
    /// A sentence, when the key does not fit the algorithm.
    pub fn jwt(&self, config: &Config) -> Result<Jwt, String> {
        let secret = self.jwt_secret.as_ref().map(SecretText::reveal);
        let key = secret.or(config.jwt_public_key.as_deref()).unwrap_or_default();
        Jwt::new(config.jwt_algorithm.word(), key.as_bytes()).map_err(|error| error.to_string())
    }

    /// A token for `grant`, made `now`.
    ///
    /// # Errors
    /// A sentence, when this instance does not hold the signing key.
    pub fn mint(&self, config: &Config, grant: Grant<'_>, now: Timestamp) -> Result<String, String> {
        self.jwt(config)?.sign(grant, now).map_err(|error| error.to_string())
    }
}

/// A grant of a whole environment for so many seconds.
#[must_use]
pub const fn environment_grant(environment: &str, lifetime_seconds: i64) -> Grant<'_> {
    Grant { environment, application: None, feature_flags: None, lifetime_seconds }
}
