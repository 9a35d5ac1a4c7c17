//! Giving queued tasks to agents with free slots.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::budget::Meter;
use crate::command::Effect;
use crate::context::{Context, View};
use crate::decide::{budget, servable};
use crate::event::EventKind;
use crate::id::{AgentId, Lease, Seq, TaskId};
use crate::name::Name;
use crate::state::queue::{PlaceId, ShapeId};

/// How many tasks one step assigns at most.
pub const ASSIGNMENTS_A_STEP: usize = 1_024;

/// An agent with credits.
struct Taker {
    agent: AgentId,
    credits: u32,
}

/// What serves a shape during one pass.
struct Servers {
    runner: Name,
    meter: Meter,
    takers: Vec<usize>,
}

/// Which place is served first: the least one. Within a pass a place only gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Priority with what waiting adds, highest first.
    level: Reverse<i64>,
    /// The group that runs least, then the one served longest ago.
    group_running: u32,
    group_served: u64,
    /// The task that waits longest, weighed by its priority.
    key: i128,
    seq: Seq,
    place: PlaceId,
    task: TaskId,
}

/// Fills free slots; answers whether the step's limit was reached.
pub(crate) fn assign(step: &mut Context<'_>) -> bool {
    let Some(mut pass) = Pass::begin(step.view()) else { return false };
    let mut assigned = 0;
    while let Some((rank, taker, runner)) = pass.choose(step.view()) {
        if assigned == ASSIGNMENTS_A_STEP {
            return true;
        }
        assigned += 1;
        give(step, rank.task, taker, runner);
        pass.offer(step.view(), rank.place);
    }
    false
}

fn give(step: &mut Context<'_>, id: TaskId, agent: AgentId, runner: Name) {
    let state = step.state();
    let task = state.live(id).expect("a queued task is live");
    let lease = Lease { incarnation: state.incarnation(), number: state.next_lease() };
    let (attempt, timeout_ms, after) = (task.attempt + 1, task.timeout_ms, task.last_end);
    let secrets: Box<[Name]> = task.secrets().into();
    let told = task.told().to_vec();
    let group = state.group_of(id).expect("it is live").clone();
    let meter = step.policy().budgets.meter(&runner);
    let allowance = budget::allowance(step.view(), task, id, meter);
    let allowance = allowance.expect("a task is chosen when its budgets have something left");
    step.emit(EventKind::TaskAssigned { task: id, agent, lease, attempt, runner: runner.clone() });
    if !secrets.is_empty() {
        step.emit(EventKind::SecretsUsed { task: id, lease, secrets });
    }
    if let Some(allowance) = allowance {
        budget::hold(step, id, lease, allowance);
    }
    let limit = allowance.map(|allowance| allowance.limit).unwrap_or_default();
    step.effect(Effect::Assign { agent, task: id, lease, attempt, runner, group, timeout_ms, after, limit });
    if step.state().waits().has_subtasks(id) {
        step.effect(Effect::Below { agent, lease, any: true });
    }
    for message in told {
        step.effect(Effect::Tell { agent, lease, message });
    }
    let session = step.live().sessions.get_mut(&agent).expect("only a connected agent is given tasks");
    session.credits -= 1;
    super::agent::arm(step, agent);
}

/// Whether an agent's credential for a runner takes another run.
fn has_free_lane(view: View<'_>, agent: AgentId, runner: &Name) -> bool {
    let agent = view.state.known_agent(agent).expect("a taker is known");
    servable::lane_obstacle(view, agent, runner).is_none()
}

/// One pass over the queue. What it knows of agents and shapes stays right until it ends, for only credits and counts
/// change in between.
struct Pass {
    takers: Vec<Taker>,
    servers: BTreeMap<ShapeId, Option<Servers>>,
    auto: Option<Name>,
    places: BinaryHeap<Reverse<Rank>>,
}

impl Pass {
    /// Looks at who could take what; none when there is nothing to do.
    fn begin(view: View<'_>) -> Option<Self> {
        if view.state.is_paused() || view.live.lacking.is_some() || view.state.counts().queued == 0 {
            return None;
        }
        let with_credits = servable::connected(view)
            .filter(|(agent, session)| session.credits > 0 && servable::takes_tasks(agent, session));
        let takers: Vec<_> = with_credits
            .map(|(agent, session)| Taker { agent: agent.image.profile.agent_id, credits: session.credits })
            .collect();
        if takers.is_empty() {
            return None;
        }
        let auto = servable::resolve_auto(view);
        let mut pass = Self { takers, servers: BTreeMap::new(), auto, places: BinaryHeap::new() };
        let ranks = view.state.queues().ready().filter_map(|(place, _)| pass.rank(view, place));
        let ranks: Vec<_> = ranks.map(Reverse).collect();
        pass.places = ranks.into();
        Some(pass)
    }

    /// The next task to give, to whom, and under which runner.
    fn choose(&mut self, view: View<'_>) -> Option<(Rank, AgentId, Name)> {
        while let Some(Reverse(rank)) = self.places.pop() {
            let Some(now) = self.rank(view, rank.place) else { continue };
            if now > rank {
                self.places.push(Reverse(now));
                continue;
            }
            let shape = view.state.queues().place(rank.place).shape;
            let Some(Some(servers)) = self.servers.get(&shape) else { continue };
            let free = servers.takers.iter().copied().filter(|index| {
                let taker = &self.takers[*index];
                taker.credits > 0 && has_free_lane(view, taker.agent, &servers.runner)
            });
            let Some(best) = free.max_by_key(|index| (self.takers[*index].credits, Reverse(*index))) else {
                continue;
            };
            let runner = servers.runner.clone();
            self.takers[best].credits -= 1;
            return Some((rank, self.takers[best].agent, runner));
        }
        None
    }

    /// Puts a place back after one of its tasks was given away.
    fn offer(&mut self, view: View<'_>, place: PlaceId) {
        if let Some(rank) = self.rank(view, place) {
            self.places.push(Reverse(rank));
        }
    }

    /// How a place stands; none when nothing of it can be given now.
    fn rank(&mut self, view: View<'_>, id: PlaceId) -> Option<Rank> {
        let queues = view.state.queues();
        let place = queues.place(id);
        let servers = self.servers(view, place.shape)?;
        let meter = servers.meter;
        let group = queues.group(place.group);
        if servable::full_runner(view, &servers.runner).is_some()
            || servable::full_group(view, &group.name, group.running).is_some()
        {
            return None;
        }
        let ((queued_at, seq), task) = servable::first_free(view, place, meter)?;
        let ageing_ms = i64::try_from(view.policy.ageing_ms.max(1)).unwrap_or(i64::MAX);
        let waited_ms = view.now.wall.0.saturating_sub(queued_at.0).max(0);
        let priority = i64::from(place.priority.get());
        Some(Rank {
            level: Reverse(priority + waited_ms / ageing_ms),
            group_running: group.running,
            group_served: group.last_served,
            key: i128::from(queued_at.0) - i128::from(priority) * i128::from(ageing_ms),
            seq: *seq,
            place: id,
            task: *task,
        })
    }

    /// Who serves a shape, worked out once a pass.
    fn servers(&mut self, view: View<'_>, id: ShapeId) -> Option<&Servers> {
        let (takers, auto) = (&self.takers, &self.auto);
        let found = self.servers.entry(id).or_insert_with(|| {
            let shape = view.state.queues().shape(id);
            let runner =
                if shape.runner.as_str() == crate::task::AUTO { auto.clone()? } else { shape.runner.clone() };
            let fits = |taker: &Taker| {
                view.state.known_agent(taker.agent).is_some_and(|agent| {
                    let profile = &agent.image.profile;
                    profile.offers(runner.as_str()) && profile.has_labels(&shape.requires)
                })
            };
            let able = takers.iter().enumerate().filter(|(_, taker)| fits(taker)).map(|(index, _)| index);
            let able: Vec<_> = able.collect();
            let meter = view.policy.budgets.meter(&runner);
            (!able.is_empty()).then_some(Servers { runner, meter, takers: able })
        });
        found.as_ref()
    }
}
