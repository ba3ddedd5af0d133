//! Browsers in which people are signed in, on PostgreSQL. What changes several of one user locks the user first, so that two
//! of them never wait for each other.

use super::Postgres;
use super::readers::Parameter;
use super::user::{COLUMNS_READ, columns, read as read_user};
use crate::browser::{Browser, Browsers, NewBrowser};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::UserKey;
use domain::limit::SESSIONS_MAX;
use domain::user::User;
use tokio_postgres::Row;

const COLUMNS: &str =
    "browser.sha256, browser.created_at, browser.seen_at, browser.ends_at, browser.address, browser.agent";

/// Reads [`COLUMNS`], which begin at `first`.
fn read(row: &Row, first: usize) -> Result<Browser> {
    let sha256 = <[u8; 32]>::try_from(row.get::<_, &[u8]>(first));
    Ok(Browser {
        sha256: sha256.map_err(|_| StoreError::Broken("a stored SHA-256 has another length".into()))?,
        created_at: Timestamp(row.get(first + 1)),
        seen_at: Timestamp(row.get(first + 2)),
        ends_at: Timestamp(row.get(first + 3)),
        address: row.get(first + 4),
        agent: row.get(first + 5),
    })
}

#[async_trait]
impl Browsers for Postgres {
    async fn browser_create(&self, new: NewBrowser) -> Result<()> {
        // Two at the same moment may pass the limit by one until the next; it is there to bound, not to count.
        let sql = "WITH person AS MATERIALIZED (
                       SELECT key FROM users WHERE key = $2 AND password IS NOT DISTINCT FROM coalesce($8, password)
                       FOR NO KEY UPDATE),
                   oldest AS (
                       DELETE FROM browser WHERE sha256 IN (
                           SELECT sha256 FROM browser JOIN person ON person.key = browser.user_key
                           ORDER BY seen_at DESC, sha256 DESC OFFSET $7))
                   INSERT INTO browser (sha256, user_key, created_at, seen_at, ends_at, address, agent)
                   SELECT $1, person.key, $3, $3, $4, $5, $6 FROM person";
        let (now, others) = (self.node.now().0, SESSIONS_MAX as i64 - 1);
        let values: &[Parameter<'_>] = &[
            &&new.sha256[..],
            &new.user.0,
            &now,
            &new.ends_at.0,
            &new.address,
            &new.agent,
            &others,
            &new.password,
        ];
        if self.readers.execute(sql, values).await? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn browser_find(&self, sha256: [u8; 32], idle_since: Timestamp) -> Result<(Browser, User)> {
        let sql = format!(
            "SELECT {}, {COLUMNS} FROM browser JOIN users ON users.key = browser.user_key
             WHERE browser.sha256 = $1 AND browser.ends_at > $2 AND browser.seen_at >= $3",
            columns("membership")
        );
        let row = self.readers.row(&sql, &[&&sha256[..], &self.node.now().0, &idle_since.0]).await?;
        let row = row.ok_or(StoreError::NotFound)?;
        Ok((read(&row, COLUMNS_READ)?, read_user(&row)?))
    }

    async fn browser_seen(&self, sha256: [u8; 32]) -> Result<()> {
        let sql = "UPDATE browser SET seen_at = $2 WHERE sha256 = $1";
        self.readers.execute(sql, &[&&sha256[..], &self.node.now().0]).await.map(|_| ())
    }

    async fn browser_list(&self, user: UserKey, idle_since: Timestamp) -> Result<Vec<Browser>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM browser WHERE user_key = $1 AND ends_at > $2 AND seen_at >= $3
             ORDER BY seen_at DESC, sha256 DESC"
        );
        let rows = self.readers.rows(&sql, &[&user.0, &self.node.now().0, &idle_since.0]).await?;
        rows.iter().map(|row| read(row, 0)).collect()
    }

    async fn browser_delete(&self, sha256: [u8; 32]) -> Result<()> {
        self.readers.execute("DELETE FROM browser WHERE sha256 = $1", &[&&sha256[..]]).await.map(|_| ())
    }

    async fn browsers_delete(&self, user: UserKey, but: Option<[u8; 32]>) -> Result<()> {
        let sql = "WITH person AS MATERIALIZED (SELECT key FROM users WHERE key = $1 FOR NO KEY UPDATE)
                   DELETE FROM browser USING person WHERE browser.user_key = person.key AND sha256 IS DISTINCT FROM $2";
        let but = but.as_ref().map(|sha256| &sha256[..]);
        self.readers.execute(sql, &[&user.0, &but]).await.map(|_| ())
    }

    async fn browsers_prune(&self, idle_since: Timestamp) -> Result<()> {
        let sql = "WITH ended AS MATERIALIZED (
                       SELECT sha256 FROM browser WHERE ends_at <= $1 OR seen_at < $2 FOR UPDATE SKIP LOCKED),
                   gone AS (DELETE FROM browser USING ended WHERE browser.sha256 = ended.sha256),
                   over AS MATERIALIZED (SELECT sha256 FROM ticket WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)
                   DELETE FROM ticket USING over WHERE ticket.sha256 = over.sha256";
        self.readers.execute(sql, &[&self.node.now().0, &idle_since.0]).await.map(|_| ())
    }
}
