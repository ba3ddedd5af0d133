//! API keys on SQLite: only their SHA-256 is kept.

use super::Sqlite;
use super::row::collect;
use crate::api_key::ApiKeys;
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::api_key::ApiKey;
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::role::Role;
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "id, environment, application, role, name, prefix, created_at, revoked_at, used_at";

fn read(row: &Row<'_>) -> Result<ApiKey> {
    let role: String = row.get(3)?;
    Ok(ApiKey {
        id: row.get(0)?,
        environment: EnvironmentKey(row.get(1)?),
        application: row.get::<_, Option<i64>>(2)?.map(ApplicationKey),
        role: Role::from_word(&role).ok_or_else(|| StoreError::Broken(format!("unknown role `{role}`")))?,
        name: row.get(4)?,
        prefix: row.get(5)?,
        created_at: Timestamp(row.get(6)?),
        revoked_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        used_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
    })
}

#[async_trait]
impl ApiKeys for Sqlite {
    async fn api_key_create(&self, key: ApiKey, sha256: [u8; 32]) -> Result<()> {
        self.writer
            .write(
                move |c, _| {
                    c.prepare_cached(
                        "INSERT INTO api_key (id, environment, application, role, name, prefix, sha256, created_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    )?
                    .execute(params![
                        key.id,
                        key.environment.0,
                        key.application.map(|a| a.0),
                        key.role.word(),
                        key.name,
                        key.prefix,
                        &sha256[..],
                        key.created_at.0
                    ])?;
                    Ok(())
                },
                |_, ()| {},
            )
            .await
    }

    async fn api_key_find(&self, sha256: [u8; 32]) -> Result<ApiKey> {
        self.readers
            .read(move |c| {
                let mut statement = c.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM api_key WHERE sha256 = ?1 AND revoked_at IS NULL"
                ))?;
                statement.query([&sha256[..]])?.next()?.map_or(Err(StoreError::NotFound), read)
            })
            .await
    }

    async fn api_key_list(&self, environment: EnvironmentKey) -> Result<Vec<ApiKey>> {
        self.readers
            .read(move |c| {
                let mut statement = c.prepare_cached(&format!(
                    "SELECT {COLUMNS} FROM api_key WHERE environment = ?1 ORDER BY created_at DESC, id LIMIT 1000"
                ))?;
                collect(statement.query([environment.0])?, read)
            })
            .await
    }

    async fn api_key_used(&self, id: &str) -> Result<()> {
        let (id, now) = (id.to_owned(), self.clock.0.now());
        let note = move |c: &Connection| {
            c.prepare_cached("UPDATE api_key SET used_at = ?2 WHERE id = ?1")?.execute(params![id, now.0])?;
            Ok(())
        };
        self.writer.write(move |c, _| note(c), |_, ()| {}).await
    }

    async fn api_key_revoke(&self, environment: EnvironmentKey, id: &str) -> Result<()> {
        let (id, now) = (id.to_owned(), self.clock.0.now());
        self.writer
            .write(
                move |c, _| {
                    let revoked = c
                        .prepare_cached(
                            "UPDATE api_key SET revoked_at = ?3
                             WHERE id = ?1 AND environment = ?2 AND revoked_at IS NULL",
                        )?
                        .execute(params![id, environment.0, now.0])?;
                    if revoked == 0 { Err(StoreError::NotFound) } else { Ok(()) }
                },
                |_, ()| {},
            )
            .await
    }
}
