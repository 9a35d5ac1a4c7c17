//! One task, as the machine and History together tell of it.

use std::time::Duration;

use conductor_core::{Machine, Seq, StageImage, TaskId};
use conductor_protocol::control::Wait;
use conductor_protocol::submit::SubmitTask;
use conductor_protocol::task::{State, TaskView};
use conductor_protocol::{Code, Problem, limits};
use conductor_store::history::TaskRecord;
use conductor_store::log::PayloadKey;

use super::super::Context;
use super::super::caller::Caller;
use crate::view::{self, Live};

/// How often a task is looked at that goes on between the look at the machine and the one at History.
const LOOKS: usize = 5;

/// One task: from the machine while it lives, else from History.
pub(crate) async fn get(context: &Context, task: TaskId) -> Result<TaskView, Problem> {
    put_together(context, look(context, task).await?).await
}

/// What the machine says of a task, and how far History must have come to say the rest.
struct Seen {
    task: TaskId,
    live: Option<Live>,
    seq: Seq,
    is_pinned: bool,
}

impl Seen {
    fn of(machine: &Machine, task: TaskId, reach: Seq) -> Self {
        let state = machine.state();
        let live = live(machine, task);
        let seq = live.as_ref().map_or(reach, |live| live.image.seq);
        Self { task, live, seq, is_pinned: state.is_pinned(task) }
    }

    /// Whether the machine may say more of a task than it did before History had come this far.
    fn is_outdated_by(&self, record: &TaskRecord) -> bool {
        record.outcome.is_none() && self.live.as_ref().is_none_or(|live| live.image.seq < record.seq)
    }
}

async fn look(context: &Context, task: TaskId) -> Result<Seen, Problem> {
    context.engine.look(move |machine, _| Seen::of(machine, task, machine.state().seq())).await
}

/// What the machine says of a task.
fn live(machine: &Machine, task: TaskId) -> Option<Live> {
    let image = machine.state().task(task)?;
    let agent = match &image.stage {
        StageImage::Running(run) => machine.state().agent(run.agent).map(|agent| agent.profile.name.clone()),
        StageImage::Blocked { .. } | StageImage::Scheduled { .. } | StageImage::Queued { .. } => None,
    };
    Some(Live { pending: machine.pending(task), agent, used: machine.used(task), image })
}

/// Puts a task together of what the machine says and what History has. One that went on in between is looked at again: only
/// the machine knows what it waits for now.
async fn put_together(context: &Context, mut seen: Seen) -> Result<TaskView, Problem> {
    let mut looks = 1;
    let (reached, kept) = loop {
        let (reached, kept) = read(context, &seen).await?;
        let is_outdated = kept.record.as_ref().is_some_and(|record| seen.is_outdated_by(record));
        if !(reached && is_outdated) || looks == LOOKS {
            break (reached, kept);
        }
        looks += 1;
        seen = look(context, seen.task).await?;
    };
    let Seen { task, live, is_pinned, .. } = seen;
    let view =
        view::task_view(kept.record.as_ref(), live.as_ref(), kept.body).ok_or_else(|| match reached {
            true => Problem::new(Code::NotFound, format!("there is no task {task}")),
            false => behind(),
        })?;
    Ok(TaskView { pinned: is_pinned, ..view })
}

/// What is kept of a task.
struct Kept {
    record: Option<TaskRecord>,
    body: Option<SubmitTask>,
}

/// What is kept of a task, and whether that is as new as what the machine said.
async fn read(context: &Context, seen: &Seen) -> Result<(bool, Kept), Problem> {
    let task = seen.task;
    let reached = context.follower.reach(seen.seq).await;
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
    Ok((reached, Kept { record, body: body.and_then(|bytes| serde_json::from_slice(&bytes).ok()) }))
}

/// Nobody can tell yet whether a task is there.
pub(crate) fn behind() -> Problem {
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
pub(super) async fn questions(context: &Context, caller: &Caller) -> Result<Vec<TaskView>, Problem> {
    let asks = caller.clone();
    let waiting: Vec<Seen> = context
        .engine
        .look(move |machine, _| {
            let state = machine.state();
            let seen = |task: &TaskId| state.group_of(*task).is_some_and(|group| asks.sees(group));
            let tasks = state.questions().filter(seen).take(limits::MAX_PAGE as usize);
            tasks.map(|task| Seen::of(machine, task, state.seq())).collect()
        })
        .await?;
    let mut views = Vec::with_capacity(waiting.len());
    for seen in waiting {
        views.push(put_together(context, seen).await?);
    }
    // One that was answered since asks nothing any more.
    views.retain(|view| view.state == State::Waiting);
    Ok(views)
}
