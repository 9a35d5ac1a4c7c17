//! Tasks, in words. What came from tasks and people is cleaned of what a terminal would obey.

use conductor_core::Wall;
use conductor_protocol::control::FilesView;
use conductor_protocol::task::{AttemptView, FailureView, State, TaskView, reason_text};
use conductor_protocol::text::rfc3339;

use crate::screen::{Table, ago, bytes, clean, elapsed_between, first_line};

/// Files that are named after a run.
const NAMED_FILES: usize = 10;
/// Lines of a summary that are shown.
const SUMMARY_LINES: usize = 40;
/// Stands behind what a run has used that is not over.
const SO_FAR: &str = " so far";

/// What a task is called: its name, else what it is to do.
pub fn title(task: &TaskView) -> String {
    let text = match (&task.name, &task.prompt, &task.command) {
        (Some(name), _, _) => name.clone(),
        (None, Some(prompt), _) => first_line(prompt).to_owned(),
        (None, None, Some(command)) => command.join(" "),
        // Subtasks alone, or a list, which tells no prompts.
        (None, None, None) => String::new(),
    };
    clean(&text)
}

/// A table of tasks.
pub fn rows(tasks: &[TaskView], now: Wall) -> Table {
    let mut table = Table::new(&["ID", "STATE", "AGE", "RUNNER", "GROUP", "TASK"]);
    for task in tasks {
        let state = match (&task.failure, task.simulated) {
            (Some(failure), _) => format!("{} ({})", task.state.as_str(), reason_text(failure.reason)),
            (None, true) => format!("{} (simulated)", task.state.as_str()),
            (None, false) => task.state.as_str().to_owned(),
        };
        let age = ago(task.created_at, now);
        table.row([task.id.to_string(), state, age, clean(&task.runner), clean(&task.group), title(task)]);
    }
    table
}

/// Where a task that does not run stands, on one line.
pub fn standing(task: &TaskView) -> String {
    let why = task.pending_reason.as_deref().map(clean).filter(|why| !why.is_empty());
    match why {
        Some(why) => format!("{}: {why}", task.state.as_str()),
        None => task.state.as_str().to_owned(),
    }
}

/// How an attempt ended, on one line.
pub fn attempt_end(attempt: &AttemptView) -> String {
    match &attempt.failure {
        Some(failure) => format!("{}: {}", clean(&attempt.state), failure_text(failure)),
        None => clean(&attempt.state),
    }
}

fn failure_text(failure: &FailureView) -> String {
    let reason = reason_text(failure.reason);
    match clean(&failure.message) {
        message if message.is_empty() => reason.to_owned(),
        message => format!("{reason}: {message}"),
    }
}

/// How a task ended: the outcome, the summary, the files and the folder.
pub fn outcome(task: &TaskView, files: Option<&FilesView>) -> Vec<String> {
    let mut lines = vec![headline(task)];
    if let Some(hint) = task.failure.as_ref().and_then(|failure| failure.hint.as_deref()) {
        lines.push(format!("hint: {}", clean(hint)));
    }
    // A command's summary is the end of its output, which was shown; a failure's is its message.
    let tells_more = task.runner != "command" && task.state == State::Succeeded;
    let result = task.result.as_ref().filter(|_| tells_more);
    let summary = result.and_then(|result| result.summary.as_deref()).unwrap_or_default();
    lines.extend(summary.trim().lines().take(SUMMARY_LINES).map(|line| format!("  {}", clean(line))));
    if let Some(view) = files {
        lines.extend(files_left(task, view));
    }
    lines.push(format!("task: {}", task.id));
    lines
}

fn files_left(task: &TaskView, view: &FilesView) -> Vec<String> {
    let mut lines = Vec::new();
    if view.files_total > 0 {
        lines.push("files:".to_owned());
    }
    let mut table = Table::bare();
    for file in view.files.iter().take(NAMED_FILES) {
        table.row([format!("  {}", clean(&file.path)), bytes(file.bytes)]);
    }
    lines.extend(table.lines(None));
    let more = view.files_total.saturating_sub(view.files.len().min(NAMED_FILES) as u64);
    if more > 0 {
        lines.push(format!("  and {more} more: conductor files {}", task.id));
    }
    if task.attempt > 0 {
        lines.push(format!("folder: {}", clean(&view.folder)));
    }
    lines
}

fn headline(task: &TaskView) -> String {
    let took = match (task.started_at, task.finished_at) {
        (Some(from), Some(to)) => format!(" in {}", elapsed_between(from, to)),
        (Some(_) | None, _) => String::new(),
    };
    let mut line = match &task.failure {
        Some(failure) => format!("{}{took}: {}", task.state.as_str(), failure_text(failure)),
        None => format!("{}{took}", task.state.as_str()),
    };
    if task.attempt > 1 {
        line.push_str(&format!(" (attempt {})", task.attempt));
    }
    if task.simulated {
        line.push_str(" — simulated: no model was asked");
    }
    if task.result.as_ref().is_some_and(|result| result.sandbox.as_deref() == Some("unsandboxed")) {
        line.push_str(" — unsandboxed");
    }
    line
}

/// Everything about a task, one line each.
pub fn detail(task: &TaskView, now: Wall) -> Vec<String> {
    let mut table = Table::bare();
    let mut row = |name: &str, value: String| {
        if !value.is_empty() {
            table.row([name.to_owned(), value]);
        }
    };
    let list = |items: &[String]| items.iter().map(|item| clean(item)).collect::<Vec<_>>().join(", ");
    let when =
        |at: Option<Wall>| at.map(|at| format!("{} ({} ago)", rfc3339(at), ago(at, now))).unwrap_or_default();
    let id = |id: Option<conductor_core::TaskId>| id.map(|id| id.to_string()).unwrap_or_default();
    row("id", task.id.to_string());
    row("state", standing(task));
    row("task", title(task));
    row("runner", clean(&task.runner));
    row("group", clean(&task.group));
    row("priority", task.priority.to_string());
    let labels: Vec<String> = task.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    row("labels", list(&labels));
    row("requires", list(&task.requires));
    row("input files", list(&task.input_files));
    row("environment", list(&task.env));
    row("created", when(Some(task.created_at)));
    let creator = task.created_by.as_ref();
    row(
        "created by",
        creator.map(|by| format!("{} ({})", clean(&by.name), clean(&by.via))).unwrap_or_default(),
    );
    row("runs at", task.run_at.filter(|_| task.started_at.is_none()).map(rfc3339).unwrap_or_default());
    row("started", when(task.started_at));
    row("finished", when(task.finished_at));
    row("agent", task.agent.as_deref().map(clean).unwrap_or_default());
    row("parent", id(task.parent));
    row("retry of", id(task.retry_of));
    row("continues", id(task.continues));
    if let Some(failure) = &task.failure {
        row("failure", failure_text(failure));
        row("hint", failure.hint.as_deref().map(clean).unwrap_or_default());
    }
    if let Some(question) = &task.waiting {
        row("asks", clean(&question.text));
    }
    if task.simulated {
        row("simulated", "yes: no model was asked".to_owned());
    }
    if let Some(result) = &task.result {
        row("exit code", result.exit_code.map(|code| code.to_string()).unwrap_or_default());
        row("verified", task.verified.map(|verified| verified.to_string()).unwrap_or_default());
        if let Some(git) = &result.git {
            row("commit", git.commit.as_deref().map(clean).unwrap_or_else(|| "nothing changed".to_owned()));
            let branch = git.branch.as_deref().map(clean).unwrap_or_default();
            row("branch", if git.pushed { format!("{branch} (pushed)") } else { branch });
            row("pull request", git.pull_request_url.as_deref().map(clean).unwrap_or_default());
        }
        row("confined", result.sandbox.as_deref().map(clean).unwrap_or_default());
        row("files", result.files_total.to_string());
        row("summary", result.summary.as_deref().map(|text| clean(first_line(text))).unwrap_or_default());
    }
    row("usage", usage(task));
    let mut lines = table.lines(None);
    lines.extend(attempts(task));
    lines
}

fn usage(task: &TaskView) -> String {
    let usage = &task.usage;
    if usage.input_tokens + usage.output_tokens == 0 && usage.cost_usd.is_none() {
        return String::new();
    }
    let cost = usage.cost_usd.map(|cost| format!(", ${cost:.4}")).unwrap_or_default();
    let so_far = if task.state.is_terminal() { "" } else { SO_FAR };
    format!("{} tokens in, {} out{cost}{so_far}", usage.input_tokens, usage.output_tokens)
}

fn attempts(task: &TaskView) -> Vec<String> {
    if task.attempts.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["ATTEMPT", "AGENT", "TOOK", "COST", "END"]);
    for attempt in &task.attempts {
        let took =
            attempt.finished_at.map(|end| elapsed_between(attempt.started_at, end)).unwrap_or_default();
        let so_far = if attempt.finished_at.is_some() { "" } else { SO_FAR };
        let cost = attempt.usage.cost_usd.map(|cost| format!("${cost:.4}{so_far}")).unwrap_or_default();
        table.row([attempt.number.to_string(), clean(&attempt.agent), took, cost, attempt_end(attempt)]);
    }
    table.lines(None)
}

#[cfg(test)]
pub mod tests {
    use conductor_core::FailureReason;

    use super::*;

    /// A task that has not begun.
    pub fn task() -> TaskView {
        let json = serde_json::json!({
            "id": "0190a000-0000-7000-8000-000000000001", "state": "queued", "runner": "mock", "type": "generic",
            "group": "default", "priority": 5, "timeout_seconds": 1800, "retry": {}, "prompt": "Say hello",
            "created_at": "2026-01-31T08:00:00Z", "attempt": 0, "failure": null, "verified": null, "result": null,
            "waiting": null, "created_by": null, "parent": null, "retry_of": null, "continues": null, "seq": 1,
        });
        serde_json::from_value(json).expect("a task")
    }

    #[test]
    fn nothing_that_a_task_wrote_reaches_the_terminal_as_it_is() {
        let evil = "\u{1b}[2Jx\n\u{1b}]0;t\u{7}".to_owned();
        let mut task = task();
        task.name = Some(evil.clone());
        task.pending_reason = Some(evil.clone());
        task.group.clone_from(&evil);
        task.labels.insert(evil.clone(), evil.clone());
        task.failure = Some(FailureView {
            reason: FailureReason::ExitCode,
            message: evil.clone(),
            hint: Some(evil.clone()),
        });
        task.result = Some(conductor_protocol::task::Resultant {
            summary: Some(evil.clone()),
            files_total: 1,
            ..Default::default()
        });
        let file = conductor_protocol::task::FileView { path: evil.clone(), bytes: 1, sha256: None };
        let files = FilesView { files: vec![file], files_total: 1, folder: evil };
        let mut lines = outcome(&task, Some(&files));
        lines.extend(detail(&task, Wall(0)));
        lines.extend(rows(&[task.clone()], Wall(0)).lines(None));
        lines.push(standing(&task));
        for line in lines {
            assert!(!line.contains(|char: char| char.is_control()), "{line:?}");
        }
    }

    #[test]
    fn a_simulated_result_is_said_everywhere() {
        let task = TaskView { state: State::Succeeded, simulated: true, ..task() };
        assert!(outcome(&task, None)[0].contains("simulated"));
        assert!(detail(&task, Wall(0)).join("\n").contains("simulated"));
        assert!(rows(&[task], Wall(0)).lines(None)[1].contains("simulated"));
    }

    #[test]
    fn many_files_are_counted() {
        let file = |number: usize| conductor_protocol::task::FileView {
            path: format!("f{number}"),
            bytes: 1_024,
            sha256: None,
        };
        let view = FilesView { files: (0..20).map(file).collect(), files_total: 5_000, folder: "/w".into() };
        let lines = outcome(&TaskView { attempt: 1, ..task() }, Some(&view));
        assert!(lines.iter().any(|line| line.contains("and 4990 more")), "{lines:?}");
        assert!(lines.iter().any(|line| line == "folder: /w"), "{lines:?}");
    }
}
