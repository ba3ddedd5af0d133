//! Where somebody comes from: the connection's own address, or what a trusted proxy says of it.

use crate::Console;
use app::sign_in::From;
use axum::extract::{ConnectInfo, FromRequestParts};
use http::header::{HeaderMap, USER_AGENT};
use http::request::Parts;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(crate) From);

impl FromRequestParts<Console> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(address)| address.ip().to_canonical());
        let is_trusted =
            |address: IpAddr| console.settings.trusted_proxies.iter().any(|net| net.contains(&address));
        let address = peer.map(|peer| client(peer, &parts.headers, is_trusted));
        let address = address.map_or_else(String::new, |address| address.to_string());
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self(From { address, agent: agent.to_owned() }))
    }
}

/// The last address that no trusted proxy has: what stands before it, anybody can have written there.
fn client(peer: IpAddr, headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let texts = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let said: Vec<_> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    let mut address = peer;
    for next in said.into_iter().rev() {
        if !is_trusted(address) {
            break;
        }
        let Ok(next) = next.parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let of = |peer: &str, said: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", HeaderValue::from_static(said));
            let is_trusted = |address: IpAddr| address.to_string().starts_with("10.");
            client(peer.parse().unwrap(), &headers, is_trusted).to_string()
        };
        assert_eq!(of("203.0.113.9", "198.51.100.1"), "203.0.113.9");
        assert_eq!(of("10.0.0.1", "198.51.100.1"), "198.51.100.1");
        // What the client itself wrote stands first, and is not believed.
        assert_eq!(of("10.0.0.1", "127.0.0.1, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(of("10.0.0.1", "junk"), "10.0.0.1");
    }
}
