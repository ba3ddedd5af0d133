//! Pictures of every page of the console, light, dark and narrow, to be looked at:
//!
//! ```sh
//! cargo build --bins && cargo run --example screenshots -- FOLDER
//! ```
//!
//! It starts `posthaste dev` in a temporary folder, fills it by the public API as a back end would, and looks at it in Chromium.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Answer, Chromium, HttpClient, Process, Receiver};

const WITHIN: Duration = Duration::from_secs(60);
/// Name, width and whether it is dark.
const LOOKS: [(&str, u32, bool); 3] = [("light", 1280, false), ("dark", 1280, true), ("phone", 390, false)];

/// What the pages are about.
struct Filled {
    application: String,
    endpoint: String,
    failing: String,
    message: String,
    attempt: String,
}

struct Instance {
    client: HttpClient,
    token: String,
    base: String,
    link: String,
    _process: Process,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("the folder for the pictures"));
    std::fs::create_dir_all(&folder).expect("a folder");
    let data = tempfile::tempdir().expect("a temporary folder");
    let instance = start(data.path()).await;
    let receiver = Receiver::start().await;
    let Filled { application, endpoint, failing, message, attempt } = fill(&instance, &receiver).await;
    let browser = Chromium::start().await;
    let app = format!("/app/{application}");
    let webhook = format!("{app}/endpoint/{endpoint}");
    browser.goto(&format!("{}/login", instance.base)).await;
    look(&browser, &folder, "login").await;
    browser.goto(&instance.link).await;
    counted(&browser, &format!("{}{app}/overview", instance.base)).await;
    let pages = [
        ("overview", format!("{app}/overview")),
        (
            "overview-of-all",
            format!("/environment/{}/overview?period=week", "org_00000000000000000000default"),
        ),
        ("applications", "/".to_owned()),
        ("new-application", format!("/environment/{}/application/new", "org_00000000000000000000default")),
        ("instance-members", format!("/environment/{}/member", "org_00000000000000000000default")),
        ("webhooks", format!("{app}/endpoint")),
        ("create-webhook", format!("{app}/endpoint/new")),
        ("webhook", webhook.clone()),
        ("webhook-settings", format!("{webhook}/settings")),
        ("webhook-failing", format!("{app}/endpoint/{failing}")),
        ("webhook-transformation", format!("{webhook}/transformation")),
        ("webhook-verify", format!("{webhook}/verify")),
        ("webhook-headers", format!("{webhook}/headers")),
        ("webhook-check", format!("{webhook}/check")),
        ("webhook-delete", format!("{webhook}/delete")),
        ("webhook-recover", format!("{webhook}/recover")),
        ("events", format!("{app}/event-type")),
        ("event", format!("{app}/event-type/invoice.paid")),
        ("logs", format!("{app}/log")),
        ("message", format!("{app}/msg/{message}")),
        ("attempt", format!("{app}/msg/{message}/attempt/{attempt}")),
        ("docs", format!("{app}/docs")),
        ("settings", format!("{app}/settings")),
        ("notifications", format!("{app}/settings/notifications")),
        ("keys", format!("{app}/settings/keys")),
        ("members", format!("{app}/member")),
        ("environment", format!("/environment/{}/settings", "org_00000000000000000000default")),
        ("catalogue", format!("/environment/{}/event-type", "org_00000000000000000000default")),
        (
            "event-type",
            format!("/environment/{}/event-type/invoice.paid/edit", "org_00000000000000000000default"),
        ),
        ("account", "/account".to_owned()),
        ("not-found", "/app/app_nowhere/endpoint".to_owned()),
    ];
    for (name, path) in pages {
        browser.goto(&format!("{}{path}", instance.base)).await;
        look(&browser, &folder, name).await;
    }
}

/// Waits until the overview has numbers: they are counted every ten seconds.
async fn counted(browser: &Chromium, url: &str) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        browser.goto(url).await;
        if browser.script("return document.querySelector('.tiles') !== null", &[]).await == true {
            return;
        }
    }
}

async fn look(browser: &Chromium, folder: &Path, name: &str) {
    for (look, width, dark) in LOOKS {
        browser.dark(dark).await;
        browser.size(width, 800).await;
        let picture = browser.screenshot().await;
        std::fs::write(folder.join(format!("{name}-{look}.png")), picture).expect("a picture");
    }
}

/// What stands between `before` and the next blank.
fn after<'a>(text: &'a str, before: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in\n{text}")).1;
    rest.split_whitespace().next().unwrap_or_default()
}

async fn start(data: &Path) -> Instance {
    let binary = std::env::current_exe().expect("our own path");
    let binary = binary.parent().and_then(Path::parent).expect("target/debug").join("posthaste");
    let mut command = Command::new(binary);
    command.arg("dev").current_dir(data).env("POSTHASTE_LISTEN", "127.0.0.1:0");
    let process = Process::start(command);
    process.wait_for_line("What the receiver gets is shown here", WITHIN).await;
    let story = process.lines().join("\n");
    let link = format!("http://{}", after(&story, "it holds for 30 days:\n\nhttp://"));
    let base = link.split("/sign-in/").next().expect("a link").to_owned();
    let token = after(&story, "TOKEN=").to_owned();
    Instance { client: HttpClient::new(&base), token, base, link, _process: process }
}

impl Instance {
    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.client.post(path, &self.token, body).await;
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        answer
    }
}

/// An application as a customer has it: webhooks of several kinds, one that fails, events of several types.
async fn fill(instance: &Instance, receiver: &Receiver) -> Filled {
    receiver.answer_always("/billing", Answer::status(200).body("{\"ok\": true}"));
    receiver.answer_always("/crm", Answer::status(503).body("upstream is down"));
    for (name, description) in [
        ("invoice.paid", "An invoice was paid in full."),
        ("invoice.overdue", "An invoice is past its date."),
        ("customer.created", "There is a new customer."),
        ("customer.deleted", "A customer is gone, with all data."),
    ] {
        let schema = json!({"1": {
            "type": "object", "required": ["invoice", "amount"],
            "properties": {
                "invoice": {"type": "string", "description": "The invoice's number."},
                "amount": {"type": "number", "description": "In the currency's unit."},
                "customer": {"type": "object", "description": "Who pays.", "properties": {"id": {"type": "string"}, "email": {"type": "string", "format": "email"}}},
            },
            "examples": [{"invoice": "2026-0042", "amount": 49.90, "customer": {"id": "cus_7", "email": "ada@acme.example"}}],
        }});
        let event_type = json!({"name": name, "description": description, "schemas": schema});
        let (status, answer) = instance.client.post("/api/v1/event-type", &instance.token, &event_type).await;
        assert!(status == 201, "{answer}");
    }
    let application = instance.post("/api/v1/app", &json!({"name": "Acme Ltd", "uid": "acme"})).await;
    let id = application["id"].as_str().expect("an id").to_owned();
    let endpoints = format!("/api/v1/app/{id}/endpoint");
    let billing = json!({"url": receiver.url("/billing"), "name": "Billing", "eventTypes": ["invoice.paid", "invoice.overdue"], "headers": {"X-Team": "billing"}});
    let billing = instance.post(&endpoints, &billing).await;
    let crm = json!({"url": receiver.url("/crm"), "name": "CRM", "retrySchedule": [3600, 7200], "auth": {"type": "bearer", "token": "secret"}});
    let crm = instance.post(&endpoints, &crm).await;
    let paused = json!({"url": receiver.url("/archive"), "name": "Archive", "paused": true, "eventTypes": ["customer.created"]});
    instance.post(&endpoints, &paused).await;
    let mut last = String::new();
    for n in 0..24 {
        let event_type = if n % 3 == 2 { "customer.created" } else { "invoice.paid" };
        let payload = json!({"invoice": format!("2026-{n:04}"), "amount": 49.90, "customer": {"id": "cus_7", "email": "ada@acme.example"}, "paid": true, "note": null});
        let event = json!({"eventType": event_type, "payload": payload, "tags": ["eu"]});
        let sent = instance.post(&format!("/api/v1/app/{id}/msg"), &event).await;
        if event_type == "invoice.paid" {
            last = sent["id"].as_str().expect("an id").to_owned();
        }
    }
    receiver.wait_for_path("/billing", 16, WITHIN).await;
    let path = format!("/api/v1/app/{id}/attempt/msg/{last}");
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let attempt = loop {
        tick.tick().await;
        let (_, attempts) = instance.client.get(&path, &instance.token).await;
        if let Some(attempt) = attempts["data"][0]["id"].as_str() {
            break attempt.to_owned();
        }
    };
    let of = |made: &Value| made["id"].as_str().expect("an id").to_owned();
    Filled { application: id, endpoint: of(&billing), failing: of(&crm), message: last, attempt }
}
