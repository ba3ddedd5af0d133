//! Styles, scripts and pictures, inside the binary. Their URLs hold a hash of what they are, so browsers keep them for ever.

use crate::Console;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use std::io::Write;
use std::sync::LazyLock;

/// A file.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    plain: &'static [u8],
    gzipped: Bytes,
    url: String,
}

/// Name, media type and bytes of every file.
const FILES: [(&str, &str, &[u8]); 4] = [
    ("console.css", "text/css; charset=utf-8", include_bytes!("../assets/console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_bytes!("../assets/console.js")),
    // htmx 2.0.11, from the npm registry (htmx.org/dist/htmx.min.js); its licence lies beside it.
    ("htmx.js", "text/javascript; charset=utf-8", include_bytes!("../assets/htmx.min.js")),
    ("icon.svg", "image/svg+xml", include_bytes!("../assets/icon.svg")),
];

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let asset = |(name, media_type, plain): &(&'static str, &'static str, &'static [u8])| {
        let hash = hex::encode(&digest(&SHA256, plain).as_ref()[..8]);
        Asset { name, media_type, plain, gzipped: gzip(plain), url: format!("/static/{hash}/{name}") }
    };
    FILES.iter().map(asset).collect()
});

/// Writing to memory does not fail; if it did, the file would go out as nothing that a browser reads.
fn gzip(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(plain);
    debug_assert!(written.is_ok());
    encoder.finish().unwrap_or_default().into()
}

/// Where a file is.
pub(crate) fn url(name: &str) -> &'static str {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    debug_assert!(found.is_some(), "no asset {name}");
    found.map_or("", |asset| &asset.url)
}

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/static/{hash}/{name}", get(file))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
}

/// A file under any hash: a page of an older version that is still open gets the newer file rather than none.
async fn file(Path((_, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let accepts = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let takes_gzip = accepts.split(',').any(|one| one.split(';').next().unwrap_or_default().trim() == "gzip");
    let body = if takes_gzip { asset.gzipped.clone() } else { Bytes::from_static(asset.plain) };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if takes_gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}
