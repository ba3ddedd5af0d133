//! Routes of applications.

use crate::answer::Answer;
use crate::caller::Caller;
use crate::error::{Errors, Outcome};
use crate::json::Field;
use crate::once::once;
use crate::page::{ListResponse, OrderQuery, PageQuery, id_of};
use crate::path::{AppPath, At, IdempotencyKey};
use crate::query::{Asked, FromQuery, Query};
use crate::received::Received;
use crate::{Api, wire};
use app::application::{ApplicationFilter, ApplicationPatch as Patch};
use app::{App, Problems};
use axum::extract::State;
use domain::application::{Application, ApplicationFields};
use domain::clock::Timestamp;
use domain::name::Metadata;
use domain::page::Order;
use domain::wire_id::Kind;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, upsert, patch, delete))
}

/// An application to be created or replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationIn {
    /// A name for people.
    #[serde(default)]
    #[schema(value_type = String, required)]
    name: Field<String>,
    /// The client's own id, unique in the environment.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Messages a second over all endpoints.
    #[serde(default)]
    #[schema(value_type = Option<u16>, minimum = 1)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[serde(default)]
    #[schema(value_type = Option<Metadata>)]
    metadata: Field<Metadata>,
}

/// What changes of an application: absent keeps, null clears.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApplicationPatch {
    /// A name for people.
    #[serde(default)]
    #[schema(value_type = String)]
    name: Field<String>,
    /// The client's own id.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Messages a second over all endpoints.
    #[serde(default)]
    #[schema(value_type = Option<u16>)]
    throttle_rate: Field<u16>,
    /// The same under its old name.
    #[serde(default)]
    #[schema(value_type = Option<u16>, deprecated)]
    rate_limit: Field<u16>,
    /// The client's own notes.
    #[serde(default)]
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

/// Which applications a list shows.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Leaves out applications without an endpoint.
    #[param(required = false)]
    exclude_apps_with_no_endpoints: bool,
    /// Leaves out applications that have a disabled endpoint.
    #[param(required = false)]
    exclude_apps_with_disabled_endpoints: bool,
}

/// How a known uid is answered.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CreateQuery {
    /// Answers a known uid with the existing application.
    #[param(required = false)]
    get_if_exists: bool,
}

impl FromQuery for ListQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self {
            exclude_apps_with_no_endpoints: query.flag("exclude_apps_with_no_endpoints", false)?,
            exclude_apps_with_disabled_endpoints: query
                .flag("exclude_apps_with_disabled_endpoints", false)?,
        })
    }
}

impl FromQuery for CreateQuery {
    fn read(query: &Query<'_>) -> Outcome<Self> {
        Ok(Self { get_if_exists: query.flag("get_if_exists", false)? })
    }
}

/// Lists the environment's applications.
#[utoipa::path(get, path = "/api/v1/app", operation_id = "v1.application.list", tag = "Application",
    params(ListQuery, PageQuery, OrderQuery),
    responses((status = 200, body = ListResponse<ApplicationOut>), Errors))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Asked((asked, page, order)): Asked<(ListQuery, PageQuery, OrderQuery)>,
) -> Outcome {
    let filter = ApplicationFilter {
        with_endpoints: asked.exclude_apps_with_no_endpoints,
        without_disabled_endpoints: asked.exclude_apps_with_disabled_endpoints,
    };
    let page = page.page(order.order.unwrap_or(Order::Ascending), id_of(Kind::Application))?;
    let slice = app.application_list(&caller, filter, page).await?;
    Ok(ListResponse::of(slice.map(|a| (a.id.clone(), ApplicationOut::of(&a)))).answer())
}

/// Creates an application.
#[utoipa::path(post, path = "/api/v1/app", operation_id = "v1.application.create", tag = "Application",
    params(CreateQuery, IdempotencyKey), request_body = ApplicationIn,
    responses((status = 200, body = ApplicationOut), (status = 201, body = ApplicationOut), Errors))]
async fn create(State(app): State<App>, received: Received) -> Outcome {
    let CreateQuery { get_if_exists } = received.query()?;
    let fields = fields(&received)?;
    let principal = Arc::clone(&received.principal);
    once(&app.clone(), &received, async move {
        let (application, created) = app.application_create(&principal, fields, get_if_exists).await?;
        Ok(Answer::made(created, &ApplicationOut::of(&application)))
    })
    .await
}

/// Reads an application.
#[utoipa::path(get, path = "/api/v1/app/{app_id}", operation_id = "v1.application.get", tag = "Application",
    params(AppPath), responses((status = 200, body = ApplicationOut), Errors))]
async fn get(State(app): State<App>, caller: Caller, At(at): At<AppPath>) -> Outcome {
    Ok(Answer::ok(&ApplicationOut::of(&*app.application_get(&caller, &at.app_id)?)))
}

/// Replaces an application, or creates it under this uid.
#[utoipa::path(put, path = "/api/v1/app/{app_id}", operation_id = "v1.application.upsert", tag = "Application",
    params(AppPath), request_body = ApplicationIn,
    responses((status = 200, body = ApplicationOut), (status = 201, body = ApplicationOut), Errors))]
async fn upsert(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let (application, created) =
        app.application_put(&received.principal, &at.app_id, fields(&received)?).await?;
    Ok(Answer::made(created, &ApplicationOut::of(&application)))
}

/// Changes some fields of an application.
#[utoipa::path(patch, path = "/api/v1/app/{app_id}", operation_id = "v1.application.patch", tag = "Application",
    params(AppPath), request_body = ApplicationPatch,
    responses((status = 200, body = ApplicationOut), Errors))]
async fn patch(State(app): State<App>, At(at): At<AppPath>, received: Received) -> Outcome {
    let patch = received.json::<ApplicationPatch>()?.read()?;
    let application = app.application_patch(&received.principal, &at.app_id, patch).await?;
    Ok(Answer::ok(&ApplicationOut::of(&application)))
}

/// Deletes an application with its endpoints.
#[utoipa::path(delete, path = "/api/v1/app/{app_id}", operation_id = "v1.application.delete",
    tag = "Application", params(AppPath), responses((status = 204), Errors))]
async fn delete(State(app): State<App>, caller: Caller, At(at): At<AppPath>) -> Outcome {
    app.application_delete(&caller, &at.app_id).await?;
    Ok(Answer::nothing())
}
