//! `/tasks/new`: the form for a task, and what is sent with it.

use askama::Template;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{Groups, Submit};
use conductor_protocol::submit::Permission;
use conductor_web::Refusal;
use serde_json::value::to_raw_value;

use crate::app::page;
use crate::frame::{Frame, Section};
use crate::visitor::Visitor;
use crate::words::Words;

mod form;
mod repository;
mod upload;
mod words_of_command;

pub use form::shell_line;
use form::{Form, GENERIC};
use repository::Goal;
pub use words_of_command::join as command_line;

#[derive(Debug, Template)]
#[template(path = "new.html")]
struct View {
    f: Frame,
    w: &'static Words,
    problem: Option<String>,
    form: Form,
    runners: Vec<String>,
    types: Vec<Type>,
    groups: Vec<String>,
    /// What a coding agent can be let do: the word, what it is called, and whether it is chosen.
    permissions: Vec<(&'static str, &'static str, bool)>,
    /// What can become of the changes: the word, what it is called, and whether it is chosen.
    goals: Vec<(&'static str, &'static str, bool)>,
}

/// `GET /tasks/new`
pub async fn show(visitor: Visitor) -> Response {
    visitor.answer(empty(&visitor).await)
}

async fn empty(visitor: &Visitor) -> Result<Response, Refusal> {
    let control = visitor.control().await?;
    let form = match visitor.query().parsed::<TaskId>("clone")? {
        Some(id) => Form::of_task(visitor.words(), &control.get(id).await?),
        None => Form::of_params(visitor.query()),
    };
    view(visitor, &control, StatusCode::OK, form, None).await
}

async fn view(
    visitor: &Visitor,
    control: &Control,
    status: StatusCode,
    form: Form,
    problem: Option<String>,
) -> Result<Response, Refusal> {
    let w = visitor.words();
    let f = visitor.frame(control, Section::Tasks, w.new_task).await?;
    let types = types(control, &form.task_type).await?;
    let groups = match &visitor.caller.identity.groups {
        Groups::All => Vec::new(),
        Groups::Only(groups) => groups.clone(),
    };
    let goals = Goal::ALL.into_iter().map(|it| (it.key(), goal(w, it), it == form.repository.goal)).collect();
    let permissions = Permission::ALL.into_iter();
    let permissions =
        permissions.map(|it| (it.as_str(), w.permission(it), it.as_str() == form.permission)).collect();
    let view =
        View { f, w, problem, form, runners: runners(control).await?, types, groups, permissions, goals };
    page(status, &view)
}

/// A type in the form.
#[derive(Debug)]
struct Type {
    name: String,
    description: String,
    is_on: bool,
}

/// The types that tasks can have, the generic one first; the chosen one even where it is not there any more.
async fn types(control: &Control, chosen: &str) -> Result<Vec<Type>, Refusal> {
    let known = control.task_types().await?.into_iter();
    let mut types: Vec<Type> = known
        .map(|it| Type {
            is_on: it.name == chosen,
            description: it.description.unwrap_or_default(),
            name: it.name,
        })
        .collect();
    types.sort_by_key(|it| it.name != GENERIC);
    if !chosen.is_empty() && !types.iter().any(|it| it.is_on) {
        types.push(Type { name: chosen.to_owned(), description: String::new(), is_on: true });
    }
    Ok(types)
}

fn goal(w: &Words, goal: Goal) -> &'static str {
    match goal {
        Goal::Keep => w.changes_stay,
        Goal::Branch => w.push_branch,
        Goal::Draft => w.draft_pull_request,
        Goal::Request => w.open_pull_request,
    }
}

/// The names of the runners that tasks can name now.
async fn runners(control: &Control) -> Result<Vec<String>, Refusal> {
    let mut names = vec!["auto".to_owned()];
    match control.runners().await {
        Ok(offers) => names.extend(offers.into_iter().map(|offer| offer.name)),
        Err(conductor_client::Error::Refused(problem)) if problem.code == Code::Unavailable => {
            let agents = control.agents().await?;
            names.extend(agents.into_iter().flat_map(|agent| agent.runners).map(|runner| runner.name));
        }
        Err(error) => return Err(error.into()),
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// `POST /tasks`
pub async fn submit(visitor: Visitor, request: Request) -> Response {
    visitor.answer(take(&visitor, request).await)
}

async fn take(visitor: &Visitor, request: Request) -> Result<Response, Refusal> {
    let control = visitor.control().await?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
    let boundary =
        boundary.ok_or_else(|| Refusal::new(Code::InvalidRequest, "the form is not multipart/form-data"))?;
    let sent = upload::read(visitor, &control, request, boundary).await?;
    let result = match form::task(&sent.params, visitor.now()) {
        Ok(mut task) => {
            task.files = sent.files;
            conductor_protocol::submit::check(&task, "").map_err(Refusal)?;
            let tasks = vec![to_raw_value(&task).expect("a task is texts and numbers")];
            control.submit(Submit { tasks, key: None }).await.map_err(Refusal::from)
        }
        Err(refusal) => Err(refusal),
    };
    match result {
        Ok(submitted) => match submitted.ids.first() {
            Some(id) => Ok(visitor.see(&format!("/tasks/{id}"))),
            None => Err(Refusal::new(Code::Internal, "the orchestrator named no task")),
        },
        // What was typed is not lost: only the files have to be chosen again.
        Err(Refusal(problem)) if is_of_the_form(problem.code) => {
            let status =
                StatusCode::from_u16(problem.code.status()).expect("a code's status is one of HTTP's");
            view(visitor, &control, status, Form::of_params(&sent.params), Some(problem.detail)).await
        }
        Err(refusal) => Err(refusal),
    }
}

/// Whether another form may do better.
fn is_of_the_form(code: Code) -> bool {
    match code {
        Code::InvalidRequest
        | Code::Conflict
        | Code::PayloadTooLarge
        | Code::QueueFull
        | Code::StorageFull
        | Code::Unavailable
        | Code::NotFound => true,
        Code::Unauthorized
        | Code::Forbidden
        | Code::IdempotencyConflict
        | Code::Gone
        | Code::RateLimited
        | Code::NotLeader
        | Code::Internal => false,
    }
}
