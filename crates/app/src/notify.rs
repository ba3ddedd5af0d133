//! Who hears of endpoints that fail: the preferences of an application and of one endpoint, browsers, and the way out.

use crate::App;
use crate::audit::{Acting, Deed};
use crate::audit_shown;
use crate::change::Change;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Principal, Right};
use domain::application::Application;
use domain::audit::{Action, ActorKind, Difference, NewEntry};
use domain::confidential::Confidential;
use domain::notice::{Channel, NoticeKind};
use domain::notify::{Notify, Subscription};
use domain::wrong::{Found, Wrong};
use serde_json::json;
use std::sync::Arc;
pub use store::notify::StoredSubscription;
use url::Url;

/// What changes of preferences: absent keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotifyInput {
    /// Who gets e-mails.
    pub emails: Change<Vec<String>>,
    /// A URL that takes what Slack takes. What is shown of the one that is there keeps it.
    pub slack_url: Change<String>,
    /// Whether browsers are told.
    pub push: Change<bool>,
    /// Whether operational webhooks are told of an application; an endpoint does not say.
    pub operational_webhook: Change<bool>,
    /// Of what.
    pub kinds: Change<Vec<NoticeKind>>,
}

impl NotifyInput {
    /// The preferences after this change.
    #[must_use]
    pub fn apply(self, mut there: Notify) -> Notify {
        self.emails.apply_or_default(&mut there.emails);
        match self.slack_url {
            Change::Keep => {}
            Change::Clear => there.slack_url = None,
            Change::Set(url) if shown_slack(&there).as_deref() == Some(&*url) => {}
            Change::Set(url) => there.slack_url = Some(Confidential::new(url)),
        }
        let switch = |change, there: &mut bool| match change {
            Change::Keep => {}
            Change::Clear => *there = true,
            Change::Set(is_on) => *there = is_on,
        };
        switch(self.push, &mut there.push);
        switch(self.operational_webhook, &mut there.operational_webhook);
        self.kinds.apply_to(&mut there.kinds);
        there
    }
}

/// What may be seen of the Slack URL: whoever knows the rest can write there.
#[must_use]
pub fn shown_slack(notify: &Notify) -> Option<String> {
    let url = Url::parse(notify.slack_url.as_ref()?.reveal()).ok()?;
    Some(format!("{}/…", url.origin().ascii_serialization()))
}

/// An application's preferences, and who wants no e-mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownNotify {
    /// The preferences.
    pub notify: Notify,
    /// Those of its addresses that want none.
    pub unsubscribed: Vec<String>,
}

impl App {
    /// Who hears of an application's endpoints.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn notify_get(&self, principal: &Principal, application: &str) -> Result<ShownNotify> {
        let application = self.workspace(principal, application, Right::Read)?;
        let notify = self.store().notify_get(application.key).await?;
        let out = self.store().unsubscribed(application.key).await?;
        let recipients = &self.inner.recipients;
        let is_out = |email: &&String| out.contains(&recipients.print(Channel::Email, email));
        let unsubscribed = notify.emails.iter().filter(is_out).cloned().collect();
        Ok(ShownNotify { notify, unsubscribed })
    }

    /// Changes that.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid`.
    pub async fn notify_patch(
        &self,
        principal: &Principal,
        application: &str,
        input: NotifyInput,
    ) -> Result<ShownNotify> {
        let found = self.workspace(principal, application, Right::Manage)?;
        if input.operational_webhook != Change::Keep {
            // They are the environment's own.
            principal.may_in_environment(Right::Administer)?;
        }
        let has_new_url = matches!(input.slack_url, Change::Set(_));
        let before = self.store().notify_get(found.key).await?;
        let notify = input.apply(before.clone());
        let mut problems = Problems::default();
        let mut wrong = Vec::new();
        notify.check(&mut Found::new(&mut wrong));
        for Wrong { at, what } in wrong {
            problems.add_at(at, what);
        }
        if has_new_url && let Some(url) = &notify.slack_url {
            note(&mut problems, "slackUrl", self.check_target(url.reveal()));
        }
        problems.finish()?;
        self.store().notify_put(found.key, notify.clone()).await?;
        let (old, new) = (audit_shown::notify(&before, None), audit_shown::notify(&notify, Some(&before)));
        if let Some(difference) = Difference::between(&old, &new) {
            self.note_notify(principal, &found, (Action::NotifyChanged, difference)).await;
        }
        self.notify_get(principal, application).await
    }

    /// Browsers that are told of an application's endpoints.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn subscriptions(
        &self,
        principal: &Principal,
        application: &str,
    ) -> Result<Vec<StoredSubscription>> {
        let application = self.workspace(principal, application, Right::Read)?;
        Ok(self.store().subscriptions(application.key).await?)
    }

    /// Keeps a browser's subscription; the same one again is still one. Answers its id.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`, `Invalid` for keys that cannot be used or a push service that may not be reached; `Refused` when
    /// there are too many.
    pub async fn subscription_put(
        &self,
        principal: &Principal,
        application: &str,
        subscription: Subscription,
    ) -> Result<String> {
        let application = self.workspace(principal, application, Right::Send)?;
        let mut problems = Problems::default();
        note(&mut problems, "endpoint", self.check_target(subscription.endpoint.reveal()));
        note(&mut problems, "keys", courier::check_keys(&subscription.p256dh, &subscription.auth));
        problems.finish()?;
        let place = format!("{} {}", application.id, subscription.endpoint.reveal());
        let id = format!("push_{}", self.inner.recipients.print(Channel::Push, &place));
        self.store().subscription_put(application.key, id.clone(), subscription).await?;
        let made = Difference::made(&json!({"subscription": id}));
        self.note_notify(principal, &application, (Action::BrowserAdded, made)).await;
        Ok(id)
    }

    /// Forgets a browser.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn subscription_delete(
        &self,
        principal: &Principal,
        application: &str,
        id: &str,
    ) -> Result<()> {
        let application = self.workspace(principal, application, Right::Send)?;
        self.store().subscription_delete(application.key, id).await?;
        let gone = Difference::gone(&json!({"subscription": id}));
        self.note_notify(principal, &application, (Action::BrowserRemoved, gone)).await;
        Ok(())
    }

    async fn note_notify(
        &self,
        principal: &Principal,
        application: &Application,
        (action, difference): (Action, Difference),
    ) {
        let deed = Deed::new(action, &*application.id, application.called()).with(difference);
        self.note_deed(principal, Some(application), deed).await;
    }

    /// The names of the applications whose e-mails the bearer of this link gets, and whether it still wants any.
    ///
    /// # Errors
    /// `NotFound` for a link that is not ours, or whose applications are gone.
    pub async fn unsubscribe_look(&self, token: &str) -> Result<(Vec<String>, bool)> {
        let (applications, print) = self.unsubscribable(token)?;
        let mut is_wanted = false;
        for application in &applications {
            let out = self.store().unsubscribed(application.key).await?;
            is_wanted |= !out.iter().any(|one| one == print);
        }
        Ok((names(&applications), is_wanted))
    }

    /// Sends the bearer of this link no more e-mails about its applications, or sends them again. Answers their names.
    ///
    /// # Errors
    /// As [`App::unsubscribe_look`].
    pub async fn unsubscribe(&self, token: &str, wants_none: bool) -> Result<Vec<String>> {
        let (applications, print) = self.unsubscribable(token)?;
        for application in &applications {
            self.store().unsubscribe(application.key, print, wants_none).await?;
            let action = if wants_none { Action::Unsubscribed } else { Action::SubscribedAgain };
            let deed = Deed::new(action, &*application.id, application.called());
            let entry = self.entry_of_instance(&Acting::of(ActorKind::Nobody), deed);
            let (environment, key) = (Some(application.environment), Some(application.key));
            self.note(NewEntry { environment, application: key, ..entry }).await;
        }
        Ok(names(&applications))
    }

    fn unsubscribable<'a>(&self, token: &'a str) -> Result<(Vec<Arc<Application>>, &'a str)> {
        let read = self.inner.recipients.read_token(token);
        let (ids, print) = read.ok_or(AppError::NotFound)?;
        let found = ids.into_iter().filter_map(|id| self.store().routing().application_by_id(id));
        let applications: Vec<_> = found.collect();
        if applications.is_empty() { Err(AppError::NotFound) } else { Ok((applications, print)) }
    }

    /// By which key browsers know this instance's pushes, in base64url.
    #[must_use]
    pub fn push_key(&self) -> String {
        self.inner.parts.courier.push_key()
    }
}

fn names(applications: &[Arc<Application>]) -> Vec<String> {
    applications.iter().map(|application| application.fields.name.clone()).collect()
}

fn note<E: ToString>(problems: &mut Problems, field: &'static str, checked: Result<(), E>) {
    if let Err(what) = checked {
        problems.add(field, what);
    }
}
