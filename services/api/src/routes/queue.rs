//! The queue, and numbers.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_protocol::control::{Call, LaneName, QueueView, StatsView, TrendsCall, TrendsView};
use conductor_web::{Caller, Refusal};

use crate::http::{Json, Nothing, Params, none, passed};
use crate::server::App;

/// The longest time that trends reach back, and the longest step.
const MAX_TREND_SECONDS: u64 = 10 * 365 * 24 * 3_600;
/// How far trends reach back when nothing is said.
const DAY_SECONDS: u64 = 24 * 3_600;
/// The step of trends when nothing is said.
const STEP_SECONDS: u64 = 900;

/// Reads the queue.
#[utoipa::path(
    get, path = "/v1/queue", tag = "queue", operation_id = "get_queue",
    responses((status = 200, description = "What waits, by state, runner and group.", body = QueueView)),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(passed(caller.control(&app.site).await?.call(Call::Queue).await?))
}

/// Lets the queue stand still: nothing is assigned any more.
#[utoipa::path(
    post, path = "/v1/queue/pause", tag = "queue", operation_id = "pause_queue",
    responses((status = 204, description = "What runs goes on.")),
)]
pub(crate) async fn pause(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.pause(true).await?))
}

/// Lets the queue go on.
#[utoipa::path(
    post, path = "/v1/queue/resume", tag = "queue", operation_id = "resume_queue",
    responses((status = 204, description = "It goes on.")),
)]
pub(crate) async fn resume(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.pause(false).await?))
}

/// Has a credential tried again that was refused, or rests.
#[utoipa::path(
    post, path = "/v1/queue/lanes/open", tag = "queue", operation_id = "open_lane", request_body = LaneName,
    responses((status = 204, description = "It is tried with one task first.")),
    extensions(("x-problems" = json!([404]))),
)]
pub(crate) async fn open_lane(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Json(LaneName { name }): Json<LaneName>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.open_lane(name).await?))
}

/// Reads numbers of the last hour and day.
#[utoipa::path(
    get, path = "/v1/stats", tag = "queue", operation_id = "get_stats",
    responses((status = 200, description = "The numbers.", body = StatsView)),
)]
pub(crate) async fn stats(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(passed(caller.control(&app.site).await?.call(Call::Stats).await?))
}

/// Reads numbers over time, step by step.
#[utoipa::path(
    get, path = "/v1/stats/trends", tag = "queue", operation_id = "get_trends",
    params(
        ("seconds" = Option<u64>, Query, minimum = 1, maximum = 315360000, description = "How far back; a day when it is not given."),
        ("step_seconds" = Option<u64>, Query, minimum = 1, maximum = 315360000, description = "How long each step is; 900 when it is not given."),
    ),
    responses((status = 200, description = "The steps, oldest first.", body = TrendsView)),
)]
pub(crate) async fn trends(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["seconds", "step_seconds"])?;
    let call = TrendsCall {
        seconds: params.number("seconds", 1..=MAX_TREND_SECONDS)?.unwrap_or(DAY_SECONDS),
        step_seconds: params.number("step_seconds", 1..=MAX_TREND_SECONDS)?.unwrap_or(STEP_SECONDS),
    };
    Ok(passed(caller.control(&app.site).await?.call(Call::Trends(call)).await?))
}
