use super::*;

fn read(body: &str) -> (EndpointInput, Mistakes) {
    let mut mistakes = Mistakes::default();
    let input = Fields::of(&Form::read(body.as_bytes())).input(&|_| "spare".into(), &mut mistakes);
    (input, mistakes)
}

#[test]
fn what_is_left_empty_is_left_at_its_default() {
    let (input, mistakes) = read(
        "url=https%3A%2F%2Fa.example%2F&events=all&enabled=on&eventHeaders=on&signs.standard=on&name=&maxAttempts=",
    );
    assert!(mistakes.is_empty());
    assert_eq!(
        (&*input.fields.url, input.fields.event_types, input.fields.disabled),
        ("https://a.example/", None, false)
    );
    assert_eq!(input.options.max_attempts, Change::Clear);
    assert_eq!(input.options.auth, Change::Set(AuthInput::None));
}

#[test]
fn numbers_lists_and_pairs_are_read_or_told() {
    let (input, mistakes) = read(
        "url=x&events=some&eventTypes=a.b&eventTypes=c.d&retrySchedule=5,+60&throttleRate=ten&headers=X-A:+1%0D%0Ajunk\
         &routes.eventType=a.b&routes.url=https%3A%2F%2Fb.example&routes.eventType=&routes.url=",
    );
    assert_eq!(input.fields.event_types, Some(vec!["a.b".into(), "c.d".into()]));
    assert_eq!(input.options.retry_schedule, Change::Set(vec![5, 60]));
    assert_eq!(input.headers, [("X-A".to_owned(), "1".to_owned())]);
    assert_eq!(input.options.routes.value().map(Vec::len), Some(1));
    assert!(mistakes.at("throttleRate").contains("`ten`"), "{mistakes:?}");
    assert!(mistakes.at("headers").contains("`junk`"));
}

#[test]
fn the_type_and_the_format_do_not_contradict_each_other() {
    let format = |body: &str| read(body).0.options.format;
    assert_eq!(format("type=slack&format=raw"), Change::Keep);
    assert_eq!(format("type=rest&format=slack"), Change::Set(Format::Raw));
    assert_eq!(format("type=rest&format=envelope"), Change::Set(Format::Envelope));
}
