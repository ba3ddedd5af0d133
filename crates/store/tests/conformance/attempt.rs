//! Attempts and deliveries as lists show them.

use crate::harness::{Engine, Fixture, START, main_run};
use domain::attempt::Disposition;
use domain::clock::Clock;
use domain::delivery::{DeliveryState, Next};
use domain::id::{AttemptId, MessageId};
use domain::page::{From, Order, Page};
use store::StoreError;
use store::attempt::{AttemptFilter, DeliveryCounts};
use store::delivery::Held;
use store::message::Admission;

fn newest<K>() -> Page<K> {
    Page::first(50, Order::Descending)
}

async fn an_attempt_reads_back_as_it_was_recorded_and_only_under_its_message(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    let key = main_run(message.id, endpoint);
    f.record(key, Held::Fresh, 1, Next::Succeeded).await;
    let listed =
        f.store.attempt_list_by_endpoint(endpoint, AttemptFilter::default(), newest()).await.unwrap();
    let attempt = &listed.items[0];
    assert_eq!(attempt.record, f.attempt(key, 1, Next::Succeeded));
    assert_eq!(f.store.attempt_get(message.id, attempt.id).await.unwrap(), *attempt);
    assert_eq!(f.store.attempt_get(MessageId(1), attempt.id).await, Err(StoreError::NotFound));
    f.store.attempt_expunge(message.id, attempt.id).await.unwrap();
    assert!(f.store.attempt_get(message.id, attempt.id).await.unwrap().record.response.is_empty());
}

async fn an_endpoints_attempts_are_merged_newest_first_and_filtered(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let later = f.clock.now().plus_ms(1_000_000);
    let nexts = [Next::Succeeded, Next::Retry(later), Next::Failed, Next::Succeeded, Next::Retry(later)];
    for next in nexts {
        let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
        f.record(main_run(message.id, endpoint), Held::Fresh, 1, next).await;
        f.clock.advance_ms(1_000);
    }
    let list = |filter: AttemptFilter, page: Page<AttemptId>| async {
        f.store.attempt_list_by_endpoint(endpoint, filter, page).await.unwrap()
    };
    let all = list(AttemptFilter::default(), newest()).await.items;
    let dispositions: Vec<_> = all.iter().rev().map(|a| a.record.disposition).collect();
    assert_eq!(dispositions, nexts.map(Next::disposition));
    let failed = AttemptFilter { disposition: Some(Disposition::Failed), ..Default::default() };
    assert_eq!(list(failed, newest()).await.items, [all[2].clone()]);
    let fives = AttemptFilter { status_class: Some(500), ..Default::default() };
    assert_eq!(list(fives, newest()).await.items.len(), 3);
    let typed = AttemptFilter { event_types: vec!["other".into()], ..Default::default() };
    assert_eq!(list(typed, newest()).await.items, []);
    let two = Page { items: 2, order: Order::Descending, from: From::After(all[0].id) };
    let slice = list(AttemptFilter::default(), two).await;
    assert_eq!((slice.items, slice.done), (all[1..3].to_vec(), false));
    let back = Page { items: 2, order: Order::Descending, from: From::Before(all[3].id) };
    assert_eq!(list(AttemptFilter::default(), back).await.items, all[1..3]);
}

async fn a_glance_at_endpoints_shows_the_latest_attempts_of_each(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    let later = f.clock.now().plus_ms(1_000_000);
    let nexts = [Next::Failed, Next::Succeeded, Next::Retry(later), Next::Failed, Next::Succeeded];
    for (endpoint, next) in [a, a, a, a, b].into_iter().zip(nexts) {
        let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
        f.record(main_run(message.id, endpoint), Held::Fresh, 1, next).await;
        f.clock.advance_ms(1_000);
    }
    let marks = |each, since| f.store.attempt_marks(vec![a, b], each, since);
    let found = marks(3, START).await.unwrap();
    let shown: Vec<_> = found.iter().map(|mark| (mark.endpoint, mark.disposition)).collect();
    let (failed, retrying, succeeded) = (Disposition::Failed, Disposition::Retrying, Disposition::Succeeded);
    assert_eq!(shown, [(a, failed), (a, retrying), (a, succeeded), (b, succeeded)]);
    assert_eq!(found[0].id.timestamp(), START.plus_ms(3_000));
    assert_eq!(marks(3, START.plus_ms(4_000)).await.unwrap(), found[3..]);
    assert_eq!(f.store.attempt_marks(Vec::new(), 3, START).await.unwrap(), []);
}

async fn a_messages_attempts_come_from_all_its_endpoints_and_from_resends_to_others(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    let message = f.accept(&app, &[(a, Admission::Handoff)]).await;
    f.record(main_run(message.id, a), Held::Fresh, 1, Next::Succeeded).await;
    f.store.resend(message.id, b, domain::attempt::Trigger::Resend).await.unwrap();
    let claimed = f.claim(b, 1).await[0];
    f.record(claimed.key, Held::Claimed(claimed.claim), 1, Next::Succeeded).await;
    let list = |filter| f.store.attempt_list_by_message(&message, filter, newest());
    let all = list(AttemptFilter::default()).await.unwrap().items;
    assert_eq!(all.iter().map(|x| x.record.endpoint).collect::<Vec<_>>(), [b, a]);
    let only_a = AttemptFilter { endpoint: Some(a), ..Default::default() };
    assert_eq!(list(only_a).await.unwrap().items, [all[1].clone()]);
    let endpoints = f.store.endpoints_of_message(&message, Page::first(50, Order::Ascending)).await.unwrap();
    assert_eq!(
        endpoints.items.iter().map(|e| (e.endpoint, e.state)).collect::<Vec<_>>(),
        [(a, DeliveryState::Succeeded), (b, DeliveryState::Succeeded)]
    );
}

async fn an_endpoints_messages_show_each_once_with_its_latest_state(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (endpoint, other) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    let fresh = [(endpoint, Admission::Handoff)];
    let succeeded = f.accept(&app, &fresh).await.id;
    f.record(main_run(succeeded, endpoint), Held::Fresh, 1, Next::Succeeded).await;
    let mended = f.accept(&app, &fresh).await.id;
    f.record(main_run(mended, endpoint), Held::Fresh, 1, Next::Retry(f.clock.now())).await;
    let claimed = f.claim(endpoint, 1).await[0];
    f.record(claimed.key, Held::Claimed(claimed.claim), 2, Next::Succeeded).await;
    let failed = f.accept(&app, &fresh).await.id;
    f.record(main_run(failed, endpoint), Held::Fresh, 1, Next::Failed).await;
    let pending = f.accept(&app, &[(endpoint, Admission::Park)]).await.id;
    let canceled = f.accept(&app, &[(endpoint, Admission::Cancel)]).await.id;
    let sending = f.accept(&app, &fresh).await.id;
    f.accept(&app, &[(other, Admission::Handoff)]).await;
    let f = &f;
    let all = messages(f, endpoint, None, newest()).await;
    assert_eq!(
        all.0,
        [
            (sending, DeliveryState::Sending),
            (canceled, DeliveryState::Canceled),
            (pending, DeliveryState::Pending),
            (failed, DeliveryState::Failed),
            (mended, DeliveryState::Succeeded),
            (succeeded, DeliveryState::Succeeded),
        ]
    );
    assert!(all.1);
    for state in
        [DeliveryState::Pending, DeliveryState::Failed, DeliveryState::Canceled, DeliveryState::Sending]
    {
        let found = messages(f, endpoint, Some(state), newest()).await.0;
        assert_eq!(found.len(), 1, "{state:?}");
        assert_eq!(found[0].1, state);
    }
    let both = AttemptFilter { canceled_too: true, ..AttemptFilter::default() };
    for (from, expected) in [
        (From::Start, vec![canceled, failed]),
        (From::After(canceled), vec![failed]),
        (From::Before(failed), vec![canceled]),
    ] {
        let page = Page { items: 5, order: Order::Descending, from };
        let state = Some(DeliveryState::Failed);
        let found = f.store.messages_of_endpoint(endpoint, state, both.clone(), page).await.unwrap();
        assert_eq!(found.items.iter().map(|m| m.message.id).collect::<Vec<_>>(), expected);
    }
    let counts = f.store.delivery_counts(endpoint, START, START.plus_ms(1_000)).await.unwrap();
    let expected = DeliveryCounts { succeeded: 2, pending: 1, sending: 1, failed: 1, canceled: 1 };
    assert_eq!(counts, expected);
    let first = Page { items: 1, order: Order::Descending, from: From::Start };
    let page = messages(f, endpoint, Some(DeliveryState::Succeeded), first).await;
    assert_eq!(page, (vec![(mended, DeliveryState::Succeeded)], false));
    let next = Page { items: 1, order: Order::Descending, from: From::After(mended) };
    let page = messages(f, endpoint, Some(DeliveryState::Succeeded), next).await;
    assert_eq!(page.0, [(succeeded, DeliveryState::Succeeded)]);
    let middle = Page { items: 2, order: Order::Descending, from: From::After(canceled) };
    let page = messages(f, endpoint, None, middle).await;
    assert_eq!(page.0.iter().map(|x| x.0).collect::<Vec<_>>(), [pending, failed]);
}

async fn messages(
    f: &Fixture,
    endpoint: domain::id::EndpointKey,
    state: Option<DeliveryState>,
    page: Page<MessageId>,
) -> (Vec<(MessageId, DeliveryState)>, bool) {
    let filter = AttemptFilter::default();
    let slice = f.store.messages_of_endpoint(endpoint, state, filter, page).await.unwrap();
    (slice.items.iter().map(|m| (m.message.id, m.state)).collect(), slice.done)
}

async fn a_message_delivered_again_stands_in_the_list_once_and_paging_comes_to_an_end(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = f.accept(&app, &[(endpoint, Admission::Handoff)]).await.id;
        f.record(main_run(id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
        ids.push(id);
    }
    f.store.resend(ids[0], endpoint, domain::attempt::Trigger::Resend).await.unwrap();
    let again = f.claim(endpoint, 1).await[0];
    f.record(again.key, Held::Claimed(again.claim), 1, Next::Succeeded).await;
    let mut seen = Vec::new();
    let mut page = Page { items: 1, order: Order::Descending, from: From::Start };
    for _ in 0..3 {
        let (items, done) = messages(&f, endpoint, Some(DeliveryState::Succeeded), page.clone()).await;
        seen.extend(items.iter().map(|(id, _)| *id));
        if done {
            break;
        }
        page.from = From::After(*seen.last().unwrap());
    }
    assert_eq!(seen, ids);
}

async fn a_filtered_list_finds_what_is_far_down(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let mut tagged = f.message(&app, &[(endpoint, Admission::Park)]);
    tagged.tags = vec!["rare".into()];
    let tagged = f.store.accept(tagged).await.unwrap().id;
    for _ in 0..60 {
        f.accept(&app, &[(endpoint, Admission::Park)]).await;
    }
    let filter = AttemptFilter { tag: Some("rare".into()), ..Default::default() };
    let page = Page { items: 1, order: Order::Descending, from: From::Start };
    let slice = f.store.messages_of_endpoint(endpoint, None, filter, page).await.unwrap();
    assert_eq!(slice.items.iter().map(|m| m.message.id).collect::<Vec<_>>(), [tagged]);
}

each_engine!(
    an_attempt_reads_back_as_it_was_recorded_and_only_under_its_message,
    an_endpoints_attempts_are_merged_newest_first_and_filtered,
    a_glance_at_endpoints_shows_the_latest_attempts_of_each,
    a_messages_attempts_come_from_all_its_endpoints_and_from_resends_to_others,
    an_endpoints_messages_show_each_once_with_its_latest_state,
    a_message_delivered_again_stands_in_the_list_once_and_paging_comes_to_an_end,
    a_filtered_list_finds_what_is_far_down,
);
