//! Portal links on PostgreSQL.

use super::Postgres;
use super::readers::Parameter;
use crate::error::{Result, StoreError};
use crate::portal::{Portals, pack, unpack};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::portal::Portal;
use tokio_postgres::Row;

fn read(row: &Row) -> Result<Portal> {
    let flags: &str = row.get(2);
    Ok(Portal {
        application: ApplicationKey(row.get(0)),
        capabilities: unpack(row.get(1))?,
        feature_flags: flags.split_whitespace().map(str::to_owned).collect(),
        session_id: row.get(3),
        expires_at: Timestamp(row.get(4)),
    })
}

#[async_trait]
impl Portals for Postgres {
    async fn portal_create(&self, sha256: [u8; 32], portal: Portal) -> Result<()> {
        // The application is held until the link is there, so that its deletion finds it.
        let sql =
            "INSERT INTO portal (sha256, application, capabilities, feature_flags, session_id, expires_at)
                   SELECT $1, key, $3, $4, $5, $6 FROM application WHERE key = $2 AND deleted_at IS NULL FOR SHARE";
        let (capabilities, flags) = (pack(&portal.capabilities), portal.feature_flags.join(" "));
        let values: &[Parameter<'_>] = &[
            &&sha256[..],
            &portal.application.0,
            &capabilities,
            &flags,
            &portal.session_id,
            &portal.expires_at.0,
        ];
        if self.readers.execute(sql, values).await? == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn portal_find(&self, sha256: [u8; 32]) -> Result<Portal> {
        let sql = "SELECT application, capabilities, feature_flags, session_id, expires_at FROM portal
                   WHERE sha256 = $1 AND expires_at > $2";
        let row = self.readers.row(sql, &[&&sha256[..], &self.node.now().0]).await?;
        row.map_or(Err(StoreError::NotFound), |row| read(&row))
    }

    async fn portals_end(
        &self,
        application: ApplicationKey,
        session_ids: Option<Vec<String>>,
        at: Timestamp,
    ) -> Result<()> {
        let sql = "UPDATE portal SET expires_at = least(expires_at, $3)
                   WHERE application = $1 AND ($2::text[] IS NULL OR session_id = ANY ($2))";
        self.readers.execute(sql, &[&application.0, &session_ids, &at.0]).await.map(|_| ())
    }

    async fn portals_prune(&self) -> Result<()> {
        let sql = "WITH ended AS MATERIALIZED (SELECT sha256 FROM portal WHERE expires_at <= $1 FOR UPDATE SKIP LOCKED)
                   DELETE FROM portal USING ended WHERE portal.sha256 = ended.sha256";
        self.readers.execute(sql, &[&self.node.now().0]).await.map(|_| ())
    }
}
