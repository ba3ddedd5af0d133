//! Payloads against the schema of their event type, where the environment asks for it.
//!
//! Compiled schemas are kept for a second, and forgotten at once when an event type is changed here. Nothing is ever fetched:
//! a schema that refers elsewhere cannot be used, and says so.

use crate::App;
use crate::error::{Problems, Result};
use crate::ingest::NewEvent;
use domain::environment::{Environment, SchemaValidation};
use domain::event_type::EventType;
use domain::id::EnvironmentKey;
use domain::limit::PROBLEMS_MAX;
use foldhash::HashMap;
use jsonschema::{ValidationError, Validator};
use parking_lot::Mutex;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::StoreError;

/// How long a compiled schema is kept: another node may have changed it.
const KEPT: Duration = Duration::from_secs(1);
/// One violation, in characters.
const TOLD_CHARS_MAX: usize = 300;
/// Compiled schemas that are kept.
const KEPT_MAX: usize = 1_000;

/// A compiled schema; none where the event type has none; or why it cannot be used.
type Compiled = std::result::Result<Option<Arc<Validator>>, String>;

/// Compiled schemas, and when they were read.
#[derive(Default)]
pub(crate) struct Schemas(Mutex<HashMap<(EnvironmentKey, String), (Instant, Compiled)>>);

impl Schemas {
    /// Forgets what was read: an event type was changed.
    pub(crate) fn forget(&self) {
        self.0.lock().clear();
    }
}

impl App {
    /// Checks an event as its environment asks, and answers what it is to be warned of.
    ///
    /// # Errors
    /// `Invalid` with each violation, where they are refused.
    pub(crate) async fn check_schema(
        &self,
        environment: &Environment,
        event: &NewEvent,
    ) -> Result<Vec<String>> {
        let found = match self.compiled(environment.key, &event.event_type).await? {
            Ok(None) => return Ok(Vec::new()),
            Ok(Some(validator)) => violations(&validator, &event.payload),
            Err(why) => vec![(String::new(), why)],
        };
        if environment.settings.schema_validation == SchemaValidation::Enforce {
            let mut problems = Problems::default();
            for (place, what) in found {
                let names = place.split('/').skip(1).map(|name| Cow::Owned(name.to_owned()));
                problems.add_at(std::iter::once(Cow::Borrowed("payload")).chain(names), what);
            }
            problems.finish()?;
            return Ok(Vec::new());
        }
        let place = found.first().map(|(place, _)| format!("payload{place}")).unwrap_or_default();
        let told: Vec<_> = found.into_iter().map(|(place, what)| format!("payload{place}: {what}")).collect();
        if !told.is_empty() {
            tracing::warn!(
                event_type = event.event_type,
                violations = told.len(),
                first = place,
                "a payload does not fit its schema"
            );
        }
        Ok(told)
    }

    async fn compiled(&self, environment: EnvironmentKey, name: &str) -> Result<Compiled> {
        let key = (environment, name.to_owned());
        if let Some((read_at, compiled)) = self.inner.schemas.0.lock().get(&key)
            && read_at.elapsed() < KEPT
        {
            return Ok(compiled.clone());
        }
        let compiled = match self.store().event_type_get(environment, name).await {
            Ok(event_type) => compile(&event_type),
            Err(StoreError::NotFound) => Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut kept = self.inner.schemas.0.lock();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (Instant::now(), compiled.clone()));
        Ok(compiled)
    }
}

/// The newest version of an event type's schema.
#[must_use]
pub fn newest(event_type: &EventType) -> Option<&Value> {
    let schemas = event_type.fields.schemas.as_ref()?;
    schemas.iter().max_by_key(|(version, _)| version.parse::<u64>().ok()).map(|(_, schema)| schema)
}

fn compile(event_type: &EventType) -> Compiled {
    let Some(schema) = newest(event_type) else { return Ok(None) };
    let compiled = jsonschema::options().build(schema).map_err(|error| {
        let name = &event_type.name;
        format!("the schema of `{name}` cannot be used ({error}); what it refers to is never fetched: put it in under `$defs`")
    });
    compiled.map(|validator| Some(Arc::new(validator)))
}

/// Where a payload does not fit, and how; of the first `problems_max`.
fn violations(validator: &Validator, payload: &[u8]) -> Vec<(String, String)> {
    let Ok(payload) = serde_json::from_slice::<Value>(&shape::mended(payload)) else {
        return vec![(String::new(), "is not JSON".to_owned())];
    };
    let found = validator.iter_errors(&payload).take(PROBLEMS_MAX);
    // Without the value itself: it is the customer's, and may be the whole payload.
    let told =
        |error: &ValidationError<'_>| error.masked().to_string().chars().take(TOLD_CHARS_MAX).collect();
    found.map(|error| (error.instance_path().to_string(), told(&error))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_violation_is_told_with_its_place() {
        let schema = json!({"type": "object", "required": ["id"], "properties": {"lines": {"items": {"type": "number"}}}});
        let validator = jsonschema::validator_for(&schema).unwrap();
        let found = violations(&validator, br#"{"lines":[1,"two",null],"cut":"\ud83d"}"#);
        assert!(found.iter().all(|(_, what)| !what.contains("two")), "{found:?}");
        let places: Vec<_> = found.iter().map(|(place, _)| &**place).collect();
        assert_eq!(places, ["", "/lines/1", "/lines/2"]);
        assert!(found.iter().all(|(_, what)| !what.is_empty()));
    }

    #[test]
    fn what_is_elsewhere_is_never_fetched() {
        for address in ["https://example.com/schema.json", "http://127.0.0.1:1/x", "file:///etc/passwd"] {
            assert!(jsonschema::options().build(&json!({"$ref": address})).is_err(), "{address}");
        }
    }
}
