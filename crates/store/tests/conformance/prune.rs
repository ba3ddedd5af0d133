//! Prune: what is past its retention goes, in bounded steps, and never what is not settled (PROTOCOL rule 17).

use crate::harness::{Engine, Fixture, START, main_run};
use domain::delivery::Next;
use domain::page::{Order, Page};
use store::StoreError;
use store::attempt::AttemptFilter;
use store::delivery::Held;
use store::message::Admission;

const DAY_MS: i64 = 86_400_000;

async fn old_messages_go_with_their_attempts_and_rows_in_bounded_steps(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    for _ in 0..5 {
        let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
        f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Retry(START.plus_ms(99 * DAY_MS)))
            .await;
    }
    f.clock.advance_ms(2 * DAY_MS);
    let young = f.accept(&app, &[(endpoint, Admission::Park)]).await;
    let horizon = START.plus_ms(DAY_MS);
    let first = f.store.prune_step(horizon, START, 3).await.unwrap();
    assert_eq!(first.deliveries, 3, "rows go a few at a time");
    if engine == Engine::Sqlite {
        assert_eq!(first.messages, 3, "and so do messages where there are no partitions");
    }
    let mut steps = 1;
    while !f.store.prune_step(horizon, START, 3).await.unwrap().is_idle() {
        steps += 1;
        assert!(steps < 10, "prune comes to an end");
    }
    let page = Page::first(50, Order::Descending);
    let attempts = f.store.attempt_list_by_endpoint(
        endpoint,
        AttemptFilter::default(),
        Page::first(50, Order::Descending),
    );
    assert_eq!(attempts.await.unwrap().items, []);
    let left = f.store.message_list(app.key, Default::default(), page).await.unwrap();
    assert_eq!(left.items.iter().map(|m| m.id).collect::<Vec<_>>(), [young.id]);
    assert_eq!(f.store.backlog().await.unwrap().0, 1);
}

async fn a_message_whose_first_attempt_is_not_recorded_is_never_pruned(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    f.clock.advance_ms(9 * DAY_MS);
    f.accept(&app, &[]).await;
    let horizon = START.plus_ms(DAY_MS);
    assert!(f.store.prune_step(horizon, START, 10).await.unwrap().is_idle());
    f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    f.store.prune_step(horizon, START, 10).await.unwrap();
    assert_eq!(f.store.message_get(app.key, message.id).await, Err(StoreError::NotFound));
}

async fn a_payload_goes_before_its_message_when_it_was_asked_to(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut new = f.message(&app, &[]);
    new.payload_expires_at = Some(START.plus_ms(DAY_MS));
    let message = f.store.accept(new).await.unwrap();
    f.store.prune_step(START, START.plus_ms(DAY_MS - 1), 10).await.unwrap();
    assert!(f.store.message_get(app.key, message.id).await.unwrap().payload.is_some());
    f.clock.advance_ms(DAY_MS);
    f.store.prune_step(START, START.plus_ms(DAY_MS), 10).await.unwrap();
    assert_eq!(f.store.message_get(app.key, message.id).await.unwrap().payload, None);
    // Two days later the bytes themselves have gone, however an engine keeps them.
    f.clock.advance_ms(2 * DAY_MS);
    while !f.store.prune_step(START, START.plus_ms(3 * DAY_MS), 10).await.unwrap().is_idle() {}
    assert_eq!(f.store.message_get(app.key, message.id).await.unwrap().payload, None);
}

each_engine!(
    old_messages_go_with_their_attempts_and_rows_in_bounded_steps,
    a_message_whose_first_attempt_is_not_recorded_is_never_pruned,
    a_payload_goes_before_its_message_when_it_was_asked_to,
);
