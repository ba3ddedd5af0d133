//! A long history: two million attempts are stored, every hundredth of them failed, before the server starts. Full speed
//! must stay what it is on an empty store, and every list page must come soon.

use std::time::Instant;

use super::pages;
use crate::Outcome;
use crate::context::{Context, own};
use crate::load::Load;
use crate::measure;
use crate::posthaste::Posthaste;
use crate::report::{Report, median};

const SPEED_RATIO_MIN: f64 = 0.85;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let mut posthaste = context.bare_posthaste(&[]).await?;
    let application = posthaste.application("bench").await?;
    let endpoint = posthaste.endpoint(&application, &context.receiver.lane(0)).await?;
    fill(context, &mut posthaste, &application).await?;

    let mut ratios = Vec::new();
    for _ in 0..context.options.pairs() {
        let (mut fresh, subject) = context.posthaste(1).await?;
        let measured = measure::run(context, &subject, context.options.seconds()).await?;
        fresh.stop().await;
        report.row("history", "empty store", &measured);
        let empty_per_second = measured.deliveries_per_second;

        posthaste.resume(&[]).await?;
        let subject = context.subject(&posthaste, &application, 1)?;
        let measured = measure::run(context, &subject, context.options.seconds()).await?;
        report.row("history", "long history", &measured);
        ratios.push(measured.deliveries_per_second / empty_per_second);
        posthaste.stop().await;
    }
    let ratio = median(ratios);
    let claim = format!("full speed at least {:.0} % of that on an empty store", SPEED_RATIO_MIN * 100.0);
    report.verdict("history", &claim, format!("{:.0} %", ratio * 100.0), Some(ratio >= SPEED_RATIO_MIN));

    posthaste.resume(&[]).await?;
    pages::measure(&posthaste, &application, &endpoint, report).await?;
    posthaste.stop().await;
    Ok(())
}

/// Stores the history at full speed, without retries, and stops the server.
async fn fill(context: &Context, posthaste: &mut Posthaste, application: &str) -> Outcome<()> {
    posthaste.stop().await;
    posthaste.resume(&own(&[("POSTHASTE_RETRY_SCHEDULE", "")])).await?;
    context.receiver.mode("some-fail").await;
    context.receiver.reset().await;
    let mut plan = context.subject(posthaste, application, 1)?.plan;
    plan.messages_max = context.options.history();
    let begin = Instant::now();
    let load = Load::start(plan)?;
    measure::wait_until_sent(&load).await?;
    let accepted = load.finish().accepted;
    let refused = context.receiver.report().await?.refused;
    let arrived =
        measure::wait_for_arrivals(context, accepted.saturating_sub(accepted.div_ceil(100))).await?;
    eprintln!(
        "  {accepted} stored in {:.1?}: {} succeeded, {refused} failed",
        begin.elapsed(),
        arrived.distinct
    );
    context.receiver.mode("ok").await;
    posthaste.stop().await;
    Ok(())
}
