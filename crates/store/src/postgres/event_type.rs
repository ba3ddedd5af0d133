//! Event types on PostgreSQL.

use super::Postgres;
use super::query::{Conditions, bounded};
use super::row::json;
use crate::error::{Result, StoreError};
use crate::event_type::{ChangeEventType, EventTypes, retries_column};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::event_type::{EventType, EventTypeFields};
use domain::id::EnvironmentKey;
use domain::page::{Page, Slice};
use tokio_postgres::Row;

const COLUMNS: &str = "environment, name, description, archived, deprecated, schemas, group_name, feature_flags::text, created_at, updated_at, version, retries";

fn read(row: &Row) -> Result<EventType> {
    Ok(EventType {
        environment: EnvironmentKey(row.get(0)),
        name: row.get(1),
        fields: EventTypeFields {
            description: row.get(2),
            archived: row.get(3),
            deprecated: row.get(4),
            schemas: row.get::<_, Option<&str>>(5).map(json).transpose()?,
            group_name: row.get(6),
            feature_flags: row.get::<_, Option<&str>>(7).map(json).transpose()?,
            retries: row.get::<_, Option<&str>>(11).map(json).transpose()?.unwrap_or_default(),
        },
        created_at: Timestamp(row.get(8)),
        updated_at: Timestamp(row.get(9)),
    })
}

impl Postgres {
    async fn event_type_find(
        &self,
        environment: EnvironmentKey,
        name: &str,
    ) -> Result<Option<(EventType, i64)>> {
        let sql = format!("SELECT {COLUMNS} FROM event_type WHERE environment = $1 AND name = $2");
        // Attempts and accepts ask too: lists must not hold them up.
        let row = self.own_readers.row(&sql, &[&environment.0, &name]).await?;
        row.map(|row| Ok((read(&row)?, row.get(10)))).transpose()
    }

    /// Creates it, or replaces it where `replaced` says so of the row that is there; none where it does not.
    async fn event_type_write(
        &self,
        environment: EnvironmentKey,
        (name, fields): (&str, &EventTypeFields),
        (replaced, version): (&str, i64),
    ) -> Result<Option<(EventType, bool)>> {
        let schemas = fields.schemas.as_ref().map(|s| serde_json::to_string(s).unwrap_or_default());
        let flags = fields.feature_flags.as_ref().map(|f| serde_json::to_string(f).unwrap_or_default());
        let (now, retries) = (self.node.now().0, retries_column(&fields.retries));
        let sql = format!(
            "INSERT INTO event_type AS there (environment, name, description, archived, deprecated, schemas, group_name,
                                              feature_flags, created_at, updated_at, retries, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8::text::jsonb, $9, $9, $11, 0)
             ON CONFLICT (environment, name) DO UPDATE
                 SET description = $3, archived = $4, deprecated = $5, schemas = $6, group_name = $7,
                     feature_flags = $8::text::jsonb, updated_at = $9, retries = $11, version = there.version + 1
                 WHERE $10::bigint IS NOT NULL AND {replaced}
             RETURNING {COLUMNS}"
        );
        let row = self
            .readers
            .row(
                &sql,
                &[
                    &environment.0,
                    &name,
                    &fields.description,
                    &fields.archived,
                    &fields.deprecated,
                    &schemas,
                    &fields.group_name,
                    &flags,
                    &now,
                    &version,
                    &retries,
                ],
            )
            .await?;
        row.map(|row| Ok((read(&row)?, row.get::<_, i64>(10) == 0))).transpose()
    }
}

#[async_trait]
impl EventTypes for Postgres {
    async fn event_type_create(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<EventType> {
        let made = self.event_type_write(environment, (name, &fields), ("there.archived", 0)).await?;
        made.map(|(made, _)| made).ok_or(StoreError::Taken("name"))
    }

    async fn event_type_put(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<(EventType, bool)> {
        let put = self.event_type_write(environment, (name, &fields), ("true", 0)).await?;
        put.ok_or(StoreError::NotFound)
    }

    async fn event_type_update(
        &self,
        environment: EnvironmentKey,
        name: &str,
        mut change: ChangeEventType,
    ) -> Result<EventType> {
        loop {
            let (there, version) =
                self.event_type_find(environment, name).await?.ok_or(StoreError::NotFound)?;
            let fields = change(&there);
            let same = ("there.version = $10", version);
            if let Some((changed, _)) = self.event_type_write(environment, (name, &fields), same).await? {
                return Ok(changed);
            }
        }
    }

    async fn event_type_expunge(&self, environment: EnvironmentKey, name: &str) -> Result<()> {
        let gone = self
            .readers
            .execute("DELETE FROM event_type WHERE environment = $1 AND name = $2", &[&environment.0, &name])
            .await?;
        if gone == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn event_type_get(&self, environment: EnvironmentKey, name: &str) -> Result<EventType> {
        Ok(self.event_type_find(environment, name).await?.ok_or(StoreError::NotFound)?.0)
    }

    async fn event_type_list(
        &self,
        environment: EnvironmentKey,
        archived_too: bool,
        flags: Option<Vec<String>>,
        page: Page<String>,
    ) -> Result<Slice<EventType>> {
        let mut conditions = Conditions::default();
        conditions.with("environment = ?", environment.0).page("name", &page);
        if !archived_too {
            conditions.bare("NOT archived");
        }
        if let Some(flags) = flags {
            conditions.with("(feature_flags IS NULL OR jsonb_exists_any(feature_flags, ?::text[]))", flags);
        }
        let table = bounded(("event_type", "name", "octet_length(schemas)"), &mut conditions, &page);
        let sql = format!("SELECT {COLUMNS}, found FROM {table}");
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let cut = rows.first().is_some_and(|row| row.get::<_, i64>(12) > rows.len() as i64);
        let found: Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(page.slice_of(found?, cut))
    }

    async fn event_type_missing(
        &self,
        environment: EnvironmentKey,
        flags: Option<&[String]>,
        names: &[String],
    ) -> Result<Vec<String>> {
        let rows = self
            .readers
            .rows(
                "SELECT wanted.name FROM unnest($2::text[]) WITH ORDINALITY AS wanted (name, place)
                 WHERE NOT EXISTS (
                     SELECT FROM event_type
                     WHERE environment = $1 AND event_type.name = wanted.name AND NOT archived
                       AND ($3::text[] IS NULL OR feature_flags IS NULL OR jsonb_exists_any(feature_flags, $3)))
                 ORDER BY wanted.place",
                &[&environment.0, &names, &flags],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
