//! The form of a webhook: a new one, or the settings of one that is there. *Send test* tries what is typed before it is saved.

use crate::Console;
use crate::endpoint::{Found, Head, Tab};
use crate::endpoint_read::Fields;
use crate::endpoint_write::shows_signatures;
use crate::mistakes::Mistakes;
use crate::page::{Page, answer, see};
use crate::refusal::Answer;
use crate::shell::{Section, Shell};
use crate::submitted::Submitted;
use crate::visitor::Signed;
use app::change::Change;
use app::check::Looked;
use app::endpoint::EndpointPatch;
use app::sign_in::{Opened, Visitor};
use app::{AppError, Right};
use askama::Template;
use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use domain::endpoint::Endpoint;
use http::StatusCode;

pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/endpoint/new", get(new).post(create))
        .route("/endpoint/new/test", post(test_new))
        .route("/endpoint/{endpoint_id}/settings", get(settings).post(save))
        .route("/endpoint/{endpoint_id}/settings/test", post(test_changed))
}

/// Event types that are offered as boxes; of more, their names are typed.
const OFFERED_MAX: usize = 300;

/// A group of event types, by the part of their names before the first dot.
pub(crate) struct Group {
    pub(crate) name: String,
    /// Name, description.
    pub(crate) events: Vec<(String, String)>,
}

type Options = &'static [(&'static str, &'static str)];

const TYPES: Options = &[("rest", "REST: any HTTP API"), ("slack", "Slack: a message in a channel")];
const METHODS: Options = &[
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("PATCH", "PATCH"),
    ("DELETE", "DELETE"),
    ("GET", "GET: no body, the event stands in the query"),
];
const AUTHS: Options = &[
    ("none", "None"),
    ("basic", "Basic: user and password"),
    ("bearer", "Bearer token"),
    ("apiKey", "API key in a header"),
    ("header", "Any header"),
    ("oauth2", "OAuth 2 client credentials"),
    ("mtls", "Client certificate (mutual TLS)"),
];
const FORMATS: Options = &[
    ("raw", "Raw: the event’s own bytes"),
    ("standard", "Standard: type, timestamp, data"),
    ("envelope", "Envelope: event_time, event_type, current_context, data"),
    ("cloudevents", "CloudEvents, structured"),
    ("cloudevents-binary", "CloudEvents, binary"),
    ("slack", "Slack"),
];
const PERIODS: Options = &[("second", "second"), ("minute", "minute"), ("hour", "hour")];
const POLICIES: Options = &[
    ("both", "It answers 401, 403, 404 or 410 three times in a row, or nothing works for 5 days"),
    ("unrecoverable", "It answers 401, 403, 404 or 410 three times in a row"),
    ("failingFor", "Nothing works for 5 days"),
    ("never", "Never"),
];
const ALGORITHMS: Options = &[("sha256", "SHA-256"), ("sha512", "SHA-512"), ("sha1", "SHA-1")];
const ENCODINGS: Options = &[("hex", "Hexadecimal"), ("base64", "Base64")];
const SIGNED: Options = &[("body", "The body"), ("timestamp.body", "Time, a dot, and the body")];
/// What stands under *Advanced*: it is open when something there is wrong or not at its default.
const ADVANCED: [&str; 21] = [
    "description",
    "uid",
    "format",
    "fields",
    "template",
    "transformation",
    "filter",
    "routes",
    "retrySchedule",
    "timeoutSeconds",
    "throttleRate",
    "throttlePeriod",
    "maxInFlight",
    "disablePolicy",
    "signatures",
    "headers",
    "channels",
    "metadata",
    "certificateAuthority",
    "hmac.header",
    "hmac.key",
];

#[derive(Template)]
#[template(path = "endpoint/form.html")]
struct FormPage {
    shell: Shell,
    /// Where the form goes.
    action: String,
    back: String,
    /// What stands above the settings of one that is there.
    head: Option<Head>,
    fields: Fields,
    groups: Vec<Group>,
    /// Whether there are too many event types for boxes.
    is_typed: bool,
    is_open: bool,
    has_other_signatures: bool,
    mistakes: Mistakes,
    tested: Option<Looked>,
}

/// What *Send test* found, as a part of the page.
#[derive(Template)]
#[template(path = "endpoint/tested.html")]
struct Tested {
    looked: Looked,
}

impl Page for FormPage {}
impl Page for Tested {}

impl FormPage {
    const fn types(&self) -> Options {
        TYPES
    }
    const fn methods(&self) -> Options {
        METHODS
    }
    const fn auths(&self) -> Options {
        AUTHS
    }
    const fn formats(&self) -> Options {
        FORMATS
    }
    const fn periods(&self) -> Options {
        PERIODS
    }
    const fn policies(&self) -> Options {
        POLICIES
    }
    const fn algorithms(&self) -> Options {
        ALGORITHMS
    }
    const fn encodings(&self) -> Options {
        ENCODINGS
    }
    const fn signed(&self) -> Options {
        SIGNED
    }

    /// A field's text as it stands in the form.
    fn t(&self, name: &str) -> String {
        self.fields.text(name).to_owned()
    }

    /// What stands below a secret part.
    const fn kept(&self) -> &'static str {
        if self.head.is_some() { "Leave it empty to keep the one that is there." } else { "" }
    }

    /// Rows of event mappings: those there are, and one to be filled.
    fn routes(&self) -> Vec<(String, String)> {
        self.fields.routes.iter().cloned().chain([(String::new(), String::new())]).collect()
    }
}

/// Whose form it is.
#[derive(Clone, Copy)]
struct Of<'a> {
    visitor: &'a Visitor,
    opened: &'a Opened,
    /// The webhook that is changed.
    found: Option<&'a Found>,
}

impl<'a> Of<'a> {
    const fn changing(found: &'a Found) -> Self {
        Self { visitor: &found.visitor, opened: &found.opened, found: Some(found) }
    }
}

async fn form(
    console: &Console,
    of: Of<'_>,
    (fields, mistakes): (Fields, Mistakes),
) -> Result<FormPage, AppError> {
    let (groups, is_typed) = crate::event_type::groups(console, of.opened, OFFERED_MAX).await?;
    let list = format!("/app/{}/endpoint", of.opened.application.id);
    let defaults = Fields::empty();
    let is_changed = |name: &str| fields.text(name) != defaults.text(name);
    let ticked = ["ordered", "paused", "signs.ed25519", "signs.hmac"].iter().any(|name| fields.ticked(name));
    let is_open = ticked
        || mistakes.any(&ADVANCED)
        || ADVANCED.iter().any(|name| is_changed(name))
        || !fields.routes.is_empty()
        || !fields.ticked("eventHeaders")
        || !fields.ticked("signs.standard");
    let (shell, head) = match of.found {
        None => {
            let of = (of.visitor, of.opened);
            (Shell::of_application(&console.brand, of, Section::Webhooks, "Create webhook"), None)
        }
        Some(found) => {
            let (shell, head) = found.head(console, Tab::Settings).await?;
            (shell, Some(head))
        }
    };
    let has_other = of.found.is_some_and(|found| !shows_signatures(&found.endpoint.credentials.signatures));
    Ok(FormPage {
        action: head.as_ref().map_or_else(|| format!("{list}/new"), |head| format!("{}/settings", head.base)),
        back: head.as_ref().map_or(list, |head| head.base.clone()),
        shell,
        head,
        fields,
        groups,
        is_typed,
        is_open,
        has_other_signatures: has_other,
        mistakes,
        tested: None,
    })
}

async fn new(State(console): State<Console>, Signed(visitor): Signed, Path(id): Path<String>) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    opened.principal.may(Right::Manage)?;
    let of = Of { visitor: &visitor, opened: &opened, found: None };
    Ok(form(&console, of, (Fields::empty(), Mistakes::default())).await?.ok())
}

async fn create(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form: sent }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let (fields, mut mistakes) = (Fields::of(&sent), Mistakes::default());
    let input = fields.input(&|ed25519| console.app.spare_key(ed25519), &mut mistakes);
    if mistakes.is_empty() {
        match console.app.endpoint_create(&opened.principal, &id, input).await {
            Ok(made) => return Ok(see(&format!("/app/{id}/endpoint/{}/verify?told=created", made.id))),
            Err(error) => mistakes = wrong(error, &fields)?,
        }
    }
    let of = Of { visitor: &visitor, opened: &opened, found: None };
    Ok(answer(StatusCode::UNPROCESSABLE_ENTITY, &form(&console, of, (fields, mistakes)).await?))
}

async fn test_new(
    State(console): State<Console>,
    Path(id): Path<String>,
    Submitted { visitor, form: sent }: Submitted,
) -> Answer {
    let opened = console.app.open(&visitor, &id)?;
    let (fields, mut mistakes) = (Fields::of(&sent), Mistakes::default());
    let input = fields.input(&|ed25519| console.app.spare_key(ed25519), &mut mistakes);
    let mut tested = None;
    if mistakes.is_empty() {
        match console.app.endpoint_check_new(&opened.principal, &id, input).await {
            Ok(looked) => tested = Some(looked),
            Err(error) => mistakes = wrong(error, &fields)?,
        }
    }
    let of = Of { visitor: &visitor, opened: &opened, found: None };
    Ok(FormPage { tested, ..form(&console, of, (fields, mistakes)).await? }.ok())
}

async fn settings(
    State(console): State<Console>,
    Signed(visitor): Signed,
    Path(at): Path<(String, String)>,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    found.opened.principal.may(Right::Manage)?;
    let fields = Fields::of_endpoint(&found.endpoint);
    Ok(form(&console, Of::changing(&found), (fields, Mistakes::default())).await?.ok())
}

/// The change that the form makes of a webhook. Signatures that the form cannot show stay as they are.
fn patch(console: &Console, endpoint: &Endpoint, fields: &Fields, mistakes: &mut Mistakes) -> EndpointPatch {
    let mut patch = fields.patch(&|ed25519| console.app.spare_key(ed25519), mistakes);
    if !shows_signatures(&endpoint.credentials.signatures) {
        patch.options.signatures = Change::Keep;
    }
    patch
}

async fn save(
    State(console): State<Console>,
    Path(at): Path<(String, String)>,
    Submitted { visitor, form: sent }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let place = found.place(&at);
    let (fields, mut mistakes) = (Fields::of(&sent), Mistakes::default());
    let patch = patch(&console, &found.endpoint, &fields, &mut mistakes);
    if mistakes.is_empty() {
        match console.app.endpoint_patch(place, patch).await {
            Ok(saved) => return Ok(see(&format!("/app/{}/endpoint/{}?told=saved", at.0, saved.id))),
            Err(error) => mistakes = wrong(error, &fields)?,
        }
    }
    Ok(answer(
        StatusCode::UNPROCESSABLE_ENTITY,
        &form(&console, Of::changing(&found), (fields, mistakes)).await?,
    ))
}

async fn test_changed(
    State(console): State<Console>,
    Path(at): Path<(String, String)>,
    Submitted { visitor, form: sent }: Submitted,
) -> Answer {
    let found = Found::of(&console, visitor, &at).await?;
    let place = found.place(&at);
    let (fields, mut mistakes) = (Fields::of(&sent), Mistakes::default());
    let patch = patch(&console, &found.endpoint, &fields, &mut mistakes);
    let mut tested = None;
    if mistakes.is_empty() {
        match console.app.endpoint_check_changed(place, patch).await {
            Ok(looked) => tested = Some(looked),
            Err(error) => mistakes = wrong(error, &fields)?,
        }
    }
    Ok(FormPage { tested, ..form(&console, Of::changing(&found), (fields, mistakes)).await? }.ok())
}

/// What a person can mend in the form; anything else is a page of its own.
fn wrong(error: AppError, fields: &Fields) -> Result<Mistakes, AppError> {
    match error {
        AppError::Invalid(problems) => {
            let mut mistakes = Mistakes::of(problems);
            // Two kinds of authentication call their secret part the same; the form has a field for each.
            for mistake in &mut mistakes.all {
                if mistake.field == "auth.value" && fields.text("auth.type") == "apiKey" {
                    mistake.field = "auth.key".to_owned();
                }
            }
            Ok(mistakes)
        }
        AppError::Conflict { detail, .. } | AppError::Refused { detail, .. } => Ok(Mistakes::general(detail)),
        error => Err(error),
    }
}
