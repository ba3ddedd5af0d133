//! Notices: what happened to an application's webhooks, and what operational webhooks are told of changes that people make.

use crate::App;
use crate::audit_shown;
use crate::error::Result;
use crate::principal::{Principal, Right};
use domain::application::Application;
use domain::audit::{Action, Difference, NewEntry};
use domain::clock::Timestamp;
use domain::endpoint::{Endpoint, EndpointFields};
use domain::id::{ApplicationKey, EndpointKey};
use domain::notice::{Facts, NewNotice, Notice, NoticeKind, Subject, link};
use domain::operational::{endpoint_data, switched_data};
use domain::page::{Page, Slice};
use domain::task::Task;
use foldhash::HashMap;
use std::sync::Arc;
use store::endpoint::ChangeEndpoint;
pub use store::notice::Letter;
use store::notice::waiting;

/// A notice as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownNotice {
    /// The notice.
    pub notice: Notice,
    /// The wire id of its endpoint, also of a deleted one.
    pub endpoint: String,
    /// In a few words.
    pub title: String,
    /// In sentences.
    pub text: String,
    /// Where people see and mend it.
    pub link: String,
    /// How many events wait, where that matters; of the newest endpoints of a page.
    pub waiting: Option<u64>,
    /// Who was told of it, and by which way.
    pub letters: Vec<Letter>,
}

/// What operational webhooks are told of a change that a person makes.
#[derive(Clone)]
pub(crate) struct Teller {
    application: Arc<Application>,
    wanted: Vec<NoticeKind>,
    subject: String,
    now: Timestamp,
}

/// Endpoints of a page whose waiting events are counted.
const WAITING_MAX: usize = 20;

/// What a change of an endpoint can be.
const CHANGES: [NoticeKind; 6] = [
    NoticeKind::Created,
    NoticeKind::Updated,
    NoticeKind::Deleted,
    NoticeKind::Disabled,
    NoticeKind::Enabled,
    NoticeKind::TaskFinished,
];

impl Teller {
    fn silent(&self, endpoint: &Endpoint, kind: NoticeKind) -> Option<NewNotice> {
        let event = match kind {
            NoticeKind::Disabled | NoticeKind::Enabled => {
                switched_data(&self.application, endpoint, (None, false))
            }
            _ => endpoint_data(&self.application, (&endpoint.id, endpoint.fields.uid.as_deref())),
        };
        self.wanted.contains(&kind).then(|| {
            let of = (self.application.key, endpoint.key);
            NewNotice::silent(of, kind, (self.subject.clone(), self.now), Some(event))
        })
    }

    /// Of an endpoint that is made; it has no key yet.
    pub(crate) fn created(&self, id: &str, uid: Option<&str>) -> Option<NewNotice> {
        let kind = NoticeKind::Created;
        self.wanted.contains(&kind).then(|| {
            let of = (self.application.key, EndpointKey(0));
            let event = endpoint_data(&self.application, (id, uid));
            NewNotice::silent(of, kind, (id.to_owned(), self.now), Some(event))
        })
    }

    /// Of an endpoint that is deleted.
    pub(crate) fn deleted(&self, endpoint: &Endpoint) -> Option<NewNotice> {
        self.silent(endpoint, NoticeKind::Deleted)
    }

    /// Of an endpoint whose fields become these. Whoever was told that the server has disabled it is told that it is enabled.
    fn changed(&self, before: &Endpoint, after: &EndpointFields) -> Vec<NewNotice> {
        let mut notices = Vec::new();
        match (before.fields.disabled, after.disabled) {
            (false, true) => notices.extend(self.silent(before, NoticeKind::Disabled)),
            (true, false) => notices.extend(self.enabled(before)),
            _ => {}
        }
        notices.extend(self.silent(before, NoticeKind::Updated));
        notices
    }

    fn enabled(&self, before: &Endpoint) -> Option<NewNotice> {
        let kind = NoticeKind::Enabled;
        let Some(disabling) = &before.disabling else { return self.silent(before, kind) };
        let event = switched_data(&self.application, before, (None, false));
        let facts = Facts { since: Some(disabling.at.0), event: Some(event), ..Facts::default() };
        let of = (self.application.key, before.key);
        let is_theirs = !self.application.is_operational();
        is_theirs.then(|| NewNotice::new(of, kind, (disabling.at, self.now), facts))
    }

    /// Of a task that ends.
    pub(crate) fn ended(&self, task: &Task) -> Option<NewNotice> {
        let kind = NoticeKind::TaskFinished;
        let of = (task.application, task.endpoint);
        self.wanted.contains(&kind).then(|| NewNotice::silent(of, kind, (task.id.clone(), self.now), None))
    }
}

impl App {
    /// What operational webhooks are told of what happens in this application; nothing, when they are of it themselves.
    pub(crate) fn teller(&self, application: ApplicationKey) -> Option<Teller> {
        let routing = self.store().routing();
        let application = routing.application_by_key(application)?;
        let wanted = CHANGES.into_iter().filter(|kind| routing.is_told(&application, *kind)).collect();
        // Each change is told, also a second one in the same millisecond.
        let subject = format!("{:032x}", u128::from_be_bytes(self.random()));
        Some(Teller { application, wanted, subject, now: self.now() })
    }

    /// Changes an endpoint; with it goes what is to be told of that, and the entry of the audit log.
    pub(crate) async fn endpoint_change(
        &self,
        principal: &Principal,
        found: &Endpoint,
        mut change: ChangeEndpoint,
    ) -> Result<Endpoint> {
        let teller = self.teller(found.application);
        // What was done is known once it is done: everything else of the entry is known now.
        let unknown = (Action::EndpointChanged, Difference::default());
        let entry = self.entry_of_endpoint(principal, found, unknown);
        let told = move |now: &Endpoint| {
            let mut changed = change(now)?;
            changed.entry = audit_shown::changed(now, &changed).map(|(action, difference)| NewEntry {
                action,
                difference,
                ..entry.clone()
            });
            if let Some(teller) = &teller {
                let after = changed.fields.as_ref().unwrap_or(&now.fields);
                changed.notices.extend(teller.changed(now, after));
            }
            Ok(changed)
        };
        Ok(self.store().endpoint_update(found.key, Box::new(told)).await?)
    }

    /// A page of what happened to an application's webhooks, or to one of them.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn notice_list(
        &self,
        principal: &Principal,
        application: &str,
        endpoint: Option<&str>,
        page: Page<i64>,
    ) -> Result<Slice<ShownNotice>> {
        let application = self.workspace(principal, application, Right::Read)?;
        let endpoint = match endpoint {
            Some(id) => Some(self.store().endpoint_key(application.key, id).await?),
            None => None,
        };
        let found = self.store().notice_list(application.key, endpoint, page).await?;
        let keys = found.items.iter().map(|one| one.key).collect();
        let letters = self.store().letters(keys).await?;
        let ids = found.items.iter().map(|one| one.new.endpoint).collect();
        let ids = self.store().endpoint_ids(ids).await?;
        let mut waits = HashMap::default();
        for notice in &found.items {
            let endpoint = notice.new.endpoint;
            if waits.len() < WAITING_MAX && !waits.contains_key(&endpoint) {
                let waiting = waiting(&**self.store(), &notice.new, self.now()).await;
                waits.extend(waiting.map(|waiting| (endpoint, waiting)));
            }
        }
        let shown = |notice: Notice| {
            let mut of = self.subject_of(&application, notice.new.endpoint);
            let is_down =
                matches!(notice.new.kind, NoticeKind::Failing | NoticeKind::Disabled | NoticeKind::Exhausted);
            of.waiting = waits.get(&notice.new.endpoint).copied().filter(|_| is_down);
            let id = ids.iter().find(|(key, _)| *key == notice.new.endpoint).map(|(_, id)| id.clone());
            let theirs = letters.iter().filter(|(of, _)| *of == notice.key);
            let endpoint = id.unwrap_or_default();
            ShownNotice {
                link: link(&self.settings().public_url, &application.id, &endpoint),
                endpoint,
                waiting: of.waiting,
                title: notice.title(&of),
                text: notice.text(&of),
                letters: theirs.map(|(_, letter)| letter.clone()).collect(),
                notice,
            }
        };
        Ok(Slice { items: found.items.into_iter().map(shown).collect(), done: found.done })
    }

    fn subject_of(&self, application: &Application, endpoint: EndpointKey) -> Subject {
        let route = self.store().routing().route(endpoint);
        Subject {
            application: application.fields.name.clone(),
            endpoint: route.as_ref().map_or_else(|| "(deleted)".into(), |route| route.endpoint.name()),
            waiting: None,
        }
    }
}
