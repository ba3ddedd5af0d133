//! Questions before something is done with a webhook: a page of its own, or a dialog where scripts run.

use crate::Console;
use crate::endpoint::{Found, Tab};
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use app::AppError;
use askama::Template;
use axum::response::Response;
use http::StatusCode;

/// A question before something is done.
#[derive(Template)]
#[template(path = "endpoint/ask.html")]
pub(crate) struct Ask {
    pub(crate) shell: Shell,
    pub(crate) back: String,
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) text: Vec<String>,
    pub(crate) action: String,
    pub(crate) button: &'static str,
    pub(crate) is_danger: bool,
    pub(crate) choices: Vec<Choice>,
    /// Sent along as it is.
    pub(crate) kept: Vec<(&'static str, String)>,
    pub(crate) mistakes: Mistakes,
    /// Whether the form only asks further, by GET.
    pub(crate) is_question: bool,
}

/// Something to choose before.
pub(crate) struct Choice {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) options: Vec<(String, String)>,
}

impl Page for Ask {}

/// A choice of which the first option is proposed.
pub(crate) fn choice(name: &'static str, label: &'static str, options: &[(&str, &str)]) -> Choice {
    let options: Vec<_> =
        options.iter().map(|(value, text)| ((*value).to_owned(), (*text).to_owned())).collect();
    Choice {
        name,
        label,
        value: options.first().map(|(value, _)| value.clone()).unwrap_or_default(),
        options,
    }
}

impl Found {
    /// A question about this webhook.
    pub(crate) async fn ask(
        &self,
        console: &Console,
        (title, verb, button): (&str, &str, &'static str),
    ) -> Result<Ask, AppError> {
        let (shell, head) = self.head(console, Tab::Deliveries).await?;
        Ok(Ask {
            shell,
            back: head.base.clone(),
            name: head.name,
            title: title.to_owned(),
            text: Vec::new(),
            action: format!("{}/{verb}", head.base),
            button,
            is_danger: false,
            choices: Vec::new(),
            kept: Vec::new(),
            mistakes: Mistakes::default(),
            is_question: false,
        })
    }

    pub(crate) fn base(&self) -> String {
        format!("/app/{}/endpoint/{}", self.opened.application.id, self.endpoint.id)
    }

    pub(crate) fn done(&self, word: &str) -> Response {
        see(&format!("{}?told={word}", self.base()))
    }
}

/// A refusal of the use case is told where it was asked.
pub(crate) fn asked_again(ask: Ask, error: AppError) -> Answer {
    let mistakes = match error {
        AppError::Refused { detail, .. } | AppError::Conflict { detail, .. } => Mistakes::general(detail),
        AppError::Invalid(problems) => Mistakes::of(problems),
        error => return Err(error.into()),
    };
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &Ask { mistakes, ..ask }))
}
