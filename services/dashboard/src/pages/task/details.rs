//! Everything about a task that its other views leave out.

use conductor_client::{Control, Error};
use conductor_core::{TaskId, Wall};
use conductor_protocol::Code;
use conductor_protocol::control::DeliveryView;
use conductor_protocol::submit::{Dependency, Workspace};
use conductor_protocol::task::TaskView;
use conductor_web::Refusal;

use super::attempts::{self, Attempt};
use crate::format;
use crate::frame::Frame;
use crate::ui::{self, Html, escape};
use crate::words::Words;

/// Everything else about a task.
#[derive(Debug)]
pub struct Details {
    /// `Prompt` or `Command`.
    pub work_label: &'static str,
    /// What was asked for.
    pub work: String,
    /// Names and values.
    pub facts: Vec<(&'static str, Html)>,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// Whom it was told.
    pub deliveries: Vec<Delivery>,
    /// The task as the API gives it.
    pub json: String,
}

/// A row of the deliveries.
#[derive(Debug)]
pub struct Delivery {
    pub event: String,
    pub channel: String,
    pub to: String,
    pub state: String,
    pub tries: u32,
    pub error: String,
}

/// What a task was asked to do.
#[must_use]
pub fn work(task: &TaskView) -> String {
    match (&task.prompt, &task.command) {
        (Some(prompt), _) => prompt.clone(),
        (None, Some(command)) => super::super::new::command_line(command),
        (None, None) => String::new(),
    }
}

/// Reads everything else about a task.
pub async fn read(
    w: &'static Words,
    f: &Frame,
    now: Wall,
    control: &Control,
    task: &TaskView,
) -> Result<Details, Refusal> {
    let deliveries = match control.deliveries(task.id).await {
        Ok(deliveries) => deliveries,
        Err(Error::Refused(problem)) if problem.code == Code::Unavailable => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    Ok(Details {
        work_label: if task.command.is_some() { w.command } else { w.prompt },
        work: work(task),
        facts: facts(w, f, task),
        attempts: attempts::rows(w, now, &task.attempts),
        deliveries: deliveries.into_iter().map(delivery).collect(),
        json: serde_json::to_string_pretty(task).unwrap_or_default(),
    })
}

fn facts(w: &'static Words, f: &Frame, task: &TaskView) -> Vec<(&'static str, Html)> {
    let link = |id: TaskId| {
        let path = f.url(&format!("/tasks/{id}"));
        format!("<a class=\"mono\" href=\"{}\">{id}</a>", escape(&path))
    };
    let dependency = |dependency: &Dependency| match dependency {
        Dependency::Id(id) => link(*id),
        Dependency::Ref(reference) => escape(reference),
    };
    let labels = |words: &mut dyn Iterator<Item = String>| -> String {
        words.map(|word| format!("<span class=\"label\">{}</span>", escape(&word))).collect()
    };
    let usage = &task.usage;
    let instant = |at: Option<Wall>| at.map(|at| ui::instant(at).to_string()).unwrap_or_default();
    let result = task.result.clone().unwrap_or_default();
    let git = result.git.clone().unwrap_or_default();
    let by = task.created_by.as_ref().map(|by| format!("{} ({}, {})", by.name, by.role, by.via));
    let all: Vec<(&'static str, String)> = vec![
        (w.type_word, escape(&task.task_type)),
        (w.group, escape(&task.group)),
        (w.priority, task.priority.to_string()),
        (w.permission, task.permission.map(|it| w.permission(it).to_owned()).unwrap_or_default()),
        (w.timeout, format::seconds(task.timeout_seconds as f64)),
        (w.attempts_at_most, task.retry.max_attempts.unwrap_or(1).to_string()),
        (w.labels, labels(&mut task.labels.iter().map(|(key, value)| format!("{key}:{value}")))),
        (w.requires, labels(&mut task.requires.iter().cloned())),
        (w.input_files, labels(&mut task.input_files.iter().cloned())),
        (w.repository, repository(task)),
        (w.verify, code(task.verify.as_deref().map(super::super::new::shell_line))),
        (w.environment, labels(&mut task.env.iter().cloned())),
        (w.depends_on, task.depends_on.iter().map(dependency).collect::<Vec<_>>().join(" ")),
        (w.parent, task.parent.map(link).unwrap_or_default()),
        (w.retry_of, task.retry_of.map(link).unwrap_or_default()),
        (w.continues, task.continues.map(link).unwrap_or_default()),
        (w.created_by, escape(&by.unwrap_or_default())),
        (w.run_at, instant(task.run_at)),
        (w.created, instant(Some(task.created_at))),
        (w.started, instant(task.started_at)),
        (w.finished_at, instant(task.finished_at)),
        (w.exit_code, result.exit_code.map(|code| code.to_string()).unwrap_or_default()),
        (w.verified, task.verified.map(|verified| verified.to_string()).unwrap_or_default()),
        (w.commit, escape(git.commit.as_deref().unwrap_or_default())),
        (w.branch, escape(git.branch.as_deref().unwrap_or_default())),
        (w.pull_request, git.pull_request_url.as_deref().map(web_link).unwrap_or_default()),
        (w.tokens, attempts::tokens(usage).map(|_| attempts::tokens_by_kind(w, usage)).unwrap_or_default()),
        (w.cost, cost(w, task)),
        (w.turns, counted(usage.turns)),
        (w.tool_calls, counted(usage.tool_calls)),
        (w.session, escape(&result.session_id.unwrap_or_default())),
        (w.sandbox, escape(&result.sandbox.unwrap_or_default())),
    ];
    all.into_iter()
        .filter(|(_, html)| !html.is_empty())
        .map(|(name, html)| (name, Html::made(html)))
        .collect()
}

fn code(text: Option<String>) -> String {
    text.map(|text| format!("<code>{}</code>", escape(&text))).unwrap_or_default()
}

/// Where the work began, and at what.
fn repository(task: &TaskView) -> String {
    match &task.workspace {
        Some(Workspace::Git(git)) => {
            let reference = git.reference.as_ref().map(|name| format!("#{name}")).unwrap_or_default();
            code(Some(format!("{}{reference}", git.url)))
        }
        Some(Workspace::Copy(_) | Workspace::Continue(_) | Workspace::Push(_)) | None => String::new(),
    }
}

/// A link to where a forge shows something; what is no address of the web stays a text.
fn web_link(url: &str) -> String {
    let shown = escape(url);
    match url.starts_with("https://") {
        true => format!("<a href=\"{shown}\" rel=\"noopener noreferrer\">{shown}</a>"),
        false => shown,
    }
}

/// What it cost, and the most that it may.
fn cost(w: &Words, task: &TaskView) -> String {
    let spent = task.usage.cost_usd.map(format::dollars);
    match (spent, task.budget_usd.map(format::dollars)) {
        (Some(spent), Some(most)) => w.spent_of(&spent, &most),
        (Some(spent), None) => spent,
        (None, Some(most)) => w.spent_of("–", &most),
        (None, None) => String::new(),
    }
}

fn counted(count: u32) -> String {
    if count == 0 { String::new() } else { format::count(count.into()) }
}

fn delivery(it: DeliveryView) -> Delivery {
    let DeliveryView { channel, to, event, tries, state, status, error, .. } = it;
    let error = error.or_else(|| status.map(|status| status.to_string())).unwrap_or_default();
    Delivery { event, channel, to, state, tries, error }
}
