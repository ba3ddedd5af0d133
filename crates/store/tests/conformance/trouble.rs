//! PostgreSQL in trouble: errors that pass, sessions that end or stick, servers that only read or are not there.

use crate::harness::{Engine, Fixture, main_run, shared_options};
use crate::nodes::{SHORT_TTL, eventually, two};
use crate::protocol::session;
use domain::clock::Clock;
use domain::delivery::Next;
use domain::id::{EndpointKey, floor_of};
use domain::page::{Order, Page};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use store::delivery::{Held, Record};
use store::message::Admission;
use store::postgres::Postgres;
use store::{Store, StoreError};
use testkit::free_port;

/// Ends all sessions of the database but the one that asks.
const END_ALL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                       WHERE pid <> pg_backend_pid() AND datname = current_database()";

#[tokio::test]
async fn an_error_of_the_server_that_passes_costs_no_attempt() {
    let f = Fixture::with_ttl(Duration::from_secs(5)).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    // Whatever an administrator may have done: it is about the server, not about what was sent.
    f.sql("ALTER TABLE attempt RENAME TO away");
    let key = main_run(message.id, endpoint);
    let attempt = f.attempt(key, 1, Next::Succeeded);
    let records = Arc::new(vec![Record { attempt, held: Held::Fresh, next: Next::Succeeded }]);
    let mended = async {
        eventually("the trouble", async || f.store.health().is_err().then_some(())).await;
        f.sql("ALTER TABLE away RENAME TO attempt");
    };
    let (recorded, ()) = futures_util::future::join(f.store.record(records), mended).await;
    assert_eq!(recorded.unwrap().len(), 1);
    f.store.health().unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_costs_no_attempt_and_refuses_what_it_cannot_take() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut recorded = HashSet::new();
    for round in 0..20 {
        let message = eventually("an accept", async || {
            f.store.accept(f.message(&app, &[(endpoint, Admission::Handoff)])).await.ok()
        })
        .await;
        if round % 4 == 0 {
            f.sql(END_ALL);
        }
        f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
        recorded.insert(message.id);
    }
    let page = Page::first(250, Order::Descending);
    let listed = eventually("the list", async || {
        f.store.attempt_list_by_endpoint(endpoint, Default::default(), page.clone()).await.ok()
    })
    .await;
    let listed: Vec<_> = listed.items.iter().map(|attempt| attempt.record.message).collect();
    assert_eq!(listed.len(), 20, "each once");
    assert_eq!(listed.into_iter().collect::<HashSet<_>>(), recorded);
}

#[tokio::test]
async fn a_database_that_forgot_what_was_configured_ends_the_process() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    f.application("one").await;
    f.sql("UPDATE configuration SET version = version - 1");
    let why = f.store.failed().await;
    assert!(why.contains("went back"), "{why}");
    assert!(!f.store.lease_is_valid());
}

#[tokio::test]
async fn a_database_does_not_open_with_another_encryption_key() {
    let f = Fixture::new(Engine::Postgres).await;
    let app = f.application("one").await;
    f.endpoint(&app).await;
    let _: EndpointKey = f.endpoint(&app).await.key;
    let refusal = f.refusal_with(|options| options.encryption_key = b"x".repeat(32)).to_string();
    assert!(refusal.contains("POSTHASTE_ENCRYPTION_KEY"), "{refusal}");
}

#[tokio::test]
async fn a_database_with_a_newer_schema_is_refused_and_one_version_ahead_is_served() {
    let f = Fixture::new(Engine::Postgres).await;
    f.sql("INSERT INTO migration SELECT max(version) + 1, now() FROM migration");
    let f = f.restart().await;
    f.sql("INSERT INTO migration SELECT max(version) + 1, now() FROM migration");
    let refusal = f.refusal().to_string();
    assert!(refusal.contains("start the newer program again"), "{refusal}");
}

#[tokio::test]
async fn a_node_that_has_nothing_to_do_is_well_again_once_the_trouble_has_passed() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    f.sql_elsewhere(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", f.database()));
    f.sql_elsewhere(&END_ALL.replace("current_database()", &format!("'{}'", f.database())));
    eventually("the trouble", async || f.store.health().is_err().then_some(())).await;
    f.sql_elsewhere(&format!("ALTER DATABASE {} ALLOW_CONNECTIONS true", f.database()));
    // Nothing is committed meanwhile: whoever goes by the health sends nothing.
    eventually("its end", async || f.store.health().is_ok().then_some(())).await;
    eventually("a lease", async || f.store.lease_is_valid().then_some(())).await;
}

#[tokio::test]
async fn a_session_that_sticks_under_a_lease_that_ended_is_ended_and_its_work_taken_over() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    eventually("the endpoint", async || b.store.routing().route(endpoint)).await;
    // What a third node leaves: a lease that has expired, a message under it, and a session that holds the lease's row, as one
    // whose machine stands still in the middle of a commit does.
    let id = floor_of(a.clock.now()) + 77;
    let leave = format!(
        "INSERT INTO lease (id, node, state, expires_at, checkpoint, ceiling) OVERRIDING SYSTEM VALUE
         VALUES (900, 900, 'live', clock_timestamp() - interval '1 s', {}, {});
         INSERT INTO message (id, application, lease, event_type, endpoints, payload_day, payload_bytes)
         VALUES ({id}, {}, 900, 't', '{{{}}}', 0, 0)",
        id - 1,
        id + 1,
        app.key.0,
        endpoint.0
    );
    let stuck = session(a.url()).await;
    stuck.batch_execute(&leave).await.unwrap();
    let hold =
        "SET application_name = 'posthaste 900'; BEGIN; SELECT FROM lease WHERE id = 900 FOR KEY SHARE";
    stuck.batch_execute(hold).await.unwrap();
    eventually("the end of the session", async || stuck.is_closed().then_some(())).await;
    eventually("the lease's end", async || {
        (a.sql("SELECT count(*) FROM lease WHERE id = 900") == "0").then_some(())
    })
    .await;
    let rows = a.sql(&format!("SELECT count(*) FROM delivery WHERE message = {id} AND lease IS NULL"));
    assert_eq!(rows, "1");
}

#[tokio::test]
async fn a_server_that_only_reads_takes_nothing_loses_nothing_and_is_gone_on_with_when_it_writes_again() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    f.sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$");
    f.sql(END_ALL);
    let attempt = f.attempt(main_run(message.id, endpoint), 1, Next::Succeeded);
    let records = Arc::new(vec![Record { attempt, held: Held::Fresh, next: Next::Succeeded }]);
    let meanwhile = async {
        eventually("the refusal", async || {
            let refused = f.store.accept(f.message(&app, &[])).await;
            matches!(refused, Err(StoreError::Unavailable(_))).then_some(())
        })
        .await;
        f.sql("BEGIN READ WRITE; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$; COMMIT");
    };
    let (recorded, ()) = futures_util::future::join(f.store.record(records), meanwhile).await;
    assert_eq!(recorded.unwrap().len(), 1, "the attempt was kept meanwhile");
    eventually("another accept", async || f.store.accept(f.message(&app, &[])).await.ok()).await;
}

#[tokio::test]
async fn of_several_servers_the_first_that_answers_and_writes_is_taken() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    let nobody = format!("127.0.0.1:{},", free_port());
    let several = f.url().replacen("127.0.0.1:", &format!("{nobody}127.0.0.1:"), 1);
    let store = Postgres::open(&several, shared_options(&f.clock)).unwrap();
    store.close();
    let none = f.url().replacen("127.0.0.1:", &nobody, 1);
    let none = format!("{}/none", none.split(',').next().unwrap());
    let refusal = Postgres::open(&none, shared_options(&f.clock)).unwrap_err().to_string();
    assert!(refusal.contains("PostgreSQL is away"), "{refusal}");
}
