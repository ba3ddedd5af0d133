//! Applications: one for each customer of our user.

use crate::App;
use crate::audit::Deed;
use crate::audit_shown;
use crate::change::Change;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Principal, Right};
use domain::application::{Application, ApplicationFields};
use domain::audit::{Action, Difference};
use domain::name::{Metadata, check_metadata, check_name, check_uid};
use domain::page::{Page, Slice};
use domain::wire_id::Kind;
use std::sync::Arc;
use store::StoreError;
pub use store::application::ApplicationFilter;

/// Applications that are found by a part of their name.
const NAMED_MAX: usize = 50;

/// What a PATCH changes.
#[derive(Clone, Debug, Default)]
pub struct ApplicationPatch {
    /// The client's own id.
    pub uid: Change<String>,
    /// A name for people; it cannot be cleared.
    pub name: Option<String>,
    /// Messages a second over all endpoints.
    pub throttle_rate: Change<u16>,
    /// The client's own notes.
    pub metadata: Change<Metadata>,
}

impl App {
    /// Creates an application; with `get_if_exists` a known uid is answered with the existing one. The flag tells
    /// whether it was created.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`, `Conflict` when the uid is taken.
    pub async fn application_create(
        &self,
        principal: &Principal,
        fields: ApplicationFields,
        get_if_exists: bool,
    ) -> Result<(Application, bool)> {
        principal.may_in_environment(Right::Administer)?;
        if get_if_exists {
            return self.application_ensure(principal, fields).await;
        }
        check(&fields)?;
        let id = self.new_id(Kind::Application);
        let made = self.store().application_create(principal.environment.key, id, fields).await?;
        self.note_created(principal, &made).await;
        Ok((made, true))
    }

    /// The application with these fields' uid, created if it is not there.
    pub(crate) async fn application_ensure(
        &self,
        principal: &Principal,
        fields: ApplicationFields,
    ) -> Result<(Application, bool)> {
        check(&fields)?;
        let environment = principal.environment.key;
        let uid = fields.uid.clone();
        if let Some(found) =
            uid.as_deref().and_then(|uid| self.store().routing().application(environment, uid))
        {
            return Ok((Application::clone(&found), false));
        }
        let created =
            self.store().application_create(environment, self.new_id(Kind::Application), fields).await;
        match (created, uid) {
            // Someone else was faster.
            (Err(StoreError::Taken(_)), Some(uid)) => {
                Ok((self.store().application_find(environment, &uid).await?, false))
            }
            (created, _) => {
                let made = created?;
                self.note_created(principal, &made).await;
                Ok((made, true))
            }
        }
    }

    async fn note_created(&self, principal: &Principal, made: &Application) {
        let difference = Difference::made(&audit_shown::application(&made.fields));
        self.note_application(principal, made, (Action::ApplicationCreated, difference)).await;
    }

    async fn note_application(
        &self,
        principal: &Principal,
        application: &Application,
        (action, difference): (Action, Difference),
    ) {
        let deed = Deed::new(action, &*application.id, application.called()).with(difference);
        self.note_deed(principal, Some(application), deed).await;
    }

    async fn note_changed(&self, principal: &Principal, (before, after): (&Application, &Application)) {
        let (old, new) = (audit_shown::application(&before.fields), audit_shown::application(&after.fields));
        if let Some(difference) = Difference::between(&old, &new) {
            self.note_application(principal, after, (Action::ApplicationChanged, difference)).await;
        }
    }

    /// The application of this id or uid.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub fn application_get(&self, principal: &Principal, id: &str) -> Result<Arc<Application>> {
        self.workspace(principal, id, Right::Read)
    }

    /// A page of the environment's applications.
    ///
    /// # Errors
    /// `Forbidden`.
    pub async fn application_list(
        &self,
        principal: &Principal,
        filter: ApplicationFilter,
        page: Page<String>,
    ) -> Result<Slice<Application>> {
        principal.may_in_environment(Right::Read)?;
        Ok(self.store().application_list(principal.environment.key, filter, page).await?)
    }

    /// Those of the environment whose name or uid holds a text, in whatever case; the first fifty by name.
    ///
    /// # Errors
    /// `Forbidden`.
    pub fn applications_named(&self, principal: &Principal, text: &str) -> Result<Vec<Arc<Application>>> {
        principal.may_in_environment(Right::Read)?;
        let wanted = text.to_lowercase();
        let holds = |application: &Application| {
            let uid = application.fields.uid.as_deref().unwrap_or_default();
            application.fields.name.to_lowercase().contains(&wanted) || uid.to_lowercase().contains(&wanted)
        };
        let mut found = self.store().routing().applications_where(principal.environment.key, &holds);
        found.sort_by(|one, other| one.fields.name.cmp(&other.fields.name));
        found.truncate(NAMED_MAX);
        Ok(found)
    }

    /// What an application is called; its id where it has no name, and nothing when it is gone.
    #[must_use]
    pub fn application_name(&self, key: domain::id::ApplicationKey) -> String {
        let found = self.store().routing().application_by_key(key);
        found.map_or_else(String::new, |found| match &*found.fields.name {
            "" => found.id.clone(),
            name => name.to_owned(),
        })
    }

    /// Replaces an application's fields, or creates it under this uid. The flag tells whether it was created.
    ///
    /// A uid in the path counts as given when the fields have none.
    ///
    /// # Errors
    /// `Invalid`, `Forbidden`, `Conflict`; `NotFound` for an unknown id that is not a uid.
    pub async fn application_put(
        &self,
        principal: &Principal,
        id: &str,
        mut fields: ApplicationFields,
    ) -> Result<(Application, bool)> {
        principal.may_in_environment(Right::Administer)?;
        if fields.uid.is_none() && !id.starts_with(Kind::Application.prefix()) {
            fields.uid = Some(id.to_owned());
        }
        check(&fields)?;
        let there = match self.workspace(principal, id, Right::Administer) {
            Err(AppError::NotFound) if !id.starts_with(Kind::Application.prefix()) => {
                let new = self.new_id(Kind::Application);
                let create = self.store().application_create(principal.environment.key, new, fields.clone());
                match create.await {
                    // Someone else was faster, or the fields' uid is another's: only the path's own is updated.
                    Err(taken @ StoreError::Taken(_)) => {
                        self.workspace(principal, id, Right::Administer).map_err(|_| taken)?
                    }
                    created => {
                        let made = created?;
                        self.note_created(principal, &made).await;
                        return Ok((made, true));
                    }
                }
            }
            found => found?,
        };
        let after = self.store().application_update(there.key, Box::new(move |_| fields.clone())).await?;
        self.note_changed(principal, (&there, &after)).await;
        Ok((after, false))
    }

    /// Changes some of an application's fields.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`, `Conflict`.
    pub async fn application_patch(
        &self,
        principal: &Principal,
        id: &str,
        patch: ApplicationPatch,
    ) -> Result<Application> {
        principal.may_in_environment(Right::Administer)?;
        let found = self.workspace(principal, id, Right::Administer)?;
        // No rule is about two fields, so what is good with the fields of this moment is good with later ones.
        check(&patch.clone().apply(found.fields.clone()))?;
        let change = move |now: &Application| patch.clone().apply(now.fields.clone());
        let after = self.store().application_update(found.key, Box::new(change)).await?;
        self.note_changed(principal, (&found, &after)).await;
        Ok(after)
    }

    /// Deletes an application with its endpoints.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn application_delete(&self, principal: &Principal, id: &str) -> Result<()> {
        principal.may_in_environment(Right::Administer)?;
        let found = self.workspace(principal, id, Right::Administer)?;
        self.store().application_delete(found.key).await?;
        self.inner.sessions.forget_application(found.key);
        let difference = Difference::gone(&audit_shown::application(&found.fields));
        self.note_application(principal, &found, (Action::ApplicationDeleted, difference)).await;
        Ok(())
    }
}

impl ApplicationPatch {
    fn apply(self, mut fields: ApplicationFields) -> ApplicationFields {
        self.uid.apply_to(&mut fields.uid);
        self.throttle_rate.apply_to(&mut fields.throttle_rate);
        self.metadata.apply_or_default(&mut fields.metadata);
        fields.name = self.name.unwrap_or(fields.name);
        fields
    }
}

fn check(fields: &ApplicationFields) -> Result<()> {
    let mut problems = Problems::default();
    if fields.name.is_empty() {
        problems.add("name", "must have at least 1 character");
    }
    problems.check("name", check_name(&fields.name));
    if let Some(uid) = &fields.uid {
        problems.check("uid", check_uid(uid, Kind::Application));
    }
    problems.check("metadata", check_metadata(&fields.metadata));
    check_throttle(&mut problems, fields.throttle_rate);
    problems.finish()
}

pub(crate) fn check_throttle(problems: &mut Problems, rate: Option<u16>) {
    if rate == Some(0) {
        problems.add(
            "throttleRate",
            "0 would never send: give at least 1 message a second, or null for no limit",
        );
    }
}
