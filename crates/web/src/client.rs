//! Where somebody comes from: the connection's own address, or what a trusted proxy says of it.

use crate::Console;
use app::sign_in::From;
use axum::extract::{ConnectInfo, FromRequestParts};
use http::header::USER_AGENT;
use http::request::Parts;
use std::convert::Infallible;
use std::net::SocketAddr;

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(crate) struct Client(pub(crate) From);

impl FromRequestParts<Console> for Client {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Infallible> {
        let said = parts.headers.get_all("x-forwarded-for").into_iter();
        let said: Vec<_> = said.filter_map(|value| value.to_str().ok()).collect();
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|ConnectInfo(peer)| console.app.client_address(peer.ip(), &said));
        let address = address.map_or_else(String::new, |address| address.to_string());
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Ok(Self(From { address, agent: agent.to_owned() }))
    }
}
