//! Attempts on PostgreSQL: one by id, lists by endpoint and by message.

use super::Postgres;
use super::delivery::SKEW;
use super::delivery_list::{EndpointMessages, endpoints_of_message, message_exists_sql};
use super::message::filter_time;
use super::query::Conditions;
use super::row::{self, ATTEMPT};
use crate::attempt::{
    AttemptFilter, Attempts, DeliveryCounts, EndpointMessage, Mark, MessageEndpoint, newest,
};
use crate::error::{Result, StoreError};
use crate::list::{candidates, rekey, sort_walking};
use async_trait::async_trait;
use domain::attempt::{Attempt, Disposition};
use domain::clock::Timestamp;
use domain::delivery::DeliveryState;
use domain::id::{AttemptId, EndpointKey, MessageId, floor_of};
use domain::message::Message;
use domain::page::{Page, Slice};
use tokio_postgres::Row;

/// Adds what a list filters attempts by, but for the endpoint and the disposition.
fn filter_attempts(conditions: &mut Conditions, filter: &AttemptFilter) {
    filter_time(conditions, "attempt.id", filter.before, filter.after);
    if let Some(class) = filter.status_class {
        conditions.with("attempt.status / 100 = ?", i32::from(class / 100));
    }
    message_exists_sql(conditions, filter);
}

impl Postgres {
    async fn attempts(&self, conditions: &mut Conditions, page: &Page<i64>) -> Result<Vec<Attempt>> {
        let sql = format!("SELECT {ATTEMPT} FROM attempt {}", conditions.tail("attempt.id", page));
        self.readers.rows(&sql, &conditions.parameters()).await?.iter().map(row::attempt).collect()
    }

    async fn by_endpoint(
        &self,
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
                .with("attempt.disposition = ?", disposition.code() as i16)
                .page("attempt.id", page);
            filter_attempts(&mut conditions, filter);
            found.extend(self.attempts(&mut conditions, page).await?);
        }
        sort_walking(&mut found, page, |attempt| attempt.id);
        Ok(found)
    }

    async fn by_message(
        &self,
        message: MessageId,
        endpoints: &[EndpointKey],
        (filter, page): (&AttemptFilter, &Page<i64>),
    ) -> Result<Vec<Attempt>> {
        let endpoints: Vec<i64> = endpoints
            .iter()
            .filter(|endpoint| filter.endpoint.is_none_or(|wanted| wanted == **endpoint))
            .map(|endpoint| endpoint.0)
            .collect();
        let mut conditions = Conditions::default();
        conditions
            .with("attempt.endpoint = ANY(?::bigint[])", endpoints)
            .with("attempt.message = ?", message.0)
            .with("attempt.id > ?", message.0 - SKEW)
            .page("attempt.id", page);
        if let Some(disposition) = filter.disposition {
            conditions.with("attempt.disposition = ?", disposition.code() as i16);
        }
        filter_attempts(&mut conditions, filter);
        self.attempts(&mut conditions, page).await
    }
}

#[async_trait]
impl Attempts for Postgres {
    async fn attempt_get(&self, message: MessageId, id: AttemptId) -> Result<Attempt> {
        let sql = format!("SELECT {ATTEMPT} FROM attempt WHERE id = $1 AND message = $2");
        let row = self.readers.row(&sql, &[&id.0, &message.0]).await?;
        row.map_or(Err(StoreError::NotFound), |row| row::attempt(&row))
    }

    async fn attempt_list_by_endpoint(
        &self,
        endpoint: EndpointKey,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>> {
        let page = rekey(&page, |id| id.0);
        Ok(page.slice(self.by_endpoint(endpoint, &filter, &page).await?))
    }

    async fn attempt_list_by_message(
        &self,
        message: &Message,
        filter: AttemptFilter,
        page: Page<AttemptId>,
    ) -> Result<Slice<Attempt>> {
        let page = rekey(&page, |id| id.0);
        let endpoints = candidates(&self.node.shared.routing, message);
        Ok(page.slice(self.by_message(message.id, &endpoints, (&filter, &page)).await?))
    }

    async fn messages_of_endpoint(
        &self,
        endpoint: EndpointKey,
        state: Option<DeliveryState>,
        filter: AttemptFilter,
        page: Page<MessageId>,
    ) -> Result<Slice<EndpointMessage>> {
        let route = self.node.shared.routing.route(endpoint).ok_or(StoreError::NotFound)?;
        let application = route.endpoint.application;
        let lent = self.readers.lend().await?;
        EndpointMessages { application, endpoint, state, filter, page, node: &self.node, lent: &lent }
            .read()
            .await
    }

    async fn endpoints_of_message(
        &self,
        message: &Message,
        page: Page<EndpointKey>,
    ) -> Result<Slice<MessageEndpoint>> {
        let endpoints = candidates(&self.node.shared.routing, message);
        let lent = self.readers.lend().await?;
        endpoints_of_message(&lent, message, endpoints, &page).await
    }

    async fn attempt_marks(
        &self,
        endpoints: Vec<EndpointKey>,
        each: u16,
        since: Timestamp,
    ) -> Result<Vec<Mark>> {
        // The index alone answers, from the newest partition on.
        let sql = "SELECT e.key, d.code, a.id FROM unnest($1::bigint[]) AS e (key)
                   CROSS JOIN unnest('{0, 1, 2}'::smallint[]) AS d (code)
                   CROSS JOIN LATERAL (
                       SELECT id FROM attempt WHERE endpoint = e.key AND disposition = d.code AND id >= $2
                       ORDER BY id DESC LIMIT $3
                   ) AS a";
        let keys: Vec<i64> = endpoints.iter().map(|endpoint| endpoint.0).collect();
        let rows = self.readers.rows(sql, &[&keys, &floor_of(since), &i64::from(each)]).await?;
        let mark = |row: &Row| {
            let code = row.get::<_, i16>(1).into();
            let disposition = Disposition::from_code(code);
            let disposition =
                disposition.ok_or_else(|| StoreError::Broken(format!("unknown disposition {code}")))?;
            Ok(Mark { endpoint: EndpointKey(row.get(0)), id: AttemptId(row.get(2)), disposition })
        };
        let found = rows.iter().map(mark).collect::<Result<Vec<_>>>()?;
        let of = |endpoint: EndpointKey| {
            newest(found.iter().filter(|mark| mark.endpoint == endpoint).copied().collect(), each)
        };
        Ok(endpoints.into_iter().flat_map(of).collect())
    }

    async fn attempt_expunge(&self, message: MessageId, id: AttemptId) -> Result<()> {
        let changed = self
            .readers
            .execute("UPDATE attempt SET response = '' WHERE id = $1 AND message = $2", &[&id.0, &message.0])
            .await?;
        if changed == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    async fn delivery_counts(
        &self,
        endpoint: EndpointKey,
        since: Timestamp,
        until: Timestamp,
    ) -> Result<DeliveryCounts> {
        // An endpoint of no application any more has nothing on its way.
        let application =
            self.node.shared.routing.route(endpoint).map_or(0, |route| route.endpoint.application.0);
        let row = self
            .readers
            .row(
                "SELECT (SELECT count(*) FROM attempt
                         WHERE endpoint = $1 AND disposition = 0 AND id >= $2 AND id < $3),
                        (SELECT count(*) FROM attempt
                         WHERE endpoint = $1 AND disposition = 2 AND id >= $2 AND id < $3),
                        (SELECT count(*) FROM delivery
                         WHERE endpoint = $1 AND state = 0 AND message >= $2 AND message < $3),
                        (SELECT count(*) FROM delivery
                         WHERE endpoint = $1 AND state = 1 AND message >= $2 AND message < $3),
                        (SELECT count(*) FROM message
                         WHERE application = $4 AND id > (SELECT min(checkpoint) FROM lease) AND id >= $2 AND id < $3
                           AND $1 = ANY(endpoints)
                           AND NOT EXISTS (SELECT FROM delivery WHERE endpoint = $1 AND message = message.id)
                           AND NOT EXISTS (SELECT FROM attempt
                                           WHERE endpoint = $1 AND message = message.id AND attempt.id > message.id - $5))",
                &[&endpoint.0, &floor_of(since), &floor_of(until), &application, &SKEW],
            )
            .await?
            .ok_or(StoreError::NotFound)?;
        let count = |index: usize| row.get::<_, i64>(index).unsigned_abs();
        Ok(DeliveryCounts {
            succeeded: count(0),
            failed: count(1),
            pending: count(2),
            canceled: count(3),
            sending: count(4),
        })
    }
}
