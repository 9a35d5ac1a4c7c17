//! A task from its options.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use conductor_protocol::limits::MAX_PROMPT_BYTES;
use conductor_protocol::submit::{
    self, Dependency, GitWorkspace, PullRequest, Push, Retry, SubmitTask, Webhook, Workspace,
};
use serde_json::value::{RawValue, to_raw_value};

use super::ahead::Ahead;
use super::files::Gathered;
use super::{files, folder, repository};
use crate::args::{TaskOptions, Work};
use crate::exit::Failure;

/// Makes the task and reads the files that it names; those that are large go ahead of it.
pub fn task(
    work: &Work,
    options: &TaskOptions,
    notes: &mut Vec<String>,
) -> Result<(SubmitTask, Vec<Ahead>), Failure> {
    let dir = if options.here { Some(Path::new(".")) } else { options.dir.as_deref() };
    let mut task = SubmitTask {
        prompt: prompt(work)?,
        command: (!work.command.is_empty()).then(|| work.command.clone()),
        runner: options.runner.clone(),
        task_type: options.task_type.clone(),
        name: options.name.clone(),
        group: options.group.clone(),
        workspace: workspace(options, dir)?,
        priority: options.priority,
        model: options.model.clone(),
        max_turns: options.max_turns,
        permission: options.permission,
        budget_usd: options.budget,
        budget_tokens: options.budget_tokens,
        timeout_seconds: options.timeout.map(seconds),
        queue_timeout_seconds: options.queue_timeout.map(seconds),
        retry: options.retries.map(|retries| Retry {
            max_attempts: Some(retries + 1),
            backoff_seconds: options.backoff.map(seconds),
        }),
        requires: options.requires.clone(),
        labels: map(&options.label, "--label")?,
        depends_on: options.after.iter().copied().map(Dependency::Id).collect(),
        on_dependency_failure: options.on_dependency_failure,
        run_at: options.at.clone(),
        env: map(&options.env, "--env")?,
        secrets: options.secret.clone(),
        may_submit: options.may_submit,
        verify: options.verify.as_ref().map(|line| ["sh", "-c", line].map(str::to_owned).to_vec()),
        webhook: options.webhook.clone().map(|url| Webhook { url, secret: options.webhook_secret.clone() }),
        ..SubmitTask::default()
    };
    // What needs no file is checked before any is read.
    check(&task)?;
    if options.no_history && dir.is_none() {
        return Err(Failure::Usage("--no-history goes with --dir or --here".to_owned()));
    }
    let mut open = BTreeMap::new();
    for path in &options.file {
        let (name, file) = files::open(path)?;
        open.insert(name, (path.clone(), file));
    }
    let mut gathered = Gathered::default();
    // A file that is named by itself takes the place of the folder's own.
    let sends_history = !options.no_history && options.continues.is_none();
    match dir {
        Some(dir) if sends_history && repository::read(dir, &open, notes, &mut gathered)? => open.clear(),
        Some(dir) if is_pushed(options) => {
            let why = "its history is not sent, so that there is nothing to push";
            return Err(Failure::Usage(format!("--dir {}: {why}", dir.display())));
        }
        Some(dir) => {
            let names: BTreeSet<String> = open.keys().cloned().collect();
            folder::read(dir, &names, notes, &mut gathered)?;
        }
        None => {}
    }
    for (name, (path, file)) in open {
        let unread = |error| Failure::Usage(format!("--file {}: {error}", path.display()));
        gathered.add(name, file).map_err(unread)?;
    }
    task.files = gathered.files;
    Ok((task, gathered.ahead))
}

/// Checks a whole task and writes it as JSON.
pub fn checked(task: &SubmitTask) -> Result<Box<RawValue>, Failure> {
    check(task)?;
    to_raw_value(task).map_err(|error| Failure::Failed(error.to_string()))
}

fn check(task: &SubmitTask) -> Result<(), Failure> {
    submit::check(task, "")
        .map_err(|problem| Failure::Usage(problem.detail.trim_start_matches('/').to_owned()))
}

/// Whether the options ask that the changes are pushed.
fn is_pushed(options: &TaskOptions) -> bool {
    options.push || options.pr || options.branch.is_some()
}

/// What the work folder starts from, but for files that are sent; or where the changes go, where a folder is sent.
fn workspace(options: &TaskOptions, dir: Option<&Path>) -> Result<Option<Workspace>, Failure> {
    let address = match (&options.git, dir) {
        (Some(address), Some(_))
            if !is_pushed(options) || address.contains('#') || options.git_depth.is_some() =>
        {
            let why = "--git beside --dir or --here is where the changes go: give --push or --pr, and no ref and no --git-depth";
            return Err(Failure::Usage(why.to_owned()));
        }
        (Some(address), _) => Some(address.clone()),
        (None, Some(_)) if is_pushed(options) && options.continues.is_some() => {
            let why =
                "--continue goes on from another task's work, and what is pushed of it goes where that went";
            return Err(Failure::Usage(why.to_owned()));
        }
        (None, Some(dir)) if is_pushed(options) => Some(repository::origin(dir)?),
        (None, Some(_) | None) => None,
    };
    if let Some(address) = &address {
        let (url, reference) = match address.split_once('#') {
            Some((url, reference)) => (url, Some(reference.to_owned())),
            None => (address.as_str(), None),
        };
        return Ok(Some(Workspace::Git(Box::new(GitWorkspace {
            url: url.to_owned(),
            reference,
            depth: options.git_depth,
            submodules: options.submodules,
            lfs: options.lfs,
            push: (options.push || options.branch.is_some()).then_some(Push::Branch),
            branch: options.branch.clone(),
            pull_request: options.pr.then(|| PullRequest {
                title: options.pr_title.clone(),
                base: options.pr_base.clone(),
                draft: options.pr_ready.then_some(false),
            }),
        }))));
    }
    let copied = options.copy.clone().map(Workspace::Copy);
    Ok(copied.or_else(|| options.continues.map(|id| Workspace::Continue(id.to_string()))))
}

fn prompt(work: &Work) -> Result<Option<String>, Failure> {
    match work.prompt.as_deref() {
        Some("-") => read_stdin().map(Some),
        Some(text) => Ok(Some(text.to_owned())),
        None if work.command.is_empty() => {
            let detail = "give a PROMPT (or - to read it from stdin), or -- CMD";
            Err(Failure::Usage(detail.to_owned()))
        }
        None => Ok(None),
    }
}

/// Reads a text from stdin.
///
/// # Errors
/// When it is too long or not UTF-8.
pub fn read_stdin() -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let most = MAX_PROMPT_BYTES as u64;
    io::stdin()
        .lock()
        .take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::Usage(format!("cannot read stdin: {error}")))?;
    if bytes.len() > MAX_PROMPT_BYTES {
        return Err(Failure::Usage(format!("stdin holds more than the {most} bytes that a prompt may have")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::Usage(format!("stdin is not UTF-8: byte {at} does not fit"))
    })
}

fn map(pairs: &[(String, String)], option: &str) -> Result<BTreeMap<String, String>, Failure> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some() {
            return Err(Failure::Usage(format!("{option} {key} is given twice")));
        }
    }
    Ok(map)
}

fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(options: TaskOptions) -> GitWorkspace {
        let options = TaskOptions { git: Some("https://git.example/a.git#main".into()), ..options };
        match workspace(&options, None).unwrap() {
            Some(Workspace::Git(git)) => *git,
            other => panic!("{other:?} is no repository"),
        }
    }

    #[test]
    fn an_address_beside_a_folder_is_where_its_changes_go() {
        let beside = |options: TaskOptions| workspace(&options, Some(Path::new("/absent")));
        let at = |url: &str| TaskOptions { git: Some(url.into()), ..TaskOptions::default() };
        let url = "https://git.example/a.git";
        match beside(TaskOptions { pr: true, ..at(url) }).unwrap() {
            Some(Workspace::Git(git)) => assert_eq!((git.url.as_str(), git.is_pushed()), (url, true)),
            other => panic!("{other:?} is no repository"),
        }
        for refused in [
            at(url),
            TaskOptions { push: true, ..at("https://git.example/a.git#main") },
            TaskOptions { push: true, git_depth: Some(1), ..at(url) },
            TaskOptions { push: true, ..TaskOptions::default() },
        ] {
            assert!(matches!(beside(refused), Err(Failure::Usage(_))));
        }
        assert!(
            beside(TaskOptions::default()).unwrap().is_none(),
            "its files are sent, and nothing is pushed"
        );
    }

    #[test]
    fn a_repository_goes_where_the_options_say() {
        let kept =
            git(TaskOptions { git_depth: Some(3), submodules: true, lfs: true, ..TaskOptions::default() });
        assert!(kept.submodules && kept.lfs);
        assert_eq!(
            (kept.url.as_str(), kept.reference.as_deref()),
            ("https://git.example/a.git", Some("main"))
        );
        assert_eq!((kept.depth, kept.is_pushed()), (Some(3), false));
        let pushed = git(TaskOptions { branch: Some("fix".into()), ..TaskOptions::default() });
        assert_eq!((pushed.is_pushed(), pushed.pull_request), (true, None), "a branch is there to be pushed");
        let title = Some("Mend it".to_owned());
        let asked =
            TaskOptions { pr: true, pr_title: title.clone(), pr_ready: true, ..TaskOptions::default() };
        let request = PullRequest { title, base: None, draft: Some(false) };
        assert_eq!(git(asked).pull_request, Some(request));
    }
}
