//! Reading the state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{AgentId, Incarnation, Lease, ScheduleId, Seq, TaskId};
use crate::image::{AgentImage, Part, RunImage, TaskImage};
use crate::lane::{Lane, RunnerLane};
use crate::name::Name;
use crate::schedule::Schedule;
use crate::state::queue::{Counts, Queues};
use crate::state::task::Task;
use crate::state::waits::Waits;
use crate::state::{Agent, State};
use crate::time::Wall;

/// Live tasks of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCount {
    /// The group.
    pub group: Name,
    /// Live tasks that no agent has.
    pub unassigned: u64,
    /// Tasks that an agent has.
    pub running: u64,
}

/// Queued tasks that ask for the same of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// The runner asked for.
    pub runner: Name,
    /// The labels an agent must have.
    pub requires: Box<[Name]>,
    /// How many wait.
    pub queued: u64,
    /// Since when the oldest waits.
    pub oldest: Wall,
}

impl State {
    /// The last event applied.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.seq
    }

    /// The incarnation that leads.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Whether nothing is assigned.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How many tasks are live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether no task is live.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Whether a task is live.
    #[must_use]
    pub fn contains(&self, task: TaskId) -> bool {
        self.tasks.contains_key(&task)
    }

    /// A live task as it stands.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<TaskImage> {
        self.tasks.get(&id).map(|task| self.image(id, task))
    }

    /// Whether a task runs under a lease.
    #[must_use]
    pub fn is_held(&self, task: TaskId, lease: Lease) -> bool {
        self.live(task).and_then(|task| task.run()).is_some_and(|run| run.lease == lease)
    }

    /// Whose share a live task counts against.
    #[must_use]
    pub fn group_of(&self, id: TaskId) -> Option<&Name> {
        let place = self.queues.place(self.tasks.get(&id)?.place);
        Some(&self.queues.group(place.group).name)
    }

    /// The live tasks, in no order.
    pub fn task_ids(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.tasks.keys().copied()
    }

    /// Live tasks by where they stand.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.queues.counts()
    }

    /// Live tasks by group.
    pub fn groups(&self) -> impl Iterator<Item = GroupCount> + '_ {
        self.queues.groups().map(|group| GroupCount {
            group: group.name.clone(),
            unassigned: u64::from(group.tasks - group.running),
            running: u64::from(group.running),
        })
    }

    /// Running tasks by the runner that executes them.
    pub fn running_by_runner(&self) -> impl Iterator<Item = (&Name, u32)> {
        self.queues.running_by_runner().iter().map(|(runner, count)| (runner, *count))
    }

    /// Queued tasks by what they ask of an agent.
    #[must_use]
    pub fn demand(&self) -> Vec<Demand> {
        let mut demands: BTreeMap<_, Demand> = BTreeMap::new();
        for (_, place) in self.queues.ready() {
            let Some(((queued_at, _), _)) = place.queue.first_key_value() else { continue };
            let shape = self.queues.shape(place.shape);
            let demand = demands.entry(place.shape).or_insert_with(|| Demand {
                runner: shape.runner.clone(),
                requires: shape.requires.clone(),
                queued: 0,
                oldest: *queued_at,
            });
            demand.queued += place.queue.len() as u64;
            demand.oldest = demand.oldest.min(*queued_at);
        }
        demands.into_values().collect()
    }

    /// Since when the oldest queued task waits.
    #[must_use]
    pub fn oldest_queued_at(&self) -> Option<Wall> {
        let heads = self.queues.ready().filter_map(|(_, place)| place.queue.first_key_value());
        heads.map(|((queued_at, _), _)| *queued_at).min()
    }

    /// The live subtasks of a task.
    pub fn subtasks(&self, parent: TaskId) -> impl Iterator<Item = TaskId> {
        self.waits.subtasks(parent)
    }

    /// The tasks that wait for a person.
    pub fn questions(&self) -> impl Iterator<Item = TaskId> {
        self.questions.iter().copied()
    }

    /// The tasks whose runs are kept whatever their age.
    #[must_use]
    pub fn pins(&self) -> &Arc<BTreeSet<TaskId>> {
        &self.pins
    }

    /// Whether the run of a task is kept whatever its age.
    #[must_use]
    pub fn is_pinned(&self, task: TaskId) -> bool {
        self.pins.contains(&task)
    }

    /// The agents known.
    pub fn agents(&self) -> impl Iterator<Item = &AgentImage> {
        self.agents.iter().map(|(_, agent)| &agent.image)
    }

    /// An agent.
    #[must_use]
    pub fn agent(&self, id: AgentId) -> Option<&AgentImage> {
        self.agents.get(id).map(|agent| &agent.image)
    }

    /// The agent of this name.
    #[must_use]
    pub fn agent_named(&self, name: &Name) -> Option<AgentId> {
        self.agents.named(name)
    }

    /// The leases that an agent holds, oldest first.
    pub fn leases(&self, agent: AgentId) -> impl Iterator<Item = (Lease, TaskId)> {
        self.agents.get(agent).into_iter().flat_map(|agent| agent.runs.values().copied())
    }

    /// The credentials of which there is something to say, by name.
    pub fn lanes(&self) -> impl Iterator<Item = &Lane> {
        self.lanes.iter()
    }

    /// A credential of which there is something to say.
    #[must_use]
    pub fn lane(&self, name: &Name) -> Option<&Lane> {
        self.lanes.get(name)
    }

    /// The credentials of an agent's runners.
    #[must_use]
    pub fn agent_lanes(&self, agent: AgentId) -> &[RunnerLane] {
        self.agents.get(agent).map_or(&[], |agent| &agent.lanes)
    }

    /// Whether a runner of a known agent runs under this credential.
    #[must_use]
    pub fn is_lane_offered(&self, name: &Name) -> bool {
        self.agents.iter().any(|(_, agent)| agent.lanes.iter().any(|offer| offer.lane == *name))
    }

    /// Running tasks by the credential under which they run.
    pub fn running_by_lane(&self) -> impl Iterator<Item = (&Name, u32)> {
        self.queues.running_by_lane().iter().map(|(lane, count)| (lane, *count))
    }

    /// The schedules.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.schedules.values()
    }

    /// A schedule.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<&Schedule> {
        self.schedules.get(&id)
    }
}

/// What decisions read.
impl State {
    pub(crate) fn live(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&id).map(|task| &**task)
    }

    /// A live task and the live ones above it, the nearest first.
    pub(crate) fn line(&self, id: TaskId) -> impl Iterator<Item = (TaskId, &Task)> {
        let with_id = |id: TaskId| self.live(id).map(|task| (id, task));
        std::iter::successors(with_id(id), move |(_, task)| with_id(task.parent()?))
    }

    /// All that live below a task.
    pub(crate) fn all_below(&self, id: TaskId) -> Vec<TaskId> {
        let mut below: Vec<_> = self.waits.subtasks(id).collect();
        let mut seen = 0;
        while let Some(next) = below.get(seen) {
            below.extend(self.waits.subtasks(*next));
            seen += 1;
        }
        below
    }

    pub(crate) fn live_tasks(&self) -> impl Iterator<Item = (TaskId, &Task)> {
        self.tasks.iter().map(|(id, task)| (*id, &**task))
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.queues
    }

    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    pub(crate) fn known_agent(&self, id: AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    pub(crate) fn known_agents(&self) -> impl Iterator<Item = (AgentId, &Agent)> {
        self.agents.iter()
    }

    pub(crate) fn agent_count(&self) -> usize {
        self.agents.len()
    }

    pub(crate) fn schedule_count(&self) -> usize {
        self.schedules.len()
    }

    pub(crate) fn queue_clock(&self) -> Wall {
        self.queue_clock
    }

    /// The number of the next lease, from 1: a group that was never served counts as served at 0.
    pub(crate) fn next_lease(&self) -> u64 {
        self.next_lease.max(1)
    }

    /// The run of a task that an agent holds this lease on.
    pub(crate) fn held_by(&self, agent: AgentId, lease: Lease) -> Option<(TaskId, &Task, &RunImage)> {
        let (held, task_id) = self.agents.get(agent)?.runs.get(&lease.number)?;
        if *held != lease {
            return None;
        }
        let task = self.live(*task_id)?;
        task.run().map(|run| (*task_id, task, run))
    }

    /// Notes which deadline is armed for a task. It is the only change without an event, and no part of what is kept.
    pub(crate) fn set_due(&mut self, id: TaskId, due: Option<crate::time::Mono>) {
        if let Some(task) = self.tasks.get_mut(&id) {
            task.due = due;
        }
    }
}

impl PartialEq for State {
    /// Compares what is kept; [`State::check`] says whether the rest agrees with it.
    fn eq(&self, other: &Self) -> bool {
        let sorted = |state: &Self| {
            let mut parts: Vec<_> = state.parts().collect();
            parts.sort_by_key(|part| match part {
                Part::Header(_) => (0, 0),
                Part::Agent(agent) => (1, agent.profile.agent_id.0),
                Part::Task(task) => (2, task.id.0),
                Part::Key(key) => (3, key.key.0),
                Part::Schedule(schedule) => (4, schedule.id.0),
                // They come in order already, and the sort is stable.
                Part::Token(_) => (5, 0),
                Part::Session(_) => (6, 0),
                Part::Webhook(task) => (7, task.0),
                Part::Delivery(delivery) => (8, delivery.seq.0.into()),
                Part::Lane(_) => (9, 0),
                Part::AgentLanes(lanes) => (10, lanes.agent.0),
                Part::Trouble(trouble) => (11, trouble.task.0),
                Part::Secrets(image) => (12, image.task.0),
                Part::Pin(task) => (13, task.0),
                Part::Offspring(offspring) => (14, offspring.task.0),
                Part::Told(image) => (15, image.task.0),
                Part::Budget(budget) => (16, budget.task.0),
                Part::Ledger(_) => (17, 0),
            });
            parts
        };
        sorted(self) == sorted(other)
    }
}
