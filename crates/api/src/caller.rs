//! Who asks: `Authorization: Bearer …` becomes a principal.

use crate::Api;
use crate::error::Failure;
use app::{AppError, Principal};
use axum::extract::{ConnectInfo, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

/// Who asks, in requests without a body.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Principal>);

impl Deref for Caller {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

impl FromRequestParts<Api> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Failure> {
        principal(parts, api).await.map(Self)
    }
}

/// The principal of a request's credential.
pub(crate) async fn principal(parts: &Parts, api: &Api) -> Result<Arc<Principal>, Failure> {
    let header = parts.headers.get(AUTHORIZATION).map(http::HeaderValue::as_bytes);
    let credential = header.and_then(bearer).ok_or(AppError::Unauthenticated)?;
    let principal = api.app.session(credential).await?;
    api.app.count_request(&principal)?;
    // The hot route is told no address: what it does is no matter of the audit log.
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return Ok(principal);
    };
    let said = parts.headers.get_all("x-forwarded-for").into_iter();
    let said: Vec<_> = said.filter_map(|value| value.to_str().ok()).collect();
    let address = api.app.client_address(peer.ip(), &said);
    Ok(Arc::new(principal.at(&address.to_string())))
}

/// The scheme's name is the same in any case (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = header.split_at_checked(7)?;
    let token = rest.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_credential_is_read() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"Bearer ", b"abc", b""] {
            assert_eq!(bearer(other), None);
        }
    }
}
