//! The schema's versions. A landed migration is never edited.
//!
//! A migration leaves what the version before reads and writes as it was, so that in a rolling upgrade the old program
//! goes on beside the new one: a schema that is one version ahead is served, one that is further ahead is refused.

use super::partition::whole;
use crate::error::{Result, StoreError};
use std::time::Duration;
use tokio::time::sleep;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// All migrations, in order; the table `migration` has a row for each that was applied.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_init.sql"),
    include_str!("../../migrations/postgres/0002_copying.sql"),
    include_str!("../../migrations/postgres/0003_endpoint_options.sql"),
    include_str!("../../migrations/postgres/0004_failing.sql"),
    include_str!("../../migrations/postgres/0005_notices.sql"),
    include_str!("../../migrations/postgres/0006_console.sql"),
];
/// Indexes on tables that may be large by the time that a migration wants them: made beside nodes that run, which a migration's
/// transaction would hold up.
const INDEXES: &[(&str, &str)] = &[
    // Rule 16. Rows of before the endpoint was ordered have no place, and come first.
    ("delivery_ordered", "delivery (endpoint, position NULLS FIRST, message) WHERE state = 0 AND run = 0"),
    // What goes beside that order: resends and the like.
    ("delivery_again", "delivery (endpoint, due_at, message) WHERE state = 0 AND run > 0 AND lease IS NULL"),
];
/// One migration at a time in the whole store.
const LOCK: i64 = 0x706f_7374_0001;
/// One index at a time.
const INDEX_LOCK: i64 = 0x706f_7374_0005;
/// A migration waits so long for a table, then lets those pass who wait behind it, and tries again: a dump may hold it.
const LOCK_WAITS: &str = "1s";
const TRIES: u32 = 600;
const AGAIN_AFTER: Duration = Duration::from_millis(500);

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
        apply(client, number, sql).await?;
    }
    for (name, definition) in INDEXES {
        build(client, name, definition).await?;
    }
    Ok(MIGRATIONS.len().max(version))
}

/// Applies one, unless another node was faster.
async fn apply(client: &Client, number: usize, sql: &str) -> Result<()> {
    let mut tries = 0;
    loop {
        // Another node may have applied it while this one waited for the lock: then its row breaks the transaction.
        let applied = whole(
            client,
            &format!(
                "BEGIN; SET LOCAL statement_timeout = 0; SELECT pg_advisory_xact_lock({LOCK});
                 SET LOCAL lock_timeout = '{LOCK_WAITS}';
                 CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, applied_at timestamptz NOT NULL);
                 INSERT INTO migration VALUES ({number}, clock_timestamp());
                 {sql}
                 COMMIT;"
            ),
        )
        .await;
        let Err(error) = applied else { return Ok(()) };
        if version(client).await? >= number {
            return Ok(());
        }
        tries += 1;
        if !is_lock_timeout(&error) || tries >= TRIES {
            return Err(error);
        }
        if tries % 20 == 1 {
            tracing::warn!(
                number,
                "a migration waits for a table that somebody else holds (a dump?); trying again"
            );
        }
        sleep(AGAIN_AFTER).await;
    }
}

fn is_lock_timeout(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(why) if why.contains(SqlState::LOCK_NOT_AVAILABLE.code()))
}

/// Makes an index beside whoever uses the table; waits while another node makes it.
async fn build(client: &Client, name: &str, definition: &str) -> Result<()> {
    let look =
        "SELECT coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1::text)), false)";
    loop {
        if client.query_one(look, &[&name]).await?.get(0) {
            return Ok(());
        }
        // Not waited for in the database: what makes the index would wait for whoever waits there.
        let is_mine: bool = client.query_one("SELECT pg_try_advisory_lock($1)", &[&INDEX_LOCK]).await?.get(0);
        if !is_mine {
            sleep(AGAIN_AFTER).await;
            continue;
        }
        let made = async {
            // One that was cut short is there, and of no use.
            client.batch_execute(&format!("SET statement_timeout = 0; DROP INDEX IF EXISTS {name}")).await?;
            client.batch_execute(&format!("CREATE INDEX CONCURRENTLY {name} ON {definition}")).await
        };
        let made = made.await;
        client
            .batch_execute(&format!("RESET statement_timeout; SELECT pg_advisory_unlock({INDEX_LOCK})"))
            .await?;
        made?;
    }
}

async fn version(client: &Client) -> Result<usize> {
    let there: bool = client.query_one("SELECT to_regclass('migration') IS NOT NULL", &[]).await?.get(0);
    if !there {
        return Ok(0);
    }
    let row = client.query_one("SELECT coalesce(max(version), 0) FROM migration", &[]).await?;
    Ok(usize::try_from(row.get::<_, i32>(0)).unwrap_or(0))
}
