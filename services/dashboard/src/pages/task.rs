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
mod deeds;
mod details;
pub mod diff;
mod files;
mod output;
mod raw;
mod subtasks;

pub use deeds::{answer, cancel, delete, message, pin, retry};
pub use details::work;
pub use raw::{archive, file, json, patch, whole_output};

use activity::Activity;
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
    created: Html,
    timeline: Html,
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
    let tokens = usage.input_tokens + usage.output_tokens;
    let queued = task.queued_at.unwrap_or(task.created_at);
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
        tokens: if tokens == 0 { "–".to_owned() } else { format::short_number(tokens as f64) },
        tokens_title: format!(
            "{} {} · {} {} · {} {}",
            format::count(usage.input_tokens),
            w.input,
            format::count(usage.output_tokens),
            w.output_short,
            format::count(usage.cached_input_tokens),
            w.cached
        ),
        cost: usage.cost_usd.map_or_else(|| "–".to_owned(), format::dollars),
        created: ui::ago(w, now, task.created_at),
        timeline: Html::made(chart::timeline(w.attempts, queued.0, end.0, &task.attempts)),
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

/// JSON with line ends and indents; what is none stays as it is.
/// What becomes of a message: a new task where this one is over, its next turn where a coding agent runs.
fn takes_message(w: &'static Words, task: &TaskView) -> Option<&'static str> {
    let is_inside = matches!(task.runner.as_str(), "command" | "mock" | "replay");
    match task.state {
        State::Succeeded | State::Failed | State::Cancelled => Some(w.follow_up_hint),
        State::Running | State::Waiting => (!is_inside).then_some(w.next_turn_hint),
        State::Blocked | State::Scheduled | State::Queued => None,
    }
}

fn pretty(json: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(json);
    value.ok().and_then(|value| serde_json::to_string_pretty(&value).ok()).unwrap_or_else(|| json.to_owned())
}
