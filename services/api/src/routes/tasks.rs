//! Reading tasks, and deleting them.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use conductor_protocol::control::{Call, Filter, Id, ListRequest, Page, Sort, Wait};
use conductor_protocol::task::{State as Standing, TaskView};
use conductor_protocol::{Problem, limits};
use conductor_web::{Caller, Refusal};

use crate::http::{Params, Task, items, none, passed};
use crate::server::App;

/// The parameters that say which tasks are meant.
pub(crate) const FILTER: [&str; 13] = [
    "state",
    "runner",
    "group",
    "label",
    "name",
    "type",
    "created_by",
    "failure",
    "q",
    "after",
    "before",
    "min_cost",
    "parent",
];

/// Reads which tasks are meant.
pub(crate) fn filter(params: &Params) -> Result<Filter, Problem> {
    let states = params.all("state").flat_map(|text| text.split(','));
    let state = |text: &str| {
        let known: Vec<_> = Standing::ALL.iter().map(|state| state.as_str()).collect();
        let detail = || format!("{text:?} is not a state; there are {}", known.join(", "));
        Standing::parse(text).ok_or_else(|| Problem::at("/state", detail()))
    };
    let money = |text: &str| {
        let usd = text.parse().ok().filter(|usd: &f64| usd.is_finite() && *usd >= 0.0);
        usd.ok_or_else(|| Problem::at("/min_cost", "not an amount of money"))
    };
    Ok(Filter {
        state: states.map(state).collect::<Result<_, _>>()?,
        runner: params.text("runner")?,
        group: params.text("group")?,
        label: params.all("label").map(ToOwned::to_owned).collect(),
        name: params.text("name")?,
        task_type: params.text("type")?,
        created_by: params.text("created_by")?,
        failure: params.text("failure")?,
        q: params.text("q")?,
        after: params.text("after")?,
        before: params.text("before")?,
        min_cost: params.one("min_cost")?.map(money).transpose()?,
        parent: params.text("parent")?,
    })
}

/// Lists tasks, newest first.
#[utoipa::path(
    get, path = "/v1/tasks", tag = "tasks", operation_id = "list_tasks",
    params(
        ("state" = Option<Vec<Standing>>, Query, description = "One of these."),
        ("runner" = Option<String>, Query),
        ("group" = Option<String>, Query),
        ("label" = Option<Vec<String>>, Query, description = "`key:value`; all of them."),
        ("name" = Option<String>, Query, description = "What the task is called."),
        ("type" = Option<String>, Query),
        ("created_by" = Option<String>, Query, description = "The name of the token that submitted it."),
        ("failure" = Option<String>, Query, description = "The reason of its failure."),
        ("q" = Option<String>, Query, description = "Text that the name, prompt or command holds."),
        ("after" = Option<String>, Query, format = DateTime, description = "Created after."),
        ("before" = Option<String>, Query, format = DateTime, description = "Created before."),
        ("min_cost" = Option<f64>, Query, minimum = 0, description = "In US dollars."),
        ("parent" = Option<String>, Query, format = Uuid, description = "The subtasks of this task."),
        ("sort" = inline(Option<Sort>), Query, description = "`created`: newest first; `oldest`; `cost`: most expensive first."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "50 when it is not given."),
        ("cursor" = Option<String>, Query, description = "The `next_cursor` of the page before, with the same filter."),
    ),
    responses((status = 200, description = "A page; tasks that arrive meanwhile do not move the pages after it.", body = Page)),
)]
pub(crate) async fn list(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let known: Vec<&str> = FILTER.into_iter().chain(["sort", "limit", "cursor"]).collect();
    let params = Params::read(query.as_deref(), &known)?;
    let sort = match params.one("sort")? {
        None | Some("created") => Sort::Created,
        Some("oldest") => Sort::Oldest,
        Some("cost") => Sort::Cost,
        Some(other) => {
            let detail = format!("{other:?} is not an order; there are created, oldest, cost");
            return Err(Problem::at("/sort", detail).into());
        }
    };
    let request = ListRequest {
        filter: filter(&params)?,
        sort,
        limit: params.number("limit", 1..=limits::MAX_PAGE)?,
        cursor: params.text("cursor")?,
        at_least_seq: None,
    };
    let control = caller.control(&app.site).await?;
    Ok(passed(control.call(Call::List(Box::new(request))).await?))
}

/// Reads a task; with `wait_seconds`, once it is terminal or time is up.
#[utoipa::path(
    get, path = "/v1/tasks/{id}", tag = "tasks", operation_id = "get_task",
    params(
        ("id" = String, Path, format = Uuid),
        ("wait_seconds" = Option<u64>, Query, minimum = 0, maximum = 60),
    ),
    responses((status = 200, description = "The task.", body = TaskView)),
)]
pub(crate) async fn get(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let params = Params::read(query.as_deref(), &["wait_seconds"])?;
    match params.number("wait_seconds", 0..=limits::MAX_WAIT_SECONDS)? {
        None | Some(0) => Ok(passed(caller.control(&app.site).await?.call(Call::Get(Id { id })).await?)),
        Some(seconds) => {
            let place = app.lines.place(&caller).await?;
            let wait = Wait { id, timeout_ms: seconds * 1_000 };
            tokio::select! {
                answer = place.control().call(Call::Wait(wait)) => Ok(passed(answer?)),
                // Who is nobody any more, or has to come back, is told where the task stands now, or who he is not.
                () = caller.alive(&app.site) => {
                    Ok(passed(caller.control(&app.site).await?.call(Call::Get(Id { id })).await?))
                }
            }
        }
    }
}

/// Deletes a terminal task's record and folder.
#[utoipa::path(
    delete, path = "/v1/tasks/{id}", tag = "tasks", operation_id = "delete_task",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 204, description = "It is gone.")),
    extensions(("x-problems" = json!([409]))),
)]
pub(crate) async fn delete(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(none(caller.control(&app.site).await?.delete(id).await?))
}

/// Lists what waits for a person.
#[utoipa::path(
    get, path = "/v1/questions", tag = "tasks", operation_id = "list_questions",
    responses((status = 200, description = "The tasks that wait, each with its question.", body = super::Items<TaskView>)),
)]
pub(crate) async fn questions(
    caller: Caller,
    State(app): State<App>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::Questions).await?))
}

/// Lists what was told of a task, and to whom.
#[utoipa::path(
    get, path = "/v1/tasks/{id}/deliveries", tag = "tasks", operation_id = "list_deliveries",
    params(("id" = String, Path, format = Uuid)),
    responses((status = 200, description = "The deliveries, newest first.",
        body = super::Items<conductor_protocol::control::DeliveryView>)),
)]
pub(crate) async fn deliveries(
    caller: Caller,
    State(app): State<App>,
    Task(id): Task,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    Params::read(query.as_deref(), &[])?;
    Ok(items(&caller.control(&app.site).await?.call(Call::Deliveries(Id { id })).await?))
}
