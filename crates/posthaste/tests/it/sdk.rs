//! The official `svix` SDK, unmodified, drives the API; `standardwebhooks` verifies what arrives.
//!
//! What an SDK takes for granted (every required field, its own idempotency keys, the shapes of errors) is checked by
//! its own strict types; the tests check what the calls did.

use crate::server::{Store, WITHIN, World};
use domain::clock::Clock;
use domain::environment::SignatureHeaders;
use posthaste::clock::SystemClock;
use serde_json::json;
use standardwebhooks::Webhook;
use std::collections::{BTreeMap, BTreeSet};
use svix::Svix;
use svix::api::{
    MessageAttemptListByEndpointOptions, MessageCreateOptions, MessageGetOptions, MessageListOptions,
    SvixOptions,
};
use svix::models::{
    ApplicationIn, ApplicationPatch, EndpointHeadersIn, EndpointHeadersPatchIn, EndpointIn, EndpointPatch,
    EndpointSecretRotateIn, EventTypeIn, MessageIn, MessageStatus, MessageStatusText,
    OperationalWebhookEndpointHeadersIn, OperationalWebhookEndpointIn, OperationalWebhookEndpointSecretIn,
    OperationalWebhookEndpointUpsertIn,
};
use testkit::Answer;

/// The verifiers of receivers look at the real time.
async fn world(store: Store) -> World {
    World::with((store, SystemClock.now()), |_| {}).await
}

fn sdk(world: &World) -> Svix {
    // A retry would hide an answer of 500.
    let options = SvixOptions { server_url: Some(world.url()), num_retries: Some(0), ..Default::default() };
    Svix::new(world.token.clone(), Some(options))
}

fn invoice() -> MessageIn {
    MessageIn::new("invoice.paid".into(), json!({"amount": 12, "currency": "EUR"}))
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The status and code of an error that the SDK understood.
fn refusal<T>(result: svix::Result<T>) -> (u16, String) {
    match result.err().expect("a refusal") {
        svix::Error::Http(error) => (error.status.as_u16(), error.payload.expect("the error's shape").code),
        other => panic!("{other}"),
    }
}

async fn applications_are_created_got_patched_listed_and_deleted(store: Store) {
    let world = world(store).await;
    let sdk = sdk(&world);
    // Lists sort by time of creation.
    world.clock.advance_ms(1);
    let input = ApplicationIn { uid: Some("customer-7".into()), ..ApplicationIn::new("Customer".into()) };
    let created = sdk.application().create(input.clone(), None).await.expect("created");
    assert_eq!((created.name.as_str(), created.uid.as_deref()), ("Customer", Some("customer-7")));
    let again = sdk.application().get_or_create(input.clone(), None).await.expect("the same");
    assert_eq!(again.id, created.id);
    assert_eq!(refusal(sdk.application().create(input, None).await), (409, "conflict".into()));
    let patch = ApplicationPatch { name: Some("Renamed".into()), ..Default::default() };
    sdk.application().patch("customer-7".into(), patch).await.expect("patched");
    let got = sdk.application().get("customer-7".into()).await.expect("got by uid");
    assert_eq!((got.id.as_str(), got.name.as_str()), (created.id.as_str(), "Renamed"));
    let listed = sdk.application().list(None).await.expect("a list");
    assert_eq!(listed.data.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["Acme", "Renamed"]);
    sdk.application().delete(created.id.clone()).await.expect("deleted");
    assert_eq!(refusal(sdk.application().get(created.id).await), (404, "not_found".into()));
    world.stop().await;
}

async fn endpoints_with_their_headers_secrets_and_event_types(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    let event_type = EventTypeIn::new("invoice.paid".into(), "An invoice was paid".into());
    sdk.event_type().create(event_type, None).await.expect("an event type");
    let names = sdk.event_type().list(None).await.expect("a list").data;
    assert_eq!(names.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["invoice.paid"]);

    let input = EndpointIn {
        event_types: Some(BTreeSet::from(["invoice.paid".to_owned()])),
        metadata: Some(map([("team", "billing")])),
        ..EndpointIn::new(world.receiver.url("/first"))
    };
    let created = sdk.endpoint().create(app.clone(), input, None).await.expect("created");
    let id = created.id.clone();
    assert_eq!(created.metadata, map([("team", "billing")]));
    let patch = EndpointPatch {
        url: Some(world.receiver.url("/second")),
        description: Some("Where the money goes".into()),
        ..Default::default()
    };
    let patched = sdk.endpoint().patch(app.clone(), id.clone(), patch).await.expect("patched");
    assert_eq!(patched.url, world.receiver.url("/second"));
    assert_eq!(patched.event_types, Some(BTreeSet::from(["invoice.paid".to_owned()])), "absent keeps");

    let set = EndpointHeadersIn { headers: map([("X-Tenant", "7"), ("Authorization", "Bearer s")]) };
    sdk.endpoint().set_headers(app.clone(), id.clone(), set).await.expect("headers");
    let patch = EndpointHeadersPatchIn {
        delete_headers: Some(vec!["Authorization".into()]),
        ..EndpointHeadersPatchIn::new(map([("X-Region", "eu")]))
    };
    sdk.endpoint().patch_headers(app.clone(), id.clone(), patch).await.expect("headers");
    let headers = sdk.endpoint().get_headers(app.clone(), id.clone()).await.expect("headers");
    assert_eq!(headers.headers, map([("X-Region", "eu"), ("X-Tenant", "7")]));

    sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    let other = MessageIn::new("user.created".into(), json!({}));
    sdk.message().create(app.clone(), other, None).await.expect("accepted, for nobody");
    let arrived = world.receiver.wait_for(1, WITHIN).await;
    assert_eq!((arrived[0].header("x-tenant"), arrived[0].header("x-region")), ("7", "eu"));
    assert_eq!(arrived[0].header("authorization"), "");

    assert_eq!(sdk.endpoint().list(app.clone(), None).await.expect("a list").data.len(), 1);
    sdk.endpoint().delete(app.clone(), id.clone()).await.expect("deleted");
    assert_eq!(refusal(sdk.endpoint().get(app, id).await), (404, "not_found".into()));
    world.stop().await;
}

async fn operational_webhooks_are_set_up_and_hear(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    let webhooks = || sdk.operational_webhook().endpoint();
    let input = OperationalWebhookEndpointIn {
        event_types: Some(BTreeSet::from(["endpoint.created".to_owned()])),
        uid: Some("ops".into()),
        ..OperationalWebhookEndpointIn::new(world.receiver.url("/ops"))
    };
    let created = webhooks().create(input, None).await.expect("created");
    let id = created.id.clone();
    assert_eq!(webhooks().get("ops".into()).await.expect("got by uid").id, id);
    let set =
        OperationalWebhookEndpointHeadersIn::new(map([("X-Team", "ops"), ("Authorization", "Bearer s")]));
    webhooks().set_headers(id.clone(), set).await.expect("headers");
    let headers = webhooks().get_headers(id.clone()).await.expect("headers");
    assert_eq!(headers.headers, map([("X-Team", "ops")]));
    let rotation = OperationalWebhookEndpointSecretIn::default();
    webhooks().rotate_secret(id.clone(), rotation, None).await.expect("rotated");
    let secret = webhooks().get_secret(id.clone()).await.expect("a secret").key;
    let made = sdk.endpoint().create(app.clone(), EndpointIn::new(world.receiver.url("/x")), None).await;
    let event = world.receiver.wait_for_path("/ops", 1, WITHIN).await.remove(0);
    Webhook::new(&secret).expect("a secret").verify(&event.body, &event.headers).expect("it verifies");
    assert_eq!(event.header("x-team"), "ops");
    assert_eq!(event.json()["data"]["endpointId"], made.expect("created").id);
    let url = world.receiver.url("/other");
    let replaced = webhooks().upsert(id.clone(), OperationalWebhookEndpointUpsertIn::new(url.clone())).await;
    assert_eq!(replaced.expect("replaced").url, url);
    assert_eq!(webhooks().list(None).await.expect("a list").data.len(), 1);
    webhooks().delete(id.clone()).await.expect("deleted");
    assert_eq!(refusal(webhooks().get(id).await), (404, "not_found".into()));
    world.stop().await;
}

async fn a_message_is_sent_verified_and_found_in_every_list(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    let endpoint = sdk.endpoint().create(app.clone(), EndpointIn::new(world.receiver.url("/in")), None).await;
    let endpoint = endpoint.expect("an endpoint").id;
    let input = MessageIn { event_id: Some("evt-1".into()), ..invoice() };
    let sent = sdk.message().create(app.clone(), input, None).await.expect("accepted");
    let request = world.receiver.wait_for(1, WITHIN).await.remove(0);
    let secret = sdk.endpoint().get_secret(app.clone(), endpoint.clone()).await.expect("its secret").key;
    Webhook::new(&secret).expect("a secret").verify(&request.body, &request.headers).expect("it verifies");
    assert_eq!(request.json(), json!({"amount": 12, "currency": "EUR"}));
    assert_eq!(
        (request.header("webhook-id"), request.header("content-type")),
        (&*sent.id, "application/json")
    );

    let attempts = world.wait_for_attempts(&sent.id, 1).await;
    let lists = sdk.message_attempt();
    let by_message = lists.list_by_msg(app.clone(), sent.id.clone(), None).await.expect("a list");
    let options = MessageAttemptListByEndpointOptions { with_msg: Some(true), ..Default::default() };
    let by_endpoint =
        lists.list_by_endpoint(app.clone(), endpoint.clone(), Some(options)).await.expect("a list");
    for list in [&by_message, &by_endpoint] {
        assert_eq!(list.data.len(), 1);
        let one = &list.data[0];
        assert_eq!((one.msg_id.as_str(), one.endpoint_id.as_str()), (sent.id.as_str(), endpoint.as_str()));
        assert_eq!((one.response_status_code, one.status), (200, MessageStatus::Success));
        assert_eq!(attempts[0]["id"], one.id);
    }
    assert_eq!(by_endpoint.data[0].msg.as_ref().map(|message| &message.id), Some(&sent.id));
    let attempt = by_message.data[0].id.clone();
    let got = lists.get(app.clone(), sent.id.clone(), attempt, None).await.expect("one");
    assert_eq!(got.url, world.receiver.url("/in"));

    let messages =
        lists.list_attempted_messages(app.clone(), endpoint.clone(), None).await.expect("a list").data;
    assert_eq!((messages[0].id.as_str(), messages[0].status_text), (&*sent.id, MessageStatusText::Success));
    let destinations =
        lists.list_attempted_destinations(app.clone(), sent.id.clone(), None).await.expect("a list").data;
    assert_eq!((destinations[0].id.as_str(), destinations[0].status), (&*endpoint, MessageStatus::Success));
    let options = MessageListOptions { with_content: Some(true), ..Default::default() };
    let all = sdk.message().list(app.clone(), Some(options)).await.expect("a list").data;
    assert_eq!((all[0].id.as_str(), &all[0].payload), (&*sent.id, &json!({"amount": 12, "currency": "EUR"})));
    let options = MessageGetOptions { with_content: Some(true) };
    let by_event_id = sdk.message().get(app, "evt-1".into(), Some(options)).await.expect("found by event id");
    assert_eq!(by_event_id.id, sent.id);
    world.stop().await;
}

async fn an_idempotency_key_makes_one_message_and_the_sdks_own_keys_make_many(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    world.endpoint("/in").await;
    let keyed = || MessageCreateOptions { idempotency_key: Some("order-17".into()), ..Default::default() };
    let first = sdk.message().create(app.clone(), invoice(), Some(keyed())).await.expect("accepted");
    let again = sdk.message().create(app.clone(), invoice(), Some(keyed())).await.expect("replayed");
    assert_eq!(first.id, again.id);
    let other = MessageIn::new("invoice.paid".into(), json!({"amount": 13}));
    let refused = refusal(sdk.message().create(app.clone(), other, Some(keyed())).await);
    assert_eq!(refused, (409, "conflict".into()));
    let one = sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    let two = sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    assert_ne!(one.id, two.id);
    let arrived = world.receiver.wait_for(3, WITHIN).await;
    let mut ids: Vec<_> = arrived.iter().map(|request| request.header("webhook-id")).collect();
    let mut expected = [first.id.as_str(), one.id.as_str(), two.id.as_str()];
    ids.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ids, expected);
    assert_eq!(sdk.message().list(app, None).await.expect("a list").data.len(), 3);
    world.stop().await;
}

async fn after_a_rotation_both_keys_verify_until_the_overlap_ends(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    let endpoint = world.endpoint("/in").await;
    let secret = async || {
        let secret = sdk.endpoint().get_secret(app.clone(), endpoint.clone()).await;
        Webhook::new(&secret.expect("a secret").key).expect("a secret that the library reads")
    };
    let old = secret().await;
    let rotate = EndpointSecretRotateIn { grace_period_seconds: Some(60), ..Default::default() };
    let rotated = sdk.endpoint().rotate_secret(app.clone(), endpoint.clone(), rotate, None).await;
    let shown = sdk.endpoint().get_secret(app.clone(), endpoint.clone()).await.expect("a secret").key;
    assert_eq!(rotated.expect("rotated").key, shown, "the answer is the new key");
    let new = secret().await;
    sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    let request = world.receiver.wait_for(1, WITHIN).await.remove(0);
    new.verify(&request.body, &request.headers).expect("the new key verifies");
    old.verify(&request.body, &request.headers).expect("the old key still verifies");
    world.clock.advance_ms(60_000);
    sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    let request = world.receiver.wait_for(2, WITHIN).await.remove(1);
    new.verify(&request.body, &request.headers).expect("the new key verifies");
    let refused = old.verify(&request.body, &request.headers).expect_err("the old key has ended");
    assert_eq!(refused.to_string(), "signature invalid");
    world.stop().await;
}

async fn receivers_of_a_product_that_moves_here_verify_the_svix_headers(store: Store) {
    let world = World::with((store, SystemClock.now()), |config| {
        config.signature_headers = SignatureHeaders::Svix;
    })
    .await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    let endpoint = world.endpoint("/in").await;
    let secret = sdk.endpoint().get_secret(app.clone(), endpoint).await.expect("its secret").key;
    let sent = sdk.message().create(app, invoice(), None).await.expect("accepted");
    let request = world.receiver.wait_for(1, WITHIN).await.remove(0);
    let verifier = svix::Webhook::new(&secret).expect("a secret");
    verifier.verify(&request.body, &request.headers).expect("the SDK verifies it");
    assert_eq!((request.header("svix-id"), request.header("webhook-id")), (&*sent.id, ""));
    world.stop().await;
}

async fn a_resend_is_a_manual_attempt_and_a_disabled_endpoint_refuses_it(store: Store) {
    let world = world(store).await;
    let (sdk, app) = (sdk(&world), world.application.clone());
    world.receiver.answer("/in", Answer::status(400).header("webhook-delivery", "abort-message").body("no"));
    let endpoint = world.endpoint("/in").await;
    let sent = sdk.message().create(app.clone(), invoice(), None).await.expect("accepted");
    world.wait_for_attempts(&sent.id, 1).await;
    let deliveries = sdk.message_attempt();
    let resend = || deliveries.resend(app.clone(), sent.id.clone(), endpoint.clone(), None);
    resend().await.expect("sent again");
    world.wait_for_attempts(&sent.id, 2).await;
    let list =
        sdk.message_attempt().list_by_msg(app.clone(), sent.id.clone(), None).await.expect("a list").data;
    let shown: Vec<_> = list
        .iter()
        .map(|one| (one.status_text, one.response_status_code, format!("{:?}", one.trigger_type)))
        .collect();
    assert_eq!(
        shown,
        [
            (MessageStatusText::Success, 200, "Manual".to_owned()),
            (MessageStatusText::Fail, 400, "Scheduled".to_owned())
        ],
        "newest first"
    );
    let off = EndpointPatch { disabled: Some(true), ..Default::default() };
    sdk.endpoint().patch(app.clone(), endpoint.clone(), off).await.expect("disabled");
    assert_eq!(refusal(resend().await), (400, "generic_error".into()));
    world.stop().await;
}

each_store!(
    applications_are_created_got_patched_listed_and_deleted,
    endpoints_with_their_headers_secrets_and_event_types,
    operational_webhooks_are_set_up_and_hear,
    a_message_is_sent_verified_and_found_in_every_list,
    an_idempotency_key_makes_one_message_and_the_sdks_own_keys_make_many,
    after_a_rotation_both_keys_verify_until_the_overlap_ends,
    receivers_of_a_product_that_moves_here_verify_the_svix_headers,
    a_resend_is_a_manual_attempt_and_a_disabled_endpoint_refuses_it,
);
