//! People are told: what happened, once, in groups. What stands in the way of letters is in `letters`, the whole story in `story`.

use crate::server::{START, Store, World, eventually, text};
use domain::clock::Clock;
use posthaste::config::{Config, SecretText};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::{Answer, MailServer};

pub(crate) const OPS: &str = "ops@customer.example";

pub(crate) fn through(port: u16) -> impl FnOnce(&mut Config) {
    move |config| {
        config.smtp_url = Some(SecretText::new(format!("smtp://127.0.0.1:{port}?tls=none")));
        config.mail_from = "Acme <hooks@acme.example>".into();
        config.letter_timeout = Some(Duration::from_millis(500));
    }
}

pub(crate) async fn world(store: Store, mail: &MailServer) -> World {
    World::with((store, START), through(mail.port())).await
}

/// The story's endpoint answers 404; the clock goes on until it is disabled.
pub(crate) async fn break_and_disable(world: &World, path: &str, id: &str) -> String {
    world.receiver.answer_always(path, Answer::status(404).body("no such page"));
    let message = world.send().await;
    for (nth, ms) in [(1, 7_000), (2, 400_000)] {
        eventually("a try", async || {
            let attempts = world.attempts(&message).await;
            (attempts.iter().filter(|one| one["endpointId"] == id).count() >= nth).then_some(())
        })
        .await;
        world.clock.advance_ms(ms);
    }
    wait_for(world, "the endpoint to be disabled", async || {
        let found = world.of_application("GET", &format!("/endpoint/{id}"), &Value::Null).await;
        (found["disabled"] == true).then_some(())
    })
    .await;
    message
}

/// Waits while the clock goes on.
pub(crate) async fn wait_for<T>(world: &World, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually(what, async || {
        world.clock.advance_ms(50);
        look().await
    })
    .await
}

pub(crate) async fn mails(world: &World, server: &MailServer, to: &str, count: usize) -> Vec<Value> {
    wait_for(world, &format!("{count} mails to {to}"), async || {
        let mails = server.mails_to(to);
        (mails.len() >= count).then_some(mails)
    })
    .await
}

pub(crate) async fn notify(world: &World, change: &Value) -> Value {
    world.of_application("PATCH", "/notify", change).await
}

pub(crate) async fn notices(world: &World) -> Vec<Value> {
    world.of_application("GET", "/notice", &Value::Null).await["data"].as_array().expect("a list").clone()
}

pub(crate) fn kinds(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| text(&notice["kind"])).collect()
}

async fn a_warning_comes_at_half_the_time_and_once(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    world.receiver.answer_always("/hook", Answer::status(500));
    let schedule = vec![21_600; 20];
    let asked = json!({"url": world.receiver.url("/hook"), "name": "Bills", "retrySchedule": schedule});
    world.endpoint_with(&asked).await;
    let message = world.send().await;
    for nth in 1..=14 {
        world.wait_for_attempts(&message, nth).await;
        if nth == 10 {
            assert_eq!(notices(&world).await.len(), 0, "54 hours");
        }
        world.clock.advance_ms(21_600_000 * 6 / 5);
    }
    let told = mails(&world, &mail, OPS, 1).await;
    let said = text(&told[0]["text"]);
    assert!(
        said.contains("Webhook Bills is failing\nNo request succeeded since 2027-01-15T08:00:00Z."),
        "{said}"
    );
    assert!(said.contains("Without a success it will be disabled at 2027-01-20T08:00:00Z."), "{said}");
    assert_eq!(kinds(&notices(&world).await).iter().filter(|kind| **kind == "failing").count(), 1);
    world.stop().await;
}

async fn what_happens_at_the_same_time_is_one_message_a_minute(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    let disable = async |count: usize, from: usize| {
        for n in from..from + count {
            let path = format!("/gone/{n}");
            world.receiver.answer(&path, Answer::status(410).header("webhook-delivery", "disable"));
            world.endpoint_with(&json!({"url": world.receiver.url(&path), "name": format!("n{n}")})).await;
        }
        world.send().await;
        // All letters are written before the clock moves on.
        eventually("all to be disabled", async || {
            let found = notices(&world).await;
            let has_letter = |one: &Value| one["letters"].as_array().is_some_and(|all| !all.is_empty());
            (found.len() >= from + count && found.iter().all(has_letter)).then_some(())
        })
        .await;
    };
    disable(29, 0).await;
    // Written a look later: what was due before has gone out by then.
    disable(1, 29).await;
    assert_eq!(mail.mails().len(), 0, "they are gathered still");
    let first = mails(&world, &mail, OPS, 1).await.remove(0);
    let at = world.clock.now();
    assert_eq!(first["headers"]["subject"], "30 notices about the webhooks of Acme");
    let said = text(&first["text"]);
    assert!(
        said.matches(" is disabled\n").count() == 20 && said.contains("10 more notices are not shown here."),
        "{said}"
    );
    disable(2, 30).await;
    let second = mails(&world, &mail, OPS, 2).await.remove(1);
    assert_eq!(
        second["headers"]["subject"],
        "2 notices about the webhooks of Acme",
        "{}",
        text(&second["text"])
    );
    assert!(world.clock.now().since(at) >= 55_000, "{}", world.clock.now().since(at));
    world.stop().await;
}

async fn an_endpoint_names_its_own_and_what_of(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    let own = json!({"emails": ["own@customer.example"], "kinds": ["disabled"], "slackUrl": world.receiver.url("/s/t")});
    let asked = json!({"url": world.receiver.url("/own"), "notify": own});
    let id = world.endpoint_with(&asked).await;
    let shown = world.of_application("GET", &format!("/endpoint/{id}"), &Value::Null).await["notify"].clone();
    assert_eq!(shown["emails"], json!(["own@customer.example"]));
    let masked = text(&shown["slackUrl"]).to_owned();
    assert!(masked.ends_with("/…") && !masked.contains("/s/t"), "{masked}");
    // What is shown can be sent back; others may be changed beside it.
    world.change(&id, &json!({"notify": {"slackUrl": masked, "push": false}})).await;
    break_and_disable(&world, "/own", &id).await;
    mails(&world, &mail, "own@customer.example", 1).await;
    wait_for(&world, "Slack", async || (!world.arrived("/s/t").is_empty()).then_some(())).await;
    world.receiver.answer_always("/own", Answer::status(200));
    world.change(&id, &json!({"disabled": false})).await;
    world.send().await;
    wait_for(&world, "the end of the episode", async || {
        kinds(&notices(&world).await).contains(&"recovered").then_some(())
    })
    .await;
    // They hear of nothing else, and the application's nothing at all.
    world.clock.advance_ms(120_000);
    let other = world.endpoint("/other").await;
    break_and_disable(&world, "/other", &other).await;
    mails(&world, &mail, OPS, 1).await;
    assert_eq!((mail.mails_to("own@customer.example").len(), mail.mails_to(OPS).len()), (1, 1));
    for (wrong, path) in [
        (json!({"emails": ["no address"]}), "emails"),
        (json!({"kinds": ["created"]}), "kinds"),
        (json!({"kinds": ["sometimes"]}), "kinds"),
        (json!({"slackUrl": "ftp://x"}), "slackUrl"),
        (json!("everybody"), "notify"),
    ] {
        let answer =
            world.refused("/endpoint", &json!({"url": world.receiver.url("/x"), "notify": wrong})).await;
        let at = answer["detail"][0]["loc"].to_string();
        assert!(at.contains("notify") && at.contains(path), "{answer}");
    }
    world.stop().await;
}

async fn a_restart_between_disabling_and_telling_tells_once(store: Store) {
    let mail = MailServer::start(0);
    let mut world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    world.receiver.answer("/hook", Answer::status(410).header("webhook-delivery", "disable"));
    world.endpoint("/hook").await;
    world.send().await;
    eventually("the endpoint to be disabled", async || (!notices(&world).await.is_empty()).then_some(()))
        .await;
    // It gathers still: nothing has gone out.
    assert_eq!(mail.mails().len(), 0);
    world.stop_server().await;
    world.start_again(|_| {}).await;
    mails(&world, &mail, OPS, 1).await;
    world.clock.advance_ms(300_000);
    world.stop_server().await;
    world.start_again(|_| {}).await;
    world.fence().await;
    assert_eq!(mail.mails_to(OPS).len(), 1);
    world.stop().await;
}

async fn what_was_given_up_is_told_once_an_episode(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    world.receiver.answer_always("/hook", Answer::status(500));
    world
        .endpoint_with(&json!({"url": world.receiver.url("/hook"), "maxAttempts": 0, "name": "Orders"}))
        .await;
    for _ in 0..3 {
        let message = world.send().await;
        world.wait_for_attempts(&message, 1).await;
        world.clock.advance_ms(10);
    }
    let told = mails(&world, &mail, OPS, 1).await.remove(0);
    assert_eq!(told["headers"]["subject"], "Events for webhook Orders were given up");
    world.send().await;
    world.fence().await;
    assert_eq!(kinds(&notices(&world).await), ["exhausted"]);
    world.stop().await;
}

async fn what_expires_soon_is_told_before(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS]})).await;
    let receiver = crate::tls_receiver::TlsReceiver::start().await;
    let mut certificate = rcgen::CertificateParams::new(["client.test".to_owned()]).expect("a name");
    let key = rcgen::KeyPair::generate().expect("a key");
    // 2027-01-25, ten days from the test's present.
    certificate.not_after = rcgen::date_time_ymd(2027, 1, 25);
    let pem = certificate.self_signed(&key).expect("a certificate").pem();
    let auth = json!({"type": "mtls", "certificate": pem, "privateKey": key.serialize_pem()});
    let asked = json!({"url": receiver.url("/hook"), "name": "Orders", "auth": auth});
    let id = world.endpoint_with(&asked).await;
    let rotate = |seconds: i64| json!({"gracePeriodSeconds": seconds});
    let path = format!("/endpoint/{id}/secret/rotate");
    world.of_application("POST", &path, &rotate(86_400)).await;
    wait_for(&world, "the certificate", async || (!notices(&world).await.is_empty()).then_some(())).await;
    assert_eq!(kinds(&notices(&world).await), ["certificateExpiring"], "the secret has a day yet");
    world.clock.advance_ms(19 * 3_600_000);
    wait_for(&world, "the secret", async || (notices(&world).await.len() >= 2).then_some(())).await;
    let said = wait_for(&world, "both to be told", async || {
        let said: String = mail.mails_to(OPS).iter().map(|one| text(&one["text"]).to_owned()).collect();
        (said.contains("expires at 2027-01-25T00:00:00Z")
            && said.contains("the old secret until 2027-01-16T08:00:00Z"))
        .then_some(said)
    })
    .await;
    assert!(said.contains("An old secret of webhook Orders is about to stop signing"), "{said}");
    world.stop().await;
}

each_store!(
    a_warning_comes_at_half_the_time_and_once,
    what_happens_at_the_same_time_is_one_message_a_minute,
    an_endpoint_names_its_own_and_what_of,
    a_restart_between_disabling_and_telling_tells_once,
    what_was_given_up_is_told_once_an_episode,
    what_expires_soon_is_told_before,
);
