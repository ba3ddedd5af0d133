//! Three nodes on one PostgreSQL beside one: together they must carry what one does. On a machine of few cores more processes do
//! not make more; what this shows is what they cost each other.

use crate::Outcome;
use crate::context::{CONNECTIONS, Context};
use crate::measure::{self, Measured};
use crate::options::Store;
use crate::report::{Report, median};

const NODES: usize = 3;
const SPEED_RATIO_MIN: f64 = 1.0;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    if context.options.store != Store::Postgres {
        return Err("nodes share a PostgreSQL: --store postgres".into());
    }
    let mut ratios = Vec::new();
    for _ in 0..context.options.pairs() {
        let one = measure(context, 1).await?;
        report.row("nodes", "one node", &one);
        let three = measure(context, NODES).await?;
        report.row("nodes", "three nodes", &three);
        ratios.push(three.deliveries_per_second / one.deliveries_per_second);
    }
    let ratio = median(ratios);
    let claim = "three nodes together at least what one delivers";
    report.verdict("nodes", claim, format!("{:.0} %", ratio * 100.0), Some(ratio >= SPEED_RATIO_MIN));
    Ok(())
}

async fn measure(context: &Context, nodes: usize) -> Outcome<Measured> {
    let (mut first, mut subject) = context.posthaste(1).await?;
    let mut others = Vec::new();
    for _ in 1..nodes {
        let node = first.beside(&context.dir).await?;
        subject.pids.push(node.pid()?);
        subject.plan.addresses.push(node.address()?);
        others.push(node);
    }
    subject.plan.connections = CONNECTIONS * NODES;
    subject.name = if nodes == 1 { "one node".into() } else { format!("{nodes} nodes") };
    let measured = measure::run(context, &subject, context.options.seconds()).await?;
    for node in &mut others {
        node.stop().await;
    }
    first.stop().await;
    Ok(measured)
}
