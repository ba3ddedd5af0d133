//! Statistics on PostgreSQL. Ids become visible out of their order: a step reads what no lease can add anything below any more, and
//! leaves the last seconds alone.

use super::Postgres;
use super::readers::Lent;
use crate::error::Result;
use crate::statistics::{
    COLUMNS, Counting, Hour, Position, Statistics, Stepped, Whose, home, numbers, tally,
};
use async_trait::async_trait;
use domain::id::{EPOCH_MS, IDS_PER_MS, floor_of};
use domain::statistics::{DURATION_BOUNDS, HOUR_MS, Tally};
use tokio_postgres::Row;

/// Messages, and first attempts with them, lie above their lease's checkpoint until they are confirmed (PROTOCOL rule 6). What it does
/// not cover are attempts of claimed rows: their statement ends within 15 s, or its attempts are sent again (rule 8). In milliseconds.
const SETTLED_MS: i64 = 20_000;

/// Up to where the log is settled: the lowest checkpoint, or so long ago. Without a lease, nothing.
const SETTLED: &str = "least((SELECT min(checkpoint) FROM lease), $2::bigint)";

/// How a group of rows is read: how many, the last id, and the application, unless it is gone.
const GROUP: &str =
    "counted.hour, counted.rows, counted.last, application.key, application.environment, application.id";

fn hour_of_id() -> String {
    format!("(id / {IDS_PER_MS} + {EPOCH_MS}) / {HOUR_MS}")
}

/// Counts messages after `last`; answers the last one that was looked at.
async fn messages(lent: &Lent, range: (i64, i64, i64), counting: &mut Counting) -> Result<i64> {
    let sql = format!(
        "WITH few AS MATERIALIZED (
             SELECT id, application FROM message WHERE id > $1 AND id <= {SETTLED} ORDER BY id LIMIT $3),
         counted AS (
             SELECT application, {} AS hour, count(*) AS rows, max(id) AS last FROM few GROUP BY 1, 2)
         SELECT {GROUP} FROM counted
         LEFT JOIN application ON application.key = counted.application AND application.deleted_at IS NULL",
        hour_of_id()
    );
    let rows = lent.rows(&sql, &[&range.0, &range.1, &range.2]).await?;
    let mut last = range.0;
    for row in &rows {
        let (hour, count) = looked(row, &mut last, counting);
        if let Some(home) = home_of(row) {
            counting.messages(home, hour, count);
        }
    }
    Ok(last)
}

/// Counts attempts after `last`; answers the last one that was looked at.
async fn attempts(lent: &Lent, range: (i64, i64, i64), counting: &mut Counting) -> Result<i64> {
    let sql = format!(
        "WITH few AS MATERIALIZED (
             SELECT id, endpoint, disposition, duration_ms FROM attempt
             WHERE id > $1 AND id <= {SETTLED} ORDER BY id LIMIT $3),
         counted AS (
             SELECT endpoint, {} AS hour, disposition,
                    CASE WHEN disposition = 0 THEN width_bucket(duration_ms, $4::bigint[]) ELSE 0 END AS class,
                    count(*) AS rows, max(id) AS last
             FROM few GROUP BY 1, 2, 3, 4)
         SELECT {GROUP}, counted.disposition::bigint, counted.class FROM counted
         LEFT JOIN endpoint ON endpoint.key = counted.endpoint
         LEFT JOIN application ON application.key = endpoint.application AND application.deleted_at IS NULL",
        hour_of_id()
    );
    let bounds = DURATION_BOUNDS.map(i64::from);
    let rows = lent.rows(&sql, &[&range.0, &range.1, &range.2, &&bounds[..]]).await?;
    let mut last = range.0;
    for row in &rows {
        let (hour, count) = looked(row, &mut last, counting);
        if let Some(home) = home_of(row) {
            let class = usize::try_from(row.get::<_, i32>(7)).unwrap_or_default();
            counting.attempts(home, hour, (row.get(6), class, count));
        }
    }
    Ok(last)
}

/// The hour of a group, and how many rows it has.
fn looked(row: &Row, last: &mut i64, counting: &mut Counting) -> (i64, u64) {
    let count = row.get::<_, i64>(1).unsigned_abs();
    counting.rows += count;
    *last = row.get::<_, i64>(2).max(*last);
    (row.get(0), count)
}

fn home_of(row: &Row) -> Option<(i64, i64)> {
    home(row.get::<_, Option<i64>>(3)?, row.get(4), row.get(5))
}

fn read(row: &Row, first: usize) -> Result<Tally> {
    let number = |index| row.get::<_, i64>(first + index);
    tally([number(0), number(1), number(2), number(3)], row.get(first + 4))
}

/// Adds what is stored already.
async fn join_stored(lent: &Lent, counting: &mut Counting) -> Result<()> {
    let keys = counting.keys();
    let part = |of: fn(&(i64, i64, i64)) -> i64| keys.iter().map(of).collect::<Vec<_>>();
    let sql = format!(
        "SELECT application, environment, hour, {COLUMNS} FROM statistics
         JOIN unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS wanted (application, environment, hour)
         USING (application, environment, hour)"
    );
    let values: [&Vec<i64>; 3] = [&part(|key| key.0), &part(|key| key.1), &part(|key| key.2)];
    for row in lent.rows(&sql, &[values[0], values[1], values[2]]).await? {
        counting.join((row.get(0), row.get(1), row.get(2)), &read(&row, 3)?);
    }
    Ok(())
}

/// Writes a step in one statement; false when another one has moved the position. It may have done so since this one read: then the
/// statement waits for its row, looks at it again, and writes nothing.
async fn write(lent: &Lent, (from, to): (Position, Position), counting: Counting) -> Result<bool> {
    let rows = counting.into_rows();
    let keys = |of: fn(&(i64, i64, i64)) -> i64| rows.iter().map(|(key, _)| of(key)).collect::<Vec<_>>();
    let counts = |index: usize| rows.iter().map(|(_, tally)| numbers(tally)[index]).collect::<Vec<_>>();
    let durations: Vec<_> = rows.iter().map(|(_, tally)| tally.durations.to_text()).collect();
    let sql = format!(
        "WITH moved AS (
             UPDATE statistics_position SET message = $1, attempt = $2 WHERE message = $3 AND attempt = $4 RETURNING one),
         written AS (
             INSERT INTO statistics (application, environment, hour, {COLUMNS})
             SELECT hours.* FROM moved, unnest($5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                                               $10::bigint[], $11::bigint[], $12::text[])
                                        AS hours (application, environment, hour, {COLUMNS})
             WHERE hours.application = 0
                OR EXISTS (SELECT FROM application WHERE key = hours.application AND deleted_at IS NULL)
             ON CONFLICT (application, environment, hour) DO UPDATE SET
                 accepted = excluded.accepted, delivered = excluded.delivered, failed = excluded.failed,
                 given_up = excluded.given_up, durations = excluded.durations)
         SELECT count(*) FROM moved"
    );
    let parameters: &[super::readers::Parameter<'_>] = &[
        &to.message,
        &to.attempt,
        &from.message,
        &from.attempt,
        &keys(|key| key.0),
        &keys(|key| key.1),
        &keys(|key| key.2),
        &counts(0),
        &counts(1),
        &counts(2),
        &counts(3),
        &durations,
    ];
    let moved = lent.rows(&sql, parameters).await?;
    Ok(moved.first().is_some_and(|row| row.get::<_, i64>(0) > 0))
}

#[async_trait]
impl Statistics for Postgres {
    async fn statistics_step(&self, rows_max: u32) -> Result<Stepped> {
        let lent = self.readers.lend().await?;
        // The position is read first: what a step that is made meanwhile writes is of no harm then.
        let rows = lent.rows("SELECT message, attempt FROM statistics_position", &[]).await?;
        let Some(row) = rows.first() else { return Ok(Stepped::default()) };
        let from = Position { message: row.get(0), attempt: row.get(1) };
        let settled = floor_of(self.node.now().plus_ms(-SETTLED_MS)) - 1;
        let mut counting = Counting::default();
        let message = messages(&lent, (from.message, settled, rows_max.into()), &mut counting).await?;
        let attempt = attempts(&lent, (from.attempt, settled, rows_max.into()), &mut counting).await?;
        let rows = counting.rows;
        if rows == 0 {
            return Ok(Stepped::default());
        }
        join_stored(&lent, &mut counting).await?;
        let is_ours = write(&lent, (from, Position { message, attempt }), counting).await?;
        Ok(Stepped { rows: if is_ours { rows } else { 0 }, is_behind: rows >= rows_max.into() })
    }

    async fn statistics(&self, whose: Whose, (first, last): (i64, i64)) -> Result<Vec<Hour>> {
        let sql = format!(
            "SELECT hour, {COLUMNS} FROM statistics
             WHERE application = $1 AND environment = $2 AND hour BETWEEN $3 AND $4 ORDER BY hour"
        );
        let rows =
            self.readers.rows(&sql, &[&whose.application(), &whose.environment.0, &first, &last]).await?;
        rows.iter().map(|row| Ok((row.get(0), read(row, 1)?))).collect()
    }
}
