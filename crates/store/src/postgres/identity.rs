//! Identities on PostgreSQL.

use super::Postgres;
use super::readers::Parameter;
use crate::error::{Result, StoreError};
use crate::identity::{Identities, Identity};
use async_trait::async_trait;
use domain::id::UserKey;
use domain::user::User;

#[async_trait]
impl Identities for Postgres {
    async fn identity_find(&self, identity: &Identity) -> Result<User> {
        let condition = "JOIN identity ON identity.user_key = users.key
                         WHERE identity.issuer = $1 AND identity.subject = $2";
        self.user_where(condition, &[&identity.issuer, &identity.subject]).await
    }

    async fn identity_link(&self, identity: &Identity, (user, email): (UserKey, &str)) -> Result<()> {
        // The user stays, and their address, until the statement ends.
        let sql = "WITH person AS MATERIALIZED (
                       SELECT key FROM users WHERE key = $3 AND email = $4 FOR SHARE),
                   linked AS (
                       INSERT INTO identity (issuer, subject, user_key, created_at) SELECT $1, $2, key, $5 FROM person
                       ON CONFLICT DO NOTHING RETURNING user_key)
                   SELECT EXISTS (SELECT FROM person), EXISTS (SELECT FROM linked)";
        let now = self.node.now().0;
        let values: &[Parameter<'_>] = &[&identity.issuer, &identity.subject, &user.0, &email, &now];
        let row = self.readers.row(sql, values).await?.ok_or(StoreError::NotFound)?;
        match (row.get(0), row.get(1)) {
            (true, true) => Ok(()),
            // Another statement: this one does not see the row that it waited for.
            (true, false) => match self.identity_find(identity).await {
                Ok(found) if found.key == user => Ok(()),
                Ok(_) | Err(StoreError::NotFound) => Err(StoreError::Taken("identity")),
                Err(error) => Err(error),
            },
            (false, _) => Err(StoreError::NotFound),
        }
    }
}
