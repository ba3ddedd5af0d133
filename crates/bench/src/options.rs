//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::scenario::Name;

/// Measures Posthaste beside the least that any webhook sender costs. Use a release build.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Which scenarios to run, comma separated; all of them when absent.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) scenario: Vec<Name>,
    /// Seconds of one measured interval [default: 10, with --quick 3].
    #[arg(long)]
    seconds: Option<u64>,
    /// Seconds of load before it [default: 2, with --quick 1].
    #[arg(long)]
    warm_up: Option<u64>,
    /// How often two subjects are measured in turn; medians count [default: 3, with --quick 1].
    #[arg(long)]
    pairs: Option<usize>,
    /// Pending deliveries of `backlog` [default: 1000000, with --quick 20000].
    #[arg(long)]
    backlog: Option<u64>,
    /// Stored attempts of `history` [default: 2000000, with --quick 20000].
    #[arg(long)]
    history: Option<u64>,
    /// Endpoints that never answer, in `hanging` [default: 1000, with --quick 100].
    #[arg(long)]
    hanging: Option<u64>,
    /// Messages a second of `steady`.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) steady: u32,
    /// Seconds of `churn` [default: 600, with --quick 10].
    #[arg(long)]
    churn: Option<u64>,
    /// Where Posthaste stores: sqlite, or a throw-away postgres whose CPU counts as Posthaste's.
    #[arg(long, value_enum, default_value_t = Store::Sqlite)]
    pub(crate) store: Store,
    /// Small sizes and short intervals: shows that everything works, proves no figure.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Measure the floor alone, where a scenario has one.
    #[arg(long)]
    pub(crate) floor_only: bool,
    /// The `posthaste` binary [default: the one beside this binary, built when missing].
    #[arg(long)]
    pub(crate) posthaste: Option<PathBuf>,
    /// Folder for the throw-away stores [default: the folder of this binary].
    #[arg(long)]
    pub(crate) dir: Option<PathBuf>,
    /// One more setting for `posthaste serve`, as NAME=VALUE; may be repeated.
    #[arg(long, value_parser = setting)]
    pub(crate) env: Vec<(String, String)>,
    /// Write all results as JSON, too.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

/// The processes that a run starts of this same binary.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Accept and forward, store nothing (started by a run).
    Floor(Floor),
    /// Count what arrives (started by a run).
    Receiver,
    /// Stand in for `posthaste serve` in bench's own tests: measures nothing.
    #[command(hide = true)]
    Serve,
}

/// Where Posthaste stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Store {
    /// Its own file.
    Sqlite,
    /// PostgreSQL with its durable defaults, on this machine.
    Postgres,
}

/// How the floor forwards.
#[derive(Args, Debug)]
pub(crate) struct Floor {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Where to forward to; the number of the copy is appended as the last path segment.
    #[arg(long)]
    pub(crate) target: String,
    /// How many requests each accepted one becomes.
    #[arg(long, default_value_t = 1)]
    pub(crate) copies: u8,
}

impl Options {
    pub(crate) fn seconds(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { 3 } else { 10 }))
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs(self.warm_up.unwrap_or(if self.quick { 1 } else { 2 }))
    }

    pub(crate) fn pairs(&self) -> usize {
        self.pairs.unwrap_or(if self.quick { 1 } else { 3 }).max(1)
    }

    pub(crate) fn backlog(&self) -> u64 {
        self.backlog.unwrap_or(if self.quick { 20_000 } else { 1_000_000 })
    }

    pub(crate) fn history(&self) -> u64 {
        self.history.unwrap_or(if self.quick { 20_000 } else { 2_000_000 })
    }

    pub(crate) fn churn(&self) -> Duration {
        Duration::from_secs(self.churn.unwrap_or(if self.quick { 10 } else { 600 }))
    }

    pub(crate) fn hanging(&self) -> u64 {
        self.hanging.unwrap_or(if self.quick { 100 } else { 1_000 })
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
