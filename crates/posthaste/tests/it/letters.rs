//! Letters to people: whatever stands in the way of one keeps no other waiting, and says why.

use crate::browser::Browser;
use crate::notices::{OPS, break_and_disable, mails, notices, notify, through, wait_for, world};
use crate::server::{START, Store, World, text};
use posthaste::config::SecretText;
use serde_json::{Value, json};
use testkit::{Answer, LogIn, MailServer, free_port};

async fn a_mail_server_that_is_down_or_slow_or_refuses_one_keeps_nobody_else_waiting(store: Store) {
    let port = free_port();
    let world = World::with((store, START), through(port)).await;
    let emails = ["refused@customer.example", "busy@customer.example", "slow@customer.example", OPS];
    notify(&world, &json!({"emails": emails, "slackUrl": world.receiver.url("/slack")})).await;
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    // Nobody answers there yet; Slack hears at once all the same.
    wait_for(&world, "Slack", async || (!world.arrived("/slack").is_empty()).then_some(())).await;
    let states = async || {
        let notice = notices(&world).await.pop().expect("one");
        let letters = notice["letters"].as_array().expect("letters").clone();
        let of = |name: &str| {
            let found = letters.iter().find(|one| one["to"].as_str().is_some_and(|to| to.starts_with(name)));
            let found = found.expect("a letter");
            (text(&found["state"]).to_owned(), found["error"].as_str().unwrap_or_default().to_owned())
        };
        ["refused@", "busy@", "slow@", "ops@"].map(of)
    };
    wait_for(&world, "the reason why nothing is sent", async || {
        states().await.iter().all(|(state, error)| state == "waiting" && !error.is_empty()).then_some(())
    })
    .await;
    let mail = MailServer::start(port);
    mails(&world, &mail, OPS, 1).await;
    let found = wait_for(&world, "each to have its own end", async || {
        let found = states().await;
        let is_there = found[0].0 == "failed" && found[1].1.contains("451") && found[2].1.contains("0.5 s");
        is_there.then_some(found)
    })
    .await;
    assert!(found[0].1.contains("no such mailbox"), "{found:?}");
    assert_eq!([&*found[1].0, &*found[2].0, &*found[3].0], ["waiting", "waiting", "sent"]);
    assert_eq!((mail.mails_to(OPS).len(), world.arrived("/slack").len()), (1, 1));
    world.stop().await;
}

async fn many_slow_recipients_keep_no_other_way_waiting_and_a_mail_is_sent_once_without_goodbye(
    store: Store,
) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    let own: Vec<_> = (0..20).map(|n| format!("slow@{n}.example")).collect();
    notify(&world, &json!({"emails": own, "slackUrl": world.receiver.url("/slack")})).await;
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    wait_for(&world, "Slack", async || (!world.arrived("/slack").is_empty()).then_some(())).await;
    notify(&world, &json!({"emails": ["mute@customer.example"]})).await;
    let other = world.endpoint("/other").await;
    break_and_disable(&world, "/other", &other).await;
    mails(&world, &mail, "mute@customer.example", 1).await;
    wait_for(&world, "the mail to be noted as sent", async || {
        let path = format!("/notice?endpoint_id={other}");
        let found = world.of_application("GET", &path, &Value::Null).await;
        (found["data"][0]["letters"][0]["state"] == "sent").then_some(())
    })
    .await;
    world.clock.advance_ms(300_000);
    world.fence().await;
    assert_eq!(mail.mails_to("mute@customer.example").len(), 1);
    // Those who are not named any more get nothing, though their letters wait.
    wait_for(&world, "the letters to be given up", async || {
        let letters = notices(&world).await.pop()?["letters"].as_array()?.clone();
        let given_up = |one: &Value| one["state"] == "failed" && text(&one["error"]).contains("not wanted");
        letters.iter().any(given_up).then_some(())
    })
    .await;
    world.stop().await;
}

async fn a_mail_server_wants_tls_and_a_log_in(store: Store) {
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let certificate = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = certificate.self_signed(&key).expect("a certificate").pem();
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    std::fs::write(path("cert.pem"), &certificate).expect("written");
    std::fs::write(path("key.pem"), key.serialize_pem()).expect("written");
    let (cert, key) = (path("cert.pem"), path("key.pem"));
    let mail = MailServer::with_log_in(LogIn {
        certificate: &cert,
        key: &key,
        user: "acme@mail",
        password: "p:ss w+rd",
    });
    let url =
        |password: &str| SecretText::new(format!("smtp://acme%40mail:{password}@127.0.0.1:{}", mail.port()));
    let mut world = World::with((store, START), |config| {
        through(0)(config);
        config.smtp_url = Some(url("wrong"));
        config.smtp_certificate_authority = Some(certificate);
    })
    .await;
    notify(&world, &json!({"emails": [OPS]})).await;
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    // Our own log-in is at fault: that is no reason to give a letter up.
    wait_for(&world, "the reason", async || {
        let notice = notices(&world).await.pop()?;
        let letter = notice["letters"].as_array()?.first()?.clone();
        (letter["state"] == "waiting" && letter["error"].as_str()?.contains("535")).then_some(())
    })
    .await;
    world.stop_server().await;
    world.start_again(|config| config.smtp_url = Some(url("p%3Ass%20w%2Brd"))).await;
    let told = mails(&world, &mail, OPS, 1).await.remove(0);
    assert_eq!((&told["tls"], &told["authenticated"]), (&json!(true), &json!(true)));
    world.stop().await;
}

async fn a_blocked_slack_url_is_refused_or_given_up_with_the_reason(store: Store) {
    let mail = MailServer::start(0);
    let mut world = world(store, &mail).await;
    let (status, answer) =
        world.answer("PATCH", "/notify", &json!({"slackUrl": "https://169.254.169.254/x"})).await;
    assert_eq!((status, &answer["detail"][0]["loc"]), (422, &json!(["body", "slackUrl"])), "{answer}");
    notify(&world, &json!({"slackUrl": world.receiver.url("/slack"), "emails": [OPS]})).await;
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    // The operator has closed the subnet since: the letter is given up, and says why.
    world.stop_server().await;
    world.start_again(|config| config.egress_allow = Vec::new()).await;
    let letter = wait_for(&world, "the letter to be given up", async || {
        let notice = notices(&world).await.pop()?;
        let letter = notice["letters"].as_array()?.iter().find(|one| one["channel"] == "slack")?.clone();
        (letter["state"] == "failed").then_some(letter)
    })
    .await;
    assert!(text(&letter["error"]).contains("127.0.0.1"), "{letter}");
    assert_eq!((world.arrived("/slack").len(), &letter["to"]), (0, &Value::Null));
    mails(&world, &mail, OPS, 1).await;
    world.stop().await;
}

async fn a_browser_that_is_gone_is_forgotten(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    let (one, two) = (Browser::new(), Browser::new());
    let subscribe = async |browser: &Browser, path: &str| {
        let subscription = browser.subscription(&world.receiver.url(path));
        text(&world.of_application("POST", "/push-subscription", &subscription).await["id"]).to_owned()
    };
    let gone = subscribe(&one, "/push/gone").await;
    assert_eq!(subscribe(&one, "/push/gone").await, gone, "the same again is still one");
    let there = subscribe(&two, "/push/there").await;
    world.receiver.answer_always("/push/gone", Answer::status(410));
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    let left = wait_for(&world, "the browser to be forgotten", async || {
        let found = world.of_application("GET", "/push-subscription", &Value::Null).await;
        let ids: Vec<_> = found.as_array()?.iter().map(|one| text(&one["id"]).to_owned()).collect();
        (ids.len() == 1 && !world.arrived("/push/there").is_empty()).then_some(ids)
    })
    .await;
    assert_eq!((left, world.arrived("/push/gone").len()), (vec![there], 1));
    for (wrong, field) in [
        (json!({"endpoint": "https://10.0.0.1/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}), "keys"),
        (one.subscription("nowhere"), "endpoint"),
    ] {
        let answer = world.refused("/push-subscription", &wrong).await;
        assert!(answer.to_string().contains(field), "{answer}");
    }
    world.stop().await;
}

async fn whoever_wants_no_more_e_mails_gets_none(store: Store) {
    let mail = MailServer::start(0);
    let world = world(store, &mail).await;
    notify(&world, &json!({"emails": [OPS, "boss@customer.example"]})).await;
    let id = world.endpoint("/hook").await;
    break_and_disable(&world, "/hook", &id).await;
    let told = mails(&world, &mail, OPS, 1).await.remove(0);
    let link = text(&told["headers"]["list-unsubscribe"]).trim_matches(['<', '>']).to_owned();
    assert_eq!(told["headers"]["list-unsubscribe-post"], "List-Unsubscribe=One-Click");
    assert!(text(&told["text"]).contains(&link) && text(&told["html"]).contains(&link));
    let path = link.strip_prefix("http://posthaste.test").expect("our own address");
    let client = testkit::HttpClient::new(world.url());
    let page = async |method: http::Method, path: &str, body: &str| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let reply = client.send(method, path, &headers, body.to_owned()).await.expect("an answer");
        (reply.status, String::from_utf8_lossy(&reply.body).into_owned())
    };
    // A look changes nothing: mail programs look at links by themselves.
    let (status, html) = page(http::Method::GET, path, "").await;
    assert!(status == 200 && html.contains("<b>Acme</b>") && html.contains("No more of these"), "{html}");
    let (status, html) = page(http::Method::POST, path, "List-Unsubscribe=One-Click").await;
    assert!(status == 200 && html.contains("You get no more e-mails"), "{html}");
    let shown = world.of_application("GET", "/notify", &Value::Null).await;
    assert_eq!(shown["unsubscribed"], json!([OPS]));
    let forged = format!("{}0", &path[..path.len() - 1]);
    let forged = if forged == path { format!("{}1", &path[..path.len() - 1]) } else { forged };
    assert_eq!(page(http::Method::POST, &forged, "").await.0, 404);
    world.clock.advance_ms(120_000);
    let other = world.endpoint("/other").await;
    break_and_disable(&world, "/other", &other).await;
    mails(&world, &mail, "boss@customer.example", 2).await;
    assert_eq!(mail.mails_to(OPS).len(), 1);
    assert_eq!(page(http::Method::POST, path, "again=1").await.0, 200);
    assert_eq!(world.of_application("GET", "/notify", &Value::Null).await["unsubscribed"], json!([]));
    world.stop().await;
}

each_store!(
    a_mail_server_that_is_down_or_slow_or_refuses_one_keeps_nobody_else_waiting,
    many_slow_recipients_keep_no_other_way_waiting_and_a_mail_is_sent_once_without_goodbye,
    a_mail_server_wants_tls_and_a_log_in,
    a_blocked_slack_url_is_refused_or_given_up_with_the_reason,
    a_browser_that_is_gone_is_forgotten,
    whoever_wants_no_more_e_mails_gets_none,
);
