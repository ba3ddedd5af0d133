//! The schema's versions. A landed migration is never edited; a newer file is refused.

use crate::error::{Result, StoreError};
use rusqlite::{Connection, TransactionBehavior};

/// All migrations, in order; a file's `user_version` is how many it has had.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_init.sql"),
    include_str!("../../migrations/sqlite/0002_seal_check.sql"),
    include_str!("../../migrations/sqlite/0003_endpoint_options.sql"),
    include_str!("../../migrations/sqlite/0004_failing.sql"),
    include_str!("../../migrations/sqlite/0005_notices.sql"),
    include_str!("../../migrations/sqlite/0006_console.sql"),
];

/// Brings the file up to date, one transaction a migration.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = version as usize;
    if version > MIGRATIONS.len() {
        return Err(StoreError::Broken(format!(
            "the file has schema {version}, this program knows schemas up to {}: start the newer program again",
            MIGRATIONS.len()
        )));
    }
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(version) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(sql)?;
        transaction.pragma_update(None, "user_version", index as u32 + 1)?;
        transaction.commit()?;
    }
    Ok(())
}
