//! What stands in the form for a task, and the task that it describes.
//!
//! A field is in five places: here as a text, in [`Form::of_params`] and [`Form::of_task`], in [`task`], in `new.html`, and as a
//! row of `FIELDS` in `new.js`, which tells the same task for the command line and for curl.

use std::collections::BTreeMap;
use std::time::Duration;

use conductor_core::Wall;
use conductor_protocol::Code;
use conductor_protocol::submit::{
    Dependency, OnDependencyFailure, Permission, Retry, SubmitTask, Webhook, Workspace,
};
use conductor_protocol::task::TaskView;
use conductor_protocol::text::rfc3339;
use conductor_runtime::durations;
use conductor_web::Refusal;
use serde_json::value::{RawValue, to_raw_value};

use super::repository::{self, Repository};
use super::words_of_command::{join, split};
use crate::params::Params;
use crate::words::Words;

/// The type of a task that names none.
pub const GENERIC: &str = "generic";
/// What reads a command that is written as one line.
const SHELL: [&str; 2] = ["sh", "-c"];
/// Where the slider for the priority stands until it is moved.
const MIDDLE_PRIORITY: &str = "5";

/// What stands in the form.
#[derive(Debug, Clone, Default)]
pub struct Form {
    pub is_command: bool,
    pub prompt: String,
    pub runner: String,
    pub task_type: String,
    pub model: String,
    /// Empty where the runner and the type say it.
    pub permission: String,
    pub max_turns: String,
    pub budget_usd: String,
    pub budget_tokens: String,
    /// Empty until somebody chooses one.
    pub priority: String,
    pub timeout: String,
    pub name: String,
    pub group: String,
    pub max_attempts: String,
    pub backoff: String,
    pub labels: String,
    pub requires: String,
    pub depends_on: String,
    pub runs_anyway: bool,
    pub run_at: String,
    pub queue_timeout: String,
    pub continues: String,
    pub copy: String,
    pub repository: Repository,
    pub verify: String,
    pub env: String,
    pub secrets: String,
    pub webhook: String,
    pub webhook_secret: String,
    pub may_submit: bool,
    pub subtasks: String,
    pub note: Option<String>,
}

impl Form {
    /// Whether any of the fields that are folded away is used.
    pub fn has_more(&self) -> bool {
        let when = [&self.depends_on, &self.run_at, &self.queue_timeout, &self.backoff];
        let what = [&self.continues, &self.copy, &self.env, &self.secrets, &self.subtasks, &self.webhook];
        self.runs_anyway || self.may_submit || when.into_iter().chain(what).any(|text| !text.is_empty())
    }

    /// Where the slider for the priority stands.
    pub fn priority_shown(&self) -> &str {
        if self.priority.is_empty() { MIDDLE_PRIORITY } else { &self.priority }
    }

    /// What was typed.
    pub fn of_params(params: &Params) -> Self {
        let text = |name: &str| params.text(name).to_owned();
        Self {
            is_command: params.text("kind") == "command",
            prompt: text("prompt"),
            runner: text("runner"),
            task_type: text("type"),
            model: text("model"),
            permission: text("permission"),
            max_turns: text("max_turns"),
            budget_usd: text("budget_usd"),
            budget_tokens: text("budget_tokens"),
            priority: text("priority"),
            timeout: text("timeout"),
            name: text("name"),
            group: text("group"),
            max_attempts: text("max_attempts"),
            backoff: text("backoff"),
            labels: text("labels"),
            requires: text("requires"),
            depends_on: text("depends_on"),
            runs_anyway: params.text("on_dependency_failure") == "run",
            run_at: text("run_at"),
            queue_timeout: text("queue_timeout"),
            continues: text("continues"),
            copy: text("copy"),
            repository: Repository::of_params(params),
            verify: text("verify"),
            env: text("env"),
            secrets: text("secrets"),
            webhook: text("webhook"),
            webhook_secret: text("webhook_secret"),
            may_submit: params.has("may_submit"),
            subtasks: text("subtasks"),
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
            model: task.model.clone().unwrap_or_default(),
            permission: task.permission.map(|it| it.as_str().to_owned()).unwrap_or_default(),
            max_turns: task.max_turns.map(|most| most.to_string()).unwrap_or_default(),
            budget_usd: task.budget_usd.map(|usd| usd.to_string()).unwrap_or_default(),
            budget_tokens: task.budget_tokens.map(|tokens| tokens.to_string()).unwrap_or_default(),
            priority: task.priority.to_string(),
            timeout: durations::format(Duration::from_secs(task.timeout_seconds)),
            name: task.name.clone().unwrap_or_default(),
            group: task.group.clone(),
            max_attempts: task.retry.max_attempts.map(|most| most.to_string()).unwrap_or_default(),
            backoff: backoff(&task.retry),
            labels: labels.join(", "),
            requires: task.requires.join(", "),
            continues: task.continues.map(|id| id.to_string()).unwrap_or_default(),
            copy: copied(task.workspace.as_ref()),
            may_submit: task.may_submit,
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

/// The pause after a failed attempt, where there is another.
fn backoff(retry: &Retry) -> String {
    let is_used = retry.max_attempts.is_some_and(|most| most > 1);
    let seconds = retry.backoff_seconds.filter(|_| is_used);
    seconds.map(|seconds| durations::format(Duration::from_secs(seconds))).unwrap_or_default()
}

/// The folder that a task started from a copy of.
fn copied(workspace: Option<&Workspace>) -> String {
    match workspace {
        Some(Workspace::Copy(path)) => path.clone(),
        Some(Workspace::Git(_) | Workspace::Continue(_) | Workspace::Push(_)) | None => String::new(),
    }
}

/// What the work folder starts from.
fn workspace(params: &Params) -> Result<Option<Workspace>, Refusal> {
    let git = repository::workspace(params)?;
    let continued = params.get("continues").map(|id| Workspace::Continue(id.to_owned()));
    let copied = params.get("copy").map(|path| Workspace::Copy(path.to_owned()));
    let mut all = [git, continued, copied].into_iter().flatten();
    match (all.next(), all.next()) {
        (_, Some(_)) => {
            Err(bad("a task starts from a repository, a folder or the work of another, not from several"))
        }
        (first, None) => Ok(first),
    }
}

/// One subtask a line, each with the runner of the task.
fn subtasks(params: &Params, runner: Option<&str>) -> Vec<Box<RawValue>> {
    let subtask = |prompt: &str| SubmitTask {
        prompt: Some(prompt.to_owned()),
        runner: runner.map(str::to_owned),
        ..SubmitTask::default()
    };
    let lines = params.text("subtasks").lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(|line| to_raw_value(&subtask(line)).expect("a task is texts")).collect()
}

/// How often it is tried.
fn retry(params: &Params) -> Result<Option<Retry>, Refusal> {
    let (max_attempts, backoff_seconds) = (params.parsed("max_attempts")?, seconds(params, "backoff")?);
    let is_given = max_attempts.is_some() || backoff_seconds.is_some();
    Ok(is_given.then_some(Retry { max_attempts, backoff_seconds }))
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
        model: text("model"),
        permission: permission(params)?,
        max_turns: params.parsed("max_turns")?,
        budget_usd: params.parsed("budget_usd")?,
        budget_tokens: params.parsed("budget_tokens")?,
        priority: params.parsed("priority")?,
        retry: retry(params)?,
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
        secrets: params.list("secrets"),
        webhook: text("webhook").map(|url| Webhook { url, secret: text("webhook_secret") }),
        may_submit: params.has("may_submit"),
        ..SubmitTask::default()
    };
    match params.text("kind") {
        "command" if params.get("prompt").is_some() => {
            task.command = Some(split(params.text("prompt")).map_err(bad)?);
        }
        "command" => {}
        _ => task.prompt = text("prompt"),
    }
    task.subtasks = subtasks(params, task.runner.as_deref());
    Ok(task)
}

/// What it may do without a person.
fn permission(params: &Params) -> Result<Option<Permission>, Refusal> {
    let parse = |word: &str| Permission::parse(word).ok_or_else(|| bad("permission is not valid"));
    params.get("permission").map(parse).transpose()
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
    fn what_only_some_tasks_need_is_part_of_the_task_and_what_is_blank_is_not() {
        let task = made("prompt=x&runner=claude&model=opus&max_turns=9&max_attempts=3&backoff=1m&secrets=A,+B&may_submit=true&webhook=https://a.example/&webhook_secret=HOOK&subtasks=one%0A%0A+two&copy=/srv/app").unwrap();
        assert_eq!((task.model.as_deref(), task.max_turns, task.may_submit), (Some("opus"), Some(9), true));
        let retry = task.retry.unwrap();
        assert_eq!((retry.max_attempts, retry.backoff_seconds), (Some(3), Some(60)));
        assert_eq!(
            (task.secrets, task.webhook.unwrap().secret),
            (vec!["A".into(), "B".into()], Some("HOOK".into()))
        );
        assert!(matches!(task.workspace, Some(Workspace::Copy(path)) if path == "/srv/app"));
        let below: Vec<_> = task.subtasks.iter().map(|task| task.get()).collect();
        assert_eq!(below, [r#"{"prompt":"one","runner":"claude"}"#, r#"{"prompt":"two","runner":"claude"}"#]);
        let bare = made("prompt=x&priority=&model=&max_turns=&backoff=&secrets=&subtasks=&copy=").unwrap();
        assert_eq!(serde_json::to_string(&bare).unwrap(), r#"{"prompt":"x"}"#);
        let parent = made("kind=command&prompt=&subtasks=one").unwrap();
        assert_eq!((parent.command, parent.prompt, parent.subtasks.len()), (None, None, 1));
    }

    #[test]
    fn every_field_of_a_task_has_its_place_in_the_form() {
        let form = "prompt=x&runner=claude&type=refactor&name=n&group=g&labels=a:b&requires=gpu&priority=7&timeout=1m\
            &queue_timeout=1m&max_attempts=2&depends_on=01920000-0000-7000-8000-000000000001&on_dependency_failure=run\
            &run_at=1h&env=A%3D1&secrets=S&budget_usd=1&budget_tokens=2&max_turns=3&model=opus&permission=ask\
            &may_submit=true&verify=ls&subtasks=y&webhook=https://a.example/&git_url=https://git.example/a.git";
        let command = made("kind=command&prompt=ls").unwrap().command;
        let SubmitTask {
            prompt,
            command: _,
            runner,
            task_type,
            name,
            group,
            files,
            workspace,
            priority,
            timeout_seconds,
            queue_timeout_seconds,
            retry,
            requires,
            labels,
            reference,
            depends_on,
            on_dependency_failure,
            run_at,
            env,
            secrets,
            budget_usd,
            budget_tokens,
            max_turns,
            model,
            permission,
            may_submit,
            verify,
            subtasks,
            webhook,
            preset,
        } = made(form).unwrap();
        let texts = [prompt, runner, task_type, name, group, run_at, model];
        assert!(texts.iter().all(Option::is_some), "{texts:?}");
        assert!(command.is_some() && workspace.is_some() && retry.is_some() && verify.is_some());
        assert_eq!((priority, timeout_seconds, queue_timeout_seconds), (Some(7), Some(60), Some(60)));
        assert_eq!((budget_usd, budget_tokens, max_turns), (Some(1.0), Some(2), Some(3)));
        assert_eq!((permission, may_submit), (Some(Permission::Ask), true));
        assert_eq!(on_dependency_failure, Some(OnDependencyFailure::Run));
        assert!(webhook.is_some() && !env.is_empty() && !labels.is_empty());
        let lists = [requires.len(), depends_on.len(), secrets.len(), subtasks.len()];
        assert_eq!(lists, [1; 4]);
        // A name for other tasks of the same submit means nothing where the form submits one; what a type adds is nobody's
        // to say; and files come as parts of their own.
        assert!(reference.is_none() && preset.is_none() && files.is_empty());
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
        assert!(problem.detail.contains("not from several"), "{}", problem.detail);
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
            ("permission=all", "permission"),
        ] {
            let Refusal(problem) = made(form).unwrap_err();
            assert!(problem.detail.contains(word), "{form}: {}", problem.detail);
        }
    }
}
