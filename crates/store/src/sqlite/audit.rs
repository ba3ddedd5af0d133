//! The audit log on SQLite.

use super::Sqlite;
use super::query::Conditions;
use super::row::collect;
use crate::audit::{AuditFilter, AuditOf, Audits, COLUMNS, Stored};
use crate::error::Result;
use async_trait::async_trait;
use domain::audit::{Entry, NewEntry};
use domain::page::{Page, Slice};
use domain::word::Worded;
use rusqlite::{Connection, Row, params, params_from_iter};

fn read(row: &Row<'_>) -> Result<Entry> {
    Stored {
        key: row.get(0)?,
        at: row.get(1)?,
        environment: row.get(2)?,
        application: row.get(3)?,
        place: row.get(4)?,
        actor: (row.get(5)?, row.get(6)?, row.get(7)?),
        address: row.get(8)?,
        action: row.get(9)?,
        subject: (row.get(10)?, row.get(11)?),
        before: row.get(12)?,
        after: row.get(13)?,
    }
    .read()
}

/// Writes an entry, in the transaction of what it tells of where there is one.
pub(super) fn add(c: &Connection, entry: &NewEntry) -> Result<()> {
    let stored = Stored::of(entry);
    c.prepare_cached(
        "INSERT INTO audit (at, environment, application, place, actor_kind, actor_id, actor_name, address, action,
                            subject_kind, subject_id, subject_name, before, after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        stored.at,
        stored.environment,
        stored.application,
        stored.place,
        stored.actor.0,
        stored.actor.1,
        stored.actor.2,
        stored.address,
        stored.action,
        entry.action.subject_kind(),
        stored.subject.0,
        stored.subject.1,
        stored.before,
        stored.after
    ])?;
    Ok(())
}

/// Drops entries of before then.
pub(super) fn prune(c: &Connection, end: i64, rows_max: u32) -> Result<u64> {
    let gone = c
        .prepare_cached(
            "DELETE FROM audit WHERE key IN (SELECT key FROM audit WHERE at < ?1 ORDER BY at LIMIT ?2)",
        )?
        .execute(params![end, rows_max])?;
    Ok(gone as u64)
}

#[async_trait]
impl Audits for Sqlite {
    async fn audit_add(&self, entry: NewEntry) -> Result<()> {
        self.writer.write(move |c, _| add(c, &entry), |_, ()| {}).await
    }

    async fn audit_list(&self, of: AuditOf, filter: AuditFilter, page: Page<i64>) -> Result<Slice<Entry>> {
        let list = move |c: &Connection| {
            let mut conditions = Conditions::default();
            match of {
                AuditOf::Application(key) => {
                    conditions.with("application = ?", key.0).bare("application <> 0")
                }
                AuditOf::Environment(key) => conditions.with("environment = ?", key.0),
            };
            conditions.page("key", &page);
            if let Some(actor) = filter.actor {
                conditions.with("? IN (actor_id, actor_name, actor_kind)", actor);
            }
            if let Some(action) = filter.action {
                conditions.with("action = ?", action.word().to_owned());
            }
            let here = conditions.tail("key", &page);
            let sql = match of {
                AuditOf::Application(_) => format!("SELECT {COLUMNS} FROM audit {here}"),
                // Each half walks its own part of the index, and ends with the page.
                AuditOf::Environment(_) => {
                    let everywhere = here.replacen("environment = ?1", "environment = 0", 1);
                    let (direction, items) =
                        (if page.walks_up() { "ASC" } else { "DESC" }, u32::from(page.items) + 1);
                    format!(
                        "SELECT * FROM (SELECT {COLUMNS} FROM audit {here})
                         UNION ALL SELECT * FROM (SELECT {COLUMNS} FROM audit {everywhere})
                         ORDER BY key {direction} LIMIT {items}"
                    )
                }
            };
            let mut statement = c.prepare_cached(&sql)?;
            Ok(page.slice(collect(statement.query(params_from_iter(&conditions.values))?, read)?))
        };
        self.readers.read(list).await
    }
}
