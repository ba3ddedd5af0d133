//! Event types on SQLite.

use super::Sqlite;
use super::query::{Conditions, json};
use super::row::collect_page;
use crate::error::{Result, StoreError};
use crate::event_type::{ChangeEventType, EventTypes, retries_column};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::event_type::{EventType, EventTypeFields};
use domain::id::EnvironmentKey;
use domain::page::{Page, Slice};
use rusqlite::{Connection, Row, params};

const COLUMNS: &str = "environment, name, description, archived, deprecated, schemas, group_name, feature_flags, created_at, updated_at, retries";

fn read(row: &Row<'_>) -> Result<EventType> {
    let schemas: Option<String> = row.get(5)?;
    let flags: Option<String> = row.get(7)?;
    let retries: Option<String> = row.get(10)?;
    Ok(EventType {
        environment: EnvironmentKey(row.get(0)?),
        name: row.get(1)?,
        fields: EventTypeFields {
            description: row.get(2)?,
            archived: row.get(3)?,
            deprecated: row.get(4)?,
            schemas: schemas.map(|text| json(&text)).transpose()?,
            group_name: row.get(6)?,
            feature_flags: flags.map(|text| json(&text)).transpose()?,
            retries: retries.map(|text| json(&text)).transpose()?.unwrap_or_default(),
        },
        created_at: Timestamp(row.get(8)?),
        updated_at: Timestamp(row.get(9)?),
    })
}

fn find(connection: &Connection, environment: EnvironmentKey, name: &str) -> Result<Option<EventType>> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM event_type WHERE environment = ?1 AND name = ?2"))?;
    let mut rows = statement.query(params![environment.0, name])?;
    rows.next()?.map(read).transpose()
}

fn put(
    connection: &Connection,
    environment: EnvironmentKey,
    name: &str,
    fields: &EventTypeFields,
    now: Timestamp,
) -> Result<EventType> {
    let schemas = fields.schemas.as_ref().map(|s| serde_json::to_string(s).unwrap_or_default());
    let flags = fields.feature_flags.as_ref().map(|f| serde_json::to_string(f).unwrap_or_default());
    let retries = retries_column(&fields.retries);
    connection
        .prepare_cached(
            "INSERT INTO event_type (environment, name, description, archived, deprecated, schemas, group_name,
                                     feature_flags, created_at, updated_at, retries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)
             ON CONFLICT DO UPDATE SET description = ?3, archived = ?4, deprecated = ?5, schemas = ?6, group_name = ?7,
                                       feature_flags = ?8, updated_at = ?9, retries = ?10",
        )?
        .execute(params![
            environment.0,
            name,
            fields.description,
            fields.archived,
            fields.deprecated,
            schemas,
            fields.group_name,
            flags,
            now.0,
            retries
        ])?;
    find(connection, environment, name)?.ok_or(StoreError::NotFound)
}

#[async_trait]
impl EventTypes for Sqlite {
    async fn event_type_create(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<EventType> {
        let (name, now) = (name.to_owned(), self.clock.0.now());
        let create = move |c: &Connection| match find(c, environment, &name)? {
            Some(live) if !live.fields.archived => Err(StoreError::Taken("name")),
            _ => put(c, environment, &name, &fields, now),
        };
        self.writer.write(move |c, _| create(c), |_, _| {}).await
    }

    async fn event_type_put(
        &self,
        environment: EnvironmentKey,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<(EventType, bool)> {
        let (name, now) = (name.to_owned(), self.clock.0.now());
        let put = move |c: &Connection| {
            let created = find(c, environment, &name)?.is_none();
            Ok((put(c, environment, &name, &fields, now)?, created))
        };
        self.writer.write(move |c, _| put(c), |_, _| {}).await
    }

    async fn event_type_update(
        &self,
        environment: EnvironmentKey,
        name: &str,
        mut change: ChangeEventType,
    ) -> Result<EventType> {
        let (name, now) = (name.to_owned(), self.clock.0.now());
        let mut update = move |c: &Connection| {
            let there = find(c, environment, &name)?.ok_or(StoreError::NotFound)?;
            put(c, environment, &name, &change(&there), now)
        };
        self.writer.write(move |c, _| update(c), |_, _| {}).await
    }

    async fn event_type_expunge(&self, environment: EnvironmentKey, name: &str) -> Result<()> {
        let name = name.to_owned();
        let expunge = move |c: &Connection| {
            let gone = c
                .prepare_cached("DELETE FROM event_type WHERE environment = ?1 AND name = ?2")?
                .execute(params![environment.0, name])?;
            if gone == 0 { Err(StoreError::NotFound) } else { Ok(()) }
        };
        self.writer.write(move |c, _| expunge(c), |_, ()| {}).await
    }

    async fn event_type_get(&self, environment: EnvironmentKey, name: &str) -> Result<EventType> {
        let name = name.to_owned();
        self.readers.read(move |c| find(c, environment, &name)?.ok_or(StoreError::NotFound)).await
    }

    async fn event_type_list(
        &self,
        environment: EnvironmentKey,
        archived_too: bool,
        flags: Option<Vec<String>>,
        page: Page<String>,
    ) -> Result<Slice<EventType>> {
        self.readers
            .read(move |c| {
                let mut conditions = Conditions::default();
                conditions.with("environment = ?", environment.0).page("name", &page);
                if !archived_too {
                    conditions.bare("archived = 0");
                }
                if let Some(flags) = flags {
                    conditions.with(
                        "(feature_flags IS NULL OR EXISTS (SELECT 1 FROM json_each(feature_flags) AS flag
                          WHERE flag.value IN (SELECT value FROM json_each(?))))",
                        serde_json::to_string(&flags).unwrap_or_default(),
                    );
                }
                let sql = format!("SELECT {COLUMNS} FROM event_type {}", conditions.tail("name", &page));
                let mut statement = c.prepare_cached(&sql)?;
                let rows = statement.query(rusqlite::params_from_iter(&conditions.values))?;
                let (found, cut) = collect_page(rows, |row| {
                    let schemas = row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?;
                    Ok((read(row)?, schemas.map_or(0, str::len)))
                })?;
                Ok(page.slice_of(found, cut))
            })
            .await
    }

    async fn event_type_missing(
        &self,
        environment: EnvironmentKey,
        flags: Option<&[String]>,
        names: &[String],
    ) -> Result<Vec<String>> {
        let (names, flags) = (names.to_vec(), flags.map(<[String]>::to_vec));
        self.readers
            .read(move |c| {
                let mut missing = Vec::new();
                for name in names {
                    let found = find(c, environment, &name)?;
                    if found
                        .is_none_or(|there| there.fields.archived || !there.fields.shown_to(flags.as_deref()))
                    {
                        missing.push(name);
                    }
                }
                Ok(missing)
            })
            .await
    }
}
