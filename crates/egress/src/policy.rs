//! Where requests may go.
//!
//! The rule is an allow-list: public unicast addresses, and the subnets that the operator opened. It is asked twice.
//! [`Policy::check_url`] refuses at creation what can be known from the address alone, so that the person gets an
//! answer; [`Policy::check_address`] is asked by the connector about the very socket address it is about to connect
//! to, and that answer is the one that protects: names change what they point at.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnet::IpNet;
use url::{Host, Url};

use crate::range;

/// Which addresses a [`Client`](crate::Client) may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    opened: Vec<IpNet>,
    https_only: bool,
}

impl Policy {
    /// A policy that allows public addresses and those in `opened`. With `https_only`, plain http is left for the
    /// opened subnets alone.
    pub fn new(opened: Vec<IpNet>, https_only: bool) -> Policy {
        Policy { opened, https_only }
    }

    /// Whether a connection may be made to this address. Cloud metadata services, and IPv4 addresses dressed as IPv6,
    /// are refused even inside of an opened subnet.
    ///
    /// # Errors
    /// [`Blocked`], which names the address and its kind.
    pub fn check_address(&self, ip: IpAddr) -> Result<(), Blocked> {
        let kind = if range::is_metadata(ip) {
            return Err(Blocked::new(ip, Reason::Metadata));
        } else if let Some(kind) = range::written_as_v6(ip) {
            kind
        } else if self.is_opened(ip) {
            return Ok(());
        } else if let Some(kind) = range::special(ip) {
            kind
        } else {
            return Ok(());
        };
        Err(Blocked::new(ip, Reason::Special(kind)))
    }

    /// Whether an endpoint may have this address, as far as that can be known before its name is resolved.
    ///
    /// # Errors
    /// [`Blocked`] for another scheme than http and https, for credentials, for a forbidden IP address in any
    /// spelling, for `localhost` (unless loopback is opened), for names of metadata services, and for plain http
    /// where only https is sent.
    pub fn check_url(&self, url: &Url) -> Result<(), Blocked> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Blocked::new(url.scheme(), Reason::Scheme));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Blocked::new(url.host_str().unwrap_or_default(), Reason::Credentials));
        }
        let plain = url.scheme() == "http";
        match url.host() {
            Some(Host::Domain(name)) => self.check_name(name, plain),
            Some(Host::Ipv4(ip)) => self.check_target(ip.into(), plain),
            Some(Host::Ipv6(ip)) => self.check_target(ip.into(), plain),
            None => Err(Blocked::new(url.scheme(), Reason::NoHost)),
        }
    }

    /// The whole question at connect time: may this address be reached, and (`plain`) without TLS?
    pub(crate) fn check_target(&self, ip: IpAddr, plain: bool) -> Result<(), Blocked> {
        self.check_address(ip)?;
        if plain && self.https_only && !self.is_opened(ip) {
            return Err(Blocked::new(ip, Reason::Plain));
        }
        Ok(())
    }

    fn check_name(&self, name: &str, plain: bool) -> Result<(), Blocked> {
        let bare = name.trim_end_matches('.').to_ascii_lowercase();
        if bare.is_empty() {
            return Err(Blocked::new(name, Reason::NoHost));
        }
        if range::is_metadata_name(&bare) {
            return Err(Blocked::new(name, Reason::Metadata));
        }
        // RFC 6761, section 6.3: these names are loopback, whatever a resolver says.
        let is_localhost = bare == "localhost" || bare.ends_with(".localhost");
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        if is_localhost && !loopback.into_iter().any(|ip| self.is_opened(ip)) {
            return Err(Blocked::new(name, Reason::Special("this machine itself")));
        }
        // What the name resolves to decides at connect time, but without an opened subnet no answer can be good.
        if plain && self.https_only && self.opened.is_empty() {
            return Err(Blocked::new(name, Reason::Plain));
        }
        Ok(())
    }

    fn is_opened(&self, ip: IpAddr) -> bool {
        self.opened.iter().any(|net| net.contains(&ip))
    }
}

/// A refusal. Its text is a sentence for the person who set the address: what was wrong, with which address, and
/// what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    target: String,
    reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Scheme,
    Credentials,
    NoHost,
    Metadata,
    Special(&'static str),
    Plain,
}

impl Blocked {
    fn new(target: impl ToString, reason: Reason) -> Blocked {
        Blocked { target: target.to_string(), reason }
    }

    pub(crate) fn scheme(scheme: &str) -> Blocked {
        Blocked::new(scheme, Reason::Scheme)
    }

    pub(crate) fn credentials(host: &str) -> Blocked {
        Blocked::new(host, Reason::Credentials)
    }

    /// An address that means something on one network link only.
    pub(crate) fn scoped(ip: IpAddr) -> Blocked {
        Blocked::new(ip, Reason::Special("an address of one network link (it has a scope)"))
    }

    pub(crate) fn no_host() -> Blocked {
        Blocked::new("", Reason::NoHost)
    }
}

impl fmt::Display for Blocked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match self.reason {
            Reason::Scheme => {
                write!(
                    formatter,
                    "an address starts with https:// or http://, and this one with \"{target}\""
                )
            }
            Reason::Credentials => write!(
                formatter,
                "an address must not hold a user name or a password; give {target} its credentials in a header"
            ),
            Reason::NoHost => write!(formatter, "an address needs a host name"),
            Reason::Metadata => write!(
                formatter,
                "{target} is a cloud's metadata service, which stays closed whatever is allowed; use another address"
            ),
            Reason::Special(kind) => write!(
                formatter,
                "{target} is {kind}, and only public addresses are reached; \
                 if it is meant, have its subnet added to POSTHASTE_EGRESS_ALLOW"
            ),
            Reason::Plain => write!(
                formatter,
                "{target} would be reached over plain http, and only https is sent there; \
                 use https://, or have its subnet added to POSTHASTE_EGRESS_ALLOW"
            ),
        }
    }
}

impl std::error::Error for Blocked {}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
