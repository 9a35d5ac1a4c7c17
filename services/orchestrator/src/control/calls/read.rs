//! Reading: agents, the queue, the orchestrator itself.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use conductor_core::{Machine, Name, TaskId};
use conductor_protocol::Problem;
use conductor_protocol::agent::LogPosition;
use conductor_protocol::control::{AgentView, Counters, FilesView, QueueView, RunnerOffer, StatusView};
use conductor_runtime::telemetry::LokiDropped;

use super::super::Context;
use super::super::caller::Caller;
use crate::view;

/// All agents, with those of their tasks that the caller may see. Credentials are known over all groups together, so they are
/// told to whom all groups are.
pub(super) async fn agents(context: &Context, caller: &Caller) -> Result<Vec<AgentView>, Problem> {
    let asks = caller.clone();
    let mut agents: Vec<AgentView> = context
        .engine
        .look(move |machine, _| {
            let state = machine.state();
            let seen = |task: &TaskId| state.group_of(*task).is_some_and(|group| asks.sees(group));
            let agent = |image| {
                let mut agent = view::agent_view(machine, image);
                agent.tasks.retain(seen);
                agent
            };
            state.agents().map(agent).collect()
        })
        .await?;
    for agent in &mut agents {
        context.offers.add_to(agent);
        if !caller.sees_everything() {
            for runner in &mut agent.runners {
                (runner.lane, runner.lane_state, runner.lane_until) = (None, None, None);
            }
        }
    }
    Ok(agents)
}

/// The runners that tasks can name, and the agents that offer them.
pub(super) async fn runners(context: &Context) -> Result<Vec<RunnerOffer>, Problem> {
    let known = context.defaults.runners.clone();
    let agents = agents_of_everybody(context).await?;
    let mut offers: BTreeMap<String, RunnerOffer> = BTreeMap::new();
    for name in known {
        offers.entry(name.to_string()).or_insert_with(|| offer(name.as_str()));
    }
    for agent in agents.iter().filter(|agent| agent.state == "connected") {
        for runner in agent.runners.iter().filter(|runner| runner.ready) {
            let offer = offers.entry(runner.name.clone()).or_insert_with(|| offer(&runner.name));
            offer.agents.push(agent.name.clone());
            offer.free += u64::from(agent.free);
            if offer.version.is_none() {
                offer.version.clone_from(&runner.version);
            }
        }
    }
    Ok(offers.into_values().collect())
}

fn offer(name: &str) -> RunnerOffer {
    RunnerOffer { name: name.to_owned(), agents: Vec::new(), version: None, free: 0 }
}

async fn agents_of_everybody(context: &Context) -> Result<Vec<AgentView>, Problem> {
    let all =
        |machine: &Machine| machine.state().agents().map(|image| view::agent_view(machine, image)).collect();
    context.engine.look(move |machine, _| all(machine)).await
}

/// The queue. To a caller of some groups it tells of these: where their tasks stand as History counts them, and what of
/// theirs waits; what is known over all groups together alone is left out.
pub(super) async fn queue(context: &Context, caller: &Caller) -> Result<QueueView, Problem> {
    let mut queue = context.engine.look(view::queue_view).await?;
    if caller.sees_everything() {
        return Ok(queue);
    }
    let counts = super::list::stats(context, caller.visible()).await?.by_state;
    queue.by_state = counts.into_iter().filter(|(state, _)| !state.is_terminal()).collect();
    queue.queued_by_group.retain(|(group, _)| Name::new(group).is_ok_and(|group| caller.sees(&group)));
    queue.queued_by_runner.clear();
    queue.wanted.clear();
    queue.lanes.clear();
    let is_seen = |group: &str| Name::new(group).is_ok_and(|group| caller.sees(&group));
    queue.budgets.retain(|budget| budget.group.as_deref().is_some_and(is_seen));
    queue.oldest_seconds = None;
    Ok(queue)
}

/// The orchestrator itself.
pub(crate) async fn status(context: &Context) -> Result<StatusView, Problem> {
    let (paused, counters) =
        context.engine.look(|machine, _| (machine.state().is_paused(), machine.counters())).await?;
    let gate = context.engine.gate();
    let log = context.log.status();
    let durable = log.last.0;
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: context.started_at,
        log: LogPosition { id: crate::log_id_text(log.log), seq: durable },
        history_lag: gate.history_lag(),
        workspace: context.workspace.display().to_string(),
        state_dir: context.state_dir.display().to_string(),
        state_free_bytes: conductor_runtime::volume::space(&context.state_dir)
            .map_or(0, |space| space.free_bytes),
        storage_full: gate.is_storage_full(),
        paused,
        draining: gate.is_draining(),
        counters: Counters {
            batches: gate.counters.batches.load(Ordering::Relaxed),
            events: gate.counters.events.load(Ordering::Relaxed),
            leases_expired: counters.leases_expired,
            stale_reports_refused: counters.stale_reports,
            loki_dropped: context.loki_dropped.as_ref().map_or(0, LokiDropped::total),
        },
        embedded: context.embedded,
        first_event: log.first.0,
    })
}

/// What a run left.
pub(super) async fn files(context: &Context, task: TaskId) -> Result<FilesView, Problem> {
    let view = super::one::get(context, task).await?;
    let result = view.result.unwrap_or_default();
    let folder = context.workspace.join("tasks").join(task.to_string());
    Ok(FilesView {
        files: result.files,
        files_total: result.files_total,
        folder: folder.display().to_string(),
    })
}
