//! Mixed tasks, and what must become of each.

use std::time::Duration;

use conductor_client::{Control, Error, Link};
use conductor_core::TaskId;
use conductor_protocol::control::{AnswerBody, Submit, Submitted};
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::{Code, Problem};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::{MARK, Told};
use crate::seed::Seed;

/// How long a submit waits that is to come later.
const AGAIN: Duration = Duration::from_millis(100);

/// What must become of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// It succeeds.
    Succeeded,
    /// It fails for this reason.
    Failed(&'static str),
    /// It is cancelled for this reason.
    Cancelled(&'static str),
}

/// A task to submit, by its name.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Its body.
    pub body: Value,
    /// Its name, and those of its subtasks, with what must become of each.
    pub expect: Vec<(String, Expect)>,
}

/// Mixed tasks.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// Batches that are submitted together.
    pub batches: Vec<Vec<Planned>>,
    /// The tasks whose output is compared: name and what it must hold.
    pub prints: Vec<(String, String)>,
}

/// What the generator chooses from.
const KINDS: u64 = 12;

impl Workload {
    /// Makes about `count` tasks, subtasks among them. With `crashes` some crash until they may not any more.
    #[must_use]
    pub fn mixed(seed: &mut Seed, count: usize, crashes: bool) -> Self {
        let mut load = Self::default();
        let mut number = 0;
        while load.len() < count {
            number += 1;
            let batch = load.batch(seed, number, crashes);
            load.batches.push(batch);
        }
        load
    }

    /// How many tasks there are, subtasks among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.iter().flatten().map(|planned| planned.expect.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    fn batch(&mut self, seed: &mut Seed, number: usize, crashes: bool) -> Vec<Planned> {
        let name = format!("task-{number}");
        let ms = seed.millis(0, 250).as_millis();
        let one = |body: Value, expect: Expect| vec![planned(&name, body, expect)];
        match seed.below(KINDS) {
            0 | 1 => one(json!({"prompt": format!("sleep {ms}ms")}), Expect::Succeeded),
            2 => {
                self.prints.push((name.clone(), format!("line of {name}")));
                one(json!({"prompt": format!("print line of {name}; sleep {ms}ms")}), Expect::Succeeded)
            }
            3 => one(
                json!({"prompt": "fail on purpose", "retry": {"max_attempts": 2, "backoff_seconds": 0}}),
                Expect::Failed("runner_error"),
            ),
            4 => one(json!({"prompt": format!("sleep {ms}ms; exit 3")}), Expect::Failed("exit_code")),
            5 if crashes => one(json!({"prompt": "crash"}), Expect::Failed("crash_limit")),
            5 | 6 => one(json!({"prompt": "print 300KB; write big.txt done"}), Expect::Succeeded),
            7 => {
                let subtasks = [
                    json!({"name": format!("{name}-a"), "prompt": format!("sleep {ms}ms")}),
                    json!({"name": format!("{name}-b"), "prompt": "Say hello"}),
                ];
                let mut parent = planned(&name, json!({"subtasks": subtasks}), Expect::Succeeded);
                parent.expect.push((format!("{name}-a"), Expect::Succeeded));
                parent.expect.push((format!("{name}-b"), Expect::Succeeded));
                vec![parent]
            }
            8 => {
                let first = json!({"prompt": format!("sleep {ms}ms"), "ref": "first"});
                let second = json!({"prompt": "Say hello", "depends_on": [{"ref": "first"}]});
                vec![
                    planned(&name, first, Expect::Succeeded),
                    planned(&format!("{name}-then"), second, Expect::Succeeded),
                ]
            }
            9 => {
                let depends_on = json!([{"ref": "first"}]);
                let run =
                    json!({"prompt": "Say hello", "depends_on": depends_on, "on_dependency_failure": "run"});
                vec![
                    planned(&name, json!({"prompt": "exit 1", "ref": "first"}), Expect::Failed("exit_code")),
                    planned(
                        &format!("{name}-cancelled"),
                        json!({"prompt": "Say hello", "depends_on": depends_on}),
                        Expect::Cancelled("dependency"),
                    ),
                    planned(&format!("{name}-runs"), run, Expect::Succeeded),
                ]
            }
            10 => one(json!({"prompt": format!("ask Shall I go on?; sleep {ms}ms")}), Expect::Succeeded),
            _ => {
                let script = format!("sleep 0.{:03}; echo end of {name}", seed.below(300));
                self.prints.push((name.clone(), format!("end of {name}")));
                one(json!({"command": ["sh", "-c", script]}), Expect::Succeeded)
            }
        }
    }

    /// Submits everything, over lost connections, and again where the server says to come later.
    ///
    /// # Panics
    /// When something is refused for good.
    pub async fn submit(&self, link: &mut Link, mark: &str) -> Vec<TaskId> {
        let mut ids = Vec::new();
        for batch in &self.batches {
            let submitted = loop {
                let tasks = batch.iter().map(|planned| body(&planned.body, mark)).collect();
                match link.submit(Submit { tasks, key: None }).await {
                    Err(Error::Refused(Problem {
                        code: Code::Unavailable,
                        retry_after_seconds: Some(_),
                        ..
                    })) => tokio::time::sleep(AGAIN).await,
                    submitted => break submitted.expect("the tasks are accepted"),
                }
            };
            ids.extend(submitted.ids);
        }
        ids
    }

    /// Compares what became of each task with what must.
    ///
    /// # Panics
    /// When a task is missing, is there twice, or ended in another way.
    pub fn check(&self, told: &Told) {
        let mut by_name = std::collections::BTreeMap::new();
        for task in told.tasks.values() {
            let name = task.name.clone().unwrap_or_default();
            assert!(by_name.insert(name.clone(), task).is_none(), "{name} is there twice");
        }
        for (name, expect) in self.batches.iter().flatten().flat_map(|planned| &planned.expect) {
            let task = by_name.remove(name).unwrap_or_else(|| panic!("{name} is lost"));
            let (state, reason) = match expect {
                Expect::Succeeded => (State::Succeeded, None),
                Expect::Failed(reason) => (State::Failed, Some(*reason)),
                Expect::Cancelled(reason) => (State::Cancelled, Some(*reason)),
            };
            assert_eq!((task.finished, task.failure.as_deref()), (Some(state), reason), "{name}: {task:?}");
            let succeeded = task.ends.iter().filter(|end| *end == "succeeded").count();
            assert!(succeeded <= 1, "{name} was completed twice: {task:?}");
        }
        assert!(by_name.is_empty(), "tasks that nobody submitted: {:?}", by_name.keys());
    }
}

fn planned(name: &str, mut body: Value, expect: Expect) -> Planned {
    body["name"] = name.into();
    Planned { body, expect: vec![(name.to_owned(), expect)] }
}

/// A body as it is submitted: commands carry the mark of the world.
#[must_use]
pub fn body(body: &Value, mark: &str) -> Box<RawValue> {
    let mut body = body.clone();
    if body.get("command").is_some() {
        body["env"][MARK] = mark.into();
    }
    to_raw_value(&body).expect("a body can be written")
}

/// Submits one task that must be accepted.
///
/// # Panics
/// When it is refused.
pub async fn submit_one(control: &Control, task: &Value, mark: &str) -> TaskId {
    let submit = Submit { tasks: vec![body(task, mark)], key: None };
    let Submitted { ids, .. } = control.submit(submit).await.expect("the task is accepted");
    ids[0]
}

/// Answers all questions that wait, over lost connections, until it is dropped.
pub async fn answer_questions(link: &mut Link) {
    loop {
        // An orchestrator that is away is asked again; one that refuses shows in the tasks that then never end.
        if let Ok(control) = link.control().await
            && let Ok(waiting) = control.questions().await
        {
            for task in waiting {
                answer(&control, &task).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn answer(control: &Control, task: &TaskView) {
    let request = task.waiting.as_ref().map(|waiting| waiting.request_id);
    // The run may have ended, or been answered before a connection was lost.
    let _ = control.answer(task.id, request, AnswerBody::Text("yes".into())).await;
}
