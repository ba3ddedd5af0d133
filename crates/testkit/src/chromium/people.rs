//! What people do with a page, by the words that they see.
//!
//! Words are compared whole, with runs of white space as one space. An `aria-label` counts like the words it stands for;
//! decoration (`aria-hidden`) may be left out. Where several fit, it is the first that is shown; while a modal dialog is
//! open, only what lies in it. Each of these waits until what it needs is there, and tries again while the page changes.

use super::{Chromium, Element};

impl Chromium {
    /// The button with this text: `button`, `summary`, `role=button`, or an `input` that is a button.
    pub async fn button(&self, text: &str) -> Element {
        self.session.find("button", text, None).await
    }

    /// The link with this text.
    pub async fn link(&self, text: &str) -> Element {
        self.session.find("link", text, None).await
    }

    /// The `input`, `select` or `textarea` with this label.
    pub async fn field(&self, label: &str) -> Element {
        self.session.find("field", label, None).await
    }

    /// Presses the button with this text, once it is enabled.
    pub async fn press(&self, text: &str) {
        self.click_on("enabled button", text).await;
    }

    /// Follows the link with this text.
    pub async fn follow(&self, text: &str) {
        self.click_on("link", text).await;
    }

    async fn click_on(&self, kind: &str, text: &str) {
        let clicked = async || {
            let Some(found) = self.session.locate(kind, text, None).await? else { return Ok(None) };
            found.try_click().await.map(Some)
        };
        self.session.until(&format!("clicking the {kind} {text:?}"), clicked).await;
    }

    /// Puts this text in the place of what the field with this label holds.
    pub async fn fill(&self, label: &str, text: &str) {
        let filled = async || {
            let Some(field) = self.session.locate("field", label, None).await? else { return Ok(None) };
            field.try_clear().await?;
            field.try_send_keys(text).await.map(Some)
        };
        self.session.until(&format!("filling the field {label:?}"), filled).await;
    }

    /// Chooses the option with this text in the list with this label.
    pub async fn choose(&self, label: &str, option: &str) {
        let chosen = async || {
            let Some(list) = self.session.locate("field", label, None).await? else { return Ok(None) };
            let Some(found) = self.session.locate("option", option, Some(&list)).await? else {
                return Ok(None);
            };
            found.try_click().await.map(Some)
        };
        self.session.until(&format!("choosing {option:?} in the list {label:?}"), chosen).await;
    }

    /// Ticks the box, or chooses the radio button, with this label; nothing happens when it is ticked already.
    pub async fn tick(&self, label: &str) {
        self.set_ticked(label, true).await;
    }

    /// Takes the tick from the box with this label; nothing happens when there is none.
    pub async fn untick(&self, label: &str) {
        self.set_ticked(label, false).await;
    }

    async fn set_ticked(&self, label: &str, wanted: bool) {
        let set = async || {
            let Some(field) = self.session.locate("field", label, None).await? else { return Ok(None) };
            if field.try_is_selected().await? != wanted {
                field.try_click().await?;
            }
            Ok(Some(()))
        };
        self.session.until(&format!("the box {label:?}"), set).await;
    }
}
