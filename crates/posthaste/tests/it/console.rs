//! The console, as people use it: by its pages and forms, and in a real browser.

mod audit;
mod brand;
mod canary;
mod log;
mod mails;
mod oidc;
mod oidc_people;
mod overview;
mod pages;
mod people;
mod portal;
mod roles;
mod settings;
mod sign_in;
mod snippets;
mod story;
mod totp;
mod webhook;

use crate::server::World;
use app::user::Newcomer;
use domain::environment::ENVIRONMENT_DEFAULT;
use domain::role::Role;
use http::Method;
use testkit::{Chromium, HttpClient, Reply};
use url::form_urlencoded;

/// How long a link holds that a test signs in by: longer than any test's time.
const LINK_MS: i64 = 365 * 86_400_000;

/// A browser without a screen: it keeps its cookie, and sends forms as pages do.
pub(crate) struct Person {
    client: HttpClient,
    pub(crate) cookie: String,
    form_token: String,
}

/// What a page says, or where it leads.
pub(crate) fn text_of(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// A header of an answer; empty when there is none.
pub(crate) fn header<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The cookie that an answer sets, with its name.
pub(crate) fn cookie_of(reply: &Reply) -> String {
    header(reply, "set-cookie").split(';').next().unwrap_or_default().to_owned()
}

/// What stands between two texts.
pub(crate) fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}

impl Person {
    /// Somebody who is not signed in.
    pub(crate) fn new(world: &World) -> Self {
        Self { client: HttpClient::new(world.url()), cookie: String::new(), form_token: String::new() }
    }

    /// Whoever has this cookie.
    pub(crate) async fn with_cookie(world: &World, cookie: String) -> Self {
        let mut person = Self { cookie, ..Self::new(world) };
        let account = text_of(&person.get("/account").await);
        let token = between(&account, "name=\"form_token\" value=\"", "\"");
        person.form_token = token.unwrap_or_default().to_owned();
        person
    }

    /// A user with these roles, signed in.
    pub(crate) async fn of(world: &World, email: &str, seats: &[Seat<'_>]) -> Self {
        let link = link_of(world, email, seats).await;
        Self::by_link(world, &link).await
    }

    async fn by_link(world: &World, link: &str) -> Self {
        let reply = Self::new(world).get(&format!("/sign-in/{link}")).await;
        Self::with_cookie(world, cookie_of(&reply)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, &[], "").await
    }

    /// Sends a form as a page of theirs does.
    pub(crate) async fn post(&self, path: &str, form: &[(&str, &str)]) -> Reply {
        let token = [("form_token", &*self.form_token)];
        self.post_as_is(path, &[&token, form].concat(), &[("sec-fetch-site", "same-origin")]).await
    }

    /// Sends just this form with just these headers.
    pub(crate) async fn post_as_is(
        &self,
        path: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Reply {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form);
        let content_type = [("content-type", "application/x-www-form-urlencoded")];
        self.request(Method::POST, path, &[&content_type, headers].concat(), &body.finish()).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let cookie = [("cookie", &*self.cookie)];
        let cookie = if self.cookie.is_empty() { &[][..] } else { &cookie };
        let sent = self.client.send(method, path, &[cookie, headers].concat(), body.to_owned()).await;
        sent.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// A role in an application, or (without one) on the whole instance.
#[derive(Clone, Copy)]
pub(crate) struct Seat<'a> {
    pub(crate) application: Option<&'a str>,
    pub(crate) role: Role,
}

/// Everybody's administrator.
pub(crate) const EVERYWHERE: Seat<'static> = Seat { application: None, role: Role::Administrator };
/// Who invites everybody else.
const ROOT: &str = "root@acme.example";

/// A link that signs a user with these roles in; who is none yet is invited by the console itself.
pub(crate) async fn link_of(world: &World, email: &str, seats: &[Seat<'_>]) -> String {
    let root = Newcomer { email: ROOT.to_owned(), ..Newcomer::default() };
    match world.app().user_create(root, Role::Administrator).await {
        Ok(_) | Err(app::AppError::Conflict { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let link = world.app().sign_in_link(ROOT, LINK_MS).await.expect("a link");
    let root = Person::by_link(world, &link).await;
    for seat in seats {
        let place = match seat.application {
            Some(application) => format!("/app/{application}/member"),
            None => format!("/environment/{ENVIRONMENT_DEFAULT}/member"),
        };
        let invited = root.post(&place, &[("email", email), ("role", seat.role.word())]).await;
        assert_eq!(invited.status, 200, "{}", text_of(&invited));
    }
    world.app().sign_in_link(email, LINK_MS).await.expect("a link")
}

/// A real browser in which an administrator of everything is signed in.
pub(crate) async fn signed_in(world: &World) -> Chromium {
    let link = link_of(world, "ada@acme.example", &[EVERYWHERE]).await;
    let browser = Chromium::start().await;
    browser.goto(&format!("{}/sign-in/{link}", world.url())).await;
    browser
}

/// The fields of the page's largest form, as a browser would send them.
pub(crate) fn fields_of(page: &str) -> Vec<(String, String)> {
    let forms = page.split("<form ").skip(1).map(|form| form.split("</form>").next().unwrap_or_default());
    let form = forms.max_by_key(|form| form.len()).expect("a form");
    let mut fields = Vec::new();
    for tag in form.split('<').skip(1) {
        let (head, text) = tag.split_once('>').unwrap_or((tag, ""));
        let attribute = |name: &str| between(head, &format!(" {name}=\""), "\"").map(unescaped);
        let Some(name) = attribute("name").filter(|_| !head.starts_with("button")) else {
            // An option belongs to the select before it.
            if head.starts_with("option ") && head.contains(" selected") {
                let value: Option<&mut (String, String)> = fields.last_mut();
                if let Some(last) = value {
                    last.1 = attribute("value").unwrap_or_default();
                }
            }
            continue;
        };
        let is_box = head.contains("type=\"checkbox\"") || head.contains("type=\"radio\"");
        if is_box && !head.contains(" checked") {
            continue;
        }
        let value = if head.starts_with("textarea") {
            unescaped(text)
        } else {
            attribute("value").unwrap_or_default()
        };
        fields.push((name, value));
    }
    fields
}

pub(crate) fn unescaped(text: &str) -> String {
    [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
