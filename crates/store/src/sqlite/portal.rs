//! Portal links on SQLite.

use super::Sqlite;
use crate::error::{Result, StoreError};
use crate::portal::{Portals, pack, unpack};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::portal::Portal;
use rusqlite::{Connection, Row, params};

fn read(row: &Row<'_>) -> Result<Portal> {
    let flags: String = row.get(2)?;
    Ok(Portal {
        application: ApplicationKey(row.get(0)?),
        capabilities: unpack(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        feature_flags: flags.split_whitespace().map(str::to_owned).collect(),
        session_id: row.get(3)?,
        expires_at: Timestamp(row.get(4)?),
    })
}

fn create(c: &Connection, sha256: [u8; 32], portal: &Portal) -> Result<()> {
    let made = c
        .prepare_cached(
            "INSERT INTO portal (sha256, application, capabilities, feature_flags, session_id, expires_at)
             SELECT ?1, key, ?3, ?4, ?5, ?6 FROM application WHERE key = ?2",
        )?
        .execute(params![
            &sha256[..],
            portal.application.0,
            pack(&portal.capabilities),
            portal.feature_flags.join(" "),
            portal.session_id,
            portal.expires_at.0
        ])?;
    if made == 0 { Err(StoreError::NotFound) } else { Ok(()) }
}

fn end(c: &Connection, application: ApplicationKey, session: Option<&str>, at: Timestamp) -> Result<()> {
    c.prepare_cached(
        "UPDATE portal SET expires_at = min(expires_at, ?3)
         WHERE application = ?1 AND (?2 IS NULL OR session_id = ?2)",
    )?
    .execute(params![application.0, session, at.0])?;
    Ok(())
}

#[async_trait]
impl Portals for Sqlite {
    async fn portal_create(&self, sha256: [u8; 32], portal: Portal) -> Result<()> {
        self.writer.write(move |c, _| create(c, sha256, &portal), |_, ()| {}).await
    }

    async fn portal_find(&self, sha256: [u8; 32]) -> Result<Portal> {
        let now = self.clock.0.now();
        let find = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT application, capabilities, feature_flags, session_id, expires_at FROM portal
                 WHERE sha256 = ?1 AND expires_at > ?2",
            )?;
            statement.query(params![&sha256[..], now.0])?.next()?.map_or(Err(StoreError::NotFound), read)
        };
        self.readers.read(find).await
    }

    async fn portals_end(
        &self,
        application: ApplicationKey,
        session_ids: Option<Vec<String>>,
        at: Timestamp,
    ) -> Result<()> {
        let change = move |c: &Connection| match &session_ids {
            None => end(c, application, None, at),
            Some(ids) => ids.iter().try_for_each(|id| end(c, application, Some(id), at)),
        };
        self.writer.write(move |c, _| change(c), |_, ()| {}).await
    }

    async fn portals_prune(&self) -> Result<()> {
        let now = self.clock.0.now();
        let prune = move |c: &Connection| {
            c.prepare_cached("DELETE FROM portal WHERE expires_at <= ?1")?.execute([now.0])?;
            Ok(())
        };
        self.writer.write(move |c, _| prune(c), |_, ()| {}).await
    }
}
