//! The headers that an endpoint adds to its requests: set, changed, and shown without their credentials.

use crate::App;
use crate::error::{AppError, Result};
use crate::principal::{Place, Right};
use domain::credentials::Credentials;
use domain::endpoint::Endpoint;
use domain::header::{Header, check, is_sensitive};
use domain::signature::Signature;
use store::StoreError;
use store::endpoint::EndpointChange;

/// An endpoint's headers as they may be shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownHeaders {
    /// Those whose values may be seen.
    pub headers: Vec<Header>,
    /// The names of those whose values are credentials.
    pub sensitive: Vec<String>,
}

impl App {
    /// An endpoint's headers; credentials by name only.
    ///
    /// # Errors
    /// `NotFound`, `Forbidden`.
    pub async fn headers_get(&self, at: Place<'_>) -> Result<ShownHeaders> {
        let found = self.endpoint_of(at, Right::Read).await?;
        let (hidden, headers): (Vec<_>, Vec<_>) =
            found.headers.into_iter().partition(|(name, _)| is_sensitive(name));
        Ok(ShownHeaders { headers, sensitive: hidden.into_iter().map(|(name, _)| name).collect() })
    }

    /// Replaces all of an endpoint's headers.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`.
    pub async fn headers_put(&self, at: Place<'_>, headers: Vec<Header>) -> Result<()> {
        let found = self.endpoint_of(at, Right::Manage).await?;
        check(&headers).map_err(|bad| AppError::invalid("headers", bad))?;
        beside(&found.credentials, &headers).map_err(|bad| AppError::invalid("headers", bad))?;
        let change = move |endpoint: &Endpoint| {
            beside(&endpoint.credentials, &headers).map_err(StoreError::Limit)?;
            Ok(EndpointChange { headers: Some(headers.clone()), ..EndpointChange::default() })
        };
        self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        Ok(())
    }

    /// Sets the headers that have a value and removes the others; `deleted` are removed too.
    ///
    /// # Errors
    /// `Invalid`, `NotFound`, `Forbidden`; `Refused` when there would be too many.
    pub async fn headers_patch(
        &self,
        at: Place<'_>,
        changes: Vec<(String, Option<String>)>,
        deleted: Vec<String>,
    ) -> Result<()> {
        let found = self.endpoint_of(at, Right::Manage).await?;
        let set: Vec<Header> =
            changes.iter().filter_map(|(n, v)| v.clone().map(|v| (n.clone(), v))).collect();
        check(&set).map_err(|bad| AppError::invalid("headers", bad))?;
        beside(&found.credentials, &set).map_err(|bad| AppError::invalid("headers", bad))?;
        let change = move |endpoint: &Endpoint| {
            let headers = merged(&endpoint.headers, &changes, &deleted);
            check(&headers).map_err(|bad| StoreError::Limit(bad.to_string()))?;
            beside(&endpoint.credentials, &headers).map_err(StoreError::Limit)?;
            Ok(EndpointChange { headers: Some(headers), ..EndpointChange::default() })
        };
        self.endpoint_change(at.principal, &found, Box::new(change)).await?;
        Ok(())
    }
}

/// A header that authentication or a signature sets cannot be chosen beside them.
fn beside(credentials: &Credentials, headers: &[Header]) -> std::result::Result<(), String> {
    let clash = |name: &&Header| {
        let by = |set: &str| set.eq_ignore_ascii_case(&name.0);
        credentials.auth.header().is_some_and(by)
            || credentials
                .signatures
                .iter()
                .any(|one| matches!(one, Signature::Hmac(hmac) if by(&hmac.header)))
    };
    match headers.iter().find(clash) {
        Some((name, _)) => {
            Err(format!("`{name}` is set by the endpoint's authentication or signatures already"))
        }
        None => Ok(()),
    }
}

/// Header names are the same in any case (RFC 9110, section 5.1).
fn merged(present: &[Header], changes: &[(String, Option<String>)], deleted: &[String]) -> Vec<Header> {
    let touched =
        |name: &str| changes.iter().map(|(n, _)| n).chain(deleted).any(|n| n.eq_ignore_ascii_case(name));
    let kept = present.iter().filter(|(name, _)| !touched(name)).cloned();
    let set = changes.iter().filter_map(|(name, value)| value.clone().map(|value| (name.clone(), value)));
    kept.chain(set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_replaces_and_removes_in_any_case() {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let present = [header("X-One", "1"), header("X-Two", "2"), header("X-Three", "3")];
        let changes = [("x-one".to_owned(), Some("new".to_owned())), ("X-TWO".to_owned(), None)];
        let after = merged(&present, &changes, &["x-three".to_owned()]);
        assert_eq!(after, [header("x-one", "new")]);
    }
}
