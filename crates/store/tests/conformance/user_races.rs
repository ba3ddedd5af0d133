//! What is done to users by two at the same moment on PostgreSQL: played by hand, by a session that holds what a request of
//! another node has locked and written, until the store's own request waits for it.

use crate::harness::{Engine, Fixture, START};
use crate::nodes::eventually;
use crate::protocol::session;
use crate::user::{ADMINISTRATOR, in_place, new_user, user};
use domain::role::Role;
use domain::sign_in::TicketPurpose::Password;
use futures_util::future::join;
use store::StoreError;
use tokio_postgres::Client;

/// What another node has in hand.
struct Other {
    has: Client,
    /// What is seen of sessions in a transaction stays as it was.
    watcher: Client,
}

impl Other {
    async fn begin(f: &Fixture, sql: &str) -> Self {
        let (has, watcher) = (session(f.url()).await, session(f.url()).await);
        has.batch_execute(&format!("BEGIN; {sql}")).await.unwrap();
        Self { has, watcher }
    }

    /// Ends it once so many requests wait for it.
    async fn end(&self, how: &str, waiting: i64) {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        eventually("the requests to wait", async || {
            let count: i64 = self.watcher.query_one(count, &[]).await.unwrap().get(0);
            (count == waiting).then_some(())
        })
        .await;
        self.has.batch_execute(how).await.unwrap();
    }
}

#[tokio::test]
async fn who_would_be_the_first_waits_for_another_one_who_would_be() {
    for (how, expected) in [("COMMIT", Err(StoreError::Taken("setup"))), ("ROLLBACK", Ok("ada@acme.example"))]
    {
        let f = Fixture::new(Engine::Postgres).await;
        let sql = "INSERT INTO users (id, email, name, created_at, is_first) VALUES ('user_x', 'x@acme.example', '', 0, true)";
        let other = Other::begin(&f, sql).await;
        let first = f.store.user_create_first(new_user(&f, "ada@acme.example", &[ADMINISTRATOR]));
        let (made, ()) = join(first, other.end(how, 1)).await;
        assert_eq!(made.map(|user| user.email), expected.map(str::to_owned));
        assert_eq!(f.sql("SELECT count(*) FROM users"), "1");
    }
}

#[tokio::test]
async fn of_the_last_two_administrators_one_stays_whatever_both_saw() {
    for away in ["DELETE FROM membership", "UPDATE membership SET role = 'viewer'", "DELETE FROM users"] {
        let f = Fixture::new(Engine::Postgres).await;
        let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR]).await;
        let bob = user(&f, "bob@acme.example", &[ADMINISTRATOR]).await;
        let key = if away.ends_with("users") { "key" } else { "user_key" };
        let other = Other::begin(&f, &format!("{away} WHERE {key} = {}", ada.key.0)).await;
        let deleted = f.store.user_delete(bob.key);
        let demoted = f.store.membership_put(bob.key, in_place(None, Role::Viewer));
        let left = f.store.membership_delete(bob.key, None);
        let all = join(join(deleted, demoted), left);
        let (((deleted, demoted), left), ()) = join(all, other.end("COMMIT", 3)).await;
        for refused in [deleted, demoted, left] {
            assert!(matches!(refused, Err(StoreError::Limit(_))), "{away}: {refused:?}");
        }
        assert_eq!(f.store.user_get(&bob.id).await.unwrap().memberships, [ADMINISTRATOR]);
    }
}

#[tokio::test]
async fn a_membership_that_comes_while_its_application_or_its_user_is_deleted_does_not_stay() {
    let f = Fixture::new(Engine::Postgres).await;
    let one = f.application("one").await.key;
    let (ada, bob) =
        (user(&f, "ada@acme.example", &[]).await.key, user(&f, "bob@acme.example", &[]).await.key);
    let comes = |user: i64, table: &str, key: i64, lock: &str| {
        format!(
            "SELECT key FROM {table} WHERE key = {key} FOR {lock};
             INSERT INTO membership VALUES ({user}, {}, 'member')",
            one.0
        )
    };
    let other = Other::begin(&f, &comes(ada.0, "users", ada.0, "KEY SHARE")).await;
    join(f.store.user_delete(ada), other.end("COMMIT", 1)).await.0.unwrap();
    assert_eq!(f.sql("SELECT count(*) FROM membership"), "0");
    let other = Other::begin(&f, &comes(bob.0, "application", one.0, "SHARE")).await;
    join(f.store.application_delete(one), other.end("COMMIT", 1)).await.0.unwrap();
    assert_eq!(f.sql("SELECT count(*) FROM membership"), "0");
}

#[tokio::test]
async fn a_membership_waits_for_the_deletion_of_its_application_or_its_user() {
    let f = Fixture::new(Engine::Postgres).await;
    let one = f.application("one").await.key;
    let (ada, bob) = (user(&f, "ada@acme.example", &[]).await, user(&f, "bob@acme.example", &[]).await);
    let here = in_place(Some(one), Role::Member);
    let other = Other::begin(&f, &format!("DELETE FROM users WHERE key = {}", ada.key.0)).await;
    let (put, ticket) =
        (f.store.membership_put(ada.key, here), f.store.ticket_create([1; 32], (ada.key, Password), START));
    let browser = f.store.browser_create(crate::user::browser(1, ada.key));
    let (((put, ticket), browser), ()) = join(join(join(put, ticket), browser), other.end("COMMIT", 3)).await;
    assert_eq!(
        (put, ticket, browser),
        (Err(StoreError::NotFound), Err(StoreError::NotFound), Err(StoreError::NotFound))
    );
    let other =
        Other::begin(&f, &format!("UPDATE application SET deleted_at = 1 WHERE key = {}", one.0)).await;
    let create = f.store.user_create(new_user(&f, "eve@acme.example", &[here]));
    let ((put, made), ()) =
        join(join(f.store.membership_put(bob.key, here), create), other.end("COMMIT", 2)).await;
    assert_eq!((put, made), (Err(StoreError::NotFound), Err(StoreError::NotFound)));
    assert_eq!(f.sql("SELECT count(*) FROM membership"), "0");
}

#[tokio::test]
async fn of_two_links_of_one_user_one_wins_whatever_both_saw_and_who_signed_in_meanwhile_is_signed_out() {
    let f = Fixture::new(Engine::Postgres).await;
    let ada = user(&f, "ada@acme.example", &[]).await;
    for n in [1, 2] {
        f.store.ticket_create([n; 32], (ada.key, Password), START.plus_ms(1_000)).await.unwrap();
    }
    let signs_in = format!(
        "SELECT key FROM users WHERE key = {0} FOR NO KEY UPDATE;
         INSERT INTO browser VALUES (decode(repeat('07', 32), 'hex'), {0}, {1}, {1}, {1} + 1000, '', '');
         UPDATE users SET name = 'Ada' WHERE key = {0}",
        ada.key.0, START.0
    );
    let other = Other::begin(&f, &signs_in).await;
    let uses = join(f.store.ticket_use([1; 32], "one".into()), f.store.ticket_use([2; 32], "two".into()));
    let ((one, two), ()) = join(uses, other.end("COMMIT", 2)).await;
    let (won, password, lost) = if one.is_ok() { (one, "one", two) } else { (two, "two", one) };
    assert_eq!(lost, Err(StoreError::NotFound));
    assert_eq!(won.unwrap().name, "Ada", "what was changed meanwhile stays");
    assert_eq!(f.store.user_proofs("ada@acme.example").await.unwrap().password.as_deref(), Some(password));
    assert_eq!(f.store.browser_find([7; 32], START).await, Err(StoreError::NotFound));
}
