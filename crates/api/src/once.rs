//! POSTs with an idempotency key: one effect, one answer.

use crate::answer::Answer;
use crate::error::Outcome;
use crate::received::Received;
use app::App;
use app::idempotency::Answered;

/// Answers with `work`, or with what it answered to the same request before.
///
/// The work owns what it needs: when the client goes away in the middle, the work goes on, and its next try hears what came of it.
pub(crate) async fn once(
    app: &App,
    received: &Received,
    work: impl Future<Output = Outcome> + Send + 'static,
) -> Outcome {
    let answered = async { Answered::from(work.await.unwrap_or_else(crate::error::Failure::answer)) };
    Ok(Answer::from(app.once(received.posted(), answered).await?))
}
