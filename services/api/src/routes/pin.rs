//! Keeping a run whatever its age.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_protocol::control::{Call, Pin};
use conductor_web::{Caller, Refusal};

use crate::http::{Nothing, Params, Task, none};
use crate::server::App;

/// Pins a run: retention keeps it whatever its age, and it cannot be deleted.
#[utoipa::path(
    put, path = "/v1/tasks/{id}/pin", tag = "tasks", operation_id = "pin_task",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204, description = "It is pinned.")),
    extensions(("x-problems" = json!([409]))),
)]
pub(crate) async fn pin(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.call(Call::Pin(Pin { id, pinned: true })).await?))
}

/// Lets a pinned run go: retention treats it as any other.
#[utoipa::path(
    delete, path = "/v1/tasks/{id}/pin", tag = "tasks", operation_id = "unpin_task",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204, description = "It is not pinned.")),
)]
pub(crate) async fn unpin(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.call(Call::Pin(Pin { id, pinned: false })).await?))
}
