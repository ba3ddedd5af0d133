//! A new connection: the name is resolved once, every answer is checked, and the connection goes to a checked answer.
//!
//! IP literals take the same way as names, so there is one check and no door beside it. If any answer is forbidden,
//! none is used: a name that points at the inside as well as the outside is somebody trying.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use http::{Uri, uri::Authority};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::{
    Limits, Policy, Resolve, SendError,
    error::{Phase, Witness, explain_io},
    policy::Blocked,
    stream::Transport,
    tls,
};

/// Where a request goes, and what its connection is kept under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) authority: Authority,
}

impl Target {
    pub(crate) fn of(uri: &Uri) -> Result<Target, Blocked> {
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            other => return Err(Blocked::scheme(other.unwrap_or_default())),
        };
        let authority = uri.authority().filter(|authority| !authority.host().is_empty());
        let authority = authority.ok_or_else(Blocked::no_host)?;
        if authority.as_str().contains('@') {
            return Err(Blocked::credentials(authority.host()));
        }
        Ok(Target { tls, authority: authority.clone() })
    }

    /// The host without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        let host = self.authority.host();
        host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host)
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.tls { 443 } else { 80 })
    }
}

/// Makes connections, all of them.
pub(crate) struct Connector {
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) tls: Arc<ClientConfig>,
}

impl Connector {
    /// A new connection; `witness` sees how it comes about.
    pub(crate) async fn connect(
        &self,
        target: &Target,
        witness: &impl Witness,
    ) -> Result<Transport, SendError> {
        let addresses = self.look_up(target, witness).await?;
        witness.found(&addresses);
        self.admit(target, &addresses)?;
        witness.enter(Phase::Connecting);
        let tcp = self.open(target, &addresses).await?;
        witness.connected(&tcp);
        // A failure here only costs latency.
        let _ = tcp.set_nodelay(true);
        if !target.tls {
            return Ok(Transport::Plain(tcp));
        }
        witness.enter(Phase::Handshaking);
        self.handshake(target, tcp, witness).await
    }

    /// What the name says; an IP literal says itself.
    async fn look_up(&self, target: &Target, witness: &impl Witness) -> Result<Vec<SocketAddr>, SendError> {
        let (host, port) = (target.host(), target.port());
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        witness.enter(Phase::Resolving);
        let addresses = self.resolver.resolve(host, port).await.unwrap_or_default();
        if addresses.is_empty() {
            return Err(SendError::Unreachable(format!("the host name {host} cannot be resolved")));
        }
        Ok(addresses)
    }

    fn admit(&self, target: &Target, addresses: &[SocketAddr]) -> Result<(), SendError> {
        for address in addresses {
            let Err(blocked) = self.check(target, address) else { continue };
            let (host, ip) = (target.host(), address.ip());
            let is_literal = host.parse::<IpAddr>().is_ok();
            let told =
                if is_literal { blocked.to_string() } else { format!("{host} resolves to {ip}: {blocked}") };
            return Err(SendError::Blocked(told));
        }
        Ok(())
    }

    fn check(&self, target: &Target, address: &SocketAddr) -> Result<(), Blocked> {
        if let SocketAddr::V6(v6) = address
            && v6.scope_id() != 0
        {
            return Err(Blocked::scoped(address.ip()));
        }
        self.policy.check_target(address.ip(), !target.tls)
    }

    /// The first address that accepts. Only the last failure is told: with several addresses they are mostly alike.
    async fn open(&self, target: &Target, addresses: &[SocketAddr]) -> Result<TcpStream, SendError> {
        let mut failure = SendError::Unreachable(format!("there is no server at {}", target.authority));
        for address in addresses.iter().take(self.limits.addresses_max) {
            failure = match timeout(self.limits.connect_timeout, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return Ok(tcp),
                Ok(Err(error)) => SendError::Unreachable(format!("{} ({address})", explain_io(&error))),
                Err(_) => SendError::TimedOut(format!(
                    "{address} did not accept a connection within {:.1} s",
                    self.limits.connect_timeout.as_secs_f64()
                )),
            };
        }
        Err(failure)
    }

    async fn handshake(
        &self,
        target: &Target,
        tcp: TcpStream,
        witness: &impl Witness,
    ) -> Result<Transport, SendError> {
        let host = target.host();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            SendError::Unreachable(format!("{host} is not a name that a certificate can have"))
        })?;
        let tls = TlsConnector::from(Arc::clone(&self.tls)).connect(name, tcp).await;
        tls.map(|stream| Transport::Tls(Box::new(stream))).map_err(|error| {
            witness.refused(&error);
            let told = format!("{} ({})", explain_io(&error), target.authority);
            if tls::is_of_certificate(&error) {
                SendError::Certificate(told)
            } else {
                SendError::Unreachable(told)
            }
        })
    }
}
