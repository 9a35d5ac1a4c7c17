//! `/metrics`, as Prometheus reads it.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use conductor_web::{Caller, Refusal, Shown};

use crate::exposition;
use crate::server::App;

/// The form of the text.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Numbers about tasks, agents, the queue and the API itself.
#[utoipa::path(
    get, path = "/metrics", tag = "health",
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = "4XX", body = Shown, content_type = "application/problem+json"),
        (status = 503, body = Shown, content_type = "application/problem+json"),
    )
)]
pub(super) async fn metrics(State(app): State<App>, caller: Caller) -> Result<Response, Refusal> {
    let control = caller.control(&app.site).await?;
    let mut text = exposition::text(&control.metrics().await?, &control.welcome().version);
    text.push_str(&app.measures.render());
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}
