//! Applications on SQLite.

use super::Sqlite;
use super::query::{Conditions, json};
use super::row::collect;
use crate::application::{ApplicationFilter, Applications, ChangeApplication};
use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::application::{Application, ApplicationFields};
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::page::{Page, Slice};
use rusqlite::{Connection, Row, params};

const COLUMNS: &str =
    "application.key, application.environment, application.id, application.uid, application.name,
     application.throttle_rate, application.metadata, application.created_at, application.updated_at";

fn read(row: &Row<'_>) -> Result<Application> {
    Ok(Application {
        key: ApplicationKey(row.get(0)?),
        environment: EnvironmentKey(row.get(1)?),
        id: row.get(2)?,
        fields: ApplicationFields {
            uid: row.get(3)?,
            name: row.get(4)?,
            throttle_rate: row.get(5)?,
            metadata: json(&row.get::<_, String>(6)?)?,
        },
        created_at: Timestamp(row.get(7)?),
        updated_at: Timestamp(row.get(8)?),
    })
}

pub(super) fn load_all(connection: &Connection) -> Result<Vec<Application>> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM application"))?;
    collect(statement.query([])?, read)
}

fn get(connection: &Connection, key: ApplicationKey) -> Result<Application> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM application WHERE key = ?1"))?;
    statement.query([key.0])?.next()?.map_or(Err(StoreError::NotFound), read)
}

/// A broken uniqueness of `uid` means that another has it.
pub(super) fn taken(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Taken("uid"),
        _ => error.into(),
    }
}

/// All but that of operational webhooks, whose id begins otherwise.
const LISTED: &str = "id < 'app`'";

#[async_trait]
impl Applications for Sqlite {
    async fn application_create(
        &self,
        environment: EnvironmentKey,
        id: String,
        fields: ApplicationFields,
    ) -> Result<Application> {
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, _| {
                    c.prepare_cached(
                        "INSERT INTO application (environment, id, uid, name, throttle_rate, metadata, created_at, updated_at)
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                    )?
                    .execute(params![
                        environment.0,
                        id,
                        fields.uid,
                        fields.name,
                        fields.throttle_rate,
                        serde_json::to_string(&fields.metadata).unwrap_or_default(),
                        now.0
                    ])
                    .map_err(taken)?;
                    get(c, ApplicationKey(c.last_insert_rowid()))
                },
                |memory, application| memory.shared.routing.put_application(application.clone()),
            )
            .await
    }

    async fn application_update(
        &self,
        key: ApplicationKey,
        mut change: ChangeApplication,
    ) -> Result<Application> {
        let now = self.clock.0.now();
        self.writer
            .write(
                move |c, _| {
                    let fields = change(&get(c, key)?);
                    c.prepare_cached(
                        "UPDATE application SET uid = ?2, name = ?3, throttle_rate = ?4, metadata = ?5, updated_at = ?6
                         WHERE key = ?1",
                    )?
                    .execute(params![
                        key.0,
                        fields.uid,
                        fields.name,
                        fields.throttle_rate,
                        serde_json::to_string(&fields.metadata).unwrap_or_default(),
                        now.0
                    ])
                    .map_err(taken)?;
                    get(c, key)
                },
                |memory, application| memory.shared.routing.put_application(application.clone()),
            )
            .await
    }

    async fn application_delete(&self, key: ApplicationKey) -> Result<()> {
        let now = self.clock.0.now();
        let endpoints: Vec<_> = self.shared.routing.routes(key).iter().map(|r| r.endpoint.key).collect();
        self.writer
            .write(
                move |c, _| {
                    c.prepare_cached("DELETE FROM endpoint WHERE application = ?1")?.execute([key.0])?;
                    for table in
                        ["notify", "push_subscription", "unsubscribed", "membership", "portal", "statistics"]
                    {
                        c.prepare_cached(&format!("DELETE FROM {table} WHERE application = ?1"))?
                            .execute([key.0])?;
                    }
                    c.prepare_cached(
                        "UPDATE api_key SET revoked_at = ?2 WHERE application = ?1 AND revoked_at IS NULL",
                    )?
                    .execute(params![key.0, now.0])?;
                    let gone =
                        c.prepare_cached("DELETE FROM application WHERE key = ?1")?.execute([key.0])?;
                    if gone == 0 { Err(StoreError::NotFound) } else { Ok(()) }
                },
                move |memory, ()| {
                    memory.shared.routing.remove_application(key);
                    endpoints.into_iter().for_each(|endpoint| memory.shared.wakes.note(endpoint, now));
                },
            )
            .await
    }

    async fn application_find(&self, environment: EnvironmentKey, id: &str) -> Result<Application> {
        let found = self.shared.routing.application(environment, id);
        found.map(|application| (*application).clone()).ok_or(StoreError::NotFound)
    }

    async fn application_list(
        &self,
        environment: EnvironmentKey,
        filter: ApplicationFilter,
        page: Page<String>,
    ) -> Result<Slice<Application>> {
        self.readers
            .read(move |c| {
                let mut conditions = Conditions::default();
                conditions.with("environment = ?", environment.0).bare(LISTED).page("id", &page);
                if filter.with_endpoints {
                    conditions.bare("EXISTS (SELECT 1 FROM endpoint WHERE endpoint.application = application.key AND endpoint.deleted_at IS NULL)");
                }
                if filter.without_disabled_endpoints {
                    conditions.bare(
                        "NOT EXISTS (SELECT 1 FROM endpoint WHERE endpoint.application = application.key AND disabled AND deleted_at IS NULL)",
                    );
                }
                let sql = format!("SELECT {COLUMNS} FROM application {}", conditions.tail("id", &page));
                let mut statement = c.prepare_cached(&sql)?;
                let rows = statement.query(rusqlite::params_from_iter(&conditions.values))?;
                Ok(page.slice(collect(rows, read)?))
            })
            .await
    }
}
