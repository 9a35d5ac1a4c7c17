//! `/healthz` and `/readyz`: open, and silent about anything else.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use conductor_protocol::{Code, Problem};
use conductor_web::{Refusal, Shown, Site};
use serde::Serialize;
use utoipa::ToSchema;

/// That it runs, or can serve.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
}

const OK: Json<Health> = Json(Health { status: "ok" });

/// Tells that the API runs.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = 200, body = Health)))]
pub(super) async fn healthz() -> Json<Health> {
    OK
}

/// Tells whether the API can serve, and if not, why.
#[utoipa::path(
    get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Health), (status = 503, body = Shown, content_type = "application/problem+json"))
)]
pub(super) async fn readyz(State(site): State<Site>) -> Response {
    match site.why_not_ready().await {
        None => OK.into_response(),
        Some(why) => Refusal(Problem::new(Code::Unavailable, why)).into_response(),
    }
}
