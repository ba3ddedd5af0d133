//! The second factor: set up in a real browser, and asked for at every door.

use super::{Person, between, cookie_of, header, text_of};
use crate::server::{Store, World};
use app::user::Newcomer;
use domain::clock::Clock;
use domain::role::Role;
use domain::totp::TotpSecret;
use testkit::{Chromium, Reply};

const ADA: &str = "ada@acme.example";
const PASSWORD: &str = "correct horse battery";
const STEP_MS: i64 = 30_000;

async fn with_ada(store: Store) -> World {
    let world = World::start(store).await;
    let ada = Newcomer { email: ADA.into(), name: "Ada".into(), password: Some(PASSWORD.into()) };
    world.app().user_create(ada, Role::Administrator).await.expect("a user");
    world
}

async fn log_in(world: &World, password: &str) -> Reply {
    let form = [("email", ADA), ("password", password), ("next", "/account?here")];
    Person::new(world).post_as_is("/login", &form, &[]).await
}

fn ticket_in(reply: &Reply) -> String {
    assert_eq!((reply.status, cookie_of(reply)), (200, String::new()), "nobody is signed in yet");
    between(&text_of(reply), "name=\"ticket\" value=\"", "\"").expect("a ticket").to_owned()
}

async fn give(world: &World, ticket: &str, code: &str) -> Reply {
    let form = [("ticket", ticket), ("code", code), ("next", "/account?here")];
    Person::new(world).post_as_is("/login/code", &form, &[]).await
}

/// What stands on the page: the nonce of its form, and the secret.
async fn offered(person: &Person) -> (String, TotpSecret) {
    let page = text_of(&person.get("/account/totp").await);
    let secret = between(&page, "id=\"secret\">", "<").expect("a secret").replace(' ', "");
    let nonce = between(&page, "name=\"nonce\" value=\"", "\"").expect("a nonce");
    (nonce.to_owned(), TotpSecret::read(&secret).expect("base32"))
}

/// Ada, who has set it up, and what her app has. The next step begins.
async fn with_app(world: &World) -> (Person, TotpSecret) {
    let ada = Person::with_cookie(world, cookie_of(&log_in(world, PASSWORD).await)).await;
    let (nonce, secret) = offered(&ada).await;
    let code = secret.code_now(world.clock.now());
    let form = [("nonce", &*nonce), ("code", &*code), ("password", PASSWORD)];
    let on = ada.post("/account/totp", &form).await;
    assert_eq!(header(&on, "location"), "/account?told=totp-on", "{}", text_of(&on));
    world.clock.advance_ms(STEP_MS);
    (ada, secret)
}

async fn it_is_set_up_with_an_app_and_asked_for_at_the_log_in(store: Store) {
    let world = with_ada(store).await;
    let browser = Chromium::start().await;
    browser.goto(&format!("{}/login?next=%2Faccount", world.url())).await;
    let enter = async || {
        browser.fill("E-mail", ADA).await;
        browser.fill("Password", PASSWORD).await;
        browser.press("Log in").await;
    };
    enter().await;
    browser.follow("Set it up").await;
    browser.wait_for_text("Add Posthaste to your authenticator app").await;
    assert!(browser.find("svg.qr").await.is_displayed().await);
    let secret = async || browser.find("#secret").await.text().await.replace(' ', "");
    let text = secret().await;
    let app = TotpSecret::read(&text).expect("a secret");
    // Without a code that confirms it nothing is kept, and the secret stays the one that was scanned.
    let wrong = if app.code_now(world.clock.now()) == "000000" { "111111" } else { "000000" };
    for code in [wrong, &app.code_now(world.clock.now())] {
        browser.fill("Code", code).await;
        browser.fill("Your password", PASSWORD).await;
        browser.press("Switch it on").await;
        if code == wrong {
            browser.wait_for_text("is not right, or was used already").await;
            assert_eq!(secret().await, text);
        }
    }
    browser.wait_for_text("The second factor is on").await;
    browser.find(".who summary").await.click().await;
    browser.press("Log out").await;
    browser.wait_for_text("You are logged out").await;
    enter().await;
    browser.wait_for_text("that your authenticator app shows").await;
    assert_eq!(browser.axe().await, Vec::<String>::new());
    world.clock.advance_ms(STEP_MS);
    browser.fill("Code", &app.code_now(world.clock.now())).await;
    browser.press("Go on").await;
    browser.wait_for_url_part("/application").await;
    browser.goto(&format!("{}/account", world.url())).await;
    browser.follow("Switch it off").await;
    browser.fill("A code, or your password", PASSWORD).await;
    browser.press("Switch it off").await;
    browser.wait_for_text("The second factor is off").await;
    world.stop().await;
}

async fn a_password_alone_opens_nothing_and_a_code_counts_once(store: Store) {
    let world = with_ada(store).await;
    let elsewhere = Person::with_cookie(&world, cookie_of(&log_in(&world, PASSWORD).await)).await;
    let (ada, secret) = with_app(&world).await;
    assert_eq!((ada.get("/account").await.status, elsewhere.get("/account").await.status), (200, 303));
    assert_eq!(log_in(&world, "wrong").await.status, 401, "the password first");
    let ticket = ticket_in(&log_in(&world, PASSWORD).await);
    let code = secret.code_now(world.clock.now());
    // What was made up, what was used to set it up, and what is a link of another kind.
    let link = world.app().sign_in_link(ADA, 1_000_000).await.expect("a link");
    for (ticket, code, status) in [(&*"0".repeat(64), &*code, 401), (&link, &code, 401), (&ticket, "", 401)] {
        assert_eq!(give(&world, ticket, code).await.status, status);
    }
    let entered = give(&world, &ticket, &format!("{} {}", &code[..3], &code[3..])).await;
    assert_eq!((entered.status, header(&entered, "location")), (303, "/account?here"));
    assert_eq!(Person::with_cookie(&world, cookie_of(&entered)).await.get("/account").await.status, 200);
    let again = give(&world, &ticket, &code).await;
    assert!(text_of(&again).contains("That took too long"), "a ticket is used once");
    let ticket = ticket_in(&log_in(&world, PASSWORD).await);
    let again = give(&world, &ticket, &code).await;
    assert!(again.status == 401 && text_of(&again).contains("was used already"), "{}", text_of(&again));
    // The same form takes the next code.
    world.clock.advance_ms(STEP_MS);
    assert_eq!(ticket_in(&Reply { status: 200, ..again }), ticket);
    assert_eq!(give(&world, &ticket, &secret.code_now(world.clock.now())).await.status, 303);
    let late = ticket_in(&log_in(&world, PASSWORD).await);
    world.clock.advance_ms(300_000);
    assert_eq!(give(&world, &late, &secret.code_now(world.clock.now())).await.status, 401, "five minutes");
    world.stop().await;
}

async fn links_ask_for_a_code_too(store: Store) {
    let world = with_ada(store).await;
    let (ada, secret) = with_app(&world).await;
    let link = world.app().sign_in_link(ADA, 1_000_000).await.expect("a link");
    let ticket = ticket_in(&Person::new(&world).get(&format!("/sign-in/{link}")).await);
    assert_eq!(give(&world, &ticket, &secret.code_now(world.clock.now())).await.status, 303);
    let link = world.app().password_link_for(ADA).await.expect("a link");
    let path = format!("/password/{link}");
    assert!(text_of(&Person::new(&world).get(&path).await).contains("name=\"code\""));
    let used = secret.code_now(world.clock.now());
    for code in ["", "000000", &used] {
        let form = [("password", "another long one"), ("code", code)];
        let refused = Person::new(&world).post_as_is(&path, &form, &[]).await;
        assert!(refused.status == 422 && cookie_of(&refused).is_empty(), "{code}: {}", refused.status);
    }
    assert_eq!(ada.get("/account").await.status, 200, "a mailbox in wrong hands changes nothing");
    let before = ticket_in(&log_in(&world, PASSWORD).await);
    world.clock.advance_ms(STEP_MS);
    let code = secret.code_now(world.clock.now());
    let form = [("password", "another long one"), ("code", &*code)];
    let chosen = Person::new(&world).post_as_is(&path, &form, &[]).await;
    assert_eq!(chosen.status, 303, "{}", text_of(&chosen));
    assert_eq!(ada.get("/account").await.status, 303);
    // What the old password began the new one ends.
    world.clock.advance_ms(STEP_MS);
    assert_eq!(give(&world, &before, &secret.code_now(world.clock.now())).await.status, 401);
    world.stop().await;
}

async fn who_tries_codes_waits_an_hour_from_wherever_they_try(store: Store) {
    let world = with_ada(store).await;
    let (ada, secret) = with_app(&world).await;
    for _ in 0..10 {
        let ticket = ticket_in(&log_in(&world, PASSWORD).await);
        assert_eq!(give(&world, &ticket, "00000x").await.status, 401);
    }
    let ticket = ticket_in(&log_in(&world, PASSWORD).await);
    let refused = give(&world, &ticket, &secret.code_now(world.clock.now())).await;
    assert_eq!(refused.status, 429);
    assert!(text_of(&refused).contains("Wait 60 minutes"), "{}", text_of(&refused));
    // Nor can it be tried where it is switched off; with the password it can be.
    let off = ada.post("/account/totp/off", &[("proof", &secret.code_now(world.clock.now()))]).await;
    assert_eq!(off.status, 429);
    world.clock.advance_ms(3_600_000);
    let ticket = ticket_in(&log_in(&world, PASSWORD).await);
    assert_eq!(give(&world, &ticket, &secret.code_now(world.clock.now())).await.status, 303);
    world.stop().await;
}

async fn who_finds_a_browser_open_neither_sets_it_up_nor_switches_it_off(store: Store) {
    let world = with_ada(store).await;
    let here = Person::with_cookie(&world, cookie_of(&log_in(&world, PASSWORD).await)).await;
    let there = Person::with_cookie(&world, cookie_of(&log_in(&world, PASSWORD).await)).await;
    let (nonce, secret) = offered(&here).await;
    let code = secret.code_now(world.clock.now());
    let set = async |person: &Person, nonce: &str, password: &str| {
        let form = [("nonce", nonce), ("code", &*code), ("password", password)];
        person.post("/account/totp", &form).await.status
    };
    assert_eq!(set(&here, &nonce, "wrong").await, 422);
    // A secret is of one page in one session.
    assert_eq!((set(&there, &nonce, PASSWORD).await, set(&here, "00", PASSWORD).await), (422, 422));
    assert_eq!(set(&here, &nonce, PASSWORD).await, 303);
    assert_eq!(set(&here, &nonce, PASSWORD).await, 409, "there is one");
    let off = async |proof: &str| here.post("/account/totp/off", &[("proof", proof)]).await.status;
    assert_eq!((off("").await, off("wrong").await, off(&code).await), (422, 422, 422));
    world.clock.advance_ms(STEP_MS);
    assert_eq!(off(&secret.code_now(world.clock.now())).await, 303);
    assert_eq!(log_in(&world, PASSWORD).await.status, 303);
    // Whoever lost their phone is helped by whoever runs the server.
    with_app(&world).await;
    ticket_in(&log_in(&world, PASSWORD).await);
    world.app().totp_reset("Ada@acme.example").await.expect("a user");
    assert_eq!(log_in(&world, PASSWORD).await.status, 303);
    world.stop().await;
}

each_store!(
    it_is_set_up_with_an_app_and_asked_for_at_the_log_in,
    a_password_alone_opens_nothing_and_a_code_counts_once,
    links_ask_for_a_code_too,
    who_tries_codes_waits_an_hour_from_wherever_they_try,
    who_finds_a_browser_open_neither_sets_it_up_nor_switches_it_off,
);
