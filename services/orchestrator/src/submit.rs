//! From tasks as people submit them to tasks as the machine takes them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use conductor_core::{Actor, BodyDigest, KeyId, Limit, Name, NewTask, Priority, TaskId, Work};
use conductor_protocol::submit::{self, Dependency, OnDependencyFailure, Permission, SubmitTask, Workspace};
use conductor_protocol::{Code, FieldError, Problem, limits};
use conductor_runtime::config::SecretUse;
use conductor_store::log::{Payload, PayloadKey};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::below::Below;
use crate::task_types::{TaskTypes, asks_model};
use crate::uploads::Wanted;

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

/// Tasks ready for the machine.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Parents before their subtasks.
    pub(crate) tasks: Vec<NewTask>,
    /// The bodies.
    pub(crate) payloads: Vec<Payload>,
    /// The ids of those that were asked for, without subtasks.
    pub(crate) ids: Vec<TaskId>,
    /// Those that name a webhook.
    pub(crate) webhooks: Vec<TaskId>,
    /// The secrets that sign them, each with the place that names it.
    pub(crate) signed_with: Vec<(String, String)>,
    /// The secrets that their runs get, with the place that names them.
    pub(crate) secrets: Vec<Asked>,
    /// The budgets that some of them name.
    pub(crate) budgets: Vec<(TaskId, Limit)>,
    /// The uploads that they ask for.
    pub(crate) uploads: Vec<Wanted>,
    /// Dependencies that are not among them.
    pub(crate) outside: Vec<TaskId>,
    /// What the tasks are called among themselves.
    pub(crate) refs: HashMap<String, TaskId>,
}

/// A task with the secrets that its runs get.
pub(crate) type NamedSecrets = (TaskId, Box<[Name]>);

/// The secrets that a task names for its runs.
#[derive(Debug)]
pub(crate) struct Asked {
    task: TaskId,
    /// The place of the list.
    at: String,
    names: Box<[Name]>,
}

impl Prepared {
    /// Takes the secrets that tasks name, after holding that each of them may use its own.
    ///
    /// # Errors
    /// Names the first that is not known, or that its task may not use.
    pub(crate) fn take_secrets(
        &mut self,
        known: &BTreeMap<String, SecretUse>,
    ) -> Result<Vec<NamedSecrets>, Problem> {
        for asked in &self.secrets {
            let task = self.tasks.iter().find(|task| task.id == asked.task).expect("it is among them");
            for (index, name) in asked.names.iter().enumerate() {
                let at = format!("{}/{index}", asked.at);
                let Some(secret) = known.get(name.as_str()) else {
                    let detail = format!(
                        "tasks have no secret {name}; secrets.{name} in conductor.yaml lets them use one"
                    );
                    return Err(Problem::at(at, detail));
                };
                let (group, runner) = (task.group.as_str(), task.runner.as_str());
                let refused = if !secret.takes_group(group) {
                    format!("tasks of the group {group} may not use the secret {name}")
                } else if runner != conductor_core::AUTO && !secret.takes_runner(runner) {
                    format!("the secret {name} is not for the runner {runner}")
                } else {
                    continue;
                };
                return Err(Problem { code: Code::Forbidden, ..Problem::at(at, refused) });
            }
        }
        Ok(std::mem::take(&mut self.secrets).into_iter().map(|asked| (asked.task, asked.names)).collect())
    }

    /// Tells of a problem by refs where it names tasks by ids that nobody was told yet.
    pub(crate) fn in_refs(&self, mut problem: Problem) -> Problem {
        for (reference, id) in &self.refs {
            let (id, reference) = (id.to_string(), format!("{reference:?}"));
            problem.detail = problem.detail.replace(&id, &reference);
            for error in &mut problem.errors {
                error.detail = error.detail.replace(&id, &reference);
            }
        }
        problem
    }
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

struct Preparing<'a> {
    defaults: &'a Defaults,
    origin: Origin,
    done: Prepared,
    /// Dependencies by ref, with the task and the place that name them.
    pending: Vec<(usize, String, String)>,
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

impl Preparing<'_> {
    /// Takes in one task and those below it, with what is above it and whether that asks a person; depth counts from 1.
    fn add(
        &mut self,
        body: &RawValue,
        (parent, is_asked_above): (Option<TaskId>, bool),
        depth: usize,
        at: &str,
    ) -> Result<TaskId, Problem> {
        if self.done.tasks.len() >= limits::MAX_BATCH_TASKS + limits::MAX_SUBTASKS {
            return Err(Problem::at(at, "too many tasks and subtasks in one submit"));
        }
        let mut task = SubmitTask::parse(body.get(), at)?;
        submit::check(&task, at)?;
        if let Some(below) = &self.defaults.below {
            below.check(&task, at)?;
        }
        let mut has_changed = !self.origin.has_preset && self.defaults.types.apply(&mut task, at)?;
        if is_asked_above && !self.origin.has_preset && task.permission.is_none() && asks_model(&task) {
            task.permission = Some(Permission::Ask);
            has_changed = true;
        }
        // One that only stands for its subtasks passes on what is above it.
        let runs = task.prompt.is_some() || task.command.is_some();
        let asks = task.permitted() == Some(Permission::Ask) || (is_asked_above && !runs);
        let id = TaskId(uuid::Uuid::now_v7().as_u128());
        if let Some(reference) = task.reference.take()
            && self.done.refs.insert(reference.clone(), id).is_some()
        {
            return Err(Problem::at(format!("{at}/ref"), format!("the ref {reference:?} is given twice")));
        }
        if !task.subtasks.is_empty() && depth > limits::MAX_SUBTASK_DEPTH {
            let detail = format!("subtasks nest at most {} deep", limits::MAX_SUBTASK_DEPTH);
            return Err(Problem::at(format!("{at}/subtasks"), detail));
        }
        let new = self.new_task(id, &task, parent, at)?;
        for (index, file) in task.files.iter().enumerate() {
            if let Some(upload) = &file.upload {
                let pointer = format!("{at}/files/{index}/upload");
                self.done.uploads.push(Wanted { task: id, pointer, upload: upload.clone() });
            }
        }
        if let Some(webhook) = &task.webhook {
            self.done.webhooks.push(id);
            let named = webhook.secret.iter().map(|name| (format!("{at}/webhook/secret"), name.clone()));
            self.done.signed_with.extend(named);
        }
        if !task.secrets.is_empty() {
            let asked = Asked { task: id, at: format!("{at}/secrets"), names: names(&task.secrets).into() };
            self.done.secrets.push(asked);
        }
        let limit = limit(&task);
        if !limit.is_none() {
            self.done.budgets.push((id, limit));
        }
        let place = self.done.tasks.len();
        self.done.tasks.push(new);
        let subtasks = std::mem::take(&mut task.subtasks);
        let bytes = match subtasks.is_empty() && !has_changed {
            true => body.get().as_bytes().to_vec(),
            // Subtasks are tasks of their own; their bodies are not kept twice.
            false => serde_json::to_vec(&task).expect("a task that was read can be written"),
        };
        self.done.tasks[place].body_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.done.payloads.push(Payload { key: PayloadKey::from(id), bytes });
        self.dependencies(place, &task.depends_on, at);
        for (index, subtask) in subtasks.iter().enumerate() {
            self.add(subtask, (Some(id), asks), depth + 1, &format!("{at}/subtasks/{index}"))?;
        }
        Ok(id)
    }

    fn dependencies(&mut self, place: usize, depends_on: &[Dependency], at: &str) {
        let mut known = Vec::new();
        for (index, dependency) in depends_on.iter().enumerate() {
            match dependency {
                Dependency::Id(id) => known.push(*id),
                Dependency::Ref(reference) => {
                    self.pending.push((place, reference.clone(), format!("{at}/depends_on/{index}")));
                }
            }
        }
        self.done.outside.extend(&known);
        self.done.tasks[place].depends_on = known.into();
    }

    fn new_task(
        &self,
        id: TaskId,
        task: &SubmitTask,
        parent: Option<TaskId>,
        at: &str,
    ) -> Result<NewTask, Problem> {
        let defaults = self.defaults;
        let retry = task.retry.unwrap_or_default();
        let mut requires = names(&task.requires);
        requires.sort();
        requires.dedup();
        let continues = match &task.workspace {
            Some(Workspace::Continue(text) | Workspace::Push(text)) => text.parse().ok(),
            Some(Workspace::Git(_) | Workspace::Copy(_)) | None => None,
        };
        Ok(NewTask {
            id,
            work: if task.prompt.is_none() && task.command.is_none() { Work::Subtasks } else { Work::Run },
            runner: self.runner(task, at)?,
            name: task.name.as_deref().map(Into::into),
            task_type: name_or(task.task_type.as_deref(), &defaults.task_type),
            group: name_or(task.group.as_deref(), &defaults.group),
            priority: task.priority.and_then(Priority::new).unwrap_or(defaults.priority),
            timeout_ms: task.timeout_seconds.map_or(defaults.timeout_ms, |seconds| seconds * 1_000),
            queue_timeout_ms: task
                .queue_timeout_seconds
                .map(|seconds| seconds * 1_000)
                .or(defaults.queue_timeout_ms),
            max_attempts: retry.max_attempts.unwrap_or(1),
            backoff_ms: retry.backoff_seconds.map_or(defaults.backoff_ms, |seconds| seconds * 1_000),
            // Set when the body is at hand.
            body_bytes: 0,
            requires: requires.into(),
            labels: task
                .labels
                .iter()
                .filter_map(|(key, value)| Some((Name::new(key).ok()?, Name::new(value).ok()?)))
                .collect(),
            depends_on: Box::default(),
            on_dependency_failure: match task.on_dependency_failure {
                Some(OnDependencyFailure::Run) => conductor_core::OnDependencyFailure::Run,
                Some(OnDependencyFailure::Cancel) | None => conductor_core::OnDependencyFailure::Cancel,
            },
            run_at: task
                .run_at
                .as_deref()
                .and_then(|text| conductor_protocol::text::parse_rfc3339(text).ok()),
            parent,
            retry_of: self.origin.retry_of.filter(|_| parent.is_none()),
            continues: if self.origin.retry_of.is_some() { None } else { continues },
            schedule: self.origin.schedule,
        })
    }

    fn runner(&self, task: &SubmitTask, at: &str) -> Result<Name, Problem> {
        let command = || Name::new("command").expect("a fixed name");
        let asked = match (task.runner.as_deref(), &task.command) {
            (None | Some("auto"), Some(_)) => return Ok(command()),
            (None, None) => return Ok(self.defaults.runner.clone()),
            (Some(asked), _) => asked,
        };
        if let Some(known) = self.defaults.runners.iter().find(|known| known.as_str() == asked) {
            return Ok(known.clone());
        }
        let known: Vec<&str> = self.defaults.runners.iter().map(Name::as_str).collect();
        let detail = format!("there is no runner {asked:?}; there are {}", known.join(", "));
        Err(Problem::at(format!("{at}/runner"), detail))
    }

    fn finish(mut self) -> Result<Prepared, Problem> {
        let mut faults = Vec::new();
        for (place, reference, pointer) in std::mem::take(&mut self.pending) {
            match self.done.refs.get(&reference) {
                Some(id) => {
                    let task = &mut self.done.tasks[place];
                    task.depends_on = task.depends_on.iter().copied().chain([*id]).collect();
                }
                None => faults
                    .push(FieldError { pointer, detail: format!("no task here has the ref {reference:?}") }),
            }
        }
        if !faults.is_empty() {
            return Err(Problem::invalid(faults));
        }
        Ok(self.done)
    }
}

/// The budget that a task names.
fn limit(task: &SubmitTask) -> Limit {
    // It was checked: some dollars, and not too many.
    Limit { usd_micros: task.budget_usd.map(|usd| (usd * 1e6).ceil() as u64), tokens: task.budget_tokens }
}

fn names(texts: &[String]) -> Vec<Name> {
    texts.iter().filter_map(|text| Name::new(text).ok()).collect()
}

fn name_or(text: Option<&str>, default: &Name) -> Name {
    text.and_then(|text| Name::new(text).ok()).unwrap_or_else(|| default.clone())
}

/// Names an idempotency key within its token, and digests what was asked under it.
///
/// # Errors
/// When the key is empty or too long.
pub(crate) fn key(
    key: &str,
    actor: &Arc<Actor>,
    bodies: &[Box<RawValue>],
) -> Result<(KeyId, BodyDigest), Problem> {
    if key.is_empty() || key.len() > limits::MAX_KEY_BYTES {
        let detail = format!("an idempotency key has from 1 to {} bytes", limits::MAX_KEY_BYTES);
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let mut hasher = Sha256::new();
    hasher.update(actor.name.as_str());
    hasher.update([0]);
    hasher.update(key);
    let id = KeyId(first_half(hasher));
    let mut hasher = Sha256::new();
    for body in bodies {
        // The digest is of the value, not of its spelling: keys sorted, no white space.
        let value: serde_json::Value = serde_json::from_str(body.get())
            .map_err(|_| Problem::new(Code::InvalidRequest, "the body is not JSON"))?;
        hasher.update(serde_json::to_vec(&value).expect("a value can be written"));
        hasher.update([0]);
    }
    Ok((id, BodyDigest(first_half(hasher))))
}

fn first_half(hasher: Sha256) -> u128 {
    let digest = hasher.finalize();
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    u128::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
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
        assert!(done.outside.is_empty());
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
