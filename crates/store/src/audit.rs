//! Contract: the audit log. Entries are added and read, never changed; prune drops those that are old.

use crate::error::{Result, StoreError};
use async_trait::async_trait;
use domain::audit::{Action, Actor, ActorKind, Difference, Entry, NewEntry, Subject};
use domain::clock::Timestamp;
use domain::id::{ApplicationKey, EnvironmentKey};
use domain::page::{Page, Slice};
use domain::word::Worded;
use serde_json::Value;

/// Of what entries are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditOf {
    /// Of one application.
    Application(ApplicationKey),
    /// Of an environment, and what concerns the whole instance.
    Environment(EnvironmentKey),
}

/// Which entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Whose: an id or a name, or the word for a kind of actors.
    pub actor: Option<String>,
    /// What was done.
    pub action: Option<Action>,
}

/// What the store does with the audit log.
#[async_trait]
pub trait Audits: Send + Sync {
    /// Adds an entry.
    async fn audit_add(&self, entry: NewEntry) -> Result<()>;
    /// A page of entries, by key: newest first in descending order.
    async fn audit_list(&self, of: AuditOf, filter: AuditFilter, page: Page<i64>) -> Result<Slice<Entry>>;
}

/// The columns that [`Stored`] is read from.
pub(crate) const COLUMNS: &str = "key, at, environment, application, place, actor_kind, actor_id, actor_name, address, action, \
                                  subject_id, subject_name, before, after";

/// An entry's columns.
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) at: i64,
    pub(crate) environment: i64,
    pub(crate) application: i64,
    pub(crate) place: String,
    pub(crate) actor: (String, String, String),
    pub(crate) address: String,
    pub(crate) action: String,
    pub(crate) subject: (String, String),
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl Stored {
    /// The columns of an entry that has no key yet.
    pub(crate) fn of(entry: &NewEntry) -> Self {
        let column = |value: &Option<Value>| value.as_ref().map(Value::to_string);
        let actor = &entry.actor;
        Self {
            key: 0,
            at: entry.at.0,
            environment: entry.environment.map_or(0, |environment| environment.0),
            application: entry.application.map_or(0, |application| application.0),
            place: entry.place.clone(),
            actor: (actor.kind.word().to_owned(), actor.id.clone(), actor.name.clone()),
            address: entry.address.clone(),
            action: entry.action.word().to_owned(),
            subject: (entry.subject.id.clone(), entry.subject.name.clone()),
            before: column(&entry.difference.before),
            after: column(&entry.difference.after),
        }
    }

    /// Reads them back.
    pub(crate) fn read(self) -> Result<Entry> {
        let broken = |what: &str| StoreError::Broken(format!("a stored entry of the audit log has {what}"));
        let json = |text: Option<String>| {
            let read = text.map(|text| serde_json::from_str(&text)).transpose();
            read.map_err(|_| broken("fields that are no JSON"))
        };
        let (kind, id, name) = self.actor;
        let kind = ActorKind::from_word(&kind).ok_or_else(|| broken("an actor of no known kind"))?;
        let new = NewEntry {
            at: Timestamp(self.at),
            environment: (self.environment != 0).then_some(EnvironmentKey(self.environment)),
            application: (self.application != 0).then_some(ApplicationKey(self.application)),
            place: self.place,
            actor: Actor { kind, id, name },
            address: self.address,
            action: Action::from_word(&self.action)
                .ok_or_else(|| broken("an action that is none of ours"))?,
            subject: Subject { id: self.subject.0, name: self.subject.1 },
            difference: Difference { before: json(self.before)?, after: json(self.after)? },
        };
        Ok(Entry { key: self.key, new })
    }
}
