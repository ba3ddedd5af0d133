//! What people see of endpoints at a glance: how many there are, how their last attempts went, who gets what.

use crate::App;
use crate::endpoint::STATS_DAYS_MAX;
use crate::error::Result;
use crate::principal::{Place, Right};
use domain::endpoint::Endpoint;
use domain::id::ApplicationKey;
use std::sync::Arc;
pub use store::attempt::Mark;

/// Endpoints that are named for an event type.
const WANTING_MAX: usize = 100;
/// Attempts that a glance at an endpoint shows.
const MARKS: u16 = 30;

impl App {
    /// How many endpoints an application has, and how many of them are disabled.
    #[must_use]
    pub fn endpoint_numbers(&self, application: ApplicationKey) -> (usize, usize) {
        let routes = self.store().routing().routes(application);
        (routes.len(), routes.iter().filter(|route| route.endpoint.fields.disabled).count())
    }

    /// The application's endpoints that get events of this type; the first hundred.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub fn endpoints_wanting(&self, at: Place<'_>, event_type: &str) -> Result<Vec<Arc<Endpoint>>> {
        let application = self.workspace(at.principal, at.application, Right::Read)?;
        let routes = self.store().routing().routes(application.key);
        let wanting = routes.iter().filter(|route| route.endpoint.wants(event_type, &[]));
        Ok(wanting.take(WANTING_MAX).map(|route| Arc::clone(&route.endpoint)).collect())
    }

    /// How the latest attempts of these endpoints went: thirty of each, of the last 28 days.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn endpoint_marks(&self, endpoints: &[Endpoint]) -> Result<Vec<Mark>> {
        let keys = endpoints.iter().map(|endpoint| endpoint.key).collect();
        let since = self.now().plus_ms(-STATS_DAYS_MAX * 86_400_000);
        Ok(self.store().attempt_marks(keys, MARKS, since).await?)
    }
}
