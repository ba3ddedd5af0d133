//! Endpoint addresses that lead inside: refused when they are saved where that can be known, and always when the
//! connection is made, whatever the name pointed at before.
//!
//! Names are resolved through a hosts file of the server's own, in a mount namespace (`unshare`).

use crate::live::{Api, Home, WITHIN, serves};
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use testkit::{Answer, Process, Receiver};

/// Spellings of addresses that no endpoint may have.
const FORBIDDEN: &[&str] = &[
    // Loopback: short, decimal, octal, hexadecimal, mixed, padded, in other scripts, encoded, with tricks around it.
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/x",
    "https://127.1/",
    "https://127.0.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.1/",
    "https://0X7F.0.0.1/",
    "https://017700000001/",
    "https://0177.0.0.01/",
    "https://127.0.0.1./",
    "https://127.255.255.254/",
    "https://127。0。0。1/",
    "https://１２７.0.0.1/",
    "https://①②⑦.⓪.⓪.①/",
    "https://%31%32%37.0.0.1/",
    "https://127%2e0%2e0%2e1/",
    "https:127.0.0.1/",
    "https:\\\\127.0.0.1\\",
    "https:///127.0.0.1/",
    "\thttps://127.0.0.1/",
    "https://127.0.\n0.1/",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.b.localhost/",
    "https://loc%61lhost/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    "https://loc\u{ad}alhost/",
    // Unspecified, private, shared, link-local, documentation, multicast, reserved.
    "https://0/",
    "https://0.0.0.0/",
    "https://0x0/",
    "https://0.1.2.3/",
    "https://10.0.0.1/",
    "https://167772161/",
    "https://012.0.0.1/",
    "https://100.64.0.1/",
    "https://172.16.0.1/",
    "https://172.31.255.255/",
    "https://192.168.0.1/",
    "https://192.168.257/",
    "https://169.254.1.1/",
    "https://192.0.2.1/",
    "https://198.18.0.1/",
    "https://198.51.100.7/",
    "https://203.0.113.7/",
    "https://224.0.0.1/",
    "https://240.0.0.1/",
    "https://255.255.255.255/",
    // IPv6, and IPv4 inside of it.
    "https://[::1]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::FFFF:8.8.8.8]/",
    "https://[::127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[64:ff9b:1::a00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:53aa:64c::1]/",
    "https://[2001:db8::1]/",
    "https://[fc00::1]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[ff02::1]/",
    // Cloud metadata.
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://0251.0376.0251.0376/",
    "https://169.254.170.2/",
    "https://100.100.100.200/",
    "https://[fd00:ec2::254]/",
    "https://metadata.google.internal/",
    "https://Metadata.Google.Internal./",
    // Not a plain web address, or not over https.
    "http://8.8.8.8/",
    "http://example.com/",
    "https://user@example.com/",
    "https://:secret@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1\\@example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "unix:/run/docker.sock",
    "javascript:alert(1)",
    "data:text/plain,hi",
    "//example.com/",
    "example.com",
    "",
    "https://",
    "https://./",
    "https://exa mple.com/",
    "https://[::1/",
    "https://256.0.0.1/",
    "https://example.com:99999/",
];

/// Names, what each points at, and a word of the refusal.
const NAMES: &[(&str, &[&str], &str)] = &[
    ("loopback.test", &["127.0.0.1"], "loopback"),
    ("private.test", &["10.0.0.1"], "private"),
    ("shared.test", &["100.64.0.1"], "POSTHASTE_EGRESS_ALLOW"),
    ("unspecified.test", &["0.0.0.0"], "POSTHASTE_EGRESS_ALLOW"),
    ("metadata.test", &["169.254.169.254"], "metadata"),
    ("six.test", &["::1"], "loopback"),
    ("local.test", &["fd12::1"], "POSTHASTE_EGRESS_ALLOW"),
    ("mixed.test", &["203.0.113.9", "127.0.0.1"], "POSTHASTE_EGRESS_ALLOW"),
    ("mostly-public.test", &["8.8.8.8", "127.0.0.1"], "loopback"),
];

#[tokio::test]
async fn a_forbidden_address_is_refused_when_it_is_saved_however_it_is_spelled() {
    let home = Home::new(&[("EGRESS_ALLOW", "")]);
    let _process = home.start().await;
    let api = home.api();
    let application = api.application("forbidden").await;
    let endpoints = format!("/app/{application}/endpoint");
    let kept = api.endpoint(&application, "https://example.com/kept").await;
    let before = api.list(&endpoints).await;
    assert!(FORBIDDEN.len() >= 60);
    for url in FORBIDDEN {
        let body = json!({ "url": url });
        for (status, answer) in [
            api.client.post(&format!("/api/v1{endpoints}"), &api.token, &body).await,
            api.client.put(&format!("/api/v1{endpoints}/{kept}"), &api.token, &body).await,
            api.client.patch(&format!("/api/v1{endpoints}/{kept}"), &api.token, &body).await,
        ] {
            assert_eq!(status, 422, "{url:?}: {answer}");
            assert_eq!(answer["detail"][0]["loc"], json!(["body", "url"]), "{url:?}: {answer}");
            assert!(!answer.to_string().contains("secret"), "{url:?}: {answer}");
        }
    }
    assert_eq!(api.list(&endpoints).await, before);
}

/// Starts the server with a hosts file of its own; the file, which may be written anew.
async fn start_with_hosts(home: &Home, hosts: &str) -> (Process, PathBuf) {
    let file = home.folder().join("hosts");
    fs::write(&file, hosts).expect("the hosts file");
    let command = home.serve_unshared("mount --bind $1 /etc/hosts", &[&file]);
    let process = Process::start(command);
    serves(&process).await;
    (process, file)
}

/// Sends one message and waits for the first attempt at each endpoint.
async fn attempts_of_a_message(api: &Api, application: &str, endpoints: usize) -> Vec<Value> {
    let body = json!({ "eventType": "e", "payload": {} });
    let message = api.post(&format!("/app/{application}/msg"), &body).await;
    let path = format!("/app/{application}/attempt/msg/{}", message["id"].as_str().expect("an id"));
    let mut tick = crate::live::pace(std::time::Duration::from_millis(20));
    for _ in 0..WITHIN.as_millis() / 20 {
        tick.tick().await;
        let attempts = api.list(&path).await;
        if attempts.len() >= endpoints {
            return attempts;
        }
    }
    panic!("{endpoints} attempts were not recorded: {:?}", api.list(&path).await);
}

#[tokio::test]
async fn a_name_that_points_inside_is_refused_when_the_connection_is_made_and_that_is_recorded() {
    let home = Home::new(&[("EGRESS_ALLOW", ""), ("RETRY_SCHEDULE", "")]);
    let lines =
        NAMES.iter().flat_map(|(name, addresses, _)| addresses.iter().map(move |a| format!("{a} {name}\n")));
    let (_process, _) = start_with_hosts(&home, &lines.collect::<String>()).await;
    let inside = TcpListener::bind("127.0.0.1:0").expect("a port");
    inside.set_nonblocking(true).expect("a listener that does not wait");
    let port = inside.local_addr().expect("its address").port();
    let api = home.api();
    let application = api.application("names").await;
    for (name, _, _) in NAMES {
        api.endpoint(&application, &format!("https://{name}:{port}/")).await;
    }
    let attempts = attempts_of_a_message(&api, &application, NAMES.len()).await;
    for (name, addresses, word) in NAMES {
        let url = format!("https://{name}:{port}/");
        let attempt = attempts.iter().find(|one| one["url"] == url.as_str());
        let attempt = attempt.unwrap_or_else(|| panic!("no attempt at {url}"));
        let said = attempt["response"].as_str().expect("a text");
        assert_eq!((&attempt["status"], &attempt["responseStatusCode"]), (&json!(2), &json!(0)), "{attempt}");
        assert!(said.contains(word), "{name} → {addresses:?}: {said}");
    }
    assert!(inside.accept().is_err(), "a connection was made");
    let text = api.metrics().await;
    assert!(text.contains(&format!("posthaste_blocked_by_policy_total {}\n", NAMES.len())), "{text}");
}

#[tokio::test]
async fn a_name_that_points_inside_later_and_a_redirect_inside_are_not_followed() {
    let home = Home::new(&[("EGRESS_ALLOW", "127.0.0.1/32"), ("RETRY_SCHEDULE", "")]);
    let (_process, hosts) = start_with_hosts(&home, "127.0.0.1 rebound.test\n").await;
    let receiver = Receiver::start().await;
    let port = receiver.address().port();
    let inside = TcpListener::bind(("127.0.0.2", port)).expect("the same port beside it");
    inside.set_nonblocking(true).expect("a listener that does not wait");
    let location = format!("http://127.0.0.2:{port}/");
    // Closed after each answer, so that the next request connects again.
    let closing = |status| Answer::status(status).header("connection", "close");
    receiver.answer_always("/moved", closing(307).header("location", &location));
    receiver.answer_always("/hook", closing(200));
    let api = home.api();
    let application = api.application("rebound").await;
    api.endpoint(&application, &format!("http://rebound.test:{port}/hook")).await;
    api.endpoint(&application, &format!("http://rebound.test:{port}/moved")).await;
    let attempts = attempts_of_a_message(&api, &application, 2).await;
    let mut statuses: Vec<_> = attempts.iter().map(|one| one["responseStatusCode"].clone()).collect();
    statuses.sort_by_key(Value::as_u64);
    assert_eq!(statuses, [200, 307]);
    receiver.wait_for_no_connection(WITHIN).await;

    fs::write(&hosts, "127.0.0.2 rebound.test\n").expect("the hosts file");
    for attempt in attempts_of_a_message(&api, &application, 2).await {
        assert_eq!(attempt["responseStatusCode"], 0, "{attempt}");
        assert!(attempt["response"].as_str().is_some_and(|text| text.contains("127.0.0.2")), "{attempt}");
    }
    assert!(inside.accept().is_err(), "a connection was made");
    assert_eq!(receiver.requests().len(), 2);
}
