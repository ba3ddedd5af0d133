//! WebDriver's requests (W3C WebDriver): JSON there and back, about one window of one browser.

use std::fmt;
use std::path::Path;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::HttpClient;

use super::{Element, WAIT, text};

/// How often something is looked for that is not there yet.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);
/// How long a page may take to load and a script to answer, in milliseconds.
const TIMEOUT_MS: u64 = 30_000;
/// How much of a page's text a failure shows.
const TEXT_CHARS_MAX: usize = 4_000;
/// The key under which an element's id stands (W3C WebDriver, "Elements").
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Without a window and without what a browser does on its own accord.
const FLAGS: [&str; 8] = [
    "--headless",
    // Its sandbox does not run as root; the pages are our own.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];
/// Finds what a person sees.
const LOCATE: &str = include_str!("locate.js");

/// One browser's session. Clones are the same session.
#[derive(Clone, Debug)]
pub(super) struct Session {
    http: HttpClient,
    path: String,
}

/// Why the browser did not do it.
#[derive(Debug)]
pub(super) struct Failure {
    error: String,
    message: String,
}

impl Failure {
    /// Whether it may go better in a moment, because the page is changing.
    fn passes(&self) -> bool {
        let passing = [
            "stale element reference",
            "element not interactable",
            "element click intercepted",
            "no such element",
            "no such alert",
            "unknown error",
        ];
        passing.contains(&self.error.as_str()) || self.message.contains("unloaded")
    }

    /// Whether it may go better in a moment with the same element.
    pub(super) fn passes_for_element(&self) -> bool {
        self.passes() && self.error != "stale element reference"
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.error, self.message.lines().next().unwrap_or_default())
    }
}

impl Session {
    /// Starts the browser.
    pub(super) async fn open(port: u16, folder: &Path) -> Self {
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
        flags.push(format!("--user-data-dir={}", folder.join("profile").display()));
        let capabilities = json!({ "alwaysMatch": {
            "goog:loggingPrefs": { "browser": "ALL" },
            "goog:chromeOptions": { "args": flags },
            "timeouts": { "pageLoad": TIMEOUT_MS, "script": TIMEOUT_MS },
            "unhandledPromptBehavior": "ignore",
        }});
        let http = HttpClient::new(format!("http://127.0.0.1:{port}"));
        let mut session = Self { http, path: "/session".to_owned() };
        match session.post("", json!({ "capabilities": capabilities })).await {
            Ok(opened) => session.path = format!("/session/{}", text(&opened["sessionId"])),
            Err(failure) => {
                panic!("Chromium does not start. On Debian: apt-get install chromium\n{}", failure.message)
            }
        }
        session
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        answered(self.http.get(&format!("{}{path}", self.path), "").await)
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        answered(self.http.post(&format!("{}{path}", self.path), "", &body).await)
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        answered(self.http.delete(&format!("{}{path}", self.path), "").await)
    }

    pub(super) async fn script(&self, js: &str, args: &[Value]) -> Result<Value, Failure> {
        self.post("/execute/sync", json!({ "script": js, "args": args })).await
    }

    /// The first element of this kind that is shown now, in the whole page or below `root`. Kinds stand in `locate.js`.
    pub(super) async fn locate(
        &self,
        kind: &str,
        wanted: &str,
        root: Option<&Element>,
    ) -> Result<Option<Element>, Failure> {
        let args = [json!(kind), json!(wanted), root.map_or(Value::Null, Element::reference)];
        let found = self.script(LOCATE, &args).await?;
        Ok((!found.is_null()).then(|| self.element(&found)))
    }

    /// As [`Session::locate`], but waits until there is one.
    pub(super) async fn find(&self, kind: &str, wanted: &str, root: Option<&Element>) -> Element {
        self.until(&format!("{kind} {wanted:?}"), async || self.locate(kind, wanted, root).await).await
    }

    /// Every element that the selector finds now, shown or not.
    pub(super) async fn find_all(&self, css: &str, root: Option<&Element>) -> Vec<Element> {
        let path = root.map_or("/elements".to_owned(), |root| format!("/element/{}/elements", root.id()));
        let found = self.post(&path, json!({ "using": "css selector", "value": css })).await;
        let found = self.must(&format!("looking for {css:?}"), found).await;
        found.as_array().into_iter().flatten().map(|element| self.element(element)).collect()
    }

    /// An element of an answer.
    pub(super) fn element(&self, value: &Value) -> Element {
        let Some(id) = value[ELEMENT].as_str() else { panic!("not an element: {value}") };
        Element::new(self.clone(), id.to_owned())
    }

    /// Tries until there is something; failures that may pass count as nothing. Panics after [`WAIT`], or at once at other
    /// failures, with what the page shows.
    pub(super) async fn until<T>(
        &self,
        wanted: &str,
        attempt: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> T {
        let end = Instant::now() + WAIT;
        let mut ticks = interval(POLL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let reason = match attempt().await {
                Ok(Some(found)) => return found,
                Ok(None) => format!("not within {WAIT:?}"),
                Err(failure) if failure.passes() && Instant::now() < end => continue,
                Err(failure) => self.give_up(wanted, &failure.to_string()).await,
            };
            if Instant::now() >= end {
                self.give_up(wanted, &reason).await;
            }
        }
    }

    /// What was answered; the test ends when that is a failure.
    pub(super) async fn must<T>(&self, doing: &str, answer: Result<T, Failure>) -> T {
        match answer {
            Ok(value) => value,
            Err(failure) => self.give_up(doing, &failure.to_string()).await,
        }
    }

    /// Ends the test with what the page shows.
    async fn give_up(&self, wanted: &str, reason: &str) -> ! {
        let script = "return location.href + '\\n' + (document.body?.innerText ?? '')";
        let page = match self.script(script, &[]).await {
            Ok(page) => text(&page).chars().take(TEXT_CHARS_MAX).collect(),
            Err(failure) => format!("(nothing to be read: {failure})"),
        };
        panic!("{wanted}: {reason}; the page: {page}");
    }
}

/// The reference that scripts take for an element.
pub(super) fn reference(id: &str) -> Value {
    json!({ ELEMENT: id })
}

fn answered((status, mut body): (u16, Value)) -> Result<Value, Failure> {
    let value = body["value"].take();
    if status == 200 {
        return Ok(value);
    }
    Err(Failure { error: text(&value["error"]), message: text(&value["message"]) })
}
