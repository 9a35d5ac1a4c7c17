//! What a running task may submit below itself: no more than it was itself asked to do.

use conductor_core::{Name, Priority, TaskId};
use conductor_protocol::submit::{Permission, SubmitTask, Workspace};
use conductor_protocol::{Code, FieldError, Problem};

/// A running task that submits, and what it may hand on.
#[derive(Debug, Clone)]
pub struct Below {
    /// Its group, in which all below it are.
    pub(crate) group: Name,
    /// Its priority, which none below it exceeds.
    pub(crate) priority: Priority,
    /// The repository that it works in.
    git: Option<String>,
    /// Whether what it does is pushed.
    may_push: bool,
    /// The folder that it begins with a copy of.
    copy: Option<String>,
    /// The secrets that it has.
    secrets: Vec<String>,
    /// Whether it asks a person before what it does.
    pub(crate) asks: bool,
    /// The budget that it names, in US dollars and in tokens.
    budget: (Option<f64>, Option<u64>),
}

impl Below {
    /// Takes from a task's body what it may hand on.
    ///
    /// # Errors
    /// When it may not submit.
    pub(crate) fn new(
        task: TaskId,
        (group, priority): (Name, Priority),
        body: SubmitTask,
    ) -> Result<Self, Problem> {
        if !body.may_submit {
            return Err(Problem::new(Code::Forbidden, format!("task {task} was not allowed to submit")));
        }
        let asks = body.permitted() == Some(Permission::Ask);
        let (git, may_push, copy) = match body.workspace {
            Some(Workspace::Git(git)) => (Some(git.url.clone()), git.is_pushed(), None),
            Some(Workspace::Copy(path)) => (None, false, Some(path)),
            Some(Workspace::Continue(_) | Workspace::Push(_)) | None => (None, false, None),
        };
        let budget = (body.budget_usd, body.budget_tokens);
        Ok(Self { group, priority, git, may_push, copy, secrets: body.secrets, asks, budget })
    }

    /// Refuses what goes beyond what the running task has itself.
    ///
    /// # Errors
    /// `forbidden`, with the place of the first such wish.
    pub(crate) fn check(&self, task: &SubmitTask, at: &str) -> Result<(), Problem> {
        match self.excess(task) {
            Some((field, detail)) => {
                let pointer = format!("{at}/{field}");
                let detail = format!("a running task may not submit this: {detail}");
                let errors = vec![FieldError { pointer: pointer.clone(), detail: detail.clone() }];
                Err(Problem { errors, ..Problem::new(Code::Forbidden, format!("{pointer}: {detail}")) })
            }
            None => Ok(()),
        }
    }

    fn excess(&self, task: &SubmitTask) -> Option<(&'static str, String)> {
        if task.group.as_deref().is_some_and(|group| group != self.group.as_str()) {
            return Some(("group", format!("its group is {}", self.group)));
        }
        if task.priority.is_some_and(|priority| priority > self.priority.get()) {
            return Some(("priority", format!("its own is {}", self.priority.get())));
        }
        if task.webhook.is_some() {
            return Some(("webhook", "it is told of what it submits by waiting for it".to_owned()));
        }
        if task.secrets.iter().any(|secret| !self.secrets.contains(secret)) {
            return Some(("secrets", "it has no such secret itself".to_owned()));
        }
        if self.asks && task.permission.is_some_and(|permission| permission < Permission::Ask) {
            return Some(("permission", "it asks a person itself".to_owned()));
        }
        if task.budget_usd.zip(self.budget.0).is_some_and(|(asked, own)| asked > own) {
            return Some(("budget_usd", "its own is smaller".to_owned()));
        }
        if task.budget_tokens.zip(self.budget.1).is_some_and(|(asked, own)| asked > own) {
            return Some(("budget_tokens", "its own is smaller".to_owned()));
        }
        match &task.workspace {
            Some(Workspace::Git(git)) if self.git.as_ref() != Some(&git.url) => {
                Some(("workspace/git/url", "it does not work in this repository itself".to_owned()))
            }
            Some(Workspace::Git(git)) if git.is_pushed() && !self.may_push => {
                Some(("workspace/git/push", "what it does is not pushed itself".to_owned()))
            }
            Some(Workspace::Copy(path)) if self.copy.as_ref() != Some(path) => {
                Some(("workspace/copy", "it does not begin with this folder itself".to_owned()))
            }
            Some(Workspace::Push(_)) => {
                Some(("workspace/push", "only a person repeats what could not be pushed".to_owned()))
            }
            Some(Workspace::Git(_) | Workspace::Copy(_) | Workspace::Continue(_)) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn below(body: &str) -> Below {
        let body = SubmitTask::parse(body, "").expect("a task");
        let group = Name::new("red").expect("a name");
        Below::new(TaskId(1), (group, Priority::default()), body).expect("it may submit")
    }

    fn refused(below: &Below, body: &str) -> Option<String> {
        let task = SubmitTask::parse(body, "").expect("a task");
        let problem = below.check(&task, "/tasks/2").err()?;
        assert_eq!(problem.code, Code::Forbidden);
        Some(problem.errors[0].pointer.clone())
    }

    #[test]
    fn a_running_task_hands_on_no_more_than_it_has() {
        let plain = below(r#"{"prompt":"x","may_submit":true}"#);
        for (body, pointer) in [
            (r#"{"prompt":"x","group":"blue"}"#, "/tasks/2/group"),
            (r#"{"prompt":"x","priority":6}"#, "/tasks/2/priority"),
            (r#"{"prompt":"x","webhook":{"url":"https://a.example/"}}"#, "/tasks/2/webhook"),
            (r#"{"prompt":"x","secrets":["KEY"]}"#, "/tasks/2/secrets"),
            (
                r#"{"prompt":"x","workspace":{"git":{"url":"https://a.example/r.git"}}}"#,
                "/tasks/2/workspace/git/url",
            ),
            (r#"{"prompt":"x","workspace":{"copy":"/srv"}}"#, "/tasks/2/workspace/copy"),
        ] {
            assert_eq!(refused(&plain, body).as_deref(), Some(pointer), "{body}");
        }
        for body in [
            r#"{"prompt":"x","group":"red","priority":5,"may_submit":true}"#,
            r#"{"command":["make"],"workspace":{"continue":"01901234-5678-7abc-8def-0123456789ab"}}"#,
        ] {
            assert_eq!(refused(&plain, body), None, "{body}");
        }
    }

    #[test]
    fn its_repository_is_handed_on_and_its_push_only_where_it_has_one() {
        let git = |push: &str| {
            format!(
                r#"{{"prompt":"x","may_submit":true,"workspace":{{"git":{{"url":"https://a.example/r.git"{push}}}}}}}"#
            )
        };
        let (reads, pushes) = (git(""), git(r#","push":"branch""#));
        assert_eq!(refused(&below(&reads), &reads), None);
        assert_eq!(refused(&below(&reads), &pushes).as_deref(), Some("/tasks/2/workspace/git/push"));
        assert_eq!(refused(&below(&pushes), &pushes), None);
    }

    #[test]
    fn a_budget_is_not_handed_on_larger_than_it_is() {
        let own = below(r#"{"prompt":"x","may_submit":true,"budget_usd":2,"budget_tokens":1000}"#);
        for (body, pointer) in [
            (r#"{"prompt":"x","budget_usd":2.5}"#, Some("/tasks/2/budget_usd")),
            (r#"{"prompt":"x","budget_tokens":1001}"#, Some("/tasks/2/budget_tokens")),
            (r#"{"prompt":"x","budget_usd":2,"budget_tokens":1000}"#, None),
        ] {
            assert_eq!(refused(&own, body).as_deref(), pointer, "{body}");
        }
    }

    #[test]
    fn one_that_asks_a_person_hands_on_nothing_that_does_not() {
        let own = below(r#"{"prompt":"x","may_submit":true,"permission":"ask"}"#);
        for (permission, pointer) in
            [("skip", Some("/tasks/2/permission")), ("edit", Some("/tasks/2/permission")), ("plan", None)]
        {
            let body = format!(r#"{{"prompt":"x","permission":"{permission}"}}"#);
            assert_eq!(refused(&own, &body).as_deref(), pointer, "{permission}");
        }
    }

    #[test]
    fn what_may_not_submit_hands_on_nothing() {
        let body = SubmitTask::parse(r#"{"prompt":"x"}"#, "").expect("a task");
        let group = Name::new("red").expect("a name");
        let problem = Below::new(TaskId(1), (group, Priority::default()), body).expect_err("it may not");
        assert_eq!(problem.code, Code::Forbidden);
    }
}
