//! Who users are at an identity provider.

use crate::harness::{Engine, Fixture};
use crate::user::{ADMINISTRATOR, user};
use domain::id::UserKey;
use domain::user::User;
use store::StoreError;
use store::identity::Identity;

const ADA: &str = "ada@acme.example";
const BOB: &str = "bob@acme.example";

pub(crate) fn identity(issuer: &str, subject: &str) -> Identity {
    Identity { issuer: issuer.into(), subject: subject.into() }
}

async fn link(f: &Fixture, identity: &Identity, user: &User) -> Result<(), StoreError> {
    f.store.identity_link(identity, (user.key, &user.email)).await
}

async fn an_identity_is_one_users_and_a_user_has_one_of_an_issuer(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) = (user(&f, ADA, &[ADMINISTRATOR]).await, user(&f, BOB, &[]).await);
    let (here, there) = (identity("https://a.example", "1"), identity("https://b.example", "1"));
    assert_eq!(f.store.identity_find(&here).await, Err(StoreError::NotFound));
    for _ in 0..2 {
        link(&f, &here, &ada).await.unwrap();
    }
    assert_eq!(f.store.identity_find(&here).await.unwrap(), ada);
    // Each part counts, and as it is.
    for other in [("https://a.example", "2"), ("https://A.example", "1"), ("https://b.example", "1")] {
        let other = identity(other.0, other.1);
        assert_eq!(f.store.identity_find(&other).await, Err(StoreError::NotFound));
    }
    let taken = Err(StoreError::Taken("identity"));
    assert_eq!(link(&f, &here, &bob).await, taken, "it is Ada's");
    assert_eq!(link(&f, &identity("https://a.example", "2"), &ada).await, taken, "she has one there");
    link(&f, &there, &ada).await.unwrap();
    link(&f, &identity("https://a.example", "2"), &bob).await.unwrap();
    assert_eq!(f.store.identity_find(&there).await.unwrap(), ada);
    assert_eq!(f.store.identity_find(&here).await.unwrap(), ada);
}

async fn only_who_has_the_address_still_is_linked(engine: Engine) {
    let f = Fixture::new(engine).await;
    let ada = user(&f, ADA, &[]).await;
    let here = identity("https://a.example", "1");
    for nobody in [(UserKey(999), ADA), (ada.key, BOB)] {
        assert_eq!(f.store.identity_link(&here, nobody).await, Err(StoreError::NotFound));
    }
    assert_eq!(f.store.identity_find(&here).await, Err(StoreError::NotFound));
}

async fn an_identity_goes_with_its_user(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, here) = (user(&f, ADA, &[]).await, identity("https://a.example", "1"));
    link(&f, &here, &ada).await.unwrap();
    f.store.user_delete(ada.key).await.unwrap();
    assert_eq!(f.store.identity_find(&here).await, Err(StoreError::NotFound));
    let again = user(&f, ADA, &[]).await;
    link(&f, &here, &again).await.unwrap();
    assert_eq!(f.store.identity_find(&here).await.unwrap(), again);
}

async fn of_many_links_at_once_one_user_gets_the_identity(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (ada, bob) = (user(&f, ADA, &[]).await, user(&f, BOB, &[]).await);
    for n in 0..10 {
        let here = identity(&format!("https://{n}.example"), "1");
        let ask = |n: usize| link(&f, &here, if n.is_multiple_of(2) { &ada } else { &bob });
        let asked = futures_util::future::join_all((0..6).map(ask)).await;
        let owner = f.store.identity_find(&here).await.unwrap();
        let is_adas = owner.key == ada.key;
        for (n, answer) in asked.into_iter().enumerate() {
            let wanted =
                if n.is_multiple_of(2) == is_adas { Ok(()) } else { Err(StoreError::Taken("identity")) };
            assert_eq!(answer, wanted, "{n}");
        }
    }
}

each_engine!(
    an_identity_is_one_users_and_a_user_has_one_of_an_issuer,
    only_who_has_the_address_still_is_linked,
    an_identity_goes_with_its_user,
    of_many_links_at_once_one_user_gets_the_identity,
);
