//! Read connections, kept in pools: lists that clients ask for never keep waiting what dispatch and ingest need.

use super::connection::{Purpose, Server};
use crate::error::{Result, StoreError};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// How long a caller waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A pool of read connections. Their statements are prepared once.
#[derive(Debug)]
pub(super) struct Readers(Pool);

impl Readers {
    /// A pool of at most so many connections, made when they are needed.
    pub(super) fn new(server: &Server, connections: usize) -> Result<Self> {
        let manager = Manager::from_config(
            server.for_session(Purpose::Other),
            server.tls.clone(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .wait_timeout(Some(WAIT_MAX))
            .create_timeout(Some(server.connect_within()))
            .recycle_timeout(Some(WAIT_MAX))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Broken(format!("the pool of connections: {error}")))?;
        Ok(Self(pool))
    }

    /// A connection for several statements.
    pub(super) async fn lend(&self) -> Result<Lent> {
        let lent = self.0.get().await.map_err(|error| match error {
            PoolError::Backend(error) => error.into(),
            PoolError::Timeout(_) => {
                StoreError::Unavailable("PostgreSQL does not answer, or is asked too much".into())
            }
            other => StoreError::Unavailable(other.to_string()),
        })?;
        Ok(Lent(lent))
    }

    /// The rows of one statement.
    pub(super) async fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        self.lend().await?.rows(sql, parameters).await
    }

    /// The first row of one statement.
    pub(super) async fn row(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Option<Row>> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// How many rows one statement changed.
    pub(super) async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64> {
        let lent = self.lend().await?;
        let statement = lent.0.prepare_cached(sql).await?;
        Ok(lent.0.execute(&statement, parameters).await?)
    }

    /// Lets all connections go.
    pub(super) fn close(&self) {
        self.0.close();
    }
}

/// A connection of a pool, for a while.
pub(super) struct Lent(Object);

impl Lent {
    /// The rows of one statement.
    pub(super) async fn rows(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>> {
        Ok(self.try_rows(sql, parameters).await?)
    }

    /// The same with the server's own error.
    pub(super) async fn try_rows(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> std::result::Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.0.prepare_cached(sql).await?;
        self.0.query(&statement, parameters).await
    }

    /// The client itself.
    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.0
    }
}
