//! The secrets that a task names: whether its run may have them, their values, and keeping these out of what it says.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use conductor_redact::{MIN_SECRET_BYTES, Redactor};
use conductor_runtime::secrets::{MAX_VALUE_BYTES, Name, Secret};

use super::attempt::{Attempt, What};
use super::outcome::{Failure, FailureReason, Outcome, Verdict};
use super::program::{Programs, gateway};

/// What a run gets of secrets, as variables.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub variables: Vec<(String, Secret)>,
    /// Keeps them, and the credential of the runner, out of what the run says.
    pub redactor: Arc<Redactor>,
    /// What a coding agent shows to the gateway of its run, instead of the real credential.
    pub token: Option<Secret>,
}

impl Programs {
    /// Reads the secrets that an attempt names.
    pub(super) fn give(&self, attempt: &Attempt) -> Result<Given, Failure> {
        let failure = |reason, message, hint: &str| Failure { reason, message, hint: hint.to_owned() };
        let runner = match &attempt.what {
            What::Command { .. } => "command",
            What::Mock { .. } => "mock",
            What::Replay { .. } => "replay",
            What::Program(order) => &order.spec.name,
        };
        let mut variables = Vec::with_capacity(attempt.secrets.len());
        for name in &attempt.secrets {
            let value =
                self.value(name, runner).map_err(|(reason, message, hint)| failure(reason, message, hint))?;
            variables.push((name.clone(), value));
        }
        let credential = match &attempt.what {
            // Whether it has one is told when it is started.
            What::Program(order) => self.credential(&order.spec).ok().flatten(),
            What::Command { .. } | What::Mock { .. } | What::Replay { .. } => None,
        };
        let token = match (&attempt.what, &credential) {
            (What::Program(order), Some(credential)) => {
                gateway::asked(&order.spec, credential).map(|_| gateway::token())
            }
            (_, _) => None,
        };
        let credential = credential.iter().map(|credential| &credential.value);
        // A key that is so short is a stand-in of a test.
        let credential = credential.filter(|value| value.reveal().len() >= MIN_SECRET_BYTES);
        let values = variables.iter().map(|(_, value)| value).chain(credential).chain(&token);
        let own = attempt.submits.iter().map(|submits| submits.token.reveal().as_bytes());
        let values = values.map(|value| value.reveal().as_bytes()).chain(own);
        let redactor = Redactor::new(values).map_err(|unfit| {
            let message = format!("its secrets cannot be kept out of its output: {unfit}");
            failure(FailureReason::InvalidRequest, message, "name fewer secrets, or longer ones")
        })?;
        Ok(Given { variables, redactor: Arc::new(redactor), token })
    }

    /// What keeps everything out that any run here may have; none when that is too much.
    pub(super) fn redactor_of_all(&self) -> Option<Redactor> {
        let runners: Vec<&str> =
            ["command", "mock", "replay"].into_iter().chain(self.specs.keys().map(String::as_str)).collect();
        let named = self.uses.keys();
        let given = named.filter_map(|name| runners.iter().find_map(|runner| self.value(name, runner).ok()));
        let credentials = self.specs.values().filter_map(|spec| Some(self.credential(spec).ok()??.value));
        let all: Vec<Secret> =
            given.chain(credentials).filter(|value| value.reveal().len() >= MIN_SECRET_BYTES).collect();
        Redactor::new(all.iter().map(|value| value.reveal().as_bytes())).ok()
    }

    /// Looks whether secrets are still for the tasks of a group: that was asked when the task was submitted.
    ///
    /// # Errors
    /// Names the first that is not.
    pub(crate) fn check_group(&self, names: &[String], group: &str) -> Result<(), String> {
        let not_for = |name: &&String| self.uses.get(*name).is_some_and(|secret| !secret.takes_group(group));
        match names.iter().find(not_for) {
            Some(name) => Err(format!("the secret {name} is not for the group {group}")),
            None => Ok(()),
        }
    }

    fn value(&self, name: &str, runner: &str) -> Result<Secret, (FailureReason, String, &'static str)> {
        let refused = |message, hint| (FailureReason::InvalidRequest, message, hint);
        let Some(secret) = self.uses.get(name) else {
            let message = format!("tasks have no secret {name} on this agent");
            return Err(refused(message, "secrets.<name> in conductor.yaml lets tasks use one"));
        };
        if !secret.takes_runner(runner) {
            let message = format!("the secret {name} is not for the runner {runner}");
            return Err(refused(message, "secrets.<name>.runners lists those that it is for"));
        }
        let unread = |why: String| {
            (
                FailureReason::RunnerUnavailable,
                format!("the secret {name} cannot be read: {why}"),
                "look at its file",
            )
        };
        let value = match &secret.file {
            Some(path) => {
                read(path).map(Some).map_err(|error| unread(format!("{}: {error}", path.display())))?
            }
            None => {
                let parsed: Name = name.parse().map_err(|error| unread(format!("{error}")))?;
                let kept = self.secrets.as_ref().map(|secrets| secrets.get(&parsed)).transpose();
                kept.map_err(|error| unread(error.to_string()))?.flatten()
            }
        };
        let Some(value) = value else {
            let message = format!("the secret {name} is not set on this agent");
            let hint = "conductor secret set keeps one, or secrets.<name>.file names its file";
            return Err((FailureReason::RunnerUnavailable, message, hint));
        };
        if value.reveal().len() < MIN_SECRET_BYTES {
            let message = format!("the secret {name} is shorter than {MIN_SECRET_BYTES} bytes");
            return Err(refused(
                message,
                "so short a text cannot be told from others and kept out of what a run says",
            ));
        }
        Ok(value)
    }
}

/// Reads a value; one line end at its end is left out.
fn read(path: &Path) -> io::Result<Secret> {
    let mut text = String::new();
    File::open(path)?.take(MAX_VALUE_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > MAX_VALUE_BYTES || text.contains('\0') {
        return Err(io::Error::other("it is too long, or holds a NUL"));
    }
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(text.strip_suffix('\r').unwrap_or(text)))
}

/// Keeps secrets out of what is told of an attempt.
pub(super) fn redact(outcome: &mut Outcome, redactor: &Redactor) {
    if !redactor.knows_secrets() {
        return;
    }
    let clean = |text: &mut String| {
        if let std::borrow::Cow::Owned(kept) = redactor.text(text) {
            *text = kept;
        }
    };
    clean(&mut outcome.summary);
    match &mut outcome.verdict {
        Verdict::Failed(failure) => {
            clean(&mut failure.message);
            clean(&mut failure.hint);
        }
        Verdict::Crashed { message } | Verdict::Limited { message, .. } => clean(message),
        Verdict::Succeeded | Verdict::Cancelled | Verdict::Stopped => {}
    }
    outcome.session_id.iter_mut().for_each(&clean);
    outcome.files.files.iter_mut().for_each(|file| clean(&mut file.path));
    if let Some(git) = &mut outcome.git {
        git.branch.iter_mut().for_each(&clean);
        git.pull_request_url.iter_mut().for_each(&clean);
    }
}
