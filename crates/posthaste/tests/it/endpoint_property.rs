//! Endpoint definitions by chance, good and bad: the API that saves, the store that keeps, the dry run, and the form that sends
//! back what it was shown all give the same answer.

use crate::server::{Store, World, text};
use serde_json::{Map, Value, json};

/// Definitions that are tried.
const ROUNDS: usize = 120;

/// Values of each field: good ones, and bad ones.
fn values() -> Vec<(&'static str, Vec<Value>, Vec<Value>)> {
    let bearer = json!({"type": "bearer", "token": "t"});
    vec![
        (
            "name",
            vec![json!("Hook"), json!("é 🦀"), Value::Null],
            vec![json!(""), json!("x".repeat(129)), json!(5)],
        ),
        ("type", vec![json!("rest"), json!("slack")], vec![json!("mail")]),
        ("method", vec![json!("PUT"), json!("POST"), json!("GET")], vec![json!("HEAD"), json!(1)]),
        (
            "contentType",
            vec![json!("application/json"), json!("text/xml"), json!("text/plain")],
            vec![json!("x"), json!("a/b\n")],
        ),
        ("format", vec![json!("raw"), json!("envelope"), json!("cloudevents")], vec![json!("xml")]),
        ("fields", vec![json!(["a.b"]), Value::Null], vec![json!([]), json!(["$["]), json!("a")]),
        ("template", vec![json!("{{ data.a }}"), json!({"a": "{{ id }}"})], vec![json!("{{"), json!(5)]),
        ("filter", vec![json!("data.a == 1")], vec![json!("data.a =="), json!("who == 1")]),
        (
            "transformation",
            vec![json!("const handler = (w) => w")],
            vec![json!("function handler( {"), json!("1")],
        ),
        ("eventHeaders", vec![json!(false), json!(true)], vec![json!("no")]),
        ("maxAttempts", vec![json!(0), json!(25)], vec![json!(26), json!(-1), json!(1.5)]),
        ("retrySchedule", vec![json!([1, 2]), json!([])], vec![json!([604_801]), json!(["1"])]),
        ("timeoutSeconds", vec![json!(1), json!(30)], vec![json!(0), json!(31)]),
        ("throttlePeriod", vec![json!("hour")], vec![json!("day")]),
        (
            "disablePolicy",
            vec![json!("never"), json!("unrecoverable"), json!("failingFor"), json!("both")],
            vec![json!("sometimes"), json!(5)],
        ),
        ("maxInFlight", vec![json!(1), json!(128)], vec![json!(0), json!(129)]),
        ("ordered", vec![json!(true), json!(false)], vec![json!("yes")]),
        (
            "auth",
            vec![bearer, json!({"type": "none"}), json!("none")],
            vec![json!({"type": "x"}), json!({"type": "bearer"})],
        ),
        (
            "signatures",
            vec![json!(["standard", "x-signature"]), json!([])],
            vec![json!(["md5"]), json!(["standard", "standard"])],
        ),
        ("certificateAuthority", vec![Value::Null], vec![json!("no pem")]),
    ]
}

fn definition(random: &mut fastrand::Rng) -> Value {
    let mut options = Map::new();
    for (name, good, bad) in values() {
        if random.u8(0..10) < 3 {
            let from = if random.u8(0..20) == 0 { &bad } else { &good };
            options.insert(name.to_owned(), from[random.usize(0..from.len())].clone());
        }
    }
    Value::Object(options)
}

fn with(options: &Value, more: &[(&str, Value)]) -> Value {
    let mut all = options.clone();
    more.iter().for_each(|(name, value)| all[*name] = value.clone());
    all
}

/// Where a refusal says that something is wrong.
fn places(answer: &Value) -> Vec<String> {
    let entries = answer["detail"].as_array().map(Vec::as_slice).unwrap_or_default();
    let place = |entry: &Value| {
        let loc = entry["loc"].as_array().expect("a place");
        loc.iter().map(text).collect::<Vec<_>>().join("/")
    };
    entries.iter().map(place).collect()
}

async fn all_doors_give_the_same_answer(store: Store) {
    let mut world = World::start(store).await;
    let url = json!(world.receiver.url("/hook"));
    let event = [("eventType", json!("a.b")), ("payload", json!({"a": 1}))];
    let blank = world.endpoint("/blank").await;
    let mut random = fastrand::Rng::with_seed(11);
    let (mut saved, mut refused) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let options = definition(&mut random);
        let (status, made) =
            world.answer("POST", "/endpoint", &with(&options, &[("url", url.clone())])).await;
        let trial = with(&with(&options, &event), &[("url", url.clone())]);
        let (tried, trial) = world.answer("POST", "/simulate", &trial).await;
        if status == 201 {
            assert_eq!(tried, 200, "{options}: {trial}");
            let path = format!("/endpoint/{}", text(&made["id"]));
            assert_eq!(world.answer("GET", &path, &Value::Null).await, (200, made.clone()), "{options}");
            // A form sends back all that it was shown; what it cannot see stays.
            for method in ["PATCH", "PUT"] {
                assert_eq!(
                    world.answer(method, &path, &made).await,
                    (200, made.clone()),
                    "{method} {options}"
                );
            }
            saved.push((path, made));
            continue;
        }
        assert_eq!((status, tried), (422, 422), "{options}: {made} {trial}");
        assert_eq!(places(&made), places(&trial), "{options}");
        let (status, patched) = world.answer("PATCH", &format!("/endpoint/{blank}"), &options).await;
        assert_eq!((status, places(&patched)), (422, places(&made)), "{options}");
        refused += 1;
    }
    assert!(saved.len() > ROUNDS / 5 && refused > ROUNDS / 5, "{} saved, {refused} refused", saved.len());
    world.stop_server().await;
    world.start_again(|_| {}).await;
    for (path, made) in &saved {
        assert_eq!(world.answer("GET", path, &Value::Null).await, (200, made.clone()), "after a restart");
    }
    let list = world.of_application("GET", "/endpoint?limit=250", &Value::Null).await;
    assert_eq!(
        list["data"].as_array().expect("a list").len(),
        saved.len() + 1,
        "what was refused is not there"
    );
    world.stop().await;
}

each_store!(all_doors_give_the_same_answer);
