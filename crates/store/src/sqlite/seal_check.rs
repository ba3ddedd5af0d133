//! The encryption key is noticed when it is another one, also while nothing else is sealed; and the key of the wire ids is kept,
//! which stays when the encryption key is replaced.

use crate::error::Result;
use crate::seal::{CHECK, CHECK_PLACE, IDS_PLACE, Sealer};
use rusqlite::{Connection, OptionalExtension};

/// Opens the value that was sealed when the file was made, or seals one when there is none; answers the key of the wire ids.
pub(super) fn check(connection: &Connection, sealer: &Sealer) -> Result<[u8; 32]> {
    let sealed: Option<(Vec<u8>, Option<Vec<u8>>)> = connection
        .prepare_cached("SELECT sealed_value, sealed_ids FROM seal_check WHERE key = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match sealed {
        Some((value, ids)) => {
            sealer.open(CHECK_PLACE, &value)?;
            if let Some(ids) = ids {
                return sealer.open_ids(&ids);
            }
            let key = sealer.first_wire_id_key(Some(&value));
            let ids = sealer.seal(IDS_PLACE, &key)?;
            connection
                .prepare_cached("UPDATE seal_check SET sealed_ids = ?1 WHERE key = 1")?
                .execute([ids])?;
            Ok(key)
        }
        None => {
            let key = sealer.first_wire_id_key(None);
            let ids = sealer.seal(IDS_PLACE, &key)?;
            connection
                .prepare_cached("INSERT INTO seal_check (key, sealed_value, sealed_ids) VALUES (1, ?1, ?2)")?
                .execute([sealer.seal(CHECK_PLACE, CHECK)?, ids])?;
            Ok(key)
        }
    }
}
