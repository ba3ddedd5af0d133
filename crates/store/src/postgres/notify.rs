//! Who hears of endpoints that fail, on PostgreSQL.

use super::Postgres;
use super::readers::Parameter;
use crate::error::{Result, StoreError};
use crate::notify::{
    Notifies, StoredSubscription, full, open_notify, open_subscription, seal_notify, seal_subscription,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::limit::PUSH_SUBSCRIPTIONS_MAX;
use domain::notify::{Notify, Subscription};
use tokio_postgres::Row;

#[async_trait]
impl Notifies for Postgres {
    async fn notify_get(&self, application: ApplicationKey) -> Result<Notify> {
        let sql = "SELECT sealed_value FROM notify WHERE application = $1";
        let row = self.readers.row(sql, &[&application.0]).await?;
        open_notify(row.as_ref().map(|row| row.get(0)), &self.node.sealer)
    }

    async fn notify_put(&self, application: ApplicationKey, notify: Notify) -> Result<()> {
        let sql = "INSERT INTO notify (application, sealed_value) VALUES ($1, $2)
                   ON CONFLICT (application) DO UPDATE SET sealed_value = excluded.sealed_value";
        let sealed = seal_notify(&notify, &self.node.sealer)?;
        self.readers.execute(sql, &[&application.0, &sealed]).await.map(|_| ())
    }

    async fn subscription_put(
        &self,
        application: ApplicationKey,
        id: String,
        subscription: Subscription,
    ) -> Result<()> {
        // Two at the same moment may pass the limit by one; it is there to bound, not to count.
        let sql = "INSERT INTO push_subscription (id, application, sealed_value, created_at)
                   SELECT $1, $2, $3, $4
                   WHERE (SELECT count(*) FROM push_subscription WHERE application = $2 AND id <> $1) < $5
                   ON CONFLICT (id) DO UPDATE SET sealed_value = excluded.sealed_value";
        let sealed = seal_subscription(&subscription, &self.node.sealer)?;
        let most = PUSH_SUBSCRIPTIONS_MAX as i64;
        let values: &[Parameter<'_>] = &[&id, &application.0, &sealed, &self.node.now().0, &most];
        if self.readers.execute(sql, values).await? == 0 { Err(full()) } else { Ok(()) }
    }

    async fn subscriptions(&self, application: ApplicationKey) -> Result<Vec<StoredSubscription>> {
        let sql =
            "SELECT id, sealed_value, created_at FROM push_subscription WHERE application = $1 ORDER BY id";
        let open = |row: &Row| {
            let subscription = open_subscription(row.get(1), &self.node.sealer)?;
            Ok(StoredSubscription { id: row.get(0), subscription, created_at: Timestamp(row.get(2)) })
        };
        self.readers.rows(sql, &[&application.0]).await?.iter().map(open).collect()
    }

    async fn subscription_delete(&self, application: ApplicationKey, id: &str) -> Result<()> {
        let sql = "DELETE FROM push_subscription WHERE id = $1 AND application = $2";
        match self.readers.execute(sql, &[&id, &application.0]).await? {
            0 => Err(StoreError::NotFound),
            _ => Ok(()),
        }
    }

    async fn unsubscribe(
        &self,
        application: ApplicationKey,
        recipient: &str,
        wants_none: bool,
    ) -> Result<()> {
        let sql = if wants_none {
            "INSERT INTO unsubscribed (application, recipient) VALUES ($1, $2) ON CONFLICT DO NOTHING"
        } else {
            "DELETE FROM unsubscribed WHERE application = $1 AND recipient = $2"
        };
        self.readers.execute(sql, &[&application.0, &recipient]).await.map(|_| ())
    }

    async fn unsubscribed(&self, application: ApplicationKey) -> Result<Vec<String>> {
        let sql = "SELECT recipient FROM unsubscribed WHERE application = $1 ORDER BY recipient";
        let rows = self.readers.rows(sql, &[&application.0]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
