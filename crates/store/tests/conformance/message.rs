//! Messages: what accept promises, and the lists.

use crate::harness::{Engine, Fixture, START};
use bytes::Bytes;
use domain::page::{From, Order, Page};
use store::StoreError;
use store::message::{Admission, MessageFilter, MessageKey};

async fn an_accepted_message_reads_back_byte_for_byte_and_is_handed_to_dispatch(engine: Engine) {
    let mut f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let mut new = f.message(&app, &[(endpoint.key, Admission::Handoff)]);
    new.payload = Bytes::from_static(b"{\"b\": 1.10,\n \"a\":12345678901234567890123}");
    new.event_id = Some("event-1".into());
    new.channels = vec!["red".into()];
    new.tags = vec!["t1".into()];
    let accepted = f.store.accept(new).await.unwrap();
    let read = f.store.message_get(app.key, accepted.id).await.unwrap();
    assert_eq!(read, *accepted);
    assert_eq!(read.payload.unwrap(), &b"{\"b\": 1.10,\n \"a\":12345678901234567890123}"[..]);
    let handed = f.accepted.messages.recv().await.unwrap();
    assert_eq!((handed.message.id, handed.endpoints), (accepted.id, vec![endpoint.key]));
    assert_eq!(f.store.message_by_event_id(app.key, "event-1").await.unwrap().id, accepted.id);
}

async fn a_message_belongs_to_its_application_alone(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await, f.application("two").await);
    let message = f.accept(&one, &[]).await;
    assert_eq!(f.store.message_get(two.key, message.id).await, Err(StoreError::NotFound));
    assert!(f.store.message_get(one.key, message.id).await.is_ok());
}

async fn an_event_id_is_unique_in_its_application_for_a_day(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await, f.application("two").await);
    let with_id = |app| {
        let mut new = f.message(app, &[]);
        new.event_id = Some("event-1".into());
        new
    };
    f.store.accept(with_id(&one)).await.unwrap();
    assert_eq!(f.store.accept(with_id(&one)).await, Err(StoreError::Taken("eventId")));
    assert!(f.store.accept(with_id(&two)).await.is_ok());
    f.clock.advance_ms(24 * 3_600_000 + 1);
    assert!(f.store.accept(with_id(&one)).await.is_ok());
}

async fn an_explicit_idempotency_key_makes_one_message_and_a_refused_one_gives_its_place_back(
    engine: Engine,
) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let keyed = |body: u8| {
        let mut new = f.message(&app, &[(endpoint.key, Admission::Handoff)]);
        new.key = Some(MessageKey { hash: [1; 16], body_hash: [body; 16], explicit: true });
        new
    };
    let first = f.store.accept(keyed(1)).await.unwrap();
    assert_eq!(f.accepted.held(), 1);
    let repeated = |same_body| Err(StoreError::Repeated { message: first.id, same_body });
    assert_eq!(f.store.accept(keyed(1)).await, repeated(true));
    assert_eq!(f.store.accept(keyed(2)).await, repeated(false));
    assert_eq!(f.accepted.held(), 1, "a refused accept holds no place in dispatch");
    assert_eq!(f.store.message_key_get([1; 16]).await.unwrap(), Some((first.id, [1; 16])));
    assert_eq!(f.store.message_key_get([2; 16]).await.unwrap(), None);
}

async fn automatic_keys_are_found_again_after_a_restart(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut new = f.message(&app, &[]);
    new.key = Some(MessageKey { hash: [3; 16], body_hash: [0; 16], explicit: false });
    let message = f.store.accept(new).await.unwrap();
    f.accept(&app, &[]).await;
    let f = f.restart().await;
    assert_eq!(f.store.message_keys_since(START).await.unwrap(), [([3; 16], message.id)]);
    assert_eq!(f.store.message_keys_since(START.plus_ms(1_000)).await.unwrap(), []);
}

async fn a_list_is_filtered_and_pages_both_ways(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut ids = Vec::new();
    for index in 0..7_u8 {
        let mut new = f.message(&app, &[]);
        new.event_type = if index % 2 == 0 { "even".into() } else { "odd".into() };
        new.tags = vec![format!("tag{index}")];
        new.channels = if index < 3 { vec!["low".into()] } else { vec!["high".into(), "all".into()] };
        ids.push(f.store.accept(new).await.unwrap().id);
        f.clock.advance_ms(1_000);
    }
    ids.reverse();
    let list = |filter: MessageFilter, page| async {
        let slice = f.store.message_list(app.key, filter, page).await.unwrap();
        (slice.items.into_iter().map(|m| m.id).collect::<Vec<_>>(), slice.done)
    };
    let all = MessageFilter::default;
    let first = Page::first(3, Order::Descending);
    assert_eq!(list(all(), first.clone()).await, (ids[..3].to_vec(), false));
    let after = Page { from: From::After(ids[4]), ..first.clone() };
    assert_eq!(list(all(), after).await, (ids[5..].to_vec(), true));
    let before = Page { from: From::Before(ids[4]), ..first.clone() };
    assert_eq!(list(all(), before).await, (ids[1..4].to_vec(), false));
    let odd = MessageFilter { event_types: vec!["odd".into(), "none".into()], ..all() };
    assert_eq!(list(odd, first.clone()).await.0, [ids[1], ids[3], ids[5]]);
    let channel = MessageFilter { channel: Some("low".into()), ..all() };
    assert_eq!(list(channel, first.clone()).await.0, ids[4..]);
    let tag = MessageFilter { tag: Some("tag6".into()), ..all() };
    assert_eq!(list(tag, first.clone()).await.0, [ids[0]]);
    let window = MessageFilter { before: Some(START.plus_ms(3_000)), after: Some(START.plus_ms(0)), ..all() };
    assert_eq!(list(window, first.clone()).await.0, [ids[4], ids[5]]);
    let floor = MessageFilter { floor: Some(ids[5]), event_types: vec!["odd".into()], ..all() };
    assert_eq!(list(floor, first).await, (vec![ids[1], ids[3], ids[5]], true));
    let mut new = f.message(&app, &[]);
    new.payload = bytes::Bytes::from_static("{\"name\": \"Zoë %_\\\\\", \"amount\": 12.50}".as_bytes());
    let told = f.store.accept(new).await.unwrap().id;
    for (text, found) in [
        ("Zoë", true),
        ("%_\\\\\"", true),
        ("12.50", true),
        ("zoë", false),
        ("Z%", false),
        ("12.5000", false),
    ] {
        let wanted = MessageFilter { text: Some(text.into()), ..all() };
        assert_eq!(
            list(wanted, Page::first(3, Order::Descending)).await.0,
            if found { vec![told] } else { vec![] },
            "{text}"
        );
    }
    f.store.message_expunge(app.key, told).await.unwrap();
    let gone = MessageFilter { text: Some("Zoë".into()), ..all() };
    assert_eq!(list(gone, Page::first(3, Order::Descending)).await.0, []);
    f.clock.advance_ms(1);
}

async fn a_message_is_found_so_many_behind_another(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(f.accept(&app, &[]).await.id);
        f.clock.advance_ms(1);
    }
    ids.reverse();
    let behind = async |from, many| f.store.message_behind(app.key, from, many).await.unwrap();
    assert_eq!(behind(None, 1).await, Some(ids[0]));
    assert_eq!(behind(None, 7).await, Some(ids[6]));
    assert_eq!(behind(None, 8).await, None);
    assert_eq!(behind(Some(ids[2]), 3).await, Some(ids[5]));
    assert_eq!(behind(Some(ids[2]), 5).await, None);
}

async fn an_expunged_payload_is_gone_for_good(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await, f.application("two").await);
    let message = f.accept(&one, &[]).await;
    assert_eq!(f.store.message_expunge(two.key, message.id).await, Err(StoreError::NotFound));
    f.store.message_expunge(one.key, message.id).await.unwrap();
    assert_eq!(f.store.message_get(one.key, message.id).await.unwrap().payload, None);
}

async fn a_page_of_large_messages_ends_early_and_is_not_the_end(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let mut new = f.message(&app, &[]);
        new.payload = Bytes::from(vec![b'x'; 1_600_000]);
        ids.push(f.store.accept(new).await.unwrap().id);
    }
    ids.reverse();
    for (from, expected, done) in [
        (From::Start, &ids[..3], false),
        (From::After(ids[2]), &ids[3..], true),
        (From::Before(ids[4]), &ids[1..4], false),
    ] {
        let page = Page { items: 250, order: Order::Descending, from };
        let slice = f.store.message_list(app.key, MessageFilter::default(), page).await.unwrap();
        assert_eq!(slice.items.iter().map(|m| m.id).collect::<Vec<_>>(), expected);
        assert_eq!(slice.done, done);
    }
}

each_engine!(
    a_message_is_found_so_many_behind_another,
    an_accepted_message_reads_back_byte_for_byte_and_is_handed_to_dispatch,
    a_message_belongs_to_its_application_alone,
    an_event_id_is_unique_in_its_application_for_a_day,
    an_explicit_idempotency_key_makes_one_message_and_a_refused_one_gives_its_place_back,
    automatic_keys_are_found_again_after_a_restart,
    a_list_is_filtered_and_pages_both_ways,
    an_expunged_payload_is_gone_for_good,
    a_page_of_large_messages_ends_early_and_is_not_the_end,
);
