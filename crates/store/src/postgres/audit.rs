//! The audit log on PostgreSQL.

use super::Postgres;
use super::query::Conditions;
use crate::audit::{AuditFilter, AuditOf, Audits, COLUMNS, Stored};
use crate::error::Result;
use async_trait::async_trait;
use domain::audit::{Entry, NewEntry};
use domain::page::{Page, Slice};
use domain::word::Worded;
use tokio_postgres::{Client, Row};

fn read(row: &Row) -> Result<Entry> {
    Stored {
        key: row.get(0),
        at: row.get(1),
        environment: row.get(2),
        application: row.get(3),
        place: row.get(4),
        actor: (row.get(5), row.get(6), row.get(7)),
        address: row.get(8),
        action: row.get(9),
        subject: (row.get(10), row.get(11)),
        before: row.get(12),
        after: row.get(13),
    }
    .read()
}

/// Writes entries that come as JSON, beside what they tell of. `$n` is the parameter, `from` a table of the statement that has a
/// row if that was done.
pub(super) fn entered_with(parameter: usize, from: &str) -> String {
    format!(
        ", entered AS (
             INSERT INTO audit (at, environment, application, place, actor_kind, actor_id, actor_name, address, action,
                                subject_kind, subject_id, subject_name, before, after)
             SELECT asked.* FROM {from}, json_to_recordset(${parameter}::text::json) AS asked (
                 at bigint, environment bigint, application bigint, place text, actor_kind text, actor_id text, actor_name text,
                 address text, action text, subject_kind text, subject_id text, subject_name text, before text, after text))"
    )
}

/// Entries as JSON, for [`entered_with`]. PostgreSQL's texts hold no NUL.
pub(super) fn as_json(entries: &[NewEntry]) -> String {
    let one = |entry: &NewEntry| {
        let stored = Stored::of(entry);
        let text = |text: String| text.replace('\0', "\u{fffd}");
        // In JSON of JSON a NUL is an escape of an escape: it stays one.
        serde_json::json!({
            "at": stored.at,
            "environment": stored.environment,
            "application": stored.application,
            "place": text(stored.place),
            "actor_kind": stored.actor.0,
            "actor_id": text(stored.actor.1),
            "actor_name": text(stored.actor.2),
            "address": text(stored.address),
            "action": stored.action,
            "subject_kind": entry.action.subject_kind(),
            "subject_id": text(stored.subject.0),
            "subject_name": text(stored.subject.1),
            "before": stored.before,
            "after": stored.after,
        })
    };
    serde_json::Value::Array(entries.iter().map(one).collect()).to_string()
}

/// Drops entries of before then.
pub(super) async fn prune(client: &Client, end: i64, rows_max: u32) -> Result<u64> {
    let gone = client
        .execute(
            "DELETE FROM audit WHERE key IN (
                 SELECT key FROM audit WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)",
            &[&end, &i64::from(rows_max)],
        )
        .await?;
    Ok(gone)
}

#[async_trait]
impl Audits for Postgres {
    async fn audit_add(&self, entry: NewEntry) -> Result<()> {
        let sql =
            format!("WITH one AS (SELECT 0::bigint AS key){} SELECT key FROM one", entered_with(1, "one"));
        self.readers.execute(&sql, &[&as_json(&[entry])]).await.map(|_| ())
    }

    async fn audit_list(&self, of: AuditOf, filter: AuditFilter, page: Page<i64>) -> Result<Slice<Entry>> {
        let mut conditions = Conditions::default();
        match of {
            AuditOf::Application(key) => conditions.with("application = ?", key.0).bare("application <> 0"),
            AuditOf::Environment(key) => conditions.with("environment = ?", key.0),
        };
        conditions.page("key", &page);
        if let Some(actor) = filter.actor {
            conditions.with("? IN (actor_id, actor_name, actor_kind)", actor);
        }
        if let Some(action) = filter.action {
            conditions.with("action = ?", action.word());
        }
        let here = conditions.tail("key", &page);
        let sql = match of {
            AuditOf::Application(_) => format!("SELECT {COLUMNS} FROM audit {here}"),
            // Each half walks its own part of the index, and ends with the page. The last parameter is how many it has.
            AuditOf::Environment(_) => {
                let everywhere = here.replacen("environment = $1", "environment = 0", 1);
                let direction = if page.walks_up() { "ASC" } else { "DESC" };
                let items = conditions.parameters().len();
                format!(
                    "SELECT * FROM ((SELECT {COLUMNS} FROM audit {here}) UNION ALL (SELECT {COLUMNS} FROM audit {everywhere})) AS both_halves
                     ORDER BY key {direction} LIMIT ${items}"
                )
            }
        };
        let rows = self.readers.rows(&sql, &conditions.parameters()).await?;
        let found: Result<Vec<_>> = rows.iter().map(read).collect();
        Ok(page.slice(found?))
    }
}
