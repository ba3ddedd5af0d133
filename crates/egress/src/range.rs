//! What kind of address an address is.
//!
//! Only public unicast passes, so IPv4 is judged by what IANA's special-purpose registry (RFC 6890 and its updates)
//! takes out of it, and IPv6 the other way round: only 2000::/3 is handed out at all, less the parts below.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6(a: u16, b: u16, c: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), length)
}

const SPECIAL_V4: &[(Ipv4Net, &str)] = &[
    (v4([0, 0, 0, 0], 8), "an unspecified address (0.0.0.0/8)"),
    (v4([10, 0, 0, 0], 8), "a private address (10.0.0.0/8)"),
    (v4([100, 64, 0, 0], 10), "a carrier's internal address (100.64.0.0/10)"),
    (v4([127, 0, 0, 0], 8), "a loopback address (127.0.0.0/8)"),
    (v4([169, 254, 0, 0], 16), "a link-local address (169.254.0.0/16)"),
    (v4([172, 16, 0, 0], 12), "a private address (172.16.0.0/12)"),
    (v4([192, 0, 0, 0], 24), "an address for protocol use (192.0.0.0/24)"),
    (v4([192, 0, 2, 0], 24), "an address for documentation (192.0.2.0/24)"),
    (v4([192, 88, 99, 0], 24), "a 6to4 relay (192.88.99.0/24)"),
    (v4([192, 168, 0, 0], 16), "a private address (192.168.0.0/16)"),
    (v4([198, 18, 0, 0], 15), "an address for benchmarks (198.18.0.0/15)"),
    (v4([198, 51, 100, 0], 24), "an address for documentation (198.51.100.0/24)"),
    (v4([203, 0, 113, 0], 24), "an address for documentation (203.0.113.0/24)"),
    (v4([224, 0, 0, 0], 4), "a multicast address (224.0.0.0/4)"),
    (v4([240, 0, 0, 0], 4), "a reserved address (240.0.0.0/4)"),
];

const SPECIAL_V6: &[(Ipv6Net, &str)] = &[
    (v6(0xfc00, 0, 0, 7), "a private address (fc00::/7)"),
    (v6(0xfe80, 0, 0, 10), "a link-local address (fe80::/10)"),
    (v6(0xfec0, 0, 0, 10), "a site-local address (fec0::/10)"),
    (v6(0xff00, 0, 0, 8), "a multicast address (ff00::/8)"),
    (v6(0x64, 0xff9b, 0, 96), "a translated IPv4 address (64:ff9b::/96)"),
    (v6(0x64, 0xff9b, 1, 48), "a translated IPv4 address (64:ff9b:1::/48)"),
    (v6(0x2001, 0, 0, 32), "a Teredo tunnel (2001::/32)"),
    (v6(0x2001, 0, 0, 23), "an address for protocol use (2001::/23)"),
    (v6(0x2001, 0xdb8, 0, 32), "an address for documentation (2001:db8::/32)"),
    (v6(0x2002, 0, 0, 16), "a 6to4 tunnel (2002::/16)"),
    (v6(0x3ffe, 0, 0, 16), "a retired test address (3ffe::/16)"),
    (v6(0x3fff, 0, 0, 20), "an address for documentation (3fff::/20)"),
];

/// The part of IPv6 from which public unicast addresses are given out (RFC 4291, section 2.4, and IANA's registry).
const GLOBAL_UNICAST_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

/// Where clouds answer a machine that asks for its own credentials: AWS (instance, container, pod), Tencent,
/// Scaleway, Alibaba, Oracle, Azure.
const METADATA_V4: &[Ipv4Addr] = &[
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 0, 23),
    Ipv4Addr::new(169, 254, 42, 42),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
    Ipv4Addr::new(168, 63, 129, 16),
];

/// The same over IPv6: AWS (instance, pod), Google, Scaleway.
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];

/// The names under which the same services are found.
const METADATA_NAMES: &[&str] = &[
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "metadata.tencentyun.com",
    "instance-data",
    "instance-data.ec2.internal",
];

/// What kind of special address this is, as the object of a sentence, or `None` for public unicast.
pub(crate) fn special(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V4(ip) => SPECIAL_V4.iter().find(|(net, _)| net.contains(&ip)).map(|(_, kind)| *kind),
        IpAddr::V6(ip) => special_v6(ip),
    }
}

fn special_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if ip.is_unspecified() {
        return Some("an unspecified address (::)");
    }
    if ip.is_loopback() {
        return Some("a loopback address (::1)");
    }
    if let Some(kind) = written_as_v6(IpAddr::V6(ip)) {
        return Some(kind);
    }
    let listed = SPECIAL_V6.iter().find(|(net, _)| net.contains(&ip)).map(|(_, kind)| *kind);
    listed
        .or((!GLOBAL_UNICAST_V6.contains(&ip)).then_some("an address outside of the public range (2000::/3)"))
}

/// An IPv4 address in IPv6 clothes that the kernel itself would take off again, which no opened subnet may allow:
/// such an address would slip past the IPv4 list.
pub(crate) fn written_as_v6(ip: IpAddr) -> Option<&'static str> {
    match ip {
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            Some("an IPv4 address written as IPv6 (::ffff:0:0/96)")
        }
        IpAddr::V6(ip) if ip.segments()[..6] == [0; 6] && !ip.is_loopback() && !ip.is_unspecified() => {
            Some("an IPv4 address written as IPv6 (::/96)")
        }
        _ => None,
    }
}

/// Whether a cloud's metadata service answers at this address, also through an IPv6 form of it.
pub(crate) fn is_metadata(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => METADATA_V4.contains(&ip),
        IpAddr::V6(ip) => {
            METADATA_V6.contains(&ip) || embedded_v4(ip).is_some_and(|inner| METADATA_V4.contains(&inner))
        }
    }
}

/// Whether this name, in lower case and without its final dot, is a cloud's metadata service.
pub(crate) fn is_metadata_name(name: &str) -> bool {
    METADATA_NAMES.contains(&name)
}

/// The IPv4 address that a translator or tunnel would make of this one: mapped, compatible, NAT64 (RFC 6052) or
/// 6to4 (RFC 3056).
fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let [.., a, b, c, d] = ip.octets();
    match ip.segments() {
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, ..] => Some(Ipv4Addr::new(a, b, c, d)),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))),
        _ => None,
    }
}
