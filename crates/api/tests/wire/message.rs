use crate::world::World;
use domain::clock::Timestamp;
use http::Method;
use serde_json::json;
use store::Store;
use store::delivery::Deliveries;

const MSG: &str = "/app/customer/msg";

#[tokio::test]
async fn a_message_is_accepted_durable_and_handed_over_with_its_own_bytes() {
    let mut world = World::with_endpoint().await;
    let body =
        r#"{"eventType":"a.b", "payload": {"z" : 1.000000000000000000001} ,"eventId":"e-1","tags":["t\\1"]}"#;
    let sent = world.post(MSG, body).await;
    assert_eq!(sent.status, 202, "{:?}", sent.json);
    let text = String::from_utf8(sent.bytes.to_vec()).unwrap();
    assert!(text.contains(r#""payload":{"z" : 1.000000000000000000001}"#), "{text}");
    let id = sent.json["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("msg_") && id.len() == 31);
    let fields =
        ["eventType", "eventId", "channels", "tags", "timestamp", "deliverAt"].map(|f| sent.json[f].clone());
    let expected = [
        json!("a.b"),
        json!("e-1"),
        json!(null),
        json!(["t\\1"]),
        json!("2027-01-15T08:00:00Z"),
        json!(null),
    ];
    assert_eq!(fields, expected);
    assert_eq!(sent.json["data"], sent.json["payload"]);
    for path in [format!("{MSG}/{id}"), format!("{MSG}/e-1")] {
        assert_eq!(world.get(&path).await.bytes, sent.bytes);
    }
    assert_eq!(world.get(&format!("{MSG}/{id}?with_content=false")).await.json["payload"], json!({}));
    let accepted = world.handoff.messages.try_recv().unwrap();
    assert_eq!(accepted.message.payload.as_deref(), Some(&br#"{"z" : 1.000000000000000000001}"#[..]));
    assert_eq!(accepted.endpoints.len(), 1);
    assert_eq!(world.post(MSG, body).await.error(), (409, "conflict"));
}

#[tokio::test]
async fn bad_messages_are_refused_and_nothing_is_stored() {
    let world = World::with_endpoint().await;
    let deep = format!(r#"{{"eventType":"a","payload":{{"x":{}{}}}}}"#, "[".repeat(5000), "]".repeat(5000));
    let table = [
        ("", vec!["body"]),
        ("{", vec!["body"]),
        ("[1]", vec!["body"]),
        (deep.as_str(), vec!["body"]),
        ("{}", vec!["body/eventType", "body/payload"]),
        (r#"{"eventType":"a b","payload":{}}"#, vec!["body/eventType"]),
        (r#"{"eventType":"a","payload":[]}"#, vec!["body/payload"]),
        (r#"{"eventType":"a","payload":null}"#, vec!["body/payload"]),
        (
            r#"{"eventType":"a","payload":{},"eventId":"msg_1","channels":[]}"#,
            vec!["body/eventId", "body/channels"],
        ),
        (r#"{"eventType":"a","payload":{},"tags":["1","2","3","4","5","6"]}"#, vec!["body/tags"]),
        (r#"{"eventType":"a","payload":{},"deliverAt":"2027-01-15T08:00:30Z"}"#, vec!["body/deliverAt"]),
        (r#"{"eventType":"a","payload":{},"deliverAt":"soon"}"#, vec!["body/deliverAt"]),
        (
            r#"{"eventType":"a","payload":{},"payloadRetentionPeriod":91}"#,
            vec!["body/payloadRetentionPeriod"],
        ),
        (
            r#"{"eventType":"a","payload":{},"transformationsParams":{"headers":{"Host":"x"}}}"#,
            vec!["body/transformationsParams/headers"],
        ),
    ];
    for (body, at) in table {
        let at: Vec<_> = at.into_iter().map(str::to_owned).collect();
        assert_eq!(world.post(MSG, body).await.wrong(), (422, at), "{body:.200}");
    }
    let broken = world.post(MSG, "{").await;
    assert_eq!(broken.json["detail"][0]["type"], "value_error.jsondecode");
    assert_eq!(world.post("/app/nobody/msg", r#"{"eventType":"a","payload":{}}"#).await.status, 404);
    assert_eq!(
        world.post(&format!("{MSG}?with_content=maybe"), r#"{"eventType":"a","payload":{}}"#).await.status,
        400
    );
    assert_eq!(world.get(MSG).await.json["data"], json!([]));
}

#[tokio::test]
async fn an_application_is_created_on_the_way() {
    let world = World::new();
    let body = r#"{"eventType":"a","payload":{},"application":{"name":"New","uid":"new"}}"#;
    assert_eq!(world.post("/app/new/msg", body).await.status, 202);
    assert_eq!(world.get("/app/new").await.json["name"], "New");
    assert_eq!(world.post("/app/new/msg", body).await.status, 202);
    let other = world.post("/app/other/msg", body).await;
    assert_eq!(other.wrong(), (422, vec!["body/application/uid".to_owned()]));
    assert_eq!(world.get("/app/other").await.status, 404);
}

#[tokio::test]
async fn routing_follows_types_channels_and_state_from_the_very_next_message() {
    let mut world = World::with_endpoint().await;
    let mut reached = async |change: &str, message: &str| {
        assert_eq!(world.patch("/app/customer/endpoint/hook", change).await.status, 200);
        assert_eq!(world.post(MSG, message).await.status, 202);
        world.handoff.messages.try_recv().is_ok_and(|accepted| accepted.endpoints.len() == 1)
    };
    let plain = r#"{"eventType":"a","payload":{}}"#;
    let channeled = r#"{"eventType":"a","payload":{},"channels":["c"]}"#;
    assert!(reached("{}", plain).await);
    assert!(!reached(r#"{"channels":["c"]}"#, plain).await);
    assert!(reached("{}", channeled).await);
    assert!(!reached(r#"{"paused":true}"#, channeled).await);
    assert!(!reached(r#"{"paused":false,"disabled":true}"#, channeled).await);
    assert!(reached(r#"{"disabled":false}"#, channeled).await);
    let scheduled = r#"{"eventType":"a","payload":{},"channels":["c"],"deliverAt":"2027-01-15T09:00:00Z"}"#;
    assert!(!reached("{}", scheduled).await);
    let (pending, _) = world.store.backlog().await.unwrap();
    assert_eq!(pending, 2, "the paused and the scheduled one wait as rows");
    let states = world.get("/app/customer/endpoint/hook/msg?expanded_statuses=true&limit=3").await;
    assert_eq!(states.json["data"][0]["nextAttempt"], "2027-01-15T09:00:00Z");
    assert_eq!(states.json["data"][2]["statusText"], "canceled");
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_parked() {
    let mut world = World::with_endpoint().await;
    let route = world.store.routing().routes(
        world
            .store
            .routing()
            .application_by_id(world.get("/app/customer").await.json["id"].as_str().unwrap())
            .unwrap()
            .key,
    );
    route[0].gauge.set_closed(true);
    assert_eq!(world.post(MSG, r#"{"eventType":"a","payload":{}}"#).await.status, 202);
    assert!(world.handoff.messages.try_recv().is_err());
    assert_eq!(world.store.backlog().await.unwrap().0, 1);
    route[0].gauge.set_closed(false);
    world.handoff.messages.close();
    assert_eq!(world.post(MSG, r#"{"eventType":"a","payload":{}}"#).await.status, 202);
    assert_eq!((world.store.backlog().await.unwrap().0, route[0].gauge.queued()), (2, 0));
}

#[tokio::test]
async fn a_list_is_filtered_and_paged_newest_first() {
    let world = World::with_endpoint().await;
    for n in 0..5 {
        world.clock.advance_ms(1_000);
        let (kind, channel) = if n % 2 == 0 { ("even", "a") } else { ("odd", "b") };
        let body = format!(
            r#"{{"eventType":"{kind}","payload":{{"n":{n}}},"channels":["{channel}"],"tags":["t{n}"],"eventId":"{n}"}}"#
        );
        assert_eq!(world.post(MSG, &body).await.status, 202);
    }
    let ids = async |query: &str| world.get(&format!("{MSG}?{query}")).await.column("eventId");
    assert_eq!(ids("").await, ["4", "3", "2", "1", "0"]);
    assert_eq!(ids("event_types=even").await, ["4", "2", "0"]);
    assert_eq!(ids("event_types[]=even&event_types[]=odd&channel=b").await, ["3", "1"]);
    assert_eq!(ids("tag=t2").await, ["2"]);
    assert_eq!(ids("after=2027-01-15T08:00:03Z").await, ["4", "3"].map(|s| json!(s)));
    let first = world.get(&format!("{MSG}?limit=2")).await;
    let second = ids(&format!("limit=2&iterator={}", first.json["iterator"].as_str().unwrap())).await;
    assert_eq!(second, ["2", "1"]);
    let wide = world.get(&format!("{MSG}?after=2026-01-01T00:00:00Z&before=2027-01-01T00:00:00Z")).await;
    assert_eq!(wide.wrong(), (422, vec!["query/after".to_owned()]));
    assert_eq!(
        world.get(&format!("{MSG}?channel=a%20b")).await.wrong(),
        (422, vec!["query/channel".to_owned()])
    );
}

#[tokio::test]
async fn a_payload_is_expunged_and_a_forged_id_is_not_found() {
    let world = World::with_endpoint().await;
    let id = world.post(MSG, r#"{"eventType":"a","payload":{"k":1}}"#).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.delete(&format!("{MSG}/{id}/content")).await.status, 204);
    assert_eq!(world.get(&format!("{MSG}/{id}")).await.json["payload"], json!({"expired": true}));
    let forged = format!("{}0", &id[..30]);
    let forged = if forged == id { format!("{}1", &id[..30]) } else { forged };
    for path in [forged.as_str(), "msg_1", "nothing", "%FF", "a%20b"] {
        assert_eq!(world.get(&format!("{MSG}/{path}")).await.error(), (404, "not_found"), "{path}");
    }
}

#[tokio::test]
async fn a_payload_may_be_kept_shorter_than_the_message() {
    let mut world = World::with_endpoint().await;
    world
        .post(MSG, r#"{"eventType":"a","payload":{},"payloadRetentionHours":2,"payloadRetentionPeriod":5}"#)
        .await;
    let expires_at = world.handoff.messages.try_recv().unwrap().message.payload_expires_at;
    assert_eq!(expires_at, Some(Timestamp(1_800_000_000_000 + 7_200_000)));
    world.post(MSG, r#"{"eventType":"a","payload":{},"payloadRetentionPeriod":90}"#).await;
    assert_eq!(world.handoff.messages.try_recv().unwrap().message.payload_expires_at, None);
}

#[tokio::test]
async fn a_refused_message_creates_no_application() {
    let world = World::new();
    for wrong in [
        r#""eventType":"bad type""#,
        r#""eventType":"a","deliverAt":"2027-01-15T07:00:00Z""#,
        r#""eventType":"a","channels":["no spaces"]"#,
    ] {
        let body = format!(r#"{{{wrong},"payload":{{}},"application":{{"name":"z","uid":"w9"}}}}"#);
        for key in ["", "auto_1", "mine"] {
            let sent = world.send(Method::POST, "/app/w9/msg", &[("idempotency-key", key)], &body).await;
            assert_eq!(sent.status, 422, "{:?}", sent.json);
            assert_eq!(world.get("/app/w9").await.status, 404, "{wrong} {key}");
        }
    }
}

#[tokio::test]
async fn an_application_on_the_way_must_be_the_paths_own() {
    let world = World::with_application().await;
    let body = |uid: &str| {
        format!(r#"{{"eventType":"a","payload":{{}},"application":{{"name":"n","uid":"{uid}"}}}}"#)
    };
    let id = world.get("/app/customer").await.json["id"].as_str().unwrap().to_owned();
    assert_eq!(world.post(MSG, &body("customer")).await.status, 202);
    assert_eq!(world.post(&format!("/app/{id}/msg"), &body("customer")).await.status, 202);
    assert_eq!(world.post(MSG, &body("other")).await.wrong(), (422, vec!["body/application/uid".to_owned()]));
}

#[tokio::test]
async fn a_message_as_it_was_answered_can_be_posted_again() {
    let world = World::with_application().await;
    let first = world.post(MSG, r#"{"eventType":"a","payload":{"n":1.00}}"#).await;
    let text = String::from_utf8(first.bytes.to_vec()).unwrap();
    let again = world.post(MSG, &text).await;
    assert_eq!((again.status, &again.json["payload"]), (202, &first.json["payload"]));
    let both = r#"{"eventType":"a","data":{"old":1},"payload":{"new":1}}"#;
    assert_eq!(world.post(MSG, both).await.json["payload"], json!({"new": 1}));
}

#[tokio::test]
async fn a_page_is_bounded_by_its_bytes_and_none_is_left_out() {
    let mut world = World::with_endpoint().await;
    let blob = "x".repeat(1_600_000);
    for n in 0..5 {
        world.clock.advance_ms(1_000);
        let body = format!(r#"{{"eventType":"a","payload":{{"k":"{blob}"}},"eventId":"{n}"}}"#);
        assert_eq!(world.post(MSG, &body).await.status, 202);
        world.record(200, domain::delivery::Next::Succeeded).await;
    }
    for (list, field) in [
        (MSG.to_owned(), "eventId"),
        ("/app/customer/endpoint/hook/msg".to_owned(), "eventId"),
        ("/app/customer/endpoint/hook/msg?status=0".to_owned(), "eventId"),
        ("/app/customer/attempt/endpoint/hook?with_msg=true".to_owned(), "timestamp"),
    ] {
        let join = if list.contains('?') { '&' } else { '?' };
        let (mut seen, mut query) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("{list}{join}limit=250{query}")).await;
            let items = page.column(field);
            assert!((1..5).contains(&items.len()), "{list}: {}", items.len());
            seen.extend(items);
            if page.json["done"] == true {
                break;
            }
            query = format!("&iterator={}", page.json["iterator"].as_str().unwrap());
        }
        assert_eq!(seen.len(), 5, "{list}");
        assert!(seen.windows(2).all(|two| two[0].as_str() > two[1].as_str()), "{list}: {seen:?}");
        let last = world.get(&format!("{list}{join}limit=250{query}")).await;
        let back = last.json["prevIterator"].as_str().unwrap();
        let before = world.get(&format!("{list}{join}limit=250&iterator={back}")).await.column(field);
        let until = 5 - last.json["data"].as_array().unwrap().len();
        assert!(!before.is_empty() && seen[..until].ends_with(&before), "{list}: {before:?}");
    }
}

#[tokio::test]
async fn a_page_before_the_first_is_empty_and_the_end() {
    let world = World::with_application().await;
    world.post(MSG, r#"{"eventType":"a","payload":{}}"#).await;
    let back = world.get(MSG).await.json["prevIterator"].as_str().unwrap().to_owned();
    assert_eq!(
        world.get(&format!("{MSG}?iterator={back}")).await.json,
        json!({"data": [], "iterator": null, "prevIterator": null, "done": true})
    );
}
