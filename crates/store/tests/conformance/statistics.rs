//! Statistics: each row of the log is counted once, in its hour, whoever counts and whatever comes between.

use crate::harness::{Engine, Fixture, START, main_run};
use crate::nodes::{eventually, two};
use domain::application::{Application, ApplicationFields};
use domain::delivery::Next;
use domain::id::EndpointKey;
use domain::operational::application_id;
use domain::statistics::{Durations, HOUR_MS, STATISTICS_KEPT_HOURS, Tally, class_of};
use futures_util::future::join_all;
use std::sync::Arc;
use store::delivery::{Held, Record};
use store::message::Admission;
use store::statistics::{Hour, Stepped, Whose};

/// The hour in which every test begins: it begins right there.
const HOUR: i64 = START.0 / HOUR_MS;
/// After this the last rows are settled, on any engine.
const SETTLED_MS: i64 = 30_000;

/// Makes steps until so many rows are counted, and no more are there.
async fn count(f: &Fixture, rows: u64) {
    f.clock.advance_ms(SETTLED_MS);
    let mut counted = 0;
    // On PostgreSQL a heartbeat has to tell that they are settled.
    eventually("all rows to be counted", async || {
        counted += f.store.statistics_step(1_000).await.unwrap().rows;
        (counted >= rows).then_some(())
    })
    .await;
    assert_eq!(counted, rows);
    assert_eq!(f.store.statistics_step(1_000).await.unwrap(), Stepped::default());
}

/// The hours of an application, or of the environment.
async fn hours(f: &Fixture, application: Option<&Application>) -> Vec<Hour> {
    let whose =
        Whose { environment: f.environment.key, application: application.map(|application| application.key) };
    f.store.statistics(whose, (0, i64::MAX)).await.unwrap()
}

/// A message to one endpoint, its attempt recorded with this duration.
async fn send(f: &Fixture, app: &Application, endpoint: EndpointKey, (next, duration_ms): (Next, u32)) {
    let message = f.accept(app, &[(endpoint, Admission::Handoff)]).await;
    let mut attempt = f.attempt(main_run(message.id, endpoint), 1, next);
    attempt.duration_ms = duration_ms;
    f.store.record(Arc::new(vec![Record { attempt, held: Held::Fresh, next }])).await.unwrap();
}

fn retry() -> Next {
    Next::Retry(START.plus_ms(9 * HOUR_MS))
}

/// What these numbers are, with the durations of what was delivered.
fn tally([accepted, failed, given_up]: [u64; 3], delivered: &[u32]) -> Tally {
    let mut durations = Durations::default();
    delivered.iter().for_each(|ms| durations.add(class_of(*ms), 1));
    Tally { accepted, delivered: delivered.len() as u64, failed, given_up, durations }
}

async fn every_row_is_counted_once_also_after_a_restart(engine: Engine) {
    let f = Fixture::new(engine).await;
    assert_eq!(f.store.statistics_step(10).await.unwrap(), Stepped::default());
    assert_eq!(hours(&f, None).await, []);
    let (app, other) = (f.application("one").await, f.application("two").await);
    let (endpoint, theirs) = (f.endpoint(&app).await.key, f.endpoint(&other).await.key);
    send(&f, &app, endpoint, (Next::Succeeded, 12)).await;
    send(&f, &app, endpoint, (Next::Succeeded, 4_000)).await;
    send(&f, &app, endpoint, (retry(), 7)).await;
    send(&f, &app, endpoint, (Next::Failed, 7)).await;
    send(&f, &other, theirs, (Next::Succeeded, 90_000)).await;
    f.accept(&other, &[]).await;
    count(&f, 11).await;
    let one = tally([4, 2, 1], &[12, 4_000]);
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, one)]);
    assert_eq!(hours(&f, Some(&other)).await, [(HOUR, tally([2, 0, 0], &[90_000]))]);
    assert_eq!(hours(&f, None).await, [(HOUR, tally([6, 2, 1], &[12, 4_000, 90_000]))]);
    let f = f.restart().await;
    count(&f, 0).await;
    send(&f, &app, endpoint, (Next::Succeeded, 12)).await;
    count(&f, 2).await;
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, tally([5, 2, 1], &[12, 4_000, 12]))]);
    assert_eq!(hours(&f, None).await, [(HOUR, tally([7, 2, 1], &[12, 4_000, 90_000, 12]))]);
}

async fn a_row_belongs_to_the_hour_in_which_it_was_written(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    f.clock.advance_ms(HOUR_MS - 1);
    let last = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    f.clock.advance_ms(1);
    f.record(main_run(last.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    f.clock.advance_ms(2 * HOUR_MS);
    f.accept(&app, &[]).await;
    count(&f, 3).await;
    let each = [
        (HOUR, tally([1, 0, 0], &[])),
        (HOUR + 1, tally([0, 0, 0], &[3])),
        (HOUR + 3, tally([1, 0, 0], &[])),
    ];
    assert_eq!(hours(&f, Some(&app)).await, each);
    let whose = Whose { environment: f.environment.key, application: Some(app.key) };
    assert_eq!(f.store.statistics(whose, (HOUR + 1, HOUR + 2)).await.unwrap(), each[1..2]);
}

async fn small_steps_come_to_the_same(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    for _ in 0..7 {
        send(&f, &app, endpoint, (Next::Succeeded, 3)).await;
    }
    f.clock.advance_ms(SETTLED_MS);
    let mut steps = Vec::new();
    eventually("all rows to be counted", async || {
        let stepped = f.store.statistics_step(2).await.unwrap();
        steps.extend((stepped.rows > 0).then_some(stepped));
        (steps.iter().map(|stepped| stepped.rows).sum::<u64>() >= 14).then_some(())
    })
    .await;
    assert!(steps.len() >= 4 && steps.iter().all(|stepped| stepped.rows <= 4), "{steps:?}");
    assert!(steps[0].is_behind);
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, tally([7, 0, 0], &[3; 7]))]);
}

async fn steps_at_once_count_nothing_twice(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    for _ in 0..20 {
        send(&f, &app, endpoint, (Next::Succeeded, 3)).await;
    }
    f.clock.advance_ms(SETTLED_MS);
    let mut counted = 0;
    eventually("all rows to be counted", async || {
        let steps = join_all((0..4).map(|_| f.store.statistics_step(3))).await;
        counted += steps.into_iter().map(|stepped| stepped.unwrap().rows).sum::<u64>();
        (counted >= 40).then_some(())
    })
    .await;
    assert_eq!(counted, 40);
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, tally([20, 0, 0], &[3; 20]))]);
    assert_eq!(hours(&f, None).await, [(HOUR, tally([20, 0, 0], &[3; 20]))]);
}

/// What is under way while what came after it is counted is not forgotten.
async fn what_ends_late_is_counted_too(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let slow = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    send(&f, &app, endpoint, (Next::Succeeded, 3)).await;
    f.clock.advance_ms(SETTLED_MS);
    let mut counted = 0;
    for _ in 0..5 {
        counted += f.store.statistics_step(10).await.unwrap().rows;
    }
    f.record(main_run(slow.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    count(&f, 4 - counted).await;
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, tally([2, 0, 0], &[3, 3]))]);
}

async fn what_was_deleted_and_what_is_operational(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, gone) = (f.application("one").await, f.application("gone").await);
    let (endpoint, theirs) = (f.endpoint(&app).await.key, f.endpoint(&gone).await.key);
    let fields = ApplicationFields { name: "operational".into(), ..ApplicationFields::default() };
    let id = application_id(&f.environment.id);
    let operational = f.store.application_create(f.environment.key, id, fields).await.unwrap();
    let silent = f.endpoint(&operational).await.key;
    send(&f, &operational, silent, (Next::Succeeded, 3)).await;
    send(&f, &app, endpoint, (Next::Succeeded, 3)).await;
    send(&f, &gone, theirs, (Next::Succeeded, 3)).await;
    count(&f, 6).await;
    send(&f, &app, endpoint, (Next::Failed, 3)).await;
    send(&f, &gone, theirs, (Next::Succeeded, 3)).await;
    f.store.endpoint_delete(endpoint, (None, None)).await.unwrap();
    f.store.application_delete(gone.key).await.unwrap();
    count(&f, 4).await;
    assert_eq!(hours(&f, Some(&operational)).await, []);
    assert_eq!(hours(&f, Some(&app)).await, [(HOUR, tally([2, 1, 1], &[3]))]);
    // What the environment has counted of it stays; what was not counted yet is not.
    assert_eq!(hours(&f, Some(&gone)).await, []);
    assert_eq!(hours(&f, None).await, [(HOUR, tally([3, 1, 1], &[3, 3]))]);
}

async fn hours_are_kept_for_400_days(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    for _ in 0..3 {
        f.accept(&app, &[]).await;
        count(&f, 1).await;
        f.clock.advance_ms(HOUR_MS);
    }
    let kept = async |hours_later: i64| {
        let now = START.plus_ms((STATISTICS_KEPT_HOURS + hours_later) * HOUR_MS);
        let mut dropped = Vec::new();
        loop {
            let pruned = f.store.prune_step(START, now, 1).await.unwrap();
            dropped.extend((pruned.hours > 0).then_some(pruned.hours));
            if pruned.is_idle() {
                return (hours(&f, Some(&app)).await.len(), hours(&f, None).await.len(), dropped);
            }
        }
    };
    assert_eq!(kept(0).await, (3, 3, vec![]));
    // Two rows an hour, the application's and the environment's, one at a time.
    assert_eq!(kept(2).await, (1, 1, vec![1; 4]));
}

each_engine!(
    every_row_is_counted_once_also_after_a_restart,
    a_row_belongs_to_the_hour_in_which_it_was_written,
    small_steps_come_to_the_same,
    steps_at_once_count_nothing_twice,
    what_ends_late_is_counted_too,
    what_was_deleted_and_what_is_operational,
    hours_are_kept_for_400_days,
);

#[tokio::test]
async fn nodes_share_the_counting() {
    let (one, other) = two().await;
    let app = one.application("one").await;
    let endpoint = one.endpoint(&app).await.key;
    eventually("the endpoint", async || other.store.routing().route(endpoint)).await;
    for _ in 0..20 {
        send(&one, &app, endpoint, (Next::Succeeded, 3)).await;
        send(&other, &app, endpoint, (Next::Failed, 3)).await;
    }
    one.clock.advance_ms(SETTLED_MS);
    let mut counted = 0;
    eventually("all rows to be counted", async || {
        let steps = join_all([&one, &other, &one, &other].map(|f| f.store.statistics_step(5))).await;
        counted += steps.into_iter().map(|stepped| stepped.unwrap().rows).sum::<u64>();
        (counted >= 80).then_some(())
    })
    .await;
    assert_eq!(counted, 80);
    assert_eq!(hours(&other, None).await, [(HOUR, tally([40, 20, 20], &[3; 20]))]);
}

/// On PostgreSQL ids become visible out of their order: what another statement may still add to is left alone.
#[tokio::test]
async fn what_is_not_settled_is_not_counted_yet() {
    let f = Fixture::new(Engine::Postgres).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    send(&f, &app, endpoint, (Next::Succeeded, 3)).await;
    let passed = "SELECT min(checkpoint) >= (SELECT max(id) FROM attempt) FROM lease";
    eventually("a heartbeat", async || (f.sql(passed) == "t").then_some(())).await;
    assert_eq!(f.store.statistics_step(10).await.unwrap(), Stepped::default());
    // Nor what is above the checkpoint, however long ago.
    let slow = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    f.clock.advance_ms(HOUR_MS);
    let beaten = format!("SELECT min(checkpoint) = {} FROM lease", slow.id.0 - 1);
    eventually("a heartbeat", async || (f.sql(&beaten) == "t").then_some(())).await;
    assert_eq!(f.store.statistics_step(10).await.unwrap().rows, 2);
    f.record(main_run(slow.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    count(&f, 2).await;
}
