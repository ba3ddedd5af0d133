//! The scenarios, one file each, and the run that goes through them.

mod backlog;
mod churn;
mod console;
mod failing;
mod fanout;
mod full;
mod hanging;
mod history;
mod idempotency;
mod nodes;
mod pages;
mod shaped;
mod steady;

use clap::ValueEnum;

use crate::context::Context;
use crate::options::{Options, Store};
use crate::report::Report;
use crate::{Outcome, disk, server};

/// What can be asked for with `--scenario`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// As fast as it goes, floor and Posthaste in turn.
    Full,
    /// 1,000 messages a second.
    Steady,
    /// Every message to ten endpoints.
    Fanout,
    /// Endpoints that never answer, beside a healthy one.
    Hanging,
    /// Ten thousand endpoints that fail at once, beside a healthy one; a disabled one that gets back what it missed.
    Failing,
    /// Pending deliveries, kill -9, and the drain.
    Backlog,
    /// Stored attempts before the start, and list pages.
    History,
    /// The console's pages over a full store.
    Console,
    /// What the idempotency key of each POST costs.
    Idempotency,
    /// Templates, transformations, and a script that never ends.
    Shaped,
    /// Three nodes on one PostgreSQL beside one (with --store postgres).
    Nodes,
    /// Ten minutes with 5 % failures, and what they leave behind (with --store postgres).
    Churn,
}

impl Name {
    /// Whether it is about what only PostgreSQL has.
    fn needs_postgres(self) -> bool {
        matches!(self, Self::Nodes | Self::Churn)
    }
}

/// Runs what the options ask for and prints the tables. Fails when a bar was missed.
pub(crate) fn run(options: Options) -> Outcome<()> {
    server::raise_file_limit();
    if cfg!(debug_assertions) {
        eprintln!("bench: this is a debug build; its figures say nothing. Use cargo run --release -p bench");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(run_all(options))?;
    match report.failed() {
        0 => Ok(()),
        failed => Err(format!("{failed} of the claims above failed").into()),
    }
}

async fn run_all(options: Options) -> Outcome<Report> {
    let mut names = options.scenario.clone();
    if names.is_empty() {
        let fits = |name: &Name| options.store == Store::Postgres || !name.needs_postgres();
        names = Name::value_variants().iter().copied().filter(fits).collect();
    }
    let context = Context::new(options).await?;
    let mut report = Report::new(disk::measure(&context.dir)?);
    for name in names {
        let title = name.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        eprintln!("{title}:");
        if let Err(error) = run_one(name, &context, &mut report).await {
            eprintln!("  broke off: {error}");
            report.broken(&title, &error.to_string());
        }
        // Whatever a scenario left behind must not reach the next one.
        context.receiver.mode("ok").await;
        context.receiver.reset().await;
    }
    println!("{}", report.markdown());
    if let Some(path) = &context.options.json {
        report.write_json(path)?;
    }
    Ok(report)
}

async fn run_one(name: Name, context: &Context, report: &mut Report) -> Outcome<()> {
    match name {
        Name::Full => full::run(context, report).await,
        Name::Steady => steady::run(context, report).await,
        Name::Fanout => fanout::run(context, report).await,
        Name::Hanging => hanging::run(context, report).await,
        Name::Failing => failing::run(context, report).await,
        Name::Backlog => backlog::run(context, report).await,
        Name::History => history::run(context, report).await,
        Name::Console => console::run(context, report).await,
        Name::Idempotency => idempotency::run(context, report).await,
        Name::Shaped => shaped::run(context, report).await,
        Name::Nodes => nodes::run(context, report).await,
        Name::Churn => churn::run(context, report).await,
    }
}
