use super::*;

fn read_text(body: &str) -> Outcome<NewEvent> {
    read(&Bytes::copy_from_slice(body.as_bytes()))
}

fn problems_of(body: &str) -> Vec<String> {
    match read_text(body) {
        Err(Failure::App(AppError::Invalid(found))) => {
            found.into_iter().map(|p| format!("{}: {}", p.at.join("/"), p.message)).collect()
        }
        Err(Failure::NotJson(_)) => vec!["not JSON".to_owned()],
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_payload_is_the_bytes_of_the_body_itself() {
    let body = Bytes::from(r#"{ "eventType":"a.b", "payload": {"z" : 1.0000000000000000000001,  "a":[]} }"#);
    let event = read(&body).unwrap();
    assert_eq!(event.payload, r#"{"z" : 1.0000000000000000000001,  "a":[]}"#);
    assert!(body.as_ptr_range().contains(&event.payload.as_ptr()));
    assert_eq!(read_text(r#"{"eventType":"a","data":{}}"#).unwrap().payload, "{}");
}

#[test]
fn a_small_payload_does_not_keep_a_large_body_in_memory() {
    let raw = "x".repeat(PINNED_BYTES_MIN);
    let text =
        format!(r#"{{"eventType":"a","payload":{{}},"transformationsParams":{{"rawPayload":"{raw}"}}}}"#);
    let body = Bytes::from(text);
    let event = read(&body).unwrap();
    assert_eq!(event.payload, "{}");
    assert!(!body.as_ptr_range().contains(&event.payload.as_ptr()));
}

#[test]
fn every_part_of_a_message_is_read() {
    let event = read_text(
        r#"{"eventType":"a","payload":{},"eventId":"e","channels":["c"],"tags":["t"],"unknown":[1,{}],
            "payloadRetentionPeriod":5,"payloadRetentionHours":6,"deliverAt":"2027-01-15T08:00:00Z",
            "transformationsParams":{"rawPayload":"<x/>","headers":{"X-A":"1"},"other":1},
            "application":{"name":"n","uid":"u"}}"#,
    )
    .unwrap();
    assert_eq!(event.event_id.as_deref(), Some("e"));
    assert_eq!((event.channels, event.tags), (Some(vec!["c".into()]), Some(vec!["t".into()])));
    assert_eq!((event.retention_days, event.retention_hours), (Some(5), Some(6)));
    assert_eq!(event.deliver_at, Some(Timestamp(1_800_000_000_000)));
    assert_eq!(event.overrides.raw_payload.as_deref(), Some("<x/>"));
    assert_eq!(event.overrides.headers, [("X-A".to_owned(), "1".to_owned())]);
    assert_eq!(event.application.and_then(|a| a.uid).as_deref(), Some("u"));
}

#[test]
fn nulls_are_absent() {
    let body = r#"{"eventType":"a","payload":{},"eventId":null,"channels":null,"deliverAt":null,
        "transformationsParams":null,"application":null}"#;
    let event = read_text(body).unwrap();
    assert_eq!((event.event_id, event.channels, event.deliver_at), (None, None, None));
}

#[test]
fn all_that_is_wrong_is_named() {
    assert_eq!(
        problems_of("{}"),
        ["body/eventType: is missing: give a string", "body/payload: is missing: give an object"]
    );
    assert_eq!(
        problems_of(r#"{"eventType":1,"payload":[],"channels":["a",2]}"#),
        [
            "body/eventType: must be a string, and is a number (1)",
            "body/payload: must be an object, and is a list",
            "body/channels/[1]: must be a string, and is a number (2)",
        ]
    );
    assert_eq!(
        problems_of(r#"{"eventType":"a","payload":"{}"}"#),
        ["body/payload: must be an object, and is a string"]
    );
    assert_eq!(
        problems_of(r#"{"eventType":"a","payload":{},"application":{"uid":7}}"#),
        [
            "body/application/name: is missing: give a string",
            "body/application/uid: must be a string, and is a number (7)",
        ]
    );
    assert_eq!(
        problems_of(r#"{"eventType":"a","payload":{},"transformationsParams":{"headers":{"X":1}}}"#),
        ["body/transformationsParams/headers/X: must be a string, and is a number (1)"]
    );
    assert_eq!(problems_of(r#"["a",{}]"#), ["body: must be an object"]);
    assert_eq!(problems_of(r#"{"eventType":"a","eventType":"b","payload":{}}"#).len(), 1);
}

#[test]
fn junk_and_depth_are_refused() {
    for body in ["", "{", "nonsense", r#"{"eventType":"a","payload":{}"#, r#"{"eventType":"a","payload":{]}"#]
    {
        assert_eq!(problems_of(body), ["not JSON"], "{body}");
    }
    let deep = format!(r#"{{"eventType":"a","payload":{{"x":{}{}}}}}"#, "[".repeat(200), "]".repeat(200));
    assert_eq!(problems_of(&deep), ["not JSON"]);
    assert!(matches!(
        read(&Bytes::from_static(b"{\"eventType\":\"a\",\"payload\":{\"x\":\"\xff\"}}")),
        Err(Failure::NotJson(_))
    ));
}
