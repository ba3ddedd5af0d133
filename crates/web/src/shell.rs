//! What stands around every page: where one is, where one can go, who one is.

use crate::assets;
use crate::told::sentence;
use app::Principal;
use app::sign_in::{Opened, Visitor};
use domain::role::Role;

/// A section of an application or of an environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Webhooks,
    Events,
    Logs,
    Members,
    Audit,
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
    pub(crate) fn bare(title: impl Into<String>) -> Self {
        Self {
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

    fn of(visitor: &Visitor, title: impl Into<String>) -> Self {
        Self {
            form_token: visitor.form_token.clone(),
            who: Some((visitor.user.called().to_owned(), visitor.user.email.clone())),
            ..Self::bare(title)
        }
    }

    /// Around pages of an application.
    pub(crate) fn of_application(
        (visitor, opened): (&Visitor, &Opened),
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        let base = format!("/app/{}", opened.application.id);
        let administers = opened.principal.role == Role::Administrator;
        let mut links = vec![
            link("Webhooks", format!("{base}/endpoint"), ("webhook", section == Section::Webhooks)),
            link("Events", format!("{base}/event-type"), ("event", section == Section::Events)),
            link("Logs", format!("{base}/log"), ("log", section == Section::Logs)),
        ];
        if administers {
            links.push(link("Members", format!("{base}/member"), ("people", section == Section::Members)));
            links.push(link("Audit log", format!("{base}/audit"), ("audit", section == Section::Audit)));
        }
        Self {
            place: opened.application.called().to_owned(),
            home: base,
            is_below: visitor.user.role_everywhere().is_some() || visitor.user.memberships.len() > 1,
            links,
            role: opened.principal.role,
            ..Self::of(visitor, title)
        }
    }

    /// Around pages of an environment.
    pub(crate) fn of_environment(
        (visitor, principal): (&Visitor, &Principal),
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        let base = format!("/environment/{}", principal.environment.id);
        let is_here = section == Section::Applications;
        let mut links = vec![link("Applications", format!("{base}/application"), ("application", is_here))];
        if principal.role == Role::Administrator {
            links.push(link("Members", format!("{base}/member"), ("people", section == Section::Members)));
            links.push(link("Audit log", format!("{base}/audit"), ("audit", section == Section::Audit)));
        }
        Self {
            place: "All applications".to_owned(),
            home: format!("{base}/application"),
            links,
            role: principal.role,
            ..Self::of(visitor, title)
        }
    }

    /// Around pages that are about the visitor alone.
    pub(crate) fn of_visitor(visitor: &Visitor, title: impl Into<String>) -> Self {
        let links = vec![
            link("Webhooks", "/".to_owned(), ("webhook", false)),
            link("Account", "/account".to_owned(), ("people", true)),
        ];
        Self { place: "Account".to_owned(), links, ..Self::of(visitor, title) }
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
