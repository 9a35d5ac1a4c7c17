//! The checks of a submitted task that need nothing but the task itself.

use conductor_core::Name;

use super::{SubmitTask, Workspace};
use crate::problem::{FieldError, Problem};
use crate::{json, limits};

mod files;

pub use files::check_path;

/// Environment names that a task may not set: they redirect or load code.
const REFUSED_ENV: [&str; 5] = ["PATH", "HOME", "NODE_OPTIONS", "BASH_ENV", "ENV"];
const REFUSED_ENV_PREFIXES: [&str; 6] = ["LD_", "GIT_", "CLAUDE_", "CODEX_", "GEMINI_", "CONDUCTOR_"];
const REFUSED_ENV_SUFFIXES: [&str; 3] = ["_BASE_URL", "_API_KEY", "_PROXY"];

/// Collects faults with their pointers.
struct Faults {
    at: String,
    found: Vec<FieldError>,
}

impl Faults {
    fn add(&mut self, field: &str, detail: impl Into<String>) {
        self.found.push(FieldError { pointer: format!("{}/{field}", self.at), detail: detail.into() });
    }

    fn within(&mut self, field: &str, value: Option<u64>, low: u64, high: u64) {
        if let Some(value) = value
            && !(low..=high).contains(&value)
        {
            self.add(field, format!("must be from {low} to {high}, is {value}"));
        }
    }

    fn name(&mut self, field: &str, text: Option<&str>) {
        if let Some(Err(error)) = text.map(Name::new) {
            self.add(field, error.to_string());
        }
    }

    fn at_most(&mut self, field: &str, count: usize, most: usize, what: &str) {
        if count > most {
            self.add(field, format!("at most {most} {what}, are {count}"));
        }
    }
}

/// Checks everything about a task that can be told without knowing any other. Pointers begin with `at`.
///
/// # Errors
/// Lists every fault.
pub fn check(task: &SubmitTask, at: &str) -> Result<(), Problem> {
    let mut faults = Faults { at: at.to_owned(), found: Vec::new() };
    check_work(task, &mut faults);
    check_names(task, &mut faults);
    check_numbers(task, &mut faults);
    check_wishes(task, &mut faults);
    files::check_files(&task.files, &mut faults);
    check_env(task, &mut faults);
    check_secrets(task, &mut faults);
    check_workspace(task, &mut faults);
    if let Some(webhook) = &task.webhook {
        check_webhook(&webhook.url, &mut faults);
    }
    if faults.found.is_empty() { Ok(()) } else { Err(Problem::invalid(faults.found)) }
}

fn check_work(task: &SubmitTask, faults: &mut Faults) {
    match (&task.prompt, &task.command) {
        (Some(_), Some(_)) => faults.add("command", "give a prompt or a command, not both"),
        (None, None) if task.subtasks.is_empty() => {
            faults.add("prompt", "a task needs a prompt, a command or subtasks");
        }
        (Some(prompt), None) if prompt.trim().is_empty() => faults.add("prompt", "the prompt is empty"),
        (Some(prompt), None) if prompt.len() > limits::MAX_PROMPT_BYTES => faults.add(
            "prompt",
            format!(
                "at most {} bytes, are {}; give long text as a file",
                limits::MAX_PROMPT_BYTES,
                prompt.len()
            ),
        ),
        (None, Some(command)) if command.first().is_none_or(String::is_empty) => {
            faults.add("command", "the command is empty");
        }
        (None, Some(command)) => {
            faults.at_most("command", command.len(), limits::MAX_COMMAND_WORDS, "words");
            if command.iter().any(|word| word.contains('\0')) {
                faults.add("command", "a word holds a zero byte");
            }
        }
        (Some(_), None) | (None, None) => {}
    }
    match (task.runner.as_deref(), &task.prompt, &task.command) {
        (Some("command"), Some(_), None) => {
            faults.add("runner", "the command runner takes a command, not a prompt")
        }
        (Some(runner), None, Some(_)) if runner != "command" && runner != "auto" => {
            faults.add("runner", format!("the runner {runner} takes a prompt, not a command"));
        }
        _ => {}
    }
}

/// What only a coding agent can heed is refused where another runner is named.
fn check_wishes(task: &SubmitTask, faults: &mut Faults) {
    faults.within("max_turns", task.max_turns.map(u64::from), 1, u64::from(limits::MAX_TURNS));
    if task.model.as_deref().is_some_and(|model| !is_model(model)) {
        faults.add("model", "not the name of a model");
    }
    let is_amount = |usd: f64| usd > 0.0 && usd <= limits::MAX_BUDGET_USD;
    if task.budget_usd.is_some_and(|usd| !is_amount(usd)) {
        let most = limits::MAX_BUDGET_USD;
        faults.add("budget_usd", format!("more than 0 US dollars and at most {most}"));
    }
    faults.within("budget_tokens", task.budget_tokens, 1, limits::MAX_BUDGET_TOKENS);
    let inside = match (task.runner.as_deref(), &task.command) {
        (Some(runner @ ("command" | "mock" | "replay")), _) => Some(runner),
        (_, Some(_)) => Some("command"),
        (Some(_) | None, None) => None,
    };
    let given = [
        ("max_turns", task.max_turns.is_some()),
        ("model", task.model.is_some()),
        ("permission", task.permission.is_some()),
    ];
    for (field, given) in given {
        if let Some(runner) = inside.filter(|_| given) {
            faults.add(field, format!("the runner {runner} asks no model"));
        }
    }
}

/// Whether a text can be the name of a model, which becomes an argument.
#[must_use]
pub fn is_model(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:/@+[]".contains(c);
    let length = 1..=limits::MAX_MODEL_BYTES;
    length.contains(&text.len()) && !text.starts_with('-') && text.chars().all(fits)
}

fn check_names(task: &SubmitTask, faults: &mut Faults) {
    faults.name("runner", task.runner.as_deref());
    faults.name("type", task.task_type.as_deref());
    faults.name("group", task.group.as_deref());
    faults.name("ref", task.reference.as_deref());
    if let Some(name) = &task.name {
        if name.chars().count() > limits::MAX_TITLE_CHARS {
            faults.add("name", format!("at most {} characters", limits::MAX_TITLE_CHARS));
        } else if name.chars().any(char::is_control) {
            faults.add("name", "may not hold control characters");
        }
    }
    faults.at_most("requires", task.requires.len(), limits::MAX_REQUIRES, "labels");
    for (index, label) in task.requires.iter().enumerate() {
        faults.name(&format!("requires/{index}"), Some(label));
    }
    faults.at_most("labels", task.labels.len(), limits::MAX_LABELS, "labels");
    for (key, value) in &task.labels {
        let field = format!("labels/{}", json::escaped(key));
        faults.name(&field, Some(key));
        faults.name(&field, Some(value));
        if key.contains(':') {
            faults.add(&field, "a key holds no colon: lists are filtered by key:value");
        }
    }
}

fn check_numbers(task: &SubmitTask, faults: &mut Faults) {
    let longest = limits::MAX_DURATION_SECONDS;
    faults.within("priority", task.priority.map(u64::from), 0, 10);
    faults.within("timeout_seconds", task.timeout_seconds, 1, longest);
    faults.within("queue_timeout_seconds", task.queue_timeout_seconds, 1, longest);
    if let Some(retry) = &task.retry {
        faults.within(
            "retry/max_attempts",
            retry.max_attempts.map(u64::from),
            1,
            u64::from(limits::MAX_ATTEMPTS),
        );
        faults.within("retry/backoff_seconds", retry.backoff_seconds, 0, 3600);
    }
    if let Some(Err(detail)) = task.run_at.as_deref().map(crate::text::parse_rfc3339) {
        faults.add("run_at", detail);
    }
    faults.at_most("depends_on", task.depends_on.len(), limits::MAX_DEPENDENCIES, "dependencies");
    faults.at_most("subtasks", task.subtasks.len(), limits::MAX_SUBTASKS, "subtasks");
}

fn check_workspace(task: &SubmitTask, faults: &mut Faults) {
    let is_task = |id: &str| id.parse::<conductor_core::TaskId>().is_ok();
    match &task.workspace {
        Some(Workspace::Continue(id)) if !is_task(id) => faults.add("workspace/continue", "not a task id"),
        Some(Workspace::Push(id)) if !is_task(id) => faults.add("workspace/push", "not a task id"),
        Some(Workspace::Git(git)) => {
            for (field, detail) in git.faults() {
                faults.add(&format!("workspace/git/{field}"), detail);
            }
        }
        Some(Workspace::Copy(_) | Workspace::Continue(_) | Workspace::Push(_)) | None => {}
    }
    if let Some(verify) = &task.verify {
        faults.at_most("verify", verify.len(), limits::MAX_COMMAND_WORDS, "words");
        if verify.first().is_none_or(String::is_empty) || verify.iter().any(|word| word.contains('\0')) {
            faults.add("verify", "a command and its words, without zero bytes");
        }
        if task.prompt.is_none() && task.command.is_none() {
            faults.add("verify", "a task that only stands for its subtasks runs nothing to verify");
        }
    }
    if let Some(Workspace::Copy(path)) = &task.workspace
        && let Err(detail) = check_copied(path)
    {
        faults.add("workspace/copy", detail);
    }
}

/// Checks the form of a folder's path; whether it may be copied is for the agent to say.
fn check_copied(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("not an absolute path; it names a folder of the agent's host");
    }
    if path.len() > limits::MAX_PATH_BYTES || path.contains('\0') {
        return Err("too long, or a NUL byte is in it");
    }
    if path.split('/').any(|name| matches!(name, "." | "..")) {
        return Err("`.` and `..` may not be in it");
    }
    Ok(())
}

fn check_webhook(url: &str, faults: &mut Faults) {
    if url.len() > limits::MAX_URL_BYTES {
        return faults.add("webhook/url", format!("at most {} bytes", limits::MAX_URL_BYTES));
    }
    match url::Url::parse(url) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            faults.add("webhook/url", "the URL must begin with http:// or https://");
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            faults.add("webhook/url", "the URL may not hold a user or a password");
        }
        Ok(_) => {}
        Err(error) => faults.add("webhook/url", format!("not a URL: {error}")),
    }
}

fn check_env(task: &SubmitTask, faults: &mut Faults) {
    faults.at_most("env", task.env.len(), limits::MAX_ENV, "variables");
    for (key, value) in &task.env {
        let upper = key.to_ascii_uppercase();
        let field = format!("env/{}", json::escaped(key));
        if key.is_empty() || key.contains(['=', '\0']) || value.contains('\0') {
            faults.add(&field, "not a name and value of an environment variable");
        } else if REFUSED_ENV.contains(&upper.as_str())
            || REFUSED_ENV_PREFIXES.iter().any(|prefix| upper.starts_with(prefix))
            || REFUSED_ENV_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix))
        {
            faults.add(&field, "a task may not set this variable: it redirects or loads code");
        }
    }
}

/// Secrets become variables of their names. What their owner allows may be a key of a service, but nothing that redirects.
fn check_secrets(task: &SubmitTask, faults: &mut Faults) {
    faults.at_most("secrets", task.secrets.len(), limits::MAX_SECRETS, "secrets");
    if task.command.is_none() && task.prompt.is_none() && !task.secrets.is_empty() {
        faults.add("secrets", "a task that stands for its subtasks runs nothing; give secrets to them");
    }
    for (index, name) in task.secrets.iter().enumerate() {
        let field = format!("secrets/{index}");
        let upper = name.to_ascii_uppercase();
        let is_key = upper.ends_with("_API_KEY");
        let is_name = name.len() <= limits::MAX_SECRET_NAME_BYTES
            && name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        if !is_name {
            faults.add(&field, "not the name of a secret: a letter, then letters, digits, _ and -");
        } else if REFUSED_ENV.contains(&upper.as_str())
            || REFUSED_ENV_PREFIXES.iter().any(|prefix| upper.starts_with(prefix)) && !is_key
            || REFUSED_ENV_SUFFIXES.iter().any(|suffix| upper.ends_with(suffix)) && !is_key
        {
            faults.add(&field, "no secret can have this name: as a variable it redirects or loads code");
        } else if task.secrets[..index].contains(name) {
            faults.add(&field, "named twice");
        } else if task.env.contains_key(name) {
            faults.add(&field, "env sets a variable of this name as well");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Code;

    fn faults(json: &str) -> Vec<(String, String)> {
        let problem = match SubmitTask::parse(json, "") {
            Err(problem) => problem,
            Ok(task) => match check(&task, "") {
                Err(problem) => problem,
                Ok(()) => return Vec::new(),
            },
        };
        assert_eq!(problem.code, Code::InvalidRequest);
        problem.errors.into_iter().map(|error| (error.pointer, error.detail)).collect()
    }

    fn pointers(json: &str) -> Vec<String> {
        faults(json).into_iter().map(|(pointer, _)| pointer).collect()
    }

    #[test]
    fn every_fault_is_named_at_its_place() {
        assert_eq!(pointers(r#"{"prompt":"  "}"#), ["/prompt"]);
        assert_eq!(pointers("{}"), ["/prompt"]);
        assert_eq!(pointers(r#"{"prompt":"x","command":["y"]}"#), ["/command"]);
        assert_eq!(
            pointers(r#"{"prompt":"x","priority":11,"timeout_seconds":0}"#),
            ["/priority", "/timeout_seconds"]
        );
        assert_eq!(
            pointers(
                r#"{"prompt":"x","files":[{"path":"../a","content":""},{"path":"/b","content":"","base64":""}]}"#
            ),
            ["/files/0/path", "/files/1/path", "/files/1"]
        );
        assert_eq!(pointers(r#"{"prompt":"x","env":{"LD_PRELOAD":"x"}}"#), ["/env/LD_PRELOAD"]);
        assert_eq!(
            pointers(
                r#"{"prompt":"x","env":{"A":"1"},"secrets":["NPM_TOKEN","x y","NPM_TOKEN","A","LD_PRELOAD","http_proxy","SENTRY_API_KEY"]}"#
            ),
            ["/secrets/1", "/secrets/2", "/secrets/3", "/secrets/4", "/secrets/5"]
        );
        assert_eq!(pointers(r#"{"prompt":"x","labels":{"a:b":"c","d":"e:f"}}"#), ["/labels/a:b"]);
        assert_eq!(pointers(r#"{"prompt":"x","run_at":"soon"}"#), ["/run_at"]);
        assert_eq!(pointers(r#"{"command":["x"],"runner":"mock"}"#), ["/runner"]);
        for url in ["", "hooks.example", "ftp://example.com/", "http://", "https://me:secret@example.com/"] {
            let task = format!(r#"{{"prompt":"x","webhook":{{"url":"{url}"}}}}"#);
            assert_eq!(pointers(&task), ["/webhook/url"], "{url}");
        }
        assert!(pointers(r#"{"prompt":"x","webhook":{"url":"https://example.com/a?b"}}"#).is_empty());
    }

    #[test]
    fn an_unknown_field_is_named_by_its_pointer() {
        assert_eq!(pointers(r#"{"prompt":"x","promt":"y"}"#), ["/promt"]);
        assert_eq!(pointers(r#"{"prompt":"x","retry":{"tries":3}}"#), ["/retry/tries"]);
        assert_eq!(pointers(r#"{"prompt":"x","priority":"high"}"#), ["/priority"]);
        assert_eq!(pointers(r#"{"prompt":"x","depends_on":["nope"]}"#), ["/depends_on/0"]);
    }

    #[test]
    fn a_git_workspace_is_checked_before_anybody_asks_git() {
        let git = |fields: &str| pointers(&format!(r#"{{"prompt":"x","workspace":{{"git":{{{fields}}}}}}}"#));
        assert!(git(r#""url":"https://git.example/a.git","ref":"main","depth":1"#).is_empty());
        assert_eq!(git(r#""url":"http://git.example/a.git""#), ["/workspace/git/url"]);
        assert_eq!(git(r#""url":"https://me:pw@git.example/a.git""#), ["/workspace/git/url"]);
        assert_eq!(
            git(r#""url":"https://git.example/a.git","ref":"--upload-pack=x""#),
            ["/workspace/git/ref"]
        );
        assert_eq!(git(r#""url":"https://git.example/a.git","dept":1"#), ["/workspace/git/dept"]);
        assert_eq!(pointers(r#"{"prompt":"x","verify":[]}"#), ["/verify"]);
        assert_eq!(pointers(r#"{"prompt":"x","workspace":{"push":"x"}}"#), ["/workspace/push"]);
    }
}
