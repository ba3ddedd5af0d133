//! API keys on PostgreSQL: only their SHA-256 is kept.

use super::Postgres;
use crate::api_key::ApiKeys;
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::api_key::ApiKey;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::role::Role;
use tokio_postgres::Row;

const COLUMNS: &str = "id, environment, application, role, name, prefix, created_at, revoked_at, used_at";

fn read(row: &Row) -> Result<ApiKey> {
    let role: &str = row.get(3);
    Ok(ApiKey {
        id: row.get(0),
        environment: EnvironmentKey(row.get(1)),
        application: row.get::<_, Option<i64>>(2).map(ApplicationKey),
        role: Role::from_word(role).ok_or_else(|| StoreError::Broken(format!("unknown role `{role}`")))?,
        name: row.get(4),
        prefix: row.get(5),
        created_at: Timestamp(row.get(6)),
        revoked_at: row.get::<_, Option<i64>>(7).map(Timestamp),
        used_at: row.get::<_, Option<i64>>(8).map(Timestamp),
    })
}

#[async_trait]
impl ApiKeys for Postgres {
    async fn api_key_create(&self, key: ApiKey, sha256: [u8; 32]) -> Result<()> {
        self.readers
            .execute(
                "INSERT INTO api_key (id, environment, application, role, name, prefix, sha256, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                &[
                    &key.id,
                    &key.environment.0,
                    &key.application.map(|application| application.0),
                    &key.role.word(),
                    &key.name,
                    &key.prefix,
                    &&sha256[..],
                    &key.created_at.0,
                ],
            )
            .await?;
        Ok(())
    }

    async fn api_key_find(&self, sha256: [u8; 32]) -> Result<ApiKey> {
        let sql = format!("SELECT {COLUMNS} FROM api_key WHERE sha256 = $1 AND revoked_at IS NULL");
        let row = self.own_readers.row(&sql, &[&&sha256[..]]).await?;
        row.map_or(Err(StoreError::NotFound), |row| read(&row))
    }

    async fn api_key_list(&self, environment: EnvironmentKey) -> Result<Vec<ApiKey>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM api_key WHERE environment = $1 ORDER BY created_at DESC, id LIMIT 1000"
        );
        self.readers.rows(&sql, &[&environment.0]).await?.iter().map(read).collect()
    }

    async fn api_key_used(&self, id: &str) -> Result<()> {
        let sql = "UPDATE api_key SET used_at = $2 WHERE id = $1";
        self.readers.execute(sql, &[&id, &self.node.now().0]).await.map(|_| ())
    }

    async fn api_key_revoke(&self, environment: EnvironmentKey, id: &str) -> Result<()> {
        let now = self.node.now().0;
        let revoked = self
            .readers
            .execute(
                "UPDATE api_key SET revoked_at = $3 WHERE id = $1 AND environment = $2 AND revoked_at IS NULL",
                &[&id, &environment.0, &now],
            )
            .await?;
        if revoked == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }
}
