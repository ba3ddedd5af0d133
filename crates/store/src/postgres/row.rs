//! Rows into domain values: the columns of messages and attempts, and how each is read.

use super::node::Node;
use crate::error::{Result, StoreError};
use bytes::Bytes;
use domain::attempt::{Attempt, Disposition, NewAttempt, Outcome, Trigger};
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, AttemptId, EndpointKey, MessageId};
use domain::message::{Message, Overrides};
use tokio_postgres::Row;

/// The columns that [`message`] reads.
pub(super) const MESSAGE: &str =
    "message.id, message.application, message.event_type, message.event_id, message.channels::text, message.tags::text,
     payload.bytes, message.payload_expires_at, message.deliver_at, message.sealed_overrides, message.endpoints";

/// Where they come from: the payload lies in the partition of the day on which it expires.
pub(super) const MESSAGE_FROM: &str =
    "message LEFT JOIN payload ON payload.day = message.payload_day AND payload.message = message.id";

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT: &str = "attempt.id, attempt.message, attempt.endpoint, attempt.run, attempt.number, attempt.trigger, attempt.outcome,
     attempt.disposition, attempt.started_at, attempt.duration_ms, attempt.status, attempt.url, attempt.response";

/// Reads a row of [`MESSAGE`]. An expired payload is gone, also while its partition still stands.
pub(super) fn message(row: &Row, node: &Node) -> Result<Message> {
    let expires_at = row.get::<_, Option<i64>>(7).map(Timestamp);
    let expired = expires_at.is_some_and(|end| end <= node.now());
    let sealed: Option<&[u8]> = row.get::<_, Option<&[u8]>>(9).filter(|_| !expired);
    let overrides: Overrides = match sealed {
        Some(sealed) => {
            json(&String::from_utf8_lossy(&node.sealer.open(crate::message::OVERRIDES_PLACE, sealed)?))?
        }
        None => Overrides::default(),
    };
    let payload: Option<&[u8]> = row.get::<_, Option<&[u8]>>(6).filter(|_| !expired);
    Ok(Message {
        id: MessageId(row.get(0)),
        application: ApplicationKey(row.get(1)),
        event_type: row.get(2),
        event_id: row.get(3),
        channels: texts(row.get(4))?,
        tags: texts(row.get(5))?,
        payload: payload.map(Bytes::copy_from_slice),
        payload_expires_at: expires_at,
        deliver_at: row.get::<_, Option<i64>>(8).map(Timestamp),
        overrides,
        endpoints: row.get::<_, Vec<i64>>(10).into_iter().map(EndpointKey).collect(),
    })
}

/// Reads a row of [`ATTEMPT`].
pub(super) fn attempt(row: &Row) -> Result<Attempt> {
    let (number, duration_ms, status): (i32, i64, i32) = (row.get(4), row.get(9), row.get(10));
    let record = NewAttempt {
        message: MessageId(row.get(1)),
        endpoint: EndpointKey(row.get(2)),
        run: row.get(3),
        number: number.unsigned_abs(),
        trigger: coded(row.get(5), Trigger::from_code)?,
        outcome: coded(row.get(6), Outcome::from_code)?,
        disposition: coded(row.get(7), Disposition::from_code)?,
        started_at: Timestamp(row.get(8)),
        duration_ms: u32::try_from(duration_ms).unwrap_or(u32::MAX),
        status: u16::try_from(status).unwrap_or_default(),
        url: row.get(11),
        response: Bytes::copy_from_slice(row.get(12)),
    };
    Ok(Attempt { id: AttemptId(row.get(0)), record })
}

/// Reads a small integer column that stands for one of a few values.
pub(super) fn coded<T>(code: i16, read: impl Fn(i64) -> Option<T>) -> Result<T> {
    read(code.into()).ok_or_else(|| StoreError::Broken(format!("a column holds the unknown code {code}")))
}

/// Reads a column of strings.
pub(super) fn texts(column: Option<&str>) -> Result<Vec<String>> {
    column.map_or(Ok(Vec::new()), json)
}

/// Reads a JSON column.
pub(super) fn json<T: serde::de::DeserializeOwned>(column: &str) -> Result<T> {
    serde_json::from_str(column)
        .map_err(|error| StoreError::Broken(format!("a JSON column does not read back: {error}")))
}
