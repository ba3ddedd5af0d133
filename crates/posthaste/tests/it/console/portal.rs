//! Portal links: the console for one application, for whoever has the link, also within a page of the operator's.

use super::{Person, between, cookie_of, header, text_of};
use crate::server::{START, Store, World, text};
use serde_json::{Value, json};
use testkit::{Chromium, HttpClient};

async fn link(world: &World, asked: &Value) -> (String, String) {
    let path = format!("/api/v1/auth/app-portal-access/{}", world.application);
    let made = world.call("POST", &path, asked).await;
    let (url, token) = (text(&made["url"]).to_owned(), text(&made["token"]).to_owned());
    assert_eq!(url, format!("http://posthaste.test/portal/{token}"));
    (format!("/portal/{token}"), token)
}

pub(super) async fn guest(world: &World, asked: &Value) -> Person {
    let (path, _) = link(world, asked).await;
    let entered = Person::new(world).get(&path).await;
    assert_eq!(header(&entered, "location"), format!("/app/{}/endpoint", world.application));
    let mut guest = Person { cookie: cookie_of(&entered), ..Person::new(world) };
    let page = text_of(&guest.get(&format!("/app/{}/endpoint/new", world.application)).await);
    let page = if page.contains("form_token") {
        page
    } else {
        text_of(&guest.get(&format!("/app/{}/settings/notifications", world.application)).await)
    };
    guest.form_token = between(&page, "name=\"form_token\" value=\"", "\"").expect("a token").to_owned();
    guest
}

async fn a_guest_sees_one_application_and_nothing_else(store: Store) {
    let world = World::start(store).await;
    let other = world.call("POST", "/api/v1/app", &json!({"name": "Other"})).await;
    let endpoint = world.endpoint("/hook").await;
    let guest = guest(&world, &json!({})).await;
    let app = format!("/app/{}", world.application);
    for path in [
        "/endpoint",
        "/event-type",
        "/log",
        "/docs",
        "/overview",
        "/settings",
        &format!("/endpoint/{endpoint}"),
        &format!("/endpoint/{endpoint}/settings"),
    ] {
        assert_eq!(guest.get(&format!("{app}{path}")).await.status, 200, "{path}");
    }
    assert_eq!(header(&guest.get("/").await, "location"), format!("{app}/endpoint"));
    for (path, status) in [
        (format!("/app/{}/endpoint", text(&other["id"])), 404),
        ("/account".to_owned(), 404),
        ("/environment/org_00000000000000000000default/application".to_owned(), 404),
        (format!("{app}/member"), 403),
        (format!("{app}/settings/keys"), 403),
    ] {
        assert_eq!(guest.get(&path).await.status, status, "{path}");
    }
    let made = guest
        .post(
            &format!("{app}/endpoint/new"),
            &[("url", &world.receiver.url("/new")), ("enabled", "on"), ("signs.standard", "on")],
        )
        .await;
    assert_eq!(made.status, 303, "{}", text_of(&made));
    // What the link holds opens the API for that application alone.
    let (_, token) = link(&world, &json!({})).await;
    let client = HttpClient::new(world.url());
    assert_eq!(client.get(&format!("/api/v1/app/{}/endpoint", world.application), &token).await.0, 200);
    assert_eq!(client.get("/api/v1/app", &token).await.0, 403);
    assert_eq!(client.get(&format!("/api/v1/app/{}", text(&other["id"])), &token).await.0, 404);
    assert_eq!(client.post("/api/v1/api-key", &token, &json!({"name": "x"})).await.0, 403);
    world.stop().await;
}

async fn what_a_link_gives_is_given_and_nothing_more(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/hook").await;
    let base = format!("/app/{}/endpoint/{endpoint}", world.application);
    let tries = [
        ("ViewBase", "GET", "", "ViewBase"),
        ("ManageEndpoint", "POST", "/pause", "ManageEndpoint"),
        ("CreateAttempts", "POST", "/check", "CreateAttempts"),
        ("ViewEndpointSecret", "POST", "/verify", "ViewEndpointSecret"),
        ("ManageEndpointSecret", "POST", "/rotate", "ManageEndpointSecret"),
    ];
    for given in tries.map(|(given, ..)| given) {
        let guest = guest(&world, &json!({"capabilities": [given]})).await;
        for (_, method, path, needed) in tries {
            let reply = match method {
                "GET" => guest.get(&format!("{base}{path}")).await,
                _ => guest.post(&format!("{base}{path}"), &[("overlap", "3600")]).await,
            };
            let is_let = reply.status != 403;
            assert_eq!(
                is_let,
                needed == "ViewBase" || needed == given,
                "{given}: {method} {path}: {}",
                reply.status
            );
        }
    }
    // A transformation is more than a change.
    let (_, token) = link(&world, &json!({"capabilities": ["ViewBase", "ManageEndpoint"]})).await;
    let client = HttpClient::new(world.url());
    let path = format!("/api/v1/app/{}/endpoint/{endpoint}", world.application);
    let code = json!({"transformation": "function handler(w) { return w; }"});
    assert_eq!(client.patch(&path, &token, &code).await.0, 403);
    assert_eq!(client.patch(&path, &token, &json!({"description": "x"})).await.0, 200);
    let read_only = guest(&world, &json!({"readOnly": true})).await;
    assert_eq!(read_only.post(&format!("{base}/pause"), &[]).await.status, 403);
    world.stop().await;
}

async fn links_end_by_themselves_by_session_and_all_at_once(store: Store) {
    let world = World::start(store).await;
    let app = format!("/app/{}/endpoint", world.application);
    let is_in = async |guest: &Person| guest.get(&app).await.status == 200;
    let short = guest(&world, &json!({"expiry": 3600})).await;
    let one = guest(&world, &json!({"sessionId": "one"})).await;
    let two = guest(&world, &json!({"sessionId": "two"})).await;
    world.clock.advance_ms(3_600_000);
    assert!(!is_in(&short).await && is_in(&one).await);
    let expire = format!("/api/v1/auth/app/{}/expire-all", world.application);
    world.call("POST", &expire, &json!({"sessionIds": ["one"]})).await;
    assert!(!is_in(&one).await && is_in(&two).await);
    world.call("POST", &expire, &json!({"expiry": 60})).await;
    assert!(is_in(&two).await);
    world.clock.advance_ms(60_000);
    assert!(!is_in(&two).await);
    let dead = Person::new(&world).get("/portal/portal_0").await;
    assert!(dead.status == 404 && text_of(&dead).contains("does not hold any more"));
    let client = HttpClient::new(world.url());
    let path = format!("/api/v1/auth/app-portal-access/{}", world.application);
    for wrong in [json!({"expiry": 60}), json!({"capabilities": ["Everything"]}), json!({"sessionId": "a b"})]
    {
        assert_eq!(client.post(&path, &world.token, &wrong).await.0, 422, "{wrong}");
    }
    // An application that is not there yet comes with its link.
    let new = json!({"application": {"name": "New"}});
    assert_eq!(client.post("/api/v1/auth/app-portal-access/brand-new", &world.token, &new).await.0, 200);
    assert_eq!(client.get("/api/v1/app/brand-new", &world.token).await.1["name"], "New");
    world.stop().await;
}

async fn over_tls_a_guests_cookie_is_for_pages_that_show_the_portal_too(store: Store) {
    let world = World::with((store, START), |config| {
        config.public_url = "https://hooks.example".into();
        config.embed_origins = vec!["https://app.example.com".into()];
    });
    let world = world.await;
    let path = format!("/api/v1/auth/app-portal-access/{}", world.application);
    let made = world.call("POST", &path, &json!({})).await;
    let path = text(&made["url"]).strip_prefix("https://hooks.example").expect("our address").to_owned();
    let entered = Person::new(&world).get(&path).await;
    let set = header(&entered, "set-cookie");
    assert!(set.starts_with("__Host-posthaste-portal=portal_"), "{set}");
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=None; Partitioned; Secure"), "{set}");
    let guest = Person { cookie: cookie_of(&entered), ..Person::new(&world) };
    let page = guest.get(&format!("/app/{}/endpoint", world.application)).await;
    assert!(header(&page, "content-security-policy").ends_with("frame-ancestors https://app.example.com"));
    let login = Person::new(&world).get("/login").await;
    assert!(header(&login, "content-security-policy").ends_with("frame-ancestors 'none'"));
    world.stop().await;
}

async fn the_portal_is_shown_within_pages_that_the_operator_names_alone(store: Store) {
    let world =
        World::with((store, START), |config| config.embed_origins = vec!["http://127.0.0.1:*".into()]).await;
    let (path, _) = link(&world, &json!({})).await;
    let product = testkit::Receiver::start().await;
    let frame =
        format!("<title>Product</title><iframe width=900 height=600 src='{}{path}'></iframe>", world.url());
    product.answer_always(
        "/product",
        testkit::Answer::status(200).header("content-type", "text/html").body(frame),
    );
    let browser = Chromium::start().await;
    browser.goto(&product.url("/product")).await;
    // A frame that is refused becomes a page of the browser's own, which loads nothing of ours.
    let fetched = "return performance.getEntriesByType('resource').filter((one) => one.initiatorType === 'iframe').length;";
    assert_eq!(browser.script(fetched, &[]).await, 1);
    assert_eq!(browser.problems().await, Vec::<String>::new());
    // The same page under another name is another origin.
    browser.goto(&product.url("/product").replace("127.0.0.1", "localhost")).await;
    crate::server::eventually("the refusal", async || {
        let problems = browser.problems().await;
        problems.iter().any(|one| one.contains("frame-ancestors")).then_some(())
    })
    .await;
    world.stop().await;
}

each_store!(
    a_guest_sees_one_application_and_nothing_else,
    what_a_link_gives_is_given_and_nothing_more,
    links_end_by_themselves_by_session_and_all_at_once,
    over_tls_a_guests_cookie_is_for_pages_that_show_the_portal_too,
    the_portal_is_shown_within_pages_that_the_operator_names_alone,
);
