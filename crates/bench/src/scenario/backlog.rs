//! A backlog: the endpoint does not answer while a million messages are accepted, the server is killed, the endpoint
//! comes back, the server starts again. How soon does it deliver, how fast does it drain, how much memory does it take?

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::clock::monotonic_ns;
use crate::context::{Context, Subject};
use crate::load::Load;
use crate::measure;
use crate::posthaste::Posthaste;
use crate::report::Report;

const FIRST_DELIVERY_SECONDS_MAX: f64 = 3.0;
const DRAIN_RATIO_MIN: f64 = 0.7;
const MEMORY_MIB_MAX: f64 = 400.0;
/// The few attempts that are made in vain are tried again soon and never given up, so that all must arrive.
const RETRIES: (&str, &str) = ("POSTHASTE_RETRY_SCHEDULE", "5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5,5");
/// The drain's speed is taken until this share has arrived: the rest waits for its retries.
const DRAINED_SHARE: f64 = 0.95;
const POLL: Duration = Duration::from_millis(100);
const STILL_TIMEOUT: Duration = Duration::from_secs(60);

struct Drain {
    first_delivery_seconds: f64,
    per_second: f64,
    peak_mib: f64,
}

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    let full = {
        let (mut posthaste, subject) = context.posthaste(1).await?;
        let full = measure::run(context, &subject, context.options.seconds()).await?;
        posthaste.stop().await;
        full
    };
    report.row("backlog", "full speed", &full);

    let mut posthaste = context.bare_posthaste(&[RETRIES]).await?;
    let application = posthaste.application("bench").await?;
    posthaste.endpoint(&application, &context.receiver.lane(0)).await?;
    let subject = context.subject(&posthaste, &application, 1)?;
    let (accepted, peak_before) = prepare(context, &subject).await?;
    posthaste.kill().await;

    context.receiver.mode("ok").await;
    context.receiver.reset().await;
    let drain = drain(context, &mut posthaste, accepted).await?;
    let arrived = measure::wait_for_arrivals(context, accepted).await?;
    posthaste.stop().await;
    judge(report, full.deliveries_per_second, &drain, peak_before);
    let missing = accepted.saturating_sub(arrived.distinct);
    let again = arrived.arrivals - arrived.distinct;
    let found = format!("{missing} missing of {accepted}, {again} delivered again");
    report.verdict("backlog", "everything accepted arrives", found, Some(missing == 0));
    Ok(())
}

/// Accepts the backlog while the receiver leaves every request hanging.
async fn prepare(context: &Context, subject: &Subject) -> Outcome<(u64, f64)> {
    context.receiver.mode("hang").await;
    context.receiver.reset().await;
    let mut plan = subject.plan.clone();
    plan.messages_max = context.options.backlog();
    let begin = Instant::now();
    let load = Load::start(plan)?;
    measure::wait_until_sent(&load).await?;
    let totals = load.finish();
    let peak = measure::peak_mib(subject.pids[0])?;
    let refused = context.receiver.report().await?.refused;
    eprintln!(
        "  accepted {} in {:.1?}, {refused} tried in vain, {peak:.0} MiB",
        totals.accepted,
        begin.elapsed()
    );
    if totals.refused > 0 {
        eprintln!("  {} refused, last: {}", totals.refused, totals.last_refusal);
    }
    Ok((totals.accepted, peak))
}

async fn drain(context: &Context, posthaste: &mut Posthaste, accepted: u64) -> Outcome<Drain> {
    let begin_ns = monotonic_ns();
    let ready = posthaste.resume(&[]).await?;
    let wanted = (accepted as f64 * DRAINED_SHARE) as u64;
    let (mut arrived, mut last_progress) = (context.receiver.report().await?, Instant::now());
    while arrived.distinct < wanted && last_progress.elapsed() < STILL_TIMEOUT {
        tokio::time::sleep(POLL).await;
        let now = context.receiver.report().await?;
        if now.distinct > arrived.distinct {
            last_progress = Instant::now();
        }
        arrived = now;
    }
    let now_ns = monotonic_ns();
    if arrived.distinct == 0 {
        return Err("nothing was delivered after the start".into());
    }
    let drain = Drain {
        first_delivery_seconds: arrived.first_arrival_ns.saturating_sub(begin_ns) as f64 / 1e9,
        per_second: arrived.distinct as f64 * 1e9
            / now_ns.saturating_sub(arrived.first_arrival_ns).max(1) as f64,
        peak_mib: measure::peak_mib(posthaste.pid()?)?,
    };
    eprintln!(
        "  ready after {ready:.2?}, first delivery after {:.2} s, drained at {:.0}/s, {:.0} MiB",
        drain.first_delivery_seconds, drain.per_second, drain.peak_mib
    );
    Ok(drain)
}

fn judge(report: &mut Report, full_per_second: f64, drain: &Drain, peak_before: f64) {
    let claim = format!(
        "first delivery at most {FIRST_DELIVERY_SECONDS_MAX:.0} s after the start that follows kill -9"
    );
    let seconds = drain.first_delivery_seconds;
    report.verdict("backlog", &claim, format!("{seconds:.2} s"), Some(seconds <= FIRST_DELIVERY_SECONDS_MAX));
    let claim = format!("drains at no less than {:.0} % of full speed", DRAIN_RATIO_MIN * 100.0);
    let ratio = drain.per_second / full_per_second;
    let found = format!("{:.0} % ({:.0}/s of {full_per_second:.0}/s)", ratio * 100.0, drain.per_second);
    report.verdict("backlog", &claim, found, Some(ratio >= DRAIN_RATIO_MIN));
    let claim = format!("memory at most {MEMORY_MIB_MAX:.0} MiB");
    let found = format!("{peak_before:.0} MiB accepting, {:.0} MiB draining", drain.peak_mib);
    report.verdict("backlog", &claim, found, Some(peak_before.max(drain.peak_mib) <= MEMORY_MIB_MAX));
}
