//! Templates (Jinja's language, by minijinja): a text, or JSON whose texts are templates.
//!
//! They see `id`, `type`, `time`, `data` and `context`. Nothing is escaped by itself: `{{ data.name|tojson }}` writes JSON.
//! In JSON, a text that is one expression and nothing else (`"{{ data.amount }}"`) keeps the value's type. A member that is
//! not there is empty. One fuel bounds the time and the memory of a rendering, however many texts it has.

use crate::event::Event;
use crate::slack;
use crate::tree::{self, Tree};
use domain::limit::{SHAPED_BODY_BYTES_MAX, TEMPLATE_BYTES_MAX};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Captured, Environment, ErrorKind, UndefinedBehavior, context};
use serde_json::Value;
use std::io::{self, Write};

/// The work that one rendering may do: about as many instructions, or 64 bytes each.
const FUEL: u64 = 100_000;
/// Stack of a rendering with statements, in bytes: more than the deepest value that fuel can make needs.
const STACK_BYTES: usize = 256 << 20;
const TOO_MUCH: &str = "it does more than a template may (template_fuel)";
/// The name of the template of a text.
const WHOLE: &str = "template";
/// Where a template that is one expression leaves its value.
const RESULT: &str = "result";

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    /// The JSON around the texts; none for a text.
    json: Option<Value>,
    /// Whether it has more than expressions.
    has_statements: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence with the line where it does not read.
    pub fn parse(template: &Value) -> Result<Self, String> {
        let bytes = template.as_str().map_or_else(|| template.to_string().len(), str::len);
        if bytes > TEMPLATE_BYTES_MAX {
            return Err(format!("has {bytes} bytes: at most {TEMPLATE_BYTES_MAX} (template_bytes_max)"));
        }
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
        environment.add_filter("slack", |text: String| slack::escape(&text));
        // The library's own would escape for HTML, which is right nowhere here.
        environment.add_filter("tojson", |value: minijinja::Value| {
            serde_json::to_string(&value).unwrap_or_default()
        });
        let json = match template {
            Value::String(text) => {
                add(&mut environment, WHOLE, text)?;
                None
            }
            Value::Object(_) | Value::Array(_) => {
                add_texts(&mut environment, template)?;
                Some(template.clone())
            }
            _ => return Err("must be a text, an object or a list".to_owned()),
        };
        let has_statements = template.to_string().contains("{%");
        Ok(Self { environment, json, has_statements })
    }

    /// Renders the template over an event whose payload is `data` by now.
    ///
    /// # Errors
    /// A sentence on what went wrong, with the line.
    pub fn render(&self, event: &Event<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        // Statements can nest a value in itself as often as fuel lasts, and the library goes down recursively when it is
        // written, compared or dropped. What is reserved here costs memory only where it is used.
        match self.has_statements {
            true => stacker::grow(STACK_BYTES, || self.render_here(event, data)),
            false => self.render_here(event, data),
        }
    }

    fn render_here(&self, event: &Event<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        let not_json = |error: serde_json::Error| format!("the event is not JSON: {error}");
        let (data, context) = (tree::mended(data), tree::mended(event.context_json()));
        let seen = context! {
            id => event.id,
            type => event.event_type,
            time => event.time.to_string(),
            data => minijinja::Value::from(Serde(Tree::parse(&data).map_err(not_json)?)),
            context => minijinja::Value::from(Serde(Tree::parse(&context).map_err(not_json)?)),
        };
        let mut out = Output { bytes: Vec::new(), fuel: FUEL };
        match &self.json {
            None => {
                let text = self.rendered(WHOLE, &seen, &mut out)?.into_output();
                out.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
            }
            Some(json) => self.fill(json, &seen, &mut out)?,
        }
        Ok(out.bytes)
    }

    /// Whether it is JSON around texts.
    pub(crate) const fn is_json(&self) -> bool {
        self.json.is_some()
    }

    /// Renders one of the texts, and takes what it needed from the fuel.
    fn rendered(
        &self,
        name: &str,
        seen: &minijinja::Value,
        out: &mut Output,
    ) -> Result<Captured<'_>, String> {
        let template = self.environment.get_template(name).map_err(|error| explain(&error))?;
        let rendered = template.render_captured(seen.clone()).map_err(|error| explain(&error))?;
        let used = rendered.state().fuel_levels().map_or(0, |(used, _)| used);
        out.fuel = out.fuel.checked_sub(used.max(1)).ok_or(TOO_MUCH)?;
        Ok(rendered)
    }

    /// Writes the JSON, its texts rendered.
    fn fill(&self, json: &Value, seen: &minijinja::Value, out: &mut Output) -> Result<(), String> {
        let failed = |error: serde_json::Error| error.to_string();
        match json {
            Value::String(text) => {
                let rendered = self.rendered(text, seen, out)?;
                match expression(text) {
                    Some(_) => {
                        let value = rendered.state().lookup(RESULT).unwrap_or_default();
                        serde_json::to_writer(out, &value).map_err(failed)?;
                    }
                    None => serde_json::to_writer(out, rendered.output()).map_err(failed)?,
                }
            }
            Value::Array(items) => {
                out.put(b"[")?;
                for (index, item) in items.iter().enumerate() {
                    out.put(if index > 0 { b"," } else { b"" })?;
                    self.fill(item, seen, out)?;
                }
                out.put(b"]")?;
            }
            Value::Object(members) => {
                out.put(b"{")?;
                for (index, (name, value)) in members.iter().enumerate() {
                    out.put(if index > 0 { b"," } else { b"" })?;
                    serde_json::to_writer(&mut *out, name).map_err(failed)?;
                    out.put(b":")?;
                    self.fill(value, seen, out)?;
                }
                out.put(b"}")?;
            }
            other => serde_json::to_writer(out, other).map_err(failed)?,
        }
        Ok(())
    }
}

/// What a rendering has made so far, and what it may still do.
struct Output {
    bytes: Vec<u8>,
    fuel: u64,
}

impl Output {
    fn put(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.write_all(bytes).map_err(|error| error.to_string())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > SHAPED_BODY_BYTES_MAX {
            let what = format!("it made more than {SHAPED_BODY_BYTES_MAX} bytes (shaped_body_bytes_max)");
            return Err(io::Error::other(what));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The expression that a text is, if it is one and nothing else.
fn expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    let is_one = !inner.contains("{{") && !inner.contains("}}") && !inner.contains("{%");
    is_one.then(|| inner.trim_matches('-').trim())
}

fn add(environment: &mut Environment<'static>, name: &str, text: &str) -> Result<(), String> {
    environment.add_template_owned(name.to_owned(), text.to_owned()).map_err(|error| explain(&error))
}

/// Adds every text of the JSON under itself as its name.
fn add_texts(environment: &mut Environment<'static>, json: &Value) -> Result<(), String> {
    match json {
        Value::String(text) => match expression(text) {
            Some(source) => {
                environment.compile_expression(source).map_err(|error| explain(&error))?;
                add(environment, text, &format!("{{% set {RESULT} = ({source}) %}}"))
            }
            None => add(environment, text, text),
        },
        Value::Array(items) => items.iter().try_for_each(|item| add_texts(environment, item)),
        Value::Object(members) => members.values().try_for_each(|value| add_texts(environment, value)),
        _ => Ok(()),
    }
}

/// A sentence without the library's own framing.
fn explain(error: &minijinja::Error) -> String {
    let what = match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => TOO_MUCH.to_owned(),
        (kind, None) => kind.to_string(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line})"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use domain::clock::Timestamp;
    use serde_json::json;

    fn render(template: Value, payload: &str) -> Result<String, String> {
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let event = Event {
            id: "msg_1",
            event_type: "invoice.paid",
            time: Timestamp(1_800_000_000_000),
            payload: &payload,
            context: Some(r#"{"user":"Ann"}"#),
            headers: &[],
        };
        Template::parse(&template)?.render(&event, &payload).map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_text_sees_the_event_and_escapes_nothing() {
        let template = json!(
            "{{ id }} {{ type }} {{ time }} {{ data.name }} {{ data.none.deep }}{{ context.user }} {{ data|tojson }}"
        );
        assert_eq!(
            render(template, r#"{"name":"<b>","n":1}"#).unwrap(),
            r#"msg_1 invoice.paid 2027-01-15T08:00:00Z <b> Ann {"name":"<b>","n":1}"#
        );
    }

    #[test]
    fn json_keeps_types_where_a_text_is_one_expression() {
        let template = json!({"amount": "{{ data.amount }}", "list": ["{{ data.tags }}"], "text": "{{ data.amount }} EUR", "x": 1, "none": "{{ data.nobody }}"});
        let out: Value =
            serde_json::from_str(&render(template, r#"{"amount":12,"tags":["a\"b"]}"#).unwrap()).unwrap();
        assert_eq!(out, json!({"amount": 12, "list": [["a\"b"]], "text": "12 EUR", "x": 1, "none": null}));
    }

    #[test]
    fn what_does_not_read_or_does_too_much_is_told_with_its_line() {
        assert!(render(json!("a\n{{ data."), "{}").unwrap_err().contains("line 2"));
        assert!(render(json!({"a": "{% if %}"}), "{}").is_err());
        assert!(render(json!(1), "{}").is_err());
        let doubling = "{% set x = 'x' * 1000 %}".to_owned() + &"{% set x = x ~ x %}".repeat(40) + "{{ x }}";
        let loops = "{% for i in range(9999) %}{% for j in range(9999) %}x{% endfor %}{% endfor %}";
        let folded = "{{ data|tojson * 10000000 }}";
        for bomb in [
            &*doubling,
            loops,
            folded,
            "{{ 'x' * 99999999 }}",
            "{% macro f(s) %}{{ f(s~s) }}{% endmacro %}{{ f('xx') }}",
        ] {
            assert!(render(json!(bomb), "{\"a\":1}").is_err(), "{bomb}");
        }
    }

    #[test]
    fn values_may_be_nested_as_deep_as_fuel_lasts() {
        let brackets = ("[".repeat(40), "]".repeat(40));
        let nested = format!("{}ns.v{}", brackets.0, brackets.1);
        let deep = format!(
            "{{% set ns=namespace(v=1) %}}{{% for i in range(1300) %}}{{% set ns.v={nested} %}}{{% endfor %}}"
        );
        for end in
            ["ok", "{{ ns.v|tojson|length }}", "{{ ns.v == ns.v }}", "{{ ns.v }}", "{{ ns.v|string|length }}"]
        {
            // Whatever comes of it, it comes.
            let out = render(json!(format!("{deep}{end}")), "{}");
            println!("{end}: {:?}", out.map(|out| out.len()));
        }
    }

    #[test]
    fn texts_for_slack_escape_what_slack_wants_escaped() {
        let out = render(json!("{{ data.t|slack }}"), r#"{"t":"A/B & 'C' <d>"}"#);
        assert_eq!(out.unwrap(), "A/B &amp; 'C' &lt;d&gt;");
    }

    #[test]
    fn many_texts_have_no_more_than_one() {
        let payload = format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000));
        let told = render(json!(vec!["{{data}}"; 5_000]), &payload).unwrap_err();
        assert!(told.contains("shaped_body_bytes_max"), "{told}");
        let told = render(json!(vec!["{{ ('x' * 600000)|length }}"; 1_500]), "{}").unwrap_err();
        assert!(told.contains("template_fuel"), "{told}");
        let told = render(json!(vec!["{% for i in range(90) %}{% endfor %}-"; 1_500]), "{}").unwrap_err();
        assert!(told.contains("template_fuel"), "{told}");
    }
}
