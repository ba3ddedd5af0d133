//! Transformations: the customer's JavaScript, run by QuickJS in a context of its own for each call.
//!
//! `handler(webhook)` gets `{method, url, headers, eventType, payload, context}` and returns the changed one, or one with
//! `cancel: true`. There is no I/O, no clock but the time of the attempt, and no chance but a seed made of the message, so
//! that a script does the same on every try. 32 MiB and 100 ms bound a call, but for what QuickJS does without looking up
//! (reversing a list that claims 2^53 items, say): so that nothing else waits for that, or falls with it, calls are made in
//! a process of their own, [`crate::sandbox`].

use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::function::MutFn;
use rquickjs::{CatchResultExt, CaughtError, Context, Ctx, Exception, Function, Object, Runtime, Value};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Memory of one call, in bytes.
const SCRIPT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Processor time of one call: a busy machine does not shorten it.
pub const SCRIPT_TIME_MAX: Duration = Duration::from_millis(100);
/// Its stack, in bytes: well under that of the thread.
const STACK_BYTES_MAX: usize = 256 * 1024;
const DATE: &str = include_str!("date.js");
/// What the code is called in messages.
const FILE: &str = "transformation";

/// What most scripts use. A context is made for each call, and what is in it is most of its cost.
type Small = (intrinsic::Eval, intrinsic::RegExpCompiler, intrinsic::RegExp, intrinsic::Json);
/// Everything that a script may use: the language without clocks of its own, weak references and typed arrays.
type Whole = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::Promise,
);
/// Words without which a script cannot use what only the whole context has.
const WHOLE_WORDS: [&str; 8] = ["Date", "Proxy", "Reflect", "Map", "Set", "Promise", "async", "await"];

/// What a script sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// The method.
    pub method: String,
    /// Where it goes.
    pub url: String,
    /// The headers that the endpoint and the message add; not those of authentication and signatures.
    pub headers: BTreeMap<String, String>,
    /// The event type.
    pub event_type: String,
    /// The payload.
    pub payload: Box<RawValue>,
    /// The context.
    pub context: Box<RawValue>,
}

/// What a script made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Changed {
    /// Not to be sent.
    pub cancel: bool,
    /// The method.
    pub method: Option<String>,
    /// Where it goes.
    pub url: Option<String>,
    /// The headers.
    pub headers: Option<BTreeMap<String, String>>,
    /// The payload as JSON; none when it is as it was.
    pub payload: Option<String>,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ScriptError {
    /// It took too long.
    #[error("the transformation took longer than {} ms (script_time_max)", SCRIPT_TIME_MAX.as_millis())]
    TimedOut,
    /// It threw, or cannot be run.
    #[error("the transformation failed: {0}")]
    Failed(String),
    /// Too many others wait, or there is nothing to run it with. It says nothing about the script.
    #[error("the transformation could not be run: {0}")]
    NotRun(String),
}

/// A call to be made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// The code.
    pub code: Arc<str>,
    /// What it gets.
    pub webhook: Webhook,
    /// The time that it sees, in milliseconds since 1970.
    pub now_ms: i64,
    /// Where its random numbers begin.
    pub seed: i32,
}

/// Whether code can be used: it compiles, what stands outside its functions runs, and there is a `handler`, which is not
/// called.
///
/// # Errors
/// A sentence with the line.
pub(crate) fn check(code: &str) -> Result<(), String> {
    within(true, |ctx| {
        hand_in(&ctx, 0, 0)?;
        handler(&ctx, code).map(drop)
    })
    .map_err(|error| match error {
        ScriptError::Failed(text) => text,
        other => other.to_string(),
    })
}

/// Runs a script, on this thread.
///
/// # Errors
/// [`ScriptError`].
pub(crate) fn run(call: &Call) -> Result<Changed, ScriptError> {
    let input =
        serde_json::to_string(&call.webhook).map_err(|error| ScriptError::Failed(error.to_string()))?;
    let is_whole = WHOLE_WORDS.iter().any(|word| call.code.contains(word));
    within(is_whole, |ctx| {
        hand_in(&ctx, call.now_ms, call.seed)?;
        let handler = handler(&ctx, &call.code)?;
        let webhook: Object<'_> =
            ctx.json_parse(input)?.into_object().ok_or_else(|| wrong(&ctx, "no webhook"))?;
        let before = json(&ctx, webhook.get("payload")?)?;
        let after: Value<'_> = handler.call((webhook,))?;
        changed(&ctx, after, before)
    })
}

/// The function that the code is about.
fn handler<'js>(ctx: &Ctx<'js>, code: &str) -> rquickjs::Result<Function<'js>> {
    let mut options = EvalOptions::default();
    (options.filename, options.strict) = (Some(FILE.to_owned()), false);
    let code = format!("{code}\n;typeof handler === 'undefined' ? undefined : handler");
    let handler: Value<'_> = ctx.eval_with_options(code, options)?;
    handler.into_function().ok_or_else(|| wrong(ctx, "there is no function `handler(webhook)`"))
}

/// The time, and chance: mulberry32, so that the same event gives the same numbers on every try.
fn hand_in(ctx: &Ctx<'_>, now_ms: i64, seed: i32) -> rquickjs::Result<()> {
    let mut state = seed.cast_unsigned();
    let random = move || {
        state = state.wrapping_add(0x6d2b_79f5);
        let mut t = (state ^ (state >> 15)).wrapping_mul(1 | state);
        t = t.wrapping_add((t ^ (t >> 7)).wrapping_mul(61 | t)) ^ t;
        f64::from(t ^ (t >> 14)) / 4_294_967_296.0
    };
    let math: Object<'_> = ctx.globals().get("Math")?;
    math.set("random", Function::new(ctx.clone(), MutFn::from(random))?)?;
    if ctx.globals().contains_key("Date")? {
        let date: Function<'_> = ctx.eval(DATE)?;
        date.call::<_, ()>((now_ms as f64,))?;
    }
    Ok(())
}

/// What became of the webhook.
fn changed<'js>(ctx: &Ctx<'js>, after: Value<'js>, before: Option<String>) -> rquickjs::Result<Changed> {
    let Some(after) = after.into_object() else {
        return Err(wrong(ctx, "`handler` must return the webhook"));
    };
    if after.get::<_, Value<'_>>("then")?.is_function() {
        return Err(wrong(ctx, "`handler` must not be async: there is nothing to wait for"));
    }
    if after.get::<_, Value<'_>>("cancel")?.as_bool() == Some(true) {
        return Ok(Changed { cancel: true, ..Changed::default() });
    }
    let payload = json(ctx, after.get("payload")?)?;
    let Some(payload) = payload else { return Err(wrong(ctx, "`payload` cannot be written as JSON")) };
    let text = |name: &str| -> rquickjs::Result<Option<String>> {
        let value: Value<'_> = after.get(name)?;
        match value.as_string() {
            Some(text) => text.to_string().map(Some),
            None if value.is_undefined() => Ok(None),
            None => Err(wrong(ctx, &format!("`{name}` is no text"))),
        }
    };
    let headers = match json(ctx, after.get("headers")?)? {
        None => None,
        Some(headers) => match serde_json::from_str(&headers) {
            Ok(headers) => Some(headers),
            Err(_) => return Err(wrong(ctx, "`headers` is no object of texts")),
        },
    };
    let payload = (Some(&payload) != before.as_ref()).then_some(payload);
    Ok(Changed { cancel: false, method: text("method")?, url: text("url")?, headers, payload })
}

/// A value as JSON; none where it has none.
fn json<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> rquickjs::Result<Option<String>> {
    ctx.json_stringify(value)?.map(|text| text.to_string()).transpose()
}

fn wrong(ctx: &Ctx<'_>, what: &str) -> rquickjs::Error {
    Exception::throw_type(ctx, what)
}

/// Does something in a fresh context, within the limits.
fn within<T>(
    is_whole: bool,
    work: impl for<'js> FnOnce(Ctx<'js>) -> rquickjs::Result<T>,
) -> Result<T, ScriptError> {
    let broken = |error: rquickjs::Error| ScriptError::Failed(error.to_string());
    let runtime = Runtime::new().map_err(broken)?;
    runtime.set_memory_limit(SCRIPT_BYTES_MAX);
    runtime.set_max_stack_size(STACK_BYTES_MAX);
    let ends = processor_time() + SCRIPT_TIME_MAX;
    runtime.set_interrupt_handler(Some(Box::new(move || processor_time() >= ends)));
    let made = if is_whole { Context::custom::<Whole>(&runtime) } else { Context::custom::<Small>(&runtime) };
    let context = made.map_err(broken)?;
    context.with(|ctx| {
        work(ctx.clone()).catch(&ctx).map_err(|error| {
            if processor_time() >= ends {
                ScriptError::TimedOut
            } else {
                ScriptError::Failed(explain(&error))
            }
        })
    })
}

/// What this thread has used of a processor.
fn processor_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// The message, and the line of the customer's code.
fn explain(error: &CaughtError<'_>) -> String {
    match error {
        CaughtError::Exception(exception) => {
            let message = exception.message().unwrap_or_default();
            let name: String = exception.get("name").unwrap_or_default();
            let told = if name.is_empty() { message } else { format!("{name}: {message}") };
            match exception.stack().as_deref().and_then(line) {
                Some(line) => format!("{told} (line {line})"),
                None => told,
            }
        }
        CaughtError::Value(value) => {
            let text = value.as_string().and_then(|text| text.to_string().ok());
            format!("it threw {}", text.unwrap_or_else(|| value.type_name().to_owned()))
        }
        CaughtError::Error(error) => error.to_string(),
    }
}

/// The first line of the code itself in a stack (`at handler (transformation:3:9)`).
fn line(stack: &str) -> Option<u32> {
    let (_, after) = stack.split_once(&format!("{FILE}:"))?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn call(code: &str) -> Result<Changed, ScriptError> {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let webhook = Webhook {
            method: "POST".to_owned(),
            url: "https://example.com/hook".to_owned(),
            headers: BTreeMap::from([("X-One".to_owned(), "1".to_owned())]),
            event_type: "invoice.paid".to_owned(),
            payload: raw(r#"{"amount":1.10,"big":12345678901234567890}"#),
            context: raw(r#"{"user":"Ann"}"#),
        };
        run(&Call { code: code.into(), webhook, now_ms: 1_800_000_000_000, seed: 7 })
    }

    #[test]
    fn a_handler_changes_what_is_sent_or_cancels_it() {
        let changed = call(
            "function handler(webhook) {
                webhook.method = 'PUT';
                webhook.url += '/' + webhook.eventType;
                webhook.headers['X-User'] = webhook.context.user;
                webhook.payload = { sum: webhook.payload.amount * 2 };
                return webhook;
            }",
        )
        .unwrap();
        assert_eq!(changed.method.as_deref(), Some("PUT"));
        assert_eq!(changed.url.as_deref(), Some("https://example.com/hook/invoice.paid"));
        assert_eq!(changed.headers.unwrap().len(), 2);
        assert_eq!(changed.payload.as_deref(), Some(r#"{"sum":2.2}"#));
        assert!(call("function handler(w) { w.cancel = true; return w }").unwrap().cancel);
        let untouched = call("const handler = (w) => w").unwrap();
        assert_eq!(untouched.payload, None, "its bytes stay as they were");
    }

    #[test]
    fn errors_carry_their_message_and_line() {
        let failed = |code: &str| match call(code) {
            Err(ScriptError::Failed(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            failed("function handler(w) {\n  const a = 1;\n  return w.nothing.at.all;\n}"),
            "TypeError: cannot read property 'at' of undefined (line 3)"
        );
        assert_eq!(failed("function handler(w) {\n throw 'no' }"), "it threw no");
        assert!(failed("const other = 1").contains("there is no function `handler(webhook)`"));
        assert!(failed("function handler() {}").contains("must return the webhook"));
        assert!(failed("async function handler(w) { return w }").contains("must not be async"));
        assert!(failed("function handler(w) { w.payload = undefined; return w }").contains("payload"));
        assert!(
            failed("function handler(w) { w.headers = 5; return w }")
                .contains("`headers` is no object of texts")
        );
        assert!(failed("function handler(w {").contains("SyntaxError"));
    }

    #[test]
    fn what_passes_the_check_can_be_called() {
        assert_eq!(check("function handler(w) { return w }"), Ok(()));
        assert_eq!(
            check("const begun = Date.now(); const handler = (w) => ({ ...w, payload: begun })"),
            Ok(())
        );
        assert_eq!(check("function handler(w) { while (true) {} }"), Ok(()), "it is not called");
        for (code, told) in [
            ("function handler(w) {\n  return w +;\n}", "SyntaxError"),
            ("const x = 1", "no function `handler(webhook)`"),
            ("// handler", "no function `handler(webhook)`"),
            ("const handler = 5", "no function `handler(webhook)`"),
            ("return function handler(w) { return w }", "SyntaxError"),
            ("nobody(); function handler(w) { return w }", "ReferenceError"),
            ("while (true) {}; function handler(w) { return w }", "took longer"),
            ("\0function handler(w) { return w }", "nul byte"),
        ] {
            let wrong = check(code).unwrap_err();
            assert!(wrong.contains(told), "{code}: {wrong}");
        }
    }

    #[test]
    fn the_clock_and_chance_are_those_that_were_handed_in() {
        let code = "function handler(w) {
            w.payload = [Date.now(), new Date().toISOString(), new Date(0).getTime(), new Date() instanceof Date,
                Object.getPrototypeOf(Date).now === undefined, new Date(0).constructor.now(), Date(), Date.UTC(1970, 0),
                typeof performance, typeof fetch, typeof require, typeof setTimeout, typeof std, Math.random()];
            return w;
        }";
        let first = call(code).unwrap().payload.unwrap();
        assert!(first.starts_with(r#"[1800000000000,"2027-01-15T08:00:00.000Z",0,true,true,1800000000000,"Fri Jan 15 2027 08:00:00 GMT+0000",0,"undefined","undefined","undefined","undefined","undefined",0."#), "{first}");
        assert_eq!(call(code).unwrap().payload.unwrap(), first);
    }

    /// Loops in the language, memory, and stack.
    #[test]
    fn bombs_end_within_their_limits() {
        for bomb in [
            "while (true) {}",
            "for (;;) { try { for (;;) {} } catch (e) {} }",
            "/(a+)+$/.test('a'.repeat(40) + '!')",
            "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)",
            "Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)",
            "let s = 'x'; for (;;) s += s",
            "const all = []; for (;;) all.push(new Array(1000).fill(1))",
            "'x'.repeat(2 ** 29).split('')",
            "new Uint8Array(2 ** 30)",
            "const f = () => f() + 1; f()",
            "let o = {}; for (let i = 0; i < 1e6; i++) o = { o }; JSON.stringify(o)",
            "Object.assign([], 'x'.repeat(2 ** 28))",
            "'x'.padEnd(2 ** 30, 'y')",
        ] {
            let started = Instant::now();
            let ended = call(&format!("function handler(w) {{ {bomb}; return w }}"));
            let took = started.elapsed();
            println!("{took:?} {bomb} {ended:?}");
            assert!(took < Duration::from_secs(5), "{bomb} took {took:?}");
        }
    }
}
