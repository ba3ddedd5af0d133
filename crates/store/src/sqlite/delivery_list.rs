//! Deliveries as lists show them: a state for each (message, endpoint), from attempts, rows and what is in memory.
//!
//! A delivery that has neither an attempt nor a row is in dispatch's memory: its message lies above the lease's
//! checkpoint, so that only the short tail of the log has to be looked through for those.

use super::message::{filter_labels, filter_time};
use super::query::Conditions;
use super::row;
use crate::attempt::{AttemptFilter, EndpointMessage, MessageEndpoint};
use crate::error::{Result, StoreError};
use crate::list::{rekey, sort_walking};
use crate::seal::Sealer;
use domain::attempt::Disposition;
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::id::{ApplicationKey, EndpointKey, MessageId};
use domain::limit::PAGE_BYTES_MAX;
use domain::message::Message;
use domain::page::{Page, Slice};
use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};
use std::sync::Arc;

/// Adds "its message has these labels" to conditions on attempts.
pub(super) fn message_exists_sql(conditions: &mut Conditions, filter: &AttemptFilter) {
    let mut labels = Conditions::default();
    filter_labels(&mut labels, &filter.event_types, filter.channel.as_ref(), filter.tag.as_ref());
    // Each label is a condition of its own, so that every one keeps its own mark.
    if !filter.event_types.is_empty() {
        conditions.with(
            "EXISTS (SELECT 1 FROM message WHERE message.id = attempt.message
              AND message.event_type IN (SELECT value FROM json_each(?)))",
            serde_json::to_string(&filter.event_types).unwrap_or_default(),
        );
    }
    for (column, wanted) in [("channels", &filter.channel), ("tags", &filter.tag)] {
        if let Some(wanted) = wanted {
            let sql = format!(
                "EXISTS (SELECT 1 FROM message, json_each(message.{column}) AS label
                  WHERE message.id = attempt.message AND label.value = ?)"
            );
            conditions.with(&sql, wanted.clone());
        }
    }
}

/// The latest state of a message at an endpoint; none when it was never meant for it.
fn state(
    c: &Connection,
    message: &Message,
    endpoint: EndpointKey,
) -> Result<Option<(DeliveryState, Option<Timestamp>)>> {
    let (pending, canceled): (Option<i64>, Option<i64>) = c
        .prepare_cached(
            "SELECT min(CASE state WHEN 0 THEN due_at END), min(CASE state WHEN 1 THEN due_at END)
             FROM delivery WHERE endpoint = ?1 AND message = ?2",
        )?
        .query_row(params![endpoint.0, message.id.0], |r| Ok((r.get(0)?, r.get(1)?)))?;
    if let Some(due_at) = pending {
        return Ok(Some((DeliveryState::Pending, Some(Timestamp(due_at)))));
    }
    let latest: Option<i64> = c
        .prepare_cached(
            "SELECT disposition FROM attempt INDEXED BY attempt_by_delivery WHERE endpoint = ?1 AND message = ?2
             ORDER BY id DESC LIMIT 1",
        )?
        .query(params![endpoint.0, message.id.0])?
        .next()?
        .map(|r| r.get(0))
        .transpose()?;
    let latest = latest.map(|code| row::coded(code, Disposition::from_code)).transpose()?;
    let state = match latest {
        Some(Disposition::Succeeded) => DeliveryState::Succeeded,
        _ if canceled.is_some() => DeliveryState::Canceled,
        Some(Disposition::Failed) => DeliveryState::Failed,
        Some(Disposition::Retrying) => DeliveryState::Pending,
        None if message.endpoints.contains(&endpoint) => DeliveryState::Sending,
        None => return Ok(None),
    };
    Ok(Some((state, None)))
}

/// A page of a message's endpoints.
pub(super) fn endpoints_of_message(
    c: &Connection,
    message: &Message,
    mut endpoints: Vec<EndpointKey>,
    page: &Page<EndpointKey>,
) -> Result<Slice<MessageEndpoint>> {
    if !page.walks_up() {
        endpoints.reverse();
    }
    let beyond = |key: EndpointKey| {
        page.bound().is_none_or(|bound| if page.walks_up() { key > *bound } else { key < *bound })
    };
    let mut found = Vec::new();
    for endpoint in endpoints.into_iter().filter(|key| beyond(*key)) {
        if let Some((state, next_attempt)) = state(c, message, endpoint)? {
            found.push(MessageEndpoint { endpoint, state, next_attempt });
        }
        if found.len() > usize::from(page.items) {
            break;
        }
    }
    Ok(page.slice(found))
}

/// What a list of an endpoint's messages asks for.
pub(super) struct EndpointMessages {
    pub(super) application: ApplicationKey,
    pub(super) endpoint: EndpointKey,
    pub(super) state: Option<DeliveryState>,
    pub(super) filter: AttemptFilter,
    pub(super) page: Page<MessageId>,
    pub(super) sealer: Arc<Sealer>,
}

/// Where a list's order comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Attempts with this disposition, in the order of their ids.
    Attempts(Disposition),
    /// The same of failed ones, with canceled rows among them by the ids of their messages. Ids of both kinds come
    /// from one generator, so they order as time does and none is of both kinds.
    Failures,
    /// Message ids from rows, attempts and the tail.
    Messages,
}

impl EndpointMessages {
    pub(super) fn read(&self, c: &Connection) -> Result<Slice<EndpointMessage>> {
        let source = match self.state {
            Some(DeliveryState::Succeeded) => Source::Attempts(Disposition::Succeeded),
            Some(DeliveryState::Failed) if self.filter.canceled_too => Source::Failures,
            Some(DeliveryState::Failed) => Source::Attempts(Disposition::Failed),
            _ => Source::Messages,
        };
        let mut page = rekey(&self.page, |id| id.0);
        if let Some(message) = self.page.bound() {
            let bound = self.place(c, *message, source)?;
            page = rekey(&page, |_| bound);
        }
        let mut found: Vec<EndpointMessage> = Vec::new();
        let mut bytes = 0;
        loop {
            let keys = match source {
                Source::Attempts(disposition) => self.keys_by_attempt(c, disposition, &page)?,
                Source::Failures => self.keys_of_failures(c, &page)?,
                Source::Messages => self.keys_by_message(c, &page)?,
            };
            let Some((last, _)) = keys.last().copied() else { break };
            for (key, message) in &keys {
                // A message that was delivered again stands in the list once, where it was delivered last.
                if self.place(c, *message, source)? != *key {
                    continue;
                }
                bytes += self.take(c, *message, &mut found)?;
                if found.len() > usize::from(page.items) || bytes >= PAGE_BYTES_MAX {
                    return Ok(self.page.slice_of(found, true));
                }
            }
            if keys.len() <= usize::from(page.items) {
                break;
            }
            page.from = match page.from {
                domain::page::From::Before(_) => domain::page::From::Before(last),
                _ => domain::page::From::After(last),
            };
        }
        Ok(self.page.slice(found))
    }

    /// Adds the message to the page if it fits the filter and is in the wanted state; the bytes that it adds.
    fn take(&self, c: &Connection, id: MessageId, found: &mut Vec<EndpointMessage>) -> Result<usize> {
        if found.iter().any(|there| there.message.id == id) {
            return Ok(0);
        }
        let mut conditions = Conditions::default();
        conditions.with("message.id = ?", id.0).with("message.application = ?", self.application.0);
        filter_time(&mut conditions, "message.id", self.filter.before, self.filter.after);
        filter_labels(
            &mut conditions,
            &self.filter.event_types,
            self.filter.channel.as_ref(),
            self.filter.tag.as_ref(),
        );
        let sql = format!("SELECT {} FROM message {}", row::MESSAGE, conditions.text());
        let mut statement = c.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(&conditions.values))?;
        let Some(message) = rows.next()?.map(|row| row::message(row, &self.sealer)).transpose()? else {
            return Ok(0);
        };
        let Some((state, next_attempt)) = state(c, &message, self.endpoint)?.filter(|(s, _)| self.wants(*s))
        else {
            return Ok(0);
        };
        let bytes = message.payload_bytes();
        found.push(EndpointMessage { message, state, next_attempt });
        Ok(bytes)
    }

    fn wants(&self, state: DeliveryState) -> bool {
        self.filter.shows(self.state, state)
    }

    /// Where the message stands in the list's order.
    fn place(&self, c: &Connection, message: MessageId, source: Source) -> Result<i64> {
        match source {
            Source::Messages => Ok(message.0),
            Source::Attempts(disposition) => self.reached(c, message, disposition),
            Source::Failures if self.is_canceled(c, message)? => Ok(message.0),
            Source::Failures => self.reached(c, message, Disposition::Failed),
        }
    }

    fn is_canceled(&self, c: &Connection, message: MessageId) -> Result<bool> {
        let sql = "SELECT EXISTS (SELECT 1 FROM delivery WHERE endpoint = ?1 AND message = ?2 AND state = 1)";
        Ok(c.prepare_cached(sql)?.query_row(params![self.endpoint.0, message.0], |row| row.get(0))?)
    }

    /// When the message reached this disposition here, as an attempt id.
    fn reached(&self, c: &Connection, message: MessageId, disposition: Disposition) -> Result<i64> {
        let id: Option<i64> = c
            .prepare_cached(
                "SELECT max(id) FROM attempt INDEXED BY attempt_by_delivery
                 WHERE endpoint = ?1 AND message = ?2 AND disposition = ?3",
            )?
            .query_row(params![self.endpoint.0, message.0, disposition.code()], |r| r.get(0))?;
        id.ok_or(StoreError::NotFound)
    }

    fn keys_by_attempt(
        &self,
        c: &Connection,
        disposition: Disposition,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions
            .with("attempt.endpoint = ?", self.endpoint.0)
            .with("attempt.disposition = ?", disposition.code())
            .page("attempt.id", page);
        let sql = format!(
            "SELECT attempt.id, attempt.message FROM attempt INDEXED BY attempt_by_disposition {}",
            conditions.tail("attempt.id", page)
        );
        self.pairs(c, &sql, &conditions.values)
    }

    fn keys_of_failures(&self, c: &Connection, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut found = self.keys_by_attempt(c, Disposition::Failed, page)?;
        found.extend(self.distinct(c, "delivery", Some(1), page)?);
        sort_walking(&mut found, page, |(key, _)| *key);
        Ok(found)
    }

    /// Distinct message ids from the endpoint's attempts, its rows, and the tail of the log.
    fn keys_by_message(&self, c: &Connection, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut found = Vec::new();
        let settled = !matches!(
            self.state,
            Some(DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Canceled)
        );
        if settled {
            found.extend(self.distinct(c, "attempt", None, page)?);
        }
        match self.state {
            Some(DeliveryState::Sending) => {}
            Some(DeliveryState::Canceled) => found.extend(self.distinct(c, "delivery", Some(1), page)?),
            Some(DeliveryState::Pending) => found.extend(self.distinct(c, "delivery", Some(0), page)?),
            _ => found.extend(self.distinct(c, "delivery", None, page)?),
        }
        found.extend(self.tail(c, page)?);
        sort_walking(&mut found, &Page { items: u16::MAX, ..page.clone() }, |(key, _)| *key);
        found.dedup();
        found.truncate(usize::from(page.items) + 1);
        Ok(found)
    }

    fn distinct(
        &self,
        c: &Connection,
        table: &str,
        state: Option<i64>,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions.with("endpoint = ?", self.endpoint.0).page("message", page);
        if let Some(state) = state {
            conditions.with("state = ?", state);
        }
        let index = if table == "attempt" { "INDEXED BY attempt_by_delivery" } else { "" };
        let sql = format!(
            "SELECT DISTINCT message, message FROM {table} {index} {}",
            conditions.tail("message", page)
        );
        self.pairs(c, &sql, &conditions.values)
    }

    fn tail(&self, c: &Connection, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions
            .with("application = ?", self.application.0)
            .bare("id > (SELECT min(checkpoint) FROM lease)")
            .with("EXISTS (SELECT 1 FROM json_each(endpoints) WHERE value = ?)", self.endpoint.0)
            .page("id", page);
        let sql = format!("SELECT id, id FROM message {}", conditions.tail("id", page));
        self.pairs(c, &sql, &conditions.values)
    }

    fn pairs(&self, c: &Connection, sql: &str, values: &[Value]) -> Result<Vec<(i64, MessageId)>> {
        let mut statement = c.prepare_cached(sql)?;
        let rows =
            statement.query_map(params_from_iter(values), |r| Ok((r.get(0)?, MessageId(r.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
