//! Endpoints on SQLite. Headers and secrets stand sealed.

use super::application::taken;
use super::query::{Conditions, json};
use super::row::collect;
use super::{Sqlite, audit, health, notice};
use crate::endpoint::{
    ChangeEndpoint, EndpointChange, Endpoints, HEADERS_PLACE, NewEndpoint, SECRETS_PLACE, open_credentials,
    pack_disabling, pack_secrets, seal_credentials, unpack_disabling, unpack_secrets,
};
use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::audit::NewEntry;
use domain::clock::Timestamp;
use domain::credentials::Credentials;
use domain::endpoint::{Endpoint, EndpointFields, EndpointSecret};
use domain::header::Header;
use domain::id::{ApplicationKey, EndpointKey};
use domain::limit::ENDPOINTS_PER_APPLICATION_MAX;
use domain::notice::NewNotice;
use domain::page::{Page, Slice};
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::sync::Arc;

const COLUMNS: &str =
    "key, application, id, uid, url, description, metadata, disabled, disabled_reason, paused, event_types,
     channels, throttle_rate, sealed_headers, sealed_secrets, created_at, updated_at, options,
     sealed_credentials, disabled_at, disabled_answer";

fn read(row: &Row<'_>, sealer: &Sealer) -> Result<Endpoint> {
    let list = |column: Option<String>| column.map(|text| json(&text)).transpose();
    let headers = sealer.open(HEADERS_PLACE, &row.get::<_, Vec<u8>>(13)?)?;
    let secrets = sealer.open(SECRETS_PLACE, &row.get::<_, Vec<u8>>(14)?)?;
    let credentials = row.get::<_, Option<Vec<u8>>>(18)?;
    Ok(Endpoint {
        key: EndpointKey(row.get(0)?),
        application: ApplicationKey(row.get(1)?),
        id: row.get(2)?,
        fields: EndpointFields {
            uid: row.get(3)?,
            url: row.get(4)?,
            description: row.get(5)?,
            metadata: json(&row.get::<_, String>(6)?)?,
            disabled: row.get(7)?,
            paused: row.get(9)?,
            event_types: list(row.get(10)?)?,
            channels: list(row.get(11)?)?,
            throttle_rate: row.get(12)?,
            options: json(&row.get::<_, String>(17)?)?,
        },
        disabling: unpack_disabling((row.get(8)?, row.get(19)?, row.get(20)?))?,
        headers: json(&String::from_utf8_lossy(&headers))?,
        secrets: unpack_secrets(&String::from_utf8_lossy(&secrets))?,
        credentials: open_credentials(credentials.as_deref(), sealer)?,
        created_at: Timestamp(row.get(15)?),
        updated_at: Timestamp(row.get(16)?),
    })
}

pub(super) fn load_all(
    connection: &Connection,
    application: ApplicationKey,
    sealer: &Sealer,
) -> Result<Vec<Endpoint>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM endpoint WHERE application = ?1 AND deleted_at IS NULL"
    ))?;
    collect(statement.query([application.0])?, |row| read(row, sealer))
}

fn get(connection: &Connection, key: EndpointKey, sealer: &Sealer) -> Result<Endpoint> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM endpoint WHERE key = ?1 AND deleted_at IS NULL"))?;
    statement.query([key.0])?.next()?.map_or(Err(StoreError::NotFound), |row| read(row, sealer))
}

fn column(list: Option<&Vec<String>>) -> Option<String> {
    list.map(|texts| serde_json::to_string(texts).unwrap_or_default())
}

fn write_fields(connection: &Connection, key: EndpointKey, f: &EndpointFields) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE endpoint SET uid = ?2, url = ?3, description = ?4, metadata = ?5, disabled = ?6, paused = ?7,
                    event_types = ?8, channels = ?9, throttle_rate = ?10, options = ?11 WHERE key = ?1",
        )?
        .execute(params![
            key.0,
            f.uid,
            f.url,
            f.description,
            serde_json::to_string(&f.metadata).unwrap_or_default(),
            f.disabled,
            f.paused,
            column(f.event_types.as_ref()),
            column(f.channels.as_ref()),
            f.throttle_rate,
            serde_json::to_string(&f.options).unwrap_or_default(),
        ])
        .map_err(taken)?;
    Ok(())
}

fn write_headers(
    connection: &Connection,
    key: EndpointKey,
    headers: &[Header],
    sealer: &Sealer,
) -> Result<()> {
    let plain = serde_json::to_vec(headers).unwrap_or_default();
    let sealed = sealer.seal(HEADERS_PLACE, &plain)?;
    connection
        .prepare_cached("UPDATE endpoint SET sealed_headers = ?2 WHERE key = ?1")?
        .execute(params![key.0, sealed])?;
    Ok(())
}

fn write_secrets(
    connection: &Connection,
    key: EndpointKey,
    secrets: &[EndpointSecret],
    sealer: &Sealer,
) -> Result<()> {
    let sealed = sealer.seal(SECRETS_PLACE, pack_secrets(secrets).as_bytes())?;
    connection
        .prepare_cached("UPDATE endpoint SET sealed_secrets = ?2 WHERE key = ?1")?
        .execute(params![key.0, sealed])?;
    Ok(())
}

fn write_credentials(
    connection: &Connection,
    key: EndpointKey,
    credentials: &Credentials,
    sealer: &Sealer,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE endpoint SET sealed_credentials = ?2 WHERE key = ?1")?
        .execute(params![key.0, seal_credentials(credentials, sealer)?])?;
    Ok(())
}

fn create(connection: &Connection, new: &NewEndpoint, sealer: &Sealer, now: Timestamp) -> Result<Endpoint> {
    let there: i64 = connection
        .prepare_cached("SELECT count(*) FROM endpoint WHERE application = ?1 AND deleted_at IS NULL")?
        .query_row([new.application.0], |row| row.get(0))?;
    if there.unsigned_abs() >= ENDPOINTS_PER_APPLICATION_MAX as u64 {
        return Err(StoreError::Limit(format!(
            "the application has {there} endpoints: at most {ENDPOINTS_PER_APPLICATION_MAX} (endpoints_per_application_max)"
        )));
    }
    connection
        .prepare_cached(
            "INSERT INTO endpoint (application, id, url, description, metadata, disabled, paused, sealed_headers,
                                   sealed_secrets, created_at, updated_at)
             VALUES (?1, ?2, '', '', '{}', 0, 0, x'', x'', ?3, ?3)",
        )?
        .execute(params![new.application.0, new.id, now.0])?;
    let key = EndpointKey(connection.last_insert_rowid());
    write_fields(connection, key, &new.fields)?;
    write_headers(connection, key, &new.headers, sealer)?;
    write_secrets(connection, key, &new.secrets, sealer)?;
    write_credentials(connection, key, &new.credentials, sealer)?;
    if let Some(told) = &new.notice {
        notice::add(connection, &NewNotice { endpoint: key, ..told.clone() })?;
    }
    new.entry.iter().try_for_each(|entry| audit::add(connection, entry))?;
    get(connection, key, sealer)
}

fn change(
    connection: &Connection,
    key: EndpointKey,
    change: EndpointChange,
    sealer: &Sealer,
    now: Timestamp,
) -> Result<Endpoint> {
    if let Some(fields) = &change.fields {
        write_fields(connection, key, fields)?;
    }
    if let Some(headers) = &change.headers {
        write_headers(connection, key, headers, sealer)?;
    }
    if let Some(secrets) = &change.secrets {
        write_secrets(connection, key, secrets, sealer)?;
    }
    if let Some(credentials) = &change.credentials {
        write_credentials(connection, key, credentials, sealer)?;
    }
    if let Some(disabling) = &change.disabling {
        let (reason, at, answer) = pack_disabling(disabling.as_ref());
        connection
            .prepare_cached(
                "UPDATE endpoint SET disabled_reason = ?2, disabled_at = ?3, disabled_answer = ?4 WHERE key = ?1",
            )?
            .execute(params![key.0, reason, at, answer])?;
    }
    if change.begins_again {
        health::begin_again(connection, key)?;
    }
    change.notices.iter().try_for_each(|told| notice::add(connection, told))?;
    change.entry.iter().try_for_each(|entry| audit::add(connection, entry))?;
    connection
        .prepare_cached("UPDATE endpoint SET updated_at = ?2 WHERE key = ?1")?
        .execute(params![key.0, now.0])?;
    get(connection, key, sealer)
}

#[async_trait]
impl Endpoints for Sqlite {
    async fn endpoint_create(&self, new: NewEndpoint) -> Result<Endpoint> {
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, memory| {
                    if memory.shared.routing.application_exists(new.application) {
                        create(c, &new, &memory.sealer, now)
                    } else {
                        Err(StoreError::NotFound)
                    }
                },
                |memory, endpoint| memory.shared.routing.put_endpoint(endpoint.clone()),
            )
            .await
    }

    async fn endpoint_update(&self, key: EndpointKey, mut decide: ChangeEndpoint) -> Result<Endpoint> {
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, memory| {
                    let decided = decide(&get(c, key, &memory.sealer)?)?;
                    change(c, key, decided, &memory.sealer, now)
                },
                move |memory, endpoint| {
                    memory.shared.routing.put_endpoint(endpoint.clone());
                    // It may have been resumed, or disabled: dispatch looks at its rows again (PROTOCOL rule 12).
                    memory.shared.wakes.note(key, now);
                },
            )
            .await
    }

    async fn endpoint_delete(
        &self,
        key: EndpointKey,
        (notice, entry): (Option<NewNotice>, Option<NewEntry>),
    ) -> Result<()> {
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, _| {
                    let gone = c
                        .prepare_cached(
                            "UPDATE endpoint SET deleted_at = ?2, uid = NULL, options = '{}', sealed_headers = x'',
                                    sealed_secrets = x'', sealed_credentials = NULL
                             WHERE key = ?1 AND deleted_at IS NULL",
                        )?
                        .execute(params![key.0, now.0])?;
                    if gone == 0 {
                        return Err(StoreError::NotFound);
                    }
                    entry.iter().try_for_each(|entry| audit::add(c, entry))?;
                    notice.iter().try_for_each(|told| notice::add(c, told))
                },
                move |memory, ()| {
                    memory.shared.routing.remove_endpoint(key);
                    memory.shared.wakes.note(key, now);
                },
            )
            .await
    }

    async fn endpoint_ids(&self, keys: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, String)>> {
        self.readers
            .read(move |c| {
                let mut statement = c.prepare_cached("SELECT id FROM endpoint WHERE key = ?1")?;
                let mut found = Vec::with_capacity(keys.len());
                for key in keys {
                    if let Some(row) = statement.query([key.0])?.next()? {
                        found.push((key, row.get(0)?));
                    }
                }
                Ok(found)
            })
            .await
    }

    async fn endpoint_key(&self, application: ApplicationKey, id: &str) -> Result<EndpointKey> {
        if let Ok(found) = self.endpoint_find(application, id).await {
            return Ok(found.key);
        }
        let id = id.to_owned();
        self.readers
            .read(move |c| {
                let found = c
                    .prepare_cached("SELECT key FROM endpoint WHERE id = ?1 AND application = ?2")?
                    .query_row(params![id, application.0], |row| row.get(0))
                    .optional()?;
                found.map(EndpointKey).ok_or(StoreError::NotFound)
            })
            .await
    }

    async fn endpoint_find(&self, application: ApplicationKey, id: &str) -> Result<Endpoint> {
        let routes = self.shared.routing.routes(application);
        let by_uid = routes.iter().find(|r| r.endpoint.fields.uid.as_deref() == Some(id));
        let found = by_uid.or_else(|| routes.iter().find(|r| r.endpoint.id == id));
        found.map(|route| (*route.endpoint).clone()).ok_or(StoreError::NotFound)
    }

    async fn endpoint_list(
        &self,
        application: ApplicationKey,
        page: Page<String>,
    ) -> Result<Slice<Endpoint>> {
        let sealer = Arc::clone(&self.sealer);
        self.readers
            .read(move |c| {
                let mut conditions = Conditions::default();
                conditions
                    .with("application = ?", application.0)
                    .bare("deleted_at IS NULL")
                    .page("id", &page);
                let sql = format!("SELECT {COLUMNS} FROM endpoint {}", conditions.tail("id", &page));
                let mut statement = c.prepare_cached(&sql)?;
                let rows = statement.query(rusqlite::params_from_iter(&conditions.values))?;
                Ok(page.slice(collect(rows, |row| read(row, &sealer))?))
            })
            .await
    }
}
