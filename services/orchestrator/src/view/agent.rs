//! Agents and the queue as people read them.

use std::collections::{BTreeMap, BTreeSet};

use conductor_core::{AgentId, AgentImage, Lane, Machine, Name, Now, RunnerOffer};
use conductor_protocol::control::{
    AgentRunner, AgentView, BudgetView, LaneState, LaneView, QueueView, WantedView,
};
use conductor_protocol::task::State;

/// An agent.
pub(crate) fn agent_view(machine: &Machine, image: &AgentImage) -> AgentView {
    let profile = &image.profile;
    let tasks: Vec<_> = machine.state().leases(profile.agent_id).map(|(_, task)| task).collect();
    let live = machine.agent(profile.agent_id);
    let connected = live.as_ref().is_some_and(|agent| agent.connected);
    let draining = live.as_ref().is_some_and(|agent| agent.draining);
    let disk_full = live.as_ref().is_some_and(|agent| agent.disk_full);
    let state = match (image.revoked, connected, draining) {
        (true, _, _) => "revoked",
        (false, false, _) => "gone",
        (false, true, true) => "draining",
        (false, true, false) => "connected",
    };
    let busy = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    AgentView {
        name: profile.name.to_string(),
        agent_id: profile.agent_id,
        host: profile.host.to_string(),
        version: profile.version.to_string(),
        state: state.to_owned(),
        slots: profile.slots,
        free: if connected && !disk_full { profile.slots.saturating_sub(busy) } else { 0 },
        labels: profile.labels.iter().map(ToString::to_string).collect(),
        runners: profile.runners.iter().map(|offer| runner(machine, profile.agent_id, offer)).collect(),
        tasks,
        joined_at: image.joined_at,
        disk_full,
    }
}

/// A runner of an agent, as far as the machine knows it.
fn runner(machine: &Machine, agent: AgentId, offer: &RunnerOffer) -> AgentRunner {
    let state = machine.state();
    let lane = state.agent_lanes(agent).iter().find(|lane| lane.runner == offer.runner).map(|it| &it.lane);
    AgentRunner {
        name: offer.runner.to_string(),
        version: offer.version.as_deref().map(ToOwned::to_owned),
        ready: offer.ready,
        missing: offer.missing.as_deref().map(ToOwned::to_owned),
        lane: lane.map(ToString::to_string),
        lane_state: lane.map(|name| lane_state(state.lane(name))),
        lane_until: lane.and_then(|name| state.lane(name)).and_then(|lane| lane.rests_until),
        ..AgentRunner::default()
    }
}

fn lane_state(lane: Option<&Lane>) -> LaneState {
    match lane {
        Some(lane) if lane.closed => LaneState::Closed,
        Some(lane) if lane.rests_until.is_some() => LaneState::Resting,
        Some(lane) if lane.at_once().is_some() => LaneState::Recovering,
        Some(_) | None => LaneState::Open,
    }
}

/// The queue.
pub(crate) fn queue_view(machine: &Machine, now: Now) -> QueueView {
    let state = machine.state();
    let counts = state.counts();
    let mut by_runner: BTreeMap<String, u64> = BTreeMap::new();
    for demand in state.demand() {
        *by_runner.entry(demand.runner.to_string()).or_default() += demand.queued;
    }
    let agents: Vec<_> = state.agents().map(|image| agent_view(machine, image)).collect();
    let connected = agents.iter().filter(|agent| agent.state == "connected");
    let oldest_ms = state.oldest_queued_at().map(|at| now.wall.0.saturating_sub(at.0).max(0));
    QueueView {
        paused: state.is_paused(),
        by_state: vec![
            (State::Blocked, counts.blocked),
            (State::Scheduled, counts.scheduled),
            (State::Queued, counts.queued),
            (State::Running, counts.running),
            (State::Waiting, counts.waiting),
        ],
        queued_by_runner: by_runner.into_iter().collect(),
        queued_by_group: state.groups().map(|group| (group.group.to_string(), group.unassigned)).collect(),
        oldest_seconds: oldest_ms.map(|ms| ms as f64 / 1_000.0),
        slots: connected.clone().map(|agent| u64::from(agent.slots)).sum(),
        free: connected.map(|agent| u64::from(agent.free)).sum(),
        wanted: wanted(state, now),
        lanes: lanes(state),
        budgets: budgets(machine, now),
    }
}

/// What may be spent today, and what is.
fn budgets(machine: &Machine, now: Now) -> Vec<BudgetView> {
    let rules = &machine.policy().budgets;
    let groups = rules.groups.iter().map(|(group, limit)| (Some(group), *limit));
    let all = std::iter::once((None, rules.day)).chain(groups);
    let view = |(group, limit): (Option<&Name>, conductor_core::Limit)| {
        let (spent, held) = machine.spent_today(now, group);
        let usd = |micros: u64| micros as f64 / 1e6;
        BudgetView {
            group: group.map(ToString::to_string),
            since: rules.day_of(now.wall),
            until: rules.next_day(now.wall),
            limit_usd: limit.usd_micros.map(usd),
            spent_usd: usd(spent.usd_micros),
            reserved_usd: usd(held.usd_micros),
            limit_tokens: limit.tokens,
            spent_tokens: spent.tokens,
            reserved_tokens: held.tokens,
        }
    };
    all.map(view).collect()
}

fn wanted(state: &conductor_core::State, now: Now) -> Vec<WantedView> {
    let view = |demand: conductor_core::Demand| WantedView {
        runner: demand.runner.to_string(),
        requires: demand.requires.iter().map(ToString::to_string).collect(),
        queued: demand.queued,
        oldest_seconds: now.wall.0.saturating_sub(demand.oldest.0).max(0) as f64 / 1_000.0,
    };
    state.demand().into_iter().map(view).collect()
}

/// The credentials of all known agents.
fn lanes(state: &conductor_core::State) -> Vec<LaneView> {
    let mut users: BTreeMap<&Name, (BTreeSet<&Name>, BTreeSet<&Name>)> = BTreeMap::new();
    for agent in state.agents() {
        for offer in state.agent_lanes(agent.profile.agent_id) {
            let (runners, agents) = users.entry(&offer.lane).or_default();
            runners.insert(&offer.runner);
            agents.insert(&agent.profile.name);
        }
    }
    let running: BTreeMap<_, _> = state.running_by_lane().collect();
    let texts = |names: BTreeSet<&Name>| names.into_iter().map(ToString::to_string).collect();
    let view = |(name, (runners, agents)): (&Name, _)| {
        let lane = state.lane(name);
        LaneView {
            name: name.to_string(),
            state: lane_state(lane),
            until: lane.and_then(|lane| lane.rests_until),
            at_once: lane.and_then(Lane::at_once),
            running: running.get(name).copied().unwrap_or(0),
            runners: texts(runners),
            agents: texts(agents),
        }
    };
    users.into_iter().map(view).collect()
}
