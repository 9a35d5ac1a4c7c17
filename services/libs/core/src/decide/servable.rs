//! What stands between a queued task and an agent.

use crate::budget::{Meter, Shortage};
use crate::command::Volume;
use crate::context::View;
use crate::decide::{budget, lane};
use crate::id::{Seq, TaskId};
use crate::live::Session;
use crate::name::Name;
use crate::state::Agent;
use crate::state::queue::{Order, Place, Shape};
use crate::state::task::Task;
use crate::task::{AUTO, AUTO_ORDER, MOCK};
use crate::time::Wall;

/// How many tasks of a place are looked past when their labels are at a limit.
pub const LOOK_PAST: usize = 64;

/// What stands between a queued task and an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// Nothing is assigned.
    Paused,
    /// A volume is below its floor of free space.
    NoRoom(Volume),
    /// No agent is connected.
    NoAgent,
    /// No agent offers it, and what is missing where it is known.
    NoRunner(Name, Option<Box<str>>),
    /// No agent offers a coding runner with a credential.
    NoAuto,
    /// No agent that offers its runner has these labels.
    NoLabels(Box<[Name]>),
    /// All agents that could run it are draining.
    Draining,
    /// All agents that could run it and do not drain lack room on disks of their own.
    AgentDiskFull,
    /// It was submitted before what this machine is to run.
    NotServed,
    /// As many tasks of its runner run as may.
    RunnerLimit(Name, u32),
    /// As many tasks of its group run as may.
    GroupLimit(Name, u32),
    /// As many tasks with a label of it, a key and a value, run as may.
    LabelLimit(Name, Name, u32),
    /// Its credential was refused, and nothing runs under it.
    LaneClosed(Name),
    /// Its credential is at a limit until then.
    LaneRests(Name, Wall),
    /// As many tasks run under its credential as may after a limit.
    LaneRecovers(Name, u32),
    /// A budget has nothing left to set aside for it.
    Budget(Box<Shortage>),
    /// All agents that could run it are full of runs that wait, for people or for tasks that they submitted.
    AllWaiting,
    /// All agents that could run it are busy.
    Busy,
}

/// The agents that are connected.
pub(crate) fn connected<'v>(view: View<'v>) -> impl Iterator<Item = (&'v Agent, &'v Session)> {
    let pairs = view.live.sessions.iter().filter(|(_, session)| session.connected);
    pairs.filter_map(move |(id, session)| Some((view.state.known_agent(*id)?, session)))
}

/// Whether an agent is there and is to stay.
fn stays(agent: &Agent, session: &Session) -> bool {
    session.connected && !session.draining && !agent.image.draining && !agent.image.revoked
}

/// Whether an agent takes tasks at all.
pub(crate) fn takes_tasks(agent: &Agent, session: &Session) -> bool {
    stays(agent, session) && !session.disk_full
}

/// What `auto` means now: the first coding runner that a connected agent offers, else perhaps the mock.
pub(crate) fn resolve_auto(view: View<'_>) -> Option<Name> {
    for wanted in AUTO_ORDER {
        for (agent, _) in connected(view) {
            let offers = &agent.image.profile.runners;
            if let Some(offer) = offers.iter().find(|offer| offer.ready && offer.runner.as_str() == wanted) {
                return Some(offer.runner.clone());
            }
        }
    }
    view.policy.auto_mock.then(|| Name::new(MOCK).expect("the mock's name is a name"))
}

/// The runner that a shape means now.
pub(crate) fn resolve(view: View<'_>, shape: &Shape) -> Option<Name> {
    if shape.runner.as_str() == AUTO { resolve_auto(view) } else { Some(shape.runner.clone()) }
}

/// The label of a task that is at its limit.
pub(crate) fn full_label<'t>(view: View<'_>, task: &'t Task) -> Option<(&'t (Name, Name), u32)> {
    if view.policy.labels.is_empty() {
        return None;
    }
    let running = view.state.queues().running_by_label();
    task.labels().iter().find_map(|label| {
        let limit = *view.policy.labels.get(label)?;
        (running.get(label).copied().unwrap_or(0) >= limit).then_some((label, limit))
    })
}

/// The first task of a place that may be given now.
pub(crate) fn first_free<'v>(
    view: View<'v>,
    place: &'v Place,
    meter: Meter,
) -> Option<(&'v Order, &'v TaskId)> {
    let after = view.policy.assign_after;
    // Those submitted after that event were queued after the machine began, so those that waited then are not walked over.
    let begin = if after == Seq(0) { Order::default() } else { (view.live.began_at, after.next()) };
    let mut meant = place.queue.range(begin..).filter(|((_, seq), _)| *seq > after);
    if view.policy.labels.is_empty() && meter == Meter::Nothing {
        return meant.next();
    }
    meant.take(LOOK_PAST).find(|(_, id)| {
        let task = view.state.live(**id).expect("a queued task is live");
        full_label(view, task).is_none() && budget::allowance(view, task, **id, meter).is_ok()
    })
}

/// The limit of a runner that is reached.
pub(crate) fn full_runner(view: View<'_>, runner: &Name) -> Option<u32> {
    let limit = *view.policy.runners.get(runner)?;
    (view.state.queues().running_under(runner) >= limit).then_some(limit)
}

/// The limit of a group that is reached.
pub(crate) fn full_group(view: View<'_>, group: &Name, running: u32) -> Option<u32> {
    let limit = view.policy.groups.get(group)?.max_running?;
    (running >= limit).then_some(limit)
}

/// What stands between an agent's credential for a runner and another run under it.
pub(crate) fn lane_obstacle(view: View<'_>, agent: &Agent, runner: &Name) -> Option<Obstacle> {
    lane::obstacle(view, agent.lane_of(runner)?)
}

/// Whether a connected agent could run a task under another credential than this one.
pub(crate) fn has_another_lane(view: View<'_>, task: &Task, lane: Option<&Name>) -> bool {
    let shape = view.state.queues().shape(view.state.queues().place(task.place).shape);
    let Some(runner) = resolve(view, shape) else { return false };
    connected(view).any(|(agent, session)| {
        let profile = &agent.image.profile;
        takes_tasks(agent, session)
            && profile.offers(runner.as_str())
            && profile.has_labels(&shape.requires)
            && agent.lane_of(&runner) != lane
            && lane_obstacle(view, agent, &runner).is_none()
    })
}

/// What stands between a queued task and an agent.
pub(crate) fn obstacle(view: View<'_>, id: TaskId, task: &Task) -> Obstacle {
    let queues = view.state.queues();
    let place = queues.place(task.place);
    let shape = queues.shape(place.shape);
    let group = queues.group(place.group);
    if view.state.is_paused() {
        return Obstacle::Paused;
    }
    if let Some(volume) = view.live.lacking {
        return Obstacle::NoRoom(volume);
    }
    if task.submitted_seq <= view.policy.assign_after {
        return Obstacle::NotServed;
    }
    if connected(view).next().is_none() {
        return Obstacle::NoAgent;
    }
    let Some(runner) = resolve(view, shape) else { return Obstacle::NoAuto };
    let offers: Vec<_> =
        connected(view).filter(|(agent, _)| agent.image.profile.offers(runner.as_str())).collect();
    if offers.is_empty() {
        let known = connected(view).flat_map(|(agent, _)| agent.image.profile.runners.iter());
        let missing = known.filter(|offer| offer.runner == runner).find_map(|offer| offer.missing.clone());
        return Obstacle::NoRunner(runner, missing);
    }
    let mut fit =
        offers.iter().filter(|(agent, _)| agent.image.profile.has_labels(&shape.requires)).peekable();
    if fit.peek().is_none() {
        return Obstacle::NoLabels(shape.requires.clone());
    }
    let mut staying = fit.filter(|(agent, session)| stays(agent, session)).peekable();
    if staying.peek().is_none() {
        return Obstacle::Draining;
    }
    let taking: Vec<_> = staying.filter(|(_, session)| !session.disk_full).map(|(agent, _)| *agent).collect();
    if taking.is_empty() {
        return Obstacle::AgentDiskFull;
    }
    let lanes: Vec<_> = taking.iter().map(|agent| lane_obstacle(view, agent, &runner)).collect();
    if lanes.iter().all(Option::is_some)
        && let Some(obstacle) = lanes.into_iter().flatten().next()
    {
        return obstacle;
    }
    if let Some(limit) = full_runner(view, &runner) {
        return Obstacle::RunnerLimit(runner, limit);
    }
    if let Some(limit) = full_group(view, &group.name, group.running) {
        return Obstacle::GroupLimit(group.name.clone(), limit);
    }
    if let Some(((key, value), limit)) = full_label(view, task) {
        return Obstacle::LabelLimit(key.clone(), value.clone(), limit);
    }
    if let Err(short) = budget::allowance(view, task, id, view.policy.budgets.meter(&runner)) {
        return Obstacle::Budget(Box::new(short));
    }
    match taking.iter().all(|agent| is_full_of_waiting(view, agent)) {
        true => Obstacle::AllWaiting,
        false => Obstacle::Busy,
    }
}

/// Whether an agent has no slot left, and all that it runs waits: it lends the slots of no more such runs then.
fn is_full_of_waiting(view: View<'_>, agent: &Agent) -> bool {
    let waits = |task: TaskId| {
        let run = view.state.live(task).and_then(Task::run);
        view.state.waits().has_subtasks(task) || run.is_some_and(|run| run.question.is_some())
    };
    let slots = usize::try_from(agent.image.profile.slots).unwrap_or(usize::MAX);
    agent.runs.len() >= slots && agent.runs.values().all(|(_, task)| waits(*task))
}
