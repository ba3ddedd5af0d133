//! Signing in by an identity provider: who of ours somebody is, and that nobody is somebody else.

use super::oidc::{ADA, Back, come, entered, log_in, refused, scene, to_provider, with_ada};
use super::{EVERYWHERE, Person, Seat, cookie_of, header, link_of, text_of};
use crate::server::{Store, World};
use app::user::Newcomer;
use domain::clock::Clock;
use domain::role::Role;
use domain::totp::TotpSecret;
use serde_json::json;
use testkit::{Account, IdentityProvider};

const BOB: &str = "bob@acme.example";
const PASSWORD: &str = "correct horse battery";

async fn role_of(world: &World, email: &str) -> Vec<(bool, Role)> {
    let users = world.app().users().await.expect("users");
    let user = users.into_iter().find(|user| user.email == email);
    let user = user.unwrap_or_else(|| panic!("{email} is no user"));
    user.memberships.iter().map(|one| (one.application.is_none(), one.role)).collect()
}

async fn count(world: &World) -> usize {
    world.app().users().await.expect("users").len()
}

async fn enter_as(
    world: &World,
    provider: &IdentityProvider,
    (subject, email): (&str, &str),
) -> testkit::Reply {
    provider.sign_in_as(Account::new(subject, email));
    log_in(world, provider).await
}

async fn who_was_not_invited_does_not_come_in(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    let before = count(&world).await;
    let reply = enter_as(&world, &provider, ("sub-eve", "eve@acme.example")).await;
    refused(
        &reply,
        401,
        "There is no account for eve@acme.example here. Ask whoever administers this server",
    );
    assert_eq!(count(&world).await, before);
    link_of(
        &world,
        "eve@acme.example",
        &[Seat { application: Some(&world.application), role: Role::Member }],
    )
    .await;
    // Addresses are the same in capitals.
    let reply = enter_as(&world, &provider, ("sub-eve", "Eve@Acme.Example")).await;
    assert_eq!(entered(&world, &reply).await, "eve@acme.example");
    assert_eq!(
        role_of(&world, "eve@acme.example").await,
        [(false, Role::Member)],
        "the role that they were invited with"
    );
    world.stop().await;
}

async fn people_of_the_named_domains_add_themselves(store: Store) {
    let (world, provider) = scene(store, |config| {
        config.oidc_domains = vec!["acme.example".into(), "acme.test".into()];
        config.oidc_role = Some(Role::Member);
    })
    .await;
    let eve = ("sub-eve", "eve@acme.example");
    refused(&enter_as(&world, &provider, eve).await, 401, "Nobody has set this server up yet");
    assert!(world.app().setup_link().await.expect("an answer").is_some(), "the link holds still");
    link_of(&world, ADA, &[EVERYWHERE]).await;
    let before = count(&world).await;
    provider.claim("name", json!(" Eve "));
    for _ in 0..2 {
        assert_eq!(entered(&world, &enter_as(&world, &provider, eve).await).await, "eve@acme.example");
    }
    assert_eq!(role_of(&world, "eve@acme.example").await, [(true, Role::Member)]);
    let users = world.app().users().await.expect("users");
    assert!(users.iter().any(|user| user.name == "Eve" && !user.has_password), "{users:?}");
    // A name that we do not take keeps nobody out.
    provider.claim("name", json!("\u{7}".repeat(9)));
    enter_as(&world, &provider, ("sub-joe", "joe@acme.test")).await;
    assert_eq!(count(&world).await, before + 2);
    for foreign in
        ["x@evil-acme.example", "x@acme.example.evil.test", "x@sub.acme.example", "x@other.example"]
    {
        refused(&enter_as(&world, &provider, ("sub-x", foreign)).await, 401, "There is no account for");
    }
    provider.claim("email_verified", json!(false));
    refused(&enter_as(&world, &provider, ("sub-z", "z@acme.example")).await, 401, "has not verified that z@");
    assert_eq!(count(&world).await, before + 2);
    // A provider that says nothing about it is believed for these domains, and for no other.
    provider.claim("email_verified", json!(null));
    assert_eq!(
        entered(&world, &enter_as(&world, &provider, ("sub-z", "z@acme.example")).await).await,
        "z@acme.example"
    );
    link_of(&world, "guest@other.example", &[EVERYWHERE]).await;
    refused(&enter_as(&world, &provider, ("sub-g", "guest@other.example")).await, 401, "has not verified");
    world.stop().await;
}

async fn the_first_user_may_be_one_of_them_where_they_administer(store: Store) {
    let (world, provider) = scene(store, |config| {
        config.oidc_domains = vec!["acme.example".into()];
        config.oidc_role = Some(Role::Administrator);
    })
    .await;
    assert_eq!(entered(&world, &enter_as(&world, &provider, ("sub-ada", ADA)).await).await, ADA);
    assert_eq!(role_of(&world, ADA).await, [(true, Role::Administrator)]);
    assert_eq!(world.app().setup_link().await.expect("an answer"), None);
    world.stop().await;
}

async fn an_address_that_changes_neither_keeps_out_nor_lets_into_another_account(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    link_of(&world, BOB, &[EVERYWHERE]).await;
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    // Ada is Ada, also where the provider says that Bob's address is hers by now, or tells none.
    for email in [BOB, "ada@elsewhere.example"] {
        assert_eq!(entered(&world, &enter_as(&world, &provider, ("sub-ada", email)).await).await, ADA);
    }
    provider.sign_in_as(Account { email: None, email_verified: Some(false), ..Account::new("sub-ada", ADA) });
    assert_eq!(entered(&world, &log_in(&world, &provider).await).await, ADA);
    // Whoever has got her address does not get her account.
    let heir = enter_as(&world, &provider, ("sub-heir", ADA)).await;
    refused(&heir, 401, "The account with the address ada@acme.example belongs to another person at Acme ID");
    assert_eq!(entered(&world, &enter_as(&world, &provider, ("sub-bob", BOB)).await).await, BOB);
    // Subjects are compared as they are.
    refused(&enter_as(&world, &provider, ("SUB-ADA", ADA)).await, 401, "belongs to another person");
    // Who is removed is nobody any more, and invited again they are linked anew.
    let root = Person::of(&world, "root@acme.example", &[EVERYWHERE]).await;
    let users = world.app().users().await.expect("users");
    let ada = users.iter().find(|user| user.email == ADA).expect("Ada");
    let place = format!("/environment/{}/member/{}", domain::environment::ENVIRONMENT_DEFAULT, ada.id);
    let removed = root.post(&place, &[("remove", "yes")]).await;
    assert_eq!(removed.status, 303, "{}", text_of(&removed));
    refused(&enter_as(&world, &provider, ("sub-ada", ADA)).await, 401, "There is no account for");
    link_of(&world, ADA, &[EVERYWHERE]).await;
    assert_eq!(entered(&world, &enter_as(&world, &provider, ("sub-heir", ADA)).await).await, ADA);
    world.stop().await;
}

async fn a_password_and_a_second_factor_stay_what_they_are_beside_it(store: Store) {
    let (world, provider) = scene(store, |_| {}).await;
    let ada = Newcomer { email: ADA.into(), name: "Ada".into(), password: Some(PASSWORD.into()) };
    world.app().user_create(ada, Role::Administrator).await.expect("a user");
    let form = [("email", ADA), ("password", PASSWORD), ("next", "/account?here")];
    let by_password = async || Person::new(&world).post_as_is("/login", &form, &[]).await;
    let ada = Person::with_cookie(&world, cookie_of(&by_password().await)).await;
    let page = text_of(&ada.get("/account/totp").await);
    let secret = super::between(&page, "id=\"secret\">", "<").expect("a secret").replace(' ', "");
    let code = TotpSecret::read(&secret).expect("base32").code_now(world.clock.now());
    let nonce = super::between(&page, "name=\"nonce\" value=\"", "\"").expect("a nonce");
    let on = ada.post("/account/totp", &[("nonce", nonce), ("code", &code), ("password", PASSWORD)]).await;
    assert_eq!(header(&on, "location"), "/account?told=totp-on", "{}", text_of(&on));
    // Who comes by the provider has shown there what it asks for.
    let one = enter_as(&world, &provider, ("sub-ada", ADA)).await;
    assert_eq!(entered(&world, &one).await, ADA);
    assert!(
        text_of(&by_password().await).contains("name=\"ticket\""),
        "a password alone is not enough still"
    );
    // Each sign-in has a session of its own, and ends like any other.
    let two = log_in(&world, &provider).await;
    assert_ne!(cookie_of(&one), cookie_of(&two));
    let two = Person::with_cookie(&world, cookie_of(&two)).await;
    assert_eq!(two.post("/logout", &[("everywhere", "yes")]).await.status, 303);
    assert_eq!(Person::with_cookie(&world, cookie_of(&one)).await.get("/account").await.status, 303);
    world.stop().await;
}

async fn whoever_tries_again_and_again_is_slowed_down(store: Store) {
    let (world, provider) = with_ada(store, |_| {}).await;
    let good = to_provider(&world, &provider).await;
    let tried = Back { cookie: good.cookie.clone(), path: "/oidc/callback?code=x&state=x".to_owned() };
    for _ in 0..60 {
        assert_eq!(come(&world, &tried).await.status, 401);
    }
    let asked = provider.requests("token");
    let refusal = come(&world, &good).await;
    refused(&refusal, 429, "Wait 15 minutes");
    assert_eq!(provider.requests("token"), asked, "the provider is left alone");
    world.clock.advance_ms(900_000);
    provider.advance_seconds(900);
    for _ in 0..61 {
        assert_eq!(log_in(&world, &provider).await.status, 303, "right ones do not count");
    }
    world.stop().await;
}

each_store!(
    who_was_not_invited_does_not_come_in,
    people_of_the_named_domains_add_themselves,
    the_first_user_may_be_one_of_them_where_they_administer,
    an_address_that_changes_neither_keeps_out_nor_lets_into_another_account,
    a_password_and_a_second_factor_stay_what_they_are_beside_it,
    whoever_tries_again_and_again_is_slowed_down,
);
