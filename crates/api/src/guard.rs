//! A panic in a handler is answered as an error of ours, and nothing of it is told.

use crate::error::Failure;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

/// The layer around all routes but the hot one, which calls [`caught`] itself.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    caught(next.run(request)).await
}

/// The work's response, or that of its panic. Nothing that the work used is used after a panic.
pub(crate) async fn caught(work: impl Future<Output = impl IntoResponse>) -> Response {
    match AssertUnwindSafe(work).catch_unwind().await {
        Ok(response) => response.into_response(),
        Err(_) => {
            tracing::error!("a handler panicked: the panic's own message is right above");
            Failure::Panicked.into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_500() {
        let response = caught(async { if response_is_lost() { "lost" } else { panic!("secret") } }).await;
        assert_eq!(response.status(), 500);
    }

    fn response_is_lost() -> bool {
        std::hint::black_box(false)
    }
}
