//! The prune loop: what is past its retention goes, a few rows at a time.

use domain::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use tokio_util::sync::CancellationToken;

/// Rows of each kind that one step drops: a step stays well under a millisecond or two of the writer's time.
const ROWS_MAX: u32 = 200;
/// Between steps while there is something to drop: up to 40,000 rows a second go, more than ever come.
const BUSY: Duration = Duration::from_millis(5);
/// Between looks when there is nothing.
const IDLE: Duration = Duration::from_secs(30);
/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// Runs until `stop`.
pub(crate) async fn run(
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention_days: u32,
    stop: CancellationToken,
) {
    loop {
        let now = clock.now();
        let horizon = now.plus_ms(-DAY_MS * i64::from(retention_days));
        let pause = match store.prune_step(horizon, now, ROWS_MAX).await {
            Ok(pruned) if pruned.is_idle() => IDLE,
            Ok(pruned) => {
                tracing::debug!(?pruned, "pruned");
                BUSY
            }
            Err(error) => {
                tracing::warn!(%error, "nothing could be pruned; trying again");
                IDLE
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
