//! Event types: the environment's catalogue of what can happen.

use crate::App;
use crate::audit::Deed;
use crate::audit_shown;
use crate::change::Change;
use crate::environment::check_retries;
use crate::error::{AppError, Problems, Result};
use crate::list::{Rule, unique};
use crate::principal::{Principal, Right};
use domain::audit::{Action, Difference};
use domain::event_type::{EventType, EventTypeFields};
use domain::name::{check_description, check_plain, check_segment};
use domain::page::{Page, Slice};
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};
use store::StoreError;

/// Feature flags of one event type at most.
const FEATURE_FLAGS_MAX: usize = 50;

/// What a PATCH changes.
#[derive(Clone, Debug, Default)]
pub struct EventTypePatch {
    /// What the event means.
    pub description: Option<String>,
    /// No longer offered.
    pub archived: Option<bool>,
    /// Better not used.
    pub deprecated: Option<bool>,
    /// Version → JSON Schema.
    pub schemas: Change<Map<String, Value>>,
    /// A group for the catalogue.
    pub group_name: Change<String>,
    /// Who sees it.
    pub feature_flags: Change<Vec<String>>,
    /// Tries after the first one.
    pub max_attempts: Change<u8>,
    /// Seconds between tries.
    pub retry_schedule: Change<Vec<u32>>,
}

impl App {
    /// Creates an event type, or brings an archived one back with these fields.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`; `Conflict` with `event_type_exists` over a live one.
    pub async fn event_type_create(
        &self,
        principal: &Principal,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<EventType> {
        principal.may_in_environment(Right::Manage)?;
        let fields = checked(Some(name), fields)?;
        match self.store().event_type_create(principal.environment.key, name, fields).await {
            Err(StoreError::Taken(_)) => Err(AppError::Conflict {
                code: "event_type_exists",
                detail: format!("The event type `{name}` exists: change it with PUT or PATCH."),
            }),
            created => {
                self.inner.schemas.forget();
                let made = created?;
                self.note_event_type(principal, (None, Some(&made))).await;
                Ok(made)
            }
        }
    }

    /// The event type of this name.
    ///
    /// # Errors
    /// `NotFound`, also when its flags hide it from this principal.
    pub async fn event_type_get(&self, principal: &Principal, name: &str) -> Result<EventType> {
        principal.may(Right::Read)?;
        let found = self.store().event_type_get(principal.environment.key, name).await?;
        let shown = found.fields.shown_to(principal.feature_flags.as_deref());
        if shown { Ok(found) } else { Err(AppError::NotFound) }
    }

    /// A page of the catalogue, as this principal sees it.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn event_type_list(
        &self,
        principal: &Principal,
        archived_too: bool,
        page: Page<String>,
    ) -> Result<Slice<EventType>> {
        principal.may(Right::Read)?;
        let flags = principal.feature_flags.clone();
        Ok(self.store().event_type_list(principal.environment.key, archived_too, flags, page).await?)
    }

    /// Creates or replaces an event type. The flag tells whether it was created.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`.
    pub async fn event_type_put(
        &self,
        principal: &Principal,
        name: &str,
        fields: EventTypeFields,
    ) -> Result<(EventType, bool)> {
        principal.may_in_environment(Right::Manage)?;
        let environment = principal.environment.key;
        let mut fields = checked(Some(name), fields)?;
        // SDKs cannot send these: they stay.
        let there = self.store().event_type_get(environment, name).await.ok();
        if let Some(there) = &there {
            let (own, kept) = (&mut fields.retries, there.fields.retries.clone());
            own.max_attempts = own.max_attempts.or(kept.max_attempts);
            own.retry_schedule = own.retry_schedule.take().or(kept.retry_schedule);
        }
        let put = self.store().event_type_put(environment, name, fields).await;
        self.inner.schemas.forget();
        let (made, is_new) = put?;
        self.note_event_type(principal, (there.as_ref().filter(|_| !is_new), Some(&made))).await;
        Ok((made, is_new))
    }

    /// Changes some of an event type's fields.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`.
    pub async fn event_type_patch(
        &self,
        principal: &Principal,
        name: &str,
        patch: EventTypePatch,
    ) -> Result<EventType> {
        principal.may_in_environment(Right::Manage)?;
        let environment = principal.environment.key;
        let mut tried = EventTypeFields::default();
        patch.clone().apply(&mut tried);
        checked(None, tried)?;
        let change = move |now: &EventType| {
            let mut fields = now.fields.clone();
            patch.clone().apply(&mut fields);
            fields
        };
        let before = self.store().event_type_get(environment, name).await?;
        let changed = self.store().event_type_update(environment, name, Box::new(change)).await;
        self.inner.schemas.forget();
        let changed = changed?;
        self.note_event_type(principal, (Some(&before), Some(&changed))).await;
        Ok(changed)
    }

    /// Archives an event type, or deletes it for good.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn event_type_delete(&self, principal: &Principal, name: &str, expunge: bool) -> Result<()> {
        principal.may_in_environment(Right::Manage)?;
        let environment = principal.environment.key;
        self.inner.schemas.forget();
        let before = self.store().event_type_get(environment, name).await?;
        if expunge {
            self.store().event_type_expunge(environment, name).await?;
            self.note_event_type(principal, (Some(&before), None)).await;
            return Ok(());
        }
        let archive = |now: &EventType| EventTypeFields { archived: true, ..now.fields.clone() };
        let after = self.store().event_type_update(environment, name, Box::new(archive)).await?;
        self.note_event_type(principal, (Some(&before), Some(&after))).await;
        Ok(())
    }

    async fn note_event_type(
        &self,
        principal: &Principal,
        (before, after): (Option<&EventType>, Option<&EventType>),
    ) {
        let shown = |one: &EventType| audit_shown::event_type(&one.fields);
        let (action, difference) = match (before, after) {
            (None, Some(made)) => (Action::EventTypeCreated, Some(Difference::made(&shown(made)))),
            (Some(gone), None) => (Action::EventTypeDeleted, Some(Difference::gone(&shown(gone)))),
            (Some(before), Some(after)) => {
                let is_archived = after.fields.archived && !before.fields.archived;
                let action = if is_archived { Action::EventTypeArchived } else { Action::EventTypeChanged };
                (action, Difference::between(&shown(before), &shown(after)))
            }
            (None, None) => return,
        };
        let (Some(difference), Some(one)) = (difference, after.or(before)) else { return };
        let deed = Deed::new(action, &*one.name, &*one.name).with(difference);
        self.note_deed(principal, None, deed).await;
    }
}

impl EventTypePatch {
    fn apply(self, fields: &mut EventTypeFields) {
        self.schemas.apply_to(&mut fields.schemas);
        self.group_name.apply_to(&mut fields.group_name);
        self.feature_flags.apply_to(&mut fields.feature_flags);
        self.max_attempts.apply_to(&mut fields.retries.max_attempts);
        self.retry_schedule.apply_to(&mut fields.retries.retry_schedule);
        if let Some(description) = self.description {
            fields.description = description;
        }
        fields.archived = self.archived.unwrap_or(fields.archived);
        fields.deprecated = self.deprecated.unwrap_or(fields.deprecated);
    }
}

fn checked(name: Option<&str>, fields: EventTypeFields) -> Result<EventTypeFields> {
    let mut problems = Problems::default();
    if let Some(name) = name {
        problems.check("name", check_plain(name).and_then(|()| check_segment(name)));
    }
    problems.check("description", check_description(&fields.description));
    if let Some(group) = &fields.group_name {
        problems.check("groupName", check_plain(group));
    }
    let flags = fields.feature_flags.as_deref();
    let rule = Rule { least: 1, most: FEATURE_FLAGS_MAX, limit: "feature_flags_max", item: check_plain };
    rule.check(&mut problems, "featureFlags", flags);
    check_retries(&fields.retries, &mut problems);
    for (version, schema) in fields.schemas.iter().flatten() {
        if let Some(wrong) = wrong_schema(schema) {
            problems.add_at(["schemas".into(), version.clone().into()], wrong);
        }
    }
    problems.finish()?;
    Ok(EventTypeFields { feature_flags: fields.feature_flags.map(unique), ..fields })
}

/// What keeps a value from being a JSON Schema. Nothing is fetched.
fn wrong_schema(schema: &Value) -> Option<String> {
    if !schema.is_object() {
        return Some("a JSON Schema is an object here".into());
    }
    let Err(error) = jsonschema::meta::validate(schema) else {
        // It may refer to what is not there, or hold a pattern that does not read.
        let unusable = jsonschema::options().build(schema).err()?;
        return Some(format!(
            "cannot be used: {unusable}; what it refers to is never fetched: put it in under `$defs`"
        ));
    };
    if let ValidationErrorKind::Referencing(_) = error.kind() {
        let named = schema.get("$schema").and_then(Value::as_str).unwrap_or_default();
        return Some(format!(
            "names the meta-schema `{named}`, and none is fetched: use draft 4, 6, 7, 2019-09 or 2020-12 of JSON Schema"
        ));
    }
    Some(format!("is not a JSON Schema, at `{}`: {error}", error.instance_path()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_is_checked_against_its_meta_schema() {
        assert_eq!(wrong_schema(&json!({"type": "object", "properties": {"a": {"type": "string"}}})), None);
        assert!(wrong_schema(&json!({"type": "objekt"})).unwrap().contains("/type"));
        assert!(wrong_schema(&json!("object")).is_some());
        for unusable in [
            json!({"$ref": "https://example.com/x"}),
            json!({"$ref": "#/nope"}),
            json!({"type": "string", "pattern": "("}),
        ] {
            assert!(wrong_schema(&unusable).is_some(), "{unusable}");
        }
        assert!(wrong_schema(&json!({"$schema": "https://example.com/unknown", "type": 1})).is_some());
    }

    #[test]
    fn wrong_fields_are_all_named_at_once() {
        let fields = EventTypeFields {
            group_name: Some("no spaces".into()),
            feature_flags: Some(vec![]),
            schemas: json!({"1": {"type": 7}}).as_object().cloned(),
            ..EventTypeFields::default()
        };
        let Err(AppError::Invalid(problems)) = checked(Some("bad name"), fields) else {
            panic!("not refused")
        };
        let at: Vec<_> = problems.iter().map(|p| p.at.join("/")).collect();
        assert_eq!(at, ["body/name", "body/groupName", "body/featureFlags", "body/schemas/1"]);
    }
}
