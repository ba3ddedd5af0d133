//! Signing in by an identity provider: the way there and back, and all that is refused on it.

use super::{EVERYWHERE, Person, cookie_of, header, link_of, text_of};
use crate::server::{START, Store, World};
use posthaste::config::{Config, SecretText};
use serde_json::json;
use std::time::Duration;
use testkit::{Account, Chromium, ClientKind, HttpClient, IdentityProvider, Odd, Reply, Signing, free_port};

pub(super) const ADA: &str = "ada@acme.example";

/// A world whose people sign in by a provider, its settings adjusted.
pub(super) async fn scene(store: Store, adjust: impl FnOnce(&mut Config)) -> (World, IdentityProvider) {
    let provider = IdentityProvider::start(START.seconds()).await;
    let listen = format!("127.0.0.1:{}", free_port());
    let world = World::with((store, START), |config| {
        config.public_url = format!("http://{listen}");
        config.listen = listen;
        config.oidc_issuer = Some(provider.issuer());
        config.oidc_client_id = Some(IdentityProvider::CLIENT_ID.to_owned());
        config.oidc_client_secret = Some(SecretText::new(IdentityProvider::CLIENT_SECRET.to_owned()));
        config.oidc_name = Some("Acme ID".to_owned());
        adjust(config);
    });
    let world = world.await;
    provider.register(&format!("{}/oidc/callback", world.url()));
    (world, provider)
}

/// The same with Ada, who was invited, and has an account at the provider.
pub(super) async fn with_ada(store: Store, adjust: impl FnOnce(&mut Config)) -> (World, IdentityProvider) {
    let (world, provider) = scene(store, adjust).await;
    link_of(&world, ADA, &[EVERYWHERE]).await;
    provider.sign_in_as(Account::new("sub-ada", ADA));
    (world, provider)
}

/// Somebody whom the provider has sent back: the cookie that they have, and the page that they come to.
pub(super) struct Back {
    pub(super) cookie: String,
    pub(super) path: String,
}

/// To the provider and back, up to the last step.
pub(super) async fn to_provider(world: &World, provider: &IdentityProvider) -> Back {
    let begun = Person::new(world).get("/oidc/begin?next=%2Faccount%3Fhere").await;
    assert_eq!(begun.status, 303, "{}", text_of(&begun));
    let base = provider.issuer().replace("/realms/acme", "");
    let there = header(&begun, "location").strip_prefix(&base).expect("the provider's address");
    let sent = HttpClient::new(base).send(http::Method::GET, there, &[], String::new()).await;
    let sent = sent.expect("an answer of the provider");
    assert_eq!(sent.status, 303, "{}", text_of(&sent));
    let path = header(&sent, "location").strip_prefix(&world.url()).expect("our address").to_owned();
    Back { cookie: cookie_of(&begun), path }
}

/// The last step.
pub(super) async fn come(world: &World, back: &Back) -> Reply {
    Person { cookie: back.cookie.clone(), ..Person::new(world) }.get(&back.path).await
}

/// The whole way.
pub(super) async fn log_in(world: &World, provider: &IdentityProvider) -> Reply {
    come(world, &to_provider(world, provider).await).await
}

/// The address of whoever an answer has signed in.
pub(super) async fn entered(world: &World, reply: &Reply) -> String {
    assert_eq!((reply.status, header(reply, "location")), (303, "/account?here"), "{}", text_of(reply));
    let account = text_of(&Person::with_cookie(world, cookie_of(reply)).await.get("/account").await);
    super::between(&account, "<h1>Account</h1><p class=\"quiet\">", "<")
        .unwrap_or_else(|| panic!("{account}"))
        .to_owned()
}

/// Asserts that an answer says why, and has signed nobody in.
pub(super) fn refused(reply: &Reply, status: u16, why: &str) {
    let text = super::unescaped(&text_of(reply));
    assert!(reply.status == status && text.contains(why), "{status} {why}: {} {text}", reply.status);
    let cookies = reply.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    assert!(cookies.into_iter().all(|cookie| cookie.starts_with("posthaste-oidc=;")), "{:?}", reply.headers);
}

async fn people_log_in_at_the_provider_and_come_to_where_they_wanted(store: Store) {
    let (world, _provider) = with_ada(store, |_| {}).await;
    let browser = Chromium::start().await;
    for _ in 0..2 {
        browser.goto(&format!("{}/login?next=%2Faccount", world.url())).await;
        assert_eq!(browser.axe().await, Vec::<String>::new());
        browser.follow("Log in with Acme ID").await;
        browser.wait_for_url_part("/account").await;
        browser.wait_for_text(ADA).await;
        let cookies = browser.cookies().await;
        assert_eq!(cookies.len(), 1, "what was kept for the way is gone: {cookies:?}");
        assert_eq!((&cookies[0]["name"], &cookies[0]["httpOnly"]), (&json!("posthaste"), &json!(true)));
        browser.find(".who summary").await.click().await;
        browser.press("Log out").await;
        browser.wait_for_text("You are logged out").await;
    }
    world.stop().await;
}

async fn what_cannot_be_trusted_is_refused_with_a_page_that_says_why(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    type Wrong = (fn(&IdentityProvider), u16, &'static str);
    let wrong: &[Wrong] = &[
        (|p| p.sign(Signing::Changed), 401, "cannot be trusted (its signature does not hold)"),
        (|p| p.sign(Signing::OtherKey), 401, "its signature does not hold"),
        (|p| p.sign(Signing::UnknownKey), 401, "it is signed with a key that is not the provider's"),
        (|p| p.sign(Signing::None), 401, "it is not signed in a way that is taken"),
        (|p| p.sign(Signing::Hmac), 401, "it is not signed in a way that is taken"),
        (|p| p.claim("iss", json!("https://evil.example")), 401, "it is another provider's"),
        (|p| p.claim("aud", json!("another")), 401, "it is for another application"),
        (|p| p.claim("aud", json!(["posthaste", "another"])), 401, "it is for another application"),
        (|p| p.claim("nonce", json!("another")), 401, "it is not for this sign-in"),
        (|p| p.claim("nonce", json!(null)), 401, "it is not for this sign-in"),
        (|p| p.claim("exp", json!(START.seconds() - 60)), 401, "it has expired"),
        (|p| p.claim("iat", json!(START.seconds() + 90)), 401, "it is from the future"),
        (|p| p.claim("sub", json!(null)), 401, "something is missing in it"),
        (
            |p| p.claim("email_verified", json!(false)),
            401,
            "Acme ID has not verified that ada@acme.example is yours",
        ),
        (|p| p.claim("email_verified", json!(null)), 401, "Acme ID has not verified that"),
        (|p| p.claim("email", json!("no address")), 401, "Acme ID did not tell your e-mail address"),
        (|p| p.deny("access_denied"), 401, "Acme ID did not let you in, or you changed your mind."),
        (|p| p.deny("temporarily_unavailable"), 401, "it says temporarily_unavailable"),
        (|p| p.deny("<b>call 0900</b>"), 401, "could not log you in, and did not say why"),
        (|p| p.be_odd("token", Odd::Answer(500, "{}")), 502, "Logging in with Acme ID does not work now."),
        (|p| p.be_odd("token", Odd::Answer(200, "{\"access_token\": \"x\"}")), 502, "does not work now"),
        (|p| p.be_odd("token", Odd::Answer(200, "<html>")), 502, "does not work now"),
        (|p| p.be_odd("token", Odd::Giant), 502, "does not work now"),
        (
            |p| p.be_odd("token", Odd::Answer(401, "{\"error\": \"invalid_client\"}")),
            502,
            "does not work now",
        ),
    ];
    for (make, status, why) in wrong {
        make(&provider);
        let reply = log_in(&world, &provider).await;
        refused(&reply, *status, why);
        assert!(text_of(&reply).contains("Log in with Acme ID"), "they can try again");
        provider.behave();
    }
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    world.stop().await;
}

async fn a_provider_that_hangs_or_floods_or_is_another_one_costs_little_and_is_asked_again(store: Store) {
    let (world, provider) =
        with_ada(store, |config| config.oidc_timeout = Some(Duration::from_secs(2))).await;
    let begin = async || Person::new(&world).get("/oidc/begin").await;
    type Oddity = (fn(&IdentityProvider), &'static str);
    let odd: &[Oddity] = &[
        (|p| p.be_odd("document", Odd::Hang), "document"),
        (|p| p.be_odd("document", Odd::Giant), "document"),
        (|p| p.be_odd("document", Odd::Answer(404, "")), "document"),
        (|p| p.say_of_itself("issuer", json!("https://evil.example")), "document"),
        (|p| p.say_of_itself("authorization_endpoint", json!("javascript:alert(1)")), "document"),
        (|p| p.say_of_itself("token_endpoint", json!("file:///etc/passwd")), "document"),
        (|p| p.say_of_itself("jwks_uri", json!("http://169.254.169.254/keys")), "document"),
        (|p| p.be_odd("keys", Odd::Giant), "keys"),
        (|p| p.be_odd("keys", Odd::Hang), "keys"),
        (|p| p.be_odd("keys", Odd::Answer(200, "[]")), "keys"),
    ];
    for (make, place) in odd {
        make(&provider);
        let asked = provider.requests(place);
        refused(&begin().await, 502, "Logging in with Acme ID does not work now.");
        refused(&begin().await, 502, "does not work now");
        assert!(provider.requests(place) <= asked + 1, "{place}: it is left alone for a while");
        provider.behave();
        world.clock.advance_ms(5_000);
        provider.advance_seconds(5);
    }
    assert_eq!(begin().await.status, 303);
    let documents = provider.requests("document");
    provider.be_odd("token", Odd::Hang);
    refused(&log_in(&world, &provider).await, 502, "does not work now");
    provider.behave();
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    assert_eq!(provider.requests("document"), documents, "what it says of itself is kept");
    world.clock.advance_ms(3_600_000);
    assert_eq!(begin().await.status, 303);
    assert_eq!(provider.requests("document"), documents + 1, "for an hour");
    world.stop().await;
}

async fn a_code_is_good_once_and_only_in_the_browser_that_went_for_it(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    let back = to_provider(&world, &provider).await;
    let not_begun = "This sign-in was not begun in this browser, or longer than ten minutes ago.";
    // Somebody else's link, in a browser without a sign-in and in one with another: nobody is signed in as them.
    let none = Back { cookie: String::new(), path: back.path.clone() };
    refused(&come(&world, &none).await, 401, not_begun);
    let other = to_provider(&world, &provider).await;
    let mixed = Back { cookie: other.cookie.clone(), path: back.path.clone() };
    let reply = come(&world, &mixed).await;
    refused(&reply, 401, not_begun);
    assert_eq!(cookie_of(&reply), "", "the other sign-in goes on");
    // Somebody else's code under one's own state: it is bound to the browser that went for it.
    let part = |path: &str, name: &str| {
        let query = path.split_once('?').map_or("", |(_, query)| query);
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(found, _)| found == name)
            .map(|(_, v)| v.into_owned())
    };
    let (code, state) =
        (part(&back.path, "code").expect("a code"), part(&other.path, "state").expect("a state"));
    let injected =
        Back { path: format!("/oidc/callback?code={code}&state={state}"), cookie: other.cookie.clone() };
    refused(&come(&world, &injected).await, 401, "took too long, or was answered once already");
    for forged in ["/oidc/callback", "/oidc/callback?code=x", "/oidc/callback?error=access_denied&state="] {
        let forged = Back { cookie: other.cookie.clone(), path: forged.to_owned() };
        refused(&come(&world, &forged).await, 401, not_begun);
    }
    assert_eq!(entered(&world, &come(&world, &other).await).await, ADA);
    let again = come(&world, &other).await;
    refused(&again, 401, "took too long, or was answered once already");
    let late = to_provider(&world, &provider).await;
    world.clock.advance_ms(600_000);
    refused(&come(&world, &late).await, 401, not_begun);
    world.stop().await;
}

async fn the_way_back_needs_nothing_that_a_server_remembers(store: Store) {
    let (mut world, provider) = with_ada(store, |_| {}).await;
    let back = to_provider(&world, &provider).await;
    world.stop_server().await;
    world.start_again(|_| {}).await;
    assert_eq!(entered(&world, &come(&world, &back).await).await, ADA);
    world.stop().await;
}

async fn a_new_key_is_found_and_the_keys_are_not_asked_for_all_the_time(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    let asked = provider.requests("keys");
    provider.rotate_key();
    refused(&log_in(&world, &provider).await, 401, "a key that is not the provider's");
    assert_eq!(provider.requests("keys"), asked, "they were read just now");
    world.clock.advance_ms(10_000);
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    assert_eq!(provider.requests("keys"), asked + 1);
    provider.use_rsa();
    world.clock.advance_ms(10_000);
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    world.stop().await;
}

async fn providers_that_ask_for_the_secret_elsewhere_or_tell_addresses_elsewhere_do_too(store: Store) {
    for kind in [ClientKind::Post, ClientKind::Public] {
        let public = kind == ClientKind::Public;
        let (world, provider) = with_ada(store, |config| {
            config.oidc_client_secret = config.oidc_client_secret.take().filter(|_| !public);
        })
        .await;
        provider.client_is(kind);
        provider.name_itself();
        provider.keep_email_for_userinfo();
        let back = to_provider(&world, &provider).await;
        let other = back.path.replace("&iss=http", "&iss=https");
        refused(
            &come(&world, &Back { path: other, cookie: back.cookie.clone() }).await,
            401,
            "another provider's",
        );
        let unnamed = back.path.split("&iss=").next().expect("a path").to_owned();
        refused(&come(&world, &Back { path: unnamed, cookie: back.cookie }).await, 401, "another provider's");
        let other = "{\"sub\": \"another\", \"email\": \"ada@acme.example\", \"email_verified\": true}";
        provider.be_odd("userinfo", Odd::Answer(200, other));
        refused(&log_in(&world, &provider).await, 401, "it tells of two people");
        provider.be_odd("userinfo", Odd::Answer(403, ""));
        refused(&log_in(&world, &provider).await, 502, "does not work now");
        provider.behave();
        assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
        assert_eq!(provider.requests("userinfo"), 3);
        provider.be_odd("userinfo", Odd::Hang);
        assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA, "they are known by now");
        world.stop().await;
    }
}

async fn over_tls_the_cookie_of_the_way_is_for_this_host_alone_and_without_a_provider_there_is_no_way(
    store: Store,
) {
    let provider = IdentityProvider::start(START.seconds()).await;
    let mut world = World::with((store, START), |config| {
        config.public_url = "https://hooks.example".into();
        config.oidc_issuer = Some(provider.issuer());
        config.oidc_client_id = Some(IdentityProvider::CLIENT_ID.to_owned());
    })
    .await;
    let begun = Person::new(&world).get("/oidc/begin").await;
    let set = header(&begun, "set-cookie");
    assert!(set.starts_with("__Host-posthaste-oidc=") && set.ends_with("; Max-Age=600; Secure"), "{set}");
    assert!(set.contains("; Path=/; HttpOnly; SameSite=Lax;") && !set.contains("Domain"), "{set}");
    let callback = "redirect_uri=https%3A%2F%2Fhooks.example%2Foidc%2Fcallback&";
    assert!(header(&begun, "location").contains(callback), "{}", header(&begun, "location"));
    assert!(text_of(&Person::new(&world).get("/login").await).contains("Log in with single sign-on"));
    world.stop_server().await;
    world.start_again(|config| (config.oidc_issuer, config.oidc_client_id) = (None, None)).await;
    let person = Person::new(&world);
    assert!(!text_of(&person.get("/login").await).contains("/oidc/begin"));
    assert_eq!(
        (person.get("/oidc/begin").await.status, person.get("/oidc/callback").await.status),
        (404, 404)
    );
    world.stop().await;
}

each_store!(
    people_log_in_at_the_provider_and_come_to_where_they_wanted,
    what_cannot_be_trusted_is_refused_with_a_page_that_says_why,
    a_provider_that_hangs_or_floods_or_is_another_one_costs_little_and_is_asked_again,
    a_code_is_good_once_and_only_in_the_browser_that_went_for_it,
    the_way_back_needs_nothing_that_a_server_remembers,
    a_new_key_is_found_and_the_keys_are_not_asked_for_all_the_time,
    providers_that_ask_for_the_secret_elsewhere_or_tell_addresses_elsewhere_do_too,
    over_tls_the_cookie_of_the_way_is_for_this_host_alone_and_without_a_provider_there_is_no_way,
);
