//! The whole story: an endpoint breaks, people are told by every way there is, it is mended and gets what it missed, and the same
//! people are told that it works again.

use crate::browser::Browser;
use crate::live::Home;
use crate::notices::{OPS, break_and_disable, kinds, mails, notices, notify, wait_for, world};
use crate::server::{Store, WITHIN, World, eventually, text};
use serde_json::{Value, json};
use testkit::{Answer, MailServer, Receiver, free_port};

/// Whom it happens to, and who is told.
struct Scene {
    world: World,
    mail: MailServer,
    browser: Browser,
    /// By which key browsers know this instance.
    push_key: String,
    /// The secret of the operational webhook.
    secret: String,
    endpoint: String,
}

impl Scene {
    async fn begin(store: Store) -> Self {
        let mail = MailServer::start(0);
        let world = world(store, &mail).await;
        let browser = Browser::new();
        let push_key = world.call("GET", "/api/v1/push/key", &Value::Null).await;
        let push_key = text(&push_key["publicKey"]).to_owned();
        let subscription = browser.subscription(&world.receiver.url("/push"));
        world.of_application("POST", "/push-subscription", &subscription).await;
        notify(&world, &json!({"emails": [OPS], "slackUrl": world.receiver.url("/slack")})).await;
        let types = ["endpoint.disabled", "endpoint.enabled", "background_task.finished"];
        let asked = json!({"url": world.receiver.url("/operational"), "eventTypes": types});
        let path = "/api/v1/operational-webhook/endpoint";
        let operational = world.call("POST", path, &asked).await;
        let secret =
            world.call("GET", &format!("{path}/{}/secret", text(&operational["id"])), &Value::Null).await;
        let secret = text(&secret["key"]).to_owned();
        let asked = json!({"url": world.receiver.url("/hook"), "name": "Orders", "ordered": true});
        let endpoint = world.endpoint_with(&asked).await;
        Self { world, mail, browser, push_key, secret, endpoint }
    }

    /// Everybody is told, each in their own way.
    async fn is_told_that_it_is_disabled(&self) {
        let world = &self.world;
        let told = mails(world, &self.mail, OPS, 1).await.remove(0);
        assert_eq!(told["headers"]["subject"], "Webhook Orders is disabled");
        assert_eq!(told["from"], "hooks@acme.example");
        assert_eq!(notices(world).await[0]["waiting"], 31);
        let said = text(&told["text"]);
        let reason = "the last 3 requests in a row, since 2027-01-15T08:00:00Z, ended with: HTTP 404. 31 events wait for it";
        assert!(said.contains(reason), "{said}");
        let link = format!("http://posthaste.test/app/{}/endpoint/{}", world.application, self.endpoint);
        assert!(said.contains(&link), "{said}");
        let slack = world.receiver.wait_for_path("/slack", 1, WITHIN).await[0].json();
        assert!(
            text(&slack["text"]).starts_with(&format!("*<{link}|Webhook Orders is disabled>*\n")),
            "{slack}"
        );
        let push = world.receiver.wait_for_path("/push", 1, WITHIN).await.remove(0);
        let service = world.receiver.url("").trim_end_matches('/').to_owned();
        let shown = self.browser.read(&push, (&self.push_key, &service));
        assert_eq!((&shown["title"], &shown["url"]), (&json!("Webhook Orders is disabled"), &json!(link)));
        self.hears_that_it_is_disabled().await;
    }

    async fn hears_that_it_is_disabled(&self) {
        let event = self.world.receiver.wait_for_path("/operational", 1, WITHIN).await.remove(0);
        svix::Webhook::new(&self.secret)
            .expect("a secret")
            .verify_ignoring_timestamp(&event.body, &event.headers)
            .expect("a good signature");
        let event = event.json();
        assert_eq!(event["type"], "endpoint.disabled");
        let expected = json!({
            "appId": self.world.application, "appUid": null, "endpointId": self.endpoint, "endpointUid": null,
            "failSince": "2027-01-15T08:00:00Z", "trigger": "automatic",
        });
        assert_eq!(event["data"], expected);
    }

    /// The same people hear that it works again, in one message or two.
    async fn is_told_that_it_works_again(&self) {
        let world = &self.world;
        wait_for(world, "the news that it works again", async || {
            let said: String =
                self.mail.mails_to(OPS).iter().map(|one| text(&one["text"]).to_owned()).collect();
            let news = ["Webhook Orders is enabled again", "Webhook Orders works again", "It was down for"];
            news.iter().all(|news| said.contains(news)).then_some(())
        })
        .await;
        let seen = notices(world).await;
        assert_eq!(kinds(&seen), ["recovered", "enabled", "disabled"]);
        assert_eq!(seen[0]["waiting"], Value::Null);
        let letters =
            [("disabled", "email"), ("disabled", "slack"), ("disabled", "push"), ("recovered", "email")];
        for (kind, channel) in letters {
            wait_for(world, "the letter to be noted as sent", async || {
                let seen = notices(world).await;
                let notice = seen.iter().find(|one| one["kind"] == kind)?;
                let letter = notice["letters"].as_array()?.iter().find(|one| one["channel"] == channel)?;
                (letter["state"] == "sent").then_some(())
            })
            .await;
        }
        wait_for(world, "the operational events", async || {
            let events = world.arrived("/operational");
            let types: Vec<_> = events.iter().map(|one| text(&one.json()["type"]).to_owned()).collect();
            (types == ["endpoint.disabled", "endpoint.enabled", "background_task.finished"]).then_some(())
        })
        .await;
    }
}

async fn an_endpoint_breaks_is_mended_and_people_are_told_both_times(store: Store) {
    let scene = Scene::begin(store).await;
    let (world, id) = (&scene.world, &scene.endpoint);
    let mut sent = vec![break_and_disable(world, "/hook", id).await];
    for _ in 0..30 {
        sent.push(world.send().await);
        world.clock.advance_ms(1);
    }
    scene.is_told_that_it_is_disabled().await;
    // Mended and enabled: what was held arrives in its order.
    let before = world.arrived("/hook").len();
    world.receiver.answer_always("/hook", Answer::status(200));
    let path = format!("/endpoint/{id}/enable");
    let enabled = world.of_application("POST", &path, &json!({"recover": "all"})).await;
    assert_eq!(enabled["endpoint"]["disabled"], false, "{enabled}");
    wait_for(world, "all events to arrive", async || {
        (world.arrived("/hook").len() >= before + sent.len()).then_some(())
    })
    .await;
    let arrived: Vec<_> =
        world.arrived("/hook")[before..].iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert_eq!(arrived, sent);
    scene.is_told_that_it_works_again().await;
    scene.world.stop().await;
}

/// The real server, killed right after it has disabled an endpoint and before anybody is told.
async fn killed_between_disabling_and_telling_it_tells_once(settings: &[(&str, &str)]) {
    let port = free_port();
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let settings: Vec<_> = settings.iter().copied().chain([("SMTP_URL", url.as_str())]).collect();
    let (home, receiver) = (Home::new(&settings), Receiver::start().await);
    let process = home.start().await;
    let api = home.api();
    receiver.answer_always("/hook", Answer::status(410).header("webhook-delivery", "disable"));
    let application = api.application("Acme").await;
    api.endpoint(&application, &receiver.url("/hook")).await;
    let path = format!("/api/v1/app/{application}/notify");
    let (status, answer) = api.client.patch(&path, &api.token, &json!({"emails": [OPS]})).await;
    assert_eq!(status, 200, "{answer}");
    api.post(&format!("/app/{application}/msg"), &json!({"eventType": "a", "payload": {}})).await;
    let noticed = async || {
        let all = api.get(&format!("/app/{application}/notice")).await;
        (!all["data"].as_array().expect("a list").is_empty()).then_some(())
    };
    eventually("the endpoint to be disabled", noticed).await;
    process.kill9();
    process.wait(WITHIN).await;
    let mail = MailServer::start(port);
    let process = home.start().await;
    eventually("the mail", async || (!mail.mails_to(OPS).is_empty()).then_some(())).await;
    process.kill9();
    process.wait(WITHIN).await;
    let process = home.start().await;
    // Were there anything to tell, the third round would do so.
    let other = api.endpoint(&application, &receiver.url("/hook")).await;
    api.post(&format!("/app/{application}/msg"), &json!({"eventType": "a", "payload": {}})).await;
    eventually("the next notice to be looked at", async || {
        let all = api.get(&format!("/app/{application}/notice?endpoint_id={other}")).await;
        let letters = all["data"][0]["letters"].as_array()?;
        (!letters.is_empty()).then_some(())
    })
    .await;
    let told: Vec<_> = mail.mails_to(OPS).iter().map(|one| one["headers"]["message-id"].clone()).collect();
    assert!(told.iter().all(|id| *id == told[0]), "{told:?}");
    process.terminate();
    process.wait(WITHIN).await;
}

#[tokio::test]
async fn a_server_that_is_killed_between_disabling_and_telling_tells_once_on_sqlite() {
    killed_between_disabling_and_telling_it_tells_once(&[]).await;
}

#[tokio::test]
async fn a_server_that_is_killed_between_disabling_and_telling_tells_once_on_postgresql() {
    let database = testkit::Cluster::shared().database();
    let key = "k".repeat(40);
    let settings = [("STORE", &*database), ("JWT_SECRET", &*key), ("ENCRYPTION_KEY", &*key)];
    killed_between_disabling_and_telling_it_tells_once(&settings).await;
}

each_store!(an_endpoint_breaks_is_mended_and_people_are_told_both_times);
