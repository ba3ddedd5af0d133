//! The address rules as tables: every spelling that we know of, and what must still pass.

use std::net::IpAddr;

use ipnet::IpNet;
use url::Url;

use super::Policy;

fn closed() -> Policy {
    Policy::new(Vec::new(), false)
}

fn opened(subnets: &[&str], https_only: bool) -> Policy {
    Policy::new(subnets.iter().map(|net| net.parse::<IpNet>().expect("a subnet")).collect(), https_only)
}

/// Whether anything stops this text from becoming a request: the URL parser or the policy.
fn is_refused(policy: &Policy, text: &str) -> bool {
    Url::parse(text).map_or(true, |url| policy.check_url(&url).is_err())
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

#[test]
fn every_spelling_of_an_inside_address_is_refused() {
    let passed: Vec<_> = FORBIDDEN.iter().filter(|text| !is_refused(&closed(), text)).collect();
    assert!(passed.is_empty(), "these were let through: {passed:#?}");
}

#[test]
fn public_addresses_pass() {
    for text in [
        "https://example.com/hook?x=1#top",
        "http://example.com:8080/",
        "https://EXAMPLE.com./",
        "https://bücher.example/",
        "https://notlocalhost/",
        "https://localhost.example.com/",
        "https://metadata.example.com/",
        "https://8.8.8.8/",
        "https://1.1.1.1:444/",
        "https://100.63.255.255/",
        "https://100.128.0.0/",
        "https://172.15.255.255/",
        "https://172.32.0.0/",
        "https://192.0.1.1/",
        "https://198.17.255.255/",
        "https://198.20.0.0/",
        "https://223.255.255.255/",
        "https://[2606:4700:4700::1111]/",
        "https://[2001:200::1]/",
        "https://[2a00:1450:4001::]/",
        "https://[2003::1]/",
    ] {
        assert_eq!(closed().check_url(&Url::parse(text).expect("a URL")), Ok(()), "{text}");
    }
}

#[test]
fn an_opened_subnet_is_reached_and_nothing_beside_it() {
    let policy = opened(&["127.0.0.0/8", "10.1.0.0/16", "fd12::/16"], false);
    for text in ["127.0.0.1", "127.9.9.9", "10.1.255.255", "fd12::1", "8.8.8.8"] {
        assert_eq!(policy.check_address(ip(text)), Ok(()), "{text}");
    }
    for text in ["10.2.0.1", "192.168.0.1", "::1", "fd13::1", "::ffff:127.0.0.1", "::127.0.0.1"] {
        assert!(policy.check_address(ip(text)).is_err(), "{text}");
    }
}

#[test]
fn localhost_is_a_name_for_opened_loopback_only() {
    let localhost = Url::parse("http://localhost:3000/").expect("a URL");
    assert!(opened(&["10.0.0.0/8"], false).check_url(&localhost).is_err());
    assert_eq!(opened(&["127.0.0.1/32"], false).check_url(&localhost), Ok(()));
    assert_eq!(opened(&["::1/128"], false).check_url(&localhost), Ok(()));
}

#[test]
fn cloud_metadata_stays_closed_in_whatever_is_opened() {
    let everything = opened(&["0.0.0.0/0", "::/0"], false);
    for text in [
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd20:ce::254",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ] {
        let refusal = everything.check_address(ip(text)).expect_err(text);
        assert!(refusal.to_string().contains("metadata"), "{refusal}");
    }
    assert!(is_refused(&everything, "http://metadata.google.internal/"));
    assert!(everything.check_address(ip("::ffff:10.0.0.1")).is_err());
    assert!(everything.check_address(ip("::10.0.0.1")).is_err());
    assert_eq!(everything.check_address(ip("::1")), Ok(()));
    assert_eq!(everything.check_address(ip("169.254.169.253")), Ok(()));
    assert_eq!(everything.check_address(ip("10.0.0.1")), Ok(()));
}

#[test]
fn plain_http_is_left_for_opened_subnets_where_only_https_is_sent() {
    let closed = opened(&[], true);
    assert!(is_refused(&closed, "http://example.com/"));
    assert!(is_refused(&closed, "http://8.8.8.8/"));
    assert!(!is_refused(&closed, "https://example.com/"));

    let intranet = opened(&["10.0.0.0/8"], true);
    assert!(!is_refused(&intranet, "http://10.1.1.1/"));
    assert!(is_refused(&intranet, "http://8.8.8.8/"));
    // Where the name points is known at connect time only, and is checked there.
    assert!(!is_refused(&intranet, "http://example.com/"));
    assert!(intranet.check_target(ip("8.8.8.8"), true).is_err());
    assert_eq!(intranet.check_target(ip("10.1.1.1"), true), Ok(()));
    assert_eq!(intranet.check_target(ip("8.8.8.8"), false), Ok(()));
}

#[test]
fn a_refusal_says_what_where_and_what_to_do() {
    let text = |url: &str| closed().check_url(&Url::parse(url).expect("a URL")).expect_err(url).to_string();
    assert_eq!(
        text("http://0x7f.1/"),
        "127.0.0.1 is a loopback address (127.0.0.0/8), and only public addresses are reached; \
         if it is meant, have its subnet added to POSTHASTE_EGRESS_ALLOW"
    );
    assert_eq!(
        text("ftp://example.com/"),
        "an address starts with https:// or http://, and this one with \"ftp\""
    );
    let refusal = text("http://user:hunter2@example.com/");
    assert!(refusal.contains("header") && !refusal.contains("hunter2"), "{refusal}");
}

const FORBIDDEN: &[&str] = &[
    // Loopback: short, decimal, octal, hexadecimal, mixed, padded.
    "http://127.0.0.1/",
    "https://127.0.0.1:8443/x",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://0X7F.0.0.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://017700000001/",
    "http://0177.0.0.01/",
    "http://00000177.0.0.1/",
    "http://127.0.0.1./",
    "http://2130706433./",
    "http://127.255.255.254/",
    "http://127。0。0。1/",
    "http://127．0．0．1/",
    "http://１２７.0.0.1/",
    "http://①②⑦.⓪.⓪.①/",
    "http://%31%32%37.0.0.1/",
    "http://127%2e0%2e0%2e1/",
    "http:127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http:///127.0.0.1/",
    "\thttp://127.0.0.1/",
    "http://127.0.\n0.1/",
    // The name of loopback.
    "http://localhost/",
    "http://LOCALHOST/",
    "http://localhost./",
    "http://localhost../",
    "http://LocalHost:80/",
    "http://a.b.localhost/",
    "http://x.localhost./",
    "http://loc%61lhost/",
    "http://ｌｏｃａｌｈｏｓｔ/",
    "http://ⓛocalhost/",
    "http://loc\u{ad}alhost/",
    // Unspecified, private, shared, link-local, reserved.
    "http://0/",
    "http://0.0.0.0/",
    "http://0x0/",
    "http://00.0x.0.0/",
    "http://0.1.2.3/",
    "http://10.0.0.1/",
    "http://167772161/",
    "http://012.0.0.1/",
    "http://100.64.0.1/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://3232235521/",
    "http://192.168.257/",
    "http://169.254.1.1/",
    "http://192.0.0.8/",
    "http://192.0.2.1/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://198.19.255.255/",
    "http://198.51.100.7/",
    "http://203.0.113.7/",
    "http://224.0.0.1/",
    "http://239.255.255.250/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    // IPv6, and IPv4 inside of it.
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::FFFF:8.8.8.8]/",
    "http://[::127.0.0.1]/",
    "http://[::8.8.8.8]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b:1::a00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:808:808::1]/",
    "http://[2001:0:53aa:64c::1]/",
    "http://[2001:2::1]/",
    "http://[2001:10::1]/",
    "http://[2001:20::1]/",
    "http://[2001:1ff::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[3ffe::1]/",
    "http://[fc00::1]/",
    "http://[fdff::1]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/",
    "http://[fe80::1%eth0]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[100::1]/",
    "http://[5f00::1]/",
    "http://[4000::1]/",
    "http://[1fff::1]/",
    // Cloud metadata.
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://0251.0376.0251.0376/",
    "http://169.254.43518/",
    "http://169.254.170.2/",
    "http://169.254.170.23/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://[fd00:ec2::254]/",
    "http://[::ffff:169.254.169.254]/",
    "http://metadata.google.internal/",
    "http://Metadata.Google.Internal./",
    "http://metadata/",
    "http://instance-data.ec2.internal/",
    // Not a plain web address.
    "http://user@example.com/",
    "http://:secret@example.com/",
    "http://user:secret@example.com/",
    "http://example.com@127.0.0.1/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1\\@example.com/",
    "http://example.com:80@10.0.0.1/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "ws://example.com/",
    "unix:/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,hi",
    "//example.com/",
    "example.com",
    "",
    "http://",
    "http://./",
    "http://../",
    "http://exa mple.com/",
    "http://[::1/",
    "http://[1.2.3.4]/",
    "http://1.2.3.4.5/",
    "http://256.0.0.1/",
    "http://0x100000000/",
    "http://example.com:99999/",
];
