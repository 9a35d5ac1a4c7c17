//! Cancelling tasks and all below them.

use std::sync::Arc;

use crate::actor::Actor;
use crate::command::{Effect, Rejection, Reply};
use crate::context::Context;
use crate::event::EventKind;
use crate::id::TaskId;
use crate::task::{CancelReason, Outcome};

/// Cancels a live task and all below it.
pub(crate) fn cancel(
    step: &mut Context<'_>,
    task: TaskId,
    reason: CancelReason,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    if !step.state().contains(task) {
        return Err(Rejection::UnknownTask(task));
    }
    Ok(Reply::Cancelled(end_subtree(step, task, &reason, Some(by))))
}

/// Ends a task and all below it, parents first; answers which were ended, or told to end, now.
pub(crate) fn end_subtree(
    step: &mut Context<'_>,
    root: TaskId,
    reason: &CancelReason,
    by: Option<Arc<Actor>>,
) -> Vec<TaskId> {
    let mut ended = Vec::new();
    let mut open = vec![(root, reason.clone())];
    while let Some((id, reason)) = open.pop() {
        let subtasks: Vec<_> = step.state().waits().subtasks(id).collect();
        open.extend(subtasks.into_iter().rev().map(|subtask| (subtask, CancelReason::Parent(id))));
        if end_one(step, id, reason, by.clone()) {
            ended.push(id);
        }
    }
    ended
}

/// Ends one task, or has its agent end it; answers whether that was news.
fn end_one(step: &mut Context<'_>, id: TaskId, reason: CancelReason, by: Option<Arc<Actor>>) -> bool {
    let Some(task) = step.state().live(id) else { return false };
    let Some(run) = task.run() else {
        step.emit(EventKind::TaskFinished { task: id, outcome: Outcome::Cancelled(reason), by });
        return true;
    };
    if run.cancel.is_some() {
        return false;
    }
    let (agent, lease) = (run.agent, run.lease);
    step.emit(EventKind::CancelRequested { task: id, reason, by });
    step.effect(Effect::EndRun { agent, lease, revoked: false });
    true
}
