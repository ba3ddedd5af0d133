//! Browsers in which people are signed in, on SQLite.

use super::row::collect;
use super::{Sqlite, user};
use crate::browser::{Browser, Browsers, NewBrowser};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::UserKey;
use domain::limit::SESSIONS_MAX;
use domain::user::User;
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "sha256, created_at, seen_at, ends_at, address, agent";

fn read(row: &Row<'_>) -> Result<Browser> {
    Ok(Browser {
        sha256: row.get(0)?,
        created_at: Timestamp(row.get(1)?),
        seen_at: Timestamp(row.get(2)?),
        ends_at: Timestamp(row.get(3)?),
        address: row.get(4)?,
        agent: row.get(5)?,
    })
}

fn create(c: &Connection, new: &NewBrowser, now: Timestamp) -> Result<()> {
    c.prepare_cached(
        "DELETE FROM browser WHERE sha256 IN (
             SELECT sha256 FROM browser WHERE user_key = ?1 ORDER BY seen_at DESC, sha256 DESC LIMIT -1 OFFSET ?2)",
    )?
    .execute([new.user.0, SESSIONS_MAX as i64 - 1])?;
    let made = c
        .prepare_cached(
            "INSERT INTO browser (sha256, user_key, created_at, seen_at, ends_at, address, agent)
             SELECT ?1, key, ?3, ?3, ?4, ?5, ?6 FROM users WHERE key = ?2 AND password IS coalesce(?7, password)",
        )?
        .execute(params![
            &new.sha256[..],
            new.user.0,
            now.0,
            new.ends_at.0,
            new.address,
            new.agent,
            new.password
        ])?;
    if made == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

#[async_trait]
impl Browsers for Sqlite {
    async fn browser_create(&self, new: NewBrowser) -> Result<()> {
        let now = self.clock.0.now();
        self.writer.write(move |c, _| create(c, &new, now), |_, ()| {}).await
    }

    async fn browser_find(&self, sha256: [u8; 32], idle_since: Timestamp) -> Result<(Browser, User)> {
        let now = self.clock.0.now();
        let look = move |c: &Connection| {
            let mut statement = c.prepare_cached(&format!(
                "SELECT {COLUMNS}, user_key FROM browser WHERE sha256 = ?1 AND ends_at > ?2 AND seen_at >= ?3"
            ))?;
            let mut rows = statement.query(params![&sha256[..], now.0, idle_since.0])?;
            let row = rows.next()?.ok_or(StoreError::NotFound)?;
            Ok((read(row)?, user::get(c, UserKey(row.get(6)?))?))
        };
        self.readers.read(look).await
    }

    async fn browser_seen(&self, sha256: [u8; 32]) -> Result<()> {
        let now = self.clock.0.now();
        let note = move |c: &Connection| {
            c.prepare_cached("UPDATE browser SET seen_at = ?2 WHERE sha256 = ?1")?
                .execute(params![&sha256[..], now.0])?;
            Ok(())
        };
        self.writer.write(move |c, _| note(c), |_, ()| {}).await
    }

    async fn browser_list(&self, user: UserKey, idle_since: Timestamp) -> Result<Vec<Browser>> {
        let now = self.clock.0.now();
        let list = move |c: &Connection| {
            let mut statement = c.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM browser WHERE user_key = ?1 AND ends_at > ?2 AND seen_at >= ?3
                 ORDER BY seen_at DESC, sha256 DESC"
            ))?;
            collect(statement.query([user.0, now.0, idle_since.0])?, read)
        };
        self.readers.read(list).await
    }

    async fn browser_delete(&self, sha256: [u8; 32]) -> Result<()> {
        let delete = move |c: &Connection| {
            c.prepare_cached("DELETE FROM browser WHERE sha256 = ?1")?.execute([&sha256[..]])?;
            Ok(())
        };
        self.writer.write(move |c, _| delete(c), |_, ()| {}).await
    }

    async fn browsers_delete(&self, user: UserKey, but: Option<[u8; 32]>) -> Result<()> {
        let delete = move |c: &Connection| {
            let but = but.as_ref().map(|sha256| &sha256[..]);
            c.prepare_cached("DELETE FROM browser WHERE user_key = ?1 AND sha256 IS NOT ?2")?
                .execute(params![user.0, but])?;
            Ok(())
        };
        self.writer.write(move |c, _| delete(c), |_, ()| {}).await
    }

    async fn browsers_prune(&self, idle_since: Timestamp) -> Result<()> {
        let now = self.clock.0.now();
        let prune = move |c: &Connection| {
            c.prepare_cached("DELETE FROM browser WHERE ends_at <= ?1 OR seen_at < ?2")?
                .execute([now.0, idle_since.0])?;
            c.prepare_cached("DELETE FROM ticket WHERE expires_at <= ?1")?.execute([now.0])?;
            Ok(())
        };
        self.writer.write(move |c, _| prune(c), |_, ()| {}).await
    }
}
