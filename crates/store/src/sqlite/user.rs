//! Users on SQLite. One writer decides everything: what it reads holds until it has written.

use super::Sqlite;
use super::row::collect;
use crate::error::{Result, StoreError};
use crate::user::{
    NewUser, Proofs, UserChange, Users, last_administrator, open_totp, place_column, place_columns,
    read_membership, seal_totp,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, UserKey};
use domain::limit::USERS_MAX;
use domain::role::Role;
use domain::sign_in::TicketPurpose;
use domain::user::{Membership, User};
use domain::word::Worded;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};

const COLUMNS: &str = "users.key, users.id, users.email, users.name, users.password IS NOT NULL, users.sealed_totp IS NOT NULL, users.created_at";

/// Reads [`COLUMNS`], and where they may do what.
fn read(c: &Connection, row: &Row<'_>) -> Result<User> {
    let key = row.get(0)?;
    let mut statement = c.prepare_cached(
        "SELECT application, role FROM membership WHERE user_key = ?1 ORDER BY application",
    )?;
    let memberships = collect(statement.query([key])?, |row| {
        read_membership(row.get(0)?, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)
    })?;
    Ok(User {
        key: UserKey(key),
        id: row.get(1)?,
        email: row.get(2)?,
        name: row.get(3)?,
        has_password: row.get(4)?,
        has_totp: row.get(5)?,
        memberships,
        created_at: Timestamp(row.get(6)?),
    })
}

fn find(c: &Connection, condition: &str, values: impl Params) -> Result<User> {
    let mut statement = c.prepare_cached(&format!("SELECT {COLUMNS} FROM users {condition}"))?;
    statement.query(values)?.next()?.map_or(Err(StoreError::NotFound), |row| read(c, row))
}

pub(super) fn get(c: &Connection, key: UserKey) -> Result<User> {
    find(c, "WHERE key = ?1", [key.0])
}

/// A broken uniqueness means that another has the address.
fn taken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Taken("email"),
        _ => error.into(),
    }
}

fn exists(c: &Connection) -> Result<bool> {
    Ok(c.prepare_cached("SELECT EXISTS (SELECT 1 FROM users)")?.query_row([], |row| row.get(0))?)
}

fn put(c: &Connection, key: UserKey, (place, role): (i64, &str)) -> Result<()> {
    let mut application = c.prepare_cached("SELECT 1 FROM application WHERE key = ?1")?;
    if place != 0 && !application.exists([place])? {
        return Err(StoreError::NotFound);
    }
    c.prepare_cached(
        "INSERT INTO membership (user_key, application, role) VALUES (?1, ?2, ?3)
         ON CONFLICT (user_key, application) DO UPDATE SET role = excluded.role",
    )?
    .execute(params![key.0, place, role])?;
    Ok(())
}

fn create(c: &Connection, new: &NewUser, now: Timestamp) -> Result<User> {
    c.prepare_cached(
        "INSERT INTO users (id, email, name, password, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![new.id, new.email, new.name, new.password, now.0])
    .map_err(taken)?;
    let key = UserKey(c.last_insert_rowid());
    for membership in place_columns(&new.memberships) {
        put(c, key, membership)?;
    }
    get(c, key)
}

/// Refuses when no administrator of the instance would be left without this user.
fn mind_the_last(c: &Connection, key: UserKey) -> Result<()> {
    let is_last: bool = c
        .prepare_cached(
            "SELECT count(*) = 1 AND min(user_key) = ?1 FROM membership
             WHERE application = 0 AND role = 'administrator'",
        )?
        .query_row([key.0], |row| row.get(0))?;
    if is_last { Err(last_administrator()) } else { Ok(()) }
}

fn found(rows: usize) -> Result<()> {
    if rows == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

#[async_trait]
impl Users for Sqlite {
    async fn user_exists(&self) -> Result<bool> {
        self.readers.read(exists).await
    }

    async fn user_create(&self, new: NewUser) -> Result<User> {
        let now = self.clock.0.now();
        self.writer.write(move |c, _| create(c, &new, now), |_, _| {}).await
    }

    async fn user_create_first(&self, new: NewUser) -> Result<User> {
        let now = self.clock.0.now();
        let create = move |c: &Connection| {
            if exists(c)? { Err(StoreError::Taken("setup")) } else { create(c, &new, now) }
        };
        self.writer.write(move |c, _| create(c), |_, _| {}).await
    }

    async fn user_get(&self, id: &str) -> Result<User> {
        let id = id.to_owned();
        self.readers.read(move |c| find(c, "WHERE id = ?1", [id])).await
    }

    async fn user_proofs(&self, email: &str) -> Result<Proofs> {
        let email = email.to_owned();
        let look = move |c: &Connection| {
            let mut statement = c.prepare_cached(&format!(
                "SELECT {COLUMNS}, password, sealed_totp, totp_step FROM users WHERE email = ?1"
            ))?;
            let mut rows = statement.query([email])?;
            let row = rows.next()?.ok_or(StoreError::NotFound)?;
            Ok((read(c, row)?, row.get(7)?, row.get::<_, Option<Vec<u8>>>(8)?, row.get::<_, i64>(9)?))
        };
        let (user, password, sealed, step) = self.readers.read(look).await?;
        let totp = sealed.map(|sealed| open_totp(&sealed, step, &self.sealer)).transpose()?;
        Ok(Proofs { user, password, totp })
    }

    async fn user_list(&self, application: Option<ApplicationKey>) -> Result<Vec<User>> {
        let list = move |c: &Connection| {
            let mut statement = c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM membership JOIN users ON users.key = membership.user_key
                 WHERE membership.application = ?1 ORDER BY users.email LIMIT ?2"
            ))?;
            let values = params![place_column(application), USERS_MAX as i64];
            collect(statement.query(values)?, |row| read(c, row))
        };
        self.readers.read(list).await
    }

    async fn user_every(&self) -> Result<Vec<User>> {
        let list = move |c: &Connection| {
            let mut statement =
                c.prepare_cached(&format!("SELECT {COLUMNS} FROM users ORDER BY email LIMIT ?1"))?;
            collect(statement.query([USERS_MAX as i64])?, |row| read(c, row))
        };
        self.readers.read(list).await
    }

    async fn user_change(&self, key: UserKey, change: UserChange) -> Result<User> {
        let totp = change.totp.as_ref().and_then(Option::as_ref);
        let sealed = totp.map(|totp| seal_totp(totp, &self.sealer)).transpose()?;
        let step = totp.map_or(0, |totp| totp.last_step);
        let write = move |c: &Connection| {
            c.prepare_cached(
                "UPDATE users SET name = coalesce(?2, name), email = coalesce(?3, email), password = coalesce(?4, password),
                        sealed_totp = CASE WHEN ?5 THEN ?6 ELSE sealed_totp END,
                        totp_step = CASE WHEN ?5 THEN ?7 ELSE totp_step END
                 WHERE key = ?1",
            )?
            .execute(params![
                key.0,
                change.name,
                change.email,
                change.password,
                change.totp.is_some(),
                sealed,
                step
            ])
            .map_err(taken)?;
            if change.password.is_some() {
                c.prepare_cached("DELETE FROM ticket WHERE user_key = ?1")?.execute([key.0])?;
            }
            get(c, key)
        };
        self.writer.write(move |c, _| write(c), |_, _| {}).await
    }

    async fn totp_use(&self, key: UserKey, step: i64) -> Result<bool> {
        let note = move |c: &Connection| {
            let noted = c
                .prepare_cached(
                    "UPDATE users SET totp_step = ?2 WHERE key = ?1 AND sealed_totp IS NOT NULL AND totp_step < ?2",
                )?
                .execute([key.0, step])?;
            Ok(noted > 0)
        };
        self.writer.write(move |c, _| note(c), |_, _| {}).await
    }

    async fn membership_put(&self, key: UserKey, membership: Membership) -> Result<()> {
        let place = place_column(membership.application);
        let write = move |c: &Connection| {
            get(c, key)?;
            if place == 0 && membership.role != Role::Administrator {
                mind_the_last(c, key)?;
            }
            put(c, key, (place, membership.role.word()))
        };
        self.writer.write(move |c, _| write(c), |_, ()| {}).await
    }

    async fn membership_delete(&self, key: UserKey, application: Option<ApplicationKey>) -> Result<()> {
        let delete = move |c: &Connection| {
            if application.is_none() {
                mind_the_last(c, key)?;
            }
            let mut statement =
                c.prepare_cached("DELETE FROM membership WHERE user_key = ?1 AND application = ?2")?;
            found(statement.execute([key.0, place_column(application)])?)
        };
        self.writer.write(move |c, _| delete(c), |_, ()| {}).await
    }

    async fn user_delete(&self, key: UserKey) -> Result<()> {
        let delete = move |c: &Connection| {
            mind_the_last(c, key)?;
            // What is theirs goes by its reference.
            found(c.prepare_cached("DELETE FROM users WHERE key = ?1")?.execute([key.0])?)
        };
        self.writer.write(move |c, _| delete(c), |_, ()| {}).await
    }

    async fn ticket_create(
        &self,
        sha256: [u8; 32],
        (user, purpose): (UserKey, TicketPurpose),
        expires_at: Timestamp,
    ) -> Result<()> {
        let create = move |c: &Connection| {
            let made = c
                .prepare_cached(
                    "INSERT INTO ticket (sha256, user_key, purpose, expires_at)
                     SELECT ?1, key, ?3, ?4 FROM users WHERE key = ?2",
                )?
                .execute(params![&sha256[..], user.0, purpose.word(), expires_at.0])?;
            found(made)
        };
        self.writer.write(move |c, _| create(c), |_, ()| {}).await
    }

    async fn ticket_find(&self, sha256: [u8; 32], purpose: TicketPurpose) -> Result<User> {
        let now = self.clock.0.now();
        let look = move |c: &Connection| {
            let condition = "JOIN ticket ON ticket.user_key = users.key
                             WHERE ticket.sha256 = ?1 AND ticket.purpose = ?2 AND ticket.expires_at > ?3";
            find(c, condition, params![&sha256[..], purpose.word(), now.0])
        };
        self.readers.read(look).await
    }

    async fn ticket_end(&self, sha256: [u8; 32]) -> Result<()> {
        let end = move |c: &Connection| {
            c.prepare_cached("DELETE FROM ticket WHERE sha256 = ?1")?.execute([&sha256[..]])?;
            Ok(())
        };
        self.writer.write(move |c, _| end(c), |_, ()| {}).await
    }

    async fn ticket_use(&self, sha256: [u8; 32], password: String) -> Result<User> {
        let now = self.clock.0.now();
        let take = move |c: &Connection| {
            let purpose = TicketPurpose::Password.word();
            let user: Option<i64> = c
                .prepare_cached(
                    "SELECT user_key FROM ticket WHERE sha256 = ?1 AND purpose = ?2 AND expires_at > ?3",
                )?
                .query_row(params![&sha256[..], purpose, now.0], |row| row.get(0))
                .optional()?;
            let user = user.ok_or(StoreError::NotFound)?;
            c.prepare_cached("UPDATE users SET password = ?2 WHERE key = ?1")?
                .execute(params![user, password])?;
            for table in ["ticket", "browser"] {
                c.prepare_cached(&format!("DELETE FROM {table} WHERE user_key = ?1"))?.execute([user])?;
            }
            get(c, UserKey(user))
        };
        self.writer.write(move |c, _| take(c), |_, _| {}).await
    }
}
