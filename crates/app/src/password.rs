//! Passwords: kept as argon2id hashes, checked off the async threads, a few at a time.

use crate::App;
use crate::error::{AppError, Result};
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::Semaphore;

/// Memory of one hash in KiB (19 MiB), passes and lanes: OWASP's Password Storage Cheat Sheet.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at the same time: whoever floods the door takes neither all memory nor all threads.
const AT_ONCE: usize = 2;

/// What hashes passwords.
pub(crate) struct Passwords {
    turns: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { turns: Semaphore::new(AT_ONCE) }
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

impl Passwords {
    async fn apart<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _turn =
            self.turns.acquire().await.map_err(|_| AppError::Unavailable("the server stops".into()))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| AppError::Broken(error.to_string()))
    }

    /// The hash of a password, as text (PHC).
    pub(crate) async fn hash(&self, password: &str, salt: [u8; 16]) -> Result<String> {
        let password = password.to_owned();
        let hashed =
            move || argon2().hash_password_with_salt(password.as_bytes(), &salt).map(|hash| hash.to_string());
        self.apart(hashed)
            .await?
            .map_err(|error| AppError::Broken(format!("a password was not hashed: {error}")))
    }

    /// Whether a password is the one of this hash. Without a hash the answer is no, after the same time.
    pub(crate) async fn fits(&self, password: &str, hash: Option<String>) -> Result<bool> {
        let password = password.to_owned();
        let fits = move || match hash {
            Some(hash) => argon2().verify_password(password.as_bytes(), hash.as_str()).is_ok(),
            None => {
                let _ = argon2().hash_password_with_salt(password.as_bytes(), &[0; 16]);
                false
            }
        };
        self.apart(fits).await
    }
}

impl App {
    /// The hash of a password that somebody chose.
    pub(crate) async fn hashed(&self, password: &str) -> Result<String> {
        self.inner.passwords.hash(password, self.random()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_fits_its_own_hash_alone() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse", [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse", [8; 16]).await.unwrap());
        assert!(passwords.fits("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!passwords.fits("correct horses", Some(hash)).await.unwrap());
        assert!(!passwords.fits("", None).await.unwrap());
        assert!(!passwords.fits("x", Some("not a hash".into())).await.unwrap());
    }
}
