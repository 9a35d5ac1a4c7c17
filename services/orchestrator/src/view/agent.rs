//! Agents and the queue as people read them.

use std::collections::BTreeMap;

use conductor_core::{AgentImage, Machine, Now};
use conductor_protocol::agent::RunnerView;
use conductor_protocol::control::{AgentView, QueueView};
use conductor_protocol::task::State;

/// An agent.
pub(crate) fn agent_view(machine: &Machine, image: &AgentImage) -> AgentView {
    let profile = &image.profile;
    let tasks: Vec<_> = machine.state().leases(profile.agent_id).map(|(_, task)| task).collect();
    let live = machine.agent(profile.agent_id);
    let connected = live.as_ref().is_some_and(|agent| agent.connected);
    let draining = live.as_ref().is_some_and(|agent| agent.draining);
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
        free: if connected { profile.slots.saturating_sub(busy) } else { 0 },
        labels: profile.labels.iter().map(ToString::to_string).collect(),
        runners: profile
            .runners
            .iter()
            .map(|offer| RunnerView {
                name: offer.runner.to_string(),
                version: offer.version.as_deref().map(ToOwned::to_owned),
                ready: offer.ready,
                missing: offer.missing.as_deref().map(ToOwned::to_owned),
                ..RunnerView::default()
            })
            .collect(),
        tasks,
        joined_at: image.joined_at,
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
    }
}
