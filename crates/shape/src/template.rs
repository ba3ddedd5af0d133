//! Templates (Jinja's language, by minijinja): a text, or JSON whose texts are templates.
//!
//! They see `id`, `type`, `time`, `data` and `context`. Nothing is escaped by itself: `{{ data.name|tojson }}` writes JSON.
//! In JSON, a text that is one expression and nothing else (`"{{ data.amount }}"`) keeps the value's type. A member that is
//! not there is empty. One fuel bounds the time and the memory of a rendering.

use crate::event::Event;
use crate::tree::Tree;
use domain::limit::SHAPED_BODY_BYTES_MAX;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, context};
use serde_json::Value;

/// The work that one rendering may do: about as many instructions, or 64 bytes each.
const FUEL: u64 = 100_000;
/// The name of the template of a text.
const WHOLE: &str = "template";

/// A template that was read.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    /// The JSON around the texts; none for a text.
    json: Option<Value>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence with the line where it does not read.
    pub fn parse(template: &Value) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        environment.set_fuel(Some(FUEL));
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
        Ok(Self { environment, json })
    }

    /// Renders the template over an event whose payload is `data` by now.
    ///
    /// # Errors
    /// A sentence on what went wrong, with the line.
    pub fn render(&self, event: &Event<'_>, data: &[u8]) -> Result<Vec<u8>, String> {
        let not_json = |error: serde_json::Error| format!("the event is not JSON: {error}");
        let seen = context! {
            id => event.id,
            type => event.event_type,
            time => event.time.to_string(),
            data => minijinja::Value::from(Serde(Tree::parse(data).map_err(not_json)?)),
            context => minijinja::Value::from(Serde(Tree::parse(event.context_json()).map_err(not_json)?)),
        };
        let out = match &self.json {
            None => self.text(WHOLE, &seen)?.into_bytes(),
            Some(json) => serde_json::to_vec(&self.fill(json, &seen)?).unwrap_or_default(),
        };
        if out.len() > SHAPED_BODY_BYTES_MAX {
            return Err(format!("it made more than {SHAPED_BODY_BYTES_MAX} bytes (shaped_body_bytes_max)"));
        }
        Ok(out)
    }

    /// Whether it is JSON around texts.
    pub(crate) const fn is_json(&self) -> bool {
        self.json.is_some()
    }

    fn text(&self, name: &str, seen: &minijinja::Value) -> Result<String, String> {
        let template = self.environment.get_template(name).map_err(|error| explain(&error))?;
        template.render(seen.clone()).map_err(|error| explain(&error))
    }

    fn fill(&self, json: &Value, seen: &minijinja::Value) -> Result<Value, String> {
        Ok(match json {
            Value::String(text) => match expression(text) {
                Some(source) => {
                    let compiled =
                        self.environment.compile_expression(source).map_err(|error| explain(&error))?;
                    let value = compiled.eval(seen.clone()).map_err(|error| explain(&error))?;
                    serde_json::to_value(value).map_err(|error| error.to_string())?
                }
                None => Value::String(self.text(text, seen)?),
            },
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.fill(item, seen)).collect::<Result<_, _>>()?)
            }
            Value::Object(members) => {
                let fill = |(name, value): (&String, &Value)| Ok((name.clone(), self.fill(value, seen)?));
                Value::Object(members.iter().map(fill).collect::<Result<_, String>>()?)
            }
            other => other.clone(),
        })
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
            Some(source) => environment
                .compile_expression_owned(source.to_owned())
                .map(drop)
                .map_err(|error| explain(&error)),
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
        (ErrorKind::OutOfFuel, _) => "it does more than a template may (template_fuel)".to_owned(),
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
}
