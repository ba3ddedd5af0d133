//! Rows into domain values: the columns of messages and attempts, and how each is read.

use super::query::{json, keys, texts};
use crate::error::{Result, StoreError};
use crate::seal::Sealer;
use bytes::Bytes;
use domain::attempt::{Attempt, Disposition, NewAttempt, Outcome, Trigger};
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, AttemptId, EndpointKey, MessageId};
use domain::limit::PAGE_BYTES_MAX;
use domain::message::Message;
use rusqlite::Row;

/// The columns that [`message`] reads.
pub(super) const MESSAGE: &str =
    "message.id, message.application, message.event_type, message.event_id, message.channels, message.tags,
     message.payload, message.payload_expires_at, message.deliver_at, message.sealed_overrides,
     message.endpoints";

/// The columns that [`attempt`] reads.
pub(super) const ATTEMPT: &str = "attempt.id, attempt.message, attempt.endpoint, attempt.run, attempt.number, attempt.trigger, attempt.outcome,
     attempt.disposition, attempt.started_at, attempt.duration_ms, attempt.status, attempt.url, attempt.response";

/// Reads a row of [`MESSAGE`].
pub(super) fn message(row: &Row<'_>, sealer: &Sealer) -> Result<Message> {
    let sealed: Option<Vec<u8>> = row.get(9)?;
    let overrides = sealed.map(|sealed| sealer.open(crate::message::OVERRIDES_PLACE, &sealed)).transpose()?;
    Ok(Message {
        id: MessageId(row.get(0)?),
        application: ApplicationKey(row.get(1)?),
        event_type: row.get(2)?,
        event_id: row.get(3)?,
        channels: texts(row.get_ref(4)?.as_str_or_null().map_err(rusqlite::Error::from)?)?,
        tags: texts(row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?)?,
        payload: row.get::<_, Option<Vec<u8>>>(6)?.map(Bytes::from),
        payload_expires_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        deliver_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        overrides: overrides
            .map_or(Ok(Default::default()), |plain| json(&String::from_utf8_lossy(&plain)))?,
        endpoints: keys(&row.get::<_, String>(10)?)?,
    })
}

/// Reads a row of [`ATTEMPT`].
pub(super) fn attempt(row: &Row<'_>) -> Result<Attempt> {
    let record = NewAttempt {
        message: MessageId(row.get(1)?),
        endpoint: EndpointKey(row.get(2)?),
        run: row.get(3)?,
        number: row.get(4)?,
        trigger: coded(row.get(5)?, Trigger::from_code)?,
        outcome: coded(row.get(6)?, Outcome::from_code)?,
        disposition: coded(row.get(7)?, Disposition::from_code)?,
        started_at: Timestamp(row.get(8)?),
        duration_ms: row.get(9)?,
        status: row.get(10)?,
        url: row.get(11)?,
        response: Bytes::from(row.get::<_, Vec<u8>>(12)?),
    };
    Ok(Attempt { id: AttemptId(row.get(0)?), record })
}

/// Reads an integer column that stands for one of a few values.
pub(super) fn coded<T>(code: i64, read: impl Fn(i64) -> Option<T>) -> Result<T> {
    read(code).ok_or_else(|| StoreError::Broken(format!("a column holds the unknown code {code}")))
}

/// Collects rows with their sizes in bytes until they are enough for a page; true when rows are left.
pub(super) fn collect_page<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<(T, usize)>,
) -> Result<(Vec<T>, bool)> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        if bytes >= PAGE_BYTES_MAX {
            return Ok((found, true));
        }
        let (item, size) = read(row)?;
        bytes += size;
        found.push(item);
    }
    Ok((found, false))
}

/// Collects rows that are read with our own errors.
pub(super) fn collect<T>(
    mut rows: rusqlite::Rows<'_>,
    read: impl Fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}
