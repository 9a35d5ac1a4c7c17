//! From tasks as people submit them to tasks as the machine takes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use conductor_core::{Name, Priority, TaskId};
use conductor_protocol::{Problem, limits};
use conductor_runtime::config::SecretUse;
use serde_json::value::RawValue;

use crate::below::Below;
use crate::task_types::TaskTypes;

mod key;
mod prepared;
mod preparing;

pub(crate) use key::key;
pub(crate) use prepared::Prepared;
use preparing::Preparing;

/// What a task gets where it says nothing.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The runner.
    pub runner: Name,
    /// The group.
    pub group: Name,
    /// The type.
    pub task_type: Name,
    /// How urgent it is.
    pub priority: Priority,
    /// How long an attempt may run.
    pub timeout_ms: u64,
    /// How long it may stand in the queue.
    pub queue_timeout_ms: Option<u64>,
    /// Pause after a failed attempt.
    pub backoff_ms: u64,
    /// Runners that can be asked for.
    pub runners: Vec<Name>,
    /// Those of them of which a run takes messages.
    pub take_messages: Arc<[Name]>,
    /// Types that tasks can have.
    pub types: TaskTypes,
    /// Secrets that tasks may use.
    pub secrets: Arc<BTreeMap<String, SecretUse>>,
    /// The running task that submits, where one does.
    pub below: Option<Arc<Below>>,
}

/// What the tasks have in common.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Origin {
    /// The terminal task that is repeated.
    pub(crate) retry_of: Option<TaskId>,
    /// The schedule that made them.
    pub(crate) schedule: Option<conductor_core::ScheduleId>,
    /// Whether they come from the body of an earlier task, which has what its type gave it.
    pub(crate) has_preset: bool,
}

/// Reads, checks and names tasks. A fault's pointer begins at the task's place in a batch, or at the body itself when there
/// is one task only.
///
/// # Errors
/// Names every fault of the first task that has any.
pub(crate) fn prepare(
    bodies: &[Box<RawValue>],
    defaults: &Defaults,
    origin: Origin,
) -> Result<Prepared, Problem> {
    if bodies.is_empty() {
        return Err(Problem::at("/tasks", "there is no task"));
    }
    if bodies.len() > limits::MAX_BATCH_TASKS {
        let detail = format!("at most {} tasks, are {}", limits::MAX_BATCH_TASKS, bodies.len());
        return Err(Problem::at("/tasks", detail));
    }
    let done = Prepared {
        tasks: Vec::with_capacity(bodies.len()),
        payloads: Vec::with_capacity(bodies.len()),
        ids: Vec::with_capacity(bodies.len()),
        webhooks: Vec::new(),
        signed_with: Vec::new(),
        secrets: Vec::new(),
        budgets: Vec::new(),
        uploads: Vec::new(),
        outside: Vec::new(),
        refs: HashMap::new(),
    };
    let mut preparing = Preparing { defaults, origin, done, pending: Vec::new() };
    for (index, body) in bodies.iter().enumerate() {
        let at = if bodies.len() == 1 { String::new() } else { format!("/tasks/{index}") };
        let asks = defaults.below.as_ref().is_some_and(|below| below.asks);
        let id = preparing.add(body, (None, asks), 1, &at)?;
        preparing.done.ids.push(id);
    }
    preparing.finish()
}

#[cfg(test)]
mod tests {
    use conductor_core::{Actor, Work};
    use conductor_protocol::Code;
    use conductor_protocol::submit::{Permission, SubmitTask};

    use super::*;

    fn defaults() -> Defaults {
        let name = |text: &str| Name::new(text).expect("a name");
        Defaults {
            runner: name("auto"),
            group: name("default"),
            task_type: name("generic"),
            priority: Priority::default(),
            timeout_ms: 1_800_000,
            queue_timeout_ms: None,
            backoff_ms: 5_000,
            runners: vec![name("auto"), name("mock"), name("command")],
            take_messages: Arc::default(),
            types: TaskTypes::new(Default::default()),
            secrets: Arc::default(),
            below: None,
        }
    }

    fn bodies(texts: &[&str]) -> Vec<Box<RawValue>> {
        texts.iter().map(|text| RawValue::from_string((*text).to_owned()).expect("JSON")).collect()
    }

    fn prepared(texts: &[&str]) -> Result<Prepared, Problem> {
        prepare(&bodies(texts), &defaults(), Origin::default())
    }

    #[test]
    fn refs_become_ids_whatever_their_order() {
        let done = prepared(&[r#"{"prompt":"x","depends_on":[{"ref":"b"}]}"#, r#"{"prompt":"y","ref":"b"}"#])
            .expect("prepares");
        assert_eq!(*done.tasks[0].depends_on, [done.ids[1]]);
        assert!(done.outside().is_empty());
    }

    #[test]
    fn an_unknown_ref_is_named_by_its_place() {
        let problem = prepared(&[r#"{"prompt":"x"}"#, r#"{"prompt":"x","depends_on":[{"ref":"z"}]}"#])
            .expect_err("z is nowhere");
        assert_eq!(problem.errors[0].pointer, "/tasks/1/depends_on/0");
    }

    #[test]
    fn an_unknown_runner_is_refused() {
        let problem = prepared(&[r#"{"prompt":"x","runner":"nope"}"#]).expect_err("unknown");
        assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (Code::InvalidRequest, "/runner"));
    }

    #[test]
    fn a_secret_is_used_by_whom_its_owner_names() {
        let only = |groups: &[&str], runners: &[&str]| SecretUse {
            file: None,
            groups: groups.iter().map(ToString::to_string).collect(),
            runners: runners.iter().map(ToString::to_string).collect(),
        };
        let known = BTreeMap::from([
            ("NPM".to_owned(), only(&["default"], &["command"])),
            ("WEB".to_owned(), only(&["web"], &["*"])),
        ]);
        let take = |text: &str| prepared(&[text]).expect("prepares").take_secrets(&known);
        let taken = take(r#"{"command":["x"],"secrets":["NPM"]}"#).expect("allowed");
        assert_eq!(taken[0].1[0].as_str(), "NPM");
        assert!(take(r#"{"prompt":"x","secrets":["NPM"]}"#).is_ok(), "what auto comes to is not known yet");
        for (text, code, pointer) in [
            (r#"{"command":["x"],"secrets":["NPM","WEB"]}"#, Code::Forbidden, "/secrets/1"),
            (r#"{"prompt":"x","runner":"mock","secrets":["NPM"]}"#, Code::Forbidden, "/secrets/0"),
            (r#"{"prompt":"x","secrets":["OTHER"]}"#, Code::InvalidRequest, "/secrets/0"),
            (
                r#"{"subtasks":[{"command":["x"],"secrets":["WEB"]}]}"#,
                Code::Forbidden,
                "/subtasks/0/secrets/0",
            ),
        ] {
            let problem = take(text).expect_err("refused");
            assert_eq!((problem.code, problem.errors[0].pointer.as_str()), (code, pointer), "{text}");
        }
    }

    #[test]
    fn subtasks_are_tasks_of_their_own_below_their_parent() {
        let done =
            prepared(&[r#"{"subtasks":[{"prompt":"a","subtasks":[{"prompt":"b"}]},{"command":["true"]}]}"#])
                .expect("prepares");
        assert_eq!(done.ids.len(), 1);
        let parents: Vec<_> = done.tasks.iter().map(|task| task.parent).collect();
        assert_eq!(parents, [None, Some(done.ids[0]), Some(done.tasks[1].id), Some(done.ids[0])]);
        assert_eq!(done.tasks[0].work, Work::Subtasks);
        assert_eq!(done.tasks[3].runner.as_str(), "command");
        assert!(!String::from_utf8_lossy(&done.payloads[0].bytes).contains("prompt"));
        let deep = r#"{"subtasks":[{"subtasks":[{"subtasks":[{"subtasks":[{"prompt":"x"}]}]}]}]}"#;
        assert_eq!(
            prepared(&[deep]).expect_err("too deep").errors[0].pointer,
            "/subtasks/0/subtasks/0/subtasks/0/subtasks"
        );
    }

    #[test]
    fn what_lies_below_one_that_asks_a_person_asks_too_where_it_says_nothing() {
        let done = prepared(&[r#"{"prompt":"a","permission":"ask","subtasks":[
            {"prompt":"b"},{"prompt":"c","permission":"edit"},{"command":["true"]},{"prompt":"d","runner":"mock"},
            {"subtasks":[{"prompt":"e"}]}]}"#])
        .expect("prepares");
        let said = done.payloads.iter().map(|payload| {
            let task = SubmitTask::parse(&String::from_utf8_lossy(&payload.bytes), "").expect("a task");
            task.permission
        });
        let ask = Some(Permission::Ask);
        assert_eq!(said.collect::<Vec<_>>(), [ask, ask, Some(Permission::Edit), None, None, None, ask]);
    }

    #[test]
    fn what_a_type_gave_is_in_the_body_and_stays_for_a_retry() {
        let review = conductor_runtime::config::TaskType {
            prompt: Some("Review: {prompt}".to_owned()),
            timeout_seconds: Some(60),
            ..Default::default()
        };
        let known = Defaults { types: TaskTypes::new([("review".to_owned(), review)].into()), ..defaults() };
        let first = prepare(&bodies(&[r#"{"prompt":"x","type":"review"}"#]), &known, Origin::default());
        let first = first.expect("prepares");
        assert_eq!((first.tasks[0].timeout_ms, first.tasks[0].task_type.as_str()), (60_000, "review"));
        let kept = String::from_utf8(first.payloads[0].bytes.clone()).expect("JSON");
        assert!(kept.contains("Review: {prompt}"), "{kept}");
        let retry = Origin { retry_of: Some(first.ids[0]), has_preset: true, ..Origin::default() };
        let again = prepare(&bodies(&[&kept]), &defaults(), retry).expect("its type may be gone by now");
        assert_eq!(again.payloads[0].bytes, kept.as_bytes());
        assert_eq!(again.tasks[0].timeout_ms, 60_000);
    }

    #[test]
    fn the_same_body_in_another_spelling_has_the_same_digest() {
        let actor = Arc::new(Actor {
            name: Name::new("me").expect("a name"),
            role: conductor_core::Role::Admin,
            via: Name::new("cli").expect("a name"),
            address: None,
        });
        let one = key("k", &actor, &bodies(&[r#"{"prompt":"x","priority":5}"#])).expect("a key");
        let same = key("k", &actor, &bodies(&[r#"{ "priority": 5, "prompt": "x" }"#])).expect("a key");
        let other = key("k", &actor, &bodies(&[r#"{"prompt":"y"}"#])).expect("a key");
        assert_eq!(one, same);
        assert_eq!(one.0, other.0);
        assert_ne!(one.1, other.1);
    }

    #[test]
    fn run_at_is_read_with_its_offset() {
        let done = prepared(&[r#"{"prompt":"x","run_at":"2026-01-31T09:00:00+01:00"}"#]).expect("prepares");
        assert_eq!(done.tasks[0].run_at, Some(conductor_core::Wall(1_769_846_400_000)));
    }
}
