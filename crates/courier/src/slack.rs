//! A URL that takes what Slack's incoming webhooks take.

use crate::letter::Letter;
use crate::{Refusal, judge};
use bytes::Bytes;
use egress::{Client, Request};
use http::{HeaderMap, HeaderValue, Method, header};
use tokio::time::Instant;

pub(crate) async fn send(
    client: &Client,
    deadline: Instant,
    url: &str,
    letter: &Letter,
) -> Result<(), Refusal> {
    let uri = egress::uri_of(url).map_err(|error| Refusal::Never(error.to_string()))?;
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let body = Bytes::from(letter.slack().to_string());
    let request = Request { method: Method::POST, uri, headers, body, deadline };
    judge(client.send(request, &|| true).await, &[])
}
