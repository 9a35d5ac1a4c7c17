//! MCP over HTTP, which a later release brings.

use axum::response::Response;
use conductor_protocol::Problem;
use conductor_web::{Caller, Refusal};

/// MCP over HTTP: not available in this release.
#[utoipa::path(
    method(get, post, delete), path = "/mcp", tag = "mcp",
    responses((status = 503, description = "It comes with a later release.",
        body = conductor_web::Shown, content_type = "application/problem+json")),
)]
pub(crate) async fn mcp(_caller: Caller) -> Result<Response, Refusal> {
    Err(Problem::unavailable("MCP over HTTP").into())
}
