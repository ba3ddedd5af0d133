//! The beginning: wherever the visitor has to do.

use crate::Console;
use crate::page::{Page, see};
use crate::refusal::Answer;
use crate::shell::Shell;
use crate::visitor::Signed;
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;

pub(crate) fn router() -> Router<Console> {
    Router::new().route("/", get(show)).route("/app/{app_id}", get(application))
}

/// The applications of somebody who is no member of the whole instance.
#[derive(Template)]
#[template(path = "application/own.html")]
struct Own {
    shell: Shell,
    /// Id, name and role.
    applications: Vec<(String, String, &'static str)>,
}

impl Page for Own {}

async fn show(State(console): State<Console>, Signed(visitor): Signed) -> Answer {
    if visitor.user.role_everywhere().is_some() {
        let principal = console.app.open_environment(&visitor, None)?;
        return Ok(see(&format!("/environment/{}/application", principal.environment.id)));
    }
    let own = console.app.own_applications(&visitor);
    if let [(application, _)] = &*own {
        return Ok(see(&format!("/app/{}/endpoint", application.id)));
    }
    let applications = own
        .iter()
        .map(|(application, role)| (application.id.clone(), application.called().to_owned(), role.word()));
    let shell = Shell::of_visitor(&console.brand, &visitor, "Your applications");
    Ok(Own { shell, applications: applications.collect() }.ok())
}

/// What letters link to.
async fn application(Path(id): Path<String>) -> Answer {
    Ok(see(&format!("/app/{id}/endpoint")))
}
