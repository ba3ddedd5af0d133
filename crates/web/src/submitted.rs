//! Forms that change something: sent by a page of ours, for the person who is signed in (CSRF).
//!
//! Two things are asked: that the browser names our own origin where it names one (Fetch Metadata; RFC 6454), and, of whoever is
//! signed in, the token that only their pages hold.

use crate::Console;
use crate::form::Form;
use crate::refusal::Refusal;
use crate::visitor::Signed;
use app::sign_in::Visitor;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::{HOST, HeaderMap, ORIGIN};
use url::Url;

/// The field that every form of a signed-in person carries.
pub(crate) const TOKEN_FIELD: &str = "form_token";
/// The header in which htmx sends it.
const TOKEN_HEADER: &str = "x-form-token";

/// A form of whoever is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    pub(crate) visitor: Visitor,
    pub(crate) form: Form,
}

/// A form of somebody who is not signed in yet.
#[derive(Clone, Debug)]
pub(crate) struct Unsigned(pub(crate) Form);

impl FromRequest<Console> for Submitted {
    type Rejection = Refusal;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let Signed(visitor) = Signed::from_request_parts(&mut parts, console).await?;
        let header = parts.headers.get(TOKEN_HEADER).map(|value| value.as_bytes().to_vec());
        let Unsigned(form) = Unsigned::from_request(Request::from_parts(parts, body), console).await?;
        let given = header.unwrap_or_else(|| form.get(TOKEN_FIELD).as_bytes().to_vec());
        verify_slices_are_equal(&given, visitor.form_token.as_bytes()).map_err(|_| Refusal::Foreign)?;
        Ok(Self { visitor, form })
    }
}

impl FromRequest<Console> for Unsigned {
    type Rejection = Refusal;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Refusal> {
        if !is_ours(request.headers(), &console.settings.public_url) {
            return Err(Refusal::Foreign);
        }
        // axum's own limit holds: 2 MB.
        let body = Bytes::from_request(request, console).await.map_err(|_| Refusal::TooLarge)?;
        Ok(Self(Form::read(&body)))
    }
}

/// Whether a browser says that one of our own pages sent it. What says nothing is no browser of today.
fn is_ours(headers: &HeaderMap, public_url: &str) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return true };
    let authority = |url: &str| {
        let url = Url::parse(url).ok()?;
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        Some(format!("{}{port}", url.host_str()?))
    };
    let Some(theirs) = authority(origin) else { return false };
    // A proxy may hand over another Host than the one that people know.
    text(HOST.as_str()) == Some(&*theirs) || authority(public_url).as_deref() == Some(&*theirs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_pages_of_this_origin_send_forms() {
        let ours = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_ours(&headers.collect(), "https://hooks.example")
        };
        assert!(ours(&[("host", "localhost:8071"), ("origin", "http://localhost:8071")]));
        assert!(ours(&[("host", "inner:80"), ("origin", "https://hooks.example")]));
        assert!(ours(&[("host", "inner:80")]));
        for foreign in [
            &[("host", "localhost:8071"), ("origin", "http://localhost:9000")][..],
            &[("host", "localhost:8071"), ("origin", "null")],
            &[("host", "hooks.example"), ("origin", "https://hooks.example.evil.test")],
            &[("host", "localhost:8071"), ("sec-fetch-site", "cross-site")],
            &[("host", "localhost:8071"), ("sec-fetch-site", "same-site")],
        ] {
            assert!(!ours(foreign), "{foreign:?}");
        }
    }
}
