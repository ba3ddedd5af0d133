//! Users on PostgreSQL: what a method changes is one statement, so that no transaction waits for us (PROTOCOL rule 4).
//!
//! A statement sees what was there when it began, also after it waited for a lock: only of the row that it waited for it sees
//! what became of it. Rules that hang on several rows therefore hold by locks on those very rows, by an index, or by a
//! reference; each says which.
//!
//! Rows are locked in one order: administrators by their keys, the application, the user, and then what is the user's.

use super::Postgres;
use super::connection::taken;
use super::readers::Parameter;
use crate::browser::Browsers;
use crate::error::{Result, StoreError};
use crate::user::{
    NewUser, Proofs, UserChange, Users, last_administrator, open_totp, place_column, place_columns,
    read_membership, seal_totp,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, UserKey};
use domain::limit::USERS_MAX;
use domain::sign_in::TicketPurpose;
use domain::user::{Membership, User};
use domain::word::Worded;
use tokio_postgres::Row;

/// Columns of a user that [`read`] reads; the next one is the tenth.
pub(super) const COLUMNS_READ: usize = 9;

/// The columns that [`read`] reads, with the memberships that stand in a table.
pub(super) fn columns(memberships: &str) -> String {
    let all = |column: &str| {
        format!(
            "ARRAY(SELECT place.{column} FROM {memberships} AS place WHERE place.user_key = users.key ORDER BY place.application)"
        )
    };
    format!(
        "users.key, users.id, users.email, users.name, users.password IS NOT NULL, users.sealed_totp IS NOT NULL, users.created_at, {}, {}",
        all("application"),
        all("role")
    )
}

pub(super) fn read(row: &Row) -> Result<User> {
    let (places, roles): (Vec<i64>, Vec<&str>) = (row.get(7), row.get(8));
    let memberships = places.iter().zip(roles).map(|(place, role)| read_membership(*place, role));
    Ok(User {
        key: UserKey(row.get(0)),
        id: row.get(1),
        email: row.get(2),
        name: row.get(3),
        has_password: row.get(4),
        has_totp: row.get(5),
        memberships: memberships.collect::<Result<_>>()?,
        created_at: Timestamp(row.get(6)),
    })
}

/// Whether the user `$1` is the last administrator of the instance. The rows of all administrators stay locked until the
/// statement ends. So of two that take the last two away at once, the second one waits here, and then counts without the row
/// that the first one took: a row that it waited for and that is gone, or has another role, is not in the result.
const LAST: &str = "administrators AS MATERIALIZED (
        SELECT user_key FROM membership WHERE application = 0 AND role = 'administrator' ORDER BY user_key FOR UPDATE),
    last AS MATERIALIZED (SELECT count(*) = 1 AND min(user_key) = $1 AS is_theirs FROM administrators)";

impl Postgres {
    async fn user_add(&self, new: NewUser, is_first: bool) -> Result<User> {
        let (places, roles): (Vec<_>, Vec<_>) = place_columns(&new.memberships).into_iter().unzip();
        // The applications stay as they are until the statement ends: who deletes one then finds the membership.
        let sql = format!(
            "WITH asked AS MATERIALIZED (SELECT * FROM unnest($7::bigint[], $8::text[]) AS asked (application, role)),
             there AS MATERIALIZED (
                 SELECT key FROM application WHERE key = ANY($7) AND deleted_at IS NULL ORDER BY key FOR SHARE),
             complete AS MATERIALIZED (
                 SELECT (SELECT count(*) FROM there) = (SELECT count(*) FROM asked WHERE application <> 0) AS yes),
             added AS (
                 INSERT INTO users (id, email, name, password, created_at, is_first)
                 SELECT $1, $2, $3, $4, $5, $6 FROM complete
                 WHERE yes AND NOT ($6 AND EXISTS (SELECT FROM users))
                 ON CONFLICT (is_first) WHERE is_first DO NOTHING
                 RETURNING *),
             placed AS (
                 INSERT INTO membership (user_key, application, role)
                 SELECT added.key, asked.application, asked.role FROM added, asked
                 RETURNING user_key, application, role)
             SELECT {}, complete.yes, users.key IS NULL FROM complete LEFT JOIN added AS users ON true",
            columns("placed")
        );
        let now = self.node.now().0;
        let values: &[Parameter<'_>] =
            &[&new.id, &new.email, &new.name, &new.password, &now, &is_first, &places, &roles];
        let rows = self.readers.lend().await?.try_rows(&sql, values).await.map_err(taken("email"))?;
        match rows.first() {
            Some(row) if !row.get::<_, bool>(COLUMNS_READ + 1) => read(row),
            Some(row) if row.get(COLUMNS_READ) => Err(StoreError::Taken("setup")),
            _ => Err(StoreError::NotFound),
        }
    }

    /// Runs a statement that minds the last administrator. It answers whether it did what it was to do, and, where it did not,
    /// whether that was the reason.
    async fn minding_the_last(&self, sql: &str, values: &[Parameter<'_>]) -> Result<()> {
        let row = self.readers.row(sql, values).await?.ok_or(StoreError::NotFound)?;
        match (row.get(0), row.get(1)) {
            (true, _) => Ok(()),
            (false, true) => Err(last_administrator()),
            (false, false) => Err(StoreError::NotFound),
        }
    }

    pub(super) async fn user_where(&self, condition: &str, values: &[Parameter<'_>]) -> Result<User> {
        let sql = format!("SELECT {} FROM users {condition}", columns("membership"));
        self.readers.row(&sql, values).await?.as_ref().map_or(Err(StoreError::NotFound), read)
    }
}

#[async_trait]
impl Users for Postgres {
    async fn user_exists(&self) -> Result<bool> {
        let row = self.readers.row("SELECT EXISTS (SELECT FROM users)", &[]).await?;
        Ok(row.is_some_and(|row| row.get(0)))
    }

    async fn user_create(&self, new: NewUser) -> Result<User> {
        self.user_add(new, false).await
    }

    async fn user_create_first(&self, new: NewUser) -> Result<User> {
        self.user_add(new, true).await
    }

    async fn user_get(&self, id: &str) -> Result<User> {
        self.user_where("WHERE id = $1", &[&id]).await
    }

    async fn user_proofs(&self, email: &str) -> Result<Proofs> {
        let sql = format!(
            "SELECT {}, password, sealed_totp, totp_step FROM users WHERE email = $1",
            columns("membership")
        );
        let row = self.readers.row(&sql, &[&email]).await?.ok_or(StoreError::NotFound)?;
        let sealed: Option<&[u8]> = row.get(COLUMNS_READ + 1);
        let totp = sealed
            .map(|sealed| open_totp(sealed, row.get(COLUMNS_READ + 2), &self.node.sealer))
            .transpose()?;
        Ok(Proofs { user: read(&row)?, password: row.get(COLUMNS_READ), totp })
    }

    async fn user_list(&self, application: Option<ApplicationKey>) -> Result<Vec<User>> {
        let sql = format!(
            "SELECT {} FROM membership JOIN users ON users.key = membership.user_key
             WHERE membership.application = $1 ORDER BY users.email LIMIT $2",
            columns("membership")
        );
        let values: &[Parameter<'_>] = &[&place_column(application), &(USERS_MAX as i64)];
        self.readers.rows(&sql, values).await?.iter().map(read).collect()
    }

    async fn user_every(&self) -> Result<Vec<User>> {
        let sql = format!("SELECT {} FROM users ORDER BY email LIMIT $1", columns("membership"));
        self.readers.rows(&sql, &[&(USERS_MAX as i64)]).await?.iter().map(read).collect()
    }

    async fn user_change(&self, key: UserKey, change: UserChange) -> Result<User> {
        let totp = change.totp.as_ref().and_then(Option::as_ref);
        let sealed = totp.map(|totp| seal_totp(totp, &self.node.sealer)).transpose()?;
        let step = totp.map_or(0, |totp| totp.last_step);
        let sql = format!(
            "WITH changed AS (
                 UPDATE users SET name = coalesce($2, name), email = coalesce($3, email), password = coalesce($4, password),
                        sealed_totp = CASE WHEN $5 THEN $6 ELSE sealed_totp END,
                        totp_step = CASE WHEN $5 THEN $7 ELSE totp_step END
                 WHERE key = $1 RETURNING *),
             ended AS (DELETE FROM ticket USING changed WHERE ticket.user_key = changed.key AND $4 IS NOT NULL)
             SELECT {} FROM changed AS users",
            columns("membership")
        );
        let values: &[Parameter<'_>] =
            &[&key.0, &change.name, &change.email, &change.password, &change.totp.is_some(), &sealed, &step];
        let rows = self.readers.lend().await?.try_rows(&sql, values).await.map_err(taken("email"))?;
        rows.first().map_or(Err(StoreError::NotFound), read)
    }

    async fn totp_use(&self, key: UserKey, step: i64) -> Result<bool> {
        let sql =
            "UPDATE users SET totp_step = $2 WHERE key = $1 AND sealed_totp IS NOT NULL AND totp_step < $2";
        Ok(self.readers.execute(sql, &[&key.0, &step]).await? > 0)
    }

    async fn membership_put(&self, key: UserKey, membership: Membership) -> Result<()> {
        // The application and the user stay until the statement ends: who deletes them then finds the membership.
        let sql = format!(
            "WITH {LAST},
             there AS MATERIALIZED (
                 SELECT key FROM application WHERE key = $2 AND deleted_at IS NULL FOR SHARE),
             place AS MATERIALIZED (SELECT $2 = 0 OR EXISTS (SELECT FROM there) AS is_there FROM last),
             person AS MATERIALIZED (
                 SELECT key FROM users WHERE key = $1 AND (SELECT is_there FROM place) FOR KEY SHARE),
             put AS (
                 INSERT INTO membership (user_key, application, role) SELECT key, $2, $3 FROM person
                 WHERE NOT ($2 = 0 AND $3 <> 'administrator' AND (SELECT is_theirs FROM last))
                 ON CONFLICT (user_key, application) DO UPDATE SET role = excluded.role RETURNING user_key)
             SELECT EXISTS (SELECT FROM put), EXISTS (SELECT FROM person)"
        );
        let (place, role) = (place_column(membership.application), membership.role.word());
        self.minding_the_last(&sql, &[&key.0, &place, &role]).await
    }

    async fn membership_delete(&self, key: UserKey, application: Option<ApplicationKey>) -> Result<()> {
        let sql = format!(
            "WITH {LAST},
             gone AS (
                 DELETE FROM membership
                 WHERE user_key = $1 AND application = $2 AND NOT ($2 = 0 AND (SELECT is_theirs FROM last))
                 RETURNING user_key)
             SELECT EXISTS (SELECT FROM gone), $2 = 0 AND (SELECT is_theirs FROM last)"
        );
        self.minding_the_last(&sql, &[&key.0, &place_column(application)]).await
    }

    async fn user_delete(&self, key: UserKey) -> Result<()> {
        // What is theirs goes by its reference, also what came while this waited.
        let sql = format!(
            "WITH {LAST},
             gone AS (DELETE FROM users WHERE key = $1 AND NOT (SELECT is_theirs FROM last) RETURNING key)
             SELECT EXISTS (SELECT FROM gone), (SELECT is_theirs FROM last)"
        );
        self.minding_the_last(&sql, &[&key.0]).await
    }

    async fn ticket_create(
        &self,
        sha256: [u8; 32],
        (user, purpose): (UserKey, TicketPurpose),
        expires_at: Timestamp,
    ) -> Result<()> {
        let sql = "INSERT INTO ticket (sha256, user_key, purpose, expires_at)
                   SELECT $1, person.key, $3, $4 FROM (SELECT key FROM users WHERE key = $2 FOR KEY SHARE) AS person";
        let values: &[Parameter<'_>] = &[&&sha256[..], &user.0, &purpose.word(), &expires_at.0];
        if self.readers.execute(sql, values).await? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn ticket_find(&self, sha256: [u8; 32], purpose: TicketPurpose) -> Result<User> {
        let condition = "JOIN ticket ON ticket.user_key = users.key
                         WHERE ticket.sha256 = $1 AND ticket.purpose = $2 AND ticket.expires_at > $3";
        self.user_where(condition, &[&&sha256[..], &purpose.word(), &self.node.now().0]).await
    }

    async fn ticket_end(&self, sha256: [u8; 32]) -> Result<()> {
        self.readers.execute("DELETE FROM ticket WHERE sha256 = $1", &[&&sha256[..]]).await.map(|_| ())
    }

    async fn ticket_use(&self, sha256: [u8; 32], password: String) -> Result<User> {
        // The user first: of two links that are used at once, the second one waits here, and then finds its own gone.
        let sql = format!(
            "WITH person AS MATERIALIZED (
                 SELECT users.key FROM ticket JOIN users ON users.key = ticket.user_key
                 WHERE ticket.sha256 = $1 AND ticket.purpose = $2 AND ticket.expires_at > $3
                 FOR NO KEY UPDATE OF users),
             used AS (DELETE FROM ticket USING person WHERE ticket.sha256 = $1 RETURNING ticket.user_key),
             changed AS (
                 UPDATE users SET password = $4 FROM used WHERE users.key = used.user_key RETURNING users.*),
             others AS (DELETE FROM ticket USING used WHERE ticket.user_key = used.user_key AND ticket.sha256 <> $1),
             browsers AS (DELETE FROM browser USING used WHERE browser.user_key = used.user_key)
             SELECT {} FROM changed AS users",
            columns("membership")
        );
        let (purpose, now) = (TicketPurpose::Password.word(), self.node.now().0);
        let row = self.readers.row(&sql, &[&&sha256[..], &purpose, &now, &password]).await?;
        let user = row.as_ref().map_or(Err(StoreError::NotFound), read)?;
        // Once more, with a snapshot of after the change: somebody may have signed in with the old password while the first one
        // waited.
        self.browsers_delete(user.key, None).await?;
        Ok(user)
    }
}
