//! The audit log: who did what to what, by the console and by the API; without secrets, and also when whoever asked hangs up.

use super::{EVERYWHERE, Person, Seat, signed_in, text_of};
use crate::server::{START, Store, World, eventually, text};
use app::audit::AuditFilter;
use app::user::Newcomer;
use domain::audit::{Action, Actor, ActorKind, Entry};
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::page::{Order, Page};
use domain::role::Role;
use domain::word::Worded;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PASSWORD: &str = "correct horse battery";

/// All entries of the first environment and the instance, oldest first.
async fn entries(world: &World) -> Vec<Entry> {
    let key = world.app().session(world.token.as_bytes()).await.expect("a principal");
    let wanted = (AuditFilter::default(), Page::first(250, Order::Descending));
    let mut entries = world.app().audit_of_environment(&key, wanted).await.expect("entries").items;
    entries.reverse();
    entries
}

/// Each as "who action what".
fn told(entries: &[Entry]) -> Vec<String> {
    let one = |Entry { new, .. }: &Entry| {
        let who = if new.actor.name.is_empty() { new.actor.kind.word() } else { &new.actor.name };
        format!("{who} {} {}", new.action.word(), new.subject.name)
    };
    entries.iter().map(one).collect()
}

/// What is told since, without who signs in.
async fn since(world: &World, before: usize) -> Vec<String> {
    let mut told = told(&entries(world).await[before..]);
    told.retain(|one| !one.contains(" session.") && !one.contains(" user.link_made"));
    told
}

async fn whatever_is_changed_has_an_entry_whoever_changes_it_and_by_which_way(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let before = entries(&world).await.len();
    let app = format!("/app/{}", world.application);
    let endpoint = world.endpoint_with(&json!({"url": "https://hooks.example/in", "name": "Orders"})).await;
    let webhook = format!("{app}/endpoint/{endpoint}");
    for (path, form) in [
        ("disable", &[][..]),
        ("enable", &[("recovery", "none")]),
        ("pause", &[]),
        ("resume", &[]),
        ("headers", &[("headers", "X-Team: billing")]),
        ("rotate", &[("overlap", "3600")]),
        ("verify", &[]),
    ] {
        let reply = ada.post(&format!("{webhook}/{path}"), form).await;
        assert!(reply.status < 400, "{path}: {}", text_of(&reply));
    }
    world.change(&endpoint, &json!({"description": "For the shop."})).await;
    // What changes nothing is no news.
    world.change(&endpoint, &json!({"description": "For the shop."})).await;
    world.of_application("GET", &format!("/endpoint/{endpoint}/secret"), &Value::Null).await;
    world.of_application("GET", &format!("/endpoint/{endpoint}"), &Value::Null).await;
    world.call("POST", "/api/v1/event-type", &json!({"name": "invoice.paid", "description": "Paid."})).await;
    world.call("PATCH", "/api/v1/event-type/invoice.paid", &json!({"description": "It is paid."})).await;
    world.call("DELETE", "/api/v1/event-type/invoice.paid", &Value::Null).await;
    world.call("PATCH", &format!("/api/v1/app/{}", world.application), &json!({"name": "Acme 2"})).await;
    world.of_application("PATCH", "/notify", &json!({"emails": ["ops@customer.example"]})).await;
    world.call("PATCH", "/api/v1/environment", &json!({"maxAttempts": 3})).await;
    let message = world.send().await;
    let again = format!("/msg/{message}/endpoint/{endpoint}/resend");
    world.of_application("POST", &again, &json!({})).await;
    world
        .call("DELETE", &format!("/api/v1/app/{}/msg/{message}/content", world.application), &Value::Null)
        .await;
    assert_eq!(ada.post(&format!("{webhook}/delete"), &[]).await.status, 303);
    insta::assert_snapshot!(since(&world, before).await.join("\n").replace(&message, "msg"), @r"
    token endpoint.created Orders
    ada@acme.example endpoint.disabled Orders
    ada@acme.example endpoint.enabled Orders
    ada@acme.example endpoint.paused Orders
    ada@acme.example endpoint.resumed Orders
    ada@acme.example endpoint.headers_changed Orders
    ada@acme.example endpoint.secret_replaced Orders
    ada@acme.example endpoint.secret_shown Orders
    token endpoint.changed Orders
    token endpoint.secret_shown Orders
    token event_type.created invoice.paid
    token event_type.changed invoice.paid
    token event_type.archived invoice.paid
    token application.changed Acme 2
    token notify.changed Acme 2
    token environment.changed org_00000000000000000000default
    token message.resent msg
    token message.expunged msg
    ada@acme.example endpoint.deleted Orders
    ");
    world.stop().await;
}

async fn an_entry_says_from_where_and_what_it_was_before_and_after(store: Store) {
    let world = World::with((store, START), |config| {
        config.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a subnet")];
    })
    .await;
    let endpoint =
        world.endpoint_with(&json!({"url": "https://hooks.example/in?key=canary", "name": "Orders"})).await;
    let key =
        world.call("POST", "/api/v1/api-key", &json!({"name": "Deploy", "role": "administrator"})).await;
    let bearer = format!("Bearer {}", text(&key["token"]));
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("x-forwarded-for", "192.0.2.1, 203.0.113.9"),
    ];
    let path = format!("/api/v1/app/{}/endpoint/{endpoint}", world.application);
    let body = json!({"url": "https://hooks.example/other", "channels": ["a"]}).to_string();
    let patch = Person::new(&world).request(http::Method::PATCH, &path, &headers, &body).await;
    assert_eq!(patch.status, 200);
    let last = entries(&world).await.pop().expect("an entry").new;
    assert_eq!((last.action, &*last.address, &*last.place), (Action::EndpointChanged, "203.0.113.9", "Acme"));
    assert_eq!((last.actor.kind, &*last.actor.name), (ActorKind::ApiKey, "Deploy"));
    assert_eq!((&*last.subject.id, &*last.subject.name, last.at), (&*endpoint, "Orders", START));
    assert_eq!(last.difference.before, Some(json!({"url": "https://hooks.example/in?key=hidden"})));
    let after = json!({"url": "https://hooks.example/other", "channels": ["a"]});
    assert_eq!(last.difference.after, Some(after));
    // The console's visitors are where they are now.
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let url = format!("/app/{}/endpoint/{endpoint}/pause", world.application);
    assert_eq!(ada.post(&url, &[]).await.status, 303);
    let paused = entries(&world).await.pop().expect("an entry").new;
    assert_eq!((paused.action, &*paused.address), (Action::EndpointPaused, "127.0.0.1"));
    assert_eq!((paused.actor.kind, &*paused.actor.name), (ActorKind::User, "ada@acme.example"));
    world.stop().await;
}

async fn portal_links_and_what_their_guests_do_have_entries(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint_with(&json!({"url": "https://hooks.example/in", "name": "Orders"})).await;
    let before = entries(&world).await.len();
    let given = json!({"capabilities": ["ViewBase", "ManageEndpoint"], "sessionId": "eve@customer"});
    let guest = super::portal::guest(&world, &given).await;
    let paused = guest.post(&format!("/app/{}/endpoint/{endpoint}/pause", world.application), &[]).await;
    assert_eq!(paused.status, 303, "{}", text_of(&paused));
    let end = format!("/api/v1/auth/app/{}/expire-all", world.application);
    world.call("POST", &end, &json!({"sessionIds": ["eve@customer"]})).await;
    insta::assert_snapshot!(since(&world, before).await.join("\n"), @r"
    token portal.created Acme
    eve@customer endpoint.paused Orders
    token portal.ended Acme
    ");
    let told = &entries(&world).await[before..];
    assert_eq!((told[1].new.actor.kind, &*told[1].new.actor.id), (ActorKind::Guest, ""));
    let made = json!({"capabilities": ["ViewBase", "ManageEndpoint"], "sessionId": "eve@customer", "expiry": 604_800});
    assert_eq!(told[0].new.difference.after, Some(made));
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    let page = text_of(&ada.get(&format!("/app/{}/audit?who=guest", world.application)).await);
    assert!(page.contains("A guest by a portal link of the session eve@customer"), "{page}");
    world.stop().await;
}

async fn people_and_their_accounts_have_entries_and_wrong_passwords_few(store: Store) {
    let world = World::start(store).await;
    let ada =
        Newcomer { email: "ada@acme.example".into(), name: "Ada".into(), password: Some(PASSWORD.into()) };
    world.app().user_create(ada, Role::Administrator).await.expect("a user");
    let log_in = async |email: &str, password: &str| {
        Person::new(&world).post_as_is("/login", &[("email", email), ("password", password)], &[]).await
    };
    let ada =
        Person::with_cookie(&world, super::cookie_of(&log_in("ada@acme.example", PASSWORD).await)).await;
    let members = format!("/environment/{ENVIRONMENT_DEFAULT}/member");
    // The second time he is given another link, and nothing else changes.
    for _ in 0..2 {
        ada.post(&members, &[("email", "bob@acme.example"), ("role", "viewer")]).await;
    }
    let bob =
        world.app().users().await.expect("users").into_iter().find(|user| user.email.starts_with("bob"));
    let bob = format!("{members}/{}", bob.expect("Bob").id);
    for form in [&[("role", "manager")][..], &[("role", "manager")], &[("remove", "yes")]] {
        assert_eq!(ada.post(&bob, form).await.status, 303);
    }
    ada.post("/account/name", &[("name", "Ada L.")]).await;
    ada.post("/account/password", &[("current", PASSWORD), ("new", "another long one")]).await;
    ada.post("/logout", &[("everywhere", "yes")]).await;
    insta::assert_snapshot!(told(&entries(&world).await).join("\n"), @r"
    token application.created Acme
    operator user.created ada@acme.example
    ada@acme.example session.signed_in ada@acme.example
    ada@acme.example member.added bob@acme.example
    ada@acme.example user.link_made bob@acme.example
    ada@acme.example member.changed bob@acme.example
    ada@acme.example member.removed bob@acme.example
    ada@acme.example user.renamed ada@acme.example
    ada@acme.example user.password_changed ada@acme.example
    ada@acme.example session.signed_out_everywhere ada@acme.example
    ");
    // Whoever guesses does not fill the log, and unknown addresses leave nothing in it.
    for quarter in 0..4 {
        for _ in 0..10 {
            log_in("ada@acme.example", "wrong").await;
            log_in("eve@acme.example", "wrong").await;
        }
        if quarter < 3 {
            world.clock.advance_ms(900_000);
        }
    }
    let failed = async || {
        let all = entries(&world).await;
        all.iter().filter(|one| one.new.action == Action::SignInFailed).count()
    };
    eventually("the failures to be noted", async || (failed().await >= 20).then_some(())).await;
    let all = entries(&world).await;
    assert_eq!(failed().await, 20);
    let last = all.last().expect("an entry");
    assert_eq!(last.new.actor, Actor::of(ActorKind::Nobody));
    assert!(!told(&all).join("\n").contains("eve@"));
    world.stop().await;
}

/// A change is made to its end when the client hangs up, and so is its entry.
async fn nobody_acts_without_an_entry_by_hanging_up(store: Store) {
    let world = World::start(store).await;
    for n in 0..40 {
        let mut stream =
            TcpStream::connect(world.url().trim_start_matches("http://")).await.expect("a connection");
        let body = json!({"name": format!("hang-{n}"), "uid": format!("hang-{n}")}).to_string();
        let head = format!(
            "POST /api/v1/app HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            world.token,
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.write_all(body.as_bytes()).await.expect("sent");
        // Sooner and later.
        for _ in 0..n % 8 {
            tokio::task::yield_now().await;
        }
        drop(stream);
    }
    world.fence().await;
    let made = world.call("GET", "/api/v1/app?limit=250", &Value::Null).await;
    let made =
        made["data"].as_array().expect("a list").iter().filter(|one| text(&one["name"]).starts_with("hang-"));
    let made = made.count();
    assert!(made > 5, "{made} were made");
    eventually("an entry for each", async || {
        let noted = told(&entries(&world).await);
        (noted.iter().filter(|one| one.contains("application.created hang-")).count() >= made).then_some(())
    })
    .await;
    world.stop().await;
}

const CANARY: &str = "canary0123456789abcdef0123456789";

/// Webhooks with a secret in every field that can hold one, each replaced by another.
async fn secrets_everywhere(world: &World) {
    let auths = |n: u8| {
        [
            json!({"type": "basic", "username": "ada", "password": secret(n)}),
            json!({"type": "bearer", "token": secret(n)}),
            json!({"type": "apiKey", "value": secret(n)}),
            json!({"type": "header", "name": "X-Own", "value": secret(n)}),
            json!({"type": "oauth2", "tokenUrl": "https://id.example/token", "clientId": "us", "clientSecret": secret(n)}),
        ]
    };
    for auth in auths(1) {
        let endpoint = world
            .endpoint_with(&json!({
                "url": format!("https://hooks.example/?token={CANARY}"), "secret": whsec(1), "auth": auth,
                "headers": {"X-Secret": secret(1), "Authorization-2": secret(1)},
                "signatures": ["standard", {"type": "hmac", "header": "X-Signature", "key": secret(1)}],
                "notify": {"emails": ["ops@customer.example"], "slackUrl": format!("https://hooks.slack.example/{CANARY}")},
            }))
            .await;
        for auth in auths(2) {
            world.change(&endpoint, &json!({"auth": auth})).await;
        }
        let hmac = json!([{"type": "hmac", "header": "X-Signature", "key": secret(2)}]);
        world
            .change(
                &endpoint,
                &json!({"signatures": hmac, "url": format!("https://hooks.example/?token={CANARY}2")}),
            )
            .await;
        world
            .of_application(
                "PATCH",
                &format!("/endpoint/{endpoint}/headers"),
                &json!({"headers": {"X-Secret": secret(2)}}),
            )
            .await;
        world
            .of_application("POST", &format!("/endpoint/{endpoint}/secret/rotate"), &json!({"key": whsec(2)}))
            .await;
    }
}

fn secret(n: u8) -> String {
    format!("{CANARY}{n}")
}

fn whsec(n: u8) -> String {
    use base64::Engine as _;
    format!("whsec_{}", base64::prelude::BASE64_STANDARD.encode(secret(n)))
}

async fn no_secret_stands_in_the_log_or_on_its_page(store: Store) {
    let world = World::start(store).await;
    let ada = Person::of(&world, "ada@acme.example", &[EVERYWHERE]).await;
    secrets_everywhere(&world).await;
    let slack = |n: u8| json!({"slackUrl": format!("https://hooks.slack.example/{CANARY}{n}"), "emails": []});
    world.of_application("PATCH", "/notify", &slack(1)).await;
    world.of_application("PATCH", "/notify", &slack(2)).await;
    let new =
        Newcomer { email: "bob@acme.example".into(), name: "Bob".into(), password: Some(CANARY.into()) };
    world.app().user_create(new, Role::Viewer).await.expect("a user");
    let form = [("email", "bob@acme.example"), ("password", &*secret(3))];
    Person::new(&world).post_as_is("/login", &form, &[]).await;
    let key = world.call("POST", "/api/v1/api-key", &json!({"name": "Deploy", "role": "viewer"})).await;
    let key = text(&key["token"]).to_owned();
    let all = entries(&world).await;
    assert!(all.len() > 40, "{}", all.len());
    let dump = format!("{all:?}");
    // That one was replaced is told all the same.
    assert!(
        dump.contains("hidden, replaced") && dump.contains("(replaced)") && dump.contains("(changed)"),
        "{dump}"
    );
    let mut pages = text_of(&ada.get(&format!("/app/{}/audit", world.application)).await);
    let mut after = all[all.len() - 50].key;
    while let Some(page) =
        (after > 0).then(|| format!("/environment/{ENVIRONMENT_DEFAULT}/audit?after={after}"))
    {
        pages += &text_of(&ada.get(&page).await);
        after -= 50;
    }
    assert!(pages.contains("<code>auth</code>") && pages.contains("hidden"));
    for (what, text) in [("the log", dump), ("its page", pages)] {
        for canary in [CANARY, &whsec(1)[6..30], &whsec(2)[6..30], &key[8..]] {
            let at = text.find(canary);
            assert_eq!(
                at,
                None,
                "{what} shows a secret: {:?}",
                at.map(|at| &text[at.saturating_sub(200)..at])
            );
        }
    }
    world.stop().await;
}

async fn it_is_read_in_a_browser_by_those_who_administer(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint_with(&json!({"url": "https://hooks.example/in", "name": "Orders"})).await;
    let browser = signed_in(&world).await;
    browser.goto(&format!("{}/account", world.url())).await;
    browser.fill("What you are called", "Ada").await;
    browser.press("Save").await;
    browser.wait_for_text("Your name is changed").await;
    let webhook = format!("{}/app/{}/endpoint/{endpoint}", world.url(), world.application);
    browser.goto(&webhook).await;
    browser.follow("Disable").await;
    browser.press("Disable").await;
    browser.wait_for_text("The webhook is disabled").await;
    browser.follow("Settings").await;
    browser.follow("Audit log").await;
    browser.wait_for_text("Ada disabled the webhook Orders").await;
    browser.find("tbody details summary").await.click().await;
    browser.wait_for_text("disabled").await;
    assert_eq!(browser.find("tbody details del").await.text().await, "false");
    assert_eq!(browser.find("tbody details ins").await.text().await, "true");
    assert_eq!(browser.axe().await, Vec::<String>::new());
    browser.choose("Who", "Tokens").await;
    browser.press("Show").await;
    browser.wait_for_text("created the webhook Orders").await;
    assert_eq!(browser.find_all("tbody tr").await.len(), 2, "the application, and the webhook");
    browser.choose("Who", "Ada").await;
    browser.choose("What", "paused the webhook …").await;
    browser.press("Show").await;
    browser.wait_for_text("Nothing of that kind").await;
    // A customer's own administrator sees what was done in their application, and nothing else.
    let seat = Seat { application: Some(&world.application), role: Role::Administrator };
    let customer = Person::of(&world, "eve@customer.example", &[seat]).await;
    let page = text_of(&customer.get(&format!("/app/{}/audit", world.application)).await);
    assert!(page.contains("Orders") && page.contains("made <b>eve@customer.example</b> a member"), "{page}");
    assert!(!page.contains("made the account of <b>") && !page.contains("signed in as <b>"), "{page}");
    let instance = customer.get(&format!("/environment/{ENVIRONMENT_DEFAULT}/audit")).await;
    assert_eq!(instance.status, 404);
    world.stop().await;
}

/// What the server does by itself is the server's.
async fn a_webhook_that_the_server_disables_has_an_entry_of_the_server(store: Store) {
    let world = World::start(store).await;
    let endpoint = world.endpoint("/hook").await;
    crate::notices::break_and_disable(&world, "/hook", &endpoint).await;
    let last = entries(&world).await.pop().expect("an entry").new;
    assert_eq!((last.actor, last.action), (Actor::of(ActorKind::Server), Action::EndpointDisabled));
    assert_eq!((&*last.subject.id, &*last.place), (&*endpoint, "Acme"));
    world.stop().await;
}

each_store!(
    whatever_is_changed_has_an_entry_whoever_changes_it_and_by_which_way,
    portal_links_and_what_their_guests_do_have_entries,
    an_entry_says_from_where_and_what_it_was_before_and_after,
    people_and_their_accounts_have_entries_and_wrong_passwords_few,
    nobody_acts_without_an_entry_by_hanging_up,
    no_secret_stands_in_the_log_or_on_its_page,
    it_is_read_in_a_browser_by_those_who_administer,
    a_webhook_that_the_server_disables_has_an_entry_of_the_server,
);
