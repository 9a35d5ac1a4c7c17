//! Schedules.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use conductor_core::ScheduleId;
use conductor_protocol::Code;
use conductor_protocol::control::{AddSchedule, Call, ScheduleView};
use conductor_web::{Caller, Refusal};

use crate::http::{Json, Named, Params, created, items, json, none};
use crate::server::App;

fn schedule(text: &str) -> Result<ScheduleId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::NotFound, format!("there is no schedule {text:?}")))
}

/// Lists the schedules, the next due first.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "schedules", operation_id = "list_schedules",
    responses((status = 200, description = "All of them.", body = super::Items<ScheduleView>)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::Schedules).await?))
}

/// Adds a schedule.
#[utoipa::path(
    post, path = "/v1/schedules", tag = "schedules", operation_id = "add_schedule",
    request_body = AddSchedule,
    responses((status = 201, description = "It was added.", body = ScheduleView,
        headers(("Location" = String, description = "Where it is.")))),
    extensions(("x-problems" = json!([413]))),
)]
pub(crate) async fn add(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Json(body): Json<AddSchedule>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let added = caller.control(&app.site).await?.add_schedule(body).await?;
    Ok(created(&app.site, &format!("/v1/schedules/{}", added.id), &added))
}

/// Reads a schedule.
#[utoipa::path(
    get, path = "/v1/schedules/{id}", tag = "schedules", operation_id = "get_schedule",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The schedule.", body = ScheduleView)),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Named(id): Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let id = schedule(&id)?;
    let known = caller.control(&app.site).await?.schedules().await?;
    match known.into_iter().find(|known| known.id == id) {
        Some(found) => Ok(json(StatusCode::OK, &found)),
        None => Err(Refusal::new(Code::NotFound, format!("there is no schedule {id}"))),
    }
}

/// Removes a schedule. Tasks that it made go on.
#[utoipa::path(
    delete, path = "/v1/schedules/{id}", tag = "schedules", operation_id = "remove_schedule",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204, description = "It is gone.")),
)]
pub(crate) async fn remove(
    caller: Caller,
    State(app): State<App>,
    Named(id): Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let id = schedule(&id)?;
    Ok(none(caller.control(&app.site).await?.remove_schedule(id).await?))
}
