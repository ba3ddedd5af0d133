//! A steady rate (1,000 messages a second), far below what the machine can do: what a message waits for is then the commit.

use crate::context::Context;
use crate::report::{Report, median};
use crate::{Outcome, disk, measure};

/// The bar is the larger of this and [`SYNCS_MAX`] times what the disk needs.
const P99_MS_MAX: f64 = 10.0;
const SYNCS_MAX: f64 = 5.0;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let interval = context.options.seconds();
    let per_second = Some(f64::from(context.options.steady));
    let (_process, mut floor) = context.floor(1).await?;
    floor.plan.per_second = per_second;
    report.row("steady", "floor", &measure::run(context, &floor, interval).await?);
    if context.options.floor_only {
        return Ok(());
    }
    let (mut waits, mut syncs) = (Vec::new(), Vec::new());
    for _ in 0..context.options.pairs() {
        let (mut posthaste, mut subject) = context.posthaste(1).await?;
        subject.plan.per_second = per_second;
        syncs.push(disk::measure(&context.dir)?.p99_ms);
        let measured = measure::run(context, &subject, interval).await?;
        syncs.push(disk::measure(&context.dir)?.p99_ms);
        report.row("steady", "posthaste", &measured);
        waits.push(measured.p99_ms);
        posthaste.stop().await;
    }
    let (wait, sync) = (median(waits), median(syncs));
    let bar = P99_MS_MAX.max(SYNCS_MAX * sync);
    let claim = format!("p99 at most {bar:.1} ms (10 ms or 5 × fdatasync p99, {sync:.2} ms)");
    report.verdict("steady", &claim, format!("{wait:.2} ms"), Some(wait <= bar));
    Ok(())
}
