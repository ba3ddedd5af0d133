//! Users: who they are, where they may do what, and that somebody may do everything.

use crate::harness::{Engine, Fixture, START, shared_options};
use domain::confidential::Confidential;
use domain::id::{ApplicationKey, UserKey};
use domain::limit::USERS_MAX;
use domain::role::Role;
use domain::sign_in::TicketPurpose::Password;
use domain::user::{Membership, User};
use domain::wire_id::Kind;
use std::sync::Arc;
use store::browser::NewBrowser;
use store::postgres::{Options as SharedOptions, Postgres};
use store::sqlite::{Options, Sqlite};
use store::user::{NewUser, Totp, UserChange};
use store::{Store, StoreError};

/// A role in an application, or in the whole instance.
pub(crate) const fn in_place(application: Option<ApplicationKey>, role: Role) -> Membership {
    Membership { application, role }
}

pub(crate) const ADMINISTRATOR: Membership = in_place(None, Role::Administrator);

pub(crate) fn new_user(f: &Fixture, email: &str, memberships: &[Membership]) -> NewUser {
    NewUser {
        id: f.id(Kind::User),
        email: email.into(),
        name: String::new(),
        password: None,
        memberships: memberships.to_vec(),
    }
}

pub(crate) async fn user(f: &Fixture, email: &str, memberships: &[Membership]) -> User {
    f.store.user_create(new_user(f, email, memberships)).await.unwrap()
}

pub(crate) fn totp(last_step: i64) -> Totp {
    Totp { secret: Confidential::new("CANARYSECRET".into()), last_step }
}

fn is_limit<T: std::fmt::Debug>(result: Result<T, StoreError>) -> bool {
    matches!(&result, Err(StoreError::Limit(why)) if why.contains("last administrator"))
}

async fn roles(f: &Fixture, user: &User) -> Vec<Membership> {
    f.store.user_get(&user.id).await.unwrap().memberships
}

async fn a_user_is_what_was_given_and_found_by_id_and_address(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    assert!(!f.store.user_exists().await.unwrap());
    let memberships = [
        in_place(Some(two), Role::Viewer),
        ADMINISTRATOR,
        in_place(Some(one), Role::Viewer),
        in_place(Some(one), Role::Manager),
    ];
    let new = NewUser { name: "Ada".into(), ..new_user(&f, "ada@acme.example", &memberships) };
    let made = f.store.user_create(new.clone()).await.unwrap();
    let ada = User {
        key: made.key,
        id: new.id.clone(),
        email: "ada@acme.example".into(),
        name: "Ada".into(),
        has_password: false,
        has_totp: false,
        memberships: vec![
            ADMINISTRATOR,
            in_place(Some(one), Role::Manager),
            in_place(Some(two), Role::Viewer),
        ],
        created_at: START,
    };
    assert_eq!(made, ada);
    assert!(f.store.user_exists().await.unwrap());
    assert_eq!(f.store.user_get(&new.id).await.unwrap(), ada);
    let proofs = f.store.user_proofs("ada@acme.example").await.unwrap();
    assert_eq!((proofs.user, proofs.password, proofs.totp), (ada, None, None));
    assert_eq!(f.store.user_get("user_nobody").await, Err(StoreError::NotFound));
    assert_eq!(f.store.user_proofs("Ada@acme.example").await.unwrap_err(), StoreError::NotFound);
    let same = NewUser { id: f.id(Kind::User), password: Some("hash".into()), ..new };
    assert_eq!(f.store.user_create(same.clone()).await, Err(StoreError::Taken("email")));
    let bob = NewUser { email: "bob@acme.example".into(), memberships: Vec::new(), ..same };
    let bob = f.store.user_create(bob).await.unwrap();
    assert!(bob.has_password && bob.memberships.is_empty());
    assert_eq!(f.store.user_proofs("bob@acme.example").await.unwrap().password.as_deref(), Some("hash"));
}

async fn a_user_of_an_application_that_is_gone_is_not_made(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (gone, there) = (f.application("gone").await.key, f.application("there").await.key);
    f.store.application_delete(gone).await.unwrap();
    for place in [gone, ApplicationKey(999)] {
        let places = [in_place(Some(there), Role::Member), in_place(Some(place), Role::Member)];
        let new = || new_user(&f, "ada@acme.example", &places);
        assert_eq!(f.store.user_create(new()).await, Err(StoreError::NotFound));
        assert_eq!(f.store.user_create_first(new()).await, Err(StoreError::NotFound));
    }
    assert!(!f.store.user_exists().await.unwrap());
}

async fn of_many_that_want_to_be_the_first_user_one_is(engine: Engine) {
    let f = Fixture::new(engine).await;
    let first =
        |n: u8| f.store.user_create_first(new_user(&f, &format!("{n}@acme.example"), &[ADMINISTRATOR]));
    let made = futures_util::future::join_all((0..8).map(first)).await;
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 1, "{made:?}");
    assert!(made.iter().all(|made| matches!(made, Ok(_) | Err(StoreError::Taken("setup")))), "{made:?}");
    assert_eq!(first(8).await, Err(StoreError::Taken("setup")));
    assert_eq!(f.store.user_list(None).await.unwrap().len(), 1);
}

async fn what_is_not_changed_of_a_user_stays(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, _) =
        (user(&f, "ada@acme.example", &[ADMINISTRATOR]).await, user(&f, "bob@acme.example", &[]).await);
    let change = |change| f.store.user_change(ada.key, change);
    let name = UserChange { name: Some("Ada".into()), ..UserChange::default() };
    let named = User { name: "Ada".into(), ..ada.clone() };
    assert_eq!(change(name.clone()).await.unwrap(), named);
    let email = |email: &str| UserChange { email: Some(email.into()), ..UserChange::default() };
    assert_eq!(change(email("bob@acme.example")).await, Err(StoreError::Taken("email")));
    let moved = User { email: "ada@other.example".into(), ..named };
    assert_eq!(change(email("ada@other.example")).await.unwrap(), moved);
    let password = UserChange { password: Some("hash".into()), ..UserChange::default() };
    let known = User { has_password: true, ..moved };
    assert_eq!(change(password).await.unwrap(), known);
    change(UserChange { totp: Some(Some(totp(7))), ..UserChange::default() }).await.unwrap();
    let known = User { has_totp: true, ..known };
    assert_eq!(change(UserChange::default()).await.unwrap(), known);
    let proofs = f.store.user_proofs("ada@other.example").await.unwrap();
    assert_eq!((proofs.user, proofs.password, proofs.totp), (known, Some("hash".into()), Some(totp(7))));
    assert!(!f.bytes_on_disk().windows(6).any(|w| w == b"CANARY"));
    change(UserChange { totp: Some(None), ..UserChange::default() }).await.unwrap();
    assert_eq!(f.store.user_proofs("ada@other.example").await.unwrap().totp, None);
    assert_eq!(f.store.user_change(UserKey(999), name).await, Err(StoreError::NotFound));
}

async fn a_code_is_used_once_and_none_before_it_after_it(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[]).await.key;
    assert!(!f.store.totp_use(ada, 9).await.unwrap(), "there is no second factor");
    let change = UserChange { totp: Some(Some(totp(7))), ..UserChange::default() };
    f.store.user_change(ada, change).await.unwrap();
    for (step, is_new) in [(7, false), (9, true), (9, false), (8, false), (10, true)] {
        assert_eq!(f.store.totp_use(ada, step).await.unwrap(), is_new, "{step}");
    }
    let at_once = futures_util::future::join_all((0..6).map(|_| f.store.totp_use(ada, 11))).await;
    assert_eq!(at_once.iter().filter(|used| **used == Ok(true)).count(), 1, "{at_once:?}");
    assert_eq!(f.store.user_proofs("ada@acme.example").await.unwrap().totp.unwrap().last_step, 11);
    assert!(!f.store.totp_use(UserKey(999), 1).await.unwrap());
}

async fn members_of_a_place_are_those_of_that_very_place_by_address(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    let (here, there) = (in_place(Some(one), Role::Member), in_place(Some(two), Role::Viewer));
    user(&f, "c@acme.example", &[here, there]).await;
    user(&f, "a@acme.example", &[here]).await;
    user(&f, "b@acme.example", &[ADMINISTRATOR]).await;
    let list = async |place| {
        let users = f.store.user_list(place).await.unwrap();
        users
            .into_iter()
            .map(|user| (user.email.replace("@acme.example", ""), user.memberships))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(Some(one)).await, [("a".into(), vec![here]), ("c".into(), vec![here, there])]);
    assert_eq!(list(Some(two)).await, [("c".into(), vec![here, there])]);
    assert_eq!(list(None).await, [("b".into(), vec![ADMINISTRATOR])]);
    assert_eq!(list(Some(ApplicationKey(999))).await, []);
}

async fn a_list_of_members_ends_somewhere(engine: Engine) {
    let f = Fixture::new(engine).await;
    let all: Vec<usize> = (0..=USERS_MAX).collect();
    for some in all.chunks(50) {
        let create = |n: &usize| {
            let new = new_user(&f, &format!("{n:04}@acme.example"), &[ADMINISTRATOR]);
            f.store.user_create(NewUser { id: format!("user_{n:027}"), ..new })
        };
        let made = futures_util::future::join_all(some.iter().map(create)).await;
        assert!(made.iter().all(Result::is_ok), "{made:?}");
    }
    let listed = f.store.user_list(None).await.unwrap();
    assert_eq!((listed.len(), &*listed[USERS_MAX - 1].email), (USERS_MAX, "0999@acme.example"));
}

async fn a_membership_is_given_changed_and_taken_away(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, gone) = (f.application("one").await.key, f.application("gone").await.key);
    f.store.application_delete(gone).await.unwrap();
    let ada = user(&f, "ada@acme.example", &[]).await;
    let put = |key, place, role| f.store.membership_put(key, in_place(place, role));
    put(ada.key, Some(one), Role::Viewer).await.unwrap();
    put(ada.key, None, Role::Member).await.unwrap();
    put(ada.key, Some(one), Role::Manager).await.unwrap();
    let both = [in_place(None, Role::Member), in_place(Some(one), Role::Manager)];
    assert_eq!(roles(&f, &ada).await, both);
    for place in [gone, ApplicationKey(999)] {
        assert_eq!(put(ada.key, Some(place), Role::Viewer).await, Err(StoreError::NotFound));
        assert_eq!(f.store.membership_delete(ada.key, Some(place)).await, Err(StoreError::NotFound));
    }
    for place in [None, Some(one)] {
        assert_eq!(put(UserKey(999), place, Role::Viewer).await, Err(StoreError::NotFound));
        assert_eq!(f.store.membership_delete(UserKey(999), place).await, Err(StoreError::NotFound));
    }
    f.store.membership_delete(ada.key, None).await.unwrap();
    assert_eq!(f.store.membership_delete(ada.key, None).await, Err(StoreError::NotFound));
    assert_eq!(roles(&f, &ada).await, both[1..]);
    f.store.membership_delete(ada.key, Some(one)).await.unwrap();
    assert_eq!(roles(&f, &ada).await, [], "the account stays");
}

async fn the_last_administrator_of_the_instance_stays(engine: Engine) {
    let f = Fixture::new(engine).await;
    let one = f.application("one").await.key;
    let here = in_place(Some(one), Role::Administrator);
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR, here]).await;
    let bob = user(&f, "bob@acme.example", &[in_place(None, Role::Manager), here]).await;
    assert!(is_limit(f.store.membership_put(ada.key, in_place(None, Role::Manager)).await));
    assert!(is_limit(f.store.membership_delete(ada.key, None).await));
    assert!(is_limit(f.store.user_delete(ada.key).await));
    assert_eq!(roles(&f, &ada).await, [ADMINISTRATOR, here]);
    // What is not about that goes.
    f.store.membership_put(ada.key, ADMINISTRATOR).await.unwrap();
    f.store.membership_put(ada.key, in_place(Some(one), Role::Viewer)).await.unwrap();
    f.store.membership_delete(ada.key, Some(one)).await.unwrap();
    f.store.membership_put(bob.key, in_place(None, Role::Viewer)).await.unwrap();
    f.store.membership_delete(bob.key, None).await.unwrap();
    // Nor does the last one stay who is one no more.
    f.store.membership_put(bob.key, ADMINISTRATOR).await.unwrap();
    f.store.membership_put(ada.key, in_place(None, Role::Viewer)).await.unwrap();
    f.store.user_delete(ada.key).await.unwrap();
    assert!(is_limit(f.store.user_delete(bob.key).await));
}

async fn of_all_administrators_that_go_at_once_one_stays(engine: Engine) {
    let f = Fixture::new(engine).await;
    for round in 0..5 {
        let mut all = f.store.user_list(None).await.unwrap();
        while all.len() < 6 {
            all.push(user(&f, &format!("{round}-{}@acme.example", all.len()), &[ADMINISTRATOR]).await);
        }
        let go = async |n: usize, key: UserKey| match n % 3 {
            0 => f.store.membership_put(key, in_place(None, Role::Viewer)).await,
            1 => f.store.membership_delete(key, None).await,
            _ => f.store.user_delete(key).await,
        };
        let went = all.iter().enumerate().map(|(n, user)| go(n + round, user.key));
        let went = futures_util::future::join_all(went).await;
        assert_eq!(went.iter().filter(|went| went.is_ok()).count(), 5, "{went:?}");
        assert_eq!(went.into_iter().filter(|went| is_limit(went.clone())).count(), 1);
        let left = f.store.user_list(None).await.unwrap();
        let left: Vec<_> =
            left.iter().filter(|user| user.role_everywhere() == Some(Role::Administrator)).collect();
        assert_eq!(left.len(), 1);
        for user in f.store.user_list(None).await.unwrap() {
            if user.key != left[0].key {
                f.store.user_delete(user.key).await.unwrap();
            }
        }
    }
}

async fn a_user_goes_with_all_that_is_theirs(engine: Engine) {
    let f = Fixture::new(engine).await;
    let one = f.application("one").await.key;
    let (ada, bob) = (
        user(&f, "ada@acme.example", &[in_place(Some(one), Role::Member)]).await,
        user(&f, "bob@acme.example", &[ADMINISTRATOR, in_place(Some(one), Role::Member)]).await,
    );
    for (n, of) in [(1, &ada), (2, &bob)] {
        f.store.ticket_create([n; 32], (of.key, Password), START.plus_ms(1_000)).await.unwrap();
        f.store.browser_create(browser(n, of.key)).await.unwrap();
    }
    f.store.user_delete(ada.key).await.unwrap();
    assert_eq!(f.store.user_delete(ada.key).await, Err(StoreError::NotFound));
    assert_eq!(f.store.user_get(&ada.id).await, Err(StoreError::NotFound));
    assert_eq!(f.store.ticket_find([1; 32], Password).await, Err(StoreError::NotFound));
    assert_eq!(f.store.browser_find([1; 32], START).await, Err(StoreError::NotFound));
    assert_eq!(f.store.user_list(Some(one)).await.unwrap(), std::slice::from_ref(&bob));
    assert_eq!(f.store.ticket_find([2; 32], Password).await.unwrap(), bob);
    assert_eq!(f.store.browser_find([2; 32], START).await.unwrap().1, bob);
    // Neither the address nor the key is kept; the key is not given again.
    assert!(user(&f, "ada@acme.example", &[]).await.key > bob.key);
}

pub(crate) fn browser(n: u8, user: UserKey) -> NewBrowser {
    NewBrowser {
        password: None,
        sha256: [n; 32],
        user,
        ends_at: START.plus_ms(1_000_000),
        address: "192.0.2.7".into(),
        agent: format!("browser {n}"),
    }
}

async fn memberships_go_with_their_application(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    let (here, there) = (in_place(Some(one), Role::Member), in_place(Some(two), Role::Member));
    let ada = user(&f, "ada@acme.example", &[ADMINISTRATOR, here, there]).await;
    let bob = user(&f, "bob@acme.example", &[here]).await;
    f.store.application_delete(one).await.unwrap();
    assert_eq!((roles(&f, &ada).await, roles(&f, &bob).await), (vec![ADMINISTRATOR, there], vec![]));
    assert_eq!(f.store.user_list(Some(one)).await.unwrap(), []);
}

async fn a_second_factor_is_sealed_anew_under_another_key(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, "ada@acme.example", &[]).await;
    user(&f, "bob@acme.example", &[]).await;
    f.store
        .user_change(ada.key, UserChange { totp: Some(Some(totp(7))), ..UserChange::default() })
        .await
        .unwrap();
    let clock = Arc::clone(&f.clock);
    let (url, folder) = match engine {
        Engine::Sqlite => (String::new(), Some(f.close())),
        Engine::Postgres => {
            f.store.close();
            (f.url().to_owned(), None)
        }
    };
    let open = |encryption_key: &[u8], old: &[&[u8]]| -> Arc<dyn Store> {
        let (encryption_key, old) = (encryption_key.to_vec(), old.iter().map(|key| key.to_vec()).collect());
        match &folder {
            Some(folder) => {
                let clock = Arc::clone(&clock) as _;
                let options = Options { encryption_key, old_encryption_keys: old, clock, probe: None };
                Sqlite::open(&folder.path().join("store.db"), options).unwrap()
            }
            None => {
                let same = shared_options(&clock);
                Postgres::open(&url, SharedOptions { encryption_key, old_encryption_keys: old, ..same })
                    .unwrap()
            }
        }
    };
    let rotated = open(&[b'n'; 32], &[&[b'k'; 32]]);
    // The factor of the one user who has one, the check, and the key of the wire ids.
    assert_eq!((rotated.reseal().await, rotated.reseal().await), (Ok(3), Ok(0)));
    rotated.close();
    drop(rotated);
    let later = open(&[b'n'; 32], &[]);
    assert_eq!(later.user_proofs("ada@acme.example").await.unwrap().totp, Some(totp(7)));
    assert_eq!(later.user_proofs("bob@acme.example").await.unwrap().totp, None);
    later.close();
}

each_engine!(
    a_user_is_what_was_given_and_found_by_id_and_address,
    a_user_of_an_application_that_is_gone_is_not_made,
    of_many_that_want_to_be_the_first_user_one_is,
    what_is_not_changed_of_a_user_stays,
    a_code_is_used_once_and_none_before_it_after_it,
    members_of_a_place_are_those_of_that_very_place_by_address,
    a_list_of_members_ends_somewhere,
    a_membership_is_given_changed_and_taken_away,
    the_last_administrator_of_the_instance_stays,
    of_all_administrators_that_go_at_once_one_stays,
    a_user_goes_with_all_that_is_theirs,
    memberships_go_with_their_application,
    a_second_factor_is_sealed_anew_under_another_key,
);
