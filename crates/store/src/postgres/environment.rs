//! Environments on PostgreSQL.

use super::Postgres;
use super::row::json;
use crate::environment::Environments;
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::environment::{Environment, EnvironmentSettings, SignatureHeaders};
use domain::id::EnvironmentKey;
use tokio_postgres::Row;

pub(super) const COLUMNS: &str = "key, id, signature_headers, created_at, settings";

pub(super) fn read(row: &Row) -> Result<Environment> {
    let word: &str = row.get(2);
    Ok(Environment {
        key: EnvironmentKey(row.get(0)),
        id: row.get(1),
        signature_headers: SignatureHeaders::from_word(word)
            .ok_or_else(|| StoreError::Broken(format!("unknown signature_headers `{word}`")))?,
        settings: json(row.get(4))?,
        created_at: Timestamp(row.get(3)),
    })
}

#[async_trait]
impl Environments for Postgres {
    async fn environment_ensure(&self, id: &str, signature_headers: SignatureHeaders) -> Result<Environment> {
        if let Some(known) = self.node.shared.routing.environment(id) {
            return Ok((*known).clone());
        }
        let word = signature_headers.word();
        let now = self.node.now().0;
        self.configure(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version)
             INSERT INTO environment (id, signature_headers, created_at, version)
             SELECT $1, $2, $3, change.version FROM change
             ON CONFLICT DO NOTHING
             RETURNING key, (SELECT pg_notify('posthaste_configuration', ''))",
            &[&id, &word, &now],
            "id",
        )
        .await?;
        let made = self.node.shared.routing.environment(id);
        made.map(|environment| (*environment).clone()).ok_or(StoreError::NotFound)
    }

    async fn environment_update(
        &self,
        key: EnvironmentKey,
        signature_headers: SignatureHeaders,
        settings: EnvironmentSettings,
    ) -> Result<Environment> {
        let text = serde_json::to_string(&settings).unwrap_or_default();
        let sql = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version)
             UPDATE environment SET signature_headers = $2, settings = $3, version = change.version
             FROM change WHERE key = $1
             RETURNING {COLUMNS}, (SELECT pg_notify('posthaste_configuration', ''))"
        );
        let rows = self.configure(&sql, &[&key.0, &signature_headers.word(), &text], "id").await?;
        rows.first().map_or(Err(StoreError::NotFound), read)
    }

    async fn environment_get(&self, key: EnvironmentKey) -> Result<Environment> {
        if let Some(known) = self.node.shared.routing.environment_by_key(key) {
            return Ok((*known).clone());
        }
        let row = self
            .own_readers
            .row(&format!("SELECT {COLUMNS} FROM environment WHERE key = $1"), &[&key.0])
            .await?;
        row.map_or(Err(StoreError::NotFound), |row| read(&row))
    }
}
