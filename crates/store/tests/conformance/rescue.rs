//! What a process leaves behind is due again, and nothing else is (PROTOCOL rules 5, 6, 11, 13 and 19).

use crate::harness::{Engine, Fixture, main_run};
use domain::attempt::Trigger;
use domain::delivery::Next;
use store::delivery::Held;
use store::message::Admission;

async fn what_was_in_memory_is_due_after_a_restart(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b) = (f.endpoint(&app).await.key, f.endpoint(&app).await.key);
    let both = [(a, Admission::Handoff), (b, Admission::Handoff)];
    let lost = f.accept(&app, &both).await;
    let half = f.accept(&app, &both).await;
    let done = f.accept(&app, &both).await;
    f.record(main_run(half.id, a), Held::Fresh, 1, Next::Succeeded).await;
    f.record(main_run(done.id, a), Held::Fresh, 1, Next::Succeeded).await;
    f.record(main_run(done.id, b), Held::Fresh, 1, Next::Failed).await;
    let f = f.restart().await;
    let rows = |claimed: Vec<store::delivery::Claimed>| {
        claimed.into_iter().map(|c| (c.key.message, c.key.run, c.attempts)).collect::<Vec<_>>()
    };
    assert_eq!(rows(f.claim(a, 10).await), [(lost.id, 0, 0)]);
    assert_eq!(rows(f.claim(b, 10).await), [(lost.id, 0, 0), (half.id, 0, 0)]);
    let f = f.restart().await;
    assert_eq!(rows(f.claim(a, 10).await), [(lost.id, 0, 0)], "a claim does not survive its process");
}

async fn a_resend_alone_does_not_count_as_the_first_attempt(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    f.store.resend(message.id, endpoint, Trigger::Resend).await.unwrap();
    let resend = f.claim(endpoint, 1).await[0];
    f.record(resend.key, Held::Claimed(resend.claim), 1, Next::Succeeded).await;
    let f = f.restart().await;
    let claimed = f.claim(endpoint, 10).await;
    assert_eq!(claimed.iter().map(|c| c.key).collect::<Vec<_>>(), [main_run(message.id, endpoint)]);
}

async fn ids_go_on_above_what_was_stored_whatever_the_clock_says(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let before = f.accept(&app, &[]).await;
    f.clock.advance_ms(-86_400_000);
    let f = f.restart().await;
    let after = f.accept(&app, &[]).await;
    assert!(after.id > before.id);
}

async fn a_message_accepted_after_the_clock_went_back_is_still_rescued(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await.key;
    f.accept(&app, &[]).await;
    f.clock.advance_ms(3_600_000);
    // A commit far ahead writes a checkpoint; then the clock is set back.
    f.accept(&app, &[]).await;
    f.application("two").await;
    f.clock.advance_ms(-3_600_000);
    let message = f.accept(&app, &[(endpoint, Admission::Handoff)]).await;
    let f = f.restart().await;
    assert_eq!(f.claim(endpoint, 10).await.iter().map(|c| c.key.message).collect::<Vec<_>>(), [message.id]);
}

#[tokio::test]
async fn a_second_process_is_refused_with_a_sentence_and_the_first_goes_on() {
    let f = Fixture::new(Engine::Sqlite).await;
    let (linked, hard) = (f.path().with_file_name("linked.db"), f.path().with_file_name("hard.db"));
    std::os::unix::fs::symlink("store.db", &linked).unwrap();
    std::fs::hard_link(f.path(), &hard).unwrap();
    for path in [f.path(), linked, hard] {
        let options = store::sqlite::Options {
            encryption_key: b"k".repeat(32),
            old_encryption_keys: Vec::new(),
            clock: std::sync::Arc::clone(&f.clock) as _,
            probe: None,
        };
        let refusal = store::sqlite::Sqlite::open(&path, options).unwrap_err().to_string();
        assert!(refusal.contains("another posthaste process has"), "{refusal}");
    }
    assert!(store::sqlite::is_open(&f.path()));
    f.application("one").await;
}

#[tokio::test]
async fn a_store_does_not_open_with_another_encryption_key() {
    // Without an endpoint nothing is sealed but the check itself.
    let f = Fixture::new(Engine::Sqlite).await;
    let app = f.application("one").await;
    let (path, clock) = (f.path(), std::sync::Arc::clone(&f.clock));
    f.store.close();
    let Fixture { store, .. } = &f;
    assert!(store.accept(f.message(&app, &[])).await.is_err(), "a closed store accepts nothing");
    let copy = path.with_file_name("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    std::fs::copy(path.with_file_name("store.db-wal"), copy.with_file_name("copy.db-wal")).ok();
    let options = store::sqlite::Options {
        encryption_key: b"x".repeat(32),
        old_encryption_keys: Vec::new(),
        clock: clock as _,
        probe: None,
    };
    let refusal = store::sqlite::Sqlite::open(&copy, options).unwrap_err().to_string();
    assert!(refusal.contains("POSTHASTE_ENCRYPTION_KEY"), "{refusal}");
}

each_engine!(
    what_was_in_memory_is_due_after_a_restart,
    a_resend_alone_does_not_count_as_the_first_attempt,
    ids_go_on_above_what_was_stored_whatever_the_clock_says,
    a_message_accepted_after_the_clock_went_back_is_still_rescued,
);
