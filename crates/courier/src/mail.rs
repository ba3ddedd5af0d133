//! A mail to one person about their own account: an invitation, a link by which a password is chosen.

use crate::email::Content;
use crate::letter::HTML_BEGIN;
use domain::html::escaped;
use std::fmt::Write;

/// What one person is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// In a few words.
    pub subject: String,
    /// In sentences: what this is about.
    pub text: String,
    /// What they can do, in a few words.
    pub call: String,
    /// Where they do it.
    pub link: String,
    /// In sentences: how long it holds, and what if they did not ask for it.
    pub more: String,
    /// The same for every try of the same mail.
    pub id: String,
}

impl Mail {
    /// As an e-mail. Names in it may be anybody's: they stay on their line, and text.
    pub(crate) fn content(&self) -> Content<'_> {
        let subject = self.subject.split_whitespace().collect::<Vec<_>>().join(" ");
        let Self { text, call, link, more, .. } = self;
        let plain = format!("{text}\n\n{call}:\n{link}\n\n{more}\n");
        let mut html = String::from(HTML_BEGIN);
        let [text, call, link, more] = [text, call, link, more].map(|part| escaped(part));
        let _ = write!(
            html,
            "<p>{text}</p><p><a href=\"{link}\">{call}</a></p>\
             <p style=\"font-size: 13px; opacity: 0.7; margin-top: 2em\">{more}</p></body></html>"
        );
        Content { subject, text: plain, html, id: &self.id, unsubscribe: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_has_its_link_in_both_forms_and_names_stay_text() {
        let mail = Mail {
            subject: "You are invited to <b>Acme</b>\r\nBcc: x@y".into(),
            text: "Join <b>Acme</b>.".into(),
            call: "Choose a password".into(),
            link: "https://hooks.example/password/0a".into(),
            more: "It holds for 7 days.".into(),
            id: "1".into(),
        };
        let content = mail.content();
        assert_eq!(content.subject, "You are invited to <b>Acme</b> Bcc: x@y");
        assert_eq!(
            content.text,
            "Join <b>Acme</b>.\n\nChoose a password:\nhttps://hooks.example/password/0a\n\nIt holds for 7 days.\n"
        );
        assert!(content.html.contains("<p>Join &lt;b&gt;Acme&lt;/b&gt;.</p>"), "{}", content.html);
        let link = "<a href=\"https://hooks.example/password/0a\">Choose a password</a>";
        assert!(content.html.contains(link), "{}", content.html);
    }
}
