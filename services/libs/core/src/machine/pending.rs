//! Why a task waits, for people.

use std::fmt;

use crate::budget::{Meter, Purse, Shortage};
use crate::context::View;
use crate::decide::servable::{self, Obstacle};
use crate::event::Requeue;
use crate::id::TaskId;
use crate::machine::Machine;
use crate::state::task::Stage;
use crate::time::{Now, Wall};

/// Why a live task does not run. Its text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// It waits for so many tasks that it depends on, and so many subtasks.
    Blocked {
        /// The tasks that it depends on.
        tasks: usize,
        /// Its subtasks.
        subtasks: usize,
    },
    /// It waits for an instant: the one it was asked to run at, or the end of a rest.
    Scheduled {
        /// Until then.
        until: Wall,
        /// Why it rests; none where it was asked to run then.
        cause: Option<Requeue>,
    },
    /// It waits for an agent.
    Queued(Obstacle),
}

impl fmt::Display for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blocked { tasks, subtasks } => f.write_str(&blocked_reason(*tasks, *subtasks)),
            Self::Scheduled { until, cause } => f.write_str(&scheduled_reason(*until, *cause)),
            Self::Queued(obstacle) => f.write_str(&queued_reason(obstacle)),
        }
    }
}

impl Machine {
    /// Why a live task does not run; none when it runs or is not live.
    #[must_use]
    pub fn pending(&self, id: TaskId) -> Option<Pending> {
        let now = Now::default();
        pending(View { policy: &self.policy, state: &self.state, live: &self.live, now }, id)
    }

    /// The same for people.
    #[must_use]
    pub fn pending_reason(&self, id: TaskId) -> Option<String> {
        self.pending(id).map(|pending| pending.to_string())
    }
}

/// A task that waits, and that nothing that is connected can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unserved {
    /// The task; the first of those that ask for the same.
    pub task: TaskId,
    /// Since when it waits.
    pub since: Wall,
    /// Why, for people.
    pub why: String,
}

impl Machine {
    /// Tasks that nothing that is connected can run: of each kind the one that waits first, at most `limit` of them.
    #[must_use]
    pub fn unserved(&self, limit: usize) -> Vec<Unserved> {
        let view = View { policy: &self.policy, state: &self.state, live: &self.live, now: Now::default() };
        let places = self.state.queues().ready();
        let found = places.filter_map(|(_, place)| {
            let ((since, _), task) = servable::first_free(view, place, Meter::Nothing)?;
            let obstacle = servable::obstacle(view, *task, self.state.live(*task)?);
            let why = match &obstacle {
                Obstacle::NoAgent | Obstacle::NoRunner(..) | Obstacle::NoAuto | Obstacle::NoLabels(_) => {
                    queued_reason(&obstacle)
                }
                Obstacle::Paused
                | Obstacle::NoRoom(_)
                | Obstacle::Draining
                | Obstacle::AgentDiskFull
                | Obstacle::NotServed
                | Obstacle::RunnerLimit(..)
                | Obstacle::GroupLimit(..)
                | Obstacle::LabelLimit(..)
                | Obstacle::LaneClosed(_)
                | Obstacle::LaneRests(..)
                | Obstacle::LaneRecovers(..)
                | Obstacle::Budget(_)
                | Obstacle::AllWaiting
                | Obstacle::Busy => return None,
            };
            Some(Unserved { task: *task, since: *since, why })
        });
        found.take(limit).collect()
    }
}

/// Why a live task does not run.
pub(crate) fn pending(view: View<'_>, id: TaskId) -> Option<Pending> {
    let task = view.state.live(id)?;
    match &task.stage {
        Stage::Running(_) | Stage::Between => None,
        Stage::Blocked(blocked) => Some(Pending::Blocked {
            tasks: blocked.waits_for.len(),
            subtasks: view.state.waits().subtask_count(id),
        }),
        Stage::Scheduled { until, cause } => Some(Pending::Scheduled { until: *until, cause: *cause }),
        Stage::Queued { .. } => Some(Pending::Queued(servable::obstacle(view, id, task))),
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {many}") }
}

fn blocked_reason(tasks: usize, subtasks: usize) -> String {
    match (tasks, subtasks) {
        (_, 0) => {
            format!("waits for {}", plural(tasks, "task that it depends on", "tasks that it depends on"))
        }
        (0, _) => format!("waits for {}", plural(subtasks, "subtask", "subtasks")),
        (_, _) => format!(
            "waits for {} and {}",
            plural(tasks, "task that it depends on", "tasks that it depends on"),
            plural(subtasks, "subtask", "subtasks")
        ),
    }
}

fn scheduled_reason(until: Wall, cause: Option<Requeue>) -> String {
    match cause {
        None => format!("waits until {until}, as it was asked to"),
        Some(Requeue::Backoff) => format!("rests until {until} after a failed attempt"),
        Some(Requeue::Limit) => {
            format!("rests until {until} after a limit of its credential or an overload of its service")
        }
        Some(Requeue::Crash) => format!("rests until {until} after its agent was lost"),
        Some(Requeue::Stop) => format!("rests until {until} after its agent was stopped"),
        Some(Requeue::NewSession) => format!("goes on in a new session at {until}"),
    }
}

fn queued_reason(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::Paused => "the queue is paused".into(),
        Obstacle::NoRoom(volume) => {
            format!(
                "the {volume} volume has less free space than it must; nothing starts until space is freed"
            )
        }
        Obstacle::NoAgent => "no agent is connected".into(),
        Obstacle::NoRunner(runner, None) => format!("no connected agent offers the runner {runner}"),
        Obstacle::NoRunner(runner, Some(missing)) => {
            format!("no connected agent offers the runner {runner}: {missing}")
        }
        Obstacle::NoAuto => "no connected agent offers a coding runner with a credential".into(),
        Obstacle::NoLabels(labels) => {
            let labels: Vec<_> = labels.iter().map(|label| label.as_str()).collect();
            format!("no connected agent that offers its runner has the labels {}", labels.join(", "))
        }
        Obstacle::NotServed => "this orchestrator runs only what was submitted through it".into(),
        Obstacle::Draining => "all agents that could run it are draining".into(),
        Obstacle::AgentDiskFull => {
            "all agents that could run it have less free space on their disks than they must; they take nothing until space is freed".into()
        }
        Obstacle::RunnerLimit(runner, limit) => {
            format!("the runner {runner} is at its limit of {limit} running tasks")
        }
        Obstacle::GroupLimit(group, limit) => {
            format!("the group {group} is at its limit of {limit} running tasks")
        }
        Obstacle::LabelLimit(key, value, limit) => {
            format!("the label {key}:{value} is at its limit of {limit} running tasks")
        }
        Obstacle::LaneClosed(lane) => {
            format!("its credential {lane} was refused and is closed until it changes or somebody opens it")
        }
        Obstacle::LaneRests(lane, until) => format!("its credential {lane} is at its limit until {until}"),
        Obstacle::LaneRecovers(lane, limit) => {
            format!("its credential {lane} is tried with {limit} at once after a limit")
        }
        Obstacle::Budget(short) => short_reason(short),
        Obstacle::AllWaiting => {
            "all agents that could run it are full of runs that wait for people or for tasks that they submitted; agent.max_waiting is how many of them lend their slots".into()
        }
        Obstacle::Busy => "all agents that could run it are busy".into(),
    }
}

fn short_reason(short: &Shortage) -> String {
    let Shortage { purse, unit, limit, spent, held } = short;
    let whose = match purse {
        Purse::Day => "today's budget".to_owned(),
        Purse::Group(group) => format!("today's budget of the group {group}"),
        Purse::Task(task) => format!("the budget of the task {task}"),
    };
    let [limit, spent, held] = [*limit, *spent, *held].map(|count| unit.told(count));
    format!("{whose} of {limit} has nothing left: {spent} are spent and {held} set aside for what runs")
}
