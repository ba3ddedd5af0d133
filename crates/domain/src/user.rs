//! A user: a person who signs in to the console, and what they may do where (wire id `user_…`).

use crate::clock::Timestamp;
use crate::id::{ApplicationKey, UserKey};
use crate::limit::{PASSWORD_BYTES_MAX, PASSWORD_CHARS_MIN};
use crate::role::Role;

/// A role in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The one application; none is the whole instance.
    pub application: Option<ApplicationKey>,
    /// What they may do there.
    pub role: Role,
}

/// A person who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The small key.
    pub key: UserKey,
    /// `user_…`
    pub id: String,
    /// The address that they sign in with, in lower case.
    pub email: String,
    /// What they are called; may be empty.
    pub name: String,
    /// Whether they have a password: who was invited has none yet.
    pub has_password: bool,
    /// Whether they show a second factor when they sign in.
    pub has_totp: bool,
    /// Where they may do what; by application, the instance first.
    pub memberships: Vec<Membership>,
    /// When they were added.
    pub created_at: Timestamp,
}

impl User {
    /// What they may do in an application, by whichever membership allows more.
    #[must_use]
    pub fn role_in(&self, application: ApplicationKey) -> Option<Role> {
        let here = |m: &&Membership| m.application.is_none_or(|of| of == application);
        self.memberships.iter().filter(here).map(|m| m.role).max()
    }

    /// What they may do everywhere.
    #[must_use]
    pub fn role_everywhere(&self) -> Option<Role> {
        self.memberships.iter().find(|m| m.application.is_none()).map(|m| m.role)
    }

    /// What they are called on pages: their name, or their address where they gave none.
    #[must_use]
    pub fn called(&self) -> &str {
        if self.name.is_empty() { &self.email } else { &self.name }
    }
}

/// An address as it is kept and compared: without blanks around it, in lower case.
#[must_use]
pub fn normal_email(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// Whether a password may be chosen: long enough, and not the address itself (NIST SP 800-63B-4, section 3.1.1.2).
///
/// # Errors
/// A sentence that says what is allowed.
pub fn check_password(password: &str, email: &str) -> Result<(), String> {
    let chars = password.chars().count();
    if chars < PASSWORD_CHARS_MIN {
        return Err(format!(
            "has {chars} characters: at least {PASSWORD_CHARS_MIN} are needed. A few words in a row are good"
        ));
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("has {} bytes: at most {PASSWORD_BYTES_MAX} are taken", password.len()));
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next().unwrap_or_default();
    if lower == email.to_lowercase() || lower.chars().all(|c| c == first) {
        return Err("is too easy to guess: choose another one".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(memberships: &[(Option<i64>, Role)]) -> User {
        let of = |(application, role): &(Option<i64>, Role)| Membership {
            application: application.map(ApplicationKey),
            role: *role,
        };
        User {
            key: UserKey(1),
            id: String::new(),
            email: "ada@acme.example".into(),
            name: String::new(),
            has_password: true,
            has_totp: false,
            memberships: memberships.iter().map(of).collect(),
            created_at: Timestamp(0),
        }
    }

    #[test]
    fn the_larger_role_counts() {
        let ada = user(&[(None, Role::Viewer), (Some(1), Role::Manager)]);
        assert_eq!(ada.role_in(ApplicationKey(1)), Some(Role::Manager));
        assert_eq!(ada.role_in(ApplicationKey(2)), Some(Role::Viewer));
        assert_eq!(ada.role_everywhere(), Some(Role::Viewer));
        let bob = user(&[(Some(1), Role::Viewer)]);
        assert_eq!(bob.role_in(ApplicationKey(2)), None);
        assert_eq!(bob.role_everywhere(), None);
    }

    #[test]
    fn passwords_are_long_and_not_too_easy() {
        let check = |password: &str| check_password(password, "ada-lovelace@acme.example");
        assert_eq!(check("correct horse battery"), Ok(()));
        assert!(check("short").unwrap_err().contains("5 characters"));
        assert!(check("Ada-Lovelace@Acme.example").unwrap_err().contains("easy"));
        assert!(check("aaaaaaaaaaaaaaaa").unwrap_err().contains("easy"));
        assert!(check(&"ab".repeat(2_000)).unwrap_err().contains("4000 bytes"));
    }
}
