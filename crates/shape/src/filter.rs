//! Filters: a predicate in CEL (the Common Expression Language) over `type`, `data`, `context` and `headers`.
//!
//! It holds or it does not. Whatever else comes of it (a member that is not there, an error, a value that is not true or
//! false) is that it does not: an event is never sent by mistake. CEL has no loops but those over lists (`all`, `exists`,
//! `map`, `filter`); how much work they can make of an event is known before, and where it is too much, the filter does not
//! hold.

use crate::cost::{self, Cost};
use crate::event::Event;
use crate::tree::{self, Tree};
use cel::{Context, Env, Program, Value};
use domain::limit::FILTER_BYTES_MAX;
use domain::message::Message;
use std::cell::Cell;
use std::sync::{Arc, LazyLock};

/// Names that a filter may use.
const NAMES: [&str; 4] = ["type", "data", "context", "headers"];
/// Steps of one filter, and of all that are asked about one event ([`cost`] says what a step is).
const WORK_MAX: u64 = 200_000_000;
const WORK_OF_EVENT_MAX: u64 = 10 * WORK_MAX;
/// Brackets inside of brackets.
const DEPTH_MAX: usize = 64;
/// Operators in a row.
const CHAIN_MAX: usize = 200;

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// A filter that was read.
#[derive(Debug)]
pub struct Filter {
    program: Program,
    cost: Cost,
}

/// An event as filters see it, read once for all of them.
#[derive(Debug)]
pub struct Seen {
    values: [Value; 4],
    /// Values in the event, and bytes.
    nodes: u64,
    bytes: u64,
    /// Steps that all filters may still take.
    left: Cell<u64>,
}

impl Seen {
    /// Reads an event.
    ///
    /// # Errors
    /// A sentence, when it is not JSON.
    pub fn new(event: &Event<'_>) -> Result<Self, String> {
        let mut nodes = 0;
        let mut value = |json: &[u8]| {
            let json = tree::mended(json);
            let tree = Tree::parse(&json).map_err(|error| error.to_string())?;
            nodes += tree.nodes();
            cel::to_value(tree).map_err(|error| error.to_string())
        };
        let headers: std::collections::HashMap<String, String> =
            event.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        let headers = cel::to_value(headers).map_err(|error| error.to_string())?;
        let kind = Value::String(Arc::new(event.event_type.to_owned()));
        let values = [kind, value(event.payload)?, value(event.context_json())?, headers];
        let bytes = event.payload.len() + event.context.map_or(0, str::len);
        Ok(Self { values, nodes, bytes: bytes as u64, left: Cell::new(WORK_OF_EVENT_MAX) })
    }
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// A sentence on where it does not read, or which name it must not use.
    pub fn parse(text: &str) -> Result<Self, String> {
        check_depth(text)?;
        let program = Program::compile(text).map_err(|errors| format!("does not read as CEL: {errors}"))?;
        let mut bound = Vec::new();
        let cost = cost::of(program.expression(), &mut bound)?;
        let known = |name: &str| NAMES.contains(&name) || bound.contains(&name);
        if let Some(name) = program.references().variables().into_iter().find(|name| !known(name)) {
            return Err(format!(
                "`{name}` is not known: a filter sees `type`, `data`, `context` and `headers`"
            ));
        }
        Ok(Self { program, cost })
    }

    /// Whether it holds for an event.
    #[must_use]
    pub fn holds(&self, seen: &Seen) -> bool {
        let cost = self.cost.of(seen.nodes, seen.bytes);
        let left = seen.left.get().checked_sub(cost);
        let Some(left) = left.filter(|_| cost <= WORK_MAX) else { return false };
        seen.left.set(left);
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in NAMES.iter().zip(&seen.values) {
            context.add_variable_from_value(*name, value.clone());
        }
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

/// The parser goes as deep as its text, and what it makes is as deep as a chain of operators is long: both are counted
/// before.
fn check_depth(text: &str) -> Result<(), String> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(format!("has {} bytes: at most {FILTER_BYTES_MAX} (filter_bytes_max)", text.len()));
    }
    let (mut depth, mut deepest, mut marks) = (0_usize, 0_usize, 0_usize);
    for c in text.chars() {
        match c {
            '(' | '[' | '{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '!' | '-' | '?' => marks += 1,
            _ => {}
        }
    }
    if deepest > DEPTH_MAX || marks > 4 * DEPTH_MAX {
        return Err(format!("is nested deeper than {DEPTH_MAX} (filter_depth_max)"));
    }
    // Chains of these two, and lists, lie flat.
    let chains = text.split("&&").flat_map(|part| part.split("||")).flat_map(|part| part.split(','));
    let links = |chain: &str| {
        chain.chars().filter(|c| ".[+-*/%<>=(".contains(*c)).count() + chain.matches("in").count()
    };
    if chains.map(links).any(|links| links > CHAIN_MAX) {
        return Err(format!("has a chain of more than {CHAIN_MAX} operators (filter_chain_max)"));
    }
    Ok(())
}

/// Asks an endpoint's filter about stored messages. Without one each is wanted; one that does not read holds for none, as for a
/// message whose payload is gone.
pub fn asking(filter: Option<&str>) -> impl Fn(&Message) -> bool + Send + Sync + use<> {
    let filter = filter.map(Filter::parse);
    move |message| {
        let Some(body) = message.body() else { return false };
        match &filter {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(filter)) => {
                Seen::new(&Event::of(message, "", &body)).is_ok_and(|seen| filter.holds(&seen))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use domain::clock::Timestamp;

    fn holds(filter: &str) -> bool {
        let payload = Bytes::from_static(
            br#"{"amount":120,"rate":1.5,"user":{"name":"Ann","roles":["admin"]},"tags":["a","b"],"none":null}"#,
        );
        let headers = [("X-Source".to_owned(), "shop".to_owned())];
        let event = Event {
            id: "msg_1",
            event_type: "invoice.paid",
            time: Timestamp(0),
            payload: &payload,
            context: Some(r#"{"tenant":"t1"}"#),
            headers: &headers,
        };
        Filter::parse(filter).unwrap().holds(&Seen::new(&event).unwrap())
    }

    #[test]
    fn a_predicate_sees_type_data_context_and_headers() {
        for filter in [
            "data.amount > 100",
            "type == 'invoice.paid' && data.user.name == 'Ann'",
            "type.startsWith('invoice.')",
            "'admin' in data.user.roles",
            "data.tags.exists(t, t == 'b')",
            "context.tenant == 't1'",
            "headers['x-source'] == 'shop'",
            "has(data.user.name) && !has(data.user.mail)",
            "data.rate < 2.0",
            "data.none == null",
            "data.user.name.matches('^A.n$')",
        ] {
            assert!(holds(filter), "{filter}");
        }
    }

    #[test]
    fn what_is_missing_wrong_or_no_truth_value_does_not_hold() {
        for filter in [
            "data.amount > 1000",
            "data.nobody == 1",
            "!(data.nobody == 1)",
            "data.nobody != 1",
            "data.user.mail.endsWith('x')",
            "data.amount",
            "'text'",
            "data.user.name > 5",
            "headers['x-none'] != 'a'",
            "1 / 0 == 1",
        ] {
            assert!(!holds(filter), "{filter}");
        }
    }

    #[test]
    fn what_does_not_read_or_could_run_long_is_refused() {
        for filter in [
            "",
            "data.",
            "nobody == 1",
            "data.a == ",
            &"(".repeat(100),
            &format!("{}true", "!".repeat(1000)),
            "data.a.all(x, data.a.all(y, data.a.all(z, data.a.all(w, w == x))))",
            &format!("1{} == 1", "+1".repeat(2_000)),
            &format!("data{} == 1", ".a".repeat(2_000)),
            &format!("1{}", " in 1".repeat(800)),
            &format!("1{}", " in 1".repeat(400_000)),
            &format!("true{}", "&&true".repeat(300_000)),
            "data.a.matches(data.b)",
            "data.a.matches('(')",
            r"data.a.matches('\\pL{500}')",
            &format!("{} == ''", ["data.a"; 20].join(" + ")),
        ] {
            assert!(Filter::parse(filter).is_err(), "{filter}");
        }
        let many: Vec<_> = (0..150).map(|n| format!("type == 'event.{n}'")).collect();
        for filter in [
            "data.a.all(x, data.b.all(y, x != y))",
            &many.join(" || "),
            &format!("true{}", " && true".repeat(500)),
            &format!("type in ['{}']", "a".repeat(3_000)),
        ] {
            assert!(Filter::parse(filter).is_ok(), "{filter}");
        }
    }

    #[test]
    fn loops_over_large_events_end_soon() {
        let numbers: Vec<_> = (0..400_000).map(|n| n.to_string()).collect();
        let payload =
            Bytes::from(format!(r#"{{"a":[{}],"t":"{}"}}"#, numbers.join(","), "t".repeat(1_000_000)));
        let event = Event {
            id: "",
            event_type: "t",
            time: Timestamp(0),
            payload: &payload,
            context: None,
            headers: &[],
        };
        let seen = Seen::new(&event).unwrap();
        let holds = |filter: &str| {
            let started = std::time::Instant::now();
            let held = Filter::parse(filter).unwrap().holds(&seen);
            println!("{:?} {filter}", started.elapsed());
            assert!(started.elapsed().as_secs() < 10, "{filter} took {:?}", started.elapsed());
            held
        };
        assert!(holds("data.a.all(x, x >= 0)"));
        assert!(holds("data.a.exists(x, x == 399999)"));
        for long in [
            "data.a.all(x, data.a.exists(y, y == x))",
            "data.a.map(x, x).size() > 0",
            "data.a.filter(x, x > 1).size() > 0",
            "data.a.all(x, data.t.contains('z'))",
            "data.a.all(x, x in data.a)",
            "data.a.all(x, data.a == data.a)",
            "data.a.exists(x, 'a'.matches('b'))",
            &format!("{} == 'x'", ["data.t"; 16].join(" + ")),
            &["data.a == data.a"; 100].join(" && "),
        ] {
            assert!(!holds(long), "{long}");
        }
    }
}
