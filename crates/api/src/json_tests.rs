use super::*;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    text: Field<String>,
    rate: Field<u16>,
    list: Field<Vec<String>>,
    map: Field<BTreeMap<String, String>>,
    flag: Field<bool>,
}

fn problems_of(body: &str) -> Vec<String> {
    let body: Body = object(body.as_bytes()).unwrap();
    let mut problems = Problems::default();
    body.text.required("text", &mut problems);
    body.rate.optional("rate", &mut problems);
    body.list.optional("list", &mut problems);
    body.map.change("map", &mut problems);
    body.flag.present("flag", &mut problems);
    match problems.finish() {
        Err(AppError::Invalid(found)) => {
            found.into_iter().map(|p| format!("{}: {}", p.at.join("/"), p.message)).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_wrong_field_is_named_with_what_it_must_be() {
    let body = r#"{"text":7,"rate":65536,"list":["a",1,null],"map":{"k":true},"flag":null,"unknown":[]}"#;
    assert_eq!(
        problems_of(body),
        [
            "body/text: must be a string, and is a number (7)",
            "body/rate: must be a whole number from 0 to 65535, and is a number (65536)",
            "body/list/[1]: must be a string, and is a number (1)",
            "body/list/[2]: must be a string, and is null",
            "body/map/k: must be a string, and is a boolean",
            "body/flag: must be true or false, and is null",
        ]
    );
    assert_eq!(problems_of("{}"), ["body/text: is missing: give a string"]);
    assert_eq!(problems_of(r#"{"text":"","rate":null,"list":null,"map":null}"#), [""; 0]);
}

#[test]
fn a_field_that_is_absent_null_or_there_is_told_apart() {
    let change = |body: &str| {
        let body: Body = object(body.as_bytes()).unwrap();
        body.rate.change("rate", &mut Problems::default())
    };
    assert_eq!([change("{}"), change(r#"{"rate":null}"#)], [Change::Keep, Change::Clear]);
    assert_eq!(change(r#"{"rate":5}"#), Change::Set(5));
}

#[test]
fn what_is_not_json_and_what_is_not_an_object_are_told_apart() {
    for body in ["", "{", "nonsense", "{\"text\":}", "{'text':1}", "\u{feff}{}", "{} {}"] {
        assert!(matches!(object::<Body>(body.as_bytes()), Err(Failure::NotJson(_))), "{body}");
    }
    for body in ["[]", "\"text\"", "7", "null", "[\"positional\"]", r#"{"text":"a","text":"b"}"#] {
        assert!(matches!(object::<Body>(body.as_bytes()), Err(Failure::App(AppError::Invalid(_)))), "{body}");
    }
    assert!(matches!(object::<Body>(b"{\"text\":\"\xff\"}"), Err(Failure::NotJson(_))));
}

#[test]
fn deep_bodies_are_refused_and_brackets_in_strings_are_not_depth() {
    let nested = |levels: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
    assert!(check_depth(nested(127).as_bytes()).is_ok());
    assert!(check_depth(nested(128).as_bytes()).is_err());
    assert!(check_depth("[".repeat(1_000_000).as_bytes()).is_err());
    assert!(check_depth(format!(r#"{{"x":"{}\"{}"}}"#, "[".repeat(500), "{".repeat(500)).as_bytes()).is_ok());
    assert!(check_depth(format!("[{}]", "[],".repeat(500)).as_bytes()).is_ok());
}
