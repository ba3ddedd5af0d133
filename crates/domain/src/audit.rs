//! The audit log: who did what to what, when, and from where; what it was before and after, without secrets.

use crate::api_key::ApiKey;
use crate::clock::Timestamp;
use crate::id::{ApplicationKey, EnvironmentKey};
use crate::user::User;
use crate::wire_id::Kind;
use crate::word::{Worded, worded};
use serde_json::{Map, Value};

/// How long entries are kept, in milliseconds (400 days): a year, and time to look back at it.
pub const AUDIT_KEPT_MS: i64 = 400 * 86_400_000;
/// Characters of one text in an entry; a longer one (a transformation's code) is cut.
const TEXT_CHARS_MAX: usize = 1_000;
/// What stands for a secret.
pub const HIDDEN: &str = "hidden";
/// What stands for a secret that became another one.
pub const REPLACED: &str = "hidden, replaced";

worded!(
    /// What somebody who acts is.
    ActorKind {
        /// Somebody who is not signed in.
        Nobody = "nobody",
        /// A user of the console.
        User = "user",
        /// An API key.
        ApiKey = "api_key",
        /// A token of an environment, or of one application.
        Token = "token",
        /// Whoever came by a portal link.
        Guest = "guest",
        /// Whoever runs the server, by a command.
        Operator = "operator",
        /// The server itself.
        Server = "server",
    }
);

/// Who acts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actor {
    /// What they are.
    pub kind: ActorKind,
    /// The wire id: `user_…`, a key's, or of what a token opens. Empty where there is none.
    pub id: String,
    /// A user's address, a key's name, what the back end calls a guest's session.
    pub name: String,
}

impl Actor {
    /// This user.
    #[must_use]
    pub fn user(user: &User) -> Self {
        Self { kind: ActorKind::User, id: user.id.clone(), name: user.email.clone() }
    }

    /// This key.
    #[must_use]
    pub fn api_key(key: &ApiKey) -> Self {
        Self { kind: ActorKind::ApiKey, id: key.id.clone(), name: key.name.clone() }
    }

    /// Whoever has a token of the environment or application of this id.
    #[must_use]
    pub fn token(id: &str) -> Self {
        Self { kind: ActorKind::Token, id: id.to_owned(), name: String::new() }
    }

    /// One that is known by its kind alone.
    #[must_use]
    pub const fn of(kind: ActorKind) -> Self {
        Self { kind, id: String::new(), name: String::new() }
    }

    /// What it is called, at the beginning of a sentence.
    #[must_use]
    pub fn called(&self) -> String {
        match self.kind {
            ActorKind::Nobody => "Somebody".into(),
            ActorKind::User => self.name.clone(),
            ActorKind::ApiKey if self.name.is_empty() => format!("The API key {}", self.id),
            ActorKind::ApiKey => format!("The API key {}", self.name),
            ActorKind::Token if self.id.starts_with(Kind::Application.prefix()) => {
                "A token of the application".into()
            }
            ActorKind::Token => "A token of the environment".into(),
            ActorKind::Guest if self.name.is_empty() => "A guest by a portal link".into(),
            ActorKind::Guest => format!("A guest by a portal link of the session {}", self.name),
            ActorKind::Operator => "A command on the server".into(),
            ActorKind::Server => "The server".into(),
        }
    }
}

/// Makes the actions: each with its word, and with the rest of a sentence that begins with who did it; `{}` in it stands for what it
/// was done to.
macro_rules! actions {
    ($($variant:ident = $word:literal, $phrase:literal;)+) => {
        worded!(
            /// What was done.
            Action { $(#[doc = $phrase] $variant = $word),+ }
        );

        impl Action {
            /// The rest of a sentence that begins with who did it; `{}` stands for what it was done to.
            #[must_use]
            pub const fn phrase(self) -> &'static str {
                match self { $(Self::$variant => $phrase),+ }
            }
        }
    };
}

actions! {
    EndpointCreated = "endpoint.created", "created the webhook {}";
    EndpointChanged = "endpoint.changed", "changed the webhook {}";
    EndpointDeleted = "endpoint.deleted", "deleted the webhook {}";
    EndpointEnabled = "endpoint.enabled", "enabled the webhook {}";
    EndpointDisabled = "endpoint.disabled", "disabled the webhook {}";
    EndpointPaused = "endpoint.paused", "paused the webhook {}";
    EndpointResumed = "endpoint.resumed", "resumed the webhook {}";
    HeadersChanged = "endpoint.headers_changed", "changed the headers of the webhook {}";
    SecretReplaced = "endpoint.secret_replaced", "replaced a secret of the webhook {}";
    SecretShown = "endpoint.secret_shown", "looked at the secret of the webhook {}";
    CredentialsShown = "endpoint.credentials_shown", "looked at the credentials of the webhook {}";
    TaskBegun = "task.begun", "began to send events again to the webhook {}";
    TaskCanceled = "task.canceled", "stopped the sending of events again to the webhook {}";
    MessageResent = "message.resent", "sent the message {} again";
    MessageExpunged = "message.expunged", "removed the payload of the message {}";
    AttemptExpunged = "attempt.expunged", "removed the stored answer of the attempt {}";
    ApplicationCreated = "application.created", "created the application {}";
    ApplicationChanged = "application.changed", "changed the application {}";
    ApplicationDeleted = "application.deleted", "deleted the application {}";
    EventTypeCreated = "event_type.created", "created the event type {}";
    EventTypeChanged = "event_type.changed", "changed the event type {}";
    EventTypeArchived = "event_type.archived", "archived the event type {}";
    EventTypeDeleted = "event_type.deleted", "deleted the event type {}";
    EnvironmentChanged = "environment.changed", "changed the settings of the environment {}";
    ApiKeyCreated = "api_key.created", "created the API key {}";
    ApiKeyRevoked = "api_key.revoked", "revoked the API key {}";
    PortalCreated = "portal.created", "made a portal link to {}";
    PortalsEnded = "portal.ended", "ended portal links to {}";
    NotifyChanged = "notify.changed", "changed who is told about the webhooks of {}";
    BrowserAdded = "notify.browser_added", "had a browser told about the webhooks of {}";
    BrowserRemoved = "notify.browser_removed", "had a browser told no more about the webhooks of {}";
    Unsubscribed = "notify.unsubscribed", "wanted no more e-mails about the webhooks of {}";
    SubscribedAgain = "notify.subscribed_again", "wanted e-mails about the webhooks of {} again";
    MemberAdded = "member.added", "made {} a member";
    MemberChanged = "member.changed", "changed the role of {}";
    MemberRemoved = "member.removed", "removed the member {}";
    UserCreated = "user.created", "made the account of {}";
    UserRenamed = "user.renamed", "changed the name of {}";
    PasswordChanged = "user.password_changed", "changed the password of {}";
    PasswordChosen = "user.password_chosen", "chose a password for {} by a link";
    PasswordForgotten = "user.password_forgotten", "asked for a link by which {} chooses a password";
    LinkMade = "user.link_made", "made a link that opens the account of {}";
    TotpOn = "user.totp_on", "switched the second factor of {} on";
    TotpOff = "user.totp_off", "switched the second factor of {} off";
    TotpReset = "user.totp_reset", "took the second factor of {} away";
    SignedIn = "session.signed_in", "signed in as {}";
    SignInFailed = "session.sign_in_failed", "tried to sign in as {}, and failed";
    SignedOut = "session.signed_out", "signed out of the account of {}";
    SignedOutEverywhere = "session.signed_out_everywhere", "signed out of the account of {} everywhere";
}

impl Action {
    /// The kind of what it was done to.
    #[must_use]
    pub fn subject_kind(self) -> &'static str {
        self.word().split_once('.').map_or("", |(kind, _)| kind)
    }
}

/// What something was done to: its wire id, and what it was called then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The wire id, or another name that stays.
    pub id: String,
    /// For people.
    pub name: String,
}

/// Fields before and after a change, by name: only those that changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// As they were; none where there was nothing before.
    pub before: Option<Value>,
    /// As they are now; none where nothing is left.
    pub after: Option<Value>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// When.
    pub at: Timestamp,
    /// The environment that it concerns; none is the whole instance.
    pub environment: Option<EnvironmentKey>,
    /// The application that it concerns, if it is one.
    pub application: Option<ApplicationKey>,
    /// What that was called then; empty without one.
    pub place: String,
    /// Who did it.
    pub actor: Actor,
    /// From which address; empty when it is not known.
    pub address: String,
    /// What.
    pub action: Action,
    /// To what.
    pub subject: Subject,
    /// What changed.
    pub difference: Difference,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key: later ones are higher.
    pub key: i64,
    /// What it says.
    pub new: NewEntry,
}

impl Difference {
    /// What differs between two objects; none when nothing does.
    #[must_use]
    pub fn between(before: &Value, after: &Value) -> Option<Self> {
        let (before, after) = (before.as_object()?, after.as_object()?);
        let pick = |from: &Map<String, Value>, other: &Map<String, Value>| -> Map<String, Value> {
            let differs = |(name, value): &(&String, &Value)| other.get(*name) != Some(value);
            from.iter().filter(differs).map(|(name, value)| (name.clone(), cut(value))).collect()
        };
        let (old, new) = (pick(before, after), pick(after, before));
        if old.is_empty() && new.is_empty() {
            return None;
        }
        let object = |fields| Some(without_nulls(Value::Object(fields)));
        Some(Self { before: object(old), after: object(new) })
    }

    /// Of something that was made.
    #[must_use]
    pub fn made(after: &Value) -> Self {
        Self { before: None, after: Some(without_nulls(cut(after))) }
    }

    /// Of something that is gone.
    #[must_use]
    pub fn gone(before: &Value) -> Self {
        Self { before: Some(without_nulls(cut(before))), after: None }
    }
}

/// A field without a value is as good as none.
fn without_nulls(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    value
}

/// A value whose texts are not too long.
fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) if text.chars().count() > TEXT_CHARS_MAX => {
            let start: String = text.chars().take(TEXT_CHARS_MAX).collect();
            Value::String(format!("{start}… ({} characters)", text.chars().count()))
        }
        Value::Array(items) => Value::Array(items.iter().map(cut).collect()),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), cut(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_is_told() {
        let before =
            json!({"url": "https://a.example", "disabled": false, "name": "Orders", "metadata": {"a": "1"}});
        let after = json!({"url": "https://a.example", "disabled": true, "metadata": {"a": "2"}});
        let found = Difference::between(&before, &after).unwrap();
        assert_eq!(found.before, Some(json!({"disabled": false, "name": "Orders", "metadata": {"a": "1"}})));
        assert_eq!(found.after, Some(json!({"disabled": true, "metadata": {"a": "2"}})));
        assert_eq!(Difference::between(&before, &before), None);
    }

    #[test]
    fn long_texts_are_cut_wherever_they_stand() {
        let long = "é".repeat(5_000);
        let after = Difference::made(&json!({"a": [{"b": long}]})).after.unwrap();
        let text = after["a"][0]["b"].as_str().unwrap();
        assert!(text.ends_with("é… (5000 characters)") && text.chars().count() < 1_030);
    }

    #[test]
    fn every_action_is_a_sentence_about_its_subject() {
        for action in Action::ALL {
            assert_eq!(action.phrase().matches("{}").count(), 1, "{}", action.word());
            assert!(!action.subject_kind().is_empty());
        }
        assert_eq!(Action::SecretShown.subject_kind(), "endpoint");
    }
}
