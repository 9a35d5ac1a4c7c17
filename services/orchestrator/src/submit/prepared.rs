//! Tasks that are ready for the machine.

use std::collections::{BTreeMap, HashMap};

use conductor_core::{Limit, Name, NewTask, Rejection, TaskId};
use conductor_protocol::{Code, Problem};
use conductor_runtime::config::SecretUse;
use conductor_store::log::Payload;

use crate::refusal;
use crate::uploads::Wanted;

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
    pub(super) outside: Vec<Outside>,
    /// What the tasks are called among themselves.
    pub(crate) refs: HashMap<String, TaskId>,
}

/// A dependency that is not among the tasks.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) task: TaskId,
    /// The place that names it.
    pub(super) at: String,
}

/// A task with the secrets that its runs get.
pub(crate) type NamedSecrets = (TaskId, Box<[Name]>);

/// The secrets that a task names for its runs.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) task: TaskId,
    /// The place of the list.
    pub(super) at: String,
    pub(super) names: Box<[Name]>,
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

    /// The dependencies that are not among the tasks.
    pub(crate) fn outside(&self) -> Vec<TaskId> {
        self.outside.iter().map(|outside| outside.task).collect()
    }

    /// The problem of a dependency that is not there.
    pub(crate) fn unknown_dependency(&self, task: TaskId) -> Problem {
        self.as_asked(refusal::problem(&Rejection::UnknownDependency(task)))
    }

    /// Tells of a problem with the places of what was asked, and by refs where it names tasks by ids that nobody was told
    /// yet.
    pub(crate) fn as_asked(&self, mut problem: Problem) -> Problem {
        for error in problem.errors.iter_mut().filter(|error| error.pointer == refusal::DEPENDS_ON) {
            let named = self.outside.iter().find(|outside| error.detail.contains(&outside.task.to_string()));
            if let Some(outside) = named {
                error.pointer.clone_from(&outside.at);
            }
        }
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
