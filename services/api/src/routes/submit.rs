//! Submitting tasks.

use axum::extract::FromRequest as _;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use conductor_core::TaskId;
use conductor_protocol::control::{Submit, Submitted};
use conductor_protocol::json::read;
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::{Code, Problem, limits, text};
use conductor_web::{Caller, Refusal};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::http::{Params, Sent, created, json};
use crate::server::App;

/// The header that makes a repeated submit the same.
const KEY: &str = "idempotency-key";

/// A task that was accepted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accepted {
    /// Its id.
    #[serde(with = "text::display")]
    #[schema(value_type = String, format = Uuid)]
    id: TaskId,
}

/// Tasks that were accepted together, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AcceptedTogether {
    items: Vec<Accepted>,
}

/// Tasks to accept together, or to refuse together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// From 1 to 1,000.
    #[schema(value_type = Vec<SubmitTask>, min_items = 1, max_items = 1000)]
    tasks: Vec<Box<RawValue>>,
}

/// Answers with what one call made: a new task, or the one that the same key had made before.
pub(crate) fn accepted(app: &App, submitted: &Submitted) -> Result<Response, Refusal> {
    let id = *submitted.ids.first().ok_or_else(none)?;
    let task = Accepted { id };
    let mut response = created(&app.site, &format!("/v1/tasks/{id}"), &task);
    if submitted.repeated {
        *response.status_mut() = StatusCode::OK;
    }
    Ok(response)
}

fn none() -> Refusal {
    Refusal::new(Code::Internal, "the orchestrator accepted no task")
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=limits::MAX_KEY_BYTES).contains(&text.len()));
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => {
            let detail =
                format!("Idempotency-Key is one text of 1 to {} characters of ASCII", limits::MAX_KEY_BYTES);
            Err(Problem::new(Code::InvalidRequest, detail))
        }
    }
}

/// Submits a task.
#[utoipa::path(
    post, path = "/v1/tasks", tag = "tasks", operation_id = "submit_task",
    request_body = SubmitTask,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 256,
        description = "Scoped to the token. The same key with the same body gives the same task, with another body 409.")),
    responses(
        (status = 201, description = "Accepted; it will end in a terminal state, whatever crashes.", body = Accepted,
            headers(("Location" = String, description = "Where the task is."))),
        (status = 200, description = "The same key had brought this task before.", body = Accepted,
            headers(("Location" = String, description = "Where the task is."))),
    ),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn submit(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let key = key(&headers)?;
    let Sent(task) = Sent::from_request(request, &app).await?;
    let submitted = app.submits.submit(&app.site, &caller, Submit { tasks: vec![task], key }).await?;
    accepted(&app, &submitted)
}

/// Submits tasks together: all are accepted, or none.
#[utoipa::path(
    post, path = "/v1/tasks/batch", tag = "tasks", operation_id = "submit_tasks",
    request_body = Batch,
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 256,
        description = "Scoped to the token; one key for the whole batch.")),
    responses(
        (status = 201, description = "All were accepted.", body = AcceptedTogether),
        (status = 200, description = "The same key had brought these tasks before.", body = AcceptedTogether),
    ),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn batch(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let key = key(&headers)?;
    let Sent(body) = Sent::from_request(request, &app).await?;
    let batch: Batch = read(body.get(), "")?;
    if batch.tasks.is_empty() || batch.tasks.len() > limits::MAX_BATCH_TASKS {
        let detail = format!("from 1 to {} tasks, are {}", limits::MAX_BATCH_TASKS, batch.tasks.len());
        return Err(Problem::at("/tasks", detail).into());
    }
    let is_one = batch.tasks.len() == 1;
    let control = caller.control(&app.site).await?;
    let submitted = control.submit(Submit { tasks: batch.tasks, key }).await;
    // The orchestrator names the faults of one task as if it were alone.
    let submitted = submitted.map_err(|error| match Refusal::from(error) {
        Refusal(problem) if is_one => Refusal(below(problem, "/tasks/0")),
        refusal => refusal,
    })?;
    let items = submitted.ids.into_iter().map(|id| Accepted { id }).collect();
    let status = if submitted.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(json(status, &AcceptedTogether { items }))
}

/// The same problem, with its faults below a place.
fn below(problem: Problem, at: &str) -> Problem {
    if problem.code != Code::InvalidRequest || problem.errors.is_empty() {
        return problem;
    }
    let mut errors = problem.errors;
    for error in &mut errors {
        error.pointer.insert_str(0, at);
    }
    Problem::invalid(errors)
}
