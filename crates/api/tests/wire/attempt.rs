use crate::world::{START, World};
use domain::delivery::Next;
use serde_json::json;

const MSG: &str = "/app/customer/msg";

/// A world with three messages: delivered, waiting for a retry, given up.
async fn world() -> (World, [String; 3]) {
    let mut world = World::with_endpoint().await;
    let mut ids = Vec::new();
    let retry = Next::Retry(START.plus_ms(60_000));
    for (name, status, next) in
        [("ok", 200, Next::Succeeded), ("later", 500, retry), ("lost", 404, Next::Failed)]
    {
        world.clock.advance_ms(1_000);
        let body = format!(r#"{{"eventType":"{name}","payload":{{"k":1}},"eventId":"{name}"}}"#);
        ids.push(world.post(MSG, &body).await.json["id"].as_str().unwrap().to_owned());
        world.record(status, next).await;
    }
    (world, ids.try_into().unwrap())
}

#[tokio::test]
async fn an_attempt_shows_what_happened() {
    let (world, ids) = world().await;
    let list = world.get("/app/customer/attempt/endpoint/hook").await;
    assert_eq!(list.column("responseStatusCode"), [json!(404), json!(500), json!(200)]);
    assert_eq!(list.column("status"), [json!(2), json!(2), json!(0)]);
    let endpoint = world.get("/app/customer/endpoint/hook").await.json["id"].clone();
    let attempt = &list.json["data"][2];
    let id = attempt["id"].as_str().unwrap();
    assert_eq!(
        *attempt,
        json!({
            "id": id, "msgId": ids[0], "endpointId": endpoint, "url": "https://example.com/in",
            "response": "the receiver's answer", "responseStatusCode": 200, "responseDurationMs": 12, "status": 0,
            "statusText": "success", "triggerType": 0, "timestamp": "2027-01-15T08:00:01Z",
        })
    );
    assert_eq!(world.get(&format!("{MSG}/ok/attempt/{id}")).await.json, *attempt);
    assert_eq!(world.get(&format!("{MSG}/later/attempt/{id}")).await.error(), (404, "not_found"));
    assert_eq!(world.get(&format!("{MSG}/ok/attempt/atmpt_1")).await.error(), (404, "not_found"));
    let by_message = world.get("/app/customer/attempt/msg/ok?endpoint_id=hook").await;
    assert_eq!(by_message.json["data"], json!([attempt]));
    assert_eq!(world.delete(&format!("{MSG}/ok/attempt/{id}/content")).await.status, 204);
    assert_ne!(world.get(&format!("{MSG}/ok/attempt/{id}")).await.json["response"], "the receiver's answer");
}

#[tokio::test]
async fn a_list_of_attempts_is_filtered() {
    let (world, _) = world().await;
    let codes = async |query: &str| {
        world.get(&format!("/app/customer/attempt/endpoint/hook?{query}")).await.column("responseStatusCode")
    };
    assert_eq!(codes("status=0").await, [200]);
    assert_eq!(codes("status=2").await, [404, 500]);
    assert_eq!(codes("status=2&limit=1").await, [404]);
    assert_eq!(codes("status=1").await, [json!(null); 0]);
    assert_eq!(codes("status_code_class=500").await, [500]);
    assert_eq!(codes("event_types=ok,lost").await, [404, 200]);
    let list =
        world.get("/app/customer/attempt/endpoint/hook?with_msg=true&with_content=false&limit=1").await;
    assert_eq!(list.json["data"][0]["msg"]["eventType"], "lost");
    assert_eq!(list.json["data"][0]["response"], "");
    for (query, at) in [("status=9", "query/status"), ("status_code_class=201", "query/status_code_class")] {
        let refused = world.get(&format!("/app/customer/attempt/endpoint/hook?{query}")).await;
        assert_eq!(refused.wrong(), (422, vec![at.to_owned()]));
    }
    assert_eq!(
        world.get("/app/customer/attempt/endpoint/hook?status=done").await.error(),
        (400, "generic_error")
    );
}

#[tokio::test]
async fn an_endpoints_messages_are_shown_once_with_their_state() {
    let (world, ids) = world().await;
    let path = "/app/customer/endpoint/hook/msg";
    let list = world.get(path).await;
    assert_eq!(list.column("id"), [&ids[2], &ids[1], &ids[0]].map(|id| json!(id)));
    assert_eq!(list.column("statusText"), ["fail", "pending", "success"]);
    assert_eq!(list.json["data"][1]["nextAttempt"], "2027-01-15T08:01:00Z");
    assert_eq!(list.json["data"][0]["payload"], json!({"k": 1}));
    assert_eq!(world.get(&format!("{path}?status=1")).await.column("eventId"), ["later"]);
    assert_eq!(
        world.get(&format!("{path}?with_content=false&status=0")).await.column("payload"),
        [json!({})]
    );
    let endpoints = world.get(&format!("{MSG}/later/endpoint")).await;
    assert_eq!(endpoints.column("uid"), ["hook"]);
    assert_eq!((&endpoints.json["data"][0]["status"], &endpoints.json["done"]), (&json!(1), &json!(true)));
    let stats = world.get("/app/customer/endpoint/hook/stats").await.json;
    assert_eq!((&stats["success"], &stats["fail"], &stats["pending"]), (&json!(1), &json!(1), &json!(1)));
}

#[tokio::test]
async fn a_message_is_resent_unless_its_endpoint_is_disabled_or_its_payload_gone() {
    let (world, _) = world().await;
    let resend = format!("{MSG}/ok/endpoint/hook/resend");
    let sent = world.post(&resend, "").await;
    assert_eq!((sent.status, sent.json), (202, json!({})));
    assert_eq!(
        world.get("/app/customer/endpoint/hook/msg?status=1").await.json["data"].as_array().unwrap().len(),
        2
    );
    world.patch("/app/customer/endpoint/hook", r#"{"disabled":true}"#).await;
    assert_eq!(world.post(&resend, "").await.error(), (400, "generic_error"));
    world.patch("/app/customer/endpoint/hook", r#"{"disabled":false}"#).await;
    world.delete(&format!("{MSG}/ok/content")).await;
    assert_eq!(world.post(&resend, "").await.error(), (400, "generic_error"));
    assert_eq!(world.post(&format!("{MSG}/ok/endpoint/nobody/resend"), "").await.error(), (404, "not_found"));
    assert_eq!(world.post(&format!("{MSG}/none/endpoint/hook/resend"), "").await.error(), (404, "not_found"));
}

#[tokio::test]
async fn a_deleted_endpoint_still_names_its_attempts_and_its_place_in_a_list() {
    let mut world = World::with_application().await;
    let mut ids = Vec::new();
    for uid in ["one", "two", "three"] {
        let body = format!(r#"{{"url":"https://example.com/{uid}","uid":"{uid}"}}"#);
        world.clock.advance_ms(1);
        let made = world.post("/app/customer/endpoint", &body).await;
        ids.push(made.json["id"].as_str().unwrap().to_owned());
    }
    world.post(MSG, r#"{"eventType":"a","payload":{},"eventId":"m"}"#).await;
    world.record(200, Next::Succeeded).await;
    let first = world.get(&format!("{MSG}/m/endpoint?limit=1")).await;
    assert_eq!(first.column("uid"), ["one"]);
    world.delete("/app/customer/endpoint/one").await;
    for (iterator, left) in [(ids[0].clone(), vec!["two", "three"]), (format!("-{}", ids[0]), vec![])] {
        let page = world.get(&format!("{MSG}/m/endpoint?iterator={iterator}")).await;
        assert_eq!(page.column("uid"), left);
    }
    let attempts = world.get(&format!("/app/customer/attempt/msg/m?endpoint_id={}", ids[0])).await;
    assert_eq!(attempts.column("endpointId"), [ids[0].as_str()]);
    let unknown = world.get("/app/customer/attempt/msg/m?endpoint_id=ep_2aaaaaaaaaaaaaaaaaaaaaaaaaa").await;
    assert_eq!(unknown.error(), (404, "not_found"));
}

#[tokio::test]
async fn canceled_is_failed_for_clients_that_do_not_know_the_word() {
    let (mut world, _) = world().await;
    world.patch("/app/customer/endpoint/hook", r#"{"disabled":true}"#).await;
    for id in ["stopped", "stopped-2"] {
        world.clock.advance_ms(1_000);
        world.post(MSG, &format!(r#"{{"eventType":"a","payload":{{}},"eventId":"{id}"}}"#)).await;
    }
    world.patch("/app/customer/endpoint/hook", r#"{"disabled":false}"#).await;
    world.clock.advance_ms(1_000);
    world.post(MSG, r#"{"eventType":"a","payload":{},"eventId":"lost-2"}"#).await;
    world.record(404, Next::Failed).await;
    let list = "/app/customer/endpoint/hook/msg";
    let shown = async |query: &str| {
        let page = world.get(&format!("{list}?{query}")).await;
        (page.column("eventId"), page.column("status"))
    };
    let failures = ["lost-2", "stopped-2", "stopped", "lost"];
    assert_eq!(shown("status=2").await, (failures.map(|id| json!(id)).into(), vec![json!(2); 4]));
    assert_eq!(shown("status=4").await, (vec![], vec![]));
    assert_eq!(
        shown("status=2&expanded_statuses=true").await,
        (vec![json!("lost-2"), json!("lost")], vec![json!(2); 2])
    );
    assert_eq!(
        shown("status=4&expanded_statuses=true").await,
        (vec![json!("stopped-2"), json!("stopped")], vec![json!(4); 2])
    );
    let (mut walked, mut query) = (Vec::new(), String::new());
    for _ in 0..4 {
        let page = world.get(&format!("{list}?status=2&limit=1{query}")).await;
        walked.extend(page.column("eventId"));
        query = format!("&iterator={}", page.json["iterator"].as_str().unwrap());
    }
    assert_eq!(walked, failures);
    let end = world.get(&format!("{list}?status=2&limit=1{query}")).await;
    assert_eq!((end.column("eventId").len(), &end.json["done"]), (0, &json!(true)));
    let of_message = async |query: &str| {
        let page = world.get(&format!("{MSG}/stopped/endpoint{query}")).await.json;
        (page["data"][0]["status"].clone(), page["data"][0]["statusText"].clone())
    };
    assert_eq!(of_message("").await, (json!(2), json!("fail")));
    assert_eq!(of_message("?expanded_statuses=true").await, (json!(4), json!("canceled")));
}

#[tokio::test]
async fn statistics_count_what_is_on_its_way() {
    let mut world = World::with_endpoint().await;
    for _ in 0..2 {
        world.post(MSG, r#"{"eventType":"a","payload":{}}"#).await;
    }
    let stats = "/app/customer/endpoint/hook/stats";
    assert_eq!(
        world.get(stats).await.json,
        json!({"success": 0, "pending": 0, "sending": 2, "fail": 0, "canceled": 0})
    );
    world.record(200, Next::Succeeded).await;
    world.record(500, Next::Retry(START.plus_ms(60_000))).await;
    assert_eq!(
        world.get(stats).await.json,
        json!({"success": 1, "pending": 1, "sending": 0, "fail": 0, "canceled": 0})
    );
}
