//! Links that open the console for one application.

use crate::harness::{Engine, Fixture, START};
use domain::id::ApplicationKey;
use domain::portal::{Capability, Portal};
use store::StoreError;

fn portal(application: ApplicationKey, session: Option<&str>) -> Portal {
    Portal {
        application,
        capabilities: vec![Capability::ViewBase, Capability::CreateAttempts],
        feature_flags: vec!["beta".into(), "gamma".into()],
        session_id: session.map(str::to_owned),
        expires_at: START.plus_ms(1_000),
    }
}

async fn a_link_reads_back_until_it_ends(engine: Engine) {
    let f = Fixture::new(engine).await;
    let one = f.application("one").await.key;
    f.store.portal_create([1; 32], portal(one, Some("a"))).await.unwrap();
    assert_eq!(f.store.portal_find([1; 32]).await.unwrap(), portal(one, Some("a")));
    assert_eq!(f.store.portal_find([2; 32]).await, Err(StoreError::NotFound));
    let nowhere = f.store.portal_create([3; 32], portal(ApplicationKey(999), None)).await;
    assert_eq!(nowhere, Err(StoreError::NotFound));
    f.clock.advance_ms(999);
    f.store.portals_prune().await.unwrap();
    assert!(f.store.portal_find([1; 32]).await.is_ok());
    f.clock.advance_ms(1);
    assert_eq!(f.store.portal_find([1; 32]).await, Err(StoreError::NotFound));
    f.store.portals_prune().await.unwrap();
}

async fn links_are_ended_by_session_or_all_at_once_and_never_made_longer(engine: Engine) {
    let f = Fixture::new(engine).await;
    let (one, two) = (f.application("one").await.key, f.application("two").await.key);
    for (n, application, session) in
        [(1, one, Some("a")), (2, one, Some("b")), (3, one, None), (4, two, Some("a"))]
    {
        f.store.portal_create([n; 32], portal(application, session)).await.unwrap();
    }
    let held = async || {
        let mut held = Vec::new();
        for n in 1..=4 {
            if f.store.portal_find([n; 32]).await.is_ok() {
                held.push(n);
            }
        }
        held
    };
    f.store.portals_end(one, Some(vec!["a".into(), "none".into()]), START).await.unwrap();
    assert_eq!(held().await, [2, 3, 4]);
    f.store.portals_end(one, None, START.plus_ms(500)).await.unwrap();
    assert_eq!(held().await, [2, 3, 4]);
    f.store.portals_end(one, None, START.plus_ms(5_000)).await.unwrap();
    f.clock.advance_ms(500);
    assert_eq!(held().await, [4]);
    f.store.application_delete(two).await.unwrap();
    assert_eq!(held().await, [0; 0]);
}

each_engine!(
    a_link_reads_back_until_it_ends,
    links_are_ended_by_session_or_all_at_once_and_never_made_longer,
);
