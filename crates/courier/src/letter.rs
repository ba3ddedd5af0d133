//! What is told, in plain words, and as each channel writes it.

use crate::email::Content;
use domain::html::escaped;
use domain::notice::TOLD_MAX;
use serde_json::{Value, json};
use std::fmt::Write;

/// How every e-mail of ours begins in HTML.
pub(crate) const HTML_BEGIN: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
     <meta name=\"color-scheme\" content=\"light dark\"></head>\
     <body style=\"font-family: system-ui, sans-serif; font-size: 15px; line-height: 1.5; max-width: 40em\">";

/// One thing that is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// In a few words.
    pub title: String,
    /// In sentences.
    pub text: String,
    /// Where to see and mend it.
    pub link: String,
}

/// What one recipient is told at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Whose webhooks it is about: the applications' names.
    pub about: Vec<String>,
    /// What is told one by one, oldest first.
    pub items: Vec<Item>,
    /// How many more there are.
    pub more: u64,
    /// Where all of them are seen.
    pub all: String,
    /// Where a recipient of e-mails says that it wants no more of these.
    pub unsubscribe: Option<String>,
    /// The same for every try of the same letter.
    pub id: String,
}

impl Letter {
    /// The headline, on one line.
    #[must_use]
    pub fn subject(&self) -> String {
        match self.items.first() {
            Some(item) if self.items.len() == 1 && self.more == 0 => {
                item.title.split_whitespace().collect::<Vec<_>>().join(" ")
            }
            _ => {
                let count = self.items.len() as u64 + self.more;
                format!("{count} notices about the webhooks of {}", self.of())
            }
        }
    }

    /// The applications' names, in a row.
    fn of(&self) -> String {
        match &*self.about {
            [] => "an application".into(),
            [one] => one.clone(),
            [one, other] => format!("{one} and {other}"),
            [first, rest @ ..] => format!("{first} and {} others", rest.len()),
        }
    }

    fn rest(&self) -> Option<String> {
        match self.more {
            0 => None,
            1 => Some("One more notice is not shown here.".into()),
            more => Some(format!("{more} more notices are not shown here.")),
        }
    }

    /// As plain text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for item in &self.items {
            let _ = write!(text, "{}\n{}\n{}\n\n", item.title, item.text, item.link);
        }
        if let Some(rest) = self.rest() {
            let _ = write!(text, "{rest}\n{}\n\n", self.all);
        }
        let _ = writeln!(text, "-- \nYou are told because you are named for the webhooks of {}.", self.of());
        if let Some(link) = &self.unsubscribe {
            let _ = writeln!(text, "No more of these: {link}");
        }
        text
    }

    /// As HTML that every mail program shows.
    #[must_use]
    pub fn html(&self) -> String {
        let mut html = String::from(HTML_BEGIN);
        for Item { title, text, link } in &self.items {
            let (title, text, link) = (escaped(title), escaped(text), escaped(link));
            let _ = write!(
                html,
                "<h2 style=\"font-size: 17px; margin: 1.5em 0 0.3em\">{title}</h2><p style=\"margin: 0\">{text}</p>\
                 <p style=\"margin: 0.5em 0\"><a href=\"{link}\">See and mend it</a></p>"
            );
        }
        if let Some(rest) = self.rest() {
            let _ = write!(html, "<p>{rest} <a href=\"{}\">See all</a></p>", escaped(&self.all));
        }
        let _ = write!(
            html,
            "<p style=\"font-size: 13px; opacity: 0.7; margin-top: 2em\">You are told because you are named for the \
             webhooks of {}.",
            escaped(&self.of())
        );
        if let Some(link) = &self.unsubscribe {
            let _ = write!(html, " <a href=\"{}\">No more of these</a>", escaped(link));
        }
        html.push_str("</p></body></html>");
        html
    }

    /// As an e-mail.
    pub(crate) fn content(&self) -> Content<'_> {
        Content {
            subject: self.subject(),
            text: self.text(),
            html: self.html(),
            id: &self.id,
            unsubscribe: self.unsubscribe.as_deref(),
        }
    }

    /// As Slack and what is compatible with it take it: `text` with its links (api.slack.com, "Formatting text").
    pub(crate) fn slack(&self) -> Value {
        let mut text = String::new();
        for Item { title, text: told, link } in &self.items {
            let _ = writeln!(text, "*<{link}|{}>*\n{}", slack_escaped(title), slack_escaped(told));
        }
        if let Some(rest) = self.rest() {
            let _ = writeln!(text, "{rest} <{}|See all>", self.all);
        }
        json!({"text": text.trim_end()})
    }

    /// As a browser shows it. Push services take some 4 KB: what is longer is cut.
    pub(crate) fn push(&self) -> Value {
        const TITLE_CHARS: usize = 120;
        const TEXT_CHARS: usize = 600;
        let cut = |text: &str, chars: usize| -> String {
            if text.chars().count() <= chars {
                return text.to_owned();
            }
            text.chars().take(chars - 1).chain(['…']).collect()
        };
        let single = self.items.first().filter(|_| self.items.len() == 1 && self.more == 0);
        let body = single.map_or_else(
            || self.items.iter().map(|item| &*item.title).collect::<Vec<_>>().join("\n"),
            |item| item.text.clone(),
        );
        let url = single.map_or(&self.all, |item| &item.link);
        json!({"title": cut(&self.subject(), TITLE_CHARS), "body": cut(&body, TEXT_CHARS), "url": url})
    }
}

const _: () = assert!(TOLD_MAX <= 20, "Slack takes texts of 40,000 characters");

/// Slack's three characters of control.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Item {
        Item {
            title: format!("Webhook {name} is disabled"),
            text: "It said <b>no</b> & went.".into(),
            link: "https://hooks.example/app/a/endpoint/b".into(),
        }
    }

    fn letter(items: Vec<Item>, more: u64) -> Letter {
        let unsubscribe = Some("https://hooks.example/unsubscribe/x".into());
        let all = "https://hooks.example/app/a".into();
        Letter { about: vec!["Acme".into()], items, more, all, unsubscribe, id: "1".into() }
    }

    #[test]
    fn one_notice_is_its_own_headline_and_many_are_counted() {
        assert_eq!(letter(vec![item("Orders")], 0).subject(), "Webhook Orders is disabled");
        let many = letter(vec![item("Orders"), item("Bills")], 40);
        assert_eq!(many.subject(), "42 notices about the webhooks of Acme");
        assert!(many.text().contains("40 more notices are not shown here.\nhttps://hooks.example/app/a\n"));
    }

    #[test]
    fn texts_of_receivers_stay_texts_in_every_form() {
        let one = letter(vec![item("<script>")], 0);
        let html = one.html();
        assert!(html.contains("&lt;script&gt;") && !html.contains("<script"), "{html}");
        assert!(html.contains("It said &lt;b&gt;no&lt;/b&gt; &amp; went."), "{html}");
        assert_eq!(
            one.slack()["text"],
            "*<https://hooks.example/app/a/endpoint/b|Webhook &lt;script&gt; is disabled>*\n\
             It said &lt;b&gt;no&lt;/b&gt; &amp; went."
        );
        assert_eq!(
            one.text(),
            "Webhook <script> is disabled\nIt said <b>no</b> & went.\nhttps://hooks.example/app/a/endpoint/b\n\n\
             -- \nYou are told because you are named for the webhooks of Acme.\n\
             No more of these: https://hooks.example/unsubscribe/x\n"
        );
    }

    #[test]
    fn a_push_fits_what_push_services_take() {
        let long = Item { text: "é".repeat(10_000), ..item(&"n".repeat(5_000)) };
        let push = letter(vec![long], 0).push();
        assert!(push.to_string().len() < 3_000, "{}", push.to_string().len());
        assert!(push["title"].as_str().unwrap().ends_with('…'));
    }
}
