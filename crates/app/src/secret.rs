//! An endpoint's signing secret: shown to those who may, rotated with an overlap.

use crate::App;
use crate::error::{AppError, Problems, Result};
use crate::principal::{Place, Principal, Right};
use domain::audit::{Action, Difference};
use domain::endpoint::Endpoint;
use domain::limit::{SECRET_GRACE_SECONDS_DEFAULT, SECRET_GRACE_SECONDS_MAX};
use signing::Secret;
use store::StoreError;
use store::endpoint::EndpointChange;

impl App {
    /// What a receiver needs to verify signatures: `whsec_…`, or the public `whpk_…`.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden` below the role of a manager.
    pub async fn secret_get(&self, at: Place<'_>) -> Result<String> {
        let found = self.endpoint_of(at, Right::Reveal).await?;
        let current = found.secrets.first().ok_or(AppError::NotFound)?;
        self.note_endpoint(at.principal, &found, Action::SecretShown).await;
        Ok(current.secret.reveal())
    }

    /// Makes `key`, or a generated one, the current secret; the one before goes on signing for `grace_seconds`.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`; `Refused` with `limit_reached` when ten old ones still sign.
    pub async fn secret_rotate(
        &self,
        at: Place<'_>,
        key: Option<&str>,
        grace_seconds: Option<u64>,
    ) -> Result<()> {
        let found = self.endpoint_of(at, Right::Rotate).await?;
        let mut problems = Problems::default();
        let grace = grace_seconds.unwrap_or(SECRET_GRACE_SECONDS_DEFAULT.into());
        if grace > SECRET_GRACE_SECONDS_MAX.into() {
            problems.add(
                "gracePeriodSeconds",
                format!("{grace} seconds: 0 to {SECRET_GRACE_SECONDS_MAX} are allowed"),
            );
        }
        let given = key.map(Secret::parse).transpose().unwrap_or_else(|error| {
            problems.add("key", error);
            None
        });
        problems.finish()?;
        let fresh = given.unwrap_or_else(|| self.fresh_like(&found));
        let now = self.now();
        let overlap_ends = now.plus_ms(i64::try_from(grace).unwrap_or(i64::MAX / 1000) * 1000);
        let change = move |endpoint: &Endpoint| {
            let mut endpoint = endpoint.clone();
            let rotated = endpoint.rotate_secret(fresh.clone(), overlap_ends, now);
            rotated.map_err(|full| StoreError::Limit(full.to_string()))?;
            Ok(EndpointChange { secrets: Some(endpoint.secrets), ..EndpointChange::default() })
        };
        self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        Ok(())
    }

    /// Notes something that changes nothing of an endpoint.
    pub(crate) async fn note_endpoint(&self, principal: &Principal, endpoint: &Endpoint, action: Action) {
        self.note(self.entry_of_endpoint(principal, endpoint, (action, Difference::default()))).await;
    }

    /// A new secret of the kind that the endpoint has: a receiver that checks ed25519 goes on doing so.
    fn fresh_like(&self, endpoint: &Endpoint) -> Secret {
        let random = &mut |out: &mut [u8]| self.inner.parts.random.fill(out);
        let public = endpoint.secrets.first().is_some_and(|s| s.secret.reveal().starts_with("whpk_"));
        if public { Secret::generate_ed25519(random) } else { Secret::generate(random) }
    }
}
