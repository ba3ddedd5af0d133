//! In and out: passwords, links, cookies, and forms that others would like to send.

use super::{EVERYWHERE, Person, cookie_of, header, link_of, text_of};
use crate::server::{START, Store, World};
use app::user::Newcomer;
use http::Method;

const PASSWORD: &str = "correct horse battery";

async fn with_ada(store: Store) -> World {
    let world = World::start(store).await;
    let ada =
        Newcomer { email: "ada@acme.example".into(), name: "Ada".into(), password: Some(PASSWORD.into()) };
    world.app().user_create(ada, domain::role::Role::Administrator).await.expect("a user");
    world
}

async fn log_in(world: &World, email: &str, password: &str) -> testkit::Reply {
    let form = [("email", email), ("password", password), ("next", "")];
    Person::new(world).post_as_is("/login", &form, &[]).await
}

async fn the_first_account_is_made_once_by_the_link_that_the_start_prints(store: Store) {
    let world = World::start(store).await;
    let link = world.app().setup_link().await.expect("an answer").expect("a link");
    let form = [("name", "Ada"), ("email", "Ada@Acme.example"), ("password", PASSWORD)];
    let (setup, person) = (format!("/setup/{link}"), Person::new(&world));
    assert_eq!(person.get("/setup/0123456789abcdef0123456789abcdef").await.status, 404);
    assert_eq!(person.get(&setup).await.status, 200);
    let short = person.post_as_is(&setup, &[form[0], form[1], ("password", "short")], &[]).await;
    assert_eq!(short.status, 422);
    assert!(text_of(&short).contains("at least 10") && text_of(&short).contains("Ada@Acme.example"));
    let made = person.post_as_is(&setup, &form, &[]).await;
    assert_eq!((made.status, header(&made, "location")), (303, "/"));
    let ada = Person::with_cookie(&world, cookie_of(&made)).await;
    assert!(text_of(&ada.get("/account").await).contains("ada@acme.example"));
    assert_eq!(person.get(&setup).await.status, 404, "it holds once");
    assert_eq!(person.post_as_is(&setup, &form, &[]).await.status, 404);
    assert_eq!(world.app().setup_link().await.expect("an answer"), None);
    assert_eq!(log_in(&world, "ada@acme.example", PASSWORD).await.status, 303);
    world.stop().await;
}

async fn a_password_opens_and_nothing_else_does_and_both_are_told_alike(store: Store) {
    let world = with_ada(store).await;
    let (wrong, nobody) = (
        log_in(&world, "ada@acme.example", "wrong").await,
        log_in(&world, "bob@acme.example", "wrong").await,
    );
    assert_eq!((wrong.status, nobody.status), (401, 401));
    assert_eq!(text_of(&wrong).replace("ada@", "bob@"), text_of(&nobody));
    let right = log_in(&world, " ADA@acme.example ", PASSWORD).await;
    assert_eq!((right.status, header(&right, "location")), (303, "/"));
    let set = header(&right, "set-cookie");
    assert!(set.starts_with("posthaste=") && set.contains("HttpOnly; SameSite=Lax"), "{set}");
    let ada = Person::with_cookie(&world, cookie_of(&right)).await;
    assert_eq!(ada.get("/account").await.status, 200);
    // Each log-in has a cookie of its own, and what the store keeps of it opens nothing.
    assert_ne!(cookie_of(&log_in(&world, "ada@acme.example", PASSWORD).await), ada.cookie);
    world.stop().await;
}

async fn whoever_guesses_is_slowed_down_and_the_others_are_not(store: Store) {
    let world = with_ada(store).await;
    for _ in 0..10 {
        assert_eq!(log_in(&world, "ada@acme.example", "wrong").await.status, 401);
    }
    let refused = log_in(&world, "ada@acme.example", PASSWORD).await;
    assert_eq!(refused.status, 429);
    assert!(text_of(&refused).contains("Wait 15 minutes"), "{}", text_of(&refused));
    world.clock.advance_ms(900_000);
    assert_eq!(log_in(&world, "ada@acme.example", PASSWORD).await.status, 303);
    world.stop().await;
}

/// Nobody guesses a link. Whoever tries may be told to wait, and cannot shut the links of everybody else.
async fn whoever_tries_links_keeps_nobody_else_out(store: Store) {
    let world = World::with((store, START), |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a subnet")];
    })
    .await;
    let link = world.app().setup_link().await.expect("an answer").expect("a link");
    let visit = async |from: &str, path: &str| {
        let headers = [("x-forwarded-for", from)];
        Person::new(&world).request(Method::GET, path, &headers, "").await.status
    };
    for n in 0..120 {
        let from = format!("203.0.113.{}", n / 30);
        assert_eq!(visit(&from, "/setup/0123456789abcdef0123456789abcdef").await, 404);
        assert_eq!(visit(&from, "/password/0123456789abcdef0123456789abcdef").await, 404);
    }
    assert_eq!(visit("203.0.113.0", &format!("/setup/{link}")).await, 429);
    assert_eq!(visit("192.0.2.1", &format!("/setup/{link}")).await, 200);
    assert_eq!(visit("192.0.2.1", "/password/0123456789abcdef0123456789abcdef").await, 404);
    world.stop().await;
}

async fn a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_left(store: Store) {
    let world = with_ada(store).await;
    let day = 86_400_000;
    let ada = async || {
        Person::with_cookie(&world, cookie_of(&log_in(&world, "ada@acme.example", PASSWORD).await)).await
    };
    let is_in = async |person: &Person| person.get("/account").await.status == 200;
    let idle = ada().await;
    world.clock.advance_ms(7 * day + 1);
    assert!(!is_in(&idle).await);
    let used = ada().await;
    for _ in 0..5 {
        world.clock.advance_ms(6 * day - 1);
        assert!(is_in(&used).await, "it is used");
    }
    world.clock.advance_ms(6);
    assert!(!is_in(&used).await, "after 30 days one signs in again");
    let (here, there) = (ada().await, ada().await);
    assert_eq!(here.post("/logout", &[]).await.status, 303);
    assert!(!is_in(&here).await && is_in(&there).await);
    let again = ada().await;
    assert_eq!(again.post("/logout", &[("everywhere", "yes")]).await.status, 303);
    assert!(!is_in(&there).await && !is_in(&again).await);
    world.stop().await;
}

async fn a_new_password_signs_out_everywhere_else(store: Store) {
    let world = with_ada(store).await;
    let ada = async || {
        Person::with_cookie(&world, cookie_of(&log_in(&world, "ada@acme.example", PASSWORD).await)).await
    };
    let (here, there) = (ada().await, ada().await);
    let wrong = here.post("/account/password", &[("current", "wrong"), ("new", "another long one")]).await;
    assert_eq!(wrong.status, 422);
    assert!(text_of(&wrong).contains("is not your password"));
    let done = here.post("/account/password", &[("current", PASSWORD), ("new", "another long one")]).await;
    assert_eq!(done.status, 303);
    assert_eq!((here.get("/account").await.status, there.get("/account").await.status), (200, 303));
    assert_eq!(log_in(&world, "ada@acme.example", PASSWORD).await.status, 401);
    assert_eq!(log_in(&world, "ada@acme.example", "another long one").await.status, 303);
    world.stop().await;
}

async fn forms_of_other_sites_change_nothing(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let path = format!("/app/{}/endpoint/new", world.application);
    let form = [("url", "https://hooks.example/"), ("enabled", "on"), ("form_token", "")];
    let token = text_of(&ada.get("/account").await);
    let token = super::between(&token, "name=\"form_token\" value=\"", "\"").expect("a token").to_owned();
    let good = [("url", "https://hooks.example/"), ("form_token", &*token)];
    for (form, headers) in [
        (&form[..], &[][..]),
        (&good, &[("origin", "https://evil.example")]),
        (&good, &[("sec-fetch-site", "cross-site")]),
        (&good, &[("origin", "null")]),
    ] {
        let refused = ada.post_as_is(&path, form, headers).await;
        assert_eq!(refused.status, 403, "{headers:?}");
        assert!(text_of(&refused).contains("Nothing was changed"));
    }
    // Nor does another person's token.
    let bob = Person::of(&world, "bob@acme.example", &[EVERYWHERE]).await;
    let bobs = Person { cookie: bob.cookie.clone(), ..ada };
    assert_eq!(bobs.post(&path, &[("url", "https://hooks.example/")]).await.status, 403);
    let list = world.of_application("GET", "/endpoint", &serde_json::Value::Null).await;
    assert_eq!(list["data"], serde_json::json!([]));
    // Logging somebody in without their will is a foreign form too.
    let login = [("email", "ada@acme.example"), ("password", "x")];
    let refused = bob.post_as_is("/login", &login, &[("origin", "https://evil.example")]).await;
    assert_eq!(refused.status, 403);
    world.stop().await;
}

async fn the_way_back_leads_to_pages_of_ours_alone(store: Store) {
    let world = with_ada(store).await;
    let path = format!("/app/{}/endpoint?after=ep_x", world.application);
    let asked = Person::new(&world).get(&path).await;
    let next = format!("/login?next=%2Fapp%2F{}%2Fendpoint%3Fafter%3Dep_x", world.application);
    assert_eq!((asked.status, header(&asked, "location")), (303, &*next));
    let log_in = async |next: &str| {
        let form = [("email", "ada@acme.example"), ("password", PASSWORD), ("next", next)];
        let reply = Person::new(&world).post_as_is("/login", &form, &[]).await;
        header(&reply, "location").to_owned()
    };
    assert_eq!(log_in(&path).await, path);
    for foreign in ["https://evil.example/", "//evil.example", "/\\evil.example", "evil"] {
        assert_eq!(log_in(foreign).await, "/", "{foreign}");
    }
    world.stop().await;
}

async fn over_tls_the_cookie_is_for_this_host_alone(store: Store) {
    let start = (store, crate::server::START);
    let world = World::with(start, |config| config.public_url = "https://hooks.example".into()).await;
    let link = link_of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let reply = Person::new(&world).get(&format!("/sign-in/{link}")).await;
    let set = header(&reply, "set-cookie");
    assert!(set.starts_with("__Host-posthaste=") && set.ends_with("; Secure"), "{set}");
    assert!(set.contains("Path=/; HttpOnly; SameSite=Lax") && !set.contains("Domain"), "{set}");
    // The unprefixed name, which a neighbour's page could set, opens nothing.
    let value = cookie_of(&reply).replace("__Host-", "");
    assert_eq!(Person::with_cookie(&world, value).await.get("/account").await.status, 303);
    world.stop().await;
}

async fn every_page_says_what_a_browser_may_do_with_it(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let endpoint = world.endpoint("/hook").await;
    let app = format!("/app/{}", world.application);
    for path in [
        "/login",
        "/account",
        &format!("{app}/endpoint/{endpoint}"),
        "/app/app_x/endpoint",
        &format!("{app}/nothing"),
    ] {
        let reply = ada.get(path).await;
        let policy = header(&reply, "content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"),
            "{path}: {policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(header(&reply, "cache-control"), "no-store", "{path}");
        assert_eq!(header(&reply, "x-content-type-options"), "nosniff", "{path}");
        assert_eq!(header(&reply, "referrer-policy"), "same-origin", "{path}");
        let text = text_of(&reply);
        assert!(
            !text.contains(" style=") && !text.contains(" onclick=") && !text.contains("<style"),
            "{path}"
        );
    }
    let page = text_of(&ada.get("/account").await);
    let style = super::between(&page, "rel=\"stylesheet\" href=\"", "\"").expect("a style");
    let style = ada.request(Method::GET, style, &[("accept-encoding", "br, gzip")], "").await;
    assert_eq!(header(&style, "content-encoding"), "gzip");
    assert_eq!(header(&style, "cache-control"), "public, max-age=31536000, immutable");
    world.stop().await;
}

each_store!(
    the_first_account_is_made_once_by_the_link_that_the_start_prints,
    a_password_opens_and_nothing_else_does_and_both_are_told_alike,
    whoever_guesses_is_slowed_down_and_the_others_are_not,
    whoever_tries_links_keeps_nobody_else_out,
    a_session_ends_when_it_is_idle_when_it_is_old_and_when_it_is_left,
    a_new_password_signs_out_everywhere_else,
    forms_of_other_sites_change_nothing,
    the_way_back_leads_to_pages_of_ours_alone,
    over_tls_the_cookie_is_for_this_host_alone,
    every_page_says_what_a_browser_may_do_with_it,
);
