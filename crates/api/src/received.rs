//! A request with a body: who sent it, and the body collected once.
//!
//! The credential is looked at before the body is kept. A refused or too large body is still read, to a limit, so that
//! the client sees the answer instead of a closed connection.

use crate::Api;
use crate::caller::principal;
use crate::error::{Failure, Outcome};
use crate::query::{FromQuery, Query};
use app::Principal;
use app::idempotency::Posted;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Uri};
use http_body_util::BodyExt;
use std::fmt::Display;
use std::sync::Arc;

/// Bytes that are read and thrown away at most before an early answer.
const DRAINED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A request with a body.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) principal: Arc<Principal>,
    pub(crate) body: Bytes,
    uri: Uri,
    key: Option<HeaderValue>,
    retried: bool,
}

impl Received {
    /// What idempotency needs to know.
    pub(crate) fn posted(&self) -> Posted<'_> {
        Posted {
            principal: &self.principal,
            path: self.uri.path(),
            key: self.key.as_ref().map(HeaderValue::as_bytes),
            retried: self.retried,
            body: &self.body,
        }
    }

    /// The query's parameters.
    pub(crate) fn query<Q: FromQuery>(&self) -> Outcome<Q> {
        Q::read(&Query::of(&self.uri))
    }
}

impl FromRequest<Api> for Received {
    type Rejection = Failure;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Failure> {
        Self::read(request, api).await
    }
}

impl Received {
    /// Reads a request.
    pub(crate) async fn read<B>(request: http::Request<B>, api: &Api) -> Result<Self, Failure>
    where
        B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
    {
        let (mut parts, body) = request.into_parts();
        let principal = match principal(&parts, api).await {
            Ok(principal) => principal,
            Err(failure) => {
                drain(body).await;
                return Err(failure);
            }
        };
        let body = collect(body, api.settings.request_body_bytes_max).await?;
        let retried = retried(&parts.headers);
        let key = parts.headers.remove("idempotency-key");
        Ok(Self { principal, body, uri: parts.uri, key, retried })
    }
}

fn retried(headers: &HeaderMap) -> bool {
    let count = headers.get("svix-retry-count").and_then(|value| value.to_str().ok());
    count.is_some_and(|count| count.trim().parse::<u32>().is_ok_and(|count| count > 0))
}

/// The whole body. One that came in one piece is not copied.
async fn collect<B>(mut body: B, most: usize) -> Outcome<Bytes>
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    let announced = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
    if announced.is_some_and(|bytes| bytes > most) {
        drain(body).await;
        return Err(Failure::TooLarge(most));
    }
    let Some(first) = next(&mut body).await? else { return Ok(Bytes::new()) };
    if first.len() > most {
        drain(body).await;
        return Err(Failure::TooLarge(most));
    }
    let Some(second) = next(&mut body).await? else { return Ok(first) };
    let mut all = BytesMut::with_capacity(announced.unwrap_or(first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut piece = Some(second);
    while let Some(bytes) = piece {
        if all.len() + bytes.len() > most {
            drain(body).await;
            return Err(Failure::TooLarge(most));
        }
        all.extend_from_slice(&bytes);
        piece = next(&mut body).await?;
    }
    Ok(all.freeze())
}

/// The next piece of data; trailers are passed over.
async fn next<B>(body: &mut B) -> Outcome<Option<Bytes>>
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Unread(error.to_string()))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

async fn drain<B>(mut body: B)
where
    B: http_body::Body<Data = Bytes, Error: Display> + Unpin,
{
    let mut read = 0;
    while let Ok(Some(piece)) = next(&mut body).await {
        read += piece.len();
        if read > DRAINED_BYTES_MAX {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use futures_util::stream;
    use std::convert::Infallible;

    fn pieces(pieces: &[&'static str]) -> Body {
        Body::from_stream(stream::iter(pieces.iter().map(|p| Ok::<_, Infallible>(*p)).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_body_is_collected_whole_or_refused() {
        assert_eq!(collect(Body::empty(), 8).await, Ok(Bytes::new()));
        assert_eq!(collect(Body::from("12345678"), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(collect(pieces(&["123", "", "45", "678"]), 8).await, Ok(Bytes::from("12345678")));
        assert_eq!(collect(Body::from("123456789"), 8).await, Err(Failure::TooLarge(8)));
        assert_eq!(collect(pieces(&["1234", "5678", "9"]), 8).await, Err(Failure::TooLarge(8)));
        assert_eq!(collect(pieces(&["123456789"]), 8).await, Err(Failure::TooLarge(8)));
    }

    #[test]
    fn a_repeated_try_says_so() {
        let of = |value: &'static str| {
            retried(&HeaderMap::from_iter([(
                "svix-retry-count".parse().unwrap(),
                HeaderValue::from_static(value),
            )]))
        };
        assert_eq!([of("0"), of("1"), of("2"), of("x")], [false, true, true, false]);
        assert!(!retried(&HeaderMap::new()));
    }
}
