//! Statistics on SQLite. There is one writer, so ids become visible in their order: what was read is whole, and nothing is waited for.

use super::Sqlite;
use super::row::collect;
use crate::error::Result;
use crate::statistics::{
    COLUMNS, Counting, Home, Hour, Key, Position, Statistics, Stepped, Whose, home, numbers, tally,
};
use async_trait::async_trait;
use domain::id::{AttemptId, MessageId};
use domain::statistics::{HOUR_MS, Tally, class_of};
use foldhash::HashMap;
use rusqlite::{Connection, OptionalExtension, params};

/// Rows that one step writes, more than a thousand applications have in an hour: they take some ten milliseconds of the writer's time.
const WRITTEN_MAX: usize = 2_500;

/// Homes that a step has looked up.
type Homes = HashMap<i64, Option<Home>>;

fn position(c: &Connection) -> Result<Position> {
    let sql = "SELECT message, attempt FROM statistics_position";
    let read = |row: &rusqlite::Row<'_>| Ok(Position { message: row.get(0)?, attempt: row.get(1)? });
    Ok(c.prepare_cached(sql)?.query_row([], read)?)
}

/// Counts messages after `last`; answers the last one that was looked at.
fn messages(c: &Connection, mut last: i64, rows_max: u32, counting: &mut Counting) -> Result<i64> {
    let mut statement =
        c.prepare_cached("SELECT id, application FROM message WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let mut homes = Homes::default();
    let mut rows = statement.query(params![last, rows_max])?;
    while counting.len() < WRITTEN_MAX
        && let Some(row) = rows.next()?
    {
        (last, counting.rows) = (row.get(0)?, counting.rows + 1);
        const HOME: &str = "SELECT key, environment, id FROM application WHERE key = ?1";
        if let Some(home) = home_of(c, (HOME, row.get(1)?), &mut homes)? {
            counting.messages(home, MessageId(last).timestamp().0.div_euclid(HOUR_MS), 1);
        }
    }
    Ok(last)
}

/// Counts attempts after `last`; answers the last one that was looked at.
fn attempts(c: &Connection, mut last: i64, rows_max: u32, counting: &mut Counting) -> Result<i64> {
    let mut statement = c.prepare_cached(
        "SELECT id, endpoint, disposition, duration_ms FROM attempt WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut homes = Homes::default();
    let mut rows = statement.query(params![last, rows_max])?;
    while counting.len() < WRITTEN_MAX
        && let Some(row) = rows.next()?
    {
        (last, counting.rows) = (row.get(0)?, counting.rows + 1);
        const HOME: &str =
            "SELECT application.key, application.environment, application.id
             FROM endpoint JOIN application ON application.key = endpoint.application WHERE endpoint.key = ?1";
        if let Some(home) = home_of(c, (HOME, row.get(1)?), &mut homes)? {
            let hour = AttemptId(last).timestamp().0.div_euclid(HOUR_MS);
            counting.attempts(home, hour, (row.get(2)?, class_of(row.get(3)?), 1));
        }
    }
    Ok(last)
}

/// Whose a row of the log is, looked up once a step.
fn home_of(c: &Connection, (sql, key): (&str, i64), homes: &mut Homes) -> Result<Option<Home>> {
    if let Some(known) = homes.get(&key) {
        return Ok(*known);
    }
    let read = |row: &rusqlite::Row<'_>| {
        Ok(home(row.get(0)?, row.get(1)?, row.get_ref(2)?.as_str().unwrap_or_default()))
    };
    let found = c.prepare_cached(sql)?.query_row([key], read).optional()?.flatten();
    homes.insert(key, found);
    Ok(found)
}

fn hour(c: &Connection, (application, environment, hour): Key) -> Result<Option<Tally>> {
    let sql =
        format!("SELECT {COLUMNS} FROM statistics WHERE application = ?1 AND environment = ?2 AND hour = ?3");
    let mut statement = c.prepare_cached(&sql)?;
    let mut rows = statement.query([application, environment, hour])?;
    rows.next()?.map(|row| read(row, 0)).transpose()
}

fn read(row: &rusqlite::Row<'_>, first: usize) -> Result<Tally> {
    let numbers = [row.get(first)?, row.get(first + 1)?, row.get(first + 2)?, row.get(first + 3)?];
    tally(numbers, row.get_ref(first + 4)?.as_str().unwrap_or("?"))
}

/// What a step would write: where it begins, where it ends, and the hours as they will be.
fn look(c: &Connection, rows_max: u32) -> Result<(Position, Position, Counting)> {
    let from = position(c)?;
    let mut counting = Counting::default();
    let message = messages(c, from.message, rows_max, &mut counting)?;
    let attempt = attempts(c, from.attempt, rows_max, &mut counting)?;
    for key in counting.keys() {
        if let Some(stored) = hour(c, key)? {
            counting.join(key, &stored);
        }
    }
    Ok((from, Position { message, attempt }, counting))
}

/// Writes a step; false when another one has moved the position. What is of an application that was deleted meanwhile is dropped.
fn write(c: &Connection, (from, to): (Position, Position), rows: Vec<(Key, Tally)>) -> Result<bool> {
    let moved = c
        .prepare_cached(
            "UPDATE statistics_position SET message = ?1, attempt = ?2 WHERE message = ?3 AND attempt = ?4",
        )?
        .execute([to.message, to.attempt, from.message, from.attempt])?;
    if moved == 0 {
        return Ok(false);
    }
    let sql = format!(
        "INSERT INTO statistics (application, environment, hour, {COLUMNS})
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8
         WHERE ?1 = 0 OR EXISTS (SELECT 1 FROM application WHERE key = ?1)
         ON CONFLICT (application, environment, hour) DO UPDATE SET
             accepted = excluded.accepted, delivered = excluded.delivered, failed = excluded.failed,
             given_up = excluded.given_up, durations = excluded.durations"
    );
    let mut statement = c.prepare_cached(&sql)?;
    for ((application, environment, hour), tally) in rows {
        let [accepted, delivered, failed, given_up] = numbers(&tally);
        let durations = tally.durations.to_text();
        statement.execute(params![
            application,
            environment,
            hour,
            accepted,
            delivered,
            failed,
            given_up,
            durations
        ])?;
    }
    Ok(true)
}

#[async_trait]
impl Statistics for Sqlite {
    async fn statistics_step(&self, rows_max: u32) -> Result<Stepped> {
        let (from, to, counting) = self.readers.read(move |c| look(c, rows_max)).await?;
        let rows = counting.rows;
        if rows == 0 {
            return Ok(Stepped::default());
        }
        let is_behind = rows >= rows_max.into() || counting.len() >= WRITTEN_MAX;
        let changed = counting.into_rows();
        let is_ours = self.writer.write(move |c, _| write(c, (from, to), changed), |_, _| {}).await?;
        Ok(Stepped { rows: if is_ours { rows } else { 0 }, is_behind })
    }

    async fn statistics(&self, whose: Whose, (first, last): (i64, i64)) -> Result<Vec<Hour>> {
        let list = move |c: &Connection| {
            let sql = format!(
                "SELECT hour, {COLUMNS} FROM statistics
                 WHERE application = ?1 AND environment = ?2 AND hour BETWEEN ?3 AND ?4 ORDER BY hour"
            );
            let mut statement = c.prepare_cached(&sql)?;
            let rows = statement.query([whose.application(), whose.environment.0, first, last])?;
            collect(rows, |row| Ok((row.get(0)?, read(row, 1)?)))
        };
        self.readers.read(list).await
    }
}
