//! Identities on SQLite.

use super::{Sqlite, user};
use crate::error::{Result, StoreError};
use crate::identity::{Identities, Identity};
use async_trait::async_trait;
use domain::id::UserKey;
use domain::user::User;
use rusqlite::{Connection, OptionalExtension, params};

fn owner(c: &Connection, identity: &Identity) -> Result<Option<UserKey>> {
    let found = c
        .prepare_cached("SELECT user_key FROM identity WHERE issuer = ?1 AND subject = ?2")?
        .query_row([&identity.issuer, &identity.subject], |row| row.get(0))
        .optional()?;
    Ok(found.map(UserKey))
}

#[async_trait]
impl Identities for Sqlite {
    async fn identity_find(&self, identity: &Identity) -> Result<User> {
        let identity = identity.clone();
        let look = move |c: &Connection| match owner(c, &identity)? {
            Some(key) => user::get(c, key),
            None => Err(StoreError::NotFound),
        };
        self.readers.read(look).await
    }

    async fn identity_link(&self, identity: &Identity, (user, email): (UserKey, &str)) -> Result<()> {
        let (identity, email, now) = (identity.clone(), email.to_owned(), self.clock.0.now());
        let link = move |c: &Connection| {
            if user::get(c, user)?.email != email {
                return Err(StoreError::NotFound);
            }
            c.prepare_cached(
                "INSERT INTO identity (issuer, subject, user_key, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT DO NOTHING",
            )?
            .execute(params![identity.issuer, identity.subject, user.0, now.0])?;
            if owner(c, &identity)? == Some(user) { Ok(()) } else { Err(StoreError::Taken("identity")) }
        };
        self.writer.write(move |c, _| link(c), |_, ()| {}).await
    }
}
