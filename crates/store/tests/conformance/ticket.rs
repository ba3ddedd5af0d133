//! Links that are given to users, to choose a password or to sign in.

use crate::harness::{Engine, Fixture, START};
use crate::user::{ADMINISTRATOR, browser, user};
use domain::id::UserKey;
use domain::sign_in::TicketPurpose::{Password, SecondFactor, SignIn};
use domain::user::User;
use store::StoreError;
use store::user::UserChange;

async fn a_link_holds_for_its_purpose_until_it_expires(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR]).await;
    let create = |n: u8, purpose| f.store.ticket_create([n; 32], (ada.key, purpose), START.plus_ms(1_000));
    create(1, Password).await.unwrap();
    create(2, SignIn).await.unwrap();
    f.clock.advance_ms(999);
    assert_eq!(f.store.ticket_find([1; 32], Password).await.unwrap(), ada);
    assert_eq!(f.store.ticket_find([2; 32], SignIn).await.unwrap(), ada);
    for (n, purpose) in [(1, SignIn), (2, Password), (3, Password)] {
        assert_eq!(f.store.ticket_find([n; 32], purpose).await, Err(StoreError::NotFound));
    }
    assert_eq!(
        f.store.ticket_use([2; 32], "hash".into()).await,
        Err(StoreError::NotFound),
        "it only signs in"
    );
    f.clock.advance_ms(1);
    for (n, purpose) in [(1, Password), (2, SignIn)] {
        assert_eq!(f.store.ticket_find([n; 32], purpose).await, Err(StoreError::NotFound));
    }
    assert_eq!(f.store.ticket_use([1; 32], "hash".into()).await, Err(StoreError::NotFound));
    assert!(!f.store.user_get(&ada.id).await.unwrap().has_password);
    let nobody = f.store.ticket_create([4; 32], (UserKey(999), Password), START.plus_ms(9_000));
    assert_eq!(nobody.await, Err(StoreError::NotFound));
}

async fn a_link_is_used_once_and_with_it_end_all_links_and_sessions_of_its_user(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) =
        (user(&f, "ada@acme.example", &[ADMINISTRATOR]).await, user(&f, "bob@acme.example", &[]).await);
    for (n, of) in [(1, &ada), (2, &ada), (3, &bob)] {
        f.store.ticket_create([n; 32], (of.key, Password), START.plus_ms(1_000)).await.unwrap();
        f.store.browser_create(browser(n, of.key)).await.unwrap();
    }
    f.store.ticket_create([4; 32], (ada.key, SignIn), START.plus_ms(1_000)).await.unwrap();
    let used = f.store.ticket_use([1; 32], "hash".into()).await.unwrap();
    assert_eq!(used, User { has_password: true, ..ada.clone() });
    for n in [1, 2] {
        assert_eq!(f.store.ticket_use([n; 32], "other".into()).await, Err(StoreError::NotFound));
        assert_eq!(f.store.browser_find([n; 32], START).await, Err(StoreError::NotFound));
    }
    assert_eq!(f.store.ticket_find([4; 32], SignIn).await, Err(StoreError::NotFound));
    assert_eq!(f.store.user_proofs("ada@acme.example").await.unwrap().password.as_deref(), Some("hash"));
    assert_eq!(f.store.ticket_find([3; 32], Password).await.unwrap(), bob);
    assert_eq!(f.store.browser_find([3; 32], START).await.unwrap().1, bob);
}

async fn what_a_form_holds_between_two_steps_is_no_link_and_ends_with_the_second(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR]).await;
    for n in [1, 2] {
        f.store.ticket_create([n; 32], (ada.key, SecondFactor), START.plus_ms(1_000)).await.unwrap();
    }
    assert_eq!(f.store.ticket_find([1; 32], SecondFactor).await.unwrap(), ada);
    for purpose in [Password, SignIn] {
        assert_eq!(f.store.ticket_find([1; 32], purpose).await, Err(StoreError::NotFound));
    }
    assert_eq!(f.store.ticket_use([1; 32], "hash".into()).await, Err(StoreError::NotFound));
    for _ in 0..2 {
        f.store.ticket_end([1; 32]).await.unwrap();
    }
    assert_eq!(f.store.ticket_find([1; 32], SecondFactor).await, Err(StoreError::NotFound));
    assert_eq!(f.store.ticket_find([2; 32], SecondFactor).await.unwrap(), ada);
}

async fn of_links_of_one_user_that_are_used_at_once_one_wins(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[]).await;
    for _ in 0..10 {
        for n in [1, 2] {
            f.store.ticket_create([n; 32], (ada.key, Password), START.plus_ms(1_000)).await.unwrap();
        }
        let take = |n: u8| f.store.ticket_use([1 + n % 2; 32], format!("hash {n}"));
        let taken = futures_util::future::join_all((0..6).map(take)).await;
        let winners: Vec<_> = (0..6).filter(|n| taken[*n].is_ok()).collect();
        assert!(taken.iter().all(|one| matches!(one, Ok(_) | Err(StoreError::NotFound))), "{taken:?}");
        let password = f.store.user_proofs("ada@acme.example").await.unwrap().password.unwrap();
        assert_eq!(winners.iter().map(|n| format!("hash {n}")).collect::<Vec<_>>(), [password]);
    }
}

async fn with_a_password_that_is_changed_its_links_end_and_nothing_else(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) = (user(&f, "ada@acme.example", &[]).await, user(&f, "bob@acme.example", &[]).await);
    for (n, of, purpose) in [(1, &ada, Password), (2, &ada, SignIn), (3, &bob, Password)] {
        f.store.ticket_create([n; 32], (of.key, purpose), START.plus_ms(1_000)).await.unwrap();
    }
    f.store.browser_create(browser(1, ada.key)).await.unwrap();
    let name = UserChange { name: Some("Ada".into()), ..UserChange::default() };
    f.store.user_change(ada.key, name).await.unwrap();
    assert!(f.store.ticket_find([1; 32], Password).await.is_ok());
    let password = UserChange { password: Some("hash".into()), ..UserChange::default() };
    f.store.user_change(ada.key, password).await.unwrap();
    for (n, purpose) in [(1, Password), (2, SignIn)] {
        assert_eq!(f.store.ticket_find([n; 32], purpose).await, Err(StoreError::NotFound));
    }
    assert_eq!(f.store.ticket_find([3; 32], Password).await.unwrap(), bob);
    assert!(f.store.browser_find([1; 32], START).await.is_ok(), "whoever changes it says where it ends");
}

each_engine!(
    what_a_form_holds_between_two_steps_is_no_link_and_ends_with_the_second,
    a_link_holds_for_its_purpose_until_it_expires,
    a_link_is_used_once_and_with_it_end_all_links_and_sessions_of_its_user,
    of_links_of_one_user_that_are_used_at_once_one_wins,
    with_a_password_that_is_changed_its_links_end_and_nothing_else,
);
