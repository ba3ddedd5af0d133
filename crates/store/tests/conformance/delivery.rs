//! The table of exceptions: claim, record, park, resend (PROTOCOL rules 10 to 15).

use crate::harness::{Engine, Fixture, START, main_run};
use domain::attempt::Trigger;
use domain::clock::{Clock, Timestamp};
use domain::delivery::{DeliveryState, Next, RowState};
use domain::id::EndpointKey;
use domain::message::Message;
use domain::page::{Order, Page};
use std::collections::HashSet;
use store::delivery::{Held, Parked};
use store::message::Admission;

async fn state(f: &Fixture, message: &Message, endpoint: EndpointKey) -> (DeliveryState, Option<Timestamp>) {
    let slice = f.store.endpoints_of_message(message, Page::first(50, Order::Ascending)).await.unwrap();
    let found = slice.items.iter().find(|e| e.endpoint == endpoint).unwrap();
    (found.state, found.next_attempt)
}

async fn a_first_try_that_succeeds_leaves_an_attempt_and_no_row(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    assert_eq!(state(&f, &message, endpoint).await.0, DeliveryState::Sending);
    f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    assert_eq!(state(&f, &message, endpoint).await, (DeliveryState::Succeeded, None));
    assert_eq!(f.store.backlog().await.unwrap(), (0, None));
}

async fn a_failed_first_try_becomes_a_row_that_is_claimed_when_due_and_once_only(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    let due = START.plus_ms(5_000);
    f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Retry(due)).await;
    assert_eq!(state(&f, &message, endpoint).await, (DeliveryState::Pending, Some(due)));
    assert_eq!(f.store.wakes().take(), [(endpoint, due)]);
    f.clock.advance_ms(4_999);
    assert_eq!(f.claim(endpoint, 10).await, []);
    f.clock.advance_ms(1);
    let claimed = f.claim(endpoint, 10).await;
    assert_eq!(
        claimed.iter().map(|c| (c.key, c.attempts)).collect::<Vec<_>>(),
        [(main_run(message.id, endpoint), 1)]
    );
    assert_eq!(f.claim(endpoint, 10).await, [], "a held row is not claimed again");
    f.record(claimed[0].key, Held::Claimed(claimed[0].claim), 2, Next::Succeeded).await;
    assert_eq!(state(&f, &message, endpoint).await, (DeliveryState::Succeeded, None));
    assert_eq!(f.store.backlog().await.unwrap().0, 0);
}

async fn claims_take_the_oldest_due_first_and_tell_when_there_is_more(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut messages = Vec::new();
    for _ in 0..5 {
        messages.push(f.accept(&app, &[(endpoint, Admission::Park)]).await.id);
        f.clock.advance_ms(1_000);
    }
    let claims = f.store.claim(vec![(endpoint, 3)], f.clock.now()).await.unwrap().remove(0);
    assert_eq!(claims.rows.iter().map(|r| r.key.message).collect::<Vec<_>>(), messages[..3]);
    assert_eq!(claims.next_due, Some(START.plus_ms(3_000)));
    let rest = f.store.claim(vec![(endpoint, 3)], f.clock.now()).await.unwrap().remove(0);
    assert_eq!(rest.rows.iter().map(|r| r.key.message).collect::<Vec<_>>(), messages[3..]);
    assert_eq!(rest.next_due, None);
}

async fn exhaustion_ends_a_delivery(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Park)]).await;
    let claimed = f.claim(endpoint, 1).await[0];
    f.record(claimed.key, Held::Claimed(claimed.claim), 8, Next::Failed).await;
    assert_eq!(state(&f, &message, endpoint).await, (DeliveryState::Failed, None));
    assert_eq!(f.claim(endpoint, 1).await, []);
}

async fn what_was_canceled_while_it_was_held_stays_canceled(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Park)]).await;
    let held = f.claim(endpoint, 1).await[0];
    f.change(endpoint, |fields| fields.disabled = true).await;
    assert_eq!(f.claim(endpoint, 1).await, [], "claiming cancels the rows of a disabled endpoint");
    assert_eq!(state(&f, &message, endpoint).await.0, DeliveryState::Canceled);
    let later = f.clock.now().plus_ms(5_000);
    f.record(held.key, Held::Claimed(held.claim), 1, Next::Retry(later)).await;
    assert_eq!(state(&f, &message, endpoint).await.0, DeliveryState::Canceled);
    f.change(endpoint, |fields| fields.disabled = false).await;
    f.clock.advance_ms(10_000);
    assert_eq!(f.claim(endpoint, 1).await, []);
}

async fn an_old_claim_changes_nothing_after_its_row_was_claimed_anew(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Park)]).await;
    let old = f.claim(endpoint, 1).await[0];
    let (held, due_at) = (Held::Claimed(old.claim), f.clock.now());
    f.store.park(vec![Parked { key: old.key, held, due_at, state: RowState::Pending }]).await.unwrap();
    let new = f.claim(endpoint, 1).await[0];
    assert_ne!(old.claim, new.claim);
    f.record(old.key, Held::Claimed(old.claim), 1, Next::Failed).await;
    assert_eq!(f.store.backlog().await.unwrap().0, 1, "the row is still there");
    f.record(new.key, Held::Claimed(new.claim), 1, Next::Succeeded).await;
    assert_eq!(state(&f, &message, endpoint).await.0, DeliveryState::Succeeded);
}

async fn what_is_given_up_untried_stays_as_a_canceled_row_whichever_way_it_was_held(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let fresh = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    let parked = f.accept(&app, &[(endpoint, Admission::Park)]).await;
    let claimed = f.claim(endpoint, 1).await[0];
    assert_eq!(f.store.wakes().take().len(), 1);
    let given_up = |key, held| Parked { key, held, due_at: START, state: RowState::Canceled };
    let both = vec![
        given_up(main_run(fresh.id, endpoint), Held::Fresh),
        given_up(claimed.key, Held::Claimed(claimed.claim)),
    ];
    f.store.park(both).await.unwrap();
    for message in [&fresh, &parked] {
        assert_eq!(state(&f, message, endpoint).await.0, DeliveryState::Canceled);
    }
    assert_eq!(f.store.backlog().await.unwrap().0, 0);
    assert_eq!(f.claim(endpoint, 5).await, []);
}

async fn a_paused_endpoint_keeps_its_rows_and_a_deleted_one_has_them_canceled(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    f.accept(&app, &[(endpoint, Admission::Park)]).await;
    f.change(endpoint, |fields| fields.paused = true).await;
    assert_eq!(f.claim(endpoint, 1).await, []);
    assert_eq!(f.store.backlog().await.unwrap().0, 1);
    assert_eq!(f.store.wakes().take().len(), 1, "parking and pausing woke it");
    f.change(endpoint, |fields| fields.paused = false).await;
    assert_eq!(f.store.wakes().take().len(), 1, "resuming wakes dispatch");
    f.store.endpoint_delete(endpoint, (None, None)).await.unwrap();
    assert_eq!(f.claim(endpoint, 1).await, []);
    assert_eq!(f.store.backlog().await.unwrap().0, 0);
}

async fn a_disabled_endpoints_message_is_kept_as_canceled(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Cancel)]).await;
    assert_eq!(state(&f, &message, endpoint).await.0, DeliveryState::Canceled);
    assert_eq!(f.claim(endpoint, 1).await, []);
}

async fn a_resend_is_a_run_of_its_own_and_leaves_the_pending_retry_as_it_was(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    let retry = START.plus_ms(300_000);
    f.record(main_run(message.id, endpoint), Held::Fresh, 2, Next::Retry(retry)).await;
    let run = f.store.resend(message.id, endpoint, Trigger::Resend).await.unwrap();
    assert_eq!(run, 1);
    let claimed = f.claim(endpoint, 10).await;
    assert_eq!(
        claimed.iter().map(|c| (c.key.run, c.attempts, c.trigger)).collect::<Vec<_>>(),
        [(1, 0, Trigger::Resend)]
    );
    f.record(claimed[0].key, Held::Claimed(claimed[0].claim), 1, Next::Failed).await;
    assert_eq!(state(&f, &message, endpoint).await, (DeliveryState::Pending, Some(retry)));
    assert_eq!(f.store.resend(message.id, endpoint, Trigger::Resend).await.unwrap(), 2);
}

async fn a_message_is_resent_to_several_endpoints_at_once_each_in_a_run_of_its_own(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b, other) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    let message = f.accept(&app, &[(a, Admission::Park), (b, Admission::Cancel)]).await;
    f.store.resend(message.id, b, Trigger::Resend).await.unwrap();
    drop(f.store.wakes().take());
    let runs = f.store.resend_to(message.id, vec![b, a, b], Trigger::Resend).await.unwrap();
    assert_eq!(runs, [(a, 1), (b, 2)]);
    let woken = f.store.wakes().take();
    assert_eq!(woken.iter().map(|(key, _)| *key).collect::<HashSet<_>>(), HashSet::from([a, b]));
    assert_eq!(f.store.resend_to(message.id, Vec::new(), Trigger::Resend).await.unwrap(), []);
    for (endpoint, expected) in [(a, vec![0, 1]), (b, vec![1, 2]), (other, vec![])] {
        let claimed = f.claim(endpoint, 10).await;
        assert_eq!(claimed.iter().map(|c| c.key.run).collect::<Vec<_>>(), expected);
    }
}

async fn a_scheduled_message_is_due_at_its_time(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut new = f.message(&app, &[(endpoint, Admission::Park)]);
    new.deliver_at = Some(START.plus_ms(60_000));
    f.store.accept(new).await.unwrap();
    f.clock.advance_ms(59_999);
    assert_eq!(f.claim(endpoint, 1).await.len(), 0);
    f.clock.advance_ms(1);
    assert_eq!(f.claim(endpoint, 1).await.len(), 1);
}

async fn due_endpoints_are_each_listed_once_with_their_oldest_row(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    for _ in 0..3 {
        f.accept(&app, &[(a, Admission::Park), (b, Admission::Park)]).await;
        f.clock.advance_ms(1_000);
    }
    assert_eq!(f.store.due_endpoints(Timestamp(i64::MAX)).await.unwrap(), [(a, START), (b, START)]);
    assert_eq!(f.store.due_endpoints(START).await.unwrap(), []);
    assert_eq!(f.store.backlog().await.unwrap(), (6, Some(START)));
}

async fn a_claim_takes_large_messages_a_few_at_a_time(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let large = bytes::Bytes::from(vec![b' '; 2 << 20]);
    for _ in 0..12 {
        let mut new = f.message(&app, &[(endpoint, Admission::Park)]);
        new.payload = large.clone();
        f.store.accept(new).await.unwrap();
    }
    let first = f.store.claim(vec![(endpoint, 512)], f.clock.now()).await.unwrap().remove(0);
    assert_eq!((first.rows.len(), first.next_due), (8, Some(START)), "16 MiB and no more");
    let second = f.store.claim(vec![(endpoint, 512)], f.clock.now()).await.unwrap().remove(0);
    assert_eq!((second.rows.len(), second.next_due), (4, None));
}

async fn since_when_and_how_much_waits_is_told(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (one, two, none) =
        (f.endpoint(&app).await.key, f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    for later in [10, 20] {
        f.clock.advance_ms(10);
        f.accept(&app, &[(one, Admission::Park)]).await;
        if later == 20 {
            f.accept(&app, &[(two, Admission::Park)]).await;
        }
    }
    let mut found = f.store.waiting_since(vec![two, one, none]).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [(one, START.plus_ms(10)), (two, START.plus_ms(20))]);
    for (endpoint, count) in [(one, 2), (two, 1), (none, 0)] {
        assert_eq!(f.store.waiting_count(endpoint).await.unwrap(), count);
    }
}

each_engine!(
    since_when_and_how_much_waits_is_told,
    a_first_try_that_succeeds_leaves_an_attempt_and_no_row,
    a_failed_first_try_becomes_a_row_that_is_claimed_when_due_and_once_only,
    claims_take_the_oldest_due_first_and_tell_when_there_is_more,
    exhaustion_ends_a_delivery,
    what_was_canceled_while_it_was_held_stays_canceled,
    an_old_claim_changes_nothing_after_its_row_was_claimed_anew,
    what_is_given_up_untried_stays_as_a_canceled_row_whichever_way_it_was_held,
    a_paused_endpoint_keeps_its_rows_and_a_deleted_one_has_them_canceled,
    a_disabled_endpoints_message_is_kept_as_canceled,
    a_resend_is_a_run_of_its_own_and_leaves_the_pending_retry_as_it_was,
    a_message_is_resent_to_several_endpoints_at_once_each_in_a_run_of_its_own,
    a_scheduled_message_is_due_at_its_time,
    due_endpoints_are_each_listed_once_with_their_oldest_row,
    a_claim_takes_large_messages_a_few_at_a_time,
);
