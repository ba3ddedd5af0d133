//! `posthaste config`

use super::{Failure, Report};
use std::io::Write;

/// Prints every setting.
pub(super) fn run(report: &Report) -> Result<(), Failure> {
    // A reader that went away (`posthaste config | head`) is no failure.
    let _ = write!(std::io::stdout().lock(), "{report}");
    Ok(())
}
