//! Mails to people about their accounts: invitations, and links for those who forgot their password.

use super::{Person, between, cookie_of, header, text_of};
use crate::notices::world as with_mail;
use crate::server::{START, Store, World, eventually, text};
use app::user::Newcomer;
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::role::Role;
use serde_json::Value;
use testkit::{MailServer, Reply};

const ADA: &str = "ada@acme.example";
const PASSWORD: &str = "correct horse battery";

async fn ada(world: &World) {
    let ada = Newcomer { email: ADA.into(), name: "Ada".into(), password: Some(PASSWORD.into()) };
    world.app().user_create(ada, Role::Administrator).await.expect("a user");
}

async fn log_in(world: &World, password: &str) -> Reply {
    Person::new(world).post_as_is("/login", &[("email", ADA), ("password", password)], &[]).await
}

async fn forgot(world: &World, email: &str) -> Reply {
    Person::new(world).post_as_is("/forgot", &[("email", email)], &[]).await
}

async fn mails_to(mail: &MailServer, to: &str, count: usize) -> Vec<Value> {
    eventually(&format!("{count} mails to {to}"), async || {
        let mails = mail.mails_to(to);
        (mails.len() >= count).then_some(mails)
    })
    .await
}

/// The path of the page where its reader chooses a password.
fn path_in(mail: &Value) -> String {
    let link = between(text(&mail["text"]), "http://posthaste.test/password/", "\n").expect("a link");
    assert!(text(&mail["html"]).contains(&format!("<a href=\"http://posthaste.test/password/{link}\">")));
    format!("/password/{link}")
}

async fn an_invitation_comes_by_mail_and_the_link_is_not_shown(store: Store) {
    let mail = MailServer::start(0);
    let world = with_mail(store, &mail).await;
    ada(&world).await;
    let root = Person::with_cookie(&world, cookie_of(&log_in(&world, PASSWORD).await)).await;
    let members = format!("/app/{}/member", world.application);
    let form = [("email", "Bob@acme.example"), ("name", "Bob"), ("role", "manager")];
    let invited = root.post(&members, &form).await;
    assert_eq!((invited.status, header(&invited, "location")), (303, &*format!("{members}?told=invited")));
    assert!(!text_of(&root.get(&format!("{members}?told=invited")).await).contains("/password/"));
    let letter = mails_to(&mail, "bob@acme.example", 1).await.remove(0);
    assert_eq!(letter["headers"]["subject"], "You are invited to look after the webhooks of Acme");
    assert_eq!(letter["headers"]["from"], "Acme <hooks@acme.example>");
    let bob = Person::new(&world);
    let chosen = bob.post_as_is(&path_in(&letter), &[("password", PASSWORD)], &[]).await;
    assert_eq!(chosen.status, 303, "{}", text_of(&chosen));
    let bob = Person::with_cookie(&world, cookie_of(&chosen)).await;
    assert_eq!(header(&bob.get("/").await, "location"), format!("/app/{}/endpoint", world.application));
    world.stop().await;
}

async fn a_link_that_no_mail_brings_is_shown_to_whoever_invites(store: Store) {
    let mail = MailServer::start(0);
    let mut world = with_mail(store, &mail).await;
    ada(&world).await;
    let members = format!("/environment/{ENVIRONMENT_DEFAULT}/member");
    let invite = async |world: &World, email: &str| {
        let root = Person::with_cookie(world, cookie_of(&log_in(world, PASSWORD).await)).await;
        let shown = text_of(&root.post(&members, &[("email", email), ("role", "viewer")]).await);
        let link = between(&shown, "http://posthaste.test/password/", "<").expect("a link").to_owned();
        assert_eq!(Person::new(world).get(&format!("/password/{link}")).await.status, 200);
        shown
    };
    let refused = invite(&world, "refused@acme.example").await;
    assert!(refused.contains("The mail server did not take the e-mail"), "{refused}");
    world.stop_server().await;
    world.start_again(|config| config.smtp_url = None).await;
    let unset = invite(&world, "bob@acme.example").await;
    assert!(unset.contains("no mail server is set here"), "{unset}");
    world.stop().await;
}

async fn who_forgot_their_password_chooses_another_once_and_is_signed_out_elsewhere(store: Store) {
    let mail = MailServer::start(0);
    let world = with_mail(store, &mail).await;
    ada(&world).await;
    let elsewhere = Person::with_cookie(&world, cookie_of(&log_in(&world, PASSWORD).await)).await;
    assert!(text_of(&Person::new(&world).get("/login").await).contains("href=\"/forgot\""));
    let (known, unknown) =
        (forgot(&world, " Ada@ACME.example").await, forgot(&world, "bob@acme.example").await);
    assert_eq!((known.status, unknown.status), (200, 200));
    assert_eq!(text_of(&known), text_of(&unknown));
    assert_eq!(known.headers.len(), unknown.headers.len());
    let letter = mails_to(&mail, ADA, 1).await.remove(0);
    assert_eq!(letter["headers"]["subject"], "Choose a new password");
    let path = path_in(&letter);
    assert_eq!(elsewhere.get("/account").await.status, 200, "asking changes nothing");
    let form = [("password", "another long one")];
    let chosen = Person::new(&world).post_as_is(&path, &form, &[]).await;
    assert_eq!(chosen.status, 303);
    let again = Person::new(&world);
    assert_eq!((again.get(&path).await.status, again.post_as_is(&path, &form, &[]).await.status), (404, 404));
    assert_eq!(elsewhere.get("/account").await.status, 303);
    assert_eq!(log_in(&world, PASSWORD).await.status, 401);
    assert_eq!(log_in(&world, "another long one").await.status, 303);
    // Nothing was written to the other address: a later mail is there, and it is the second.
    forgot(&world, ADA).await;
    let late = path_in(&mails_to(&mail, ADA, 2).await[1]);
    assert_eq!(mail.mails().len(), 2);
    world.clock.advance_ms(3_600_000);
    assert_eq!(again.get(&late).await.status, 404, "it holds for an hour");
    world.stop().await;
}

async fn nobody_is_flooded_and_asking_again_and_again_is_slowed_down(store: Store) {
    let mail = MailServer::start(0);
    let world = with_mail(store, &mail).await;
    ada(&world).await;
    for email in [ADA, "bob@acme.example"] {
        for _ in 0..10 {
            assert_eq!(forgot(&world, email).await.status, 200);
        }
        let refused = forgot(&world, email).await;
        assert_eq!(refused.status, 429);
        assert!(text_of(&refused).contains("Wait 15 minutes"), "{}", text_of(&refused));
    }
    // The server waits for what is on its way.
    world.stop().await;
    assert_eq!((mail.mails_to(ADA).len(), mail.mails().len()), (3, 3));
}

async fn without_a_mail_server_the_page_says_whom_to_ask(store: Store) {
    let world = World::with((store, START), |_| {}).await;
    for reply in [Person::new(&world).get("/forgot").await, forgot(&world, ADA).await] {
        assert_eq!(reply.status, 200);
        assert!(text_of(&reply).contains("<code>posthaste user link</code>"), "{}", text_of(&reply));
    }
    world.stop().await;
}

each_store!(
    an_invitation_comes_by_mail_and_the_link_is_not_shown,
    a_link_that_no_mail_brings_is_shown_to_whoever_invites,
    who_forgot_their_password_chooses_another_once_and_is_signed_out_elsewhere,
    nobody_is_flooded_and_asking_again_and_again_is_slowed_down,
    without_a_mail_server_the_page_says_whom_to_ask,
);
