//! Who hears of endpoints that fail.

use crate::harness::{Engine, Fixture};
use domain::confidential::Confidential;
use domain::limit::PUSH_SUBSCRIPTIONS_MAX;
use domain::notice::NoticeKind;
use domain::notify::{Notify, Subscription};
use store::StoreError;

async fn preferences_are_those_of_their_application(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    assert_eq!(f.store.notify_get(one).await.unwrap(), Notify::default());
    for kinds in [None, Some(vec![NoticeKind::Disabled])] {
        let notify = Notify {
            emails: vec!["ops@one.example".into()],
            slack_url: Some(Confidential::new("https://hooks.slack.example/canary".into())),
            push: false,
            operational_webhook: false,
            kinds,
        };
        f.store.notify_put(one, notify.clone()).await.unwrap();
        assert_eq!(f.store.notify_get(one).await.unwrap(), notify);
    }
    assert_eq!(f.store.notify_get(two).await.unwrap(), Notify::default());
}

fn subscription(n: usize) -> Subscription {
    let endpoint = Confidential::new(format!("https://push.example/{n}"));
    Subscription { endpoint, p256dh: vec![4; 65], auth: vec![n as u8; 16] }
}

async fn browsers_come_and_go_and_are_not_too_many(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    let put = |n: usize, with| f.store.subscription_put(one, format!("push_{n:03}"), subscription(with));
    for n in 0..PUSH_SUBSCRIPTIONS_MAX {
        put(n, n).await.unwrap();
    }
    let full = put(PUSH_SUBSCRIPTIONS_MAX, 0).await.unwrap_err();
    assert!(matches!(&full, StoreError::Limit(why) if why.contains("push_subscriptions_max")), "{full:?}");
    put(5, 77).await.unwrap();
    let found = f.store.subscriptions(one).await.unwrap();
    assert_eq!((found.len(), &*found[5].id), (PUSH_SUBSCRIPTIONS_MAX, "push_005"));
    assert_eq!(found[5].subscription, subscription(77));
    assert_eq!(f.store.subscriptions(two).await.unwrap(), []);
    assert_eq!(f.store.subscription_delete(two, "push_005").await, Err(StoreError::NotFound));
    f.store.subscription_delete(one, "push_005").await.unwrap();
    assert_eq!(f.store.subscription_delete(one, "push_005").await, Err(StoreError::NotFound));
}

async fn who_wants_no_mails_is_kept_in_mind(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    for recipient in ["b", "a", "b"] {
        f.store.unsubscribe(one, recipient, true).await.unwrap();
    }
    assert_eq!(f.store.unsubscribed(one).await.unwrap(), ["a", "b"]);
    f.store.unsubscribe(one, "a", false).await.unwrap();
    assert_eq!(f.store.unsubscribed(one).await.unwrap(), ["b"]);
    assert_eq!(f.store.unsubscribed(two).await.unwrap(), [""; 0]);
}

async fn all_of_it_goes_with_its_application(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    for application in [one, two] {
        let notify = Notify { emails: vec!["ops@one.example".into()], ..Notify::default() };
        f.store.notify_put(application, notify).await.unwrap();
        let id = format!("push_{}", application.0);
        f.store.subscription_put(application, id, subscription(1)).await.unwrap();
        f.store.unsubscribe(application, "a", true).await.unwrap();
    }
    f.store.application_delete(one).await.unwrap();
    for (application, left) in [(one, 0), (two, 1)] {
        assert_eq!(f.store.notify_get(application).await.unwrap().emails.len(), left);
        assert_eq!(f.store.subscriptions(application).await.unwrap().len(), left);
        assert_eq!(f.store.unsubscribed(application).await.unwrap().len(), left);
    }
}

each_engine!(
    all_of_it_goes_with_its_application,
    preferences_are_those_of_their_application,
    browsers_come_and_go_and_are_not_too_many,
    who_wants_no_mails_is_kept_in_mind,
);
