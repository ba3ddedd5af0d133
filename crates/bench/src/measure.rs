//! One measurement: load a subject, let it warm up, take two samples with the measured interval between them, stop the
//! load, wait until everything that was accepted has arrived.

use std::time::{Duration, Instant};

use serde::Serialize;
use testkit::{cpu_time, cpu_time_of_tree, reset_rss_peak, rss_peak};

use crate::Outcome;
use crate::context::{Context, Subject};
use crate::histogram::Histogram;
use crate::load::{Load, Totals};
use crate::machine::busy_time;
use crate::receiver::Report;

/// Without any new arrival for this long, what is missing is called missing.
const STILL_TIMEOUT: Duration = Duration::from_secs(30);
/// Above this the machine is busy with something else and the figures say little.
const OTHERS_CORES_MAX: f64 = 0.2;
const DRAIN_PAUSE: Duration = Duration::from_millis(50);

/// The figures of one subject in one interval.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) deliveries: u64,
    pub(crate) deliveries_per_second: f64,
    pub(crate) accepted_per_second: f64,
    pub(crate) cpu_us_per_delivery: f64,
    /// The same over the whole run, warm-up and draining included: higher when work was left for later.
    pub(crate) cpu_us_per_delivery_drained: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    /// From POST to its answer.
    pub(crate) answer_p99_ms: f64,
    pub(crate) peak_mib: f64,
    /// Cores that neither the subject nor this benchmark kept busy: above 0.2 the machine was not quiet.
    pub(crate) others_cores: f64,
    pub(crate) refused: u64,
    pub(crate) last_refusal: String,
    /// Accepted and not arrived, in the whole run.
    pub(crate) missing: u64,
    /// Arrived again, in the whole run.
    pub(crate) duplicates: u64,
}

/// What is known at one moment.
pub(crate) struct Sample {
    at: Instant,
    cpu: Duration,
    /// Of the benchmark's own processes.
    own_cpu: Duration,
    busy: Duration,
    report: Report,
    accepted: u64,
    answered: Histogram,
}

/// Loads the subject and measures it for `interval`. The receiver is reset first.
pub(crate) async fn run(context: &Context, subject: &Subject, interval: Duration) -> Outcome<Measured> {
    context.receiver.reset().await;
    let cpu_at_start = subject.cpu_time()?;
    let statements_at_start = subject.statements();
    let load = Load::start(subject.plan.clone())?;
    let mut measured = interval_of(context, subject, &load, interval).await?;
    let totals = load.finish();
    let expected = totals.accepted * u64::from(subject.copies);
    let drained = wait_for_arrivals(context, expected).await?;
    measured.judge(&totals, expected, &drained);
    let cpu = subject.cpu_time()?.saturating_sub(cpu_at_start);
    measured.cpu_us_per_delivery_drained = micros(cpu) / drained.distinct.max(1) as f64;
    eprintln!("  {:10} {measured}", subject.name);
    if let (Some(after), Some(before)) = (subject.statements(), statements_at_start) {
        let each = (after - before) as f64 / drained.distinct.max(1) as f64;
        eprintln!("  {:10} {each:.3} SQL statements a delivery", subject.name);
    }
    Ok(measured)
}

impl Subject {
    /// What it used so far, its database's server included.
    fn cpu_time(&self) -> Outcome<Duration> {
        let mut own = Duration::ZERO;
        for pid in &self.pids {
            own += cpu_time(*pid)?;
        }
        Ok(match &self.cluster {
            Some(cluster) => own + cpu_time_of_tree(cluster.pid())?,
            None => own,
        })
    }

    /// Statements that its database has run so far.
    fn statements(&self) -> Option<u64> {
        let calls = self.cluster.as_ref()?.sql(
            "test_0",
            "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT sum(calls) FROM pg_stat_statements",
        );
        calls.lines().last()?.parse().ok()
    }
}

/// Measures a load that is running, after the warm-up; the peak of memory is of the interval alone where possible.
pub(crate) async fn interval_of(
    context: &Context,
    subject: &Subject,
    load: &Load,
    interval: Duration,
) -> Outcome<Measured> {
    tokio::time::sleep(context.options.warm_up()).await;
    // Not every kernel and user may: then the peak is of the whole life of the process.
    subject.pids.iter().for_each(|pid| _ = reset_rss_peak(*pid));
    let before = Sample::take(context, subject, load).await?;
    tokio::time::sleep(interval).await;
    let after = Sample::take(context, subject, load).await?;
    let mut measured = after.since(&before);
    for pid in &subject.pids {
        measured.peak_mib += peak_mib(*pid)?;
    }
    Ok(measured)
}

/// Waits until this many distinct messages arrived, or nothing has come for a while.
pub(crate) async fn wait_for_arrivals(context: &Context, expected: u64) -> Outcome<Report> {
    let mut report = context.receiver.report().await?;
    let mut last_progress = Instant::now();
    while report.distinct < expected && last_progress.elapsed() < STILL_TIMEOUT {
        tokio::time::sleep(DRAIN_PAUSE).await;
        let now = context.receiver.report().await?;
        if now.distinct > report.distinct {
            last_progress = Instant::now();
        }
        report = now;
    }
    Ok(report)
}

/// Waits until a load of limited size has sent everything, or has been accepted nothing for a while.
pub(crate) async fn wait_until_sent(load: &Load) -> Outcome<()> {
    let (mut accepted, mut last_progress) = (load.accepted(), Instant::now());
    while !load.is_done() {
        tokio::time::sleep(DRAIN_PAUSE).await;
        let now = load.accepted();
        if now > accepted {
            (accepted, last_progress) = (now, Instant::now());
        }
        if last_progress.elapsed() > STILL_TIMEOUT {
            return Err(
                format!("nothing was accepted for {STILL_TIMEOUT:?}, after {accepted} messages").into()
            );
        }
    }
    Ok(())
}

/// The largest resident memory, in MiB.
pub(crate) fn peak_mib(pid: u32) -> Outcome<f64> {
    Ok(rss_peak(pid)? as f64 / f64::from(1 << 20))
}

impl Sample {
    async fn take(context: &Context, subject: &Subject, load: &Load) -> Outcome<Self> {
        let report = context.receiver.report().await?;
        let (at, cpu, busy) = (Instant::now(), subject.cpu_time()?, busy_time());
        let own_cpu = cpu_time(std::process::id())? + cpu_time(context.receiver.pid())?;
        Ok(Self { at, cpu, own_cpu, busy, report, accepted: load.accepted(), answered: load.answered() })
    }

    fn since(&self, before: &Self) -> Measured {
        let seconds = (self.at - before.at).as_secs_f64();
        let deliveries = self.report.arrivals - before.report.arrivals;
        let cpu = self.cpu.saturating_sub(before.cpu);
        let known = cpu + self.own_cpu.saturating_sub(before.own_cpu);
        let latency = Histogram::from_sparse(&self.report.latency)
            .since(&Histogram::from_sparse(&before.report.latency));
        Measured {
            seconds,
            deliveries,
            deliveries_per_second: deliveries as f64 / seconds,
            accepted_per_second: (self.accepted - before.accepted) as f64 / seconds,
            cpu_us_per_delivery: micros(cpu) / deliveries.max(1) as f64,
            p50_ms: latency.quantile_ms(0.5),
            p99_ms: latency.quantile_ms(0.99),
            p999_ms: latency.quantile_ms(0.999),
            answer_p99_ms: self.answered.since(&before.answered).quantile_ms(0.99),
            others_cores: (self.busy - before.busy).saturating_sub(known).as_secs_f64() / seconds,
            ..Measured::default()
        }
    }
}

impl Measured {
    /// Adds what became of everything that was accepted.
    pub(crate) fn judge(&mut self, totals: &Totals, expected: u64, drained: &Report) {
        self.refused = totals.refused;
        self.last_refusal.clone_from(&totals.last_refusal);
        self.missing = expected.saturating_sub(drained.distinct);
        self.duplicates = drained.arrivals - drained.distinct - drained.foreign;
    }
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0} deliveries/s, {:.1} µs CPU each, p50 {:.2} p99 {:.2} p99.9 {:.2} ms, {:.0} MiB",
            self.deliveries_per_second,
            self.cpu_us_per_delivery,
            self.p50_ms,
            self.p99_ms,
            self.p999_ms,
            self.peak_mib
        )?;
        if self.others_cores > OTHERS_CORES_MAX {
            write!(f, ", NOT QUIET: others used {:.2} cores", self.others_cores)?;
        }
        if self.refused > 0 {
            write!(f, ", {} refused (last: {})", self.refused, self.last_refusal)?;
        }
        if self.missing + self.duplicates > 0 {
            write!(f, ", {} missing, {} duplicates", self.missing, self.duplicates)?;
        }
        Ok(())
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
