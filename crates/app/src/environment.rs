//! Environments: what holds for all applications of one.

use crate::App;
use crate::audit::Deed;
use crate::audit_shown;
use crate::change::Change;
use crate::error::{Problems, Result};
use crate::principal::{Principal, Right};
use domain::audit::{Action, Difference};
use domain::environment::{Environment, SchemaValidation, SignatureHeaders};
use domain::limit::MAX_ATTEMPTS_MAX;
use domain::retry::{RetryPolicy, Schedule};

/// What a PATCH changes.
#[derive(Clone, Debug, Default)]
pub struct EnvironmentPatch {
    /// Which names the standard's headers have.
    pub signature_headers: Option<SignatureHeaders>,
    /// Whether payloads are checked.
    pub schema_validation: Change<SchemaValidation>,
    /// Tries after the first one.
    pub max_attempts: Change<u8>,
    /// Seconds between tries.
    pub retry_schedule: Change<Vec<u32>>,
}

impl App {
    /// The principal's environment, with its settings.
    ///
    /// # Errors
    /// `Forbidden` for a credential of one application.
    pub async fn environment_get(&self, principal: &Principal) -> Result<Environment> {
        principal.may_in_environment(Right::Read)?;
        Ok(self.store().environment_get(principal.environment.key).await?)
    }

    /// Changes settings of the principal's environment.
    ///
    /// # Errors
    /// `Invalid`; `Forbidden` below the role of an administrator.
    pub async fn environment_patch(
        &self,
        principal: &Principal,
        patch: EnvironmentPatch,
    ) -> Result<Environment> {
        principal.may_in_environment(Right::Administer)?;
        let key = principal.environment.key;
        let there = self.store().environment_get(key).await?;
        let before = audit_shown::environment(there.signature_headers, &there.settings);
        let mut settings = there.settings;
        patch.schema_validation.apply_or_default(&mut settings.schema_validation);
        patch.max_attempts.apply_to(&mut settings.retries.max_attempts);
        patch.retry_schedule.apply_to(&mut settings.retries.retry_schedule);
        let mut problems = Problems::default();
        check_retries(&settings.retries, &mut problems);
        problems.finish()?;
        let headers = patch.signature_headers.unwrap_or(there.signature_headers);
        let after = self.store().environment_update(key, headers, settings).await?;
        let shown = audit_shown::environment(after.signature_headers, &after.settings);
        if let Some(difference) = Difference::between(&before, &shown) {
            let deed = Deed::new(Action::EnvironmentChanged, &*after.id, &*after.id).with(difference);
            self.note_deed(principal, None, deed).await;
        }
        Ok(after)
    }
}

/// Notes what is wrong with what a level says about retries.
pub(crate) fn check_retries(retries: &RetryPolicy, problems: &mut Problems) {
    if let Some(most) = retries.max_attempts.filter(|most| *most > MAX_ATTEMPTS_MAX) {
        let what =
            format!("{most}: 0 to {MAX_ATTEMPTS_MAX} tries after the first are allowed (max_attempts_max)");
        problems.add("maxAttempts", what);
    }
    if let Some(Err(bad)) = retries.retry_schedule.clone().map(Schedule::new) {
        problems.add("retrySchedule", bad);
    }
}
