//! Endpoints on PostgreSQL. Headers and secrets stand sealed.
//!
//! A change is decided here and written only if the row is still what it was decided on (its version), so that no
//! transaction waits for us (PROTOCOL rule 4) and two changes at once both hold.

use super::Postgres;
use super::application::rate;
use super::audit::{self, entered_with};
use super::health::BEGIN_AGAIN;
use super::notice::{as_json, told_with};
use super::query::Conditions;
use super::row::json;
use crate::endpoint::{
    ChangeEndpoint, EndpointChange, Endpoints, HEADERS_PLACE, NewEndpoint, SECRETS_PLACE, open_credentials,
    pack_disabling, pack_secrets, seal_credentials, unpack_disabling, unpack_secrets,
};
use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use async_trait::async_trait;
use domain::audit::NewEntry;
use domain::clock::Timestamp;
use domain::endpoint::{Endpoint, EndpointFields};
use domain::id::{ApplicationKey, EndpointKey};
use domain::limit::ENDPOINTS_PER_APPLICATION_MAX;
use domain::notice::NewNotice;
use domain::page::{Page, Slice};
use tokio_postgres::Row;

pub(super) const COLUMNS: &str =
    "endpoint.key, endpoint.application, endpoint.id, endpoint.uid, endpoint.url, endpoint.description,
     endpoint.metadata, endpoint.disabled, endpoint.disabled_reason, endpoint.paused, endpoint.event_types,
     endpoint.channels, endpoint.throttle_rate, endpoint.sealed_headers, endpoint.sealed_secrets,
     endpoint.created_at, endpoint.updated_at, endpoint.version, endpoint.options, endpoint.sealed_credentials,
     endpoint.disabled_at, endpoint.disabled_answer";

pub(super) fn read(row: &Row, sealer: &Sealer) -> Result<Endpoint> {
    let list = |column: Option<&str>| column.map(json).transpose();
    let headers = sealer.open(HEADERS_PLACE, row.get(13))?;
    let secrets = sealer.open(SECRETS_PLACE, row.get(14))?;
    Ok(Endpoint {
        key: EndpointKey(row.get(0)),
        application: ApplicationKey(row.get(1)),
        id: row.get(2),
        fields: EndpointFields {
            uid: row.get(3),
            url: row.get(4),
            description: row.get(5),
            metadata: json(row.get(6))?,
            disabled: row.get(7),
            paused: row.get(9),
            event_types: list(row.get(10))?,
            channels: list(row.get(11))?,
            throttle_rate: rate(row.get(12)),
            options: json(row.get(18))?,
        },
        disabling: unpack_disabling((row.get(8), row.get(20), row.get(21)))?,
        headers: json(&String::from_utf8_lossy(&headers))?,
        secrets: unpack_secrets(&String::from_utf8_lossy(&secrets))?,
        credentials: open_credentials(row.get(19), sealer)?,
        created_at: Timestamp(row.get(15)),
        updated_at: Timestamp(row.get(16)),
    })
}

fn column(list: Option<&Vec<String>>) -> Option<String> {
    list.map(|texts| serde_json::to_string(texts).unwrap_or_default())
}

/// The columns that a client's fields become.
struct Columns {
    metadata: String,
    event_types: Option<String>,
    channels: Option<String>,
    throttle_rate: Option<i32>,
    headers: Vec<u8>,
    secrets: Vec<u8>,
    options: String,
    credentials: Option<Vec<u8>>,
}

impl Columns {
    fn of(endpoint: &Endpoint, sealer: &Sealer) -> Result<Self> {
        let fields = &endpoint.fields;
        let headers = serde_json::to_vec(&endpoint.headers).unwrap_or_default();
        Ok(Self {
            metadata: serde_json::to_string(&fields.metadata).unwrap_or_default(),
            event_types: column(fields.event_types.as_ref()),
            channels: column(fields.channels.as_ref()),
            throttle_rate: fields.throttle_rate.map(i32::from),
            headers: sealer.seal(HEADERS_PLACE, &headers)?,
            secrets: sealer.seal(SECRETS_PLACE, pack_secrets(&endpoint.secrets).as_bytes())?,
            options: serde_json::to_string(&fields.options).unwrap_or_default(),
            credentials: seal_credentials(&endpoint.credentials, sealer)?,
        })
    }
}

impl Postgres {
    /// The endpoint as it is, with its version.
    async fn endpoint_now(&self, key: EndpointKey) -> Result<(Endpoint, i64)> {
        let sql = format!("SELECT {COLUMNS} FROM endpoint WHERE key = $1 AND deleted_at IS NULL");
        let row = self.readers.row(&sql, &[&key.0]).await?.ok_or(StoreError::NotFound)?;
        Ok((read(&row, &self.node.sealer)?, row.get(17)))
    }

    /// Writes the endpoint if its row still has this version; none when it was changed meanwhile. Of one that `begins_order`
    /// what waits loses the places that it had before: there may be rows without one between them. What counts towards
    /// disabling one that `begins_again` begins anew.
    async fn endpoint_replace(
        &self,
        changed: &Endpoint,
        (version, begins_order, begins_again): (i64, bool, bool),
        (notices, entry): (&[NewNotice], &[NewEntry]),
    ) -> Result<Option<Endpoint>> {
        let (fields, columns) = (&changed.fields, Columns::of(changed, &self.node.sealer)?);
        let (reason, disabled_at, disabled_answer) = pack_disabling(changed.disabling.as_ref());
        let sql = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version){}{}
             , endpoint_now AS (
             UPDATE endpoint SET uid = $3, url = $4, description = $5, metadata = $6, disabled = $7,
                    disabled_reason = $8, paused = $9, event_types = $10, channels = $11, throttle_rate = $12,
                    sealed_headers = $13, sealed_secrets = $14, updated_at = $15, options = $16,
                    sealed_credentials = $17, disabled_at = $18, disabled_answer = $19, version = change.version
             FROM change WHERE key = $1 AND endpoint.version = $2 AND deleted_at IS NULL
             RETURNING endpoint.*){}
             SELECT {COLUMNS}, (SELECT pg_notify('posthaste_configuration', '')) FROM endpoint_now AS endpoint",
            if begins_order { WITHOUT_PLACES } else { "" },
            if begins_again { BEGIN_AGAIN } else { "" },
            [told_with(20, "endpoint_now"), entered_with(21, "endpoint_now")].concat()
        );
        let rows = self
            .configure(
                &sql,
                &[
                    &changed.key.0,
                    &version,
                    &fields.uid,
                    &fields.url,
                    &fields.description,
                    &columns.metadata,
                    &fields.disabled,
                    &reason,
                    &fields.paused,
                    &columns.event_types,
                    &columns.channels,
                    &columns.throttle_rate,
                    &columns.headers,
                    &columns.secrets,
                    &changed.updated_at.0,
                    &columns.options,
                    &columns.credentials,
                    &disabled_at,
                    &disabled_answer,
                    &as_json(notices),
                    &audit::as_json(entry),
                ],
                "uid",
            )
            .await?;
        rows.first().map(|row| read(row, &self.node.sealer)).transpose()
    }
}

/// In the order in which rows are locked everywhere (rule 18).
const WITHOUT_PLACES: &str = ",
    placed AS MATERIALIZED (
        SELECT delivery.message, delivery.run FROM delivery
        WHERE delivery.endpoint = $1 AND delivery.position IS NOT NULL ORDER BY delivery.message, delivery.run FOR UPDATE),
    without AS (
        UPDATE delivery SET position = NULL FROM placed
        WHERE delivery.endpoint = $1 AND delivery.message = placed.message AND delivery.run = placed.run)";

fn apply(mut endpoint: Endpoint, change: EndpointChange, now: Timestamp) -> Endpoint {
    if let Some(fields) = change.fields {
        endpoint.fields = fields;
    }
    if let Some(headers) = change.headers {
        endpoint.headers = headers;
    }
    if let Some(secrets) = change.secrets {
        endpoint.secrets = secrets;
    }
    if let Some(credentials) = change.credentials {
        endpoint.credentials = credentials;
    }
    if let Some(disabling) = change.disabling {
        endpoint.disabling = disabling;
    }
    endpoint.updated_at = now;
    endpoint
}

#[async_trait]
impl Endpoints for Postgres {
    async fn endpoint_create(&self, new: NewEndpoint) -> Result<Endpoint> {
        let now = self.node.now();
        let endpoint = Endpoint {
            key: EndpointKey(0),
            application: new.application,
            id: new.id,
            fields: new.fields,
            headers: new.headers,
            secrets: new.secrets,
            credentials: new.credentials,
            disabling: None,
            created_at: now,
            updated_at: now,
        };
        let (fields, columns) = (&endpoint.fields, Columns::of(&endpoint, &self.node.sealer)?);
        let there = self.node.shared.routing.routes(new.application).len();
        if there >= ENDPOINTS_PER_APPLICATION_MAX {
            return Err(StoreError::Limit(format!(
                "the application has {there} endpoints: at most {ENDPOINTS_PER_APPLICATION_MAX} (endpoints_per_application_max)"
            )));
        }
        let sql = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version),
             application AS (
                 SELECT key FROM application WHERE key = $1 AND deleted_at IS NULL AND (SELECT version FROM change) > 0
                 FOR SHARE),
             added AS (
             INSERT INTO endpoint (application, id, uid, url, description, metadata, disabled, paused, event_types,
                                   channels, throttle_rate, sealed_headers, sealed_secrets, created_at, updated_at, options,
                                   sealed_credentials, version)
             SELECT application.key, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14, $15, $16, change.version
             FROM change, application
             RETURNING endpoint.*){}
             SELECT {COLUMNS}, (SELECT pg_notify('posthaste_configuration', '')) FROM added AS endpoint",
            [told_with(17, "added"), entered_with(18, "added")].concat()
        );
        let rows = self
            .configure(
                &sql,
                &[
                    &endpoint.application.0,
                    &endpoint.id,
                    &fields.uid,
                    &fields.url,
                    &fields.description,
                    &columns.metadata,
                    &fields.disabled,
                    &fields.paused,
                    &columns.event_types,
                    &columns.channels,
                    &columns.throttle_rate,
                    &columns.headers,
                    &columns.secrets,
                    &now.0,
                    &columns.options,
                    &columns.credentials,
                    &as_json(new.notice.as_slice()),
                    &audit::as_json(new.entry.as_slice()),
                ],
                "uid",
            )
            .await?;
        rows.first().map_or(Err(StoreError::NotFound), |row| read(row, &self.node.sealer))
    }

    async fn endpoint_update(&self, key: EndpointKey, mut decide: ChangeEndpoint) -> Result<Endpoint> {
        loop {
            let (there, version) = self.endpoint_now(key).await?;
            let change = decide(&there)?;
            let (was_ordered, begins_again) = (there.fields.options.ordered, change.begins_again);
            let (notices, entry) = (change.notices.clone(), change.entry.clone());
            let changed = apply(there, change, self.node.now());
            let begins_order = changed.fields.options.ordered && !was_ordered;
            if let Some(changed) = self
                .endpoint_replace(
                    &changed,
                    (version, begins_order, begins_again),
                    (&notices, entry.as_slice()),
                )
                .await?
            {
                return Ok(changed);
            }
        }
    }

    async fn endpoint_delete(
        &self,
        key: EndpointKey,
        (notice, entry): (Option<NewNotice>, Option<NewEntry>),
    ) -> Result<()> {
        let now = self.node.now().0;
        let sql = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version),
             gone AS (
                 UPDATE endpoint SET deleted_at = $2, uid = NULL, options = '{{}}', sealed_headers = '', sealed_secrets = '',
                        sealed_credentials = NULL, version = change.version
                 FROM change WHERE key = $1 AND deleted_at IS NULL
                 RETURNING endpoint.key){}
             SELECT key, (SELECT pg_notify('posthaste_configuration', '')) FROM gone",
            [told_with(3, "gone"), entered_with(4, "gone")].concat()
        );
        let gone = self
            .configure(
                &sql,
                &[&key.0, &now, &as_json(notice.as_slice()), &audit::as_json(entry.as_slice())],
                "uid",
            )
            .await?;
        if gone.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn endpoint_ids(&self, keys: Vec<EndpointKey>) -> Result<Vec<(EndpointKey, String)>> {
        let keys: Vec<i64> = keys.into_iter().map(|key| key.0).collect();
        let rows = self
            .readers
            .rows(
                "SELECT endpoint.key, endpoint.id FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (key, place)
                 JOIN endpoint USING (key) ORDER BY wanted.place",
                &[&keys],
            )
            .await?;
        Ok(rows.iter().map(|row| (EndpointKey(row.get(0)), row.get(1))).collect())
    }

    async fn endpoint_key(&self, application: ApplicationKey, id: &str) -> Result<EndpointKey> {
        if let Ok(found) = self.endpoint_find(application, id).await {
            return Ok(found.key);
        }
        let sql = "SELECT key FROM endpoint WHERE id = $1 AND application = $2";
        let row = self.readers.row(sql, &[&id, &application.0]).await?;
        row.map(|row| EndpointKey(row.get(0))).ok_or(StoreError::NotFound)
    }

    async fn endpoint_find(&self, application: ApplicationKey, id: &str) -> Result<Endpoint> {
        let routes = self.node.shared.routing.routes(application);
        let by_uid = routes.iter().find(|r| r.endpoint.fields.uid.as_deref() == Some(id));
        let found = by_uid.or_else(|| routes.iter().find(|r| r.endpoint.id == id));
        found.map(|route| (*route.endpoint).clone()).ok_or(StoreError::NotFound)
    }

    async fn endpoint_list(
        &self,
        application: ApplicationKey,
        page: Page<String>,
    ) -> Result<Slice<Endpoint>> {
        let mut conditions = Conditions::default();
        conditions.with("application = ?", application.0).bare("deleted_at IS NULL").page("id", &page);
        let sql = format!("SELECT {COLUMNS} FROM endpoint {}", conditions.tail("id", &page));
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let found: Result<Vec<_>> = rows.iter().map(|row| read(row, &self.node.sealer)).collect();
        Ok(page.slice(found?))
    }
}
