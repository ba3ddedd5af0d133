//! Posthaste sends webhooks. This is only the door: everything is in the library beside it.

use mimalloc::MiMalloc;
use std::process::ExitCode;

/// Measured faster than the system's allocator under many small buffers.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    posthaste::command::run()
}
