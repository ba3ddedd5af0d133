//! Deliveries: one message sent again to one endpoint.

use crate::App;
use crate::error::{AppError, Result};
use crate::principal::{Place, Right};
use domain::attempt::Trigger;
use domain::endpoint::Endpoint;

impl App {
    /// Sends a message to an endpoint again, whatever its filters say, as a run of its own: retries that wait stay.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`; `Refused` when the endpoint is disabled or the payload is gone.
    pub async fn resend(&self, at: Place<'_>, endpoint: &str) -> Result<()> {
        let (application, message) = self.message_of(at, Right::Send).await?;
        let endpoint = self.store().endpoint_find(application.key, endpoint).await?;
        refuse_disabled(&endpoint)?;
        if message.body().is_none() {
            let detail = "This message's payload has expired or was expunged: there is nothing left to send.";
            return Err(AppError::refused("generic_error", detail));
        }
        self.store().resend(message.id, endpoint.key, Trigger::Resend).await?;
        Ok(())
    }
}

/// Nothing is sent to an endpoint that is switched off, whoever asks for it.
pub(crate) fn refuse_disabled(endpoint: &Endpoint) -> Result<()> {
    if endpoint.fields.disabled {
        let detail = "This endpoint is disabled: enable it before sending anything to it.";
        return Err(AppError::refused("generic_error", detail));
    }
    Ok(())
}
