//! What people ask besides tasks: answers, deletion, pause, drain and revocation.

use std::sync::Arc;

use crate::actor::Actor;
use crate::command::{Effect, Rejection, Reply};
use crate::context::Context;
use crate::decide::{agent, attempt};
use crate::event::EventKind;
use crate::id::{AgentId, RequestId, TaskId};
use crate::name::Name;
use crate::task::{AttemptEnd, Told};

/// How many revoked agents are remembered; the one that joined longest ago goes first.
pub const MAX_REVOKED: usize = 1_000;

/// How many runs can be pinned.
pub const MAX_PINS: usize = 10_000;

pub(crate) fn answer(
    step: &mut Context<'_>,
    task: TaskId,
    request_id: Option<RequestId>,
    answer_json: Box<str>,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    let live = step.state().live(task).ok_or(Rejection::UnknownTask(task))?;
    let run = live.run().filter(|run| run.cancel.is_none()).ok_or(Rejection::NotWaiting(task))?;
    let (question, _, _) = run.question.as_ref().ok_or(Rejection::NotWaiting(task))?;
    if request_id.is_some_and(|named| named != question.request_id) {
        return Err(Rejection::NotWaiting(task));
    }
    let (agent, lease, request_id) = (run.agent, run.lease, question.request_id);
    step.emit(EventKind::TaskAnswered { task, answer_json: answer_json.clone(), by });
    step.effect(Effect::Answer { agent, lease, request_id, answer_json });
    Ok(Reply::Done)
}

/// The most messages to a task that are kept until a run takes them.
pub const MAX_TOLD: usize = 16;

pub(crate) fn tell(
    step: &mut Context<'_>,
    task: TaskId,
    message: Told,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    let live = step.state().live(task).ok_or(Rejection::UnknownTask(task))?;
    let run = live.run().filter(|run| run.cancel.is_none()).ok_or(Rejection::NotRunning(task))?;
    if live.told().len() >= MAX_TOLD {
        return Err(Rejection::TooManyMessages { task, limit: MAX_TOLD });
    }
    let (agent, lease) = (run.agent, run.lease);
    step.emit(EventKind::TaskTold { task, lease, message: message.clone(), by });
    step.effect(Effect::Tell { agent, lease, message });
    Ok(Reply::Done)
}

pub(crate) fn delete(
    step: &mut Context<'_>,
    tasks: Box<[TaskId]>,
    by: Option<Arc<Actor>>,
) -> Result<Reply, Rejection> {
    if let Some(live) = tasks.iter().find(|task| step.state().contains(**task)) {
        return Err(Rejection::StillLive(*live));
    }
    if let Some(pinned) = tasks.iter().find(|task| step.state().is_pinned(**task)) {
        return Err(Rejection::Pinned(*pinned));
    }
    if !tasks.is_empty() {
        step.emit(EventKind::TasksDeleted { tasks: tasks.clone(), by });
        step.effect(Effect::DeleteRuns(tasks));
    }
    Ok(Reply::Done)
}

pub(crate) fn pin(
    step: &mut Context<'_>,
    task: TaskId,
    pinned: bool,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    if step.state().is_pinned(task) == pinned {
        return Ok(Reply::Done);
    }
    if pinned && step.state().pins().len() >= MAX_PINS {
        return Err(Rejection::TooManyPins);
    }
    step.emit(EventKind::TaskPinned { task, pinned, by });
    Ok(Reply::Done)
}

pub(crate) fn pause(step: &mut Context<'_>, paused: bool, by: Arc<Actor>) -> Reply {
    if step.state().is_paused() != paused {
        step.emit(EventKind::QueuePaused { paused, by });
    }
    Reply::Done
}

pub(crate) fn drain(
    step: &mut Context<'_>,
    name: &Name,
    draining: bool,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    let agent = known(step, name)?;
    if step.state().agent(agent).is_some_and(|image| image.draining != draining) {
        step.emit(EventKind::AgentDrained { agent, draining, by });
        if step.is_connected(agent) {
            step.effect(Effect::Drain { agent, draining });
        }
    }
    Ok(Reply::Done)
}

pub(crate) fn revoke(step: &mut Context<'_>, name: &Name, by: Arc<Actor>) -> Result<Reply, Rejection> {
    let agent = known(step, name)?;
    let runs: Vec<_> = step.state().leases(agent).collect();
    for (lease, task) in runs {
        attempt::end(step, task, AttemptEnd::Stopped, Box::default());
        step.effect(Effect::EndRun { agent, lease, revoked: true });
    }
    step.emit(EventKind::AgentRevoked { agent, by });
    if let Some(session) = step.live().sessions.get_mut(&agent) {
        (session.connected, session.credits) = (false, 0);
    }
    step.effect(Effect::Disconnect { agent, revoked: true });
    agent::arm(step, agent);
    let revoked = step.state().known_agents().filter(|(_, known)| known.image.revoked);
    let mut revoked: Vec<_> = revoked.map(|(id, known)| (known.image.joined_at, id)).collect();
    revoked.sort_unstable();
    let excess = revoked.len().saturating_sub(MAX_REVOKED);
    for (_, oldest) in revoked.into_iter().take(excess) {
        step.emit(EventKind::AgentLeft { agent: oldest });
    }
    Ok(Reply::Done)
}

fn known(step: &Context<'_>, name: &Name) -> Result<AgentId, Rejection> {
    step.state().agent_named(name).ok_or_else(|| Rejection::UnknownAgent(name.clone()))
}
