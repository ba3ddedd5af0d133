//! Background tasks: a step moves on and sends in one transaction; what is recoverable is found once.

use crate::harness::{Engine, Fixture, main_run};
use crate::nodes::two;
use domain::application::Application;
use domain::attempt::Trigger;
use domain::clock::Clock;
use domain::delivery::{DeliveryKey, Next};
use domain::id::{EndpointKey, MessageId, floor_of};
use domain::page::{Order, Page};
use domain::task::{Plan, Step, Task, TaskKind, TaskStatus};
use domain::wire_id::Kind;
use store::StoreError;
use store::delivery::Held;
use store::message::Admission;
use store::task::TaskFilter;

/// A task over everything so far.
async fn task(f: &Fixture, app: &Application, endpoint: EndpointKey, kind: TaskKind) -> Task {
    let now = f.clock.now();
    let task = Task {
        id: f.id(Kind::BackgroundTask),
        environment: f.environment.key,
        application: app.key,
        endpoint,
        kind,
        plan: Plan::window(now.plus_ms(-1_000_000), now.plus_ms(1)),
        status: TaskStatus::Running,
        position: 0,
        looked: 0,
        queued: 0,
        error: None,
        created_at: now,
        updated_at: now,
    };
    f.store.task_create(task.clone()).await.unwrap();
    task
}

fn step(task: &Task, position: i64, send: &[MessageId], status: TaskStatus) -> Step {
    Step { from: task.position, position, looked: 3, send: send.to_vec(), status: (status, None) }
}

/// A message whose delivery ended so.
async fn ended(f: &Fixture, app: &Application, endpoint: EndpointKey, next: Next) -> MessageId {
    let message = f.accept(app, &[(endpoint, Admission::Handoff)]).await;
    f.record(main_run(message.id, endpoint), Held::Fresh, 1, next).await;
    f.clock.advance_ms(1);
    message.id
}

async fn canceled(f: &Fixture, app: &Application, endpoint: EndpointKey) -> MessageId {
    let message = f.accept(app, &[(endpoint, Admission::Cancel)]).await;
    f.clock.advance_ms(1);
    message.id
}

async fn a_step_sends_once_whoever_makes_it(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let (one, two) =
        (ended(&f, &app, endpoint, Next::Failed).await, ended(&f, &app, endpoint, Next::Failed).await);
    let begun = task(&f, &app, endpoint, TaskKind::Recover).await;
    assert_eq!(f.store.tasks_running(5).await.unwrap(), std::slice::from_ref(&begun));
    f.clock.advance_ms(5);
    let first = step(&begun, 7, &[one], TaskStatus::Running);
    let moved = f.store.task_step(&begun, first.clone(), None).await.unwrap().unwrap();
    assert_eq!((moved.position, moved.looked, moved.queued), (7, 3, 1));
    assert_eq!(moved.updated_at, f.clock.now());
    assert_eq!(f.store.task_step(&begun, first, None).await.unwrap(), None, "somebody else made it");
    let last = step(&moved, 7, &[two], TaskStatus::Finished);
    let done = f.store.task_step(&moved, last.clone(), None).await.unwrap().unwrap();
    assert_eq!((done.status, done.queued), (TaskStatus::Finished, 2));
    assert_eq!(f.store.task_step(&moved, last, None).await.unwrap(), None, "it has ended");
    assert_eq!(f.store.task_get(f.environment.key, &done.id).await.unwrap(), done);
    let rows = f.claim(endpoint, 10).await;
    let sent: Vec<_> = rows.iter().map(|row| (row.key.message, row.key.run, row.trigger)).collect();
    assert_eq!(sent, [(one, 1, Trigger::Recovery), (two, 1, Trigger::Recovery)]);
    assert_eq!(rows[0].due_at, begun.created_at);
}

async fn what_failed_or_was_canceled_is_recoverable_until_it_is_sent(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let early = ended(&f, &app, endpoint, Next::Failed).await;
    f.clock.advance_ms(2_000_000);
    let failed = ended(&f, &app, endpoint, Next::Failed).await;
    ended(&f, &app, endpoint, Next::Succeeded).await;
    ended(&f, &app, endpoint, Next::Retry(f.clock.now().plus_ms(9_000))).await;
    let held = canceled(&f, &app, endpoint).await;
    let expunged = canceled(&f, &app, endpoint).await;
    f.store.message_expunge(app.key, expunged).await.unwrap();
    // Failed, then delivered by a resend.
    let mended = ended(&f, &app, endpoint, Next::Failed).await;
    let run = f.store.resend(mended, endpoint, Trigger::Resend).await.unwrap();
    let claimed = f.claim(endpoint, 10).await;
    let row = claimed.iter().find(|row| row.key.run == run).unwrap();
    f.record(row.key, Held::Claimed(row.claim), 1, Next::Succeeded).await;
    f.clock.advance_ms(1);
    let begun = task(&f, &app, endpoint, TaskKind::Recover).await;
    f.clock.advance_ms(1);
    // What fails later is another task's.
    ended(&f, &app, endpoint, Next::Failed).await;
    let (mut after, mut found, mut looked) = (0, Vec::new(), 0);
    loop {
        let look = f.store.recoverable(&begun, (after, floor_of(begun.created_at)), 2).await.unwrap();
        found.extend(look.messages);
        looked += look.looked;
        let Some(last) = look.last else { break };
        after = last;
    }
    assert_eq!(found, [failed, held], "not {early:?}, which is older than the window");
    assert_eq!(looked, 5);
    // Once they wait, or were tried again, there is nothing to do.
    f.store.task_step(&begun, step(&begun, 1, &found, TaskStatus::Finished), None).await.unwrap().unwrap();
    let again = task(&f, &app, endpoint, TaskKind::Recover).await;
    let between = (floor_of(begun.created_at), i64::MAX);
    let look = f.store.recoverable(&again, between, 10).await.unwrap();
    assert_eq!(look.messages.len(), 1, "the one that failed later");
    for row in f.claim(endpoint, 10).await {
        if row.key.run > 0 {
            f.record(row.key, Held::Claimed(row.claim), 1, Next::Failed).await;
        }
    }
    f.clock.advance_ms(1);
    let last = task(&f, &app, endpoint, TaskKind::Recover).await;
    let mut look = f.store.recoverable(&last, (0, i64::MAX), 20).await.unwrap().messages;
    look.sort_unstable();
    assert_eq!(look.len(), 3, "each once, although it failed twice");
    assert_eq!(look[..2], [failed, held]);
}

async fn what_is_canceled_during_its_last_attempt_is_recovered_once(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Park)]).await.id;
    let held = f.claim(endpoint, 1).await.remove(0);
    f.change(endpoint, |fields| fields.disabled = true).await;
    f.claim(endpoint, 1).await;
    f.record(held.key, Held::Claimed(held.claim), 1, Next::Failed).await;
    f.change(endpoint, |fields| fields.disabled = false).await;
    f.clock.advance_ms(1);
    let begun = task(&f, &app, endpoint, TaskKind::Recover).await;
    assert_eq!(f.store.recoverable(&begun, (0, i64::MAX), 10).await.unwrap().messages, [message]);
}

async fn no_page_ends_between_two_canceled_runs_of_a_message(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(canceled(&f, &app, endpoint).await);
    }
    // Sent again, and canceled again while they wait.
    for message in &all[..3] {
        f.store.resend(*message, endpoint, Trigger::Recovery).await.unwrap();
    }
    f.change(endpoint, |fields| fields.disabled = true).await;
    f.claim(endpoint, 10).await;
    f.change(endpoint, |fields| fields.disabled = false).await;
    f.clock.advance_ms(1);
    let begun = task(&f, &app, endpoint, TaskKind::Recover).await;
    for limit in 1..6 {
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let look = f.store.recoverable(&begun, (after, i64::MAX), limit).await.unwrap();
            found.extend(look.messages);
            let Some(last) = look.last else { break };
            after = last;
        }
        assert_eq!(found, all, "{limit} at a time");
    }
}

async fn what_was_never_sent_is_sent_once_by_a_replay(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let never = f.accept(&app, &[]).await.id;
    let tried = ended(&f, &app, endpoint, Next::Failed).await;
    let waits = f.accept(&app, &[]).await.id;
    f.store.resend(waits, endpoint, Trigger::Resend).await.unwrap();
    let begun = task(&f, &app, endpoint, TaskKind::Replay).await;
    let one = step(&begun, 1, &[never, tried, waits], TaskStatus::Running);
    assert_eq!(f.store.task_step(&begun, one, None).await.unwrap().unwrap().queued, 1);
    let rows = f.claim(endpoint, 10).await;
    let sent: Vec<_> = rows.iter().filter(|row| row.trigger == Trigger::Replay).map(|row| row.key).collect();
    assert_eq!(sent, [DeliveryKey { message: never, endpoint, run: 1 }]);
}

async fn tasks_are_listed_and_canceled(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, other) = (f.application("one").await, f.application("other").await);
    let endpoint = f.endpoint(&app).await.key;
    let one = task(&f, &app, endpoint, TaskKind::Recover).await;
    f.clock.advance_ms(1);
    let two = task(&f, &other, f.endpoint(&other).await.key, TaskKind::Replay).await;
    let list = async |filter| {
        let page = Page::first(10, Order::Descending);
        let found = f.store.task_list(f.environment.key, filter, page).await.unwrap();
        found.items.into_iter().map(|task| task.id).collect::<Vec<_>>()
    };
    let all = TaskFilter::default();
    assert_eq!(list(all).await, [&*two.id, &*one.id]);
    assert_eq!(list(TaskFilter { application: Some(app.key), ..all }).await, [&*one.id]);
    assert_eq!(list(TaskFilter { kind: Some(TaskKind::Replay), ..all }).await, [&*two.id]);
    let ended = f.store.task_cancel(&one, "enough", None).await.unwrap();
    assert_eq!((ended.status, ended.error.as_deref()), (TaskStatus::Failed, Some("enough")));
    assert_eq!(list(TaskFilter { status: Some(TaskStatus::Running), ..all }).await, [&*two.id]);
    assert_eq!(f.store.task_step(&one, step(&one, 1, &[], TaskStatus::Running), None).await.unwrap(), None);
    let missing = f.store.task_cancel(&Task { id: "qtask_none".into(), ..one }, "no", None).await;
    assert!(matches!(missing, Err(StoreError::NotFound)));
}

async fn what_ended_goes_with_its_time_and_what_runs_stays(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let (ended, running) = (
        task(&f, &app, endpoint, TaskKind::Recover).await,
        task(&f, &app, endpoint, TaskKind::Recover).await,
    );
    f.store.task_cancel(&ended, "enough", None).await.unwrap();
    f.clock.advance_ms(10);
    let now = f.clock.now();
    assert_eq!(f.store.prune_step(now.plus_ms(-10), now, 5).await.unwrap().tasks, 0);
    assert_eq!(f.store.prune_step(now, now, 5).await.unwrap().tasks, 1);
    assert_eq!(f.store.task_get(f.environment.key, &ended.id).await, Err(StoreError::NotFound));
    assert_eq!(f.store.tasks_running(5).await.unwrap(), [running]);
}

each_engine!(
    what_ended_goes_with_its_time_and_what_runs_stays,
    a_step_sends_once_whoever_makes_it,
    what_failed_or_was_canceled_is_recoverable_until_it_is_sent,
    what_is_canceled_during_its_last_attempt_is_recovered_once,
    no_page_ends_between_two_canceled_runs_of_a_message,
    what_was_never_sent_is_sent_once_by_a_replay,
    tasks_are_listed_and_canceled,
);

#[tokio::test]
async fn two_nodes_that_make_the_same_step_send_once() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let endpoint = a.endpoint(&app).await.key;
    let message = ended(&a, &app, endpoint, Next::Failed).await;
    let mut now = task(&a, &app, endpoint, TaskKind::Recover).await;
    for nth in 1..20 {
        let same = step(&now, nth, &[message], TaskStatus::Running);
        let (one, other) = tokio::join!(
            a.store.task_step(&now, same.clone(), None),
            b.store.task_step(&now, same.clone(), None)
        );
        let made: Vec<_> = [one.unwrap(), other.unwrap()].into_iter().flatten().collect();
        assert_eq!(made.len(), 1);
        now = made[0].clone();
    }
    assert_eq!(now.queued, 19);
    assert_eq!(a.claim(endpoint, 50).await.len(), 19);
}
