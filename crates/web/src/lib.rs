//! The console: pages for operators and for their customers, made on the server.
//!
//! A handler's file has its noun's name, and its templates lie under `templates/<noun>/`. A handler extracts, asks `app`, and
//! fills a page; what a person may do is `app`'s to say, for the [`app::Principal`] that stands for them. Every page works
//! without JavaScript where a form allows; `assets/console.js` and htmx make it quicker.
//!
//! | part | duty |
//! |---|---|
//! | `visitor` | who is signed in, by their cookie |
//! | `submitted` | a form of theirs, and of nobody else's making (CSRF) |
//! | `page`, `shell` | a template becomes an answer; what stands around every page |
//! | `refusal` | what went wrong, as a page |
//! | `policy` | the headers of every answer (CSP and the like) |
//! | `assets` | styles, scripts and pictures, inside the binary |
//!
//! Promises: no inline script or style, no request to anybody else; whatever is stored is text, never markup.

mod account;
mod api_key;
mod application;
mod assets;
mod audit;
mod brand;
mod chart;
mod client;
mod cookie;
mod docs;
mod endpoint;
mod endpoint_action;
mod endpoint_again;
mod endpoint_ask;
mod endpoint_check;
mod endpoint_form;
mod endpoint_header;
mod endpoint_list;
mod endpoint_read;
mod endpoint_shape;
mod endpoint_write;
mod environment;
mod event_type;
mod event_type_form;
mod forgotten;
mod form;
mod highlight;
mod home;
mod live;
mod log;
mod member;
mod message;
mod mistakes;
mod notify;
mod oidc;
mod operator;
mod overview;
mod page;
mod policy;
mod portal;
mod qr;
mod refusal;
mod setting;
mod shell;
mod sign_in;
mod snippet;
mod submitted;
mod told;
mod totp;
mod visitor;
mod when;

use app::App;
use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn_with_state;
use brand::Brand;
pub use brand::{Colour, Logo, Look, Theme};
use std::sync::Arc;

/// What the operator chose for the console.
#[derive(Clone, Default)]
pub struct WebSettings {
    /// The address under which people know this instance, without a slash at its end.
    pub public_url: String,
    /// Seconds between tries where nobody says otherwise.
    pub retry_schedule: Vec<u32>,
    /// The addresses that deliveries come from, as receivers are told them.
    pub sender_addresses: Vec<String>,
    /// Whether anybody may read the docs.
    pub has_public_docs: bool,
    /// Events that one page of the log looks through for those that fit.
    pub looked_max: u32,
    /// How it looks.
    pub look: Look,
    /// Origins of pages that may show the portal within them.
    pub embed_origins: Vec<String>,
    /// With what commands on this machine may manage users; empty is none.
    pub operator_token: String,
}

impl std::fmt::Debug for WebSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebSettings(…)")
    }
}

/// What every handler is given.
#[derive(Clone, Debug)]
pub(crate) struct Console {
    app: App,
    settings: Arc<WebSettings>,
    brand: Arc<Brand>,
}

impl Console {
    /// Whether people reach it over TLS: then cookies are for that alone.
    fn is_secure(&self) -> bool {
        self.settings.public_url.starts_with("https:")
    }
}

impl FromRef<Console> for App {
    fn from_ref(console: &Console) -> Self {
        console.app.clone()
    }
}

/// All pages.
pub fn router(app: App, settings: WebSettings) -> Router {
    let brand = Arc::new(Brand::of(settings.look.clone()));
    let console = Console { app, settings: Arc::new(settings), brand };
    let pages = Router::new()
        .merge(home::router())
        .merge(sign_in::router())
        .merge(oidc::router())
        .merge(forgotten::router())
        .merge(account::router())
        .merge(totp::router())
        .merge(operator::router())
        .merge(portal::router())
        .merge(docs::of_anybody())
        .merge(brand::router())
        .nest(
            "/app/{app_id}",
            Router::new()
                .merge(overview::of_application())
                .merge(endpoint_list::router())
                .merge(endpoint_form::router())
                .merge(endpoint::router())
                .merge(endpoint_action::router())
                .merge(endpoint_again::router())
                .merge(endpoint_check::router())
                .merge(endpoint_header::router())
                .merge(endpoint_shape::router())
                .merge(event_type::of_application())
                .merge(docs::of_application())
                .merge(log::router())
                .merge(live::router())
                .merge(message::router())
                .merge(member::of_application())
                .merge(setting::router())
                .merge(notify::router())
                .merge(api_key::of_application())
                .merge(audit::of_application())
                .fallback(refusal::no_page),
        )
        .nest(
            "/environment",
            Router::new()
                .merge(overview::of_environment())
                .merge(application::router())
                .merge(member::of_instance())
                .merge(environment::router())
                .merge(event_type::of_environment())
                .merge(event_type_form::router())
                .merge(api_key::of_environment())
                .merge(audit::of_instance())
                .fallback(refusal::no_page),
        )
        .layer(from_fn_with_state(console.clone(), policy::of_pages))
        .merge(assets::router());
    pages.with_state(console)
}
