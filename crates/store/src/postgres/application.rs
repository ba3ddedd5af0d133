//! Applications on PostgreSQL.

use super::Postgres;
use super::query::Conditions;
use super::row::json;
use crate::application::{ApplicationFilter, Applications, ChangeApplication};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::application::{Application, ApplicationFields};
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::page::{Page, Slice};
use tokio_postgres::Row;

pub(super) const COLUMNS: &str =
    "application.key, application.environment, application.id, application.uid, application.name,
     application.throttle_rate, application.metadata, application.created_at, application.updated_at";

pub(super) fn read(row: &Row) -> Result<Application> {
    Ok(Application {
        key: ApplicationKey(row.get(0)),
        environment: EnvironmentKey(row.get(1)),
        id: row.get(2),
        fields: ApplicationFields {
            uid: row.get(3),
            name: row.get(4),
            throttle_rate: rate(row.get(5)),
            metadata: json(row.get(6))?,
        },
        created_at: Timestamp(row.get(7)),
        updated_at: Timestamp(row.get(8)),
    })
}

/// Reads a rate.
pub(super) fn rate(column: Option<i32>) -> Option<u16> {
    column.and_then(|rate| u16::try_from(rate).ok())
}

/// All but that of operational webhooks, whose id begins otherwise.
const LISTED: &str = "id < 'app`'";

#[async_trait]
impl Applications for Postgres {
    async fn application_create(
        &self,
        environment: EnvironmentKey,
        id: String,
        fields: ApplicationFields,
    ) -> Result<Application> {
        let (metadata, now) =
            (serde_json::to_string(&fields.metadata).unwrap_or_default(), self.node.now().0);
        let sql = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version)
             INSERT INTO application (environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, version)
             SELECT $1, $2, $3, $4, $5, $6, $7, $7, change.version FROM change
             RETURNING {COLUMNS}, (SELECT pg_notify('posthaste_configuration', ''))"
        );
        let rate = fields.throttle_rate.map(i32::from);
        let values: &[super::readers::Parameter<'_>] =
            &[&environment.0, &id, &fields.uid, &fields.name, &rate, &metadata, &now];
        let made = self.configure(&sql, values, "uid").await?;
        made.first().map_or(Err(StoreError::NotFound), read)
    }

    async fn application_update(
        &self,
        key: ApplicationKey,
        mut change: ChangeApplication,
    ) -> Result<Application> {
        let look =
            format!("SELECT {COLUMNS}, version FROM application WHERE key = $1 AND deleted_at IS NULL");
        let write = format!(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version)
             UPDATE application SET uid = $2, name = $3, throttle_rate = $4, metadata = $5, updated_at = $6,
                    version = change.version
             FROM change WHERE key = $1 AND deleted_at IS NULL AND application.version = $7
             RETURNING {COLUMNS}, (SELECT pg_notify('posthaste_configuration', ''))"
        );
        loop {
            let there = self.readers.row(&look, &[&key.0]).await?.ok_or(StoreError::NotFound)?;
            let version: i64 = there.get(9);
            let fields = change(&read(&there)?);
            let metadata = serde_json::to_string(&fields.metadata).unwrap_or_default();
            let (rate, now) = (fields.throttle_rate.map(i32::from), self.node.now().0);
            let values: &[super::readers::Parameter<'_>] =
                &[&key.0, &fields.uid, &fields.name, &rate, &metadata, &now, &version];
            // Another node was faster: its change is decided upon again.
            if let Some(changed) = self.configure(&write, values, "uid").await?.first() {
                return read(changed);
            }
        }
    }

    async fn application_delete(&self, key: ApplicationKey) -> Result<()> {
        let now = self.node.now().0;
        let gone = self
            .configure(
                "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version),
                 gone AS (
                     UPDATE application SET deleted_at = $2, uid = NULL, metadata = '{}', version = change.version
                     FROM change WHERE key = $1 AND deleted_at IS NULL
                     RETURNING key),
                 endpoints AS (
                     UPDATE endpoint SET deleted_at = $2, uid = NULL, options = '{}', sealed_headers = '',
                            sealed_secrets = '', sealed_credentials = NULL,
                            version = change.version
                     FROM change, gone WHERE endpoint.application = gone.key AND endpoint.deleted_at IS NULL),
                 keys AS (
                     UPDATE api_key SET revoked_at = $2 FROM gone
                     WHERE api_key.application = gone.key AND revoked_at IS NULL),
                 told AS (DELETE FROM notify USING gone WHERE notify.application = gone.key),
                 pushed AS (DELETE FROM push_subscription USING gone WHERE push_subscription.application = gone.key),
                 unasked AS (DELETE FROM unsubscribed USING gone WHERE unsubscribed.application = gone.key),
                 portals AS (DELETE FROM portal USING gone WHERE portal.application = gone.key),
                 members AS (DELETE FROM membership USING gone WHERE membership.application = gone.key),
                 counted AS (DELETE FROM statistics USING gone WHERE statistics.application = gone.key)
                 SELECT key, pg_notify('posthaste_configuration', '') FROM gone",
                &[&key.0, &now],
                "uid",
            )
            .await?;
        // Once more, with a snapshot of after the deletion: an endpoint may have been made, or a member, or an hour counted, while the first one
        // waited. Also when there was nothing to delete any more: this part may be what failed the last time.
        self.configure(
            "WITH change AS (UPDATE configuration SET version = version + 1 RETURNING version),
             members AS (
                 DELETE FROM membership USING application
                 WHERE application.key = $1 AND application.deleted_at IS NOT NULL AND membership.application = $1),
             counted AS (
                 DELETE FROM statistics USING application
                 WHERE application.key = $1 AND application.deleted_at IS NOT NULL AND statistics.application = $1)
             UPDATE endpoint SET deleted_at = $2, uid = NULL, options = '{}', sealed_headers = '',
                            sealed_secrets = '', sealed_credentials = NULL,
                    version = change.version
             FROM change, application
             WHERE application.key = $1 AND application.deleted_at IS NOT NULL
               AND endpoint.application = $1 AND endpoint.deleted_at IS NULL
             RETURNING endpoint.key, (SELECT pg_notify('posthaste_configuration', ''))",
            &[&key.0, &now],
            "uid",
        )
        .await?;
        if gone.is_empty() { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn application_find(&self, environment: EnvironmentKey, id: &str) -> Result<Application> {
        let found = self.node.shared.routing.application(environment, id);
        found.map(|application| (*application).clone()).ok_or(StoreError::NotFound)
    }

    async fn application_list(
        &self,
        environment: EnvironmentKey,
        filter: ApplicationFilter,
        page: Page<String>,
    ) -> Result<Slice<Application>> {
        let mut conditions = Conditions::default();
        conditions
            .with("environment = ?", environment.0)
            .bare(LISTED)
            .bare("deleted_at IS NULL")
            .page("id", &page);
        if filter.with_endpoints {
            conditions.bare("EXISTS (SELECT FROM endpoint WHERE endpoint.application = application.key AND endpoint.deleted_at IS NULL)");
        }
        if filter.without_disabled_endpoints {
            conditions.bare("NOT EXISTS (SELECT FROM endpoint WHERE endpoint.application = application.key AND endpoint.disabled AND endpoint.deleted_at IS NULL)");
        }
        let sql = format!("SELECT {COLUMNS} FROM application {}", conditions.tail("id", &page));
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let found: Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(page.slice(found?))
    }
}
