//! Browsers in which people are signed in: how long, how many, and where they are signed out.

use crate::harness::{Engine, Fixture, START};
use crate::user::{ADMINISTRATOR, browser, in_place, user};
use domain::clock::Clock;
use domain::id::UserKey;
use domain::limit::SESSIONS_MAX;
use domain::role::Role;
use domain::sign_in::TicketPurpose::{Password, SignIn};
use store::StoreError;
use store::browser::{Browser, NewBrowser};
use store::user::UserChange;

/// The numbers of a user's browsers that hold, the last seen first.
async fn held(f: &Fixture, user: UserKey) -> Vec<u8> {
    let listed = f.store.browser_list(user, START).await.unwrap();
    listed.into_iter().map(|one| one.sha256[0]).collect()
}

async fn a_browser_is_what_was_given_with_its_user_and_where_they_may_do_what(engine: Engine) {
    let f = Fixture::new(engine).await;
    let one = f.application("one").await.key;
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR, in_place(Some(one), Role::Viewer)]).await;
    f.store.browser_create(browser(1, ada.key)).await.unwrap();
    let made = Browser {
        sha256: [1; 32],
        created_at: START,
        seen_at: START,
        ends_at: START.plus_ms(1_000_000),
        address: "192.0.2.7".into(),
        agent: "browser 1".into(),
    };
    assert_eq!(f.store.browser_find([1; 32], START).await.unwrap(), (made.clone(), ada.clone()));
    assert_eq!(f.store.browser_list(ada.key, START).await.unwrap(), [made]);
    // What they may do is what they may do now.
    f.store.membership_delete(ada.key, Some(one)).await.unwrap();
    assert_eq!(f.store.browser_find([1; 32], START).await.unwrap().1.memberships, [ADMINISTRATOR]);
    assert_eq!(f.store.browser_find([2; 32], START).await, Err(StoreError::NotFound));
    assert_eq!(f.store.browser_create(browser(3, UserKey(999))).await, Err(StoreError::NotFound));
}

async fn who_signs_in_by_a_password_does_so_while_it_is_theirs(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR]).await;
    let by = |n: u8, password: &str| NewBrowser { password: Some(password.into()), ..browser(n, ada.key) };
    let theirs = UserChange { password: Some("new".into()), ..UserChange::default() };
    f.store.user_change(ada.key, theirs).await.unwrap();
    f.store.browser_create(by(1, "new")).await.unwrap();
    assert_eq!(f.store.browser_create(by(2, "old")).await, Err(StoreError::NotFound));
    f.store.browser_create(browser(3, ada.key)).await.unwrap();
    assert_eq!(held(&f, ada.key).await.len(), 2);
}

async fn a_browser_holds_until_its_end_and_while_it_is_seen(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[]).await.key;
    f.store.browser_create(NewBrowser { ends_at: START.plus_ms(500), ..browser(1, ada) }).await.unwrap();
    let holds = async || {
        let found = f.store.browser_find([1; 32], f.clock.now().plus_ms(-100)).await;
        let listed = f.store.browser_list(ada, f.clock.now().plus_ms(-100)).await.unwrap();
        assert_eq!(found.as_ref().map(|(one, _)| one).ok(), listed.first());
        assert!(matches!(found, Ok(_) | Err(StoreError::NotFound)), "{found:?}");
        found.is_ok()
    };
    f.clock.advance_ms(100);
    assert!(holds().await);
    f.clock.advance_ms(1);
    assert!(!holds().await, "nobody was there");
    f.store.browser_seen([1; 32]).await.unwrap();
    assert_eq!(f.store.browser_list(ada, START).await.unwrap()[0].seen_at, START.plus_ms(101));
    for _ in 0..3 {
        f.clock.advance_ms(100);
        f.store.browser_seen([1; 32]).await.unwrap();
        assert!(holds().await);
    }
    f.clock.advance_ms(98);
    assert!(holds().await);
    f.clock.advance_ms(1);
    assert!(!holds().await, "it has ended, whatever they do");
    f.store.browser_seen([7; 32]).await.unwrap();
}

async fn of_too_many_browsers_the_ones_that_were_not_seen_for_longest_go(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) =
        (user(&f, "ada@acme.example", &[]).await.key, user(&f, "bob@acme.example", &[]).await.key);
    f.store.browser_create(browser(255, bob)).await.unwrap();
    let most = u8::try_from(SESSIONS_MAX).unwrap();
    for n in 0..most {
        f.clock.advance_ms(1);
        f.store.browser_create(browser(n, ada)).await.unwrap();
    }
    assert_eq!(held(&f, ada).await, (0..most).rev().collect::<Vec<_>>());
    f.clock.advance_ms(1);
    f.store.browser_seen([0; 32]).await.unwrap();
    for n in [most, most + 1] {
        f.clock.advance_ms(1);
        f.store.browser_create(browser(n, ada)).await.unwrap();
    }
    let left: Vec<u8> = [most + 1, most, 0].into_iter().chain((3..most).rev()).collect();
    assert_eq!(held(&f, ada).await, left);
    assert_eq!(held(&f, bob).await, [255]);
}

async fn one_browser_is_signed_out_or_all_but_one(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) =
        (user(&f, "ada@acme.example", &[]).await.key, user(&f, "bob@acme.example", &[]).await.key);
    for (n, of) in [(1, ada), (2, ada), (3, ada), (4, ada), (5, bob)] {
        f.store.browser_create(browser(n, of)).await.unwrap();
    }
    for _ in 0..2 {
        f.store.browser_delete([4; 32]).await.unwrap();
        assert_eq!(held(&f, ada).await, [3, 2, 1]);
    }
    f.store.browsers_delete(ada, Some([2; 32])).await.unwrap();
    assert_eq!(held(&f, ada).await, [2]);
    f.store.browsers_delete(ada, Some([5; 32])).await.unwrap();
    assert_eq!(held(&f, ada).await, [0; 0], "that one is another's");
    f.store.browser_create(browser(1, ada)).await.unwrap();
    f.store.browsers_delete(ada, None).await.unwrap();
    assert_eq!((held(&f, ada).await, held(&f, bob).await), (vec![], vec![5]));
    f.store.browsers_delete(UserKey(999), None).await.unwrap();
}

async fn browsers_and_links_that_do_not_hold_are_forgotten(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[]).await;
    let ends_at = START.plus_ms(200);
    f.store.browser_create(NewBrowser { ends_at, ..browser(1, ada.key) }).await.unwrap();
    f.store.browser_create(browser(2, ada.key)).await.unwrap();
    f.store.ticket_create([1; 32], (ada.key, Password), START.plus_ms(200)).await.unwrap();
    f.store.ticket_create([2; 32], (ada.key, SignIn), START.plus_ms(201)).await.unwrap();
    f.clock.advance_ms(100);
    f.store.browser_seen([1; 32]).await.unwrap();
    f.store.browser_create(browser(3, ada.key)).await.unwrap();
    f.clock.advance_ms(99);
    let there = async || {
        // As it was, and long ago: what was only not shown comes back.
        let (passed, idle_since) = (f.clock.now().0 - START.0, START.plus_ms(-1_000));
        f.clock.advance_ms(-passed);
        let browsers = f.store.browser_list(ada.key, idle_since).await.unwrap();
        let mut there: Vec<u8> = browsers.iter().map(|one| one.sha256[0]).collect();
        there.sort_unstable();
        let links = [([1; 32], Password), ([2; 32], SignIn)];
        let mut links = links.map(|(sha256, purpose)| f.store.ticket_find(sha256, purpose));
        let mut found = Vec::new();
        for link in &mut links {
            found.push(link.await.is_ok());
        }
        f.clock.advance_ms(passed);
        (there, found)
    };
    f.store.browsers_prune(START).await.unwrap();
    assert_eq!(there().await, (vec![1, 2, 3], vec![true, true]));
    f.clock.advance_ms(1);
    f.store.browsers_prune(START).await.unwrap();
    assert_eq!(there().await, (vec![2, 3], vec![false, true]));
    f.store.browsers_prune(START.plus_ms(1)).await.unwrap();
    assert_eq!(there().await, (vec![3], vec![false, true]));
    f.clock.advance_ms(1);
    f.store.browsers_prune(START.plus_ms(100)).await.unwrap();
    assert_eq!(there().await, (vec![3], vec![false, false]));
}

each_engine!(
    who_signs_in_by_a_password_does_so_while_it_is_theirs,
    a_browser_is_what_was_given_with_its_user_and_where_they_may_do_what,
    a_browser_holds_until_its_end_and_while_it_is_seen,
    of_too_many_browsers_the_ones_that_were_not_seen_for_longest_go,
    one_browser_is_signed_out_or_all_but_one,
    browsers_and_links_that_do_not_hold_are_forgotten,
);
