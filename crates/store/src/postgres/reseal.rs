//! Sealing anew on PostgreSQL, beside nodes that run: a value is replaced only if it is still the one that was read.

use super::Postgres;
use crate::error::Result;
use crate::reseal::{Reseal, SEAL_CHECK_KEY, SEALED, STEP, Sealed};
use async_trait::async_trait;
use tokio_postgres::types::ToSql;

impl Postgres {
    /// Seals one value anew; 0 when it is under the current key, or was replaced meanwhile.
    async fn reseal_one(&self, what: Sealed, row: Option<&(dyn ToSql + Sync)>, sealed: &[u8]) -> Result<u64> {
        let Sealed { table, key, column, place } = what;
        let Some(fresh) = self.node.sealer.reseal(place, sealed)? else { return Ok(0) };
        match row {
            None => {
                let sql = format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2");
                self.readers.execute(&sql, &[&fresh, &sealed]).await
            }
            Some(row) => {
                let sql = format!("UPDATE {table} SET {column} = $1 WHERE {column} = $2 AND {key} = $3");
                self.readers.execute(&sql, &[&fresh, &sealed, row]).await
            }
        }
    }

    async fn reseal_by_number(&self, what: Sealed) -> Result<u64> {
        let Sealed { table, key, column, .. } = what;
        // Most rows have nothing sealed: a step ends after so many rows of the table, whatever they have.
        let end = format!(
            "SELECT max({key}) FROM (SELECT {key} FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT $2) AS step"
        );
        let sql = format!(
            "SELECT {key}, {column} FROM {table}
             WHERE {key} > $1 AND {key} <= $2 AND {column} IS NOT NULL AND {column} <> '' ORDER BY {key}"
        );
        let (mut all, mut from) = (0, i64::MIN);
        loop {
            let step = self.readers.row(&end, &[&from, &STEP]).await?;
            let Some(to) = step.and_then(|row| row.get::<_, Option<i64>>(0)) else { return Ok(all) };
            for row in &self.readers.rows(&sql, &[&from, &to]).await? {
                let number: i64 = row.get(0);
                all += self.reseal_one(what, Some(&number), row.get(1)).await?;
            }
            from = to;
        }
    }

    async fn reseal_by_hash(&self, what: Sealed) -> Result<u64> {
        let Sealed { table, key, column, .. } = what;
        let sql = format!("SELECT {key}, {column} FROM {table} WHERE {key} > $1 ORDER BY {key} LIMIT $2");
        let (mut all, mut last) = (0, Vec::<u8>::new());
        loop {
            let rows = self.readers.rows(&sql, &[&last, &STEP]).await?;
            let Some(end) = rows.last() else { return Ok(all) };
            last = end.get(0);
            for row in &rows {
                let hash: Vec<u8> = row.get(0);
                all += self.reseal_one(what, Some(&hash), row.get(1)).await?;
            }
        }
    }
}

#[async_trait]
impl Reseal for Postgres {
    async fn reseal(&self) -> Result<u64> {
        let mut all = 0;
        for what in SEALED {
            all += match what.key {
                SEAL_CHECK_KEY => {
                    let sql = format!("SELECT {} FROM {}", what.column, what.table);
                    let row = self.readers.row(&sql, &[]).await?;
                    match row.as_ref().and_then(|row| row.get::<_, Option<&[u8]>>(0)) {
                        Some(sealed) => self.reseal_one(what, None, sealed).await?,
                        None => 0,
                    }
                }
                "hash" => self.reseal_by_hash(what).await?,
                _ => self.reseal_by_number(what).await?,
            };
        }
        Ok(all)
    }

    fn wire_id_key(&self) -> [u8; 32] {
        self.node.wire_id_key()
    }
}
