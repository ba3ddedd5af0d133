use super::*;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fn event() -> NewEvent {
    NewEvent { event_type: "invoice.paid".into(), payload: Bytes::from_static(b"{}"), ..NewEvent::default() }
}

fn wrong(event: &NewEvent) -> Vec<String> {
    match check(event, NOW) {
        Err(AppError::Invalid(problems)) => problems.iter().map(|p| p.at.join("/")).collect(),
        Ok(()) => Vec::new(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn what_is_out_of_range_is_named_all_at_once() {
    assert_eq!(wrong(&event()), [""; 0]);
    let bad = NewEvent {
        event_type: "no spaces".into(),
        event_id: Some("msg_mine".into()),
        channels: Some(vec![]),
        tags: Some(vec!["t".into(); 6]),
        retention_days: Some(91),
        retention_hours: Some(0),
        deliver_at: Some(NOW.plus_ms(59_999)),
        overrides: Overrides { raw_payload: None, headers: vec![("Host".into(), "x".into())], context: None },
        ..event()
    };
    assert_eq!(
        wrong(&bad),
        [
            "body/eventType",
            "body/eventId",
            "body/channels",
            "body/tags",
            "body/payloadRetentionPeriod",
            "body/payloadRetentionHours",
            "body/deliverAt",
            "body/transformationsParams/headers"
        ]
    );
}

#[test]
fn delivery_can_be_put_off_from_a_minute_to_a_day() {
    let at = |ms| wrong(&NewEvent { deliver_at: Some(NOW.plus_ms(ms)), ..event() }).is_empty();
    assert_eq!([at(59_999), at(60_000), at(86_400_000), at(86_400_001)], [false, true, true, false]);
    assert!(!at(-60_000));
}
