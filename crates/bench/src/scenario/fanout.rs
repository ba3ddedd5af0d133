//! Fan-out: every message goes to ten endpoints; a delivery should cost less than one that has a message of its own.

use super::full;
use crate::Outcome;
use crate::context::Context;
use crate::report::Report;

const ENDPOINTS: u8 = 10;

pub(crate) async fn run(context: &Context, report: &mut Report) -> Outcome<()> {
    full::compare(context, report, "fanout", ENDPOINTS, false).await
}
