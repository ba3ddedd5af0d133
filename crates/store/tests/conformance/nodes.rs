//! Several nodes on one database (PROTOCOL rules 1 to 5, 8, 10, 12 and 17). Only an engine that nodes can share is tested.

use crate::harness::{Fixture, main_run};
use domain::clock::Clock;
use domain::credentials::Credentials;
use domain::delivery::{Next, RowState};
use domain::page::{Order, Page};
use std::collections::HashSet;
use std::time::Duration;
use store::StoreError;
use store::delivery::Held;
use store::message::{Admission, MessageKey};

/// A lease that a test can wait for.
pub(crate) const SHORT_TTL: Duration = Duration::from_millis(600);

/// Waits until `look` finds something. The store's own tasks need real time for it.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    // Also when a look takes longer than that, others have their turn.
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for _ in 0..2_000 {
        tick.tick().await;
        if let Some(found) = look().await {
            return found;
        }
    }
    panic!("waited in vain for {what}");
}

pub(crate) async fn two() -> (Fixture, Fixture) {
    let a = Fixture::with_ttl(SHORT_TTL).await;
    let b = a.beside(SHORT_TTL).await;
    (a, b)
}

/// Marks the lease of a node dead, as a rescuer does with one that has expired, while the node does not know it.
fn end_lease(f: &Fixture, which: &str) {
    f.sql(&format!("UPDATE lease SET state = 'dead' WHERE id = (SELECT {which}(id) FROM lease)"));
}

#[tokio::test]
async fn what_one_node_configures_holds_on_the_other_within_a_second() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await;
    let started = tokio::time::Instant::now();
    let found = eventually("the endpoint", async || b.store.routing().route(endpoint.key)).await;
    assert_eq!(found.endpoint.fields, endpoint.fields);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    b.change(endpoint.key, |fields| fields.paused = true).await;
    eventually("the pause", async || {
        a.store.routing().route(endpoint.key).filter(|route| route.endpoint.fields.paused)
    })
    .await;
    a.store.application_delete(app.key).await.unwrap();
    eventually("the deletion", async || b.store.routing().route(endpoint.key).is_none().then_some(())).await;
    assert_eq!(b.store.application_find(b.environment.key, "one").await, Err(StoreError::NotFound));
}

#[tokio::test]
async fn two_changes_of_one_endpoint_at_once_both_hold() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    let add = |index: usize| {
        move |fields: &mut domain::endpoint::EndpointFields| {
            fields.metadata.insert(format!("key{index}"), "there".into());
        }
    };
    let (mut evens, mut odds) = (Vec::new(), Vec::new());
    for index in 0..10 {
        if index % 2 == 0 {
            evens.push(a.change(endpoint, add(index)))
        } else {
            odds.push(b.change(endpoint, add(index)))
        }
    }
    futures_util::future::join(futures_util::future::join_all(evens), futures_util::future::join_all(odds))
        .await;
    let read = a.change(endpoint, |_| {}).await;
    assert_eq!(read.fields.metadata.len(), 10);
}

#[tokio::test]
async fn an_endpoint_made_while_its_application_is_deleted_does_not_stay() {
    let (a, b) = two().await;
    for round in 0..10 {
        let app = a.application(&format!("app-{round}")).await;
        let new = || store::endpoint::NewEndpoint {
            id: b.id(domain::wire_id::Kind::Endpoint),
            application: app.key,
            fields: Default::default(),
            headers: Vec::new(),
            secrets: Vec::new(),
            credentials: Credentials::default(),
            notice: None,
            entry: None,
        };
        let made = futures_util::future::join_all((0..5).map(|_| b.store.endpoint_create(new())));
        let (deleted, made) = futures_util::future::join(a.store.application_delete(app.key), made).await;
        deleted.unwrap();
        assert!(made.iter().all(|made| matches!(made, Ok(_) | Err(StoreError::NotFound))), "{made:?}");
    }
    assert_eq!(a.sql("SELECT count(*) FROM endpoint WHERE deleted_at IS NULL OR sealed_secrets <> ''"), "0");
}

#[tokio::test]
async fn a_partition_goes_beside_a_reader_and_keeps_nobody_waiting() {
    const DAY_MS: i64 = 86_400_000;
    let f = Fixture::with_ttl(SHORT_TTL).await;
    let app = f.application("one").await;
    let begin = f.clock.now();
    let old = f.accept(&app, &[]).await;
    f.clock.advance_ms(2 * DAY_MS);
    f.accept(&app, &[]).await;
    let reader = crate::protocol::session(f.url()).await;
    reader.batch_execute("BEGIN; SELECT count(*) FROM message").await.unwrap();
    let prune = || f.store.prune_step(begin.plus_ms(DAY_MS), begin, 10);
    let pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending";
    let beside = async {
        eventually("the detaching", async || (f.sql(pending) == "1").then_some(())).await;
        for _ in 0..5 {
            f.accept(&app, &[]).await;
        }
        // The process that prunes dies. Another one finishes what it began, once nobody reads any more.
        f.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%DETACH%' AND datname = current_database() AND pid <> pg_backend_pid()");
    };
    futures_util::future::join(prune(), beside).await.0.unwrap_err();
    assert_eq!(f.sql(pending), "1");
    reader.batch_execute("COMMIT").await.unwrap();
    eventually("the end of it", async || prune().await.is_ok_and(|pruned| pruned.is_idle()).then_some(()))
        .await;
    assert_eq!(f.store.message_get(app.key, old.id).await, Err(StoreError::NotFound));
    let page = Page::first(50, Order::Ascending);
    assert_eq!(f.store.message_list(app.key, Default::default(), page).await.unwrap().items.len(), 6);
}

#[tokio::test]
async fn two_nodes_that_claim_at_once_never_get_the_same_delivery() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    for _ in 0..2_000 {
        a.accept(&app, &[(endpoint, Admission::Park)]).await;
    }
    let mut seen = HashSet::new();
    while seen.len() < 200 {
        let (one, other) = futures_util::future::join(a.claim(endpoint, 7), b.claim(endpoint, 7)).await;
        assert!(!(one.is_empty() && other.is_empty()), "{} are claimed", seen.len());
        for row in one.into_iter().chain(other) {
            assert!(seen.insert(row.key), "{:?} was claimed twice", row.key);
        }
    }
}

#[tokio::test]
async fn rows_that_saw_many_processes_die_are_claimed_one_at_a_time_until_a_try_is_recorded() {
    let f = Fixture::with_ttl(SHORT_TTL).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    for _ in 0..5 {
        f.accept(&app, &[(endpoint, Admission::Park)]).await;
    }
    f.sql("UPDATE delivery SET rescued = 9 WHERE message IN (SELECT id FROM message ORDER BY id LIMIT 3)");
    let first = f.claim(endpoint, 10).await;
    assert_eq!(first.len(), 3, "one of three, and what is not suspected");
    let retry = Next::Retry(f.clock.now().plus_ms(1_000));
    f.record(first[0].key, Held::Claimed(first[0].claim), 1, retry).await;
    let cleared = format!("SELECT count(*) FROM delivery WHERE endpoint = {} AND rescued = 0", endpoint.0);
    assert_eq!(f.sql(&cleared), "3", "a recorded try clears it");
    assert_eq!(f.claim(endpoint, 10).await.len(), 1);
    assert_eq!(f.claim(endpoint, 10).await.len(), 1);
    f.clock.advance_ms(1_000);
    assert_eq!(f.claim(endpoint, 10).await.len(), 1);
}

#[tokio::test]
async fn one_idempotency_key_at_two_nodes_makes_one_message() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    eventually("the application", async || b.store.routing().application(a.environment.key, "one")).await;
    for round in 0..30_u8 {
        let keyed = |f: &Fixture| {
            let mut new = f.message(&app, &[]);
            new.key = Some(MessageKey { hash: [round; 16], body_hash: [1; 16], explicit: true });
            new.event_id = Some(format!("event-{round}"));
            new
        };
        let (one, other) =
            futures_util::future::join(a.store.accept(keyed(&a)), b.store.accept(keyed(&b))).await;
        let (made, refused) = if one.is_ok() { (one, other) } else { (other, one) };
        let message = made.unwrap().id;
        assert_eq!(refused, Err(StoreError::Repeated { message, same_body: true }));
    }
}

#[tokio::test]
async fn what_a_lost_lease_left_is_taken_over_and_its_node_writes_nothing_more_under_it() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    eventually("the endpoint", async || b.store.routing().route(endpoint)).await;
    let fresh = a.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    a.accept(&app, &[(endpoint, Admission::Park)]).await;
    let held = a.claim(endpoint, 10).await[0];
    end_lease(&a, "min");
    let mut taken = Vec::new();
    eventually("both deliveries", async || {
        taken.extend(b.claim(endpoint, 10).await);
        (taken.len() == 2).then_some(())
    })
    .await;
    // The node records what it did meanwhile: nothing of it counts any more.
    a.record(main_run(fresh.id, endpoint), Held::Fresh, 1, Next::Failed).await;
    a.record(held.key, Held::Claimed(held.claim), 1, Next::Failed).await;
    let attempts =
        b.store.attempt_list_by_endpoint(endpoint, Default::default(), Page::first(50, Order::Descending));
    assert_eq!(attempts.await.unwrap().items, []);
    for row in taken {
        b.record(row.key, Held::Claimed(row.claim), 1, Next::Succeeded).await;
    }
    assert_eq!(b.store.backlog().await.unwrap().0, 0);
    // It takes another lease and goes on.
    eventually("a lease", async || a.store.lease_is_valid().then_some(())).await;
    let more = eventually("another accept", async || {
        a.store.accept(a.message(&app, &[(endpoint, Admission::Handoff)])).await.ok()
    })
    .await;
    a.record(main_run(more.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    let attempts =
        b.store.attempt_list_by_endpoint(endpoint, Default::default(), Page::first(50, Order::Descending));
    assert_eq!(attempts.await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn requests_are_not_sent_under_a_lease_that_is_lost() {
    let a = Fixture::with_ttl(SHORT_TTL).await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    let message = a.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    assert!(a.store.lease_is_valid());
    end_lease(&a, "max");
    eventually("the heartbeat to notice", async || (!a.store.lease_is_valid()).then_some(())).await;
    // What is in memory goes back; it is another's already, so nothing is written. Then a new lease counts.
    let parked = store::delivery::Parked {
        key: main_run(message.id, endpoint),
        held: Held::Fresh,
        due_at: a.clock.now(),
        state: RowState::Pending,
    };
    eventually("the park", async || a.store.park(vec![parked]).await.ok()).await;
    eventually("a new lease", async || a.store.lease_is_valid().then_some(())).await;
}

#[tokio::test]
async fn the_nodes_that_live_are_counted() {
    let (a, b) = two().await;
    let both = |f: &Fixture, count| f.store.live_leases() == count;
    eventually("two", async || (both(&a, 2) && both(&b, 2)).then_some(())).await;
    b.store.close();
    eventually("one", async || both(&a, 1).then_some(())).await;
}
