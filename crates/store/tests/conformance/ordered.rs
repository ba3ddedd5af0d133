//! Ordered endpoints (PROTOCOL rule 16): one after the other, in the order in which messages were accepted.

use crate::harness::{Engine, Fixture, START, main_run};
use crate::nodes::{eventually, two};
use domain::application::Application;
use domain::attempt::Trigger;
use domain::clock::Clock;
use domain::delivery::Next;
use domain::id::{EndpointKey, MessageId};
use store::delivery::{Claimed, Held};
use store::message::Admission;

/// An application with an ordered endpoint.
async fn ordered(f: &Fixture) -> (Application, EndpointKey) {
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    f.change(endpoint, |fields| fields.options.ordered = true).await;
    (app, endpoint)
}

async fn accept(f: &Fixture, app: &Application, endpoint: EndpointKey) -> MessageId {
    f.accept(app, &[(endpoint, Admission::Order)]).await.id
}

fn ids(rows: &[Claimed]) -> Vec<MessageId> {
    rows.iter().map(|row| row.key.message).collect()
}

async fn settle(f: &Fixture, row: Claimed, next: Next) {
    f.record(row.key, Held::Claimed(row.claim), row.attempts + 1, next).await;
}

async fn the_next_waits_until_the_one_before_is_settled(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, endpoint) = ordered(&f).await;
    let [one, two, three] = [
        accept(&f, &app, endpoint).await,
        accept(&f, &app, endpoint).await,
        accept(&f, &app, endpoint).await,
    ];
    let first = f.claim(endpoint, 10).await;
    assert_eq!(ids(&first), [one]);
    assert_eq!(f.claim(endpoint, 10).await, [], "one holder at a time");
    // A retry keeps its turn, whatever the others' due times.
    let later = f.clock.now().plus_ms(5_000);
    settle(&f, first[0], Next::Retry(later)).await;
    let waiting = f.store.claim(vec![(endpoint, 10)], f.clock.now()).await.unwrap().remove(0);
    assert_eq!((ids(&waiting.rows), waiting.next_due), (vec![], Some(later)));
    f.clock.advance_ms(5_000);
    let again = f.claim(endpoint, 10).await;
    assert_eq!((ids(&again), again[0].attempts), (vec![one], 1));
    assert!(f.store.wakes().take().len() <= 1);
    settle(&f, again[0], Next::Failed).await;
    assert_eq!(f.store.wakes().take().len(), 1, "it is the next one's turn");
    let second = f.claim(endpoint, 10).await;
    assert_eq!(ids(&second), [two], "exhaustion settles and goes on");
    settle(&f, second[0], Next::Succeeded).await;
    assert_eq!(ids(&f.claim(endpoint, 10).await), [three]);
}

async fn a_resend_goes_beside_the_order(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, endpoint) = ordered(&f).await;
    let [one, two] = [accept(&f, &app, endpoint).await, accept(&f, &app, endpoint).await];
    let first = f.claim(endpoint, 10).await[0];
    settle(&f, first, Next::Failed).await;
    let held = f.claim(endpoint, 10).await[0];
    assert_eq!(held.key.message, two);
    f.store.resend(one, endpoint, Trigger::Resend).await.unwrap();
    let beside = f.claim(endpoint, 10).await;
    assert_eq!((ids(&beside), beside[0].key.run), (vec![one], 1));
    let later = f.clock.now().plus_ms(60_000);
    settle(&f, beside[0], Next::Retry(later)).await;
    settle(&f, held, Next::Succeeded).await;
    let three = accept(&f, &app, endpoint).await;
    assert_eq!(ids(&f.claim(endpoint, 10).await), [three], "a resend that waits holds nobody up");
}

async fn what_waited_before_the_endpoint_was_ordered_comes_first(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let old = [
        f.accept(&app, &[(endpoint, Admission::Park)]).await.id,
        f.accept(&app, &[(endpoint, Admission::Park)]).await.id,
    ];
    f.change(endpoint, |fields| fields.options.ordered = true).await;
    let new = accept(&f, &app, endpoint).await;
    for expected in [old[0], old[1], new] {
        let row = f.claim(endpoint, 10).await[0];
        assert_eq!(row.key.message, expected);
        settle(&f, row, Next::Succeeded).await;
    }
    // And when it is not ordered any more, what has a place goes as all do.
    let both = [accept(&f, &app, endpoint).await, accept(&f, &app, endpoint).await];
    f.change(endpoint, |fields| fields.options.ordered = false).await;
    assert_eq!(ids(&f.claim(endpoint, 10).await), both);
}

async fn an_order_that_begins_again_is_that_of_the_messages(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, endpoint) = ordered(&f).await;
    let mut all = vec![accept(&f, &app, endpoint).await, accept(&f, &app, endpoint).await];
    f.change(endpoint, |fields| fields.options.ordered = false).await;
    all.push(f.accept(&app, &[(endpoint, Admission::Park)]).await.id);
    f.change(endpoint, |fields| fields.options.ordered = true).await;
    all.push(accept(&f, &app, endpoint).await);
    for expected in all {
        let row = f.claim(endpoint, 10).await[0];
        assert_eq!(row.key.message, expected);
        settle(&f, row, Next::Succeeded).await;
    }
}

async fn what_one_commit_accepts_is_in_the_order_of_the_messages(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, endpoint) = ordered(&f).await;
    let one = || accept(&f, &app, endpoint);
    let together = tokio::join!(one(), one(), one(), one(), one(), one());
    let mut all = [together.0, together.1, together.2, together.3, together.4, together.5];
    all.sort_unstable();
    for expected in all {
        let row = f.claim(endpoint, 10).await[0];
        assert_eq!(row.key.message, expected);
        settle(&f, row, Next::Succeeded).await;
    }
}

async fn one_accept_gives_places_to_many_endpoints(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut endpoints = Vec::new();
    for _ in 0..5 {
        let endpoint = f.endpoint(&app).await.key;
        f.change(endpoint, |fields| fields.options.ordered = true).await;
        endpoints.push(endpoint);
    }
    let to: Vec<_> = endpoints.iter().map(|endpoint| (*endpoint, Admission::Order)).collect();
    let messages =
        [f.accept(&app, &to).await.id, f.accept(&app, &to[1..]).await.id, f.accept(&app, &to).await.id];
    for (index, endpoint) in endpoints.into_iter().enumerate() {
        let expected = if index == 0 { vec![messages[0], messages[2]] } else { messages.to_vec() };
        for message in expected {
            let row = f.claim(endpoint, 10).await[0];
            assert_eq!(row.key.message, message);
            settle(&f, row, Next::Succeeded).await;
        }
    }
}

async fn a_paused_ordered_endpoint_resumes_where_it_was(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (app, endpoint) = ordered(&f).await;
    let all = [accept(&f, &app, endpoint).await, accept(&f, &app, endpoint).await];
    f.change(endpoint, |fields| fields.paused = true).await;
    assert_eq!(f.claim(endpoint, 10).await, []);
    f.change(endpoint, |fields| fields.paused = false).await;
    assert_eq!(ids(&f.claim(endpoint, 10).await), all[..1]);
}

each_engine!(
    the_next_waits_until_the_one_before_is_settled,
    a_resend_goes_beside_the_order,
    what_waited_before_the_endpoint_was_ordered_comes_first,
    an_order_that_begins_again_is_that_of_the_messages,
    what_one_commit_accepts_is_in_the_order_of_the_messages,
    one_accept_gives_places_to_many_endpoints,
    a_paused_ordered_endpoint_resumes_where_it_was,
);

/// Two nodes that are wanted for the same ordered endpoints, in another order, do not wait for each other's locks.
#[tokio::test]
async fn nodes_claim_the_heads_of_ordered_endpoints_without_waiting_for_each_other() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let mut endpoints = Vec::new();
    for _ in 0..8 {
        let endpoint = a.endpoint(&app).await.key;
        a.change(endpoint, |fields| fields.options.ordered = true).await;
        endpoints.push(endpoint);
    }
    let now = START.plus_ms(60_000);
    for _ in 0..30 {
        let to: Vec<_> = endpoints.iter().map(|endpoint| (*endpoint, Admission::Order)).collect();
        a.accept(&app, &to).await;
        let wanted: Vec<_> = endpoints.iter().map(|endpoint| (*endpoint, 10)).collect();
        let reversed = wanted.iter().copied().rev().collect();
        let (mine, theirs) = tokio::join!(a.store.claim(wanted, now), b.store.claim(reversed, now));
        for (node, claims) in [(&a, mine.expect("a claim")), (&b, theirs.expect("a claim"))] {
            for row in claims.into_iter().flat_map(|claims| claims.rows) {
                settle(node, row, Next::Succeeded).await;
            }
        }
    }
}

/// Two nodes accept in turn and claim at once: the order is that of the commits, and one of them holds.
#[tokio::test]
async fn nodes_keep_to_one_order_between_them() {
    let (a, b) = two().await;
    let (app, endpoint) = ordered(&a).await;
    let is_known = async || b.store.routing().is_ordered(endpoint).then_some(());
    eventually("the other node to know the endpoint", is_known).await;
    let mut accepted = Vec::new();
    for number in 0..20 {
        let node = if number % 2 == 0 { &a } else { &b };
        accepted.push(accept(node, &app, endpoint).await);
    }
    for expected in accepted {
        let now = START.plus_ms(60_000);
        let both =
            tokio::join!(a.store.claim(vec![(endpoint, 10)], now), b.store.claim(vec![(endpoint, 10)], now));
        let (mine, theirs) = (both.0.unwrap().remove(0).rows, both.1.unwrap().remove(0).rows);
        assert_eq!(mine.len() + theirs.len(), 1, "one holder at a time");
        let (node, row) = if mine.is_empty() { (&b, theirs[0]) } else { (&a, mine[0]) };
        assert_eq!(row.key, main_run(expected, endpoint));
        settle(node, row, Next::Succeeded).await;
    }
}
