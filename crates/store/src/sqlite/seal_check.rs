//! The encryption key is noticed when it is another one, also while nothing else is sealed: the ids of messages hang
//! on it too.

use crate::error::Result;
use crate::seal::{CHECK, CHECK_PLACE, Sealer};
use rusqlite::{Connection, OptionalExtension};

/// Opens the value that was sealed when the file was made; seals one when there is none.
pub(super) fn check(connection: &Connection, sealer: &Sealer) -> Result<()> {
    let sealed: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sealed_value FROM seal_check WHERE key = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    if let Some(sealed) = sealed {
        return sealer.open(CHECK_PLACE, &sealed).map(drop);
    }
    connection
        .prepare_cached("INSERT INTO seal_check (key, sealed_value) VALUES (1, ?1)")?
        .execute([sealer.seal(CHECK_PLACE, CHECK)?])?;
    Ok(())
}
