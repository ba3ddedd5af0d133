//! What was seen on the real server: each trace that loses or repeats a delivery, and how a rule closes it.
//!
//! The traces are played by hand, with two plain sessions on a database of the real schema, at the statement boundaries
//! that the protocol's rules 3 and 5 are about.

use crate::harness::{START, shared_options};
use domain::clock::ManualClock;
use domain::id::floor_of;
use std::sync::{Arc, OnceLock};
use store::Store;
use store::postgres::Postgres;
use testkit::{Cluster, Durability};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

/// The lease and the message of every trace.
const LEASE: i64 = 1_000_000;
const MESSAGE: i64 = floor_of(START) + 1;

/// A database with a live lease, and two sessions: a writer under it and a rescuer.
struct Trace {
    writer: Client,
    rescuer: Arc<Client>,
    watcher: Client,
}

/// A cluster of its own: the traces' statements are not ours to explain.
fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start(Durability::Quick))
}

pub(crate) async fn session(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    // Ends with its client; the test's runtime ends both.
    #[expect(clippy::disallowed_methods, reason = "a test's own session")]
    tokio::spawn(connection);
    client
}

impl Trace {
    async fn begin() -> Self {
        let url = cluster().database();
        let clock = Arc::new(ManualClock::new(START));
        Postgres::open(&url, shared_options(&clock)).unwrap().close();
        let (writer, rescuer, watcher) = (session(&url).await, session(&url).await, session(&url).await);
        let lease = format!(
            "INSERT INTO lease (id, node, state, expires_at, checkpoint, ceiling) OVERRIDING SYSTEM VALUE
             VALUES ({LEASE}, 7, 'live', clock_timestamp() - interval '1 s', 0, {})",
            i64::MAX
        );
        watcher.batch_execute(&lease).await.unwrap();
        Self { writer, rescuer: Arc::new(rescuer), watcher }
    }

    /// The writer's insert of the message, inside the transaction that it is in.
    async fn accept(&self) {
        let sql = format!(
            "INSERT INTO message (id, application, lease, event_type, endpoints, payload_day, payload_bytes)
             VALUES ({MESSAGE}, 1, {LEASE}, 't', '{{5}}', 0, 0)"
        );
        self.writer.batch_execute(&sql).await.unwrap();
    }

    async fn write(&self, sql: &str) {
        self.writer.batch_execute(sql).await.unwrap();
    }

    /// Runs the rescuer's SQL beside the test.
    fn rescue(&self, sql: String) -> JoinHandle<Vec<SimpleQueryMessage>> {
        let rescuer = Arc::clone(&self.rescuer);
        #[expect(clippy::disallowed_methods, reason = "a test's own task, which it waits for")]
        tokio::spawn(async move { rescuer.simple_query(&sql).await.unwrap() })
    }

    /// Waits until the rescuer waits for a lock.
    async fn rescuer_waits(&self) {
        for _ in 0..5_000 {
            let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN
                         (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
            if self.watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) > 0 {
                return;
            }
        }
        panic!("the rescuer does not wait");
    }

    /// Whether the message's delivery can be found again: by its row, or by its lease.
    async fn is_findable(&self) -> bool {
        let sql = format!(
            "SELECT EXISTS (SELECT FROM delivery WHERE message = {MESSAGE})
                 OR EXISTS (SELECT FROM lease WHERE id = {LEASE})"
        );
        self.watcher.query_one(&sql, &[]).await.unwrap().get(0)
    }

    async fn rows(&self) -> i64 {
        let sql = format!("SELECT count(*) FROM delivery WHERE message = {MESSAGE}");
        self.watcher.query_one(&sql, &[]).await.unwrap().get(0)
    }
}

/// What a rescuer does once it has the lease: fills in what is missing, deletes it.
fn settle() -> String {
    format!(
        "UPDATE lease SET state = 'dead' WHERE id = {LEASE}; {}; DELETE FROM lease WHERE id = {LEASE};",
        fill()
    )
}

fn fill() -> String {
    format!(
        "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
         SELECT 5, id, 0, 0, 0, 0, 0 FROM message WHERE lease = {LEASE}
           AND NOT EXISTS (SELECT FROM attempt WHERE attempt.message = message.id AND endpoint = 5 AND run = 0)
           AND NOT EXISTS (SELECT FROM delivery WHERE delivery.message = message.id AND endpoint = 5 AND run = 0)
         ON CONFLICT DO NOTHING"
    )
}

#[tokio::test]
async fn a_fence_that_only_reads_loses_a_message_and_one_that_locks_does_not() {
    let plain = Trace::begin().await;
    plain.write(&format!("BEGIN; SELECT FROM lease WHERE id = {LEASE} AND state = 'live'")).await;
    plain.rescue(settle()).await.unwrap();
    plain.accept().await;
    plain.write("COMMIT").await;
    assert!(!plain.is_findable().await, "without a lock the accepted message is lost");

    let locked = Trace::begin().await;
    locked
        .write(&format!("BEGIN; SELECT FROM lease WHERE id = {LEASE} AND state = 'live' FOR KEY SHARE"))
        .await;
    let rescue =
        locked.rescue(format!("BEGIN; SELECT FROM lease WHERE id = {LEASE} FOR UPDATE; {} COMMIT", settle()));
    locked.rescuer_waits().await;
    // Rule 3: KEY SHARE does not hold up the heartbeat.
    locked.watcher.execute("UPDATE lease SET checkpoint = 1 WHERE id = $1", &[&LEASE]).await.unwrap();
    locked.accept().await;
    locked.write("COMMIT").await;
    rescue.await.unwrap();
    assert_eq!(locked.rows().await, 1, "the rescuer waited and found it");
}

#[tokio::test]
async fn a_rescue_in_one_statement_misses_what_it_waited_for_and_in_two_it_does_not() {
    for (in_one, found) in [(true, 0), (false, 1)] {
        let trace = Trace::begin().await;
        trace
            .write(&format!("BEGIN; SELECT FROM lease WHERE id = {LEASE} AND state = 'live' FOR KEY SHARE"))
            .await;
        trace.accept().await;
        let sql = if in_one {
            // The lock is taken before the log is read, and yet the snapshot is older than the lock.
            let filled = fill().replace(" WHERE lease", " WHERE (SELECT count(*) FROM locked) > 0 AND lease");
            format!(
                "WITH locked AS MATERIALIZED (SELECT id FROM lease WHERE id = {LEASE} FOR UPDATE) {filled}"
            )
        } else {
            format!("BEGIN; SELECT FROM lease WHERE id = {LEASE} FOR UPDATE; {}; COMMIT", fill())
        };
        let rescue = trace.rescue(sql);
        trace.rescuer_waits().await;
        trace.write("COMMIT").await;
        rescue.await.unwrap();
        assert_eq!(trace.rows().await, found, "in one statement: {in_one}");
    }
}

#[tokio::test]
async fn an_anti_join_in_two_statements_sends_again_after_a_success_and_in_one_it_does_not() {
    for (in_two, found) in [(true, 1), (false, 0)] {
        let trace = Trace::begin().await;
        trace.accept().await;
        // It was parked: a row, no attempt. The rescuer looks; then another node delivers it and the row goes.
        trace
            .write(&format!(
                "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
                 VALUES (5, {MESSAGE}, 0, 0, 0, 0, 0)"
            ))
            .await;
        let without_attempt = format!(
            "CREATE TEMP TABLE missing AS SELECT id FROM message WHERE lease = {LEASE} AND NOT EXISTS (
                 SELECT FROM attempt WHERE attempt.message = message.id AND endpoint = 5 AND run = 0)"
        );
        trace.rescue(without_attempt).await.unwrap();
        trace
            .write(&format!(
                "WITH attempted AS (
                     INSERT INTO attempt VALUES ({MESSAGE} + 1, {MESSAGE}, 5, 0, 1, 0, 0, 0, 0, 0, 200, '', ''))
                 DELETE FROM delivery WHERE message = {MESSAGE}"
            ))
            .await;
        let second = if in_two {
            "INSERT INTO delivery (endpoint, message, run, state, due_at, attempts, trigger)
             SELECT 5, id, 0, 0, 0, 0, 0 FROM missing ON CONFLICT DO NOTHING"
                .to_owned()
        } else {
            fill()
        };
        trace.rescue(second).await.unwrap();
        assert_eq!(trace.rows().await, found, "in two statements: {in_two}");
    }
}
