//! Who hears of endpoints that fail, on SQLite.

use super::Sqlite;
use super::row::collect;
use crate::error::{Result, StoreError};
use crate::notify::{
    Notifies, StoredSubscription, full, open_notify, open_subscription, seal_notify, seal_subscription,
};
use async_trait::async_trait;
use domain::clock::Timestamp;
use domain::id::ApplicationKey;
use domain::limit::PUSH_SUBSCRIPTIONS_MAX;
use domain::notify::{Notify, Subscription};
use rusqlite::{Connection, OptionalExtension, params};

#[async_trait]
impl Notifies for Sqlite {
    async fn notify_get(&self, application: ApplicationKey) -> Result<Notify> {
        let find = move |c: &Connection| {
            let mut statement = c.prepare_cached("SELECT sealed_value FROM notify WHERE application = ?1")?;
            Ok(statement.query_row([application.0], |row| row.get::<_, Vec<u8>>(0)).optional()?)
        };
        open_notify(self.readers.read(find).await?.as_deref(), &self.sealer)
    }

    async fn notify_put(&self, application: ApplicationKey, notify: Notify) -> Result<()> {
        let sealed = seal_notify(&notify, &self.sealer)?;
        let put = move |c: &Connection| {
            c.prepare_cached(
                "INSERT INTO notify (application, sealed_value) VALUES (?1, ?2)
                 ON CONFLICT (application) DO UPDATE SET sealed_value = excluded.sealed_value",
            )?
            .execute(params![application.0, sealed])?;
            Ok(())
        };
        self.writer.write(move |c, _| put(c), |_, ()| {}).await
    }

    async fn subscription_put(
        &self,
        application: ApplicationKey,
        id: String,
        subscription: Subscription,
    ) -> Result<()> {
        let (sealed, now) = (seal_subscription(&subscription, &self.sealer)?, self.clock.0.now());
        let put = move |c: &Connection| {
            let there: i64 = c
                .prepare_cached("SELECT count(*) FROM push_subscription WHERE application = ?1 AND id <> ?2")?
                .query_row(params![application.0, id], |row| row.get(0))?;
            if there.unsigned_abs() >= PUSH_SUBSCRIPTIONS_MAX as u64 {
                return Err(full());
            }
            c.prepare_cached(
                "INSERT INTO push_subscription (id, application, sealed_value, created_at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (id) DO UPDATE SET sealed_value = excluded.sealed_value",
            )?
            .execute(params![id, application.0, sealed, now.0])?;
            Ok(())
        };
        self.writer.write(move |c, _| put(c), |_, ()| {}).await
    }

    async fn subscriptions(&self, application: ApplicationKey) -> Result<Vec<StoredSubscription>> {
        let list = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT id, sealed_value, created_at FROM push_subscription WHERE application = ?1 ORDER BY id",
            )?;
            collect(statement.query([application.0])?, |row| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, i64>(2)?))
            })
        };
        let open = |(id, sealed, created_at): (String, Vec<u8>, i64)| {
            let subscription = open_subscription(&sealed, &self.sealer)?;
            Ok(StoredSubscription { id, subscription, created_at: Timestamp(created_at) })
        };
        self.readers.read(list).await?.into_iter().map(open).collect()
    }

    async fn subscription_delete(&self, application: ApplicationKey, id: &str) -> Result<()> {
        let id = id.to_owned();
        let delete = move |c: &Connection| {
            let mut statement =
                c.prepare_cached("DELETE FROM push_subscription WHERE id = ?1 AND application = ?2")?;
            match statement.execute(params![id, application.0])? {
                0 => Err(StoreError::NotFound),
                _ => Ok(()),
            }
        };
        self.writer.write(move |c, _| delete(c), |_, ()| {}).await
    }

    async fn unsubscribe(
        &self,
        application: ApplicationKey,
        recipient: &str,
        wants_none: bool,
    ) -> Result<()> {
        let recipient = recipient.to_owned();
        let note = move |c: &Connection| {
            let sql = if wants_none {
                "INSERT INTO unsubscribed (application, recipient) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
            } else {
                "DELETE FROM unsubscribed WHERE application = ?1 AND recipient = ?2"
            };
            c.prepare_cached(sql)?.execute(params![application.0, recipient])?;
            Ok(())
        };
        self.writer.write(move |c, _| note(c), |_, ()| {}).await
    }

    async fn unsubscribed(&self, application: ApplicationKey) -> Result<Vec<String>> {
        let list = move |c: &Connection| {
            let mut statement = c.prepare_cached(
                "SELECT recipient FROM unsubscribed WHERE application = ?1 ORDER BY recipient",
            )?;
            collect(statement.query([application.0])?, |row| Ok(row.get(0)?))
        };
        self.readers.read(list).await
    }
}
