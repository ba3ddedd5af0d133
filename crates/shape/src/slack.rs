//! What a Slack channel reads when no template says otherwise.

use crate::event::Event;
use crate::tree::{self, Tree};
use std::fmt::Write;

/// Members that are shown.
const LINES_MAX: usize = 12;
/// One value, in characters.
const VALUE_CHARS_MAX: usize = 300;

/// `{"text":…}` around a text.
pub(crate) fn message(text: &str) -> Vec<u8> {
    let mut out = b"{\"text\":".to_vec();
    tree::write_text(text, &mut out);
    out.push(b'}');
    out
}

/// The event type, and the payload's own members that are short: one line each.
pub(crate) fn default_text(event: &Event<'_>, data: &Tree<'_>) -> String {
    let mut text = format!("*{}*", escape(event.event_type));
    let Tree::Object(members) = data else { return text };
    let mut left_out = 0;
    for (index, (name, value)) in members.iter().enumerate() {
        let value = match value {
            Tree::Text(text) => text.to_string(),
            other => {
                let mut json = Vec::new();
                tree::write(other, &mut json);
                String::from_utf8_lossy(&json).into_owned()
            }
        };
        if index >= LINES_MAX {
            left_out += 1;
            continue;
        }
        let cut: String = value.chars().take(VALUE_CHARS_MAX).collect();
        let more = if cut.len() < value.len() { "…" } else { "" };
        // Writing into memory does not fail.
        let _ = write!(text, "\n• {}: {}{more}", escape(name), escape(&cut));
    }
    if left_out > 0 {
        let _ = write!(text, "\n… and {left_out} more");
    }
    text
}

/// Slack's three control characters, as its documentation asks.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
