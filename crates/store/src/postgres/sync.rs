//! The routing table in step with what is configured, on every node.
//!
//! Every change takes the next version under the lock of one row, so that versions become visible in order. A node
//! reads what is newer than what it has seen: at once after its own change, when it is notified, and twice a second in
//! any case. All of it goes through one lock, so that an old state never comes after a newer one.

use super::connection::taken;
use super::connection::{Purpose, connect};
use super::node::Node;
use super::readers::{Lent, Parameter};
use super::{Postgres, application, endpoint, environment};
use crate::error::{Result, StoreError};
use domain::id::{ApplicationKey, EndpointKey};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_postgres::{Client, Row};

/// How often a node looks although nothing was notified: connections break, notifications get lost.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long notifications gather before the node looks.
const DEBOUNCE: Duration = Duration::from_millis(20);

/// Up to which version the routing table has been read.
#[derive(Debug, Default)]
pub(super) struct Sync(Mutex<i64>);

impl Sync {
    /// Reads what is newer than what was seen.
    pub(super) async fn catch_up(&self, client: &Client, node: &Node) -> Result<()> {
        let mut seen = self.0.lock().await;
        let version: i64 = client.query_one("SELECT version FROM configuration", &[]).await?.get(0);
        if version == *seen {
            return Ok(());
        }
        // A server took over that had not heard of everything: what is in memory may be what it does not have.
        if version < *seen {
            let why = format!(
                "the database went back from version {seen} of what is configured to {version}: it was restored, or a replica took over that lagged"
            );
            node.shared.fail_for(&why);
            return Err(StoreError::Unavailable(why));
        }
        let routing = &node.shared.routing;
        let sql = format!("SELECT {} FROM environment WHERE version > $1", environment::COLUMNS);
        for row in client.query(&sql, &[&*seen]).await? {
            routing.put_environment(environment::read(&row)?);
        }
        let sql = format!(
            "SELECT {}, deleted_at IS NOT NULL FROM application WHERE version > $1",
            application::COLUMNS
        );
        for row in client.query(&sql, &[&*seen]).await? {
            if row.get(9) {
                remove_application(node, ApplicationKey(row.get(0)))
            } else {
                routing.put_application(application::read(&row)?)
            }
        }
        let sql = format!(
            "SELECT {}, deleted_at IS NOT NULL FROM endpoint WHERE version > $1 ORDER BY application",
            endpoint::COLUMNS
        );
        put_endpoints(node, &client.query(&sql, &[&*seen]).await?)?;
        *seen = version;
        Ok(())
    }
}

fn remove_application(node: &Node, key: ApplicationKey) {
    let routing = &node.shared.routing;
    let endpoints: Vec<_> = routing.routes(key).iter().map(|route| route.endpoint.key).collect();
    routing.remove_application(key);
    endpoints.into_iter().for_each(|endpoint| node.shared.wakes.note(endpoint, node.now()));
}

/// A changed endpoint may have been resumed, disabled or deleted: dispatch looks at its rows again (PROTOCOL rule 12).
fn put_endpoints(node: &Node, rows: &[Row]) -> Result<()> {
    let routing = &node.shared.routing;
    for some in rows.chunk_by(|a, b| a.get::<_, i64>(1) == b.get::<_, i64>(1)) {
        let mut live = Vec::with_capacity(some.len());
        for row in some {
            let key = EndpointKey(row.get(0));
            if routing.route(key).is_some() {
                node.shared.wakes.note(key, node.now());
            }
            if row.get(row.len() - 1) {
                routing.remove_endpoint(key)
            } else {
                live.push(endpoint::read(row, &node.sealer)?)
            }
        }
        if let Some(first) = live.first() {
            routing.put_endpoints(first.application, live);
        }
    }
    Ok(())
}

impl Postgres {
    /// Changes what is configured, in one statement that also notifies, and catches up before it answers. A broken
    /// uniqueness means that `what` is taken.
    pub(super) async fn configure(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        what: &'static str,
    ) -> Result<Vec<Row>> {
        let lent: Lent = self.readers.lend().await?;
        let rows = lent.try_rows(sql, parameters).await.map_err(taken(what))?;
        self.sync.catch_up(lent.client(), &self.node).await?;
        Ok(rows)
    }
}

/// Follows what other nodes change, until the node stops.
pub(super) async fn run(node: Arc<Node>, sync: Arc<Sync>) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client = None;
    loop {
        tokio::select! {
            () = node.stop.cancelled() => return,
            _ = tick.tick() => {}
            () = node.configured.notified() => sleep(DEBOUNCE).await,
        }
        if let Err(error) = look(&node, &sync, &mut client).await {
            client = None;
            match error {
                StoreError::Broken(_) => {
                    tracing::error!(%error, "what is configured cannot be read: this node does not hear of changes");
                }
                _ => tracing::debug!(%error, "what is configured could not be read; trying again"),
            }
        }
    }
}

async fn look(node: &Arc<Node>, sync: &Sync, client: &mut Option<Client>) -> Result<()> {
    let connected = match client.take().filter(|client| !client.is_closed()) {
        Some(connected) => connected,
        None => {
            let notify = Arc::clone(&node.configured);
            let made = connect(&node.server, Purpose::Other, &node.tasks, Some(notify)).await?;
            made.batch_execute("LISTEN posthaste_configuration").await?;
            made
        }
    };
    sync.catch_up(&connected, node).await?;
    *client = Some(connected);
    Ok(())
}
