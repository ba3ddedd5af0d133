//! Sealing anew on SQLite: some values a transaction, between the writer's other commands.

use super::Sqlite;
use super::row::collect;
use crate::error::Result;
use crate::reseal::{Reseal, SEAL_CHECK_KEY, SEALED, STEP, Sealed};
use crate::seal::Sealer;
use async_trait::async_trait;
use rusqlite::{Connection, params};

/// Reads on after `last`; answers the last row that was read, and how many values were sealed anew.
fn step(connection: &Connection, sealer: &Sealer, what: Sealed, last: i64) -> Result<(Option<i64>, u64)> {
    let Sealed { table, column, place, .. } = what;
    let sql = format!(
        "SELECT rowid, {column} FROM {table} WHERE rowid > ?1 AND length({column}) > 0 ORDER BY rowid LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows: Vec<(i64, Vec<u8>)> =
        collect(statement.query([last, STEP])?, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut anew = 0;
    for (row, sealed) in &rows {
        if let Some(fresh) = sealer.reseal(place, sealed)? {
            connection
                .prepare_cached(&format!("UPDATE {table} SET {column} = ?2 WHERE rowid = ?1"))?
                .execute(params![row, fresh])?;
            anew += 1;
        }
    }
    Ok((rows.last().map(|(row, _)| *row), anew))
}

/// The same for a table without row ids: as many as there are, for answers are kept half a day.
fn whole(connection: &Connection, sealer: &Sealer, what: Sealed) -> Result<u64> {
    let Sealed { table, key, column, place } = what;
    let mut statement = connection.prepare_cached(&format!("SELECT {key}, {column} FROM {table}"))?;
    let rows: Vec<(Vec<u8>, Vec<u8>)> = collect(statement.query([])?, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut anew = 0;
    for (row, sealed) in rows {
        if let Some(fresh) = sealer.reseal(place, &sealed)? {
            connection
                .prepare_cached(&format!("UPDATE {table} SET {column} = ?2 WHERE {key} = ?1"))?
                .execute(params![row, fresh])?;
            anew += 1;
        }
    }
    Ok(anew)
}

#[async_trait]
impl Reseal for Sqlite {
    async fn reseal(&self) -> Result<u64> {
        let mut all = 0;
        for what in SEALED {
            if what.table == "replay" {
                all += self.writer.write(move |c, memory| whole(c, &memory.sealer, what), |_, _| {}).await?;
                continue;
            }
            debug_assert!(what.key != SEAL_CHECK_KEY || what.table == "seal_check", "one row");
            let mut last = i64::MIN;
            loop {
                let (row, anew) = self
                    .writer
                    .write(move |c, memory| step(c, &memory.sealer, what, last), |_, _| {})
                    .await?;
                all += anew;
                let Some(row) = row else { break };
                last = row;
            }
        }
        Ok(all)
    }

    fn wire_id_key(&self) -> [u8; 32] {
        self.wire_id_key
    }
}
