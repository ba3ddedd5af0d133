//! Members: invited, given other roles, removed; and users on the command line.

use super::{EVERYWHERE, Person, Seat, between, cookie_of, header, text_of};
use crate::binary::{posthaste, run};
use crate::server::{Store, World};
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::role::Role;
use serde_json::json;
use std::time::Duration;
use testkit::{HttpClient, Process};

const WITHIN: Duration = Duration::from_secs(30);
const PASSWORD: &str = "correct horse battery";

async fn who_is_invited_chooses_a_password_once_and_is_a_member(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let members = format!("/app/{}/member", world.application);
    let form = [("email", "Bob@Acme.example"), ("name", "Bob"), ("role", "manager")];
    let page = text_of(&ada.post(&members, &form).await);
    let link = between(&page, "/password/", "<").expect("a link").to_owned();
    assert!(page.contains("Bob is invited"), "{page}");
    let (path, bob) = (format!("/password/{link}"), Person::new(&world));
    assert!(text_of(&bob.get(&path).await).contains("bob@acme.example"));
    let short = bob.post_as_is(&path, &[("password", "short")], &[]).await;
    assert_eq!(short.status, 422);
    let chosen = bob.post_as_is(&path, &[("password", PASSWORD)], &[]).await;
    assert_eq!(chosen.status, 303);
    assert_eq!(bob.get(&path).await.status, 404, "it holds once");
    let bob = Person::with_cookie(&world, cookie_of(&chosen)).await;
    let home = bob.get("/").await;
    assert_eq!(header(&home, "location"), format!("/app/{}/endpoint", world.application));
    assert_eq!(bob.get(&members).await.status, 403);
    // An invitation that nobody took ends.
    let page = text_of(&ada.post(&members, &[("email", "eve@acme.example"), ("role", "viewer")]).await);
    let late = format!("/password/{}", between(&page, "/password/", "<").expect("a link"));
    world.clock.advance_ms(7 * 86_400_000);
    assert_eq!(Person::new(&world).get(&late).await.status, 404);
    world.stop().await;
}

/// A link by which a password is chosen is the account: an application's administrator may not have it for accounts that reach further.
async fn who_administers_an_application_gets_no_link_to_an_account_that_reaches_further(store: Store) {
    let world = World::start(store).await;
    let other = world.call("POST", "/api/v1/app", &json!({"name": "Other"})).await;
    let in_other = Seat { application: other["id"].as_str(), role: Role::Administrator };
    let seat = Seat { application: Some(&world.application), role: Role::Administrator };
    let eve = Person::of(&world, "eve@customer.example", &[seat]).await;
    // None of them has a password yet, as whoever comes by an identity provider has none.
    Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    Person::of(&world, "bob@other.example", &[in_other]).await;
    let members = format!("/app/{}/member", world.application);
    for email in ["ada@acme.example", "bob@other.example"] {
        let added = eve.post(&members, &[("email", email), ("role", "viewer")]).await;
        assert_eq!(added.status, 303, "{}", text_of(&added));
        assert!(!text_of(&added).contains("/password/"));
        let page = text_of(&eve.get(&members).await);
        assert!(page.contains(email) && !page.contains("/password/"), "{page}");
    }
    // Whoever is a member of nothing else is theirs to invite, also once more.
    for _ in 0..2 {
        let own =
            text_of(&eve.post(&members, &[("email", "carl@customer.example"), ("role", "viewer")]).await);
        assert!(own.contains("/password/"), "{own}");
    }
    world.stop().await;
}

async fn a_role_that_changes_counts_at_once_and_the_last_administrator_stays(store: Store) {
    let world = World::start(store).await;
    let (app, instance) = (world.application.clone(), format!("/environment/{ENVIRONMENT_DEFAULT}/member"));
    let bob = Seat { application: Some(&app), role: Role::Manager };
    let bob = Person::of(&world, "bob@acme.example", &[bob]).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let users = world.app().users().await.expect("users");
    let id = |email: &str| users.iter().find(|user| user.email == email).expect("a user").id.clone();
    let (form, member) =
        (format!("/app/{app}/endpoint/new"), format!("/app/{app}/member/{}", id("bob@acme.example")));
    assert_eq!(bob.get(&form).await.status, 200);
    assert_eq!(ada.post(&member, &[("role", "viewer")]).await.status, 303);
    assert_eq!(bob.get(&form).await.status, 403);
    assert_eq!(ada.post(&member, &[("remove", "yes")]).await.status, 303);
    assert_eq!(bob.get("/account").await.status, 303, "who is a member of nothing is no user any more");
    let remove = |email: &str| format!("{instance}/{}", id(email));
    assert_eq!(ada.post(&remove("root@acme.example"), &[("remove", "yes")]).await.status, 303);
    for form in [("remove", "yes"), ("role", "viewer")] {
        let refused = ada.post(&remove("ada@acme.example"), &[form]).await;
        assert_eq!(refused.status, 422);
        assert!(text_of(&refused).contains("last administrator"), "{}", text_of(&refused));
    }
    world.stop().await;
}

/// `posthaste user`, beside a server that has the store and without one.
#[tokio::test]
async fn users_are_made_on_the_command_line_beside_a_server_and_without_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let user = |arguments: &[&str]| run(posthaste(folder.path(), &[&["user"], arguments].concat()));
    let made = user(&["create", "ada@acme.example", "--name", "Ada"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let link = made.out.trim().to_owned();
    assert!(link.contains("/password/"), "{link}");
    let mut serve = posthaste(folder.path(), &["serve"]);
    serve.env("POSTHASTE_LISTEN", "127.0.0.1:0");
    let server = Process::start(serve);
    let line = server.wait_for_line("posthaste serves", WITHIN).await;
    let address = between(&line, "127.0.0.1:", " ").expect("an address").to_owned();
    let client = HttpClient::new(format!("http://127.0.0.1:{address}"));
    let path = format!("/password/{}", link.split("/password/").nth(1).expect("a link"));
    assert_eq!(client.send(http::Method::GET, &path, &[], "").await.expect("an answer").status, 200);
    let listed = user(&["list"]);
    assert_eq!(listed.out, "ada@acme.example  administrator  Ada  (invited)\n");
    let again = user(&["create", "ada@acme.example"]);
    assert_ne!(again.code, Some(0));
    assert!(again.err.contains("There is a user with this address already"), "{}", again.err);
    let wrong = user(&["create", "nonsense"]);
    assert!(wrong.err.contains("is not an e-mail address"), "{}", wrong.err);
    assert_eq!(user(&["link", "ada@acme.example"]).code, Some(0));
    let nobody = user(&["link", "bob@acme.example"]);
    assert!(nobody.err.contains("no user with this address"), "{}", nobody.err);
    assert_eq!(user(&["reset-totp", "Ada@acme.example"]).code, Some(0));
    assert!(user(&["reset-totp", "bob@acme.example"]).err.contains("no user with this address"));
    // Without its credential the route is not there.
    let asked = client.send(http::Method::GET, "/operator/user", &[("authorization", "Bearer x")], "").await;
    assert_eq!(asked.expect("an answer").status, 404);
    server.terminate();
    assert!(server.wait(WITHIN).await.success());
    // Nobody needs the first account's link any more.
    assert!(!server.lines().join("\n").contains("/setup/"));
}

/// The start of a new instance prints the link by which the first account is made.
#[tokio::test]
async fn the_first_start_prints_the_link_of_the_first_account() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut serve = posthaste(folder.path(), &["serve"]);
    serve.env("POSTHASTE_LISTEN", "127.0.0.1:0").env("POSTHASTE_LOG", "error");
    let server = Process::start(serve);
    let line = server.wait_for_line("/setup/", WITHIN).await;
    assert!(line.trim().starts_with("http://127.0.0.1:"), "{line}");
    server.terminate();
    assert!(server.wait(WITHIN).await.success());
}

each_store!(
    who_administers_an_application_gets_no_link_to_an_account_that_reaches_further,
    who_is_invited_chooses_a_password_once_and_is_a_member,
    a_role_that_changes_counts_at_once_and_the_last_administrator_stays,
);
