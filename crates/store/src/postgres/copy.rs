//! The database that a file is copied to: step by step, each with a note of how far it came.

use super::connection::{Purpose, connect, parse};
use super::partition::{Partitions, day_of_id};
use super::{schema, seal_check};
use crate::copy::{Begun, Chunk, Held, Options, Partition, TABLES, Table};
use crate::error::{Result, StoreError};
use crate::seal::{IDS_PLACE, Sealer};
use bytes::Bytes;
use futures_util::SinkExt;
use std::pin::pin;
use tokio_postgres::Client;
use tokio_util::task::TaskTracker;

/// The step that holds the file's mark while a copy is under way: no node starts then.
const SOURCE: &str = "source";
/// The step that holds the retention with which a copy began.
const RETENTION: &str = "retention";
/// The step that holds the file's mark once its copy is whole.
const WHOLE: &str = "whole";
/// One copy at a time into a database.
const LOCK: i64 = 0x706f_7374_0004;

/// The database, locked against other copies. While there is a step, no node starts on it.
pub(crate) struct Target {
    client: Client,
    partitions: Partitions,
}

impl Target {
    /// Connects and brings the schema up to date.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let client = connect(&parse(url)?, Purpose::Other, &TaskTracker::new(), None).await?;
        schema::migrate(&client).await?;
        client
            .batch_execute("SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0")
            .await?;
        let alone: bool =
            client.query_one(&format!("SELECT pg_try_advisory_lock({LOCK})"), &[]).await?.get(0);
        if !alone {
            return Err(StoreError::Unavailable("another copy into this database is under way".into()));
        }
        Ok(Self { client, partitions: Partitions::default() })
    }

    /// What the database holds; an error when that is something else.
    pub(crate) async fn held(&self) -> Result<Held> {
        if let Some(mark) = self.step(SOURCE).await? {
            let retention_days = self.step(RETENTION).await?.unwrap_or_default();
            return Ok(Held::Part(Begun { mark, retention_days }));
        }
        if let Some(mark) = self.step(WHOLE).await? {
            return Ok(Held::Whole(mark));
        }
        let sql = "SELECT EXISTS (SELECT FROM environment) OR EXISTS (SELECT FROM message) OR EXISTS (SELECT FROM lease)";
        if self.client.query_one(sql, &[]).await?.get(0) { Err(holds_something()) } else { Ok(Held::Nothing) }
    }

    async fn step(&self, name: &str) -> Result<Option<i64>> {
        Ok(self.client.query_opt(POSITION, &[&name]).await?.map(|step| step.get(0)))
    }

    /// Begins a copy anew. The key is known to be the file's. What is there goes only if it is a copy's; and nodes, which take
    /// their lease under the same lock, find that one has begun.
    pub(crate) async fn begin(
        &self,
        begun: Begun,
        (options, wire_id_key): (&Options, &[u8; 32]),
    ) -> Result<()> {
        let sealer = Sealer::new(&options.encryption_key, &options.old_encryption_keys);
        seal_check::check(&self.client, &sealer).await?;
        let ids = sealer.seal(IDS_PLACE, wire_id_key)?;
        self.client.execute("UPDATE seal_check SET sealed_ids = $1", &[&ids]).await?;
        let names: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
        let (Begun { mark, retention_days }, tables) = (begun, names.join(", "));
        let sql = format!(
            "BEGIN; LOCK TABLE lease, environment, copying IN ACCESS EXCLUSIVE MODE;
             DO $$ BEGIN
                 IF EXISTS (SELECT FROM lease) OR EXISTS (SELECT FROM copying WHERE step = '{WHOLE}')
                    OR EXISTS (SELECT FROM environment) AND NOT EXISTS (SELECT FROM copying) THEN
                     RAISE EXCEPTION USING ERRCODE = '{NOT_EMPTY}', MESSAGE = 'not empty';
                 END IF;
             END $$;
             TRUNCATE {tables}, copying;
             INSERT INTO copying VALUES ('{SOURCE}', {mark}), ('{RETENTION}', {retention_days});
             COMMIT;"
        );
        let begun = self.client.batch_execute(&sql).await;
        begun.map_err(|error| {
            if error.code().is_some_and(|code| code.code() == NOT_EMPTY) {
                holds_something()
            } else {
                error.into()
            }
        })
    }

    /// The position of the last step of a table.
    pub(crate) async fn position(&self, table: &Table) -> Result<i64> {
        Ok(self.step(table.name).await?.unwrap_or_default())
    }

    /// Writes a step, whose text it takes: all of it and its note, or nothing.
    pub(crate) async fn put(&mut self, table: &Table, chunk: &mut Chunk) -> Result<()> {
        let firsts = &chunk.firsts;
        match table.partition {
            Partition::None => {}
            Partition::Id => {
                let days: Vec<i64> = firsts.iter().map(|id| day_of_id(*id)).collect();
                self.partitions.ensure(&self.client, &days, &[]).await?;
            }
            Partition::Day => self.partitions.ensure(&self.client, &[], firsts).await?,
        }
        let transaction = self.client.transaction().await?;
        let sql = format!("COPY {} ({}) FROM STDIN", table.name, table.columns);
        let mut rows = pin!(transaction.copy_in::<_, Bytes>(&sql).await?);
        rows.send(Bytes::from(std::mem::take(&mut chunk.text))).await?;
        let written = rows.finish().await?;
        if written != chunk.rows {
            let (name, sent) = (table.name, chunk.rows);
            return Err(StoreError::Broken(format!("{name}: {sent} rows were sent and {written} written")));
        }
        let note = "INSERT INTO copying VALUES ($1, $2) ON CONFLICT (step) DO UPDATE SET position = excluded.position";
        transaction.execute(note, &[&table.name, &chunk.position]).await?;
        Ok(transaction.commit().await?)
    }

    /// The rows of a table.
    pub(crate) async fn count(&self, name: &str) -> Result<u64> {
        let row = self.client.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// Ends a copy: from now on nodes may start. Keys go on above the highest that were given, and every node reads what is
    /// configured.
    pub(crate) async fn finish(&mut self, sequences: &[(&'static str, i64)], mark: i64) -> Result<()> {
        self.client.batch_execute("ANALYZE").await?;
        let transaction = self.client.transaction().await?;
        for (table, highest) in sequences {
            let sql =
                format!("SELECT setval(pg_get_serial_sequence('{table}', 'key'), greatest($1::bigint, 1))");
            transaction.execute(&sql, &[highest]).await?;
        }
        transaction.execute("UPDATE configuration SET version = greatest(version, 1)", &[]).await?;
        transaction.execute("DELETE FROM copying", &[]).await?;
        transaction.execute("INSERT INTO copying VALUES ($1, $2)", &[&WHOLE, &mark]).await?;
        Ok(transaction.commit().await?)
    }
}

/// What `begin` raises where something is that no copy brought: a code of our own.
const NOT_EMPTY: &str = "PH001";

fn holds_something() -> StoreError {
    StoreError::Broken(
        "the database holds something already: a copy needs an empty one (`CREATE DATABASE …`)".into(),
    )
}

const POSITION: &str = "SELECT position FROM copying WHERE step = $1";

/// Refuses a database into which a copy has begun and not ended.
pub(super) async fn check_whole(client: &Client) -> Result<()> {
    match client.query_opt(POSITION, &[&SOURCE]).await? {
        None => Ok(()),
        Some(_) => Err(StoreError::Broken(
            "a copy into this database has begun and is not finished: run `posthaste copy` again, it goes on where it ended; or \
             give the nodes another database"
                .into(),
        )),
    }
}
