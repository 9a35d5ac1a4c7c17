//! `/tasks/{id}`: one task, and what can be done with it.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use conductor_client::Control;
use conductor_core::{TaskId, Wall};
use conductor_protocol::Code;
use conductor_protocol::task::{State, TaskView, reason_text};
use conductor_web::Refusal;

use crate::app::page;
use crate::frame::{Frame, Section};
use crate::ui::{self, Html};
use crate::visitor::Visitor;
use crate::words::Words;
use crate::{ansi, chart, format};

mod activity;
mod attempts;
mod deeds;
mod details;
pub mod diff;
mod files;
mod output;
mod raw;
mod subtasks;

pub use attempts::{tokens, used_mark};
pub use deeds::{answer, cancel, delete, message, pin, retry};
pub use details::work;
pub use raw::{archive, file, json, patch, whole_output};

use activity::Activity;
use attempts::Attempt;
use details::Details;
use diff::DiffView;
use files::{FileShown, Files};
use output::Output;
use subtasks::Subtasks;

#[derive(Debug, Template)]
#[template(path = "task.html")]
struct View {
    f: Frame,
    w: &'static Words,
    t: Head,
    tab: Tab,
    tabs: Vec<TabItem>,
    subtasks: Option<Subtasks>,
    body: Body,
}

/// What a tab shows.
#[derive(Debug)]
enum Body {
    Output(Output),
    Activity(Activity),
    Files(Files),
    Diff(DiffView),
    Details(Details),
}

/// A tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Output,
    Activity,
    Files,
    Diff,
    Details,
}

impl Tab {
    const ALL: [Self; 5] = [Self::Output, Self::Activity, Self::Files, Self::Diff, Self::Details];

    fn key(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Activity => "activity",
            Self::Files => "files",
            Self::Diff => "diff",
            Self::Details => "details",
        }
    }

    fn label(self, w: &Words) -> &'static str {
        match self {
            Self::Output => w.output,
            Self::Activity => w.activity,
            Self::Files => w.files,
            Self::Diff => w.changes,
            Self::Details => w.details,
        }
    }
}

#[derive(Debug)]
struct TabItem {
    query: String,
    label: &'static str,
    count: Option<String>,
    is_current: bool,
}

/// What every tab shows of the task.
#[derive(Debug)]
struct Head {
    id: String,
    /// The address of the task's page.
    path: String,
    title: String,
    state: &'static str,
    badge: Html,
    is_terminal: bool,
    /// What becomes of a message to it; none where it takes none.
    takes_message: Option<&'static str>,
    is_simulated: bool,
    is_pinned: bool,
    runner: String,
    agent: String,
    attempt: String,
    waited: Html,
    ran: Html,
    tokens: String,
    tokens_title: String,
    cost: String,
    /// Whether it has used something and may use more.
    is_open: bool,
    /// Changes with what it used.
    used: String,
    /// What of that its failed attempts cost.
    lost: Option<String>,
    created: Html,
    timeline: Html,
    /// The attempts that the timeline shows; none where there is but one.
    tries: Vec<Attempt>,
    pending: Option<String>,
    failure: Option<Failure>,
    summary: Option<String>,
    /// What a reader should know though it succeeded.
    flags: Vec<String>,
    question: Option<Question>,
}

#[derive(Debug)]
struct Failure {
    reason: &'static str,
    message: String,
    /// What to do about it.
    hint: Option<String>,
    /// The server's own words for that, where they say more.
    original: Option<String>,
}

#[derive(Debug)]
struct Question {
    request: String,
    text: String,
    tool: Option<String>,
    input: Option<String>,
    since: Html,
}

/// Reads the id of a path. What is none names nothing.
///
/// # Errors
/// `not_found` when it is none.
pub fn id_of(text: &str) -> Result<TaskId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::NotFound, format!("{text:?} is not the id of a task")))
}

/// `GET /tasks/{id}`
pub async fn show(visitor: Visitor, Path(id): Path<String>) -> Response {
    visitor.answer(view(&visitor, &id).await)
}

async fn view(visitor: &Visitor, id: &str) -> Result<Response, Refusal> {
    let (w, now, id) = (visitor.words(), visitor.now(), id_of(id)?);
    let control = visitor.control().await?;
    let mut f = visitor.frame(&control, Section::Tasks, w.task).await?;
    let task = control.get(id).await?;
    f.title = format::title(&task);
    let asked = visitor.query().text("tab");
    let tab = Tab::ALL.into_iter().find(|tab| tab.key() == asked).unwrap_or(Tab::Output);
    let path = f.url(&format!("/tasks/{id}"));
    let body = body(visitor, &control, &f, &task, tab).await?;
    let subtasks = subtasks::read(visitor, &control, &f, task.id).await?;
    let t = head(w, now, &task, path);
    page(StatusCode::OK, &View { w, tabs: tabs(w, &task, tab), t, tab, subtasks, body, f })
}

async fn body(
    visitor: &Visitor,
    control: &Control,
    f: &Frame,
    task: &TaskView,
    tab: Tab,
) -> Result<Body, Refusal> {
    let (w, query) = (visitor.words(), visitor.query());
    let attempt = query.parsed::<u32>("attempt")?;
    Ok(match tab {
        Tab::Output => Body::Output(output::read(w, control, task, attempt, query.parsed("before")?).await?),
        Tab::Activity => Body::Activity(activity::read(w, control, task, attempt).await?),
        Tab::Files => Body::Files(files::read(f, control, task.id, query.get("file")).await?),
        Tab::Diff => Body::Diff(diff::read(w, control, task, query.text("view") == "split").await?),
        Tab::Details => Body::Details(details::read(w, f, visitor.now(), control, task).await?),
    })
}

fn tabs(w: &Words, task: &TaskView, current: Tab) -> Vec<TabItem> {
    let files = task.result.as_ref().map_or(0, |result| result.files_total.max(result.files.len() as u64));
    let count = |tab: Tab| (tab == Tab::Files && files > 0).then(|| format::count(files));
    let query = |tab: Tab| if tab == Tab::Output { String::new() } else { format!("?tab={}", tab.key()) };
    let item = |tab: Tab| TabItem {
        query: query(tab),
        label: tab.label(w),
        count: count(tab),
        is_current: tab == current,
    };
    Tab::ALL.into_iter().map(item).collect()
}

fn head(w: &'static Words, now: Wall, task: &TaskView, path: String) -> Head {
    let failed_with = task.failure.as_ref().map(|failure| failure.message.as_str());
    let usage = &task.usage;
    let queued = first_queued(task);
    let waited = match (task.started_at, task.finished_at) {
        (Some(at), _) | (None, Some(at)) => Html::text(&format::between(queued, at)),
        (None, None) => ui::ticking(now, queued),
    };
    let ran = match (task.started_at, task.finished_at) {
        (Some(from), Some(to)) => Html::text(&format::between(from, to)),
        (Some(from), None) => ui::ticking(now, from),
        (None, _) => Html::text("–"),
    };
    let end = task.finished_at.unwrap_or(now);
    let result = task.result.as_ref();
    Head {
        id: task.id.to_string(),
        path,
        title: format::title(task),
        state: task.state.as_str(),
        badge: ui::badge(w, task.state),
        is_terminal: task.state.is_terminal(),
        takes_message: takes_message(w, task),
        is_simulated: task.simulated,
        is_pinned: task.pinned,
        runner: ui::runner(task).to_owned(),
        agent: task.agent.clone().unwrap_or_else(|| "–".to_owned()),
        attempt: format!(
            "{}/{}",
            task.attempt,
            u32::from(task.retry.max_attempts.unwrap_or(1)).max(task.attempt)
        ),
        waited,
        ran,
        tokens: attempts::tokens(usage).unwrap_or_else(|| "–".to_owned()),
        tokens_title: attempts::tokens_by_kind(w, usage),
        cost: usage.cost_usd.map_or_else(|| "–".to_owned(), format::dollars),
        is_open: !task.state.is_terminal() && (attempts::tokens(usage).is_some() || usage.cost_usd.is_some()),
        used: attempts::used_mark(usage),
        lost: attempts::lost(task),
        created: ui::ago(w, now, task.created_at),
        timeline: Html::made(chart::timeline(w, queued.0, end.0, &task.attempts)),
        tries: attempts::beside_the_timeline(w, now, task),
        pending: w.pending(task).filter(|_| !task.state.is_terminal()),
        failure: task.failure.as_ref().map(|failure| Failure {
            reason: reason_text(failure.reason),
            message: w.told(&ansi::plain(&failure.message)).into_owned(),
            hint: failure.hint.as_ref().map(|hint| w.hint(failure.reason, hint).into_owned()),
            original: failure.hint.clone().filter(|hint| !w.tells(hint)),
        }),
        // What failed says why already.
        summary: result
            .and_then(|result| result.summary.as_deref())
            .filter(|text| !text.trim().is_empty() && failed_with != Some(text))
            .map(ansi::plain),
        flags: result.map(|result| ui::flags(w, &result.flags)).unwrap_or_default(),
        question: task.waiting.as_ref().map(|waiting| Question {
            request: waiting.request_id.to_string(),
            text: waiting.text.clone(),
            tool: waiting.tool.clone(),
            input: waiting.input.as_ref().map(|input| pretty(input.get())),
            since: ui::ago(w, now, waiting.since),
        }),
    }
}

/// Since when its first attempt waited. Who is tried again is queued again, and that is the instant that is kept.
fn first_queued(task: &TaskView) -> Wall {
    let is_first = |at: &Wall| task.started_at.is_none_or(|started| *at <= started);
    let created = task.run_at.map_or(task.created_at, |at| at.max(task.created_at));
    task.queued_at.filter(is_first).unwrap_or(created)
}

/// What becomes of a message: a new task where this one is over, its next turn where a coding agent runs.
fn takes_message(w: &'static Words, task: &TaskView) -> Option<&'static str> {
    let is_inside = matches!(task.runner.as_str(), "command" | "mock" | "replay");
    match task.state {
        State::Succeeded | State::Failed | State::Cancelled => Some(w.follow_up_hint),
        State::Running | State::Waiting => (!is_inside).then_some(w.next_turn_hint),
        State::Blocked | State::Scheduled | State::Queued => None,
    }
}

/// JSON with line ends and indents; what is none stays as it is.
fn pretty(json: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(json);
    value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| json.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_task_that_is_tried_again_waited_since_it_was_queued_first() {
        let task = |queued: &str, started: Option<&str>| -> TaskView {
            let at = |time: &str| format!("2026-01-31T08:00:{time}Z");
            let json = json!({
                "id": "0190a000-0000-7000-8000-000000000001", "state": "queued", "runner": "mock", "type": "generic",
                "group": "default", "priority": 5, "timeout_seconds": 1800, "retry": {}, "attempt": 0, "failure": null,
                "verified": null, "result": null, "waiting": null, "created_by": null, "parent": null, "retry_of": null,
                "continues": null, "seq": 1, "created_at": at("00"), "queued_at": at(queued), "started_at": started.map(at),
            });
            serde_json::from_value(json).unwrap()
        };
        let seconds = |task: TaskView| (first_queued(&task).0 - task.created_at.0) / 1_000;
        assert_eq!(seconds(task("05", None)), 5, "it was blocked before");
        assert_eq!(seconds(task("05", Some("07"))), 5);
        assert_eq!(seconds(task("09", Some("07"))), 0, "what is kept is when its second attempt was queued");
    }
}
