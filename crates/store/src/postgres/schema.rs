//! The schema's versions. A landed migration is never edited.
//!
//! A migration leaves what the version before reads and writes as it was, so that in a rolling upgrade the old program
//! goes on beside the new one: a schema that is one version ahead is served, one that is further ahead is refused.

use super::partition::whole;
use crate::error::{Result, StoreError};
use tokio_postgres::Client;

/// All migrations, in order; the table `migration` has a row for each that was applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_init.sql"),
    include_str!("../../migrations/postgres/0002_copying.sql"),
    include_str!("../../migrations/postgres/0003_endpoint_options.sql"),
    include_str!("../../migrations/postgres/0004_settings.sql"),
];
/// One migration at a time in the whole store.
const LOCK: i64 = 0x706f_7374_0001;

/// Brings the schema up to date under an advisory lock, one transaction a migration. Answers its version.
pub(super) async fn migrate(client: &Client) -> Result<usize> {
    let version = version(client).await?;
    if version > MIGRATIONS.len() + 1 {
        return Err(StoreError::Broken(format!(
            "the database has schema {version}, this program knows schemas up to {}: start the newer program again",
            MIGRATIONS.len()
        )));
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let number = index + 1;
        // Another node may have applied it while this one waited for the lock: then its row breaks the transaction.
        let applied = whole(
            client,
            &format!(
                "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK});
                 CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, applied_at timestamptz NOT NULL);
                 INSERT INTO migration VALUES ({number}, clock_timestamp());
                 {sql}
                 COMMIT;"
            ),
        )
        .await;
        if let Err(error) = applied
            && self::version(client).await? < number
        {
            return Err(error);
        }
    }
    Ok(MIGRATIONS.len().max(version))
}

async fn version(client: &Client) -> Result<usize> {
    let there: bool = client.query_one("SELECT to_regclass('migration') IS NOT NULL", &[]).await?.get(0);
    if !there {
        return Ok(0);
    }
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM migration", &[]).await?;
    Ok(usize::try_from(row.get::<_, i32>(0)).unwrap_or(0))
}
