//! One submit on its way from its bodies to the machine.

use conductor_core::{Limit, Name, NewTask, Priority, TaskId, Work};
use conductor_protocol::submit::{self, Dependency, OnDependencyFailure, Permission, SubmitTask, Workspace};
use conductor_protocol::{FieldError, Problem, limits};
use conductor_store::log::{Payload, PayloadKey};
use serde_json::value::RawValue;

use super::prepared::{Asked, Outside, Prepared};
use super::{Defaults, Origin};
use crate::task_types::asks_model;
use crate::uploads::Wanted;

pub(super) struct Preparing<'a> {
    pub(super) defaults: &'a Defaults,
    pub(super) origin: Origin,
    pub(super) done: Prepared,
    /// Dependencies by ref, with the task and the place that name them.
    pub(super) pending: Vec<(usize, String, String)>,
}

impl Preparing<'_> {
    /// Takes in one task and those below it, with what is above it and whether that asks a person; depth counts from 1.
    pub(super) fn add(
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
            let at = format!("{at}/depends_on/{index}");
            match dependency {
                Dependency::Id(id) => {
                    known.push(*id);
                    self.done.outside.push(Outside { task: *id, at });
                }
                Dependency::Ref(reference) => self.pending.push((place, reference.clone(), at)),
            }
        }
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

    pub(super) fn finish(mut self) -> Result<Prepared, Problem> {
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
