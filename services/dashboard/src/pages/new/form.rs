//! What stands in the form for a task, and the task that it describes.
//!
//! A field is in five places: here as a text, in [`Form::of_params`] and [`Form::of_task`], in [`task`], in `new.html`, and as a
//! row of `FIELDS` in `new.js`, which tells the same task for the command line and for curl.

use std::collections::BTreeMap;
use std::time::Duration;

use conductor_core::Wall;
use conductor_protocol::Code;
use conductor_protocol::submit::{Dependency, OnDependencyFailure, Retry, SubmitTask, Webhook, Workspace};
use conductor_protocol::task::TaskView;
use conductor_protocol::text::rfc3339;
use conductor_runtime::durations;
use conductor_web::Refusal;

use super::repository::{self, Repository};
use super::words_of_command::{join, split};
use crate::params::Params;
use crate::words::Words;

/// The type of a task that names none.
pub const GENERIC: &str = "generic";
/// What reads a command that is written as one line.
const SHELL: [&str; 2] = ["sh", "-c"];
/// The priority of a task that names none.
const DEFAULT_PRIORITY: &str = "5";

/// What stands in the form.
#[derive(Debug, Clone, Default)]
pub struct Form {
    pub is_command: bool,
    pub prompt: String,
    pub runner: String,
    pub task_type: String,
    pub priority: String,
    pub timeout: String,
    pub name: String,
    pub group: String,
    pub max_attempts: String,
    pub labels: String,
    pub requires: String,
    pub depends_on: String,
    pub runs_anyway: bool,
    pub run_at: String,
    pub queue_timeout: String,
    pub continues: String,
    pub repository: Repository,
    pub verify: String,
    pub env: String,
    pub webhook: String,
    pub note: Option<String>,
}

impl Form {
    /// Whether any of the fields that are folded away is used.
    pub fn has_more(&self) -> bool {
        let texts = [&self.depends_on, &self.run_at, &self.queue_timeout, &self.continues];
        self.runs_anyway || texts.into_iter().chain([&self.env, &self.webhook]).any(|text| !text.is_empty())
    }

    /// What was typed.
    pub fn of_params(params: &Params) -> Self {
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
            runs_anyway: params.text("on_dependency_failure") == "run",
            run_at: text("run_at"),
            queue_timeout: text("queue_timeout"),
            continues: text("continues"),
            repository: Repository::of_params(params),
            verify: text("verify"),
            env: text("env"),
            webhook: text("webhook"),
            note: None,
        }
    }

    /// What a task was submitted with, as far as it may be known: neither values of its environment nor its files.
    pub fn of_task(w: &Words, task: &TaskView) -> Self {
        let labels: Vec<_> = task.labels.iter().map(|(key, value)| format!("{key}:{value}")).collect();
        let files = &task.input_files;
        Self {
            is_command: task.command.is_some(),
            prompt: task.prompt.clone().unwrap_or_else(|| join(task.command.as_deref().unwrap_or_default())),
            runner: task.runner.clone(),
            task_type: task.task_type.clone(),
            priority: task.priority.to_string(),
            timeout: durations::format(Duration::from_secs(task.timeout_seconds)),
            name: task.name.clone().unwrap_or_default(),
            group: task.group.clone(),
            max_attempts: task.retry.max_attempts.map(|most| most.to_string()).unwrap_or_default(),
            labels: labels.join(", "),
            requires: task.requires.join(", "),
            continues: task.continues.map(|id| id.to_string()).unwrap_or_default(),
            repository: Repository::of_workspace(task.workspace.as_ref()),
            verify: task.verify.as_deref().map(shell_line).unwrap_or_default(),
            env: task.env.iter().map(|name| format!("{name}=\n")).collect(),
            note: (!files.is_empty()).then(|| format!("{} {}", w.files_are_not_cloned, files.join(", "))),
            ..Self::default()
        }
    }
}

/// A command as a shell reads it: what a shell is given as its line is that line.
#[must_use]
pub fn shell_line(command: &[String]) -> String {
    match command {
        [shell, option, line] if [shell, option] == SHELL => line.clone(),
        words => join(words),
    }
}

/// What the work folder starts from.
fn workspace(params: &Params) -> Result<Option<Workspace>, Refusal> {
    match (repository::workspace(params)?, params.get("continues")) {
        (Some(_), Some(_)) => {
            Err(bad("a task starts from a repository or from the work of another, not from both"))
        }
        (Some(git), None) => Ok(Some(git)),
        (None, id) => Ok(id.map(|id| Workspace::Continue(id.to_owned()))),
    }
}

fn bad(detail: impl Into<String>) -> Refusal {
    Refusal::new(Code::InvalidRequest, detail)
}

/// The task that a form describes, without its files.
///
/// # Errors
/// Names the field that is not valid.
pub fn task(params: &Params, now: Wall) -> Result<SubmitTask, Refusal> {
    let text = |name: &str| params.get(name).map(str::to_owned);
    let mut task = SubmitTask {
        runner: text("runner").filter(|runner| runner != "auto"),
        task_type: text("type").filter(|kind| kind != GENERIC),
        name: text("name"),
        group: text("group"),
        priority: params.parsed("priority")?,
        timeout_seconds: seconds(params, "timeout")?,
        queue_timeout_seconds: seconds(params, "queue_timeout")?,
        requires: params.list("requires"),
        labels: labels(params)?,
        depends_on: depends_on(params)?,
        on_dependency_failure: (params.text("on_dependency_failure") == "run")
            .then_some(OnDependencyFailure::Run),
        run_at: run_at(params, now)?,
        workspace: workspace(params)?,
        verify: text("verify").map(|line| SHELL.map(str::to_owned).into_iter().chain([line]).collect()),
        env: env(params)?,
        webhook: text("webhook").map(|url| Webhook { url, secret: None }),
        ..SubmitTask::default()
    };
    match params.text("kind") {
        "command" => task.command = Some(split(params.text("prompt")).map_err(bad)?),
        _ => task.prompt = text("prompt"),
    }
    if let Some(most) = params.parsed("max_attempts")? {
        task.retry = Some(Retry { max_attempts: Some(most), ..Default::default() });
    }
    Ok(task)
}

/// A duration in whole seconds; a part of one counts as one.
fn seconds(params: &Params, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let duration = durations::parse(text).map_err(|error| bad(format!("{name}: {error}")))?;
    Ok(Some(duration.as_secs() + u64::from(duration.subsec_nanos() > 0)))
}

/// An instant, or a duration from now.
fn run_at(params: &Params, now: Wall) -> Result<Option<String>, Refusal> {
    let Some(text) = params.get("run_at") else { return Ok(None) };
    match durations::parse(text) {
        Ok(duration) => {
            let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
            Ok(Some(rfc3339(Wall(now.0.saturating_add(ms)))))
        }
        Err(_) => Ok(Some(text.to_owned())),
    }
}

fn labels(params: &Params) -> Result<BTreeMap<String, String>, Refusal> {
    let pair = |word: String| match word.split_once([':', '=']) {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(bad(format!("the label {word:?} is not key:value"))),
    };
    params.list("labels").into_iter().map(pair).collect()
}

/// One variable a line.
fn env(params: &Params) -> Result<BTreeMap<String, String>, Refusal> {
    let pair = |line: &str| match line.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.to_owned())),
        None => Err(bad(format!("the variable {line:?} is not NAME=value"))),
    };
    params.text("env").lines().filter(|line| !line.trim().is_empty()).map(pair).collect()
}

fn depends_on(params: &Params) -> Result<Vec<Dependency>, Refusal> {
    let id = |word: String| {
        word.parse().map(Dependency::Id).map_err(|_| bad(format!("{word:?} is not the id of a task")))
    };
    params.list("depends_on").into_iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(form: &str) -> Result<SubmitTask, Refusal> {
        task(&Params::parse(form.as_bytes()), Wall(1_700_000_000_000))
    }

    #[test]
    fn a_form_becomes_a_task() {
        let task = made("kind=prompt&prompt=Fix+it&runner=mock&type=refactor&priority=7&timeout=1m30s&max_attempts=3&labels=team:web,+kind=x&requires=gpu").unwrap();
        assert_eq!(task.prompt.as_deref(), Some("Fix it"));
        assert_eq!((task.priority, task.timeout_seconds), (Some(7), Some(90)));
        assert_eq!(task.labels["kind"], "x");
        assert_eq!(task.requires, ["gpu"]);
    }

    #[test]
    fn the_folded_fields_are_part_of_the_task() {
        let task = made("prompt=x&on_dependency_failure=run&queue_timeout=500ms&run_at=1h&env=A%3D1%3D2%0A%0AB%3D&webhook=https://a.example/").unwrap();
        assert_eq!(task.on_dependency_failure, Some(OnDependencyFailure::Run));
        assert_eq!(task.queue_timeout_seconds, Some(1), "a part of a second counts as one");
        assert_eq!(task.run_at.as_deref(), Some("2023-11-14T23:13:20.000Z"));
        assert_eq!((task.env["A"].as_str(), task.env["B"].as_str()), ("1=2", ""));
        assert_eq!(task.webhook.unwrap().url, "https://a.example/");
        let task = made("prompt=x&run_at=2026-01-31T08:00:00Z").unwrap();
        assert_eq!(task.run_at.as_deref(), Some("2026-01-31T08:00:00Z"));
    }

    #[test]
    fn a_task_starts_from_one_place_and_is_verified_by_a_shell() {
        let task = made("prompt=x&git_url=https://git.example/a.git&verify=cargo+test+%26%26+ls").unwrap();
        assert!(matches!(task.workspace, Some(Workspace::Git(_))));
        let verify = task.verify.unwrap();
        assert_eq!(verify, ["sh", "-c", "cargo test && ls"]);
        assert_eq!(shell_line(&verify), "cargo test && ls");
        assert_eq!(shell_line(&["cargo".to_owned(), "a b".to_owned()]), "cargo 'a b'");
        let Refusal(problem) = made("prompt=x&git_url=https://git.example/a.git&continues=x").unwrap_err();
        assert!(problem.detail.contains("not from both"), "{}", problem.detail);
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
            ("timeout=90", "no unit"),
            ("labels=x", "label"),
            ("depends_on=x", "id"),
            ("priority=x", "priority"),
            ("env=x", "variable"),
        ] {
            let Refusal(problem) = made(form).unwrap_err();
            assert!(problem.detail.contains(word), "{form}: {}", problem.detail);
        }
    }
}
