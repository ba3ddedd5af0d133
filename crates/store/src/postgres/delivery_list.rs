//! Deliveries as lists show them: a state for each (message, endpoint), from attempts, rows and what is in memory.
//!
//! A delivery that has neither an attempt nor a row is in some node's memory: its message lies above the lowest
//! checkpoint, so that only the short tail of the log has to be looked through for those.

use super::delivery::SKEW;
use super::message::{filter_labels, filter_time};
use super::node::Node;
use super::query::Conditions;
use super::readers::Lent;
use super::row::{self, MESSAGE, MESSAGE_FROM};
use crate::attempt::{AttemptFilter, EndpointMessage, MessageEndpoint};
use crate::error::{Result, StoreError};
use crate::list::{rekey, sort_walking};
use domain::attempt::Disposition;
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::id::{ApplicationKey, EndpointKey, MessageId};
use domain::limit::PAGE_BYTES_MAX;
use domain::message::Message;
use domain::page::{Page, Slice};
use std::collections::HashMap;

/// Adds "its message has these labels" to conditions on attempts.
pub(super) fn message_exists_sql(conditions: &mut Conditions, filter: &AttemptFilter) {
    const EXISTS: &str = "EXISTS (SELECT FROM message WHERE message.id = attempt.message AND";
    if !filter.event_types.is_empty() {
        conditions
            .with(&format!("{EXISTS} message.event_type = ANY(?::text[]))"), filter.event_types.clone());
    }
    for (column, wanted) in [("channels", &filter.channel), ("tags", &filter.tag)] {
        if let Some(wanted) = wanted {
            conditions.with(&format!("{EXISTS} jsonb_exists(message.{column}, ?))"), wanted.clone());
        }
    }
}

type State = (DeliveryState, Option<Timestamp>);

/// The latest states of a message at these endpoints; those that it was never meant for are left out.
async fn states(
    lent: &Lent,
    message: &Message,
    endpoints: &[EndpointKey],
) -> Result<HashMap<EndpointKey, State>> {
    let keys: Vec<i64> = endpoints.iter().map(|endpoint| endpoint.0).collect();
    let rows = lent
        .rows(
            "SELECT wanted.endpoint, there.pending, there.canceled, latest.disposition
             FROM unnest($1::bigint[]) AS wanted (endpoint)
             CROSS JOIN LATERAL (
                 SELECT min(due_at) FILTER (WHERE state = 0) AS pending, min(due_at) FILTER (WHERE state = 1) AS canceled
                 FROM delivery WHERE delivery.endpoint = wanted.endpoint AND delivery.message = $2) AS there
             LEFT JOIN LATERAL (
                 SELECT disposition FROM attempt
                 WHERE attempt.endpoint = wanted.endpoint AND attempt.message = $2 AND attempt.id > $3
                 ORDER BY id DESC LIMIT 1) AS latest ON true",
            &[&keys, &message.id.0, &(message.id.0 - SKEW)],
        )
        .await?;
    let mut found = HashMap::new();
    for row in rows {
        let endpoint = EndpointKey(row.get(0));
        let (pending, canceled): (Option<i64>, Option<i64>) = (row.get(1), row.get(2));
        let latest = row.get::<_, Option<i16>>(3);
        let latest = latest.map(|code| row::coded(code, Disposition::from_code)).transpose()?;
        let state = match latest {
            _ if pending.is_some() => DeliveryState::Pending,
            Some(Disposition::Succeeded) => DeliveryState::Succeeded,
            _ if canceled.is_some() => DeliveryState::Canceled,
            Some(Disposition::Failed) => DeliveryState::Failed,
            Some(Disposition::Retrying) => DeliveryState::Pending,
            None if message.endpoints.contains(&endpoint) => DeliveryState::Sending,
            None => continue,
        };
        found.insert(endpoint, (state, pending.map(Timestamp)));
    }
    Ok(found)
}

/// A page of a message's endpoints.
pub(super) async fn endpoints_of_message(
    lent: &Lent,
    message: &Message,
    mut endpoints: Vec<EndpointKey>,
    page: &Page<EndpointKey>,
) -> Result<Slice<MessageEndpoint>> {
    if !page.walks_up() {
        endpoints.reverse();
    }
    let beyond = |key: &EndpointKey| {
        page.bound().is_none_or(|bound| if page.walks_up() { key > bound } else { key < bound })
    };
    endpoints.retain(beyond);
    let mut found = Vec::new();
    for some in endpoints.chunks(usize::from(page.items) + 1) {
        let states = states(lent, message, some).await?;
        for endpoint in some {
            if let Some((state, next_attempt)) = states.get(endpoint).copied() {
                found.push(MessageEndpoint { endpoint: *endpoint, state, next_attempt });
            }
        }
        if found.len() > usize::from(page.items) {
            found.truncate(usize::from(page.items) + 1);
            break;
        }
    }
    Ok(page.slice(found))
}

/// What a list of an endpoint's messages asks for.
pub(super) struct EndpointMessages<'a> {
    pub(super) application: ApplicationKey,
    pub(super) endpoint: EndpointKey,
    pub(super) state: Option<DeliveryState>,
    pub(super) filter: AttemptFilter,
    pub(super) page: Page<MessageId>,
    pub(super) node: &'a Node,
    pub(super) lent: &'a Lent,
}

/// Where a list's order comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Attempts with this disposition, in the order of their ids.
    Attempts(Disposition),
    /// The same of failed ones, with canceled rows among them by the ids of their messages. Ids of both kinds come
    /// from clocks that agree, so they order as time does and none is of both kinds.
    Failures,
    /// Message ids from rows, attempts and the tail.
    Messages,
}

impl EndpointMessages<'_> {
    pub(super) async fn read(&self) -> Result<Slice<EndpointMessage>> {
        let source = match self.state {
            Some(DeliveryState::Succeeded) => Source::Attempts(Disposition::Succeeded),
            Some(DeliveryState::Failed) if self.filter.canceled_too => Source::Failures,
            Some(DeliveryState::Failed) => Source::Attempts(Disposition::Failed),
            _ => Source::Messages,
        };
        let mut page = rekey(&self.page, |id| id.0);
        if let Some(message) = self.page.bound() {
            let bound = self.place(*message, source).await?;
            page = rekey(&page, |_| bound);
        }
        let mut found: Vec<EndpointMessage> = Vec::new();
        let mut bytes = 0;
        loop {
            let keys = match source {
                Source::Attempts(disposition) => self.keys_by_attempt(disposition, &page).await?,
                Source::Failures => self.keys_of_failures(&page).await?,
                Source::Messages => self.keys_by_message(&page).await?,
            };
            let Some((last, _)) = keys.last().copied() else { break };
            for (key, message) in &keys {
                // A message that was delivered again stands in the list once, where it was delivered last.
                if self.place(*message, source).await? != *key {
                    continue;
                }
                bytes += self.take(*message, &mut found).await?;
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
    async fn take(&self, id: MessageId, found: &mut Vec<EndpointMessage>) -> Result<usize> {
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
        let sql = format!("SELECT {MESSAGE} FROM {MESSAGE_FROM} {}", conditions.text());
        let rows = self.lent.rows(&sql, &conditions.parameters()).await?;
        let Some(message) = rows.first().map(|row| row::message(row, self.node)).transpose()? else {
            return Ok(0);
        };
        let states = states(self.lent, &message, &[self.endpoint]).await?;
        let Some((state, next_attempt)) = states.get(&self.endpoint).copied().filter(|(s, _)| self.wants(*s))
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
    async fn place(&self, message: MessageId, source: Source) -> Result<i64> {
        match source {
            Source::Messages => Ok(message.0),
            Source::Attempts(disposition) => self.reached(message, disposition).await,
            Source::Failures if self.is_canceled(message).await? => Ok(message.0),
            Source::Failures => self.reached(message, Disposition::Failed).await,
        }
    }

    async fn is_canceled(&self, message: MessageId) -> Result<bool> {
        let sql = "SELECT FROM delivery WHERE endpoint = $1 AND message = $2 AND state = 1 LIMIT 1";
        Ok(!self.lent.rows(sql, &[&self.endpoint.0, &message.0]).await?.is_empty())
    }

    /// When the message reached this disposition here, as an attempt id.
    async fn reached(&self, message: MessageId, disposition: Disposition) -> Result<i64> {
        let rows = self
            .lent
            .rows(
                "SELECT max(id) FROM attempt
                 WHERE endpoint = $1 AND message = $2 AND disposition = $3 AND id > $4",
                &[&self.endpoint.0, &message.0, &(disposition.code() as i16), &(message.0 - SKEW)],
            )
            .await?;
        rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).ok_or(StoreError::NotFound)
    }

    async fn keys_by_attempt(
        &self,
        disposition: Disposition,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions
            .with("attempt.endpoint = ?", self.endpoint.0)
            .with("attempt.disposition = ?", disposition.code() as i16)
            .page("attempt.id", page);
        let sql = format!(
            "SELECT attempt.id, attempt.message FROM attempt {}",
            conditions.tail("attempt.id", page)
        );
        self.pairs(&sql, &conditions).await
    }

    async fn keys_of_failures(&self, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut found = self.keys_by_attempt(Disposition::Failed, page).await?;
        found.extend(self.distinct("delivery", Some(1), page).await?);
        sort_walking(&mut found, page, |(key, _)| *key);
        Ok(found)
    }

    /// Distinct message ids from the endpoint's attempts, its rows, and the tail of the log.
    async fn keys_by_message(&self, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut found = Vec::new();
        let settled = !matches!(
            self.state,
            Some(DeliveryState::Pending | DeliveryState::Sending | DeliveryState::Canceled)
        );
        if settled {
            found.extend(self.distinct("attempt", None, page).await?);
        }
        match self.state {
            Some(DeliveryState::Sending) => {}
            Some(DeliveryState::Canceled) => found.extend(self.distinct("delivery", Some(1), page).await?),
            Some(DeliveryState::Pending) => found.extend(self.distinct("delivery", Some(0), page).await?),
            _ => found.extend(self.distinct("delivery", None, page).await?),
        }
        found.extend(self.tail(page).await?);
        sort_walking(&mut found, &Page { items: u16::MAX, ..page.clone() }, |(key, _)| *key);
        found.dedup();
        found.truncate(usize::from(page.items) + 1);
        Ok(found)
    }

    async fn distinct(
        &self,
        table: &str,
        state: Option<i16>,
        page: &Page<i64>,
    ) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions.with("endpoint = ?", self.endpoint.0).page("message", page);
        if let Some(state) = state {
            conditions.with("state = ?", state);
        }
        let sql =
            format!("SELECT DISTINCT message, message FROM {table} {}", conditions.tail("message", page));
        self.pairs(&sql, &conditions).await
    }

    async fn tail(&self, page: &Page<i64>) -> Result<Vec<(i64, MessageId)>> {
        let mut conditions = Conditions::default();
        conditions
            .with("application = ?", self.application.0)
            .bare("id > (SELECT min(checkpoint) FROM lease)")
            .with("? = ANY(endpoints)", self.endpoint.0)
            .page("id", page);
        let sql = format!("SELECT id, id FROM message {}", conditions.tail("id", page));
        self.pairs(&sql, &conditions).await
    }

    async fn pairs(&self, sql: &str, conditions: &Conditions) -> Result<Vec<(i64, MessageId)>> {
        let rows = self.lent.rows(sql, &conditions.parameters()).await?;
        Ok(rows.iter().map(|row| (row.get(0), MessageId(row.get(1)))).collect())
    }
}
