//! A real browser for tests of pages: Chromium without a window, told what to do as a person would do it.
//!
//! - here: a browser's life, going to pages, waiting for what must appear;
//! - `people`: buttons, links and fields by the words that people see;
//! - `look`: width, darkness, scripts, pictures (Chromium's own debugging protocol);
//! - `check`: what a page does wrong: complaints in the console, barriers (axe-core), content that jumps;
//! - `session`: WebDriver's requests; `driver`: the processes.
//!
//! The client of W3C WebDriver is our own: it is a dozen requests with JSON, and the crates that speak it bring forty
//! dependencies and code under the MPL.
//!
//! Nothing here waits for time to pass: what must come is looked for until it is there, for [`WAIT`] at most, and then the
//! test ends with the page's URL and visible text. So a step begins as soon as it can, and a test needs no pauses.

mod check;
mod driver;
mod element;
pub mod key;
mod look;
mod people;
mod session;

use std::time::Duration;

use serde_json::{Value, json};

pub use element::Element;

use driver::Driver;
use session::Session;

/// How long something may take to appear: much longer than any page of ours needs on a busy machine.
const WAIT: Duration = Duration::from_secs(10);

/// A browser with one window, and a profile of its own that nothing else uses. It ends when it is dropped.
///
/// One takes about half a second to start and goes to as many pages as one likes. It belongs to the runtime it was
/// started in: tests do not share one. Two visitors are two of these.
#[derive(Debug)]
pub struct Chromium {
    session: Session,
    driver: Driver,
}

impl Chromium {
    /// Starts one.
    ///
    /// # Panics
    /// With what to install when it is missing: a test that needs it never passes without it.
    pub async fn start() -> Self {
        let driver = Driver::start().await;
        let session = Session::open(driver.port(), driver.folder()).await;
        Self { session, driver }
    }

    /// The process id of `chromedriver`; the browser is its child.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.driver.pid()
    }

    /// Goes to a page and waits until it is loaded.
    pub async fn goto(&self, url: &str) {
        self.session.must("going to a page", self.session.post("/url", json!({ "url": url })).await).await;
    }

    /// The page's URL.
    pub async fn url(&self) -> String {
        text(&self.session.must("asking for the URL", self.session.get("/url").await).await)
    }

    /// The page's title.
    pub async fn title(&self) -> String {
        text(&self.session.must("asking for the title", self.session.get("/title").await).await)
    }

    /// One page back.
    pub async fn back(&self) {
        self.session.must("going back", self.session.post("/back", json!({})).await).await;
    }

    /// The same page again.
    pub async fn reload(&self) {
        self.session.must("loading the page again", self.session.post("/refresh", json!({})).await).await;
    }

    /// The first element that this CSS selector finds among those that are shown; waits until there is one.
    pub async fn find(&self, css: &str) -> Element {
        self.session.find("css", css, None).await
    }

    /// Every element that this CSS selector finds now, shown or not.
    pub async fn find_all(&self, css: &str) -> Vec<Element> {
        self.session.find_all(css, None).await
    }

    /// Whether this CSS selector finds anything now, shown or not.
    pub async fn exists(&self, css: &str) -> bool {
        !self.find_all(css).await.is_empty()
    }

    /// Waits until nothing that this CSS selector finds is shown.
    pub async fn wait_until_gone(&self, css: &str) {
        let gone = async || Ok(self.session.locate("css", css, None).await?.is_none().then_some(()));
        self.session.until(&format!("the end of {css:?}"), gone).await;
    }

    /// Waits until the page shows this text; how it is broken into lines does not matter.
    pub async fn wait_for_text(&self, wanted: &str) {
        let wanted = wanted.split_whitespace().collect::<Vec<_>>().join(" ");
        let script = "return (document.body?.innerText ?? '').replace(/\\s+/g, ' ').includes(arguments[0])";
        let seen = async || {
            let answer = self.session.script(script, &[json!(wanted)]).await?;
            Ok((answer == true).then_some(()))
        };
        self.session.until(&format!("the text {wanted:?}"), seen).await;
    }

    /// Waits until the page's URL contains this.
    pub async fn wait_for_url_part(&self, part: &str) {
        let there = async || Ok(text(&self.session.get("/url").await?).contains(part).then_some(()));
        self.session.until(&format!("a URL with {part:?}"), there).await;
    }

    /// The element that has the focus; the body when none has.
    pub async fn active_element(&self) -> Element {
        let active = self.session.get("/element/active").await;
        self.session.element(&self.session.must("asking for the focus", active).await)
    }

    /// Presses these keys, one after the other, at whatever has the focus. Special ones stand in [`key`]: `key::TAB`, or
    /// `format!("{}{}", key::SHIFT, key::TAB)`, where a modifier is held until the text ends.
    pub async fn keys(&self, text: &str) {
        let mut steps = Vec::new();
        let mut held = Vec::new();
        for key in text.chars() {
            steps.push(json!({ "type": "keyDown", "value": key }));
            if key::is_modifier(key) {
                held.push(json!({ "type": "keyUp", "value": key }));
            } else {
                steps.push(json!({ "type": "keyUp", "value": key }));
            }
        }
        steps.append(&mut held);
        let actions = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": steps }] });
        self.session.must("pressing keys", self.session.post("/actions", actions).await).await;
    }

    /// Runs this function body in the page, whatever the page's policy says; `arguments` holds `args`. A promise is waited
    /// for. Elements are [`Element::reference`]s.
    pub async fn script(&self, js: &str, args: &[Value]) -> Value {
        self.session.must("running a script", self.session.script(js, args).await).await
    }

    /// As [`Chromium::script`], but the answer is what the script hands to the function that is its last argument.
    pub async fn script_async(&self, js: &str, args: &[Value]) -> Value {
        let script = json!({ "script": js, "args": args });
        self.session.must("running a script", self.session.post("/execute/async", script).await).await
    }

    /// The cookies that go to this page, those that scripts cannot read included: `name`, `value`, `httpOnly`, `secure`,
    /// `sameSite`, `path`, `expiry`.
    pub async fn cookies(&self) -> Vec<Value> {
        let cookies = self.session.must("asking for the cookies", self.session.get("/cookie").await).await;
        cookies.as_array().cloned().unwrap_or_default()
    }

    /// Deletes the cookies of all pages.
    pub async fn delete_cookies(&self) {
        self.cdp("Network.clearBrowserCookies", json!({})).await;
    }

    /// Opens another tab with the same cookies and goes on there. Its width, darkness and scripts are the usual ones.
    pub async fn new_window(&self) {
        let window = self.session.post("/window/new", json!({ "type": "tab" })).await;
        let window = self.session.must("opening a tab", window).await;
        self.go_on_in(&window["handle"]).await;
    }

    /// Closes this tab and goes on in the first of the others.
    pub async fn close_window(&self) {
        let left = self.session.must("closing a tab", self.session.delete("/window").await).await;
        self.go_on_in(&left[0]).await;
    }

    async fn go_on_in(&self, handle: &Value) {
        let switched = self.session.post("/window", json!({ "handle": handle })).await;
        self.session.must("going to another tab", switched).await;
    }

    /// Waits for a question of the browser's own (`alert`, `confirm`), says yes to it and returns its text.
    pub async fn accept_alert(&self) -> String {
        self.end_alert("/alert/accept").await
    }

    /// As [`Chromium::accept_alert`], but says no.
    pub async fn dismiss_alert(&self) -> String {
        self.end_alert("/alert/dismiss").await
    }

    async fn end_alert(&self, how: &str) -> String {
        let text = self.session.until("a question of the browser", async || {
            let asked = self.session.get("/alert/text").await?;
            Ok(Some(text(&asked)))
        });
        let text = text.await;
        self.session.must("answering a question", self.session.post(how, json!({})).await).await;
        text
    }
}

/// A text of an answer; empty when it is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
