//! How the process lives: its file limit at the start, its signals at the end.
//!
//! The first SIGTERM or SIGINT asks for a graceful stop; the second ends the process at once, which is equally safe
//! for what was accepted (the store is made for it), only slower to come back.

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that was told twice: 128 + SIGINT, as shells have it.
const TOLD_TWICE: i32 = 130;

/// Raises the soft limit of open files to the hard one: each connection, either way, is a file.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}

/// Makes every file that this process makes from now on readable for its own user alone: the store holds customers'
/// data, and its files (journals included) are made by SQLite.
pub fn make_files_private() {
    umask(Mode::RWXG | Mode::RWXO);
}

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes over SIGTERM and SIGINT from now on.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next one and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Ends the process without waiting for anything: what a second signal asks for.
#[expect(clippy::disallowed_methods, reason = "a second signal asks for exactly this")]
pub fn end_at_once() -> ! {
    std::process::exit(TOLD_TWICE)
}
