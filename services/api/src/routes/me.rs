//! `/v1/me`: who asks.

use axum::Json;
use conductor_protocol::control::Identity;
use conductor_web::{Caller, Shown};

/// Tells who the token stands for.
#[utoipa::path(
    get, path = "/v1/me", tag = "access",
    responses(
        (status = 200, body = Identity),
        (status = 401, body = Shown, content_type = "application/problem+json"),
        (status = 429, body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn me(caller: Caller) -> Json<Identity> {
    Json(caller.identity)
}
