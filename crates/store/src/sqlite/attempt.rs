//! Attempts on SQLite: one by id, lists by endpoint and by message.

use super::Sqlite;
use super::delivery_list::message_exists_sql;
use super::message::{filter_labels, filter_time};
use super::query::Conditions;
use super::row::{self, collect};
use crate::attempt::{
    AttemptFilter, Attempts, DeliveryCounts, EndpointMessage, Mark, MessageEndpoint, newest,
};
use crate::error::{Result, StoreError};
use crate::list::{candidates, rekey, sort_walking};
use async_trait::async_trait;
use domain::attempt::{Attempt, Disposition};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::id::{ApplicationKey, AttemptId, EndpointKey, MessageId, floor_of};
use domain::message::Message;
use domain::page::{Page, Slice};
use rusqlite::{Connection, params};
use std::sync::Arc;

/// Adds what a list filters attempts by, but for the endpoint and the disposition.
fn filter_attempts(conditions: &mut Conditions, filter: &AttemptFilter) {
    filter_time(conditions, "attempt.id", filter.before, filter.after);
    if let Some(class) = filter.status_class {
        conditions.with("attempt.status / 100 = ?", i64::from(class / 100));
    }
    let mut labels = Conditions::default();
    filter_labels(&mut labels, &filter.event_types, filter.channel.as_ref(), filter.tag.as_ref());
    if !labels.values.is_empty() {
        message_exists_sql(conditions, filter);
    }
}

fn by_endpoint(
    c: &Connection,
    endpoint: EndpointKey,
    filter: &AttemptFilter,
    page: &Page<i64>,
) -> Result<Vec<Attempt>> {
    // One index range a disposition, merged: the index begins with (endpoint, disposition).
    let wanted = filter.disposition.map_or(Disposition::ALL.to_vec(), |d| vec![d]);
    let mut found = Vec::new();
    for disposition in wanted {
        let mut conditions = Conditions::default();
        conditions
            .with("attempt.endpoint = ?", endpoint.0)
            .with("attempt.disposition = ?", disposition.code())
            .page("attempt.id", page);
        filter_attempts(&mut conditions, filter);
        let sql = format!(
            "SELECT {} FROM attempt INDEXED BY attempt_by_disposition {}",
            row::ATTEMPT,
            conditions.tail("attempt.id", page)
        );
        let mut statement = c.prepare_cached(&sql)?;
        found
            .extend(collect(statement.query(rusqlite::params_from_iter(&conditions.values))?, row::attempt)?);
    }
    sort_walking(&mut found, page, |attempt| attempt.id);
    Ok(found)
}

fn by_message(
    c: &Connection,
    message: MessageId,
    endpoints: &[EndpointKey],
    filter: &AttemptFilter,
    page: &Page<i64>,
) -> Result<Vec<Attempt>> {
    let mut found = Vec::new();
    for endpoint in endpoints.iter().filter(|e| filter.endpoint.is_none_or(|wanted| wanted == **e)) {
        let mut conditions = Conditions::default();
        conditions.with("attempt.endpoint = ?", endpoint.0).with("attempt.message = ?", message.0);
        conditions.page("attempt.id", page);
        if let Some(disposition) = filter.disposition {
            conditions.with("attempt.disposition = ?", disposition.code());
        }
        filter_attempts(&mut conditions, filter);
        let sql = format!(
            "SELECT {} FROM attempt INDEXED BY attempt_by_delivery {}",
            row::ATTEMPT,
            conditions.tail("attempt.id", page)
        );
        let mut statement = c.prepare_cached(&sql)?;
        found
            .extend(collect(statement.query(rusqlite::params_from_iter(&conditions.values))?, row::attempt)?);
    }
    sort_walking(&mut found, page, |attempt| attempt.id);
    Ok(found)
}

/// The latest attempts of an endpoint: the index alone answers.
fn marks(c: &Connection, endpoint: EndpointKey, each: u16, since: Timestamp) -> Result<Vec<Mark>> {
    let mut found = Vec::new();
    for disposition in Disposition::ALL {
        let mut statement = c.prepare_cached(
            "SELECT id FROM attempt INDEXED BY attempt_by_disposition
             WHERE endpoint = ?1 AND disposition = ?2 AND id >= ?3 ORDER BY id DESC LIMIT ?4",
        )?;
        let rows = statement.query(params![endpoint.0, disposition.code(), floor_of(since), each])?;
        let mark = |row: &rusqlite::Row<'_>| {
            Ok(Mark { endpoint, id: AttemptId(row.get(0)?), disposition: *disposition })
        };
        found.extend(collect(rows, mark)?);
    }
    Ok(newest(found, each))
}

/// What is in dispatch's memory: messages above the checkpoint with neither an attempt nor a row.
const SENDING: &str = "SELECT count(*) FROM message
     WHERE application = ?1 AND id > (SELECT min(checkpoint) FROM lease) AND id >= ?3 AND id < ?4
       AND EXISTS (SELECT 1 FROM json_each(message.endpoints) WHERE value = ?2)
       AND NOT EXISTS (SELECT 1 FROM delivery WHERE endpoint = ?2 AND message = message.id)
       AND NOT EXISTS (SELECT 1 FROM attempt INDEXED BY attempt_by_delivery WHERE endpoint = ?2 AND message = message.id)";

/// Counts of `endpoint`'s deliveries. An endpoint of no application any more has nothing on its way.
fn counts(
    c: &Connection,
    application: Option<ApplicationKey>,
    endpoint: EndpointKey,
    since: Timestamp,
    until: Timestamp,
) -> Result<DeliveryCounts> {
    let attempts = |disposition: Disposition| -> Result<u64> {
        let count: i64 = c
            .prepare_cached("SELECT count(*) FROM attempt WHERE endpoint = ?1 AND disposition = ?2 AND id >= ?3 AND id < ?4")?
            .query_row(params![endpoint.0, disposition.code(), floor_of(since), floor_of(until)], |r| r.get(0))?;
        Ok(count.unsigned_abs())
    };
    let rows = |state: i64| -> Result<u64> {
        let count: i64 = c
            .prepare_cached("SELECT count(*) FROM delivery WHERE endpoint = ?1 AND state = ?2 AND message >= ?3 AND message < ?4")?
            .query_row(params![endpoint.0, state, floor_of(since), floor_of(until)], |r| r.get(0))?;
        Ok(count.unsigned_abs())
    };
    Ok(DeliveryCounts {
        succeeded: attempts(Disposition::Succeeded)?,
        failed: attempts(Disposition::Failed)?,
        pending: rows(0)?,
        canceled: rows(1)?,
        sending: match application {
            None => 0,
            Some(application) => c
                .prepare_cached(SENDING)?
                .query_row(params![application.0, endpoint.0, floor_of(since), floor_of(until)], |r| {
                    r.get::<_, i64>(0)
                })?
                .unsigned_abs(),
        },
    })
}

#[async_trait]
impl Attempts for Sqlite {
    async fn attempt_get(&self, message: MessageId, id: AttemptId) -> Result<Attempt> {
        self.readers
            .read(move |c| {
                let sql = format!("SELECT {} FROM attempt WHERE id = ?1 AND message = ?2", row::ATTEMPT);
                let mut statement = c.prepare_cached(&sql)?;
                statement
                    .query(params![id.0, message.0])?
                    .next()?
                    .map_or(Err(StoreError::NotFound), row::attempt)
            })
            .await
    }

    async fn attempt_list_by_endpoint(
        &self,
        endpoint: EndpointKey,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>> {
        let page = rekey(&page, |id| id.0);
        self.readers.read(move |c| Ok(page.slice(by_endpoint(c, endpoint, &filter, &page)?))).await
    }

    async fn attempt_list_by_message(
        &self,
        message: &Message,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>> {
        let page = rekey(&page, |id| id.0);
        let endpoints = candidates(&self.shared.routing, message);
        let message = message.id;
        self.readers.read(move |c| Ok(page.slice(by_message(c, message, &endpoints, &filter, &page)?))).await
    }

    async fn messages_of_endpoint(
        &self,
        endpoint: EndpointKey,
        state: Option<DeliveryState>,
        filter: AttemptFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<EndpointMessage>> {
        let route = self.shared.routing.route(endpoint).ok_or(StoreError::NotFound)?;
        let application = route.endpoint.application;
        let sealer = Arc::clone(&self.sealer);
        let list =
            super::delivery_list::EndpointMessages { application, endpoint, state, filter, page, sealer };
        self.readers.read(move |c| list.read(c)).await
    }

    async fn endpoints_of_message(
        &self,
        message: &Message,
        page: Page<EndpointKey>,
    ) -> Result<Slice<MessageEndpoint>> {
        let endpoints = candidates(&self.shared.routing, message);
        let message = message.clone();
        self.readers
            .read(move |c| super::delivery_list::endpoints_of_message(c, &message, endpoints, &page))
            .await
    }

    async fn attempt_marks(
        &self,
        endpoints: Vec<EndpointKey>,
        each: u16,
        since: Timestamp,
    ) -> Result<Vec<Mark>> {
        let list = move |c: &Connection| {
            let of = endpoints.iter().map(|endpoint| marks(c, *endpoint, each, since));
            Ok(of.collect::<Result<Vec<_>>>()?.concat())
        };
        self.readers.read(list).await
    }

    async fn attempt_expunge(&self, message: MessageId, id: AttemptId) -> Result<()> {
        self.writer
            .write(
                move |c, _| {
                    let changed = c
                        .prepare_cached("UPDATE attempt SET response = x'' WHERE id = ?1 AND message = ?2")?
                        .execute(params![id.0, message.0])?;
                    if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
                },
                |_, ()| {},
            )
            .await
    }

    async fn delivery_counts(
        &self,
        endpoint: EndpointKey,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts> {
        let application = self.shared.routing.route(endpoint).map(|route| route.endpoint.application);
        self.readers.read(move |c| counts(c, application, endpoint, since, until)).await
    }
}
