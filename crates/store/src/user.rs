//! Contract: users, where they may do what, and the links that are given to them.

use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::confidential::Confidential;
use domain::id::{ApplicationKey, UserKey};
use domain::role::Role;
use domain::sign_in::TicketPurpose;
use domain::user::{Membership, User};
use std::collections::BTreeMap;

/// A user before the store gave them a key.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// `user_…`
    pub id: String,
    /// In lower case.
    pub email: String,
    /// What they are called.
    pub name: String,
    /// The hash of their password, as text (PHC); none until they choose one.
    pub password: Option<String>,
    /// Where they may do what.
    pub memberships: Vec<Membership>,
}

/// The second factor of a user (RFC 6238).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totp {
    /// The shared secret, in base32. Stored sealed.
    pub secret: Confidential,
    /// The step of the last code that was taken: none at or before it is taken again.
    pub last_step: i64,
}

/// What proves who a user is.
#[derive(Clone, Debug)]
pub struct Proofs {
    /// The user.
    pub user: User,
    /// The hash of their password, as text (PHC).
    pub password: Option<String>,
    /// Their second factor.
    pub totp: Option<Totp>,
}

/// What changes of a user; absent parts stay.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// What they are called.
    pub name: Option<String>,
    /// Their address, in lower case.
    pub email: Option<String>,
    /// The hash of their password. All their links end with the old one.
    pub password: Option<String>,
    /// Their second factor, or that they have none.
    pub totp: Option<Option<Totp>>,
}

/// What the store does with users. Addresses are compared as they are: in lower case.
#[async_trait]
pub trait Users: Send + Sync {
    /// Whether there is any user.
    async fn user_exists(&self) -> Result<bool>;
    /// Adds one. `Taken("email")`; `NotFound` for a membership in an application that is gone.
    async fn user_create(&self, new: NewUser) -> Result<User>;
    /// Adds the first one; `Taken("setup")` when there is any, `NotFound` as above.
    async fn user_create_first(&self, new: NewUser) -> Result<User>;
    /// The user of this id. `NotFound`.
    async fn user_get(&self, id: &str) -> Result<User>;
    /// What proves who the user of this address is. `NotFound`.
    async fn user_proofs(&self, email: &str) -> Result<Proofs>;
    /// Those who are members of this very place (none: of the whole instance), by address; the first `users_max`.
    async fn user_list(&self, application: Option<ApplicationKey>) -> Result<Vec<User>>;
    /// All of them, by address; the first `users_max`.
    async fn user_every(&self) -> Result<Vec<User>>;
    /// Changes one. `Taken("email")`, `NotFound`.
    async fn user_change(&self, key: UserKey, change: UserChange) -> Result<User>;
    /// Takes note that the code of this step was used; answers false, and changes nothing, when it or a later one was.
    async fn totp_use(&self, key: UserKey, step: i64) -> Result<bool>;
    /// Gives a user a role in a place, instead of the one there. `Limit` when no administrator of the instance would be left;
    /// `NotFound` for a user or an application that is gone.
    async fn membership_put(&self, key: UserKey, membership: Membership) -> Result<()>;
    /// Takes a role away. `Limit` as above; `NotFound`. Who is member of nothing more keeps their account.
    async fn membership_delete(&self, key: UserKey, application: Option<ApplicationKey>) -> Result<()>;
    /// Deletes a user with their sessions and links. `Limit` as above; `NotFound`.
    async fn user_delete(&self, key: UserKey) -> Result<()>;

    /// Keeps a link for a user, under the SHA-256 of what it holds. It ends at `expires_at`. `NotFound` for a user
    /// that is gone.
    async fn ticket_create(
        &self,
        sha256: [u8; 32],
        (user, purpose): (UserKey, TicketPurpose),
        expires_at: Timestamp,
    ) -> Result<()>;
    /// Whose link this is, while it holds and has this purpose. `NotFound`.
    async fn ticket_find(&self, sha256: [u8; 32], purpose: TicketPurpose) -> Result<User>;
    /// Ends a link, or what a form holds. One that is not there is ended.
    async fn ticket_end(&self, sha256: [u8; 32]) -> Result<()>;
    /// Sets the password of the user whose link (to choose one) this is; with it end all their links and sessions. `NotFound`,
    /// also when it was used meanwhile.
    async fn ticket_use(&self, sha256: [u8; 32], password: String) -> Result<User>;
}

/// What the sealed column is bound to.
pub(crate) const TOTP_PLACE: &str = "user.totp";

/// A second factor's secret as it is stored.
pub(crate) fn seal_totp(totp: &Totp, sealer: &Sealer) -> Result<Vec<u8>> {
    sealer.seal(TOTP_PLACE, totp.secret.reveal().as_bytes())
}

/// Reads [`seal_totp`] back.
pub(crate) fn open_totp(sealed: &[u8], last_step: i64, sealer: &Sealer) -> Result<Totp> {
    let secret = String::from_utf8(sealer.open(TOTP_PLACE, sealed)?);
    let secret = secret.map_err(|_| StoreError::Broken("a stored second factor is no text".into()))?;
    Ok(Totp { secret: Confidential::new(secret), last_step })
}

/// A place as its column has it: 0 is the whole instance.
pub(crate) fn place_column(application: Option<ApplicationKey>) -> i64 {
    application.map_or(0, |application| application.0)
}

/// Memberships as their columns have them, by place; of two in the same one the last counts.
pub(crate) fn place_columns(memberships: &[Membership]) -> BTreeMap<i64, &'static str> {
    memberships.iter().map(|one| (place_column(one.application), one.role.word())).collect()
}

/// Reads a membership's columns back.
pub(crate) fn read_membership(place: i64, role: &str) -> Result<Membership> {
    let application = (place != 0).then_some(ApplicationKey(place));
    let role = Role::from_word(role);
    let role = role.ok_or_else(|| StoreError::Broken("a stored role is none of ours".into()))?;
    Ok(Membership { application, role })
}

/// Somebody must be able to do everything.
pub(crate) fn last_administrator() -> StoreError {
    StoreError::Limit(
        "This is the last administrator of the instance: make somebody else one first.".to_owned(),
    )
}
