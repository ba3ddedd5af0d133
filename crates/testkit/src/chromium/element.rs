//! One element of the page that is shown now.

use serde_json::{Value, json};

use super::session::{Failure, Session, reference};
use super::text;

/// An element. It stays what it is until the page replaces it; from then on every use of it ends the test, so one looks
/// for it anew after whatever changes the page.
#[derive(Clone, Debug)]
pub struct Element {
    session: Session,
    id: String,
}

impl Element {
    pub(super) const fn new(session: Session, id: String) -> Self {
        Self { session, id }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What stands for it in the arguments of [`Chromium::script`](super::Chromium::script).
    #[must_use]
    pub fn reference(&self) -> Value {
        reference(&self.id)
    }

    /// Scrolls to it and clicks its middle; waits while it cannot be clicked or something else covers it.
    pub async fn click(&self) {
        let clicked = async || match self.try_click().await {
            Ok(()) => Ok(Some(Ok(()))),
            Err(failure) if failure.passes_for_element() => Err(failure),
            Err(failure) => Ok(Some(Err(failure))),
        };
        let clicked = self.session.until("a click", clicked).await;
        self.session.must("a click", clicked).await;
    }

    /// The text that is shown of it.
    pub async fn text(&self) -> String {
        text(&self.get("/text").await)
    }

    /// An attribute as the page's source has it; empty for one that only has to be there, such as `required`.
    pub async fn attribute(&self, name: &str) -> Option<String> {
        let script = "return arguments[0].getAttribute(arguments[1])";
        let value = self.session.script(script, &[self.reference(), json!(name)]).await;
        let value = self.session.must(&format!("the attribute {name}"), value).await;
        value.as_str().map(str::to_owned)
    }

    /// A property as scripts see it now, such as `value`; null when there is none.
    pub async fn property(&self, name: &str) -> Value {
        self.get(&format!("/property/{name}")).await
    }

    /// Puts the focus there and types, behind what it holds; [`key`](super::key) has the special ones.
    pub async fn send_keys(&self, text: &str) {
        let typed = self.try_send_keys(text).await;
        self.session.must("typing", typed).await;
    }

    /// Empties it.
    pub async fn clear(&self) {
        let cleared = self.try_clear().await;
        self.session.must("emptying a field", cleared).await;
    }

    /// Whether it is shown.
    pub async fn is_displayed(&self) -> bool {
        self.get("/displayed").await == true
    }

    /// Whether it is ticked or chosen.
    pub async fn is_selected(&self) -> bool {
        self.get("/selected").await == true
    }

    /// As [`Chromium::find`](super::Chromium::find), below this element.
    pub async fn find(&self, css: &str) -> Self {
        self.session.find("css", css, Some(self)).await
    }

    /// As [`Chromium::find_all`](super::Chromium::find_all), below this element.
    pub async fn find_all(&self, css: &str) -> Vec<Self> {
        self.session.find_all(css, Some(self)).await
    }

    /// As [`Chromium::button`](super::Chromium::button), below this element: the button of one row.
    pub async fn button(&self, text: &str) -> Self {
        self.session.find("button", text, Some(self)).await
    }

    /// As [`Chromium::link`](super::Chromium::link), below this element.
    pub async fn link(&self, text: &str) -> Self {
        self.session.find("link", text, Some(self)).await
    }

    /// As [`Chromium::field`](super::Chromium::field), below this element.
    pub async fn field(&self, label: &str) -> Self {
        self.session.find("field", label, Some(self)).await
    }

    pub(super) async fn try_click(&self) -> Result<(), Failure> {
        self.post("/click", json!({})).await
    }

    pub(super) async fn try_clear(&self) -> Result<(), Failure> {
        self.post("/clear", json!({})).await
    }

    pub(super) async fn try_send_keys(&self, text: &str) -> Result<(), Failure> {
        self.post("/value", json!({ "text": text })).await
    }

    pub(super) async fn try_is_selected(&self) -> Result<bool, Failure> {
        Ok(self.session.get(&format!("/element/{}/selected", self.id)).await? == true)
    }

    async fn post(&self, what: &str, body: Value) -> Result<(), Failure> {
        self.session.post(&format!("/element/{}{what}", self.id), body).await?;
        Ok(())
    }

    async fn get(&self, what: &str) -> Value {
        let answer = self.session.get(&format!("/element/{}{what}", self.id)).await;
        self.session.must("asking for a part of an element", answer).await
    }
}
