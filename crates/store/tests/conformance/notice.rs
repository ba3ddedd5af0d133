//! Notices: once an episode, written with what they tell of; letters in groups, one process for each recipient.

use crate::harness::{Engine, Fixture, START, main_run};
use crate::nodes::two;
use domain::clock::{Clock, Timestamp};
use domain::delivery::Next;
use domain::endpoint::{Disabling, Endpoint, EndpointFields};
use domain::health::{Failures, LastAnswer};
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{
    AHEAD_MS_MAX, Channel, Facts, GATHER_MS, LETTER_EVERY_MS, NOTICE_KEPT_MS, NewNotice, Notice, NoticeKind,
    TOLD_MAX,
};
use domain::page::{Order, Page};
use domain::task::{Plan, Step, Task, TaskKind, TaskStatus};
use domain::wire_id::Kind;
use store::StoreError;
use store::delivery::Held;
use store::endpoint::EndpointChange;
use store::message::Admission;
use store::notice::{NewLetter, Parcel, Sending};

type Of = (ApplicationKey, EndpointKey);

fn notice(of: Of, kind: NoticeKind, episode: i64) -> NewNotice {
    let facts = Facts { reason: Some("it said \0 404".into()), ..Facts::default() };
    NewNotice::new(of, kind, (START.plus_ms(episode), START.plus_ms(1)), facts)
}

fn letter(channel: Channel, to: &str, due_at: Timestamp) -> NewLetter {
    NewLetter { channel, recipient: format!("print of {to}"), to: to.into(), written_at: due_at, due_at }
}

async fn untold(f: &Fixture) -> Vec<Notice> {
    let mut all = Vec::new();
    for is_for_people in [true, false] {
        all.extend(f.store.notices_untold(is_for_people, 0, 100).await.unwrap());
    }
    all.sort_unstable_by_key(|notice| notice.key);
    all
}

fn kinds(notices: &[Notice]) -> Vec<NoticeKind> {
    notices.iter().map(|notice| notice.new.kind).collect()
}

/// An endpoint with a notice of `count` episodes, each with a letter to `to`.
async fn lettered(f: &Fixture, count: i64, to: &str) -> Of {
    let app = f.application("one").await;
    let of = (app.key, f.endpoint(&app).await.key);
    let notices = (0..count).map(|episode| notice(of, NoticeKind::Failing, episode)).collect();
    f.store.notices_add(notices).await.unwrap();
    for one in f.store.notices_untold(true, 0, 2_000).await.unwrap() {
        let letters = vec![letter(Channel::Email, to, f.clock.now())];
        assert!(f.store.notice_told(one.key, letters).await.unwrap());
    }
    of
}

async fn claim(f: &Fixture) -> Vec<Parcel> {
    f.store.parcels_claim(Channel::Email, f.clock.now(), 10).await.unwrap()
}

async fn a_notice_is_written_once_an_episode_and_told_once(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let of = (app.key, f.endpoint(&app).await.key);
    let first = notice(of, NoticeKind::Failing, 1);
    let silent = NewNotice { is_for_people: false, ..notice(of, NoticeKind::Updated, 1) };
    let all = vec![first.clone(), first.clone(), notice(of, NoticeKind::Failing, 2), silent.clone()];
    f.store.notices_add(all).await.unwrap();
    f.store.notices_add(vec![first, NewNotice { subject: "other".into(), ..silent }]).await.unwrap();
    let found = untold(&f).await;
    use NoticeKind::{Failing, Updated};
    assert_eq!(kinds(&found), [Failing, Failing, Updated, Updated]);
    // Letters and their addresses come with it, and only for the first who tells it.
    let letters =
        vec![letter(Channel::Email, "a@b.example", START), letter(Channel::Slack, "https://b", START)];
    assert!(f.store.notice_told(found[0].key, letters.clone()).await.unwrap());
    assert!(!f.store.notice_told(found[0].key, letters).await.unwrap());
    assert_eq!(untold(&f).await, found[1..]);
    let told = f.store.letters(vec![found[0].key, found[1].key]).await.unwrap();
    let told: Vec<_> = told.iter().map(|(of, one)| (*of == found[0].key, &*one.to, one.state)).collect();
    assert_eq!(told, [(true, "a@b.example", "waiting"), (true, "https://b", "waiting")]);
    // People see those that are for them, by application and by endpoint.
    let list = async |application, endpoint| {
        let page = Page::first(10, Order::Descending);
        f.store.notice_list(application, endpoint, page).await.unwrap().items
    };
    let seen = list(app.key, None).await;
    assert_eq!(seen.iter().map(|one| one.new.episode).collect::<Vec<_>>(), [START.0 + 2, START.0 + 1]);
    assert_eq!(seen[1].new.facts.reason.as_deref(), Some("it said \u{fffd} 404"));
    assert_eq!(list(app.key, Some(of.1)).await, seen);
    assert_eq!(list(app.key, Some(f.endpoint(&app).await.key)).await, []);
    assert_eq!(list(f.application("two").await.key, None).await, []);
}

async fn a_notice_is_written_with_the_change_that_it_tells_of_or_not_at_all(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let of = (app.key, endpoint.key);
    let disable = move |there: &Endpoint| {
        let fields = EndpointFields { disabled: true, ..there.fields.clone() };
        let disabling = Disabling { reason: "404".into(), at: START, answer: None };
        Ok(EndpointChange {
            fields: Some(fields),
            disabling: Some(Some(disabling)),
            notices: vec![notice(of, NoticeKind::Disabled, 1)],
            ..EndpointChange::default()
        })
    };
    let refuse = move |_: &Endpoint| Err(StoreError::NotFound);
    f.store.endpoint_update(endpoint.key, Box::new(refuse)).await.unwrap_err();
    assert_eq!(untold(&f).await, []);
    f.store.endpoint_update(endpoint.key, Box::new(disable)).await.unwrap();
    f.store.endpoint_delete(endpoint.key, (Some(notice(of, NoticeKind::Deleted, 2)), None)).await.unwrap();
    f.store
        .endpoint_delete(endpoint.key, (Some(notice(of, NoticeKind::Deleted, 3)), None))
        .await
        .unwrap_err();
    // One that is made does not know its key before.
    let id = f.id(Kind::Endpoint);
    let new = store::endpoint::NewEndpoint {
        id,
        application: app.key,
        fields: endpoint.fields.clone(),
        headers: Vec::new(),
        secrets: endpoint.secrets.clone(),
        credentials: endpoint.credentials.clone(),
        notice: Some(notice((app.key, EndpointKey(0)), NoticeKind::Created, 4)),
        entry: None,
    };
    let made = f.store.endpoint_create(new).await.unwrap();
    let found = untold(&f).await;
    let of: Vec<_> = found.iter().map(|one| (one.new.kind, one.new.endpoint)).collect();
    use NoticeKind::{Created, Deleted, Disabled};
    assert_eq!(of, [(Disabled, endpoint.key), (Deleted, endpoint.key), (Created, made.key)]);
}

async fn the_end_of_a_task_is_told_with_it(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let of = (app.key, f.endpoint(&app).await.key);
    let task = async |n: i64| {
        let task = Task {
            id: f.id(Kind::BackgroundTask),
            environment: f.environment.key,
            application: of.0,
            endpoint: of.1,
            kind: TaskKind::Recover,
            plan: Plan::window(START, START.plus_ms(n)),
            status: TaskStatus::Running,
            position: 0,
            looked: 0,
            queued: 0,
            error: None,
            created_at: START,
            updated_at: START,
        };
        f.store.task_create(task.clone()).await.unwrap();
        task
    };
    let (one, two) = (task(1).await, task(2).await);
    let step =
        |from| Step { from, position: 5, looked: 0, send: Vec::new(), status: (TaskStatus::Finished, None) };
    let told = |n| Some(notice(of, NoticeKind::TaskFinished, n));
    assert_eq!(f.store.task_step(&one, step(4), told(1)).await.unwrap(), None, "another made that step");
    assert_eq!(untold(&f).await, []);
    f.store.task_step(&one, step(0), told(2)).await.unwrap().unwrap();
    f.store.task_cancel(&one, "it has ended", told(3)).await.unwrap();
    f.store.task_cancel(&two, "enough", told(4)).await.unwrap();
    let episodes: Vec<_> = untold(&f).await.iter().map(|one| one.new.episode - START.0).collect();
    assert_eq!(episodes, [2, 4]);
}

async fn whoever_was_told_that_it_fails_is_told_that_it_works_again(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let keys = [f.endpoint(&app).await.key, f.endpoint(&app).await.key, f.endpoint(&app).await.key];
    let fail = async || {
        let answer = |at: Timestamp| Failures::first(LastAnswer::new(at, 500, b"no"), false);
        let failures = keys.map(|key| (key, answer(f.clock.now())));
        f.store.failures_add(failures.to_vec()).await.unwrap()
    };
    fail().await;
    let since = f.clock.now();
    f.clock.advance_ms(10);
    let told = |key, kind| NewNotice::new((app.key, key), kind, (since, f.clock.now()), Facts::default());
    // The third only through an operational webhook.
    let silent = NewNotice { is_for_people: false, ..told(keys[2], NoticeKind::Disabled) };
    f.store.notices_add(vec![told(keys[0], NoticeKind::Failing), silent]).await.unwrap();
    f.clock.advance_ms(10);
    for key in keys {
        let message = f.accept(&app, &[(key, Admission::Handoff)]).await;
        f.record(main_run(message.id, key), Held::Fresh, 1, Next::Succeeded).await;
    }
    let before = untold(&f).await.len();
    assert_eq!(f.store.episodes_end(EndpointKey(0), 10).await.unwrap().ended.len(), 3);
    let found = untold(&f).await;
    let new = &found[before..];
    assert_eq!(kinds(new), [NoticeKind::Recovered]);
    let recovered = &new[0].new;
    assert_eq!((recovered.endpoint, recovered.at, recovered.episode), (keys[0], f.clock.now(), since.0));
    assert_eq!((recovered.facts.since, recovered.facts.failures), (Some(since.0), Some(1)));
    // Also where the next failure finds it; and a new episode is a new one.
    f.clock.advance_ms(10);
    fail().await;
    f.store
        .notices_add(vec![NewNotice::new(
            (app.key, keys[1]),
            NoticeKind::Exhausted,
            (f.clock.now(), f.clock.now()),
            Facts::default(),
        )])
        .await
        .unwrap();
    f.clock.advance_ms(10);
    let message = f.accept(&app, &[(keys[1], Admission::Handoff)]).await;
    f.record(main_run(message.id, keys[1]), Held::Fresh, 1, Next::Succeeded).await;
    f.clock.advance_ms(10);
    assert_eq!(fail().await.ended.len(), 1);
    let found = untold(&f).await;
    assert_eq!(kinds(&found[before + 1..]), [NoticeKind::Exhausted, NoticeKind::Recovered]);
    assert_eq!(found.last().unwrap().new.endpoint, keys[1]);
}

async fn what_was_given_up_in_an_episode_is_found_until_it_is_told(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let key = f.endpoint(&app).await.key;
    let given_up = async || {
        let message = f.accept(&app, &[(key, Admission::Handoff)]).await;
        f.record(main_run(message.id, key), Held::Fresh, 1, Next::Failed).await;
    };
    given_up().await;
    f.clock.advance_ms(10);
    let answer = LastAnswer::new(f.clock.now(), 500, b"no");
    f.store.failures_add(vec![(key, Failures::first(answer, false))]).await.unwrap();
    let look = async || f.store.episodes_end(EndpointKey(0), 10).await.unwrap();
    assert_eq!(look().await.exhausted, [], "that was before");
    f.clock.advance_ms(10);
    given_up().await;
    let found = look().await.exhausted;
    assert_eq!((found.len(), found[0].endpoint, found[0].since), (1, key, START.plus_ms(10)));
    let told = NewNotice::new(
        (app.key, key),
        NoticeKind::Exhausted,
        (found[0].since, f.clock.now()),
        Facts::default(),
    );
    f.store.notices_add(vec![told]).await.unwrap();
    assert_eq!(look().await.exhausted, []);
}

async fn letters_to_one_recipient_go_as_one_and_not_twice_a_minute(engine: Engine) {
    let f = Fixture::new(engine).await;
    let of = lettered(&f, 1_200, "ops@one.example").await;
    let parcel = claim(&f).await.remove(0);
    assert_eq!((&*parcel.to, parcel.keys.len(), parcel.tries), ("ops@one.example", 1_200, 1));
    let first: Vec<_> = parcel.notices.iter().map(|one| one.new.episode - START.0).collect();
    assert_eq!(first, (0..TOLD_MAX as i64).collect::<Vec<_>>());
    assert_eq!(claim(&f).await, [], "it is claimed");
    f.store.parcel_end(&parcel, Sending::Sent).await.unwrap();
    // The next one waits for its minute, and others do not wait with it.
    f.store.notices_add(vec![notice(of, NoticeKind::Disabled, 1)]).await.unwrap();
    let next = untold(&f).await.remove(0);
    let letters = ["ops@one.example", "ops@two.example"];
    let letters = letters.map(|to| letter(Channel::Email, to, f.clock.now())).to_vec();
    f.store.notice_told(next.key, letters).await.unwrap();
    let other = claim(&f).await;
    assert_eq!(other.iter().map(|parcel| &*parcel.to).collect::<Vec<_>>(), ["ops@two.example"]);
    f.clock.advance_ms(LETTER_EVERY_MS - 1);
    assert_eq!(claim(&f).await, []);
    f.clock.advance_ms(1);
    let both = claim(&f).await;
    // The second was claimed and never ended: whoever had it is gone.
    assert_eq!(
        both.iter().map(|parcel| (parcel.keys.len(), parcel.tries)).collect::<Vec<_>>(),
        [(1, 1), (1, 1)]
    );
}

async fn what_cannot_be_sent_is_tried_later_and_given_up_in_the_end(engine: Engine) {
    let f = Fixture::new(engine).await;
    lettered(&f, 2, "ops@one.example").await;
    let notices: Vec<i64> = claim_notices(&f, 1).await;
    let later = f.clock.now().plus_ms(5 * LETTER_EVERY_MS);
    let state = async || {
        let letters = f.store.letters(notices.clone()).await.unwrap();
        letters.into_iter().map(|(_, one)| (one.state, one.error.unwrap_or_default())).collect::<Vec<_>>()
    };
    let parcel = parcel_of(&f, later).await;
    assert_eq!(parcel.tries, 2);
    assert_eq!(state().await, [("waiting", "not now".to_owned()), ("waiting", "not now".to_owned())]);
    f.store.parcel_end(&parcel, Sending::GivenUp("never".into())).await.unwrap();
    assert_eq!(state().await, [("failed", "never".to_owned()), ("failed", "never".to_owned())]);
    f.clock.advance_ms(100 * LETTER_EVERY_MS);
    assert_eq!(claim(&f).await, []);
}

/// Claims the one parcel; its notices.
async fn claim_notices(f: &Fixture, tries: u32) -> Vec<i64> {
    let parcel = claim(f).await.remove(0);
    assert_eq!(parcel.tries, tries);
    let later = f.clock.now().plus_ms(5 * LETTER_EVERY_MS);
    f.store
        .parcel_end(&parcel, Sending::Later { at: later, why: "not now".into(), give_up: START })
        .await
        .unwrap();
    parcel.notices.iter().map(|one| one.key).collect()
}

/// The parcel when its time has come, and not before.
async fn parcel_of(f: &Fixture, at: Timestamp) -> Parcel {
    f.clock.advance_ms(at.since(f.clock.now()) - 1);
    assert_eq!(claim(f).await, []);
    f.clock.advance_ms(1);
    claim(f).await.remove(0)
}

async fn a_young_letter_is_not_given_up_with_the_old_ones(engine: Engine) {
    let f = Fixture::new(engine).await;
    let of = lettered(&f, 3, "ops@one.example").await;
    f.clock.advance_ms(1_000);
    f.store.notices_add(vec![notice(of, NoticeKind::Disabled, 1)]).await.unwrap();
    let young = untold(&f).await.remove(0).key;
    let letters = vec![letter(Channel::Email, "ops@one.example", f.clock.now())];
    f.store.notice_told(young, letters).await.unwrap();
    let parcel = claim(&f).await.remove(0);
    let (at, give_up) = (f.clock.now().plus_ms(LETTER_EVERY_MS), START.plus_ms(1));
    let sending = Sending::Later { at, why: "still not".into(), give_up };
    f.store.parcel_end(&parcel, sending).await.unwrap();
    f.clock.advance_ms(LETTER_EVERY_MS);
    let left = claim(&f).await.remove(0);
    assert_eq!((left.keys.len(), left.notices[0].key, left.tries), (1, young, 2));
    let old = f.store.letters(vec![parcel.notices[0].key]).await.unwrap().remove(0).1;
    assert_eq!((old.state, old.error.as_deref()), ("failed", Some("still not")));
}

async fn a_clock_that_was_set_back_holds_no_letters_up(engine: Engine) {
    let f = Fixture::new(engine).await;
    let of = lettered(&f, 1, "ops@one.example").await;
    for (episode, back) in [(1, 86_400_000), (2, 600_000)] {
        f.clock.advance_ms(86_400_000);
        let parcel = claim(&f).await.remove(0);
        f.store.parcel_end(&parcel, Sending::Sent).await.unwrap();
        f.store.notices_add(vec![notice(of, NoticeKind::Disabled, episode)]).await.unwrap();
        let next = untold(&f).await.remove(0);
        let due_at = f.clock.now().plus_ms(GATHER_MS);
        let letters = vec![NewLetter { due_at, ..letter(Channel::Email, "ops@one.example", f.clock.now()) }];
        f.store.notice_told(next.key, letters).await.unwrap();
        f.clock.advance_ms(-back);
        // A small step back costs as much time; a large one is noticed.
        f.clock.advance_ms(if back < AHEAD_MS_MAX { back + LETTER_EVERY_MS } else { 0 });
        let parcel = claim(&f).await.remove(0);
        assert_eq!((parcel.keys.len(), parcel.notices.len()), (1, 1));
        assert_eq!(claim(&f).await, [], "by the clock as it is now");
        f.clock.advance_ms(LETTER_EVERY_MS);
    }
}

async fn old_notices_go_with_their_letters(engine: Engine) {
    let f = Fixture::new(engine).await;
    let of = lettered(&f, 3, "ops@one.example").await;
    f.clock.advance_ms(1_000);
    let young = NewNotice { at: f.clock.now(), ..notice(of, NoticeKind::Disabled, 1) };
    f.store.notices_add(vec![young]).await.unwrap();
    // However short the retention is, they are kept for 30 days.
    let now = f.clock.now();
    assert_eq!(f.store.prune_step(now, now, 2).await.unwrap().notices, 0);
    let later = now.plus_ms(NOTICE_KEPT_MS);
    for expected in [2, 1, 0] {
        assert_eq!(f.store.prune_step(now, later, 2).await.unwrap().notices, expected);
    }
    assert_eq!(claim(&f).await, []);
    assert_eq!(kinds(&untold(&f).await), [NoticeKind::Disabled]);
    // What is counted is right again: the next letter is gathered as a first one is.
    f.clock.advance_ms(LETTER_EVERY_MS);
    let young = untold(&f).await.remove(0).key;
    let due_at = f.clock.now().plus_ms(GATHER_MS);
    let letters = vec![NewLetter { due_at, ..letter(Channel::Email, "ops@one.example", f.clock.now()) }];
    f.store.notice_told(young, letters).await.unwrap();
    assert_eq!(claim(&f).await, []);
    f.clock.advance_ms(GATHER_MS);
    assert_eq!(claim(&f).await.remove(0).keys.len(), 1);
}

async fn what_is_taken_back_can_be_noted_anew(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let of = (app.key, f.endpoint(&app).await.key);
    let noted = || vec![NewNotice::silent(of, NoticeKind::AttemptFailing, ("1:0:4".into(), START), None)];
    f.store.notices_add(noted()).await.unwrap();
    f.store.notice_drop(untold(&f).await[0].key).await.unwrap();
    assert_eq!(untold(&f).await, []);
    f.store.notices_add(noted()).await.unwrap();
    let key = untold(&f).await[0].key;
    f.store.notice_told(key, Vec::new()).await.unwrap();
    f.store.notice_drop(key).await.unwrap();
    f.store.notices_add(noted()).await.unwrap();
    assert_eq!(untold(&f).await, [], "what was told stays told");
}

each_engine!(
    a_notice_is_written_once_an_episode_and_told_once,
    a_notice_is_written_with_the_change_that_it_tells_of_or_not_at_all,
    the_end_of_a_task_is_told_with_it,
    whoever_was_told_that_it_fails_is_told_that_it_works_again,
    what_was_given_up_in_an_episode_is_found_until_it_is_told,
    letters_to_one_recipient_go_as_one_and_not_twice_a_minute,
    what_cannot_be_sent_is_tried_later_and_given_up_in_the_end,
    a_young_letter_is_not_given_up_with_the_old_ones,
    a_clock_that_was_set_back_holds_no_letters_up,
    old_notices_go_with_their_letters,
    what_is_taken_back_can_be_noted_anew,
);

#[tokio::test]
async fn of_two_nodes_one_writes_one_tells_and_one_sends() {
    let (a, b) = two().await;
    let app = a.application("one").await;
    let of = (app.key, a.endpoint(&app).await.key);
    for episode in 0..20 {
        let both = || vec![notice(of, NoticeKind::Disabled, episode)];
        tokio::try_join!(a.store.notices_add(both()), b.store.notices_add(both())).unwrap();
        let found = untold(&a).await;
        assert_eq!(found.len(), 1);
        let to = format!("ops@{episode}.example");
        let letters = || vec![letter(Channel::Email, &to, a.clock.now())];
        let key = found[0].key;
        let (one, other) =
            tokio::join!(a.store.notice_told(key, letters()), b.store.notice_told(key, letters()));
        assert!(one.unwrap() != other.unwrap());
        let now = a.clock.now();
        let (one, other) = tokio::join!(
            a.store.parcels_claim(Channel::Email, now, 10),
            b.store.parcels_claim(Channel::Email, now, 10)
        );
        let claimed: Vec<_> = [one.unwrap(), other.unwrap()].concat();
        assert_eq!(claimed.iter().map(|parcel| &*parcel.to).collect::<Vec<_>>(), [&*to]);
        a.store.parcel_end(&claimed[0], Sending::Sent).await.unwrap();
    }
}
