//! Tables over the queues: whose turn it is.

use super::*;
use bytes::Bytes;
use domain::attempt::Trigger;
use domain::delivery::DeliveryKey;
use domain::delivery::MAIN_RUN;
use domain::id::{ApplicationKey, ClaimId, MessageId};
use domain::message::Message;
use domain::message::Overrides;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn item(endpoint: i64, number: i64, held: Held) -> Item {
    let message = Message {
        id: MessageId(number),
        application: ApplicationKey(1),
        event_type: "t".into(),
        event_id: None,
        channels: Vec::new(),
        tags: Vec::new(),
        payload: Some(Bytes::from_static(b"{}")),
        payload_expires_at: None,
        deliver_at: None,
        overrides: Overrides::default(),
        endpoints: Vec::new(),
    };
    Item {
        key: DeliveryKey { message: MessageId(number), endpoint: EndpointKey(endpoint), run: MAIN_RUN },
        held,
        message: Arc::new(message),
        attempts: 0,
        trigger: Trigger::Message,
        since: NOW,
        room: None,
    }
}

fn push(queues: &mut Queues, endpoint: i64, number: i64) {
    let gauge = Arc::new(Gauge::default());
    assert!(gauge.enter(2));
    queues.push(item(endpoint, number, Held::Fresh), &gauge, Limits::default());
}

fn take_all(queues: &mut Queues) -> Vec<Turn> {
    std::iter::from_fn(|| queues.next(NOW)).collect()
}

/// Sends one delivery to the endpoint and lets it end so.
fn end_one(queues: &mut Queues, endpoint: i64, ended: Ended) {
    push(queues, endpoint, 1);
    let turn = queues.next(NOW).unwrap();
    queues.ended(turn.item.key.endpoint, (turn.standing, turn.has_script), ended, NOW);
}

#[test]
fn endpoints_take_turns_however_long_their_lines_are() {
    let mut queues = Queues::default();
    (0..10).for_each(|n| push(&mut queues, 1, n));
    (10..12).for_each(|n| push(&mut queues, 2, n));
    let order: Vec<_> = take_all(&mut queues).iter().map(|t| t.item.key.endpoint.0).collect();
    assert_eq!(order, [1, 2, 1, 2, 1, 1], "four in flight to each at most");
    assert_eq!((queues.waiting(), queues.in_flight()), (6, 6));
}

#[test]
fn nodes_divide_an_endpoints_requests_in_flight_and_a_node_alone_has_them_all() {
    let mut queues = Queues::default();
    queues.shared_by(2);
    (0..10).for_each(|n| push(&mut queues, 1, n));
    assert_eq!(take_all(&mut queues).len(), 2, "half of four");
    // Another one joins: what is in flight stays there, and nothing more is sent.
    queues.shared_by(9);
    assert_eq!(take_all(&mut queues).len(), 0);
    push(&mut queues, 2, 1);
    assert_eq!(take_all(&mut queues).len(), 1, "at least one each");
    queues.shared_by(1);
    assert_eq!(take_all(&mut queues).len(), 2, "the others have gone");
}

#[test]
fn hanging_endpoints_leave_room_for_new_ones_and_more_for_proven_ones() {
    let mut queues = Queues::default();
    end_one(&mut queues, 1, Ended::Succeeded);
    // Those that answer, but slowly, stand with those that hang.
    let ended = |endpoint: i64| if endpoint % 2 == 0 { Ended::TimedOut } else { Ended::Slow };
    (100..1_200).for_each(|endpoint| end_one(&mut queues, endpoint, ended(endpoint)));
    (100..1_200).for_each(|endpoint| (0..4).for_each(|n| push(&mut queues, endpoint, n)));
    assert_eq!(take_all(&mut queues).len(), FAILING_MAX);
    (2_000..3_000).for_each(|endpoint| push(&mut queues, endpoint, 1));
    assert_eq!(take_all(&mut queues).len(), UNPROVEN_MAX - FAILING_MAX);
    push(&mut queues, 1, 2);
    let turns = take_all(&mut queues);
    assert_eq!(turns.iter().map(|t| t.item.key.endpoint.0).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_proven_endpoint_stays_proven_while_it_is_in_use() {
    let mut queues = Queues::default();
    end_one(&mut queues, 1, Ended::Succeeded);
    queues.forget_idle(NOW.plus_ms(60_000));
    push(&mut queues, 1, 2);
    assert_eq!(queues.next(NOW).unwrap().standing, Standing::Proven);
    queues.ended(EndpointKey(1), (Standing::Proven, false), Ended::Succeeded, NOW);
    queues.forget_idle(NOW.plus_ms(FORGOTTEN_AFTER_MS));
    push(&mut queues, 1, 3);
    assert_eq!(queues.next(NOW).unwrap().standing, Standing::New);
}

#[test]
fn fresh_deliveries_go_first_with_a_floor_for_claimed_ones() {
    let mut queues = Queues::default();
    let gauge = Arc::new(Gauge::default());
    (0..3).for_each(|n| queues.push(item(1, 100 + n, Held::Claimed(ClaimId(n))), &gauge, Limits::default()));
    (0..9).for_each(|n| push(&mut queues, 1, n));
    let mut order = Vec::new();
    while let Some(turn) = queues.next(NOW) {
        order.push(turn.item.key.message.0);
        queues.ended(EndpointKey(1), (turn.standing, turn.has_script), Ended::Nothing, NOW);
    }
    assert_eq!(order, [0, 1, 2, 100, 3, 4, 5, 101, 6, 7, 8, 102]);
}

#[test]
fn what_waited_too_long_and_what_was_drained_leaves_memory() {
    let mut queues = Queues::default();
    (0..6).for_each(|n| push(&mut queues, 1, n));
    assert!(queues.late(NOW.plus_ms(QUEUED_MS_MAX)).is_empty());
    assert_eq!(queues.late(NOW.plus_ms(QUEUED_MS_MAX + 1)).len(), 6);
    (0..2).for_each(|n| push(&mut queues, 1, n));
    assert_eq!(queues.drain(EndpointKey(1)).len(), 2);
    assert_eq!(queues.waiting(), 0);
    assert!(queues.next(NOW).is_none());
}

fn push_with(queues: &mut Queues, endpoint: i64, number: i64, limits: Limits) {
    let gauge = Arc::new(Gauge::default());
    assert!(gauge.enter(2));
    queues.push(item(endpoint, number, Held::Fresh), &gauge, limits);
}

#[test]
fn a_line_that_waits_long_for_its_rate_keeps_nothing_in_memory_and_hears_of_another_rate() {
    let hourly = domain::throttle::Rate { count: 1, ms: 3_600_000 };
    let limits = Limits { rate: Some(hourly), ..Limits::default() };
    let mut queues = Queues::default();
    (0..9).for_each(|number| push_with(&mut queues, 1, number, limits));
    assert_eq!(take_all(&mut queues).len(), 1);
    let until = NOW.plus_ms(3_600_000);
    assert_eq!(queues.throttled(), (vec![(EndpointKey(1), until)], vec![]));
    assert_eq!(queues.drain(EndpointKey(1)).len(), 8);
    assert_eq!(queues.line(EndpointKey(1)).set_aside(NOW), Some(until), "nothing is claimed meanwhile");
    assert_eq!(queues.line(EndpointKey(1)).set_aside(until.plus_ms(-1)), None);
    assert_eq!(queues.line(EndpointKey(1)).window(512, 1), 1, "no more than may be sent");
    queues.look_again(NOW.plus_ms(500), |_| Some(limits));
    assert_eq!(queues.throttled(), (vec![], vec![]), "nothing has changed");
    queues.look_again(NOW.plus_ms(1_000), |_| Some(Limits::default()));
    assert_eq!(queues.throttled(), (vec![], vec![EndpointKey(1)]), "it may be claimed for");
    assert_eq!(queues.line(EndpointKey(1)).window(512, 1), 16, "four for each request in flight");
    (9..12).for_each(|number| push_with(&mut queues, 1, number, Limits::default()));
    assert_eq!(take_all(&mut queues).len(), 3);
}

#[test]
fn requests_that_wait_for_scripts_leave_room_for_those_without() {
    let limits = Limits { has_script: true, in_flight: Some(4), ..Limits::default() };
    let mut queues = Queues::default();
    let endpoints = i64::try_from(SCRIPTED_MAX).unwrap();
    for endpoint in 1..=endpoints {
        (0..2).for_each(|number| push_with(&mut queues, endpoint, number, limits));
    }
    push(&mut queues, 0, 1);
    let mut turns = take_all(&mut queues);
    assert_eq!(turns.iter().filter(|turn| turn.has_script).count(), SCRIPTED_MAX);
    assert_eq!(turns.len(), SCRIPTED_MAX + 1);
    // Some of those that wait are gone by the time that it is their turn.
    (1..=endpoints / 2).for_each(|endpoint| drop(queues.drain(EndpointKey(endpoint))));
    let mut sent = 0;
    while let Some(turn) = turns.pop() {
        sent += usize::from(turn.has_script);
        let counted = (turn.standing, turn.has_script);
        queues.ended(turn.item.key.endpoint, counted, Ended::Succeeded, NOW);
        turns.extend(take_all(&mut queues));
    }
    assert_eq!((sent, queues.waiting(), queues.scripted), (SCRIPTED_MAX + SCRIPTED_MAX / 2, 0, 0));
}
