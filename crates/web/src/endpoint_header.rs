//! The headers that a webhook adds to its requests.

use crate::Console;
use crate::endpoint::{Found, Head, Tab};
use crate::form::Form;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::AppError;
use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use domain::header::Header;
use http::StatusCode;
use std::collections::HashMap;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/endpoint/{endpoint_id}/headers", get(headers).post(save_headers))
}

type At = Path<(String, String)>;
type Words = Query<HashMap<String, String>>;

#[derive(Template)]
#[template(path = "endpoint/headers.html")]
struct Headers {
    shell: Shell,
    head: Head,
    lines: String,
    mistakes: Mistakes,
}

impl Page for Headers {}

/// Stands for a value that is not shown; sent back it stays as it is.
const HIDDEN: &str = "…";

async fn headers_page(
    console: &Console,
    (found, at): (&Found, &(String, String)),
    (lines, mistakes): (Option<String>, Mistakes),
) -> Result<Headers, AppError> {
    let there = console.app.headers_get(found.place(at)).await?;
    let shown = there.headers.iter().map(|(name, value)| format!("{name}: {value}"));
    let hidden = there.sensitive.iter().map(|name| format!("{name}: {HIDDEN}"));
    let lines = lines.unwrap_or_else(|| shown.chain(hidden).collect::<Vec<_>>().join("\n"));
    let (shell, head) = found.head(console, Tab::Headers).await?;
    Ok(Headers { shell, head, lines, mistakes })
}

async fn headers(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): At,
    Query(query): Words,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let page = headers_page(&console, (&found, &at), (None, Mistakes::default())).await?;
    let shell = page.shell.clone().telling(query.get("told").map(String::as_str));
    Ok(Headers { shell, ..page }.ok())
}

async fn save_headers(
    State(console): State<Console>,
    Path(at): At,
    Submitted { visitor, form }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let there = console.app.headers_get(found.place(&at)).await?;
    let mut mistakes = Mistakes::default();
    let given = header_lines(&form, &mut mistakes);
    let names = there.headers.iter().map(|(name, _)| name).chain(&there.sensitive);
    let gone = names.filter(|name| !given.iter().any(|(kept, _)| kept.eq_ignore_ascii_case(name)));
    let gone: Vec<String> = gone.cloned().collect();
    let set = given.into_iter().filter(|(_, value)| value != HIDDEN);
    let set = set.map(|(name, value)| (name, Some(value))).collect();
    if mistakes.is_empty() {
        match console.app.headers_patch(found.place(&at), set, gone).await {
            Ok(()) => return Ok(see(&format!("{}/headers?told=saved", found.base()))),
            Err(AppError::Invalid(problems)) => mistakes = Mistakes::of(problems),
            Err(AppError::Refused { detail, .. }) => mistakes = Mistakes::general(detail),
            Err(error) => return Err(error.into()),
        }
    }
    let lines = Some(form.get("headers").to_owned());
    let page = headers_page(&console, (&found, &at), (lines, mistakes)).await?;
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn header_lines(form: &Form, mistakes: &mut Mistakes) -> Vec<Header> {
    let mut headers = Vec::new();
    for line in form.get("headers").lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(':') {
            Some((name, value)) => headers.push((name.trim().to_owned(), value.trim().to_owned())),
            None => mistakes.add("headers", format!("`{line}` has no `:`: write a name, `:`, and a value")),
        }
    }
    headers
}
