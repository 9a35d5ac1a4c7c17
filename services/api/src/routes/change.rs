//! Changing tasks.

use std::fmt;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use conductor_core::RequestId;
use conductor_protocol::control::{Affected, AnswerBody, Call, Cancel, Filter};
use conductor_protocol::{Problem, text};
use conductor_web::{Caller, Refusal};
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::submit::{Accepted, accepted};
use super::tasks::{FILTER, filter};
use crate::http::{Json, Nothing, Params, Task, json, none, passed};
use crate::server::App;

/// Why a task is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cancellation {
    /// For people.
    #[serde(default)]
    #[schema(max_length = 500)]
    reason: Option<String>,
}

/// What to go on with.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Message {
    /// The next prompt.
    #[schema(min_length = 1)]
    text: String,
}

/// The answer to a question.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Answer {
    /// The question; the one that waits when none is named.
    #[serde(default, with = "text::optional_display")]
    #[schema(value_type = Option<String>, format = Uuid)]
    request_id: Option<RequestId>,
    /// `allow`, `deny`, or any other text; `{"text": ".."}` for text that would be one of these.
    #[schema(value_type = String)]
    answer: Given,
}

/// An answer as it is written.
#[derive(Debug)]
struct Given(AnswerBody);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl<'de> Visitor<'de> for Words {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"allow\", \"deny\", a text or {\"text\": ..}")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Given, E> {
                Ok(Given(match text {
                    "allow" => AnswerBody::Allow,
                    "deny" => AnswerBody::Deny,
                    text => AnswerBody::Text(text.to_owned()),
                }))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
                match map.next_entry::<String, String>()? {
                    Some((key, text)) if key == "text" && map.next_key::<String>()?.is_none() => {
                        Ok(Given(AnswerBody::Text(text)))
                    }
                    Some(_) | None => Err(de::Error::custom("expected only the field `text`")),
                }
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// How many tasks something was done to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Counted {
    count: usize,
    /// The tasks.
    #[serde(with = "text::display_list")]
    #[schema(value_type = Vec<uuid::Uuid>)]
    ids: Vec<conductor_core::TaskId>,
}

impl From<Affected> for Counted {
    fn from(Affected { ids }: Affected) -> Self {
        Self { count: ids.len(), ids }
    }
}

/// Cancels a task and all below it.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/cancel", tag = "tasks", operation_id = "cancel_task",
    params(("id" = String, Path, format = Uuid)),
    request_body = Cancellation,
    responses((status = 200, description = "The tasks that end.", body = Affected)),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn cancel(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    Json(Cancellation { reason }): Json<Cancellation>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let control = caller.control(&app.site).await?;
    Ok(passed(control.call(Call::Cancel(Cancel { id, reason })).await?))
}

/// Repeats a terminal task as a new one.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/retry", tag = "tasks", operation_id = "retry_task",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 201, description = "The new task.", body = Accepted)),
    extensions(("x-problems" = json!([409, 410]))),
)]
pub(crate) async fn retry(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let submitted = caller.control(&app.site).await?.retry(id).await?;
    accepted(&app, &submitted)
}

/// Goes on from a terminal task with a next prompt, as a new task; says it to one that runs, as its next turn.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/messages", tag = "tasks", operation_id = "message_task",
    params(("id" = String, Path, format = Uuid)),
    request_body = Message,
    responses(
        (status = 200, description = "The task, which runs and hears it as its next turn.", body = Accepted),
        (status = 201, description = "The new task.", body = Accepted),
    ),
    extensions(("x-problems" = json!([409, 410, 413]))),
)]
pub(crate) async fn message(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    Json(Message { text }): Json<Message>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let submitted = caller.control(&app.site).await?.message(id, text).await?;
    accepted(&app, &submitted)
}

/// Answers a task's question.
#[utoipa::path(
    post, path = "/v1/tasks/{id}/answer", tag = "tasks", operation_id = "answer_task",
    params(("id" = String, Path, format = Uuid)),
    request_body = Answer,
    responses((status = 204, description = "It was answered.")),
    extensions(("x-problems" = json!([409, 413]))),
)]
pub(crate) async fn answer(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
    Json(Answer { request_id, answer: Given(answer) }): Json<Answer>,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.answer(id, request_id, answer).await?))
}

/// Which tasks are meant: by the body, or by the parameters that a list has.
fn meant(query: Option<&str>, body: Filter) -> Result<Filter, Problem> {
    let by_query = filter(&Params::read(query, &FILTER)?)?;
    match (by_query == Filter::default(), body == Filter::default()) {
        (true, true) => Err(Problem::at("", "say which tasks are meant, by state, group, label or others")),
        (true, false) => Ok(body),
        (false, true) => Ok(by_query),
        (false, false) => {
            Err(Problem::at("", "say which tasks are meant by the body or by the query, not by both"))
        }
    }
}

/// Cancels all live tasks that match.
#[utoipa::path(
    post, path = "/v1/tasks/cancel", tag = "tasks", operation_id = "cancel_tasks",
    request_body = Filter,
    responses((status = 200, description = "The tasks that end.", body = Counted)),
    extensions(("x-problems" = json!([413]))),
)]
pub(crate) async fn cancel_matching(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Json(body): Json<Filter>,
) -> Result<Response, Refusal> {
    let filter = meant(query.as_deref(), body)?;
    let affected = caller.control(&app.site).await?.cancel_matching(filter).await?;
    Ok(json(StatusCode::OK, &Counted::from(affected)))
}

/// Repeats all terminal tasks that match, as new ones.
#[utoipa::path(
    post, path = "/v1/tasks/retry", tag = "tasks", operation_id = "retry_tasks",
    request_body = Filter,
    responses((status = 200, description = "The new tasks.", body = Counted)),
    extensions(("x-problems" = json!([413]))),
)]
pub(crate) async fn retry_matching(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Json(body): Json<Filter>,
) -> Result<Response, Refusal> {
    let filter = meant(query.as_deref(), body)?;
    let affected = caller.control(&app.site).await?.retry_matching(filter).await?;
    Ok(json(StatusCode::OK, &Counted::from(affected)))
}
