// [dependencies] standardwebhooks = "1"
use standardwebhooks::Webhook;

/// secret: whsec_…; headers: those of the request; body: the raw bytes, before any parsing.
pub fn verify(secret: &str, headers: &http::HeaderMap, body: &[u8]) -> bool {
    Webhook::new(secret).is_ok_and(|webhook| webhook.verify(body, headers).is_ok())
}
