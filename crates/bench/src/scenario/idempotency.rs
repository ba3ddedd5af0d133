//! What the idempotency key costs that every SDK adds to every POST: full speed with it and without it, in turn.

use crate::Outcome;
use crate::context::Context;
use crate::measure;
use crate::report::{Report, median};

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..context.options.pairs() {
        for (keys, name, all) in [(true, "with key", &mut with), (false, "without key", &mut without)] {
            let (mut posthaste, mut subject) = context.posthaste(1).await?;
            subject.plan.keys = keys;
            subject.name = name.into();
            let measured = measure::run(context, &subject, context.options.seconds()).await?;
            posthaste.stop().await;
            report.row("idempotency", name, &measured);
            all.push(measured);
        }
    }
    let cpu = median(with.iter().map(|one| one.cpu_us_per_delivery_drained))
        - median(without.iter().map(|one| one.cpu_us_per_delivery_drained));
    let speed = median(with.iter().map(|one| one.deliveries_per_second))
        / median(without.iter().map(|one| one.deliveries_per_second));
    let found = format!("{cpu:+.1} µs CPU a delivery, {:.0} % of the speed", speed * 100.0);
    report.verdict("idempotency", "what a key costs", found, None);
    Ok(())
}
