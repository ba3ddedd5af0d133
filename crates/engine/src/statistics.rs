//! Statistics: what the log gained is counted every ten seconds, away from the path of messages (docs/decisions/0016).

use domain::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use store::statistics::Stepped;
use store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

/// Messages, and attempts, that one step counts: a step takes some ten milliseconds of a reading connection.
const ROWS_MAX: u32 = 10_000;
/// Between two steps while there is more: at most 100,000 of each a second, several times what comes.
const BUSY: Duration = Duration::from_millis(100);
/// Between two ticks, by the store's clock, in milliseconds.
const EVERY_MS: i64 = 10_000;
/// Between two looks at that clock.
const IDLE: Duration = Duration::from_millis(500);

/// Runs until `stop`.
pub(crate) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut counted_at = None;
    loop {
        let now = clock.now();
        // Also when the clock was set back.
        let is_due = counted_at.is_none_or(|before| !(0..EVERY_MS).contains(&now.since(before)));
        let mut pause = IDLE;
        if is_due {
            match tick(&store).await {
                Ok(stepped) if stepped.is_behind => pause = BUSY,
                Ok(_) => counted_at = Some(now),
                Err(error) => {
                    tracing::debug!(%error, "statistics stand still; trying again");
                    counted_at = Some(now);
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// One step.
async fn tick(store: &Arc<dyn Store>) -> Result<Stepped, StoreError> {
    store.statistics_step(ROWS_MAX).await
}
