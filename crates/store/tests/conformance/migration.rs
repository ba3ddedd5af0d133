//! Migrations of PostgreSQL beside who uses the database: nobody is held up for long, and what was cut short is made again.

use crate::nodes::eventually;
use crate::protocol::session;
use std::thread::{self, JoinHandle};
use testkit::Cluster;

/// What the third migration and those after it made, taken back.
const BEFORE: &str = "
    DELETE FROM migration WHERE version >= 3;
    ALTER TABLE api_key DROP COLUMN used_at;
    DROP TABLE membership; DROP TABLE browser; DROP TABLE identity; DROP TABLE ticket; DROP TABLE users;
    DROP TABLE notice; DROP TABLE letter; DROP TABLE recipient; DROP TABLE notify; DROP TABLE push_subscription;
    DROP TABLE unsubscribed;
    DROP TABLE failing; DROP TABLE task; ALTER TABLE endpoint DROP COLUMN disabled_at, DROP COLUMN disabled_answer;
    DROP INDEX delivery_ordered; DROP INDEX delivery_again; DROP TABLE ordered;
    ALTER TABLE delivery DROP COLUMN position;
    ALTER TABLE endpoint DROP COLUMN ordered, DROP COLUMN options, DROP COLUMN sealed_credentials;
    ALTER TABLE environment DROP COLUMN settings; ALTER TABLE event_type DROP COLUMN retries;
    ALTER TABLE seal_check DROP COLUMN sealed_ids";
/// The schema's version.
const LATEST: usize = 6;
const VALID: &str = "SELECT count(*) FROM pg_index
                     WHERE indexrelid::regclass::text IN ('delivery_ordered', 'delivery_again') AND indisvalid";

/// As a node does when it starts.
fn migrate(url: &str) -> JoinHandle<usize> {
    let url = url.to_owned();
    thread::spawn(move || store::postgres::migrate(&url).expect("a migration"))
}

/// A dump holds tables for as long as it takes; those who come after a migration must not wait for the dump too.
#[tokio::test]
async fn a_migration_that_waits_for_a_dump_lets_others_pass() {
    let url = Cluster::shared().database();
    assert_eq!(migrate(&url).join().unwrap(), LATEST);
    let (dump, other) = (session(&url).await, session(&url).await);
    other.batch_execute(BEFORE).await.unwrap();
    dump.batch_execute("BEGIN; LOCK TABLE delivery IN ACCESS SHARE MODE").await.unwrap();
    let migration = migrate(&url);
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'delivery'::regclass";
    eventually("the migration to wait", async || {
        let count: i64 = other.query_one(waits, &[]).await.unwrap().get(0);
        (count > 0).then_some(())
    })
    .await;
    // What each write locks.
    let write = "SET lock_timeout = '10s'; BEGIN; LOCK TABLE delivery IN ROW EXCLUSIVE MODE; COMMIT";
    other.batch_execute(write).await.unwrap();
    assert!(!migration.is_finished(), "the dump still holds the table");
    dump.batch_execute("COMMIT").await.unwrap();
    assert_eq!(migration.join().unwrap(), LATEST);
    assert_eq!(other.query_one(VALID, &[]).await.unwrap().get::<_, i64>(0), 2);
}

#[tokio::test]
async fn an_index_that_was_cut_short_is_made_again() {
    let url = Cluster::shared().database();
    assert_eq!(migrate(&url).join().unwrap(), LATEST);
    let other = session(&url).await;
    let cut = "DROP INDEX delivery_ordered; UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'delivery_again'::regclass";
    other.batch_execute(cut).await.unwrap();
    assert_eq!(other.query_one(VALID, &[]).await.unwrap().get::<_, i64>(0), 0);
    // By several nodes at once.
    let nodes: Vec<_> = (0..3).map(|_| migrate(&url)).collect();
    for node in nodes {
        assert_eq!(node.join().unwrap(), LATEST);
    }
    assert_eq!(other.query_one(VALID, &[]).await.unwrap().get::<_, i64>(0), 2);
}
