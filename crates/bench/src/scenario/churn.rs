//! Ten minutes in which every twentieth delivery fails at its first try: the rows of the exceptions come and go, and what they
//! leave behind in PostgreSQL's tables must not grow.

use std::time::{Duration, Instant};

use testkit::Cluster;

use crate::Outcome;
use crate::context::Context;
use crate::load::Load;
use crate::measure;
use crate::options::Store;
use crate::report::Report;

const PER_SECOND: f64 = 2_000.0;
/// Between looks at the tables.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The most dead rows of the last half, against the first's; the size of the tables at the end, against the middle.
const GROWTH_MAX: f64 = 1.5;
/// What is read: dead rows and bytes of the tables whose rows are changed, indexes included.
const LOOK: &str =
    "SELECT sum(n_dead_tup) || ' ' || sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables
                    WHERE relname IN ('delivery', 'lease')";

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    if context.options.store != Store::Postgres {
        return Err("dead rows are PostgreSQL's: --store postgres".into());
    }
    let (mut posthaste, mut subject) = context.posthaste(1).await?;
    let cluster = posthaste.cluster().ok_or("a cluster")?;
    subject.plan.per_second = Some(PER_SECOND);
    context.receiver.mode("twentieth-once").await;
    context.receiver.reset().await;
    let load = Load::start(subject.plan.clone())?;
    let (begin, whole) = (Instant::now(), context.options.churn());
    let mut looks = Vec::new();
    while begin.elapsed() < whole {
        tokio::time::sleep(LOOK_EVERY.min(whole / 4)).await;
        looks.push(look(&cluster)?);
    }
    let mut measured = measure::interval_of(context, &subject, &load, context.options.seconds()).await?;
    let totals = load.finish();
    let drained = measure::wait_for_arrivals(context, totals.accepted).await?;
    measured.judge(&totals, totals.accepted, &drained);
    report.row("churn", "posthaste", &measured);
    let (early, late) = looks.split_at(looks.len() / 2);
    let dead = |half: &[(f64, f64)]| half.iter().map(|look| look.0).fold(1.0, f64::max);
    let (dead_early, dead_late) = (dead(early), dead(late));
    let claim = format!(
        "dead rows over {} s stay flat: the last half's most at most {GROWTH_MAX} × the first's",
        whole.as_secs()
    );
    let told = format!("{dead_early:.0}, then {dead_late:.0}; {} failed first", drained.refused);
    report.verdict("churn", &claim, told, Some(dead_late <= GROWTH_MAX * dead_early));
    let size = |half: &[(f64, f64)]| half.last().map_or(0.0, |look| look.1 / f64::from(1 << 20));
    let (middle, end) = (size(early), size(late));
    let claim =
        format!("tables of rows that change stay small: at the end at most {GROWTH_MAX} × the middle");
    report.verdict(
        "churn",
        &claim,
        format!("{middle:.1} MiB, then {end:.1} MiB"),
        Some(end <= GROWTH_MAX * middle),
    );
    posthaste.stop().await;
    Ok(())
}

fn look(cluster: &Cluster) -> Outcome<(f64, f64)> {
    let told = cluster.sql("test_0", LOOK);
    let (dead, bytes) = told.split_once(' ').ok_or_else(|| format!("statistics: {told:?}"))?;
    Ok((dead.parse()?, bytes.parse()?))
}
