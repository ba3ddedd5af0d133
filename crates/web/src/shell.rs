//! What stands around every page: where one is, where one can go, who one is.

use crate::assets;
use crate::brand::Brand;
use crate::told::sentence;
use app::sign_in::{Opened, Visitor};
use app::{Principal, Right};
use domain::role::Role;
use std::sync::Arc;

/// A section of an application or of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Webhooks,
    Events,
    Logs,
    Docs,
    Settings,
    Applications,
}

/// A link to a section.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) label: &'static str,
    pub(crate) url: String,
    pub(crate) icon: &'static str,
    pub(crate) is_here: bool,
}

/// What stands around a page.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub(crate) brand: Arc<Brand>,
    pub(crate) title: String,
    /// What every form carries; empty where nobody is signed in.
    pub(crate) form_token: String,
    /// What the visitor is called, and their address.
    pub(crate) who: Option<(String, String)>,
    /// The application or environment that this is about.
    pub(crate) place: String,
    /// Where that begins.
    pub(crate) home: String,
    /// Whether there is a list of applications above it.
    pub(crate) is_below: bool,
    pub(crate) links: Vec<Link>,
    /// What has just happened.
    pub(crate) told: Option<&'static str>,
    /// What the visitor may do here.
    pub(crate) role: Role,
}

impl Shell {
    /// Around pages for people who are not signed in.
    pub(crate) fn bare(brand: &Arc<Brand>, title: impl Into<String>) -> Self {
        Self {
            brand: brand.clone(),
            title: title.into(),
            form_token: String::new(),
            who: None,
            place: String::new(),
            home: "/".to_owned(),
            is_below: false,
            links: Vec::new(),
            told: None,
            role: Role::Viewer,
        }
    }

    fn of(brand: &Arc<Brand>, visitor: &Visitor, title: impl Into<String>) -> Self {
        Self {
            form_token: visitor.form_token.clone(),
            who: visitor
                .portal
                .is_none()
                .then(|| (visitor.user.called().to_owned(), visitor.user.email.clone())),
            ..Self::bare(brand, title)
        }
    }

    /// Around pages of an application.
    pub(crate) fn of_application(
        brand: &Arc<Brand>,
        (visitor, opened): (&Visitor, &Opened),
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        let base = format!("/app/{}", opened.application.id);
        let links = vec![
            link("Overview", format!("{base}/overview"), ("overview", section == Section::Overview)),
            link("Webhooks", format!("{base}/endpoint"), ("webhook", section == Section::Webhooks)),
            link("Events", format!("{base}/event-type"), ("event", section == Section::Events)),
            link("Logs", format!("{base}/log"), ("log", section == Section::Logs)),
            link("Docs", format!("{base}/docs"), ("docs", section == Section::Docs)),
            link("Settings", format!("{base}/settings"), ("settings", section == Section::Settings)),
        ];
        Self {
            place: opened.application.called().to_owned(),
            home: base,
            is_below: visitor.user.role_everywhere().is_some() || visitor.user.memberships.len() > 1,
            links,
            role: opened.principal.role,
            ..Self::of(brand, visitor, title)
        }
    }

    /// Around pages of an environment.
    pub(crate) fn of_environment(
        brand: &Arc<Brand>,
        (visitor, principal): (&Visitor, &Principal),
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        let base = format!("/environment/{}", principal.environment.id);
        let is_here = section == Section::Applications;
        let links = vec![
            link("Overview", format!("{base}/overview"), ("overview", section == Section::Overview)),
            link("Applications", format!("{base}/application"), ("application", is_here)),
            link("Events", format!("{base}/event-type"), ("event", section == Section::Events)),
            link("Settings", format!("{base}/settings"), ("settings", section == Section::Settings)),
        ];
        Self {
            place: "All applications".to_owned(),
            home: format!("{base}/application"),
            links,
            role: principal.role,
            ..Self::of(brand, visitor, title)
        }
    }

    /// Around pages that are about the visitor alone.
    pub(crate) fn of_visitor(brand: &Arc<Brand>, visitor: &Visitor, title: impl Into<String>) -> Self {
        let links = vec![
            link("Webhooks", "/".to_owned(), ("webhook", false)),
            link("Account", "/account".to_owned(), ("people", true)),
        ];
        Self { place: "Account".to_owned(), links, ..Self::of(brand, visitor, title) }
    }

    /// The same, telling what has just happened.
    #[must_use]
    pub(crate) fn telling(mut self, word: Option<&str>) -> Self {
        self.told = word.and_then(sentence);
        self
    }

    /// Where a file of ours is.
    pub(crate) fn asset(&self, name: &str) -> &'static str {
        assets::url(name)
    }
}

fn link(label: &'static str, url: String, (icon, is_here): (&'static str, bool)) -> Link {
    Link { label, url, icon, is_here }
}

/// A page of the settings.
#[derive(Clone, Debug)]
pub(crate) struct Tab {
    pub(crate) label: &'static str,
    pub(crate) url: String,
    pub(crate) is_here: bool,
}

fn tabs(base: &str, here: &str, all: &[(&'static str, &'static str, bool)]) -> Vec<Tab> {
    let shown = all.iter().filter(|(.., is_shown)| *is_shown);
    shown
        .map(|(label, path, _)| Tab { label, url: format!("{base}/{path}"), is_here: *path == here })
        .collect()
}

/// The settings of an application, as far as they are the visitor's to see.
pub(crate) fn tabs_of_application(opened: &Opened, here: &str) -> Vec<Tab> {
    let administers = opened.principal.role == Role::Administrator;
    let operates = opened.principal.may_in_environment(Right::Administer).is_ok();
    tabs(
        &format!("/app/{}", opened.application.id),
        here,
        &[
            ("Application", "settings", true),
            ("Webhook Settings", "settings/webhooks", true),
            ("Notifications", "settings/notifications", true),
            ("Members", "member", administers),
            ("API keys", "settings/keys", operates),
            ("Audit log", "audit", administers),
        ],
    )
}

/// The settings of an environment and of the whole instance.
pub(crate) fn tabs_of_environment(principal: &Principal, here: &str) -> Vec<Tab> {
    let administers = principal.role == Role::Administrator;
    tabs(
        &format!("/environment/{}", principal.environment.id),
        here,
        &[
            ("Environment", "settings", true),
            ("Members", "member", administers),
            ("API keys", "keys", administers),
            ("Audit log", "audit", administers),
        ],
    )
}
