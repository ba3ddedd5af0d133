//! The encryption key is noticed when it is another one, also while nothing else is sealed; and the key of the wire ids is kept,
//! which stays when the encryption key is replaced.

use crate::error::{Result, StoreError};
use crate::seal::{CHECK, CHECK_PLACE, IDS_PLACE, Sealer};
use tokio_postgres::Client;

/// Opens the value that the first node sealed, or seals one when there is none; answers the key of the wire ids, which the
/// first node to ask has written.
pub(super) async fn check(client: &Client, sealer: &Sealer) -> Result<[u8; 32]> {
    let ours = sealer.seal(CHECK_PLACE, CHECK)?;
    client
        .execute("INSERT INTO seal_check (sealed_value) VALUES ($1) ON CONFLICT DO NOTHING", &[&ours])
        .await?;
    let row =
        client.query_opt("SELECT sealed_value FROM seal_check", &[]).await?.ok_or(StoreError::NotFound)?;
    sealer.open(CHECK_PLACE, row.get(0))?;
    let ids = sealer.seal(IDS_PLACE, &sealer.first_wire_id_key(row.get(0)))?;
    client.execute("UPDATE seal_check SET sealed_ids = $1 WHERE sealed_ids IS NULL", &[&ids]).await?;
    let row = client.query_one("SELECT sealed_ids FROM seal_check", &[]).await?;
    sealer.open_ids(row.get(0))
}
