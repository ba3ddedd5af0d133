//! URLs as customers write them, read as they are when they are saved: by the URL standard (<https://url.spec.whatwg.org>).

use crate::SendError;
use http::Uri;
use url::Url;

/// What a URL asks for: its host in ASCII, its path and query escaped.
///
/// # Errors
/// `Unreachable`, with a sentence, for what is no URL.
pub fn uri_of(url: &str) -> Result<Uri, SendError> {
    let cannot = |why: String| SendError::Unreachable(format!("the URL cannot be requested: {why}"));
    let url = Url::parse(url).map_err(|error| cannot(error.to_string()))?;
    url.as_str().parse().map_err(|error: http::uri::InvalidUri| cannot(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_browsers_take_is_requested() {
        for (url, uri) in [
            ("https://bücher.example/h", "https://xn--bcher-kva.example/h"),
            ("https://a.test/a b?c=d|e", "https://a.test/a%20b?c=d|e"),
            ("https:a.test", "https://a.test/"),
            ("https://a.test/?q=1#part", "https://a.test/?q=1"),
        ] {
            assert_eq!(uri_of(url).map(|uri| uri.to_string()), Ok(uri.to_owned()), "{url}");
        }
        assert!(uri_of("nothing").is_err());
    }
}
