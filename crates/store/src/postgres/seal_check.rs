//! The encryption key is noticed when it is another one, also while nothing else is sealed: the ids of messages hang
//! on it too.

use crate::error::{Result, StoreError};
use crate::seal::{CHECK, CHECK_PLACE, Sealer};
use tokio_postgres::Client;

/// Opens the value that the first node sealed; seals one when there is none.
pub(super) async fn check(client: &Client, sealer: &Sealer) -> Result<()> {
    let ours = sealer.seal(CHECK_PLACE, CHECK)?;
    client
        .execute("INSERT INTO seal_check (sealed_value) VALUES ($1) ON CONFLICT DO NOTHING", &[&ours])
        .await?;
    let row =
        client.query_opt("SELECT sealed_value FROM seal_check", &[]).await?.ok_or(StoreError::NotFound)?;
    sealer.open(CHECK_PLACE, row.get(0)).map(drop)
}
