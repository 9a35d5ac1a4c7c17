//! Two runs beside each other.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::Control;
use conductor_core::{TaskId, Wall};
use conductor_protocol::Code;
use conductor_protocol::task::TaskView;
use conductor_web::{Caller, Refusal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::{Pair, Params, json};
use crate::live::{Reading, Source};
use crate::server::App;

/// The most bytes of a diff that are shown here.
const MAX_DIFF_BYTES: u64 = 1 << 20;

/// Two tasks beside each other.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Comparison {
    a: Side,
    b: Side,
    /// What differs of what was asked: `prompt`, `command`, `runner`, `type`, `group`, `priority`, `timeout_seconds`,
    /// `retry`, `requires`, `labels`, `input_files`.
    differs: Vec<&'static str>,
}

/// One of the two.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Side {
    task: TaskView,
    /// From being queued to being started.
    wait_seconds: Option<f64>,
    /// From being started to being over.
    run_seconds: Option<f64>,
    /// What its last attempt changed; none when there is none.
    diff: Option<String>,
    /// Whether there is more of it than is shown here.
    diff_is_cut: bool,
}

/// Compares two runs: what was asked, how long they took, what they cost, and what they changed.
#[utoipa::path(
    get, path = "/v1/tasks/{a}/compare/{b}", tag = "runs", operation_id = "compare_tasks",
    params(("a" = String, Path, format = Uuid), ("b" = String, Path, format = Uuid)),
    responses((status = 200, description = "The two, and what differs.", body = Comparison)),
)]
pub(crate) async fn compare(
    caller: Caller,
    State(app): State<App>,
    Pair(a, b): Pair,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let control = caller.control(&app.site).await?;
    let a = side(&app, &caller, &control, a).await?;
    let b = side(&app, &caller, &control, b).await?;
    let differs = differing(&a.task, &b.task);
    Ok(json(StatusCode::OK, &Comparison { a, b, differs }))
}

async fn side(app: &App, caller: &Caller, control: &Control, id: TaskId) -> Result<Side, Refusal> {
    let task = control.get(id).await?;
    let source = Source::Diff { id, attempt: None };
    let whole = match source.whole(control).await.map_err(Refusal::from) {
        Ok(whole) => Some(whole),
        Err(refusal) if refusal.0.code == Code::NotFound => None,
        Err(refusal) => return Err(refusal),
    };
    let mut diff = None;
    if let Some(whole) = whole {
        let end = whole.bytes.min(MAX_DIFF_BYTES);
        let mut reading = Reading::new(source.of(whole.attempt), &app.lines, caller, 0, end);
        let mut bytes = Vec::new();
        while let Some(more) = reading.next().await? {
            bytes.extend_from_slice(&more);
        }
        diff = Some(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(Side {
        wait_seconds: seconds(task.queued_at, task.started_at),
        run_seconds: seconds(task.started_at, task.finished_at),
        task,
        diff,
        diff_is_cut: whole.is_some_and(|whole| whole.bytes > MAX_DIFF_BYTES),
    })
}

fn seconds(from: Option<Wall>, to: Option<Wall>) -> Option<f64> {
    Some((to?.0 - from?.0).max(0) as f64 / 1_000.0)
}

fn differing(a: &TaskView, b: &TaskView) -> Vec<&'static str> {
    let retry = |task: &TaskView| (task.retry.max_attempts, task.retry.backoff_seconds);
    [
        ("prompt", a.prompt != b.prompt),
        ("command", a.command != b.command),
        ("runner", a.runner != b.runner),
        ("type", a.task_type != b.task_type),
        ("group", a.group != b.group),
        ("priority", a.priority != b.priority),
        ("timeout_seconds", a.timeout_seconds != b.timeout_seconds),
        ("retry", retry(a) != retry(b)),
        ("requires", a.requires != b.requires),
        ("labels", a.labels != b.labels),
        ("input_files", a.input_files != b.input_files),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}
