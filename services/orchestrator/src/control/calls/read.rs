//! Reading: one task, agents, the queue, the orchestrator itself.

use std::sync::atomic::Ordering;
use std::time::Duration;

use conductor_core::{Machine, Seq, StageImage, TaskId};
use conductor_protocol::agent::LogPosition;
use conductor_protocol::control::{AgentView, Counters, FilesView, QueueView, StatusView, Wait};
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::task::TaskView;
use conductor_protocol::{Code, Problem, limits};
use conductor_runtime::telemetry::LokiDropped;
use conductor_store::log::PayloadKey;

use super::super::Context;
use crate::view::{self, Live};

/// One task: from the machine while it lives, else from History.
pub(super) async fn get(context: &Context, task: TaskId) -> Result<TaskView, Problem> {
    let (live, seq) = context
        .engine
        .look(move |machine, _| {
            let live = live(machine, task);
            let seq = live.as_ref().map_or(machine.state().seq(), |live| live.image.seq);
            (live, seq)
        })
        .await?;
    put_together(context, task, live, seq).await
}

/// What the machine says of a task.
fn live(machine: &Machine, task: TaskId) -> Option<Live> {
    let image = machine.state().task(task)?;
    let agent = match &image.stage {
        StageImage::Running(run) => machine.state().agent(run.agent).map(|agent| agent.profile.name.clone()),
        StageImage::Blocked { .. } | StageImage::Scheduled { .. } | StageImage::Queued { .. } => None,
    };
    Some(Live { pending_reason: machine.pending_reason(task), agent, image })
}

async fn put_together(
    context: &Context,
    task: TaskId,
    live: Option<Live>,
    seq: Seq,
) -> Result<TaskView, Problem> {
    let reached = context.follower.reach(seq).await;
    let log = context.log.clone();
    let (record, body) = context
        .follower
        .read(move |history| {
            let record = history.tasks(&[task])?.into_iter().next().flatten();
            let body = log.payloads(&[PayloadKey::from(task)]);
            Ok((record, body))
        })
        .await?;
    let body = match body {
        Ok(bodies) => bodies.into_iter().next().flatten(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, %task, "failed to read a task's body");
            None
        }
    };
    let body: Option<SubmitTask> = body.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    view::task_view(record.as_ref(), live.as_ref(), body).ok_or_else(|| match reached {
        true => Problem::new(Code::NotFound, format!("there is no task {task}")),
        false => behind(),
    })
}

/// Nobody can tell yet whether a task is there.
pub(super) fn behind() -> Problem {
    Problem::new(Code::Unavailable, "the history is behind; ask again").retry_after(1)
}

/// One task, when it is over or time is up.
pub(super) async fn wait(context: &Context, call: Wait) -> Result<TaskView, Problem> {
    let most = Duration::from_millis(call.timeout_ms.min(limits::MAX_WAIT_SECONDS * 1_000));
    match tokio::time::timeout(most, context.engine.watch(call.id)).await {
        Ok(Ok(_)) | Err(_) => get(context, call.id).await,
        Ok(Err(problem)) => Err(problem),
    }
}

/// What waits for a person.
pub(super) async fn questions(context: &Context) -> Result<Vec<TaskView>, Problem> {
    let waiting: Vec<(TaskId, Option<Live>, Seq)> = context
        .engine
        .look(|machine, _| {
            let tasks = machine.state().questions().take(limits::MAX_PAGE as usize);
            tasks.map(|task| (task, live(machine, task), machine.state().seq())).collect()
        })
        .await?;
    let mut views = Vec::with_capacity(waiting.len());
    for (task, live, seq) in waiting {
        views.push(put_together(context, task, live, seq).await?);
    }
    Ok(views)
}

/// All agents.
pub(super) async fn agents(context: &Context) -> Result<Vec<AgentView>, Problem> {
    context
        .engine
        .look(|machine, _| machine.state().agents().map(|image| view::agent_view(machine, image)).collect())
        .await
}

/// The queue.
pub(super) async fn queue(context: &Context) -> Result<QueueView, Problem> {
    context.engine.look(view::queue_view).await
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
    })
}

/// What a run left.
pub(super) async fn files(context: &Context, task: TaskId) -> Result<FilesView, Problem> {
    let view = get(context, task).await?;
    let result = view.result.unwrap_or_default();
    let folder = context.workspace.join("tasks").join(task.to_string());
    Ok(FilesView {
        files: result.files,
        files_total: result.files_total,
        folder: folder.display().to_string(),
    })
}
