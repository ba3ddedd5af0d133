//! Copying: everything that a SQLite store holds goes to an empty PostgreSQL database.
//!
//! What is copied, in which order and in which steps stands here; how a table is read and written is each engine's. A step is
//! one transaction that also notes how far it came, so that a copy which was cut short goes on where it ended. The file is
//! locked meanwhile, and carries a mark that the next server which opens it wipes away: then the copy begins anew.

use crate::error::{Result, StoreError};
use crate::postgres::copy::Target;
use crate::sqlite::copy::Source;
use domain::clock::Timestamp;
use std::ops::ControlFlow;
use std::path::Path;

/// How a store is copied.
pub struct Options {
    /// The key with which the source's secrets are sealed. It stays the same: the wire ids hang on it.
    pub encryption_key: Vec<u8>,
    /// Keys that it had before, newest first.
    pub old_encryption_keys: Vec<Vec<u8>>,
    /// The present.
    pub now: Timestamp,
    /// Days that messages are kept on the target.
    pub retention_days: u32,
    /// Rows of one step at most: [`STEP_ROWS`].
    pub step_rows: u32,
}

/// Rows of one step: small enough that little is done twice, large enough that notes of how far it came cost nothing.
pub const STEP_ROWS: u32 = 20_000;

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Options(…)")
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The table that is being copied.
    pub table: &'static str,
    /// Rows of all tables that have been copied.
    pub done: u64,
    /// Rows of all tables.
    pub total: u64,
}

/// How a table is cut into steps, and what a step's position is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// The position is the highest id that was copied.
    ById,
    /// The position is how many rows were copied, in the order of the table's key.
    ByCount,
}

/// What the rows of a table need to have a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    /// One table.
    None,
    /// The first column is an id: its day's partition of the log.
    Id,
    /// The first column is a day: its partition of payloads.
    Day,
}

/// A table that is copied. Its columns have the same names in both engines.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static str,
    pub(crate) steps: Steps,
    pub(crate) partition: Partition,
}

const fn table(name: &'static str, columns: &'static str) -> Table {
    Table { name, columns, steps: Steps::ByCount, partition: Partition::None }
}

/// All tables, each after what it refers to.
pub(crate) const TABLES: [Table; 28] = [
    table("environment", "key, id, signature_headers, created_at, settings, version"),
    table(
        "application",
        "key, environment, id, uid, name, throttle_rate, metadata, created_at, updated_at, version",
    ),
    table(
        "endpoint",
        "key, application, id, uid, url, description, metadata, disabled, disabled_reason, disabled_at, \
         disabled_answer, paused, event_types, channels, \
         throttle_rate, options, sealed_headers, sealed_secrets, sealed_credentials, created_at, updated_at, deleted_at, version",
    ),
    table(
        "event_type",
        "environment, name, description, archived, deprecated, schemas, group_name, feature_flags, created_at, updated_at, \
         retries, version",
    ),
    table(
        "api_key",
        "id, environment, application, role, name, prefix, sha256, created_at, revoked_at, used_at",
    ),
    Table {
        name: "message",
        columns: "id, application, lease, event_type, event_id, channels, tags, endpoints, payload_day, payload_bytes, \
                  payload_expires_at, deliver_at, sealed_overrides, key_hash",
        steps: Steps::ById,
        partition: Partition::Id,
    },
    Table { name: "payload", columns: "day, message, bytes", steps: Steps::ById, partition: Partition::Day },
    Table {
        name: "attempt",
        columns: "id, message, endpoint, run, number, trigger, outcome, disposition, started_at, duration_ms, status, url, \
                  response",
        steps: Steps::ById,
        partition: Partition::Id,
    },
    table("delivery", "endpoint, message, run, state, due_at, attempts, trigger"),
    table("failing", "endpoint, since, after_attempt, count, count_since, row_count, row_since, last"),
    table(
        "task",
        "id, environment, application, endpoint, kind, plan, status, position, looked, queued, error, created_at, updated_at",
    ),
    table("statistics", "application, environment, hour, accepted, delivered, failed, given_up, durations"),
    // Ids stay what they are, so counting goes on where it was.
    table("statistics_position", "one, message, attempt"),
    table("notice", "key, application, endpoint, kind, episode, subject, at, is_for_people, facts, told"),
    table("letter", "key, notice, channel, recipient, sealed_to, state, written_at, error"),
    table("recipient", "channel, recipient, next_at, waiting, tries, error"),
    table("notify", "application, sealed_value"),
    table("push_subscription", "key, id, application, sealed_value, created_at"),
    table("unsubscribed", "application, recipient"),
    table("users", "key, id, email, name, password, sealed_totp, totp_step, created_at"),
    table("membership", "user_key, application, role"),
    table("portal", "sha256, application, capabilities, feature_flags, session_id, expires_at"),
    table("browser", "sha256, user_key, created_at, seen_at, ends_at, address, agent"),
    table("ticket", "sha256, user_key, purpose, expires_at"),
    table(
        "audit",
        "key, at, environment, application, place, actor_kind, actor_id, actor_name, address, action, subject_kind, \
         subject_id, subject_name, before, after",
    ),
    table("identity", "issuer, subject, user_key, created_at"),
    table("message_key", "application, kind, key, message, body_hash, expires_at"),
    table("replay", "hash, body_hash, status, sealed_body, expires_at"),
];

/// What a copy was begun with. It goes on only where all of it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// The mark in the file.
    pub(crate) mark: i64,
    /// Days that messages are kept: where payloads without a time of their own lie hangs on it.
    pub(crate) retention_days: i64,
}

/// What a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing.
    Nothing,
    /// A part of a copy.
    Part(Begun),
    /// The whole copy of the file with this mark, and perhaps what came later.
    Whole(i64),
}

/// Rows of one step, in the text format of PostgreSQL's COPY.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) text: Vec<u8>,
    pub(crate) rows: u64,
    /// The position after it.
    pub(crate) position: i64,
    /// What partitions its rows need: the first columns' ids or days, in order.
    pub(crate) firsts: Vec<i64>,
}

/// Copies everything from the file to the database, which must be empty or hold a copy of the same file that was cut short.
/// Answers each table with its rows, counted on both sides. `progress` hears of every step and can end the copy.
///
/// # Errors
/// `Unavailable` when the file is not there or a server has it open, the database does not answer, or `progress` ended it: the
/// same copy can go on later. `Broken` when that does not help: the database holds something else (or all of it already), the
/// key is not the file's, or the counts differ.
pub async fn copy(
    source: &Path,
    target: &str,
    options: &Options,
    progress: &mut (dyn FnMut(Progress) -> ControlFlow<()> + Send),
) -> Result<Vec<(&'static str, u64)>> {
    let mut target = Target::open(target).await?;
    let held = target.held().await?;
    let source = Source::open(source, options)?;
    if held == Held::Whole(source.mark()) {
        return Err(StoreError::Broken(
            "this file is copied into this database already: start nodes on it".into(),
        ));
    }
    let begun = Begun { mark: source.mark(), retention_days: i64::from(options.retention_days) };
    if held != Held::Part(begun) {
        target.begin(begun, (options, source.wire_id_key())).await?;
    }
    let (mut counts, mut positions, mut left) = (Vec::new(), Vec::new(), 0);
    for table in &TABLES {
        let position = target.position(table).await?;
        left += source.count_after(table, position)?;
        positions.push(position);
        counts.push((table.name, source.count(table)?));
    }
    let total: u64 = counts.iter().map(|(_, rows)| rows).sum();
    for (table, mut position) in TABLES.iter().zip(positions) {
        loop {
            if progress(Progress { table: table.name, done: total.saturating_sub(left), total }).is_break() {
                return Err(StoreError::Unavailable("the copy was ended before it was complete".into()));
            }
            let mut chunk = source.chunk(table, position)?;
            if chunk.rows == 0 {
                break;
            }
            target.put(table, &mut chunk).await?;
            (position, left) = (chunk.position, left.saturating_sub(chunk.rows));
        }
    }
    for (name, rows) in &counts {
        let there = target.count(name).await?;
        if there != *rows {
            return Err(StoreError::Broken(format!(
                "{name} has {rows} rows in the file and {there} in the database"
            )));
        }
    }
    target.finish(&source.sequences()?, begun.mark).await?;
    Ok(counts)
}
