//! The header that says who a request is from.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::auth::Auth;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};

/// Adds the header of an authentication that needs nothing from outside.
pub(crate) fn add(auth: &Auth, headers: &mut HeaderMap) {
    let (name, text) = match auth {
        Auth::None | Auth::Oauth2(_) => return,
        Auth::Basic { username, password } => {
            let pair = BASE64_STANDARD.encode(format!("{username}:{}", password.reveal()));
            ("authorization", format!("Basic {pair}"))
        }
        Auth::Bearer { token } => ("authorization", format!("Bearer {}", token.reveal())),
        Auth::ApiKey { header, value } => (&**header, value.reveal().to_owned()),
        Auth::Header { name, value } => (&**name, value.reveal().to_owned()),
    };
    // What cannot be a header was refused when it was saved.
    if let (Ok(name), Ok(mut value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(text.as_bytes()))
    {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Adds a token that an authorization server gave.
pub(crate) fn add_token(token: &str, headers: &mut HeaderMap) {
    if let Ok(mut value) = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
}
