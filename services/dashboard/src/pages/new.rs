//! `/tasks/new`: the form for a task, and what is sent with it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use conductor_client::Control;
use conductor_core::TaskId;
use conductor_protocol::Code;
use conductor_protocol::control::{Groups, Submit};
use conductor_protocol::submit::{Dependency, SubmitTask};
use conductor_protocol::task::TaskView;
use conductor_runtime::durations;
use conductor_web::Refusal;
use serde_json::value::to_raw_value;

use crate::app::page;
use crate::frame::{Frame, Section};
use crate::params::Params;
use crate::visitor::Visitor;
use crate::words::Words;

mod upload;
mod words_of_command;

pub use words_of_command::join as command_line;
use words_of_command::{join, split};

/// The types that every Conductor knows.
const TYPES: [&str; 5] = ["generic", "code_review", "refactor", "test_generation", "analysis"];
/// The priority of a task that names none.
const DEFAULT_PRIORITY: &str = "5";

#[derive(Debug, Template)]
#[template(path = "new.html")]
struct View {
    f: Frame,
    w: &'static Words,
    problem: Option<String>,
    form: Form,
    runners: Vec<String>,
    types: Vec<(String, bool)>,
    groups: Vec<String>,
}

/// What stands in the form.
#[derive(Debug, Clone, Default)]
struct Form {
    is_command: bool,
    prompt: String,
    runner: String,
    task_type: String,
    priority: String,
    timeout: String,
    name: String,
    group: String,
    max_attempts: String,
    labels: String,
    requires: String,
    depends_on: String,
    note: Option<String>,
}

impl Form {
    fn of_params(params: &Params) -> Self {
        let text = |name: &str| params.text(name).to_owned();
        Self {
            is_command: params.text("kind") == "command",
            prompt: text("prompt"),
            runner: text("runner"),
            task_type: text("type"),
            priority: params.get("priority").unwrap_or(DEFAULT_PRIORITY).to_owned(),
            timeout: text("timeout"),
            name: text("name"),
            group: text("group"),
            max_attempts: text("max_attempts"),
            labels: text("labels"),
            requires: text("requires"),
            depends_on: text("depends_on"),
            note: None,
        }
    }

    fn of_task(w: &Words, task: &TaskView) -> Self {
        let labels: Vec<_> = task.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let files = &task.input_files;
        Self {
            is_command: task.command.is_some(),
            prompt: task.prompt.clone().unwrap_or_else(|| join(task.command.as_deref().unwrap_or_default())),
            runner: task.runner.clone(),
            task_type: task.task_type.clone(),
            priority: task.priority.to_string(),
            timeout: format!("{}s", task.timeout_seconds),
            name: task.name.clone().unwrap_or_default(),
            group: task.group.clone(),
            max_attempts: task.retry.max_attempts.map(|most| most.to_string()).unwrap_or_default(),
            labels: labels.join(", "),
            requires: task.requires.join(", "),
            depends_on: String::new(),
            note: (!files.is_empty()).then(|| format!("{} {}", w.files_are_not_cloned, files.join(", "))),
        }
    }
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
    let mut types: Vec<(String, bool)> =
        TYPES.iter().map(|it| ((*it).to_owned(), *it == form.task_type)).collect();
    if !form.task_type.is_empty() && !types.iter().any(|(_, is_on)| *is_on) {
        types.push((form.task_type.clone(), true));
    }
    let groups = match &visitor.caller.identity.groups {
        Groups::All => Vec::new(),
        Groups::Only(groups) => groups.clone(),
    };
    let view = View { f, w, problem, form, runners: runners(control).await?, types, groups };
    page(status, &view)
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
    let result = match task(&sent.params) {
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

/// The task that a form describes, without its files.
fn task(params: &Params) -> Result<SubmitTask, Refusal> {
    let text = |name: &str| params.get(name).map(str::to_owned);
    let bad = |detail: String| Refusal::new(Code::InvalidRequest, detail);
    let mut task = SubmitTask {
        runner: text("runner").filter(|runner| runner != "auto"),
        task_type: text("type").filter(|kind| kind != TYPES[0]),
        name: text("name"),
        group: text("group"),
        priority: params.parsed("priority")?,
        requires: params.list("requires"),
        labels: labels(params)?,
        depends_on: depends_on(params)?,
        ..SubmitTask::default()
    };
    match params.text("kind") {
        "command" => task.command = Some(split(params.text("prompt")).map_err(bad)?),
        _ => task.prompt = text("prompt"),
    }
    if let Some(timeout) = params.get("timeout") {
        let timeout = durations::parse(timeout).map_err(|error| bad(format!("timeout: {error}")))?;
        task.timeout_seconds = Some(timeout.as_secs());
    }
    if let Some(most) = params.parsed("max_attempts")? {
        task.retry =
            Some(conductor_protocol::submit::Retry { max_attempts: Some(most), ..Default::default() });
    }
    Ok(task)
}

fn labels(params: &Params) -> Result<BTreeMap<String, String>, Refusal> {
    let pair = |word: String| match word.split_once([':', '=']) {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => {
            Err(Refusal::new(Code::InvalidRequest, format!("the label {word:?} is not key:value")))
        }
    };
    params.list("labels").into_iter().map(pair).collect()
}

fn depends_on(params: &Params) -> Result<Vec<Dependency>, Refusal> {
    let id = |word: String| {
        let bad = || Refusal::new(Code::InvalidRequest, format!("{word:?} is not the id of a task"));
        word.parse().map(Dependency::Id).map_err(|_| bad())
    };
    params.list("depends_on").into_iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(form: &str) -> Result<SubmitTask, Refusal> {
        task(&Params::parse(form.as_bytes()))
    }

    #[test]
    fn a_form_becomes_a_task() {
        let task = made("kind=prompt&prompt=Fix+it&runner=mock&type=refactor&priority=7&timeout=5m&max_attempts=3&labels=team:web,+kind=x&requires=gpu").unwrap();
        assert_eq!(task.prompt.as_deref(), Some("Fix it"));
        assert_eq!((task.priority, task.timeout_seconds), (Some(7), Some(300)));
        assert_eq!(task.labels["kind"], "x");
        assert_eq!(task.requires, ["gpu"]);
    }

    #[test]
    fn a_command_is_split_as_a_shell_splits() {
        let task = made("kind=command&prompt=sh+-c+'echo+a+b'&runner=auto&type=generic").unwrap();
        assert_eq!(task.command.unwrap(), ["sh", "-c", "echo a b"]);
        assert_eq!((task.runner, task.task_type), (None, None));
    }

    #[test]
    fn what_is_not_valid_is_named() {
        for (form, word) in [
            ("timeout=soon", "timeout"),
            ("labels=x", "label"),
            ("depends_on=x", "id"),
            ("priority=x", "priority"),
        ] {
            let Refusal(problem) = made(form).unwrap_err();
            assert!(problem.detail.contains(word), "{form}: {}", problem.detail);
        }
    }
}
