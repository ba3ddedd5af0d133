//! Operational webhooks: endpoints of an application that no path names. Their use cases are those of endpoints, asked by a
//! principal whose scope is that application.

use crate::App;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Principal, Right, Scope};
use domain::application::ApplicationFields;
use domain::endpoint::{Endpoint, EndpointFields};
use domain::operational::{EVENT_TYPES, application_id};
use domain::page::{Page, Slice};
use store::StoreError;

/// What the application is called, where only we see it.
const NAME: &str = "Operational webhooks";

impl App {
    /// The same principal, for the environment's operational webhooks.
    ///
    /// # Errors
    /// `Forbidden` for one that speaks for a single application, or below the role of an administrator: operational webhooks hear
    /// of all applications.
    pub fn operational(&self, principal: &Principal) -> Result<Principal> {
        principal.may_in_environment(Right::Administer)?;
        Ok(Principal { scope: Scope::Operational, ..principal.clone() })
    }

    /// The same, with the application made if it is not there.
    ///
    /// # Errors
    /// As [`App::operational`]; `Unavailable`.
    pub async fn operational_ensured(&self, principal: &Principal) -> Result<Principal> {
        let operational = self.operational(principal)?;
        let environment = &principal.environment;
        for _ in 0..HEARD_TRIES {
            if self.store().routing().operational(environment.key).is_some() {
                return Ok(operational);
            }
            let fields = ApplicationFields { name: NAME.into(), ..ApplicationFields::default() };
            let id = application_id(&environment.id);
            match self.store().application_create(environment.key, id, fields).await {
                Ok(_) => {}
                // Somebody else was faster; here it is heard of in a moment.
                Err(StoreError::Taken(_)) => tokio::time::sleep(HEARD_OF).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(AppError::Unavailable("the application of operational webhooks is not heard of yet".into()))
    }

    /// A page of the environment's operational webhooks.
    ///
    /// # Errors
    /// As [`App::operational`].
    pub async fn operational_list(
        &self,
        principal: &Principal,
        page: Page<String>,
    ) -> Result<Slice<Endpoint>> {
        match self.endpoint_list(&self.operational(principal)?, "", page).await {
            // There never were any.
            Err(AppError::NotFound) => Ok(Slice { items: Vec::new(), done: true }),
            found => found,
        }
    }
}

/// How often it is looked for.
const HEARD_TRIES: u32 = 100;
/// How long it takes to hear what another node made.
const HEARD_OF: std::time::Duration = std::time::Duration::from_millis(50);

/// Notes what would have no effect: operational events have no channels, and no filter is asked for them.
pub(crate) fn check_options(fields: &EndpointFields, problems: &mut Problems) {
    if fields.channels.is_some() {
        problems.add("channels", "operational events have no channels: leave this out");
    }
    if fields.options.filter.is_some() {
        problems.add("filter", "operational webhooks have no filter: choose `eventTypes`");
    }
}

/// Notes event types that are not operational ones.
pub(crate) fn check_event_types(names: &[String], problems: &mut Problems) {
    let unknown: Vec<_> =
        names.iter().filter(|name| !EVENT_TYPES.contains(&name.as_str())).cloned().collect();
    if !unknown.is_empty() {
        let (unknown, known) = (unknown.join("`, `"), EVENT_TYPES.join("`, `"));
        problems.add("eventTypes", format!("`{unknown}` are no operational events: `{known}` are allowed"));
    }
}
