//! What is configured: environments, applications, endpoints, event types, keys; and the routing table in step with it.

use crate::harness::{Engine, Fixture, START};
use bytes::Bytes;
use domain::api_key::ApiKey;
use domain::application::{Application, ApplicationFields};
use domain::auth::Auth;
use domain::confidential::Confidential;
use domain::credentials::Credentials;
use domain::endpoint::EndpointFields;
use domain::environment::SignatureHeaders;
use domain::event_type::EventTypeFields;
use domain::options::EndpointOptions;
use domain::page::{From, Order, Page};
use domain::role::Role;
use domain::wire_id::Kind;
use store::StoreError;
use store::application::ApplicationFilter;
use store::endpoint::EndpointChange;
use store::idempotency::Replay;

async fn an_environment_is_made_once_and_keeps_its_headers(engine: Engine) {
    let f = Fixture::new(engine).await;
    let id = "org_000000000000000000000000002";
    let made = f.store.environment_ensure(id, SignatureHeaders::Both).await.unwrap();
    let again = f.store.environment_ensure(id, SignatureHeaders::Svix).await.unwrap();
    assert_eq!(made, again);
    assert_eq!(f.store.environment_get(made.key).await.unwrap().signature_headers, SignatureHeaders::Both);
    let f = f.restart().await;
    assert_eq!(f.store.routing().environment(id).unwrap().key, made.key);
}

async fn a_uid_is_unique_in_its_environment_and_free_again_after_deletion(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let fields = ApplicationFields { uid: Some("one".into()), name: "x".into(), ..Default::default() };
    let create =
        |environment| f.store.application_create(environment, f.id(Kind::Application), fields.clone());
    assert_eq!(create(f.environment.key).await, Err(StoreError::Taken("uid")));
    let other = f
        .store
        .environment_ensure("org_000000000000000000000000003", SignatureHeaders::Webhook)
        .await
        .unwrap();
    assert!(create(other.key).await.is_ok());
    assert_eq!(f.store.application_find(f.environment.key, "one").await.unwrap().key, app.key);
    assert_eq!(f.store.application_find(other.key, &app.id).await, Err(StoreError::NotFound));
    f.store.application_delete(app.key).await.unwrap();
    assert_eq!(f.store.application_find(f.environment.key, "one").await, Err(StoreError::NotFound));
    assert!(create(f.environment.key).await.is_ok());
}

async fn changes_of_an_application_at_once_all_hold(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let rename = |there: &Application| ApplicationFields { name: "new".into(), ..there.fields.clone() };
    let slow = |there: &Application| ApplicationFields { throttle_rate: Some(3), ..there.fields.clone() };
    let (renamed, slowed) = tokio::join!(
        f.store.application_update(app.key, Box::new(rename)),
        f.store.application_update(app.key, Box::new(slow)),
    );
    assert!(renamed.is_ok() && slowed.is_ok());
    let now = f.store.application_find(f.environment.key, "one").await.unwrap().fields;
    assert_eq!((&*now.name, now.throttle_rate), ("new", Some(3)));
}

async fn a_changed_uid_replaces_the_old_one(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let fields = ApplicationFields { uid: Some("two".into()), ..app.fields.clone() };
    f.clock.advance_ms(1_000);
    let changed = f.store.application_update(app.key, Box::new(move |_| fields.clone())).await.unwrap();
    assert_eq!((changed.created_at, changed.updated_at), (START, START.plus_ms(1_000)));
    assert!(f.store.application_find(f.environment.key, "one").await.is_err());
    assert_eq!(f.store.application_find(f.environment.key, "two").await.unwrap(), changed);
    assert_eq!(f.store.application_find(f.environment.key, &app.id).await.unwrap(), changed);
}

async fn applications_are_listed_by_id_and_filtered_by_their_endpoints(engine: Engine) {
    let f = Fixture::new(engine).await;
    let mut ids = Vec::new();
    for uid in ["a", "b", "c"] {
        ids.push(f.application(uid).await);
        f.clock.advance_ms(1);
    }
    let endpoint = f.endpoint(&ids[1]).await;
    f.endpoint(&ids[2]).await;
    f.change(endpoint.key, |fields| fields.disabled = true).await;
    let f = &f;
    let list = |filter, page| async move {
        let slice = f.store.application_list(f.environment.key, filter, page).await.unwrap();
        (slice.items.into_iter().filter_map(|a| a.fields.uid).collect::<Vec<_>>(), slice.done)
    };
    let filter = ApplicationFilter::default();
    assert_eq!(list(filter, Page::first(2, Order::Ascending)).await, (vec!["a".into(), "b".into()], false));
    let after = Page { items: 2, order: Order::Ascending, from: From::After(ids[1].id.clone()) };
    assert_eq!(list(filter, after).await, (vec!["c".into()], true));
    let before = Page { items: 1, order: Order::Ascending, from: From::Before(ids[2].id.clone()) };
    assert_eq!(list(filter, before).await.0, ["b"]);
    let with = ApplicationFilter { with_endpoints: true, ..filter };
    assert_eq!(list(with, Page::first(9, Order::Descending)).await.0, ["c", "b"]);
    let enabled = ApplicationFilter { without_disabled_endpoints: true, ..filter };
    assert_eq!(list(enabled, Page::first(9, Order::Ascending)).await.0, ["a", "c"]);
}

async fn an_endpoint_survives_a_restart_whole_and_its_secrets_never_stand_in_plain_bytes(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let secret = endpoint.secrets[0].secret.export();
    let f = f.restart().await;
    let read = f.store.endpoint_find(app.key, &endpoint.id).await.unwrap();
    assert_eq!(read.secrets[0].secret.export(), secret);
    assert_eq!(read.headers, endpoint.headers);
    assert_eq!(read.fields, endpoint.fields);
    let bytes = f.bytes_on_disk();
    let contains = |needle: &[u8]| bytes.windows(needle.len()).any(|w| w == needle);
    assert!(contains(endpoint.id.as_bytes()), "the file is what was read");
    assert!(!contains(b"canary-header-value"));
    assert!(!contains(secret.trim_start_matches("whsec_").as_bytes()));
}

async fn a_change_holds_for_the_next_look_into_the_routing_table(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    let gauge = f.store.routing().route(endpoint.key).unwrap().gauge;
    f.change(endpoint.key, |fields| fields.url = "https://example.com/other".into()).await;
    let route = f.store.routing().route(endpoint.key).unwrap();
    assert_eq!(route.endpoint.fields.url, "https://example.com/other");
    assert!(std::sync::Arc::ptr_eq(&gauge, &route.gauge), "the queue is the same one");
    assert_eq!(f.store.routing().routes(app.key).len(), 1);
    f.store.endpoint_delete(endpoint.key, (None, None)).await.unwrap();
    assert!(f.store.routing().route(endpoint.key).is_none());
    assert!(f.store.routing().routes(app.key).is_empty());
    assert_eq!(f.store.endpoint_delete(endpoint.key, (None, None)).await, Err(StoreError::NotFound));
}

async fn options_and_credentials_are_kept_and_credentials_stand_sealed(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    assert_eq!(endpoint.fields.options, EndpointOptions::default());
    assert_eq!(endpoint.credentials, Credentials::default());
    let options = EndpointOptions {
        name: Some("Acme's \\ \"hook\"".into()),
        template: Some(serde_json::json!({"z": 1, "a": ["{{ type }}"]})),
        max_attempts: Some(3),
        ordered: true,
        ..EndpointOptions::default()
    };
    let credentials = Credentials {
        auth: Auth::Bearer { token: Confidential::new("canary-token".into()) },
        certificate_authority: Some("canary-pem".into()),
        ..Credentials::default()
    };
    let (wanted, sealed) = (options.clone(), credentials.clone());
    let change = move |there: &domain::endpoint::Endpoint| {
        let fields = EndpointFields { options: wanted.clone(), ..there.fields.clone() };
        let (fields, credentials) = (Some(fields), Some(sealed.clone()));
        Ok(EndpointChange { fields, credentials, ..EndpointChange::default() })
    };
    f.store.endpoint_update(endpoint.key, Box::new(change)).await.unwrap();
    let found = f.store.endpoint_find(app.key, &endpoint.id).await.unwrap();
    assert_eq!((&found.fields.options, &found.credentials), (&options, &credentials));
    let again = f.change(endpoint.key, |fields| fields.paused = true).await;
    assert_eq!(
        (again.fields.options, again.credentials),
        (options, credentials),
        "what was not changed stays"
    );
    assert!(!f.bytes_on_disk().windows(6).any(|w| w == b"canary"));
}

async fn a_change_that_is_refused_changes_nothing(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let (a, b) = (f.endpoint(&app).await, f.endpoint(&app).await);
    f.change(a.key, |fields| fields.uid = Some("mine".into())).await;
    let take = |there: &domain::endpoint::Endpoint| {
        let mut fields = there.fields.clone();
        fields.uid = Some("mine".into());
        fields.description = "changed".into();
        Ok(store::endpoint::EndpointChange { fields: Some(fields), ..Default::default() })
    };
    let refused = f.store.endpoint_update(b.key, Box::new(take)).await;
    assert_eq!(refused.unwrap_err(), StoreError::Taken("uid"));
    assert_eq!(f.store.endpoint_find(app.key, &b.id).await.unwrap().fields.description, "");
    let limit = |_: &domain::endpoint::Endpoint| Err(StoreError::Limit("no".into()));
    assert_eq!(
        f.store.endpoint_update(b.key, Box::new(limit)).await.unwrap_err(),
        StoreError::Limit("no".into())
    );
}

async fn event_types_are_created_archived_unarchived_and_listed_by_name(engine: Engine) {
    let f = Fixture::new(engine).await;
    let env = f.environment.key;
    let fields = |flags: Option<&str>| EventTypeFields {
        description: "d".into(),
        feature_flags: flags.map(|flag| vec![flag.into()]),
        ..Default::default()
    };
    for (name, flags) in [("b.two", None), ("a.one", None), ("c.hidden", Some("beta"))] {
        f.store.event_type_create(env, name, fields(flags)).await.unwrap();
    }
    assert_eq!(f.store.event_type_create(env, "a.one", fields(None)).await, Err(StoreError::Taken("name")));
    let archive =
        |there: &domain::event_type::EventType| EventTypeFields { archived: true, ..there.fields.clone() };
    f.store.event_type_update(env, "a.one", Box::new(archive)).await.unwrap();
    let page = || Page::first(50, Order::Ascending);
    let live = f.store.event_type_list(env, false, None, page()).await.unwrap();
    assert_eq!(live.items.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["b.two", "c.hidden"]);
    let flagged = f.store.event_type_list(env, true, Some(vec!["other".into()]), page()).await.unwrap();
    assert_eq!(flagged.items.iter().map(|t| &*t.name).collect::<Vec<_>>(), ["a.one", "b.two"]);
    let wanted = ["a.one", "b.two", "nope"].map(String::from);
    assert_eq!(f.store.event_type_missing(env, None, &wanted).await.unwrap(), ["a.one", "nope"]);
    let hidden = ["c.hidden", "b.two"].map(String::from);
    for (flags, missing) in [(None, 0), (Some(["beta".to_owned()]), 0), (Some(["other".to_owned()]), 1)] {
        let flags = flags.as_ref().map(|flags| &flags[..]);
        assert_eq!(f.store.event_type_missing(env, flags, &hidden).await.unwrap(), hidden[..missing]);
    }
    assert!(!f.store.event_type_create(env, "a.one", fields(None)).await.unwrap().fields.archived);
    assert!(!f.store.event_type_put(env, "a.one", fields(None)).await.unwrap().1);
    assert!(f.store.event_type_put(env, "d.new", fields(None)).await.unwrap().1);
    f.store.event_type_expunge(env, "d.new").await.unwrap();
    assert_eq!(f.store.event_type_get(env, "d.new").await, Err(StoreError::NotFound));
}

async fn an_api_key_is_found_by_its_hash_until_it_is_revoked(engine: Engine) {
    let f = Fixture::new(engine).await;
    let key = ApiKey {
        id: f.id(Kind::ApiKey),
        environment: f.environment.key,
        application: None,
        role: Role::Member,
        name: "ci".into(),
        prefix: "ph_abc".into(),
        created_at: START,
        used_at: None,
        revoked_at: None,
    };
    f.store.api_key_create(key.clone(), [9; 32]).await.unwrap();
    assert_eq!(f.store.api_key_find([9; 32]).await.unwrap(), key);
    assert_eq!(f.store.api_key_find([8; 32]).await, Err(StoreError::NotFound));
    f.clock.advance_ms(7);
    f.store.api_key_used(&key.id).await.unwrap();
    assert_eq!(f.store.api_key_find([9; 32]).await.unwrap().used_at, Some(START.plus_ms(7)));
    f.store.api_key_revoke(f.environment.key, &key.id).await.unwrap();
    assert_eq!(f.store.api_key_find([9; 32]).await, Err(StoreError::NotFound));
    assert_eq!(f.store.api_key_list(f.environment.key).await.unwrap()[0].revoked_at, Some(START.plus_ms(7)));
}

async fn a_kept_answer_is_replayed_until_it_expires_and_stands_sealed(engine: Engine) {
    let f = Fixture::new(engine).await;
    let replay = Replay {
        body_hash: [1; 16],
        status: 201,
        body: Bytes::from_static(b"{\"key\":\"canary-answer\"}"),
        expires_at: START.plus_ms(1_000),
    };
    f.store.replay_put([5; 16], replay.clone()).await.unwrap();
    assert_eq!(f.store.replay_get([5; 16]).await.unwrap(), Some(replay));
    assert!(!f.bytes_on_disk().windows(13).any(|w| w == b"canary-answer"));
    f.clock.advance_ms(1_000);
    assert_eq!(f.store.replay_get([5; 16]).await.unwrap(), None);
}

async fn a_deleted_endpoint_keeps_its_wire_id_for_its_attempts_and_nothing_else(engine: Engine) {
    let f = Fixture::new(engine).await;
    let app = f.application("one").await;
    let endpoint = f.endpoint(&app).await;
    f.change(endpoint.key, |fields| fields.uid = Some("mine".into())).await;
    f.store.endpoint_delete(endpoint.key, (None, None)).await.unwrap();
    let known = f.store.endpoint_ids(vec![endpoint.key]).await.unwrap();
    assert_eq!(known, [(endpoint.key, endpoint.id.clone())]);
    assert_eq!(f.store.endpoint_key(app.key, &endpoint.id).await, Ok(endpoint.key));
    let other = f.application("two").await;
    for (application, id) in [(app.key, "mine"), (other.key, &*endpoint.id)] {
        assert_eq!(f.store.endpoint_key(application, id).await, Err(StoreError::NotFound));
    }
    assert!(f.store.endpoint_find(app.key, "mine").await.is_err());
    assert!(f.store.endpoint_find(app.key, &endpoint.id).await.is_err());
    let listed = f.store.endpoint_list(app.key, Page::first(50, Order::Ascending)).await.unwrap();
    assert!(listed.items.is_empty());
    let f = f.restart().await;
    assert!(f.store.routing().route(endpoint.key).is_none());
    let other = f.endpoint(&app).await;
    assert_eq!(
        f.change(other.key, |fields| fields.uid = Some("mine".into())).await.fields.uid.as_deref(),
        Some("mine")
    );
}

each_engine!(
    an_environment_is_made_once_and_keeps_its_headers,
    a_uid_is_unique_in_its_environment_and_free_again_after_deletion,
    changes_of_an_application_at_once_all_hold,
    a_changed_uid_replaces_the_old_one,
    applications_are_listed_by_id_and_filtered_by_their_endpoints,
    an_endpoint_survives_a_restart_whole_and_its_secrets_never_stand_in_plain_bytes,
    a_change_holds_for_the_next_look_into_the_routing_table,
    options_and_credentials_are_kept_and_credentials_stand_sealed,
    a_change_that_is_refused_changes_nothing,
    event_types_are_created_archived_unarchived_and_listed_by_name,
    an_api_key_is_found_by_its_hash_until_it_is_revoked,
    a_kept_answer_is_replayed_until_it_expires_and_stands_sealed,
    a_deleted_endpoint_keeps_its_wire_id_for_its_attempts_and_nothing_else,
);
