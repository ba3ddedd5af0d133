//! The identity provider that the operator names, and the way out to it.
//!
//! It has a way out of its own. Providers often stand inside of the operator's network, and to reach one through the customers' way
//! the operator would have to open its subnet to every customer's webhook, too (decision 18). Here the address is the operator's own
//! setting, and what the provider's document names is as good as the provider, which can let anybody in. So private addresses and
//! this machine's own are open; cloud metadata services, and plain http to public addresses, stay closed.

use crate::config::{Config, SecretText};
use app::oidc::OidcParts;
use domain::confidential::Confidential;
use domain::role::Role;
use egress::{Client, Limits, Policy, SystemResolver, TlsOptions};
use ipnet::IpNet;
use std::sync::Arc;
use std::time::Duration;

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// One answer, in bytes (256 KiB): a set of keys with their certificates has some tens of thousands.
const RESPONSE_BYTES_MAX: usize = 262_144;
/// Idle connections that are kept.
const IDLE_MAX: usize = 4;
/// What a network of one's own has: RFC 1918, RFC 6598, RFC 4193; and loopback.
const INSIDE: [&str; 7] =
    ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "127.0.0.0/8", "::1/128"];

/// What is asked through it, if one is set.
pub(crate) fn parts(config: &Config) -> Result<Option<OidcParts>, String> {
    let (Some(issuer), Some(client_id)) = (&config.oidc_issuer, &config.oidc_client_id) else {
        return Ok(None);
    };
    let confidential = |secret: &SecretText| Confidential::new(secret.reveal().to_owned());
    Ok(Some(OidcParts {
        client: client(config)?,
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: config.oidc_client_secret.as_ref().map(confidential),
        name: config.oidc_name.clone().unwrap_or_else(|| "single sign-on".to_owned()),
        domains: config.oidc_domains.clone(),
        role: config.oidc_role.unwrap_or(Role::Viewer),
        timeout: config.oidc_timeout.unwrap_or(TIMEOUT),
    }))
}

fn client(config: &Config) -> Result<Client, String> {
    let inside = INSIDE.iter().filter_map(|subnet| subnet.parse::<IpNet>().ok());
    let policy = Policy::new(config.egress_allow.iter().copied().chain(inside).collect(), true);
    let limits = Limits {
        response_bytes_max: RESPONSE_BYTES_MAX,
        idle_per_host_max: IDLE_MAX,
        idle_total_max: IDLE_MAX,
        ..Limits::default()
    };
    let client = Client::new(policy, limits, Arc::new(SystemResolver::new()));
    let Some(authorities) = &config.oidc_certificate_authority else { return Ok(client) };
    TlsOptions::default()
        .believing(authorities)
        .and_then(|options| client.with_tls(options))
        .map_err(|error| format!("POSTHASTE_OIDC_CERTIFICATE_AUTHORITY: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_inside_is_reached_and_what_is_nobodys_provider_is_not() {
        let client = client(&Config::default()).unwrap();
        let may = |ip: &str| client.policy().check_address(ip.parse().unwrap()).is_ok();
        for open in
            ["10.1.2.3", "192.168.0.9", "172.20.0.1", "100.64.0.1", "fd00::1", "127.0.0.1", "::1", "1.1.1.1"]
        {
            assert!(may(open), "{open}");
        }
        for closed in ["169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254", "0.0.0.0", "224.0.0.1"] {
            assert!(!may(closed), "{closed}");
        }
    }
}
