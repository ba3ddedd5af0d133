//! The file that is copied: its rows as PostgreSQL's COPY takes them.

use super::lock::FileLock;
use super::{connect, lease, load_routing, schema, seal_check};
use crate::copy::{Chunk, Options, Partition, Steps, Table};
use crate::error::{Result, StoreError};
use crate::routing::Routing;
use crate::seal::Sealer;
use crate::wake::Wakes;
use aws_lc_rs::rand;
use domain::id::{EPOCH_MS, IDS_PER_MS};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use std::io::Write;
use std::path::Path;

/// Bytes of one step (8 MiB): the row that passes the limit is the last one.
const STEP_BYTES: usize = 8 << 20;

/// The file, locked.
pub(crate) struct Source {
    connection: Connection,
    wire_id_key: [u8; 32],
    mark: i64,
    retention_days: u32,
    step_rows: u32,
    _lock: FileLock,
}

impl Source {
    /// Locks the file. Unless it carries a copy's mark still, what its last process left undone becomes rows, and it gets one.
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self> {
        if !path.exists() {
            return Err(StoreError::Unavailable(format!("{} is not there", path.display())));
        }
        let lock = FileLock::take(path)?;
        let mut connection = connect(lock.path(), None)?;
        schema::migrate(&mut connection)?;
        let sealer = Sealer::new(&options.encryption_key, &options.old_encryption_keys);
        // Everything sealed opens with this key, before the key is written down where none was.
        load_routing(&connection, &Routing::default(), &sealer)?;
        let wire_id_key = seal_check::check(&connection, &sealer)?;
        let mark = match mark(&connection)? {
            Some(mark) => mark,
            None => {
                lease::acquire(&mut connection, options.now, &Wakes::default())?;
                let mark = i64::from_be_bytes(random()?) | MARKED;
                connection.execute("UPDATE lease SET node = ?1", [mark])?;
                mark
            }
        };
        let Options { retention_days, step_rows, .. } = *options;
        Ok(Self { connection, wire_id_key, mark, retention_days, step_rows, _lock: lock })
    }

    /// The key of the wire ids, which stay what they are.
    pub(crate) const fn wire_id_key(&self) -> &[u8; 32] {
        &self.wire_id_key
    }

    /// What the file carries since a copy of it began. It stands in the place of its lease's node, so that the next server, which
    /// takes a lease of its own, wipes it away.
    pub(crate) const fn mark(&self) -> i64 {
        self.mark
    }

    /// The rows of a table.
    pub(crate) fn count(&self, table: &Table) -> Result<u64> {
        let sql = format!("SELECT count(*) FROM ({})", self.select(table));
        Ok(self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The rows after a position.
    pub(crate) fn count_after(&self, table: &Table, position: i64) -> Result<u64> {
        if table.steps == Steps::ByCount {
            return Ok(self.count(table)?.saturating_sub(position.unsigned_abs()));
        }
        let sql = format!("SELECT count(*) FROM ({}) WHERE {} > ?1", self.select(table), id_of(table));
        Ok(self.connection.query_row(&sql, [position], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// The next rows after a position; none at the end.
    pub(crate) fn chunk(&self, table: &Table, position: i64) -> Result<Chunk> {
        let (select, id, limit) = (self.select(table), id_of(table), self.step_rows);
        let sql = match table.steps {
            Steps::ById => format!("{select} AND {id} > ?1 ORDER BY {id} LIMIT {limit}"),
            Steps::ByCount => format!("{select} ORDER BY {} LIMIT {limit} OFFSET ?1", key_of(table)),
        };
        let mut statement = self.connection.prepare_cached(&sql)?;
        let id = statement.column_index(id).ok();
        let columns = statement.column_count();
        let mut rows = statement.query([position])?;
        let mut chunk = Chunk { position, ..Chunk::default() };
        while chunk.text.len() < STEP_BYTES
            && let Some(row) = rows.next()?
        {
            chunk.rows += 1;
            chunk.position = match (table.steps, id) {
                (Steps::ById, Some(id)) => row.get(id)?,
                _ => chunk.position + 1,
            };
            if table.partition != Partition::None {
                let first: i64 = row.get(0)?;
                if chunk.firsts.last() != Some(&first) {
                    chunk.firsts.push(first);
                }
            }
            write_row(&mut chunk.text, row, columns)?;
        }
        Ok(chunk)
    }

    /// The highest keys that were ever given: they are not given again.
    pub(crate) fn sequences(&self) -> Result<Vec<(&'static str, i64)>> {
        let highest = |table: &'static str| {
            let given: Option<i64> = self
                .connection
                .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0))
                .optional()?;
            let there: i64 = self.connection.query_row(
                &format!("SELECT coalesce(max(key), 0) FROM {table}"),
                [],
                |row| row.get(0),
            )?;
            Ok((table, given.unwrap_or(0).max(there)))
        };
        ["environment", "application", "endpoint", "notice", "letter", "push_subscription", "users", "audit"]
            .into_iter()
            .map(highest)
            .collect()
    }

    /// The rows of a table with the target's columns; ends with a condition.
    fn select(&self, table: &Table) -> String {
        match table.name {
            // JSON arrays of numbers are arrays there.
            "message" => format!(
                "SELECT id, application, 0 AS lease, event_type, event_id, channels, tags,
                        '{{' || substr(endpoints, 2, length(endpoints) - 2) || '}}' AS endpoints,
                        {} AS payload_day, coalesce(length(payload), 0) AS payload_bytes, payload_expires_at, deliver_at,
                        sealed_overrides, key_hash
                 FROM message WHERE true",
                self.payload_day()
            ),
            "payload" => format!(
                "SELECT {} AS day, id AS message, payload AS bytes FROM message WHERE payload IS NOT NULL",
                self.payload_day()
            ),
            name => {
                // Everything that is configured has the first version there.
                let columns = table.columns.strip_suffix("version").map_or_else(
                    || table.columns.to_owned(),
                    |columns| format!("{columns} 1 AS version"),
                );
                format!("SELECT {columns} FROM {name} WHERE true")
            }
        }
    }

    /// The day on which a payload goes: the one on which it expires, or that on which its message does.
    fn payload_day(&self) -> String {
        const DAY_MS: i64 = 86_400_000;
        format!(
            "coalesce(payload_expires_at / {DAY_MS}, (id / {IDS_PER_MS} + {EPOCH_MS}) / {DAY_MS} + {})",
            i64::from(self.retention_days) + 1
        )
    }
}

/// A mark has this bit, no node has.
const MARKED: i64 = 1 << 62;

fn mark(connection: &Connection) -> Result<Option<i64>> {
    let sql = "SELECT node FROM lease WHERE node & ?1 <> 0";
    Ok(connection.query_row(sql, [MARKED], |row| row.get(0)).optional()?)
}

fn random() -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    rand::fill(&mut bytes).map_err(|_| StoreError::Broken("the system gave no randomness".into()))?;
    Ok(bytes)
}

/// The column with the id, as it is called in the selection.
fn id_of(table: &Table) -> &'static str {
    if table.name == "payload" { "message" } else { "id" }
}

/// The columns of the primary key.
fn key_of(table: &Table) -> &'static str {
    match table.name {
        "environment" | "application" | "endpoint" | "notice" | "letter" | "push_subscription" | "users"
        | "audit" => "key",
        "recipient" => "channel, recipient",
        "notify" => "application",
        "unsubscribed" => "application, recipient",
        "membership" => "user_key, application",
        "browser" | "ticket" | "portal" => "sha256",
        "identity" => "issuer, subject",
        "failing" => "endpoint",
        "event_type" => "environment, name",
        "statistics" => "application, environment, hour",
        "statistics_position" => "one",
        "delivery" => "endpoint, message, run",
        "message_key" => "application, kind, key",
        "replay" => "hash",
        _ => "id",
    }
}

/// Writes a row in the text format of COPY.
fn write_row(out: &mut Vec<u8>, row: &Row<'_>, columns: usize) -> Result<()> {
    for column in 0..columns {
        if column > 0 {
            out.push(b'\t');
        }
        match row.get_ref(column)? {
            ValueRef::Null => out.extend(br"\N"),
            ValueRef::Integer(number) => _ = write!(out, "{number}"),
            ValueRef::Real(number) => _ = write!(out, "{number}"),
            ValueRef::Text(text) => write_text(out, text),
            ValueRef::Blob(bytes) => {
                out.extend(br"\\x");
                out.extend(hex::encode(bytes).as_bytes());
            }
        }
    }
    out.push(b'\n');
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'\\' => out.extend(br"\\"),
            b'\t' => out.extend(br"\t"),
            b'\n' => out.extend(br"\n"),
            b'\r' => out.extend(br"\r"),
            other => out.push(*other),
        }
    }
}
