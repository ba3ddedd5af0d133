//! A request's body: collected once, waited for so long, thrown away before an early answer.
//!
//! A client that sends nothing for `request_body_pause_max` is answered 408 and its connection closed: silent ones would
//! hold connections until there are none left. A refused or too large body is still read, to a limit, so that the
//! client sees the answer instead of a closed connection. Of a body that is there at once nothing is timed.

use crate::ApiSettings;
use crate::error::{Failure, Outcome};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep, timeout};

/// Bytes that are read and thrown away at most before an early answer.
const DRAINED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The whole of a body that is waited for may take so many pauses: one that comes a drop at a time has an end, too.
const PAUSES_MAX: u32 = 10;

/// How long a body is waited for. Its clocks are set only once there is something to wait for.
struct Patience {
    pause_max: Duration,
    whole: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    const fn new(pause_max: Duration) -> Self {
        Self { pause_max, whole: None }
    }
}

/// The whole body. One that came in one piece is not copied.
pub(crate) async fn collect<B>(mut body: B, settings: ApiSettings) -> Outcome<Bytes>
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    let most = settings.request_body_bytes_max;
    let pause = &mut Patience::new(settings.request_body_pause_max);
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    if announced.is_some_and(|bytes| bytes > most) {
        drain(body, settings).await;
        return Err(Failure::TooLarge(most));
    }
    let Some(first) = next(&mut body, pause).await? else { return Ok(Bytes::new()) };
    if first.len() > most {
        drain(body, settings).await;
        return Err(Failure::TooLarge(most));
    }
    let Some(second) = next(&mut body, pause).await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity(announced.unwrap_or(first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if all.len() + bytes.len() > most {
            drain(body, settings).await;
            return Err(Failure::TooLarge(most));
        }
        all.extend_from_slice(&bytes);
        piece = next(&mut body, pause).await?;
    }
    Ok(all.freeze())
}

/// Reads what is left and throws it away, for `request_body_drain_max` at most.
pub(crate) async fn drain<B>(mut body: B, settings: ApiSettings)
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    if body.is_end_stream() {
        return;
    }
    let reading = async {
        let mut read = 0;
        let mut patience = Patience::new(settings.request_body_pause_max);
        while let Ok(Some(piece)) = next(&mut body, &mut patience).await {
            read += piece.len();
            if read > DRAINED_BYTES_MAX {
                return;
            }
        }
    };
    // What has not come by then is left to the connection, which ends after the answer.
    let _ = timeout(settings.request_body_drain_max, reading).await;
}

/// The next piece of data; trailers are passed over.
async fn next<B>(body: &mut B, patience: &mut Patience) -> Outcome<Option<Bytes>>
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    while let Some(frame) = frame(body, patience).await? {
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The next frame. The server reads the connection only after it was asked for the body once, so a first look finds
/// nothing also when the bytes are there; a clock is set only when a second look finds nothing either.
async fn frame<B>(body: &mut B, patience: &mut Patience) -> Outcome<Option<Frame<Bytes>>>
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    let mut looked = false;
    let mut pause: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|context| {
        if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) {
            return Poll::Ready(frame.transpose().map_err(|error| Failure::Unread(error.to_string())));
        }
        if !looked {
            looked = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Patience { pause_max, whole } = patience;
        let pause = pause.get_or_insert_with(|| Box::pin(sleep(*pause_max)));
        if pause.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(Failure::TooSlow(*pause_max)));
        }
        let whole_max = *pause_max * PAUSES_MAX;
        let whole = whole.get_or_insert_with(|| Box::pin(sleep(whole_max)));
        whole.as_mut().poll(context).map(|()| Err(Failure::TooSlow(whole_max)))
    })
    .await
}

/// A body that is lent to a handler: what the handler leaves of it is there to be drained.
#[derive(Clone, Debug)]
pub(crate) struct Lent(Arc<Mutex<Body>>);

impl Lent {
    /// Lends this body.
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(body)))
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut *self.body()).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body().is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body().size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};
    use std::convert::Infallible;

    fn pieces(pieces: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(pieces.iter().map(|p| Ok::<_, Infallible>(*p)).collect::<Vec<_>>()))
    }

    fn most(request_body_bytes_max: usize) -> ApiSettings {
        ApiSettings { request_body_bytes_max, ..ApiSettings::default() }
    }

    #[tokio::test]
    async fn a_body_is_collected_whole_or_refused() {
        assert_eq!(collect(Body::empty(), most(8)).await, Ok(Bytes::new()));
        assert_eq!(collect(Body::from("12345678"), most(8)).await, Ok(Bytes::from("12345678")));
        assert_eq!(collect(pieces(&["123", "", "45", "678"]), most(8)).await, Ok(Bytes::from("12345678")));
        assert_eq!(collect(Body::from("123456789"), most(8)).await, Err(Failure::TooLarge(8)));
        assert_eq!(collect(pieces(&["1234", "5678", "9"]), most(8)).await, Err(Failure::TooLarge(8)));
        assert_eq!(collect(pieces(&["123456789"]), most(8)).await, Err(Failure::TooLarge(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_waited_for_so_long() {
        let silent = || {
            let first = stream::iter([Ok::<_, Infallible>("123")]);
            Body::from_stream(first.chain(stream::pending()))
        };
        let settings = ApiSettings::default();
        let began = tokio::time::Instant::now();
        let pause = settings.request_body_pause_max;
        assert_eq!(collect(silent(), settings).await, Err(Failure::TooSlow(pause)));
        assert_eq!(began.elapsed().as_secs(), 30);
        drain(silent(), settings).await;
        assert_eq!(began.elapsed().as_secs(), 35);
        let late = stream::unfold(0, async |n| {
            let never = std::future::pending::<()>();
            assert!(timeout(Duration::from_secs(29), never).await.is_err());
            (n < 3).then_some((Ok::<_, Infallible>("x"), n + 1))
        });
        assert_eq!(collect(Body::from_stream(late.boxed()), settings).await, Ok(Bytes::from("xxx")));
        let pace = tokio::time::interval(Duration::from_secs(29));
        let dripping = stream::unfold(pace, async |mut pace| {
            pace.tick().await;
            Some((Ok::<_, Infallible>("x"), pace))
        });
        let began = tokio::time::Instant::now();
        let dripping = collect(Body::from_stream(dripping.boxed()), settings).await;
        assert_eq!(dripping, Err(Failure::TooSlow(pause * PAUSES_MAX)));
        assert_eq!(began.elapsed().as_secs(), 300);
    }
}
