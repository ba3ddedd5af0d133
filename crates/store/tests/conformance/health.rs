//! Endpoints that fail: episodes add up, and end by a success, whoever saw it.

use crate::harness::{Engine, Fixture, START, main_run};
use crate::nodes::two;
use domain::clock::{Clock, Timestamp};
use domain::delivery::Next;
use domain::endpoint::Disabling;
use domain::health::{Failures, LastAnswer, Row};
use domain::id::EndpointKey;
use store::delivery::Held;
use store::endpoint::EndpointChange;
use store::health::{Episode, Looked};
use store::message::Admission;

fn at(ms: i64) -> Timestamp {
    START.plus_ms(ms)
}

/// Failures at these times, unrecoverable or not.
fn failures(all: &[(i64, bool)]) -> Failures {
    let answer = |ms| LastAnswer::new(at(ms), 404, b"no such page");
    let mut failures = Failures::first(answer(all[0].0), all[0].1);
    all[1..].iter().for_each(|(ms, is_unrecoverable)| failures.add(answer(*ms), *is_unrecoverable));
    failures
}

async fn add(f: &Fixture, endpoint: EndpointKey, all: &[(i64, bool)]) -> Vec<Episode> {
    f.store.failures_add(vec![(endpoint, failures(all))]).await.unwrap().failing
}

/// A delivery that succeeds now.
async fn succeed(f: &Fixture, app: &domain::application::Application, endpoint: EndpointKey) {
    let message = f.accept(app, &[(endpoint, Admission::Handoff)]).await;
    f.record(main_run(message.id, endpoint), Held::Fresh, 1, Next::Succeeded).await;
}

async fn failures_add_up_until_one_is_of_another_kind(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (one, two) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    assert_eq!(f.store.episode(one).await.unwrap(), None);
    let begun = add(&f, one, &[(0, true), (1, true)]).await;
    assert_eq!(begun, [Episode { endpoint: one, since: at(0), failures: failures(&[(0, true), (1, true)]) }]);
    add(&f, one, &[(2, true)]).await;
    add(&f, two, &[(3, false)]).await;
    let whole = failures(&[(0, true), (1, true), (2, true)]);
    assert_eq!(f.store.episode(one).await.unwrap().unwrap().failures, whole);
    // A row is broken by another kind of failure, within a step and between two.
    let broken = add(&f, one, &[(4, false), (5, true)]).await.remove(0).failures;
    assert_eq!((broken.count, broken.row), (5, Some(Row { since: at(5), count: 1 })));
    let none = add(&f, one, &[(6, false)]).await.remove(0).failures;
    assert_eq!((none.count, none.row, none.since), (6, None, at(0)));
    // Many at once.
    let both = f.store.failures_add(vec![(two, failures(&[(7, true)])), (one, failures(&[(7, true)]))]).await;
    let mut counts: Vec<_> = both.unwrap().failing.iter().map(|e| (e.endpoint, e.failures.count)).collect();
    counts.sort_unstable();
    assert_eq!(counts, [(one, 7), (two, 2)]);
}

async fn a_success_ends_an_episode_and_one_before_it_does_not(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    succeed(&f, &app, endpoint).await;
    f.clock.advance_ms(10);
    add(&f, endpoint, &[(10, true)]).await;
    assert_eq!(f.store.episodes_end(EndpointKey(0), 10).await.unwrap(), Looked::default());
    f.clock.advance_ms(10);
    succeed(&f, &app, endpoint).await;
    assert_eq!(f.store.episode(endpoint).await.unwrap(), None);
    let looked = f.store.episodes_end(EndpointKey(0), 10).await.unwrap();
    let ended: Vec<_> = looked.ended.iter().map(|e| (e.endpoint, e.since)).collect();
    assert_eq!((ended, looked.next), (vec![(endpoint, at(10))], None));
    f.clock.advance_ms(10);
    let begun = add(&f, endpoint, &[(30, true)]).await;
    assert_eq!((begun[0].since, begun[0].failures.count), (at(30), 1));
    // Also when the next failure is what finds it; one that came before the success begins nothing.
    f.clock.advance_ms(10);
    succeed(&f, &app, endpoint).await;
    assert_eq!(add(&f, endpoint, &[(35, true)]).await, []);
    f.clock.advance_ms(10);
    let told = f.store.failures_add(vec![(endpoint, failures(&[(50, true)]))]).await.unwrap();
    assert_eq!((told.ended.len(), told.failing[0].since, told.failing[0].failures.count), (1, at(50), 1));
}

async fn looks_go_through_all_episodes_in_steps(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut keys = Vec::new();
    for _ in 0..5 {
        keys.push(f.endpoint(&app).await.key);
    }
    for key in &keys {
        add(&f, *key, &[(0, true)]).await;
    }
    f.clock.advance_ms(1);
    succeed(&f, &app, keys[1]).await;
    succeed(&f, &app, keys[4]).await;
    f.store.endpoint_delete(keys[2], (None, None)).await.unwrap();
    let (mut next, mut ended, mut looks) = (Some(EndpointKey(0)), Vec::new(), 0);
    while let Some(after) = next {
        let looked = f.store.episodes_end(after, 2).await.unwrap();
        ended.extend(looked.ended.into_iter().map(|episode| episode.endpoint));
        (next, looks) = (looked.next, looks + 1);
    }
    assert_eq!((ended, looks), (vec![keys[1], keys[2], keys[4]], 3));
}

async fn what_counts_begins_anew_when_an_endpoint_is_enabled_again(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    add(&f, endpoint, &[(0, true), (1, true), (2, true)]).await;
    let answer = LastAnswer::new(at(2), 404, b"no such page");
    let disabling = Disabling { reason: "three times".into(), at: at(3), answer: Some(answer) };
    let set = |disabled: bool, disabling: Option<Disabling>| {
        let decide = move |there: &domain::endpoint::Endpoint| {
            let fields = domain::endpoint::EndpointFields { disabled, ..there.fields.clone() };
            let disabling = Some(disabling.clone());
            Ok(EndpointChange {
                fields: Some(fields),
                begins_again: !disabled,
                disabling,
                ..Default::default()
            })
        };
        f.store.endpoint_update(endpoint, Box::new(decide))
    };
    let disabled = set(true, Some(disabling.clone())).await.unwrap();
    assert_eq!(disabled.disabling, Some(disabling));
    f.clock.advance_ms(10);
    assert_eq!(set(false, None).await.unwrap().disabling, None);
    let again = add(&f, endpoint, &[(20, true)]).await.remove(0);
    assert_eq!((again.since, again.failures), (at(0), failures(&[(20, true)])));
}

async fn the_episodes_of_some_endpoints_are_listed_by_their_age(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(f.endpoint(&app).await.key);
    }
    for (key, since) in [(keys[0], 30), (keys[1], 10), (keys[2], 20), (keys[3], 5)] {
        add(&f, key, &[(since, true)]).await;
    }
    let listed = async |of: &[EndpointKey], limit| {
        let episodes = f.store.episodes(of.to_vec(), limit).await.unwrap();
        episodes.into_iter().map(|episode| (episode.endpoint, episode.since)).collect::<Vec<_>>()
    };
    let all = [(keys[1], at(10)), (keys[2], at(20)), (keys[0], at(30))];
    assert_eq!(listed(&keys[..3], 10).await, all);
    assert_eq!(listed(&keys[..3], 2).await, all[..2]);
    assert_eq!(listed(&[], 10).await, []);
    f.clock.advance_ms(50);
    succeed(&f, &app, keys[1]).await;
    assert_eq!(listed(&keys[..3], 10).await, all[1..]);
}

each_engine!(
    the_episodes_of_some_endpoints_are_listed_by_their_age,
    failures_add_up_until_one_is_of_another_kind,
    a_success_ends_an_episode_and_one_before_it_does_not,
    looks_go_through_all_episodes_in_steps,
    what_counts_begins_anew_when_an_endpoint_is_enabled_again,
);

#[tokio::test]
async fn nodes_add_to_one_episode_and_it_ends_by_a_success_at_any() {
    let (one, other) = two().await;
    let app = one.application("one").await;
    let endpoint = one.endpoint(&app).await.key;
    add(&one, endpoint, &[(0, true)]).await;
    let both = add(&other, endpoint, &[(1, true)]).await.remove(0);
    assert_eq!(both.failures, failures(&[(0, true), (1, true)]));
    one.clock.advance_ms(5);
    assert!(one.clock.now() > at(1));
    succeed(&one, &app, endpoint).await;
    assert_eq!(add(&other, endpoint, &[(2, true)]).await, []);
    assert_eq!(other.store.episodes_end(EndpointKey(0), 10).await.unwrap().ended.len(), 1);
}
