//! What a newcomer does in the browser, without reading anything: create a webhook, send a test, see it arrive, break the
//! receiver, be told, mend it, and have sent what was missed.

use super::signed_in;
use crate::server::{Store, World, eventually};
use serde_json::Value;
use testkit::{Answer, Chromium};

/// The webhook that the story is about, on its page.
struct Scene {
    world: World,
    browser: Chromium,
}

impl Scene {
    async fn begin(store: Store) -> Self {
        let world = World::start(store).await;
        let browser = signed_in(&world).await;
        Self { world, browser }
    }

    async fn creates_a_webhook(&self) {
        let (world, browser) = (&self.world, &self.browser);
        browser.follow("Acme").await;
        browser.wait_for_text("No webhook yet").await;
        browser.follow("Create webhook").await;
        browser.fill("Name", "Orders").await;
        browser.fill("Callback URL", "not a url").await;
        browser.press("Send test").await;
        browser.wait_for_text("Nothing is saved yet").await;
        assert_eq!(browser.field("Name").await.property("value").await, "Orders", "what was typed is kept");
        browser.fill("Callback URL", &world.receiver.url("/hook")).await;
        browser.press("Send test").await;
        browser.wait_for_text("The test arrived.").await;
        assert_eq!(world.arrived("/hook").len(), 1);
        browser.press("Create").await;
        browser.wait_for_text("Events go to it from now on").await;
        let secret = browser.find("#secret").await.text().await;
        assert!(secret.starts_with("whsec_"), "{secret}");
        let received = world.arrived("/hook");
        assert_eq!(received[0].header("x-event-type"), "posthaste.ping");
    }

    async fn sends_a_test_and_sees_it_arrive_live(&self) {
        let (world, browser) = (&self.world, &self.browser);
        browser.follow("Deliveries").await;
        browser.wait_for_text("Nothing was sent yet").await;
        browser.follow("Send test").await;
        browser.press("Send").await;
        browser.wait_for_text("The test event is on its way").await;
        browser.wait_for_text("200 arrived").await;
        // An event of the product itself shows on the page that is open.
        let message = world.send().await;
        browser.wait_for_text(&message).await;
        world.wait_for_attempts(&message, 1).await;
    }

    /// Three answers in a row that no later try changes by itself, over a minute.
    async fn the_receiver_breaks_and_the_page_tells(&self) -> String {
        let (world, browser) = (&self.world, &self.browser);
        world.receiver.answer_always("/hook", Answer::status(404).body("moved away"));
        // What succeeded before did so at an earlier moment.
        world.clock.advance_ms(1_000);
        let message = world.send().await;
        for (tries, ms) in [(1, 7_000), (2, 400_000)] {
            world.wait_for_attempts(&message, tries).await;
            world.clock.advance_ms(ms);
        }
        world.wait_for_attempts(&message, 3).await;
        browser.wait_for_text("This webhook was disabled, because it did not work").await;
        browser.wait_for_text("HTTP 404").await;
        message
    }

    async fn finds_out_what_is_wrong_and_mends_it(&self) {
        let (world, browser) = (&self.world, &self.browser);
        browser.follow("Find out what is wrong").await;
        browser.press("Look now").await;
        browser.wait_for_text("404").await;
        world.receiver.answer_always("/hook", Answer::status(200));
        browser.press("Look again").await;
        browser.wait_for_text("It works: the endpoint took the event").await;
    }

    async fn enables_it_and_what_it_missed_is_sent(&self, missed: &str) {
        let (world, browser) = (&self.world, &self.browser);
        let later = world.send().await;
        browser.follow("Deliveries").await;
        browser.follow("Enable").await;
        browser.wait_for_text("It has missed 2 events meanwhile").await;
        browser.press("Enable").await;
        browser.wait_for_text("what it missed is being sent").await;
        eventually("both to arrive", async || {
            world.clock.advance_ms(500);
            let arrived = world.arrived("/hook");
            let has = |id: &str| arrived.iter().filter(|one| one.header("webhook-id") == id).count();
            // The one that failed came three times before.
            (has(missed) > 3 && has(&later) > 0).then_some(())
        })
        .await;
        browser.wait_for_text("recovered").await;
        browser.wait_until_gone(".note.bad").await;
    }
}

async fn a_newcomer_creates_tests_breaks_mends_and_recovers_a_webhook(store: Store) {
    let scene = Scene::begin(store).await;
    scene.creates_a_webhook().await;
    // The refused test before it stands in the browser's own log.
    assert_eq!(scene.browser.problems().await, Vec::<String>::new());
    scene.sends_a_test_and_sees_it_arrive_live().await;
    let missed = scene.the_receiver_breaks_and_the_page_tells().await;
    scene.finds_out_what_is_wrong_and_mends_it().await;
    scene.enables_it_and_what_it_missed_is_sent(&missed).await;
    assert_eq!(scene.browser.problems().await, Vec::<String>::new());
    let list = scene.world.of_application("GET", "/endpoint", &Value::Null).await;
    assert_eq!(list["data"][0]["disabled"], false);
    scene.world.stop().await;
}

each_store!(a_newcomer_creates_tests_breaks_mends_and_recovers_a_webhook);
