//! A canary in every place where a secret can go: it is seen where it must be, and nowhere else.
//!
//! Each place has a canary of its own, looked for as text, as hexadecimal and as base64 in every alignment: in the
//! logs at the level of most words, in all answers of the API, in `/metrics`, in what the commands print, and in the
//! bytes of all files in the data folder, the WAL included, while the server runs and after it has ended.

use crate::live::{Api, Home, WITHIN, pace};
use crate::tls_receiver::TlsReceiver;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::process::Command;
use std::time::Duration;
use testkit::{Answer, Process, Receiver};

/// Bytes by which a form is first recognised.
const SEED: usize = 6;
/// The places, each with a canary of 32 characters.
const PLACES: [&str; 19] = [
    "jwt",
    "seal",
    "import",
    "ed25519",
    "rotate",
    "bearer",
    "apikey",
    "once",
    "url",
    "patch",
    "message",
    "wrong",
    "oauth",
    "granted",
    "hmac",
    "hmac-old",
    "slack",
    "slack-own",
    "push",
];

/// The canaries and all their forms.
struct Canaries {
    texts: HashMap<&'static str, String>,
    /// Forms by their first bytes, each with its place.
    forms: HashMap<[u8; SEED], Vec<(String, Vec<u8>)>>,
}

impl Canaries {
    fn new() -> Self {
        let mut all = Self { texts: HashMap::new(), forms: HashMap::new() };
        for place in PLACES {
            let text = format!("Canary{place:.<10}{:016x}", fastrand::u64(..));
            all.watch(place, text.as_bytes());
            all.texts.insert(place, text);
        }
        all
    }

    /// Looks for these bytes from now on.
    fn watch(&mut self, place: &str, bytes: &[u8]) {
        let mut forms =
            vec![bytes.to_vec(), hex::encode(bytes).into_bytes(), hex::encode_upper(bytes).into_bytes()];
        for before in 0..3 {
            let shifted = [vec![0; before], bytes.to_vec()].concat();
            // The first and the last group hold bits of the neighbours.
            let from = if before == 0 { 0 } else { 4 };
            let inner = |text: String| text.as_bytes()[from..text.len() - 4].to_vec();
            forms.push(inner(BASE64_STANDARD.encode(&shifted)));
            forms.push(inner(BASE64_URL_SAFE_NO_PAD.encode(&shifted)));
        }
        for form in forms {
            let seed = form[..SEED].try_into().expect("a form is longer than its seed");
            self.forms.entry(seed).or_default().push((place.to_owned(), form));
        }
    }

    fn of(&self, place: &str) -> &str {
        &self.texts[place]
    }

    /// A canary as a symmetric signing secret.
    fn secret(&self, place: &str) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.of(place)))
    }

    /// Whose canaries are in these bytes.
    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for at in 0..bytes.len().saturating_sub(SEED) {
            let forms = self.forms.get(&bytes[at..at + SEED]).into_iter().flatten();
            found.extend(
                forms.filter(|(_, form)| bytes[at..].starts_with(form)).map(|(place, _)| place.as_str()),
            );
        }
        found
    }

    fn none_in(&self, what: &str, bytes: &[u8]) {
        let found = self.found(bytes);
        assert!(
            found.is_empty(),
            "{what} shows {found:?}: {}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(600)])
        );
    }
}

/// Starts the server with its log in a file: at this level it writes more than a test keeps in memory.
async fn start(home: &Home, format: &str) -> Process {
    let serve = home.serve();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 2>server.log", "sh"]).arg(serve.get_program()).args(serve.get_args());
    command.current_dir(home.folder());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("POSTHASTE_LOG", "trace").env("POSTHASTE_LOG_FORMAT", format);
    let process = Process::start(command);
    let (client, mut tick) = (home.api().client, pace(Duration::from_millis(20)));
    for _ in 0..WITHIN.as_millis() / 20 {
        tick.tick().await;
        if client.send(Method::GET, "/api/v1/health", &[], "").await.is_ok_and(|reply| reply.status == 200) {
            return process;
        }
    }
    panic!("it does not serve: {}", fs::read_to_string(home.folder().join("server.log")).unwrap_or_default());
}

/// An endpoint whose secrets and headers are canaries.
async fn endpoint_with_canaries(api: &Api, canaries: &Canaries, application: &str, url: &str) -> String {
    let (bearer, patch) = (format!("Bearer {}", canaries.of("bearer")), canaries.of("patch"));
    let new = json!({
        "url": url,
        "secret": canaries.secret("import"),
        "headers": { "Authorization": bearer, "X-Api-Key": canaries.of("apikey") },
    });
    let endpoint = api.post(&format!("/app/{application}/endpoint"), &new).await;
    let endpoint = format!("/app/{application}/endpoint/{}", endpoint["id"].as_str().expect("an id"));
    let headers = json!({ "headers": { "X-Auth-Token": patch } });
    let (status, answer) =
        api.client.patch(&format!("/api/v1{endpoint}/headers"), &api.token, &headers).await;
    assert_eq!(status, 204, "{answer}");
    let ed25519 = format!("whsk_{}", BASE64_STANDARD.encode(canaries.of("ed25519")));
    for (key, once) in [(ed25519, "first"), (canaries.secret("rotate"), canaries.of("once"))] {
        let (authorization, body) = (format!("Bearer {}", api.token), json!({ "key": key }));
        let headers = [("authorization", authorization.as_str()), ("idempotency-key", once)];
        let path = format!("/api/v1{endpoint}/secret/rotate");
        let reply =
            api.client.send(Method::POST, &path, &headers, body.to_string()).await.expect("an answer");
        // Whoever rotates is told the key, as by a look at it.
        assert!(matches!(reply.status, 200 | 204), "{}", reply.json());
    }
    endpoint
}

/// Endpoints whose authentication and signatures are canaries: one gets a token, the other shows a certificate.
async fn endpoints_with_credentials(
    api: &Api,
    canaries: &mut Canaries,
    application: &str,
    url: impl Fn(&str) -> String,
    tls: &TlsReceiver,
) -> [String; 2] {
    let secret = tls.client_key.lines().nth(1).expect("a PEM has lines");
    canaries.watch("the key of a client certificate", secret.as_bytes());
    let oauth = json!({
        "url": url("/oauth"),
        "auth": {"type": "oauth2", "tokenUrl": url("/token"), "clientId": "c", "clientSecret": canaries.of("oauth")},
        "signatures": [{"type": "hmac", "key": canaries.of("hmac-old")}],
    });
    let mtls = json!({
        "url": tls.url("/mtls"),
        "auth": {"type": "mtls", "certificate": tls.client_certificate, "privateKey": tls.client_key},
        "certificateAuthority": tls.authority,
    });
    let mut paths = Vec::new();
    for endpoint in [oauth, mtls] {
        let made = api.post(&format!("/app/{application}/endpoint"), &endpoint).await;
        canaries.none_in("a new endpoint", made.to_string().as_bytes());
        paths.push(format!("/app/{application}/endpoint/{}", made["id"].as_str().expect("an id")));
    }
    let rotation = json!({"header": "X-Signature", "key": canaries.of("hmac"), "gracePeriodSeconds": 600});
    let path = format!("/api/v1{}/signature/rotate", paths[0]);
    let (status, answer) = api.client.post(&path, &api.token, &rotation).await;
    assert!(matches!(status, 200 | 204), "{answer}");
    paths.try_into().expect("two")
}

/// Requests that are refused while they hold a canary; none of the answers repeats it.
async fn refused_with_canaries(api: &Api, canaries: &Canaries, application: &str, endpoint: &str) {
    let (wrong, url) = (canaries.of("wrong"), canaries.of("url"));
    let endpoints = format!("/app/{application}/endpoint");
    let headers = format!("{endpoint}/headers");
    let rotate = format!("{endpoint}/secret/rotate");
    let good = "https://example.com/";
    let bodies = [
        (&endpoints, json!({ "url": format!("https://user:{url}@example.com/") })),
        (&endpoints, json!({ "url": good, "secret": format!("whsec_{wrong}!") })),
        (&endpoints, json!({ "url": good, "secret": format!("whpk_{wrong}") })),
        (&endpoints, json!({ "url": good, "secret": [wrong] })),
        (&endpoints, json!({ "url": 5, "secret": wrong, "headers": wrong })),
        (&endpoints, json!({ "url": good, "headers": { "Authorization": format!("{wrong}\n") } })),
        (&endpoints, json!({ "url": good, "headers": { "Authorization": [wrong] } })),
        (&endpoints, json!({ "url": good, "headers": { "webhook-signature": wrong } })),
        (&endpoints, json!({ "url": good, "auth": { "type": "bearer", "token": format!("{wrong}\n") } })),
        (&endpoints, json!({ "url": good, "auth": { "type": "bearer", "token": [wrong] } })),
        (&endpoints, json!({ "url": good, "auth": { "type": "basic", "password": wrong } })),
        (
            &endpoints,
            json!({ "url": good, "auth": { "type": "mtls", "certificate": wrong, "privateKey": wrong } }),
        ),
        (&endpoints, json!({ "url": good, "signatures": [{ "type": "hmac", "key": { "k": wrong } }] })),
        (&endpoints, json!({ "url": good, "signatures": [{ "type": "hmac", "key": wrong.repeat(9) }] })),
        (&endpoints, json!({ "url": good, "signatures": wrong })),
        (&headers, json!({ "headers": { "X-Api-Key": format!("{wrong}\u{1}") } })),
        (&headers, json!({ "headers": wrong })),
        (&rotate, json!({ "key": wrong })),
        (&rotate, json!({ "key": { "text": wrong } })),
    ];
    for (path, body) in bodies {
        let path = format!("/api/v1{path}");
        let (status, answer) = match path.ends_with("headers") {
            true => api.client.put(&path, &api.token, &body).await,
            false => api.client.post(&path, &api.token, &body).await,
        };
        assert_eq!(status, 422, "{path} {body}: {answer}");
        canaries.none_in(&path, answer.to_string().as_bytes());
    }
    let broken = format!("{{\"url\": \"{good}\", \"secret\": \"{wrong}\" {wrong} }}");
    let authorization = format!("Bearer {}", api.token);
    for (credential, body) in [(authorization, broken), (format!("Bearer {wrong}"), String::new())] {
        let path = format!("/api/v1{endpoints}");
        let headers = [("authorization", credential.as_str())];
        let reply = api.client.send(Method::POST, &path, &headers, body).await.expect("an answer");
        assert!((400..500).contains(&reply.status));
        canaries.none_in("a refusal", &reply.body);
    }
}

/// A Slack URL and a browser's push URL let whoever knows them write there. All of them are written to.
async fn people_with_canaries(api: &Api, canaries: &Canaries, application: &str, receiver: &Receiver) {
    let url = |place: &str| receiver.url(&format!("/{}", canaries.of(place)));
    let app = format!("/app/{application}");
    let path = format!("/api/v1{app}/notify");
    let (status, answer) = api.client.patch(&path, &api.token, &json!({ "slackUrl": url("slack") })).await;
    assert_eq!(status, 200, "{answer}");
    canaries.none_in("preferences", answer.to_string().as_bytes());
    let subscription = crate::browser::Browser::new().subscription(&url("push"));
    api.post(&format!("{app}/push-subscription"), &subscription).await;
    api.post("/event-type", &json!({ "name": "leaves", "description": "" })).await;
    receiver.answer_always("/leaves", Answer::status(410).header("webhook-delivery", "disable"));
    let own = json!({ "slackUrl": url("slack-own") });
    for notify in [Value::Null, own] {
        let asked = json!({ "url": receiver.url("/leaves"), "eventTypes": ["leaves"], "notify": notify });
        let made = api.post(&format!("{app}/endpoint"), &asked).await;
        canaries.none_in("an endpoint", made.to_string().as_bytes());
    }
    api.post(&format!("{app}/msg"), &json!({ "eventType": "leaves", "payload": {} })).await;
    for place in ["slack", "slack-own", "push"] {
        receiver.wait_for_path(&format!("/{}", canaries.of(place)), 1, WITHIN).await;
    }
    for path in ["notice", "push-subscription", "notify"] {
        let shown = api.get(&format!("{app}/{path}")).await;
        canaries.none_in(path, shown.to_string().as_bytes());
    }
}

/// Every answer that shows something, but the one that reveals a secret.
async fn read_everything(
    api: &Api,
    canaries: &Canaries,
    application: &str,
    endpoint: &str,
    others: &[String; 2],
) {
    let app = format!("/app/{application}");
    let id = endpoint.rsplit('/').next().expect("an id");
    let messages = api.get(&format!("{app}/msg")).await;
    let message = messages["data"][0]["id"].as_str().expect("a message");
    let attempts = api.get(&format!("{app}/attempt/msg/{message}")).await;
    let attempt = attempts["data"][0]["id"].as_str().expect("an attempt");
    for path in [
        "/app".to_owned(),
        app.clone(),
        format!("{app}/endpoint"),
        endpoint.to_owned(),
        format!("{endpoint}/headers"),
        format!("{endpoint}/stats"),
        format!("{endpoint}/msg"),
        format!("{app}/msg"),
        format!("{app}/msg/{message}"),
        format!("{app}/msg/{message}/endpoint"),
        format!("{app}/attempt/endpoint/{id}?with_msg=true"),
        format!("{app}/attempt/msg/{message}"),
        format!("{app}/msg/{message}/attempt/{attempt}"),
        "/event-type".to_owned(),
        "/api-key".to_owned(),
        "/health".to_owned(),
        "/openapi.json".to_owned(),
    ] {
        canaries.none_in(&path, api.get(&path).await.to_string().as_bytes());
    }
    let event = json!({ "eventType": "e", "payload": {} });
    for other in others {
        let path = format!("{other}/simulate");
        for shown in [api.get(other).await, api.post(&path, &event).await] {
            canaries.none_in(other, shown.to_string().as_bytes());
        }
        let id = other.rsplit('/').next().expect("an id");
        let attempts = api.get(&format!("{app}/attempt/endpoint/{id}?with_msg=true")).await;
        assert_eq!(attempts["data"][0]["responseStatusCode"], 200, "{attempts}");
        canaries.none_in(other, attempts.to_string().as_bytes());
    }
    let [oauth, mtls] = [&others[0], &others[1]].map(|path| format!("{path}/credentials"));
    let (oauth, mtls) = (api.get(&oauth).await, api.get(&mtls).await);
    assert_eq!(oauth["auth"]["clientSecret"], canaries.of("oauth"), "this one is for looking at it");
    assert!(mtls["auth"]["privateKey"].as_str().is_some_and(|key| key.starts_with("-----BEGIN")));
    canaries.none_in("/metrics", api.metrics().await.as_bytes());
    let secret = api.get(&format!("{endpoint}/secret")).await;
    assert_eq!(secret["key"], canaries.secret("rotate"), "this one is for looking at it");
}

fn read_files(home: &Home, canaries: &Canaries) {
    let mut names = Vec::new();
    for entry in fs::read_dir(home.data()).expect("the data folder") {
        let path = entry.expect("an entry").path();
        canaries.none_in(&path.display().to_string(), &fs::read(&path).expect("a file"));
        names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
    }
    assert!(names.contains(&"posthaste.db".to_owned()), "{names:?}");
}

async fn no_canary_is_seen(format: &str) {
    let mut canaries = Canaries::new();
    let home = Home::new(&[("JWT_SECRET", canaries.of("jwt")), ("ENCRYPTION_KEY", canaries.of("seal"))]);
    let receiver = Receiver::start().await;
    let process = start(&home, format).await;
    let mut api = home.api();
    let made = api.post("/api-key", &json!({ "name": "canary" })).await;
    let key = made["token"].as_str().expect("a key").to_owned();
    // All but the first characters, which are shown in lists.
    canaries.watch("the text of the API key", &key.as_bytes()[8..]);
    canaries.watch("the token", api.token.rsplit('.').next().expect("a signature").as_bytes());
    api.token = key.clone();
    let application = api.application("canary").await;
    let endpoint = endpoint_with_canaries(&api, &canaries, &application, &receiver.url("/hook")).await;
    let granted = json!({ "access_token": canaries.of("granted"), "expires_in": 600 }).to_string();
    receiver.answer_always("/token", Answer::status(200).body(granted));
    let tls = TlsReceiver::start().await;
    let others =
        endpoints_with_credentials(&api, &mut canaries, &application, |path| receiver.url(path), &tls).await;
    refused_with_canaries(&api, &canaries, &application, &endpoint).await;
    let override_key = json!({ "headers": { "X-Access-Token": canaries.of("message") } });
    let message = json!({ "eventType": "e", "payload": {}, "transformationsParams": override_key });
    api.post(&format!("/app/{application}/msg"), &message).await;
    let arrived = receiver.wait_for_path("/hook", 1, WITHIN).await;
    assert_eq!(arrived[0].header("x-api-key"), canaries.of("apikey"), "the receiver is who may see it");
    assert_eq!(arrived[0].header("x-access-token"), canaries.of("message"));
    let signed = receiver.wait_for_path("/oauth", 1, WITHIN).await;
    assert_eq!(signed[0].header("authorization"), format!("Bearer {}", canaries.of("granted")));
    assert_eq!(signed[0].header("x-signature").split(',').count(), 2, "the old key signs too");
    api.settled().await;
    read_everything(&api, &canaries, &application, &endpoint, &others).await;
    people_with_canaries(&api, &canaries, &application, &receiver).await;
    for arguments in [&["config"][..], &["key", "list"]] {
        canaries.none_in(&format!("{arguments:?}"), home.run(arguments).as_bytes());
    }
    read_files(&home, &canaries);
    process.terminate();
    process.wait(WITHIN).await;
    read_files(&home, &canaries);
    let log = fs::read(home.folder().join("server.log")).expect("the log");
    let lines = log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    assert!(String::from_utf8_lossy(&log).contains("posthaste serves"), "nothing was logged");
    assert!(lines.clone().all(|line| (serde_json::from_slice::<Value>(line).is_ok()) == (format == "json")));
    lines.for_each(|line| canaries.none_in("the log", line));
}

#[tokio::test]
async fn no_secret_is_seen_where_it_must_not_be_with_logs_as_text() {
    no_canary_is_seen("text").await;
}

#[tokio::test]
async fn no_secret_is_seen_where_it_must_not_be_with_logs_as_json() {
    no_canary_is_seen("json").await;
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canaries = Canaries::new();
    let text = canaries.of("import");
    for before in 0..4 {
        let bytes = [&b"xyz?"[..before], text.as_bytes(), b"tail"].concat();
        for seen in
            [BASE64_STANDARD.encode(&bytes), BASE64_URL_SAFE_NO_PAD.encode(&bytes), hex::encode(&bytes)]
        {
            assert!(canaries.found(format!("log: {seen}").as_bytes()).contains(&"import"), "{seen}");
        }
    }
    assert!(canaries.found(b"nothing to be seen here").is_empty());
}
