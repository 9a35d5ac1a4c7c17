//! The types of tasks: what a task has where its submit says nothing.
//!
//! A type is applied once, at the submit, and what comes of it is kept with the task's body: a retry, a message and every
//! attempt find the task as it was then. What a submit says itself always holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use conductor_protocol::Problem;
use conductor_protocol::control::TaskTypeView;
use conductor_protocol::submit::{Preset, SubmitTask};
use conductor_runtime::config::TaskType;

/// The type of a task that names none.
pub(crate) const GENERIC: &str = "generic";
/// Runners that ask no model: they are given neither a model nor a number of turns.
const WITHOUT_MODEL: [&str; 3] = ["command", "mock", "replay"];

/// The types that tasks can have. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskTypes(Arc<BTreeMap<String, TaskType>>);

impl TaskTypes {
    /// Takes the configured types; there is always the generic one.
    #[must_use]
    pub fn new(mut types: BTreeMap<String, TaskType>) -> Self {
        types.entry(GENERIC.to_owned()).or_default();
        Self(Arc::new(types))
    }

    /// Gives a task what its type says and its submit does not, and tells whether that was anything.
    ///
    /// # Errors
    /// When there is no such type.
    pub(crate) fn apply(&self, task: &mut SubmitTask, at: &str) -> Result<bool, Problem> {
        if task.preset.is_some() {
            return Err(Problem::at(format!("{at}/preset"), "a submit may not say this; name a type"));
        }
        let name = task.task_type.as_deref().unwrap_or(GENERIC);
        let Some(kind) = self.0.get(name) else {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            let detail = format!("there is no type {name:?}; there are {}", known.join(", "));
            return Err(Problem::at(format!("{at}/type"), detail));
        };
        // A parent that only stands for its subtasks runs nothing.
        if task.prompt.is_none() && task.command.is_none() {
            return Ok(false);
        }
        let mut given = Given::default();
        given.give(&mut task.timeout_seconds, kind.timeout_seconds);
        given.give(&mut task.priority, kind.priority);
        given.give(&mut task.verify, kind.verify.clone());
        if let Some(most) = kind.max_attempts {
            let mut retry = task.retry.unwrap_or_default();
            given.give(&mut retry.max_attempts, Some(most));
            task.retry = Some(retry);
        }
        let mut preset = Preset { read_only: kind.read_only, ..Preset::default() };
        if task.prompt.is_some() {
            given.give(&mut task.runner, kind.runner.clone());
            if asks_model(task) {
                given.give(&mut task.model, kind.model.clone());
                given.give(&mut task.max_turns, kind.max_turns);
                given.give(&mut task.budget_usd, kind.budget_usd);
                given.give(&mut task.budget_tokens, kind.budget_tokens);
            }
            preset.prompt.clone_from(&kind.prompt);
            preset.permission = kind.permission;
        }
        if !preset.is_empty() {
            given.give(&mut task.preset, Some(Box::new(preset)));
        }
        Ok(given.anything)
    }

    /// The types for people, by name.
    pub(crate) fn views(&self) -> Vec<TaskTypeView> {
        self.0.iter().map(|(name, kind)| view(name, kind)).collect()
    }
}

/// Whether a task is for a runner that may ask a model.
pub(crate) fn asks_model(task: &SubmitTask) -> bool {
    task.prompt.is_some() && !task.runner.as_deref().is_some_and(|runner| WITHOUT_MODEL.contains(&runner))
}

/// Notes whether anything was given.
#[derive(Debug, Default)]
struct Given {
    anything: bool,
}

impl Given {
    fn give<T>(&mut self, own: &mut Option<T>, from_type: Option<T>) {
        if own.is_none() && from_type.is_some() {
            *own = from_type;
            self.anything = true;
        }
    }
}

fn view(name: &str, kind: &TaskType) -> TaskTypeView {
    TaskTypeView {
        name: name.to_owned(),
        description: kind.description.clone(),
        prompt: kind.prompt.clone(),
        runner: kind.runner.clone(),
        permission: kind.permission,
        read_only: kind.read_only,
        timeout_seconds: kind.timeout_seconds,
        priority: kind.priority,
        max_attempts: kind.max_attempts,
        max_turns: kind.max_turns,
        budget_usd: kind.budget_usd,
        budget_tokens: kind.budget_tokens,
        model: kind.model.clone(),
        verify: kind.verify.clone(),
    }
}

#[cfg(test)]
mod tests {
    use conductor_protocol::submit::Permission;

    use super::*;

    fn types() -> TaskTypes {
        let review = TaskType {
            prompt: Some("Review: {prompt}".into()),
            permission: Some(Permission::Plan),
            read_only: true,
            timeout_seconds: Some(60),
            runner: Some("claude".into()),
            model: Some("opus".into()),
            max_turns: Some(9),
            max_attempts: Some(3),
            priority: Some(7),
            verify: Some(vec!["true".into()]),
            budget_usd: Some(2.5),
            budget_tokens: None,
            description: None,
        };
        TaskTypes::new([("review".to_owned(), review)].into())
    }

    fn applied(body: &str) -> (SubmitTask, bool) {
        let mut task = SubmitTask::parse(body, "").expect("a task");
        let changed = types().apply(&mut task, "").expect("the type is known");
        (task, changed)
    }

    #[test]
    fn what_the_submit_does_not_say_comes_from_the_type() {
        let (task, changed) = applied(r#"{"prompt":"x","type":"review","retry":{"backoff_seconds":1}}"#);
        assert!(changed);
        assert_eq!((task.runner.as_deref(), task.model.as_deref()), (Some("claude"), Some("opus")));
        assert_eq!((task.timeout_seconds, task.priority, task.max_turns), (Some(60), Some(7), Some(9)));
        assert_eq!((task.budget_usd, task.budget_tokens), (Some(2.5), None));
        let retry = task.retry.expect("attempts");
        assert_eq!((retry.max_attempts, retry.backoff_seconds), (Some(3), Some(1)));
        let preset = task.preset.expect("a preset");
        assert_eq!((preset.told("x"), preset.permission), ("Review: x".to_owned(), Some(Permission::Plan)));
        assert_eq!(task.prompt.as_deref(), Some("x"), "what was asked stays");
    }

    #[test]
    fn what_the_submit_says_wins() {
        let (task, _) = applied(
            r#"{"prompt":"x","type":"review","runner":"codex","model":"m","timeout_seconds":5,"priority":0,"max_turns":1,"verify":["false"],"retry":{"max_attempts":1}}"#,
        );
        assert_eq!((task.runner.as_deref(), task.model.as_deref()), (Some("codex"), Some("m")));
        assert_eq!((task.timeout_seconds, task.priority, task.max_turns), (Some(5), Some(0), Some(1)));
        assert_eq!(task.verify.expect("its own"), ["false"]);
        assert_eq!(task.retry.expect("its own").max_attempts, Some(1));
    }

    #[test]
    fn what_asks_no_model_is_given_none() {
        let (task, _) = applied(r#"{"prompt":"x","type":"review","runner":"mock"}"#);
        assert_eq!((task.model, task.max_turns), (None, None));
        let (task, _) = applied(r#"{"command":["make"],"type":"review"}"#);
        assert_eq!((task.runner, task.model), (None, None));
        let preset = task.preset.expect("its work is only read");
        assert_eq!((preset.read_only, &preset.prompt), (true, &None));
    }

    #[test]
    fn a_type_that_says_nothing_leaves_the_body_as_it_came() {
        for body in [r#"{"prompt":"x"}"#, r#"{"prompt":"x","type":"generic"}"#] {
            assert!(!applied(body).1, "{body}");
        }
        let (parent, changed) = applied(r#"{"type":"review","subtasks":[{"prompt":"x"}]}"#);
        assert!(!changed && parent.timeout_seconds.is_none(), "a parent runs nothing");
    }

    #[test]
    fn an_unknown_type_and_a_preset_of_ones_own_are_refused_at_their_place() {
        for (body, pointer, said) in [
            (r#"{"prompt":"x","type":"reveiw"}"#, "/tasks/3/type", "there are generic, review"),
            (r#"{"prompt":"x","preset":{"permission":"skip"}}"#, "/tasks/3/preset", "may not say"),
        ] {
            let mut task = SubmitTask::parse(body, "").expect("a task");
            let problem = types().apply(&mut task, "/tasks/3").expect_err("refused");
            assert_eq!(problem.errors[0].pointer, pointer);
            assert!(problem.errors[0].detail.contains(said), "{}", problem.errors[0].detail);
        }
    }
}
