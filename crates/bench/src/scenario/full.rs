//! Full speed: 32 connections in a closed loop, 500-byte payloads, floor and Posthaste in turn. Medians count.

use crate::Outcome;
use crate::context::Context;
use crate::measure::{self, Measured};
use crate::report::{Report, median};

/// CPU of a delivery, as a multiple of the floor's.
const CPU_RATIO_MAX: f64 = 2.0;
/// Deliveries a second, as a share of the floor's.
const SPEED_RATIO_MIN: f64 = 0.5;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    compare(context, report, "full", 1, true).await
}

/// Floor and Posthaste in turn, each message to this many lanes. With `judged` the bars apply.
pub(crate) async fn compare(
    context: &Context,
    report: &mut Report,
    scenario: &str,
    copies: u8,
    judged: bool,
) -> Outcome<()> {
    let (mut floors, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..context.options.pairs() {
        let floor = measure_floor(context, copies).await?;
        report.row(scenario, "floor", &floor);
        floors.push(floor);
        if !context.options.floor_only {
            let one = measure_posthaste(context, copies).await?;
            report.row(scenario, "posthaste", &one);
            ours.push(one);
        }
    }
    if ours.is_empty() {
        return Ok(());
    }
    let cpu = ratio(&ours, &floors, |one| one.cpu_us_per_delivery);
    let drained = ratio(&ours, &floors, |one| one.cpu_us_per_delivery_drained);
    let speed = ratio(&ours, &floors, |one| one.deliveries_per_second);
    let pass = |held: bool| judged.then_some(held);
    let claim = format!("CPU per delivery at most {CPU_RATIO_MAX:.1} × floor");
    report.verdict(
        scenario,
        &claim,
        format!("{cpu:.2} × ({drained:.2} × once drained)"),
        pass(cpu <= CPU_RATIO_MAX),
    );
    let claim = format!("deliveries/s at least {:.0} % of the floor", SPEED_RATIO_MIN * 100.0);
    report.verdict(scenario, &claim, format!("{:.0} %", speed * 100.0), pass(speed >= SPEED_RATIO_MIN));
    Ok(())
}

async fn measure_floor(context: &Context, copies: u8) -> Outcome<Measured> {
    let (_process, subject) = context.floor(copies).await?;
    measure::run(context, &subject, context.options.seconds()).await
}

async fn measure_posthaste(context: &Context, copies: u8) -> Outcome<Measured> {
    let (mut posthaste, subject) = context.posthaste(copies).await?;
    let measured = measure::run(context, &subject, context.options.seconds()).await?;
    posthaste.stop().await;
    Ok(measured)
}

/// The median of the pairs' ratios: the two of a pair ran side by side, while the machine's speed drifts over minutes.
fn ratio(ours: &[Measured], floors: &[Measured], figure: impl Fn(&Measured) -> f64) -> f64 {
    median(ours.iter().zip(floors).map(|(ours, floor)| figure(ours) / figure(floor)))
}
