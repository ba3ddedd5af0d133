//! A request with a body: who sent it, and the body collected once.
//!
//! The credential is looked at before the body is kept.

use crate::Api;
use crate::body::{collect, drain};
use crate::caller::principal;
use crate::error::{Failure, Outcome};
use crate::query::{FromQuery, Query};
use app::Principal;
use app::idempotency::Posted;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri};
use std::fmt::Display;
use std::sync::Arc;

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
                drain(body, api.settings).await;
                return Err(failure);
            }
        };
        let body = collect(body, api.settings).await?;
        let retried = retried(&parts.headers);
        let key = parts.headers.remove("idempotency-key");
        Ok(Self { principal, body, uri: parts.uri, key, retried })
    }
}

fn retried(headers: &HeaderMap) -> bool {
    let count = headers.get("svix-retry-count").and_then(|value| value.to_str().ok());
    count.is_some_and(|count| count.trim().parse::<u32>().is_ok_and(|count| count > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

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
