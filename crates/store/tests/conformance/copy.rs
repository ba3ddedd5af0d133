//! Copying from SQLite to PostgreSQL: everything arrives, whatever cuts it short, and nothing else is overwritten.

use crate::audit::entry;
use crate::harness::{Engine, Fixture, START, main_run, shared_options};
use crate::identity::identity;
use crate::user::{ADMINISTRATOR, browser, in_place, totp, user};
use bytes::Bytes;
use domain::api_key::ApiKey;
use domain::attempt::Trigger;
use domain::audit::{Action, NewEntry};
use domain::auth::Auth;
use domain::clock::Clock;
use domain::confidential::Confidential;
use domain::credentials::Credentials;
use domain::delivery::Next;
use domain::endpoint::Endpoint;
use domain::id::{ApplicationKey, EndpointKey, UserKey};
use domain::message::Overrides;
use domain::notice::{Channel, Facts, NewNotice, NoticeKind};
use domain::notify::{Notify, Subscription};
use domain::page::{Order, Page};
use domain::role::Role;
use domain::sign_in::TicketPurpose;
use domain::wire_id::Kind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use store::StoreError;
use store::audit::{AuditFilter, AuditOf};
use store::browser::NewBrowser;
use store::copy::{Options, Progress, copy};
use store::delivery::Held;
use store::endpoint::EndpointChange;
use store::idempotency::Replay;
use store::message::{Admission, MessageKey};
use store::notice::{NewLetter, Sending};
use store::postgres::Postgres;
use store::statistics::Whose;
use store::user::UserChange;
use testkit::Cluster;

fn options() -> Options {
    // Steps of few rows, so that every table but the smallest has several.
    Options {
        encryption_key: b"k".repeat(32),
        old_encryption_keys: Vec::new(),
        now: START.plus_ms(60_000),
        retention_days: 90,
        step_rows: 3,
    }
}

const WILD: &str = "tab\t line\n return\r back\\slash \\N \\. é 🦀 'quote'";

/// A store of everything that there is. Texts with all that the text format of COPY has to escape.
async fn filled() -> (Fixture, ApplicationKey, EndpointKey) {
    let f = Fixture::new(Engine::Sqlite).await;
    let env = f.environment.key;
    let app = f.application("one").await;
    let gone = f.application("gone").await;
    f.store.application_delete(gone.key).await.unwrap();
    let endpoint = f.endpoint(&app).await.key;
    let wild = WILD;
    f.change(endpoint, move |fields| {
        fields.description = wild.into();
        fields.channels = Some(vec!["a\\b".into()]);
        fields.metadata.insert("key".into(), wild.into());
        fields.options.filter = Some(wild.into());
    })
    .await;
    let other = f.endpoint(&app).await.key;
    f.change(other, |fields| fields.paused = true).await;
    let deleted = f.endpoint(&app).await.key;
    f.store.endpoint_delete(deleted, (None, None)).await.unwrap();
    for name in ["a.one", "b.two", "c.three", "d.four"] {
        f.store.event_type_create(env, name, Default::default()).await.unwrap();
    }
    add_sealed(&f, app.key, endpoint, wild).await;
    for number in 0..10_u8 {
        f.clock.advance_ms(10);
        let mut new = f.message(&app, &[(endpoint, Admission::Handoff), (other, Admission::Park)]);
        new.payload = Bytes::from(format!("{{\"n\":{number},\"text\":\"\\\\ \u{1f980}\"}}"));
        new.event_id = Some(format!("event-{number}"));
        new.tags = vec!["t\\1".into()];
        new.key = Some(MessageKey { hash: [number; 16], body_hash: [2; 16], explicit: number % 2 == 0 });
        new.payload_expires_at = (number == 3).then(|| f.clock.now().plus_ms(1_000_000));
        if number == 4 {
            let header = ("X-Own".into(), "sealed".into());
            new.overrides = Overrides {
                raw_payload: Some("raw".into()),
                headers: vec![header],
                context: Some("{}".into()),
            };
        }
        let message = f.store.accept(new).await.unwrap();
        // The last two are on the wire when the server ends.
        let next = match number {
            0..5 => Next::Succeeded,
            5 => Next::Failed,
            6 | 7 => Next::Retry(f.clock.now().plus_ms(500)),
            _ => continue,
        };
        f.record(main_run(message.id, endpoint), Held::Fresh, 1, next).await;
        if number == 2 {
            f.store.message_expunge(app.key, message.id).await.unwrap();
        }
        if number == 5 {
            f.store.resend(message.id, endpoint, Trigger::Resend).await.unwrap();
        }
    }
    // Some of it is counted, and some is not.
    for _ in 0..3 {
        f.store.statistics_step(2).await.unwrap();
    }
    (f, app.key, endpoint)
}

/// What stands sealed or hashed.
async fn add_sealed(f: &Fixture, app: ApplicationKey, endpoint: EndpointKey, wild: &str) {
    let key = ApiKey {
        id: f.id(Kind::ApiKey),
        environment: f.environment.key,
        application: Some(app),
        role: Role::Member,
        name: wild.into(),
        prefix: "ph_abc".into(),
        created_at: START,
        used_at: Some(START),
        revoked_at: None,
    };
    f.store.api_key_create(key, [9; 32]).await.unwrap();
    let replay = Replay {
        body_hash: [1; 16],
        status: 201,
        body: Bytes::from_static(b"answer"),
        expires_at: START.plus_ms(86_400_000),
    };
    f.store.replay_put([7; 16], replay).await.unwrap();
    add_notices(f, app, endpoint, wild).await;
    add_users(f, app, wild).await;
    for n in 0..4 {
        let place = (Some(f.environment.key), (n % 2 == 0).then_some(app));
        let entry = entry(place, &n.to_string(), Action::SecretShown);
        f.store.audit_add(NewEntry { place: wild.into(), ..entry }).await.unwrap();
    }
    let token = Confidential::new("canary-token".into());
    let credentials = Credentials { auth: Auth::Bearer { token }, ..Credentials::default() };
    let change = move |_: &Endpoint| {
        Ok(EndpointChange { credentials: Some(credentials.clone()), ..EndpointChange::default() })
    };
    f.store.endpoint_update(endpoint, Box::new(change)).await.unwrap();
}

/// Notices with letters that were sent, that wait and that are not written yet; and whom they go to.
async fn add_notices(f: &Fixture, app: ApplicationKey, endpoint: EndpointKey, wild: &str) {
    let notice = |episode: i64| {
        let facts = Facts { reason: Some(wild.into()), ..Facts::default() };
        let times = (START.plus_ms(episode), START);
        NewNotice::new((app, endpoint), NoticeKind::Failing, times, facts)
    };
    f.store.notices_add((0..5).map(notice).collect()).await.unwrap();
    let letter = |to: &str| NewLetter {
        channel: Channel::Email,
        recipient: format!("print of {to}"),
        to: to.into(),
        written_at: START,
        due_at: START,
    };
    for (told, to) in
        f.store.notices_untold(true, 0, 4).await.unwrap().iter().zip(["a@b", "a@b", "c@d", "e@f"])
    {
        f.store.notice_told(told.key, vec![letter(to)]).await.unwrap();
    }
    let parcels = f.store.parcels_claim(Channel::Email, START, 2).await.unwrap();
    f.store.parcel_end(&parcels[0], Sending::Sent).await.unwrap();
    f.store
        .parcel_end(&parcels[1], Sending::Later { at: START.plus_ms(5), why: wild.into(), give_up: START })
        .await
        .unwrap();
    let slack_url = Some(Confidential::new("https://hooks.example/canary".into()));
    f.store.notify_put(app, Notify { slack_url, ..Notify::default() }).await.unwrap();
    let place = Confidential::new("https://push.example/canary".into());
    let subscription = Subscription { endpoint: place, p256dh: vec![4; 65], auth: vec![1; 16] };
    f.store.subscription_put(app, "push_1".into(), subscription).await.unwrap();
    f.store.unsubscribe(app, "print of g@h", true).await.unwrap();
}

/// Users with and without a second factor, where they are signed in, links; and one who is gone.
async fn add_users(f: &Fixture, app: ApplicationKey, wild: &str) {
    let here = in_place(Some(app), Role::Member);
    for (n, memberships) in [(1, &[ADMINISTRATOR, here][..]), (2, &[here]), (3, &[here]), (4, &[here])] {
        let one = user(f, &format!("{n}@acme.example"), memberships).await;
        let totp = (n % 2 == 0).then(|| totp(n.into()));
        let (name, password) = (Some(wild.to_owned()), (n > 2).then(|| "$argon2id$hash".to_owned()));
        f.store
            .user_change(one.key, UserChange { name, email: None, password, totp: Some(totp) })
            .await
            .unwrap();
        let end = START.plus_ms(1_000_000);
        f.store.browser_create(NewBrowser { agent: wild.into(), ..browser(n, one.key) }).await.unwrap();
        f.store.ticket_create([n; 32], (one.key, TicketPurpose::Password), end).await.unwrap();
        let identity = identity("https://id.example", &format!("{wild} {n}"));
        f.store.identity_link(&identity, (one.key, &one.email)).await.unwrap();
    }
    let gone = user(f, "gone@acme.example", &[here]).await;
    f.store.user_delete(gone.key).await.unwrap();
}

/// Who may sign in, and how, and where they are.
async fn users(f: &Fixture, app: ApplicationKey) -> String {
    let users = f.store.user_list(Some(app)).await.unwrap();
    let mut out = format!("{users:#?}\n{:#?}\n", f.store.user_list(None).await.unwrap());
    for (n, one) in (1..).zip(&users) {
        let proofs = f.store.user_proofs(&one.email).await.unwrap();
        let totp = proofs.totp.map(|totp| (totp.secret.reveal().to_owned(), totp.last_step));
        out += &format!(
            "{:?}\n{totp:?}\n{:#?}\n{:?}\n",
            proofs.password,
            f.store.browser_list(one.key, START).await.unwrap(),
            f.store.ticket_find([n; 32], TicketPurpose::Password).await.unwrap().email
        );
    }
    assert_eq!(users.len(), 4);
    out
}

/// What there is to tell, and to whom.
async fn notices(f: &Fixture, app: ApplicationKey) -> String {
    let store = &f.store;
    let listed = store.notice_list(app, None, Page::first(250, Order::Ascending)).await.unwrap().items;
    let notify = store.notify_get(app).await.unwrap();
    let subscriptions: Vec<_> = store.subscriptions(app).await.unwrap();
    format!(
        "{listed:#?}\n{:#?}\n{:#?}\n{:?}\n{:?}\n{:?}\n",
        store.letters(listed.iter().map(|one| one.key).collect()).await.unwrap(),
        store.notices_untold(true, 0, 10).await.unwrap(),
        notify.slack_url.map(|url| url.reveal().to_owned()),
        subscriptions.iter().map(|one| one.subscription.endpoint.reveal()).collect::<Vec<_>>(),
        store.unsubscribed(app).await.unwrap(),
    )
}

/// What a client can see, and what is sealed, and what is due.
async fn contents(f: &Fixture, app: ApplicationKey, endpoint: EndpointKey) -> String {
    let (store, env) = (&f.store, f.environment.key);
    let texts = || Page::first(250, Order::Ascending);
    let endpoints = store.endpoint_list(app, texts()).await.unwrap().items;
    let sealed: Vec<_> = endpoints
        .iter()
        .map(|e| {
            let secrets: Vec<_> = e.secrets.iter().map(|s| s.secret.reveal()).collect();
            (e.headers.clone(), secrets, serde_json::to_string(&e.credentials).unwrap())
        })
        .collect();
    let messages =
        store.message_list(app, Default::default(), Page::first(250, Order::Ascending)).await.unwrap().items;
    let mut out = format!(
        "{:#?}\n{endpoints:#?}\n{sealed:#?}\n{:#?}\n{:#?}\n{messages:#?}\n{:#?}\n{:#?}\n{:#?}\n{:#?}\n",
        store.application_list(env, Default::default(), texts()).await.unwrap().items,
        store.event_type_list(env, true, None, texts()).await.unwrap().items,
        store.api_key_list(env).await.unwrap(),
        store
            .attempt_list_by_endpoint(endpoint, Default::default(), Page::first(250, Order::Ascending))
            .await
            .unwrap()
            .items,
        store.delivery_counts(endpoint, START, START.plus_ms(86_400_000)).await.unwrap(),
        store.backlog().await.unwrap(),
        store.replay_get([7; 16]).await.unwrap(),
    );
    for application in [Some(app), None] {
        let hours = store.statistics(Whose { environment: env, application }, (0, i64::MAX)).await.unwrap();
        assert!(!hours.is_empty());
        out += &format!("{hours:#?}\n");
    }
    out += &notices(f, app).await;
    out += &users(f, app).await;
    let newest = Page::first(250, Order::Descending);
    let log = store.audit_list(AuditOf::Environment(env), AuditFilter::default(), newest).await.unwrap();
    assert_eq!(log.items.len(), 4);
    out += &format!("{log:#?}\n");
    for identity in (1..=4).map(|n| identity("https://id.example", &format!("{WILD} {n}"))) {
        out += &format!("{:?}\n", store.identity_find(&identity).await.map(|user| user.email));
    }
    for number in [0, 1, 2, 9] {
        out += &format!("{:?} ", store.message_key_get([number; 16]).await.unwrap());
        out += &format!(
            "{:?}\n",
            store.message_by_event_id(app, &format!("event-{number}")).await.map(|m| m.id)
        );
    }
    out
}

/// Copies, cut short after so many rows.
async fn copied(source: &Path, url: &str, rows: u64) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut begin = None;
    let mut progress = |Progress { done, .. }| {
        let begin = *begin.get_or_insert(done);
        if done - begin >= rows { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    copy(source, url, &options(), &mut progress).await
}

#[tokio::test]
async fn everything_arrives_however_often_the_copy_is_cut_short() {
    let (f, app, endpoint) = filled().await;
    f.clock.advance_ms(1_000);
    let clock = Arc::clone(&f.clock);
    // As a restart leaves it: what was on the wire is due.
    let f = f.restart().await;
    let before = contents(&f, app, endpoint).await;
    let folder = f.close();
    let source = folder.path().join("store.db");
    let url = Cluster::shared().database();
    let mut tries = 0;
    let counts = loop {
        tries += 1;
        assert!(tries < 100, "it comes to an end");
        match copied(&source, &url, 4).await {
            Ok(counts) => break counts,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
        let refusal = Postgres::open(&url, shared_options(&clock)).unwrap_err().to_string();
        assert!(refusal.contains("is not finished"), "{refusal}");
    };
    assert!(tries > 10, "{tries} tries");
    let count = |name| counts.iter().find(|(table, _)| *table == name).unwrap().1;
    assert_eq!((count("message"), count("payload"), count("attempt")), (10, 9, 8));
    let again = copied(&source, &url, u64::MAX).await.unwrap_err().to_string();
    assert!(again.contains("copied into this database already"), "{again}");
    let there = Fixture::on(url, clock).await;
    let after = contents(&there, app, endpoint).await;
    for (before, after) in before.lines().zip(after.lines()) {
        assert_eq!(before, after);
    }
    assert_eq!(before.len(), after.len());
    // Keys of what was deleted are not given again: messages of it may be there.
    assert!(there.application("another").await.key > ApplicationKey(app.0 + 1));
    assert_eq!(user(&there, "another@acme.example", &[]).await.key, UserKey(6));
    let due = there.claim(endpoint, 50).await;
    assert_eq!(due.len(), 5, "two retries, a resend, and two that were on the wire: {due:?}");
}

#[tokio::test]
async fn a_file_that_a_server_had_open_meanwhile_is_copied_anew() {
    let (f, app, endpoint) = filled().await;
    let clock = Arc::clone(&f.clock);
    let folder = f.close();
    let source = folder.path().join("store.db");
    let url = Cluster::shared().database();
    copied(&source, &url, 30).await.unwrap_err();
    let f = Fixture::in_folder(folder, Arc::clone(&clock)).await;
    f.claim(endpoint, 1).await;
    let app_there = f.store.application_find(f.environment.key, "one").await.unwrap();
    f.accept(&app_there, &[]).await;
    let refusal = copied(&source, &url, u64::MAX).await.unwrap_err().to_string();
    assert!(refusal.contains("Stop it first"), "{refusal}");
    let folder = f.close();
    copied(&source, &url, u64::MAX).await.unwrap();
    let there = Fixture::on(url, clock).await;
    let messages = there.store.message_list(app, Default::default(), Page::first(50, Order::Ascending));
    assert_eq!(messages.await.unwrap().items.len(), 11);
    drop(folder);
}

#[tokio::test]
async fn a_copy_that_began_with_another_retention_or_of_another_file_begins_anew() {
    let (f, app, _) = filled().await;
    let clock = Arc::clone(&f.clock);
    let folder = f.close();
    let source = folder.path().join("store.db");
    let url = Cluster::shared().database();
    // Messages are there, their payloads not yet.
    copied(&source, &url, 20).await.unwrap_err();
    let longer = Options { retention_days: 200, ..options() };
    // A copy of the file, from before a server had it open once more: as many leases, another state.
    let backup = tempfile::tempdir().unwrap();
    std::fs::copy(&source, backup.path().join("store.db")).unwrap();
    copy(&source, &url, &longer, &mut |_| ControlFlow::Break(())).await.unwrap_err();
    let f = Fixture::in_folder(folder, Arc::clone(&clock)).await;
    let app_there = f.store.application_find(f.environment.key, "one").await.unwrap();
    f.accept(&app_there, &[]).await;
    let folder = f.close();
    copy(&backup.path().join("store.db"), &url, &longer, &mut |_| ControlFlow::Break(())).await.unwrap_err();
    copy(&source, &url, &longer, &mut |_| ControlFlow::Continue(())).await.unwrap();
    let there = Fixture::on(url, clock).await;
    let page = Page::first(50, Order::Ascending);
    let messages = there.store.message_list(app, Default::default(), page).await.unwrap().items;
    assert_eq!(messages.len(), 11);
    assert_eq!(messages.iter().filter(|message| message.payload.is_some()).count(), 10);
    drop(folder);
}

#[tokio::test]
async fn a_database_on_which_a_node_lives_is_refused_whatever_else_it_holds() {
    let (f, ..) = filled().await;
    let folder = f.close();
    let source = folder.path().join("store.db");
    let node = Fixture::with_ttl(std::time::Duration::from_secs(5)).await;
    // Its lease alone tells.
    node.sql("DELETE FROM environment");
    let refusal = copied(&source, node.url(), u64::MAX).await.unwrap_err().to_string();
    assert!(refusal.contains("needs an empty one"), "{refusal}");
}

#[tokio::test]
async fn a_database_that_holds_something_and_a_key_that_is_not_the_files_are_refused() {
    let (f, ..) = filled().await;
    let folder = f.close();
    let source = folder.path().join("store.db");
    let used = Fixture::new(Engine::Postgres).await;
    let refusal = copied(&source, used.url(), u64::MAX).await.unwrap_err().to_string();
    assert!(refusal.contains("needs an empty one"), "{refusal}");
    let url = Cluster::shared().database();
    let other_key = Options { encryption_key: b"x".repeat(32), ..options() };
    let refusal = copy(&source, &url, &other_key, &mut |_| ControlFlow::Continue(())).await;
    assert!(refusal.unwrap_err().to_string().contains("POSTHASTE_ENCRYPTION_KEY"));
    let missing = folder.path().join("no.db");
    let refusal = copied(&missing, &url, u64::MAX).await.unwrap_err().to_string();
    assert!(refusal.contains("no.db is not there") && !missing.exists(), "{refusal}");
}
