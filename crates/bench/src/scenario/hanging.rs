//! A thousand endpoints that never answer, each in its own application, get 500 messages a second together; a healthy one
//! gets 500 a second, first alone, then beside them. It should not notice.
//!
//! A hundredth of the messages is few, and one stutter of a disk or a virtual machine is enough to make it: so the two are
//! measured several times in turn, each time on a fresh server, and the median of the pairs' ratios counts.

use crate::Outcome;
use crate::context::{Context, Subject, message_path};
use crate::load::Load;
use crate::measure::{self, Measured};
use crate::posthaste::Posthaste;
use crate::report::{Report, median};

const PER_SECOND: f64 = 500.0;
/// How often longer than the usual interval the two are measured together: the deadline of 15 s must pass meanwhile.
const LONGER: u32 = 3;
const P99_RATIO_MAX: f64 = 2.0;
const MEMORY_MIB_MAX: f64 = 400.0;
/// Numbers of the hanging messages, out of the way of the healthy ones'.
const FIRST_HANGING_NUMBER: u64 = 32 * 1024 * 1024;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let (mut ratios, mut peak_mib) = (Vec::new(), 0.0_f64);
    for _ in 0..context.options.pairs() {
        let (alone, beside) = pair(context).await?;
        report.row("hanging", "healthy alone", &alone);
        report.row("hanging", "healthy beside", &beside);
        ratios.push(beside.p99_ms / alone.p99_ms);
        peak_mib = peak_mib.max(beside.peak_mib);
    }
    let each = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect::<Vec<_>>().join(", ");
    let ratio = median(ratios.into_iter());
    let claim = format!("healthy p99 at most {P99_RATIO_MAX:.0} × its p99 alone");
    report.verdict("hanging", &claim, format!("{ratio:.2} × ({each})"), Some(ratio <= P99_RATIO_MAX));
    let claim = format!("memory at most {MEMORY_MIB_MAX:.0} MiB");
    report.verdict("hanging", &claim, format!("{peak_mib:.0} MiB"), Some(peak_mib <= MEMORY_MIB_MAX));
    Ok(())
}

/// The healthy endpoint alone, then beside the hanging ones, on a fresh server.
async fn pair(context: &Context) -> Outcome<(Measured, Measured)> {
    let (mut posthaste, mut healthy) = context.posthaste(1).await?;
    healthy.plan.per_second = Some(PER_SECOND);
    healthy.name = "alone".into();
    let alone = measure::run(context, &healthy, context.options.seconds() * LONGER).await?;
    let beside = beside(context, &posthaste, &mut healthy).await?;
    posthaste.kill().await;
    Ok((alone, beside))
}

async fn beside(context: &Context, posthaste: &Posthaste, healthy: &mut Subject) -> Outcome<Measured> {
    let mut bad = healthy.plan.clone();
    bad.first_number = FIRST_HANGING_NUMBER;
    bad.paths = hanging_applications(context, posthaste).await?;
    healthy.name = "beside".into();
    context.receiver.reset().await;
    let bad = Load::start(bad)?;
    let good = Load::start(healthy.plan.clone())?;
    let mut measured =
        measure::interval_of(context, healthy, &good, context.options.seconds() * LONGER).await?;
    let totals = good.finish();
    let bad = bad.finish();
    let drained = measure::wait_for_arrivals(context, totals.accepted).await?;
    measured.judge(&totals, totals.accepted, &drained);
    eprintln!("  {:10} {measured}", healthy.name);
    eprintln!("  {} accepted for the hanging, {} requests reached them", bad.accepted, drained.hanging);
    if bad.refused > 0 {
        eprintln!("  {} refused for the hanging, last: {}", bad.refused, bad.last_refusal);
    }
    Ok(measured)
}

async fn hanging_applications(context: &Context, posthaste: &Posthaste) -> Outcome<Vec<String>> {
    let mut paths = Vec::new();
    for number in 0..context.options.hanging() {
        let application = posthaste.application(&format!("hanging {number}")).await?;
        posthaste.endpoint(&application, &context.receiver.hanging(number)).await?;
        paths.push(message_path(&application));
    }
    Ok(paths)
}
