//! Logs: one line an event, on standard error, filtered by `POSTHASTE_LOG`, as text or JSON.
//!
//! Secrets never come here: the types that hold them show `(set)` or nothing, and requests' headers and bodies are
//! not logged.

use crate::config::LogFormat;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;

/// Starts logging for this process. Once is enough; a second call changes nothing.
pub fn start(filter: &str, format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(io::stderr);
    let _ = match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
}
