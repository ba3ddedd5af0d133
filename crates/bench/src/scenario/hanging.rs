//! A thousand endpoints that never answer, each in its own application, get 500 messages a second together; a healthy one
//! gets 500 a second, first alone, then beside them. It should not notice.
//!
//! A hundredth of the messages is few, and one stutter of a disk or a virtual machine is enough to make it: so both are
//! measured several times in turn, each time on a fresh server, and the median of the pairs' ratios counts. Between the two
//! stands a control, a thousand endpoints that answer at once: what the healthy one loses beside those is the load, not the
//! hanging.

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
/// Numbers of the others' messages, out of the way of the healthy ones'.
const FIRST_OTHER_NUMBER: u64 = 32 * 1024 * 1024;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let (mut by_load, mut by_hanging, mut peak_mib) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..context.options.pairs() {
        let [alone, answering, hanging] = in_turn(context).await?;
        report.row("hanging", "healthy alone", &alone);
        report.row("hanging", "beside answering", &answering);
        report.row("hanging", "beside hanging", &hanging);
        by_load.push(answering.p99_ms / alone.p99_ms);
        by_hanging.push(hanging.p99_ms / alone.p99_ms);
        peak_mib = peak_mib.max(hanging.peak_mib);
    }
    let ratio = median(by_hanging.iter().copied());
    let claim = format!("healthy p99 at most {P99_RATIO_MAX:.0} × its p99 alone");
    report.verdict("hanging", &claim, in_words(&by_hanging), Some(ratio <= P99_RATIO_MAX));
    let claim = "the same beside endpoints that answer at once";
    report.verdict("hanging", claim, in_words(&by_load), None);
    let claim = format!("memory at most {MEMORY_MIB_MAX:.0} MiB");
    report.verdict("hanging", &claim, format!("{peak_mib:.0} MiB"), Some(peak_mib <= MEMORY_MIB_MAX));
    Ok(())
}

fn in_words(ratios: &[f64]) -> String {
    let each: Vec<_> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    format!("{:.2} × ({})", median(ratios.iter().copied()), each.join(", "))
}

/// The healthy endpoint alone, beside answering and beside hanging ones, on a fresh server.
async fn in_turn(context: &Context) -> Outcome<[Measured; 3]> {
    let (mut posthaste, mut healthy) = context.posthaste(1).await?;
    healthy.plan.per_second = Some(PER_SECOND);
    healthy.name = "alone".into();
    let alone = measure::run(context, &healthy, context.options.seconds() * LONGER).await?;
    healthy.name = "answering".into();
    let paths = applications(context, &posthaste, |number| context.receiver.answering(number)).await?;
    let answering = beside(context, &healthy, paths).await?;
    healthy.name = "hanging".into();
    let paths = applications(context, &posthaste, |number| context.receiver.hanging(number)).await?;
    let hanging = beside(context, &healthy, paths).await?;
    posthaste.kill().await;
    Ok([alone, answering, hanging])
}

async fn beside(context: &Context, healthy: &Subject, others: Vec<String>) -> Outcome<Measured> {
    let mut plan = healthy.plan.clone();
    plan.first_number = FIRST_OTHER_NUMBER;
    plan.paths = others;
    context.receiver.reset().await;
    let others = Load::start(plan)?;
    let good = Load::start(healthy.plan.clone())?;
    let mut measured =
        measure::interval_of(context, healthy, &good, context.options.seconds() * LONGER).await?;
    let totals = good.finish();
    let others = others.finish();
    let drained = measure::wait_for_arrivals(context, totals.accepted).await?;
    measured.judge(&totals, totals.accepted, &drained);
    eprintln!("  {:10} {measured}", healthy.name);
    eprintln!("  {} accepted for the others, {} requests hang", others.accepted, drained.hanging);
    if others.refused > 0 {
        eprintln!("  {} refused for the others, last: {}", others.refused, others.last_refusal);
    }
    Ok(measured)
}

/// An application with one endpoint for each of the others; where to post for them.
async fn applications(
    context: &Context,
    posthaste: &Posthaste,
    url: impl Fn(u64) -> String,
) -> Outcome<Vec<String>> {
    let mut paths = Vec::new();
    for number in 0..context.options.hanging() {
        let application = posthaste.application(&format!("other {number}")).await?;
        posthaste.endpoint(&application, &url(number)).await?;
        paths.push(message_path(&application));
    }
    Ok(paths)
}
