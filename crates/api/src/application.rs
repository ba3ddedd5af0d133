//! Routes of applications.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::page::{self, ListResponse};
use crate::path::{AppPath, At};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::{Api, wire};
use app::application::{ApplicationFilter, ApplicationPatch as Patch};
use app::{App, Problems};
use axum::extract::State;
use domain::application::{Application, ApplicationFields};
use domain::clock::Timestamp;
use domain::name::{Metadata, check_plain};
use domain::page::{Order, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, upsert, patch, delete))
}

/// An application to be created or replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ApplicationIn {
    /// A name for people.
    #[schema(value_type = String, required)]
    name: Field<String>,
    /// The client's own id, unique in the environment.
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Messages a second over all endpoints.
    #[schema(value_type = Option<u16>, minimum = 1)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[schema(value_type = Option<Metadata>)]
    metadata: Field<Metadata>,
}

/// What changes of an application: absent keeps, null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ApplicationPatch {
    /// A name for people.
    #[schema(value_type = String)]
    name: Field<String>,
    /// The client's own id.
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Messages a second over all endpoints.
    #[schema(value_type = Option<u16>)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[schema(value_type = Option<Metadata>)]
    metadata: Field<Metadata>,
}

/// An application.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationOut {
    /// Its id.
    id: String,
    /// The client's own id.
    uid: Option<String>,
    /// A name for people.
    name: String,
    /// Messages a second over all endpoints.
    throttle_rate: Option<u16>,
    /// The same under its old name.
    #[schema(deprecated)]
    rate_limit: Option<u16>,
    /// The client's own notes.
    metadata: Metadata,
    /// When it was created.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last changed.
    #[serde(serialize_with = "wire::time")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ApplicationIn {
    pub(crate) fn read(self, problems: &mut Problems) -> ApplicationFields {
        ApplicationFields {
            name: self.name.required("name", problems),
            uid: self.uid.optional("uid", problems),
            throttle_rate: self.throttle_rate.or(self.rate_limit).optional("throttleRate", problems),
            metadata: self.metadata.optional("metadata", problems).unwrap_or_default(),
        }
    }
}

impl ApplicationPatch {
    fn read(self) -> Outcome<Patch> {
        let mut problems = Problems::default();
        let patch = Patch {
            name: self.name.present("name", &mut problems),
            uid: self.uid.change("uid", &mut problems),
            throttle_rate: self.throttle_rate.or(self.rate_limit).change("throttleRate", &mut problems),
            metadata: self.metadata.change("metadata", &mut problems),
        };
        problems.finish()?;
        Ok(patch)
    }
}

impl ApplicationOut {
    fn of(application: &Application) -> Self {
        let ApplicationFields { uid, name, throttle_rate, metadata } = application.fields.clone();
        Self {
            id: application.id.clone(),
            uid,
            name,
            throttle_rate,
            rate_limit: throttle_rate,
            metadata,
            created_at: application.created_at,
            updated_at: application.updated_at,
        }
    }
}

fn fields(received: &Received) -> Outcome<ApplicationFields> {
    let mut problems = Problems::default();
    let fields = received.json::<ApplicationIn>()?.read(&mut problems);
    problems.finish()?;
    Ok(fields)
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Leaves out applications without an endpoint.
    #[param(value_type = Option<bool>)]
    exclude_apps_with_no_endpoints: bool,
    /// Leaves out applications that have a disabled endpoint.
    #[param(value_type = Option<bool>)]
    exclude_apps_with_disabled_endpoints: bool,
    #[param(inline)]
    #[into_params(skip)]
    #[param(value_type = page::PageQuery)]
    page: Page<String>,
}

#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateQuery {
    /// Answers a known uid with the existing application.
    #[param(value_type = Option<bool>)]
    get_if_exists: bool,
}

impl FromQuery for ListQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self {
            exclude_apps_with_no_endpoints: query.flag("exclude_apps_with_no_endpoints", false)?,
            exclude_apps_with_disabled_endpoints: query.flag("exclude_apps_with_disabled_endpoints", false)?,
            page: page::of(query, Order::Ascending, page::text_id(domain::wire_id::Kind::Application))?,
        })
    }
}
