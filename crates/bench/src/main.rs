//! `cargo run --release -p bench`: what Posthaste costs beside the least that any webhook sender costs.
//!
//! One run starts, each as a process of its own so that CPU is counted apart:
//! - **receiver** (`bench receiver`): the customers' servers; counts arrivals and takes their time from the payload.
//! - **floor** (`bench floor`): accepts a POST and forwards it on the same HTTP stack, storing nothing.
//! - **posthaste serve** on a throw-away store, set up and driven through its public API as an SDK would.
//!
//! The load comes from a thread of this process. Scenarios are under `scenario/`, one file each; the result is a
//! markdown table with the bars it must reach. README.md says what each column means.

mod clock;
mod context;
mod disk;
mod floor;
mod histogram;
mod load;
mod machine;
mod measure;
mod options;
mod payload;
mod peer;
mod posthaste;
mod receiver;
mod report;
mod scenario;
mod server;
mod stand_in;
mod worker;

use std::process::ExitCode;

use clap::Parser;
use options::{Command, Options};

/// The allocator that `posthaste` uses too: the floor must not lose by a slower one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong in a run; nothing here is handled, it is told to the person who started it.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    let mut options = Options::parse();
    let ended = match options.command.take() {
        Some(Command::Floor(floor)) => floor::run(&floor),
        Some(Command::Receiver) => receiver::run(),
        Some(Command::Serve) => stand_in::run(),
        None => scenario::run(options),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
