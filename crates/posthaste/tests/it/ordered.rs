//! Strict order under faults: processes that are killed, receivers that fail, several nodes.
//!
//! The receiver notes what it answered with 200. What is delivered twice after a crash may come twice in a row; but nothing that
//! was accepted later may get through before what was accepted earlier.

use crate::live::{Home, WITHIN};
use serde_json::json;
use std::time::Duration;
use testkit::{Answer, Receiver};

/// Messages of a story.
const MESSAGES: u64 = 60;
/// Lives of the process meanwhile.
const LIVES: u64 = 4;

/// Numbers that got through, in the order in which they did.
fn through(receiver: &Receiver, failed: impl Fn(usize) -> bool) -> Vec<u64> {
    let arrived = receiver.requests();
    let good = arrived.iter().enumerate().filter(|(index, _)| !failed(*index));
    good.map(|(_, one)| one.json()["n"].as_u64().expect("a number")).collect()
}

/// Each third request fails.
const fn fails(index: usize) -> bool {
    index % 3 == 1
}

async fn script(receiver: &Receiver) {
    for index in 0..4_000 {
        receiver.answer("/ordered", Answer::status(if fails(index) { 500 } else { 200 }));
    }
}

/// Sends messages one after the other, each once the one before was accepted, by these servers in turn.
async fn send(homes: &[&Home], application: &str, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let home = homes[usize::try_from(number).unwrap_or_default() % homes.len()];
        let message = json!({"eventType": "a.b", "payload": {"n": number}});
        home.api().post(&format!("/app/{application}/msg"), &message).await;
    }
}

async fn set_up(home: &Home, receiver: &Receiver) -> String {
    let application = home.api().application("ours").await;
    let endpoint = json!({"url": receiver.url("/ordered"), "ordered": true, "retrySchedule": vec![0; 25]});
    home.api().post(&format!("/app/{application}/endpoint"), &endpoint).await;
    application
}

/// The order of those that got through, however often each did.
fn in_order(numbers: &[u64]) {
    let mut once = numbers.to_vec();
    once.dedup();
    assert_eq!(once, (0..MESSAGES).collect::<Vec<_>>(), "all of them, in their order: {numbers:?}");
}

async fn all_are_through(receiver: &Receiver) {
    let last = |all: &[testkit::Received]| {
        let last =
            |(index, one): (usize, &testkit::Received)| !fails(index) && one.json()["n"] == MESSAGES - 1;
        all.iter().enumerate().any(last)
    };
    receiver.wait_until("the last message", WITHIN, last).await;
}

#[tokio::test]
async fn a_process_that_is_killed_again_and_again_keeps_the_order() {
    let (home, receiver) = (Home::new(&[]), Receiver::start().await);
    script(&receiver).await;
    let mut process = home.start().await;
    let application = set_up(&home, &receiver).await;
    for life in 0..LIVES {
        let each = MESSAGES / LIVES;
        send(&[&home], &application, life * each..(life + 1) * each).await;
        if life + 1 < LIVES {
            process.kill9();
            process.wait(WITHIN).await;
            process = home.start().await;
        }
    }
    all_are_through(&receiver).await;
    in_order(&through(&receiver, fails));
}

#[tokio::test]
async fn three_nodes_keep_one_order_when_one_of_them_is_killed() {
    let database = testkit::Cluster::shared().database();
    let keys = [
        ("STORE", &*database),
        ("JWT_SECRET", "a secret of all the nodes of this test"),
        ("ENCRYPTION_KEY", "another secret of all the nodes of this test"),
    ];
    let homes = [Home::new(&keys), Home::new(&keys), Home::new(&keys)];
    let receiver = Receiver::start().await;
    script(&receiver).await;
    let processes = [homes[0].start().await, homes[1].start().await, homes[2].start().await];
    let application = set_up(&homes[0], &receiver).await;
    // Every node knows the endpoint within a second.
    crate::live::let_pass(Duration::from_secs(1)).await;
    send(&[&homes[0], &homes[1], &homes[2]], &application, 0..MESSAGES / 2).await;
    processes[0].kill9();
    send(&[&homes[1], &homes[2]], &application, MESSAGES / 2..MESSAGES).await;
    all_are_through(&receiver).await;
    in_order(&through(&receiver, fails));
}
