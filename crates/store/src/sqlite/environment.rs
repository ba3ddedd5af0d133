//! Environments on SQLite.

use super::Sqlite;
use super::query::json;
use super::row::collect;
use crate::environment::Environments;
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::environment::{Environment, EnvironmentSettings, SignatureHeaders};
use domain::id::EnvironmentKey;
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "key, id, signature_headers, created_at, settings";

fn read(row: &Row<'_>) -> Result<Environment> {
    let word: String = row.get(2)?;
    Ok(Environment {
        key: EnvironmentKey(row.get(0)?),
        id: row.get(1)?,
        signature_headers: SignatureHeaders::from_word(&word)
            .ok_or_else(|| StoreError::Broken(format!("unknown signature_headers `{word}`")))?,
        settings: json(&row.get::<_, String>(4)?)?,
        created_at: Timestamp(row.get(3)?),
    })
}

pub(super) fn load_all(connection: &Connection) -> Result<Vec<Environment>> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM environment"))?;
    collect(statement.query([])?, read)
}

#[async_trait]
impl Environments for Sqlite {
    async fn environment_ensure(&self, id: &str, signature_headers: SignatureHeaders) -> Result<Environment> {
        if let Some(known) = self.shared.routing.environment(id) {
            return Ok((*known).clone());
        }
        let id = id.to_owned();
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, _| {
                    let word = signature_headers.word();
                    c.prepare_cached(
                        "INSERT INTO environment (id, signature_headers, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![id, word, now.0])?;
                    let mut statement = c.prepare_cached(&format!("SELECT {COLUMNS} FROM environment WHERE id = ?1"))?;
                    statement.query([&id])?.next()?.map_or(Err(StoreError::NotFound), read)
                },
                |memory, environment| memory.shared.routing.put_environment(environment.clone()),
            )
            .await
    }

    async fn environment_update(
        &self,
        key: EnvironmentKey,
        signature_headers: SignatureHeaders,
        settings: EnvironmentSettings,
    ) -> Result<Environment> {
        self.writer
            .write(
                move |c, _| {
                    let text = serde_json::to_string(&settings).unwrap_or_default();
                    c.prepare_cached(
                        "UPDATE environment SET signature_headers = ?2, settings = ?3 WHERE key = ?1",
                    )?
                    .execute(params![key.0, signature_headers.word(), text])?;
                    let mut statement =
                        c.prepare_cached(&format!("SELECT {COLUMNS} FROM environment WHERE key = ?1"))?;
                    statement.query([key.0])?.next()?.map_or(Err(StoreError::NotFound), read)
                },
                |memory, environment| memory.shared.routing.put_environment(environment.clone()),
            )
            .await
    }

    async fn environment_get(&self, key: EnvironmentKey) -> Result<Environment> {
        self.readers
            .read(move |c| {
                let mut statement =
                    c.prepare_cached(&format!("SELECT {COLUMNS} FROM environment WHERE key = ?1"))?;
                statement.query([key.0])?.next()?.map_or(Err(StoreError::NotFound), read)
            })
            .await
    }
}
