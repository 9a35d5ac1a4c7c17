//! Agents, and what tasks can be run by.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use conductor_protocol::Code;
use conductor_protocol::control::{AgentView, Call, RunnerOffer, TaskTypeView};
use conductor_web::{Caller, Refusal};

use crate::http::{Named, Nothing, Params, items, json, none};
use crate::server::App;

/// Lists the agents.
#[utoipa::path(
    get, path = "/v1/agents", tag = "agents", operation_id = "list_agents",
    responses((status = 200, description = "All that are known.", body = super::Items<AgentView>)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::Agents).await?))
}

/// Reads an agent.
#[utoipa::path(
    get, path = "/v1/agents/{name}", tag = "agents", operation_id = "get_agent",
    params(("name" = String, Path)),
    responses((status = 200, description = "The agent.", body = AgentView)),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Named(name): Named,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    let agents = caller.control(&app.site).await?.agents().await?;
    match agents.into_iter().find(|agent| agent.name == name) {
        Some(agent) => Ok(json(StatusCode::OK, &agent)),
        None => Err(Refusal::new(Code::NotFound, format!("there is no agent {name:?}"))),
    }
}

/// Lets an agent take no further tasks.
#[utoipa::path(
    post, path = "/v1/agents/{name}/drain", tag = "agents", operation_id = "drain_agent",
    params(("name" = String, Path)),
    responses((status = 204, description = "What it runs goes on; it takes nothing more.")),
)]
pub(crate) async fn drain(
    caller: Caller,
    State(app): State<App>,
    Named(name): Named,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.drain_agent(name, true).await?))
}

/// Lets a drained agent take tasks again.
#[utoipa::path(
    post, path = "/v1/agents/{name}/resume", tag = "agents", operation_id = "resume_agent",
    params(("name" = String, Path)),
    responses((status = 204, description = "It takes tasks again.")),
)]
pub(crate) async fn resume(
    caller: Caller,
    State(app): State<App>,
    Named(name): Named,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.drain_agent(name, false).await?))
}

/// Takes an agent's tasks and its way in.
#[utoipa::path(
    post, path = "/v1/agents/{name}/revoke", tag = "agents", operation_id = "revoke_agent",
    params(("name" = String, Path)),
    responses((status = 204, description = "Its tasks go back to the queue, and it does not come in again.")),
)]
pub(crate) async fn revoke(
    caller: Caller,
    State(app): State<App>,
    Named(name): Named,
    RawQuery(query): RawQuery,
    _: Nothing,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.revoke_agent(name).await?))
}

/// Lists what tasks can be run by.
#[utoipa::path(
    get, path = "/v1/runners", tag = "agents", operation_id = "list_runners",
    responses((status = 200, description = "The runners, with the agents that offer them.", body = super::Items<RunnerOffer>)),
)]
pub(crate) async fn runners(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::Runners).await?))
}

/// Lists the types that tasks can have, and what each gives a task where its submit says nothing.
#[utoipa::path(
    get, path = "/v1/task-types", tag = "tasks", operation_id = "list_task_types",
    responses((status = 200, description = "The types, by name.", body = super::Items<TaskTypeView>)),
)]
pub(crate) async fn task_types(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::TaskTypes).await?))
}
