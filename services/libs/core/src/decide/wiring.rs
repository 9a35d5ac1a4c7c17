//! What follows from what happened: dependents and parents are freed or ended, subtasks go with their parents.

use crate::command::Effect;
use crate::context::{Context, View};
use crate::decide::cancel;
use crate::event::{EventKind, Standing};
use crate::id::TaskId;
use crate::state::Consequence;
use crate::state::task::Blocked;
use crate::task::{CancelReason, Failure, FailureReason, OnDependencyFailure, Outcome, Work};

/// Decides consequences until there are none. A chain of any length is a loop here, never a recursion.
pub(crate) fn settle(step: &mut Context<'_>) {
    while let Some(consequence) = step.next_consequence() {
        match consequence {
            Consequence::Touched(task) => look_at(step, task),
            Consequence::Orphaned(parent) => {
                let subtasks: Vec<_> = step.state().waits().subtasks(parent).collect();
                for subtask in subtasks {
                    cancel::end_subtree(step, subtask, &CancelReason::Parent(parent), None);
                }
            }
            Consequence::KeyIdle(key) => {
                let due = step.now().mono.after(step.policy().idempotency_ms);
                step.live().keys.push(std::cmp::Reverse((due, key)));
            }
        }
    }
}

/// What a blocked task does now.
enum Verdict {
    Wait,
    Free,
    End(Outcome),
}

fn look_at(step: &mut Context<'_>, id: TaskId) {
    let Some(blocked) = step.state().live(id).and_then(|task| task.blocked()) else {
        return tell_below(step, id);
    };
    match verdict(step.view(), id, blocked) {
        Verdict::Wait => {}
        Verdict::Free => {
            let standing = standing_when_free(step, id);
            step.emit(EventKind::TaskFreed { task: id, standing });
        }
        Verdict::End(outcome) => step.emit(EventKind::TaskFinished { task: id, outcome, by: None }),
    }
}

/// Tells the agent that runs a task whether others live below it.
pub(crate) fn tell_below(step: &mut Context<'_>, id: TaskId) {
    let Some(run) = step.state().live(id).and_then(|task| task.run()) else { return };
    let (agent, lease) = (run.agent, run.lease);
    let any = step.state().waits().has_subtasks(id);
    step.effect(Effect::Below { agent, lease, any });
}

fn verdict(view: View<'_>, id: TaskId, blocked: &Blocked) -> Verdict {
    let Some(task) = view.state.live(id) else { return Verdict::Wait };
    let runs_anyway = match task.on_dependency_failure {
        OnDependencyFailure::Run => true,
        OnDependencyFailure::Cancel => false,
    };
    if let (Some(dependency), false) = (blocked.failed_dependency, runs_anyway) {
        return Verdict::End(Outcome::Cancelled(CancelReason::Dependency(dependency)));
    }
    if !blocked.waits_for.is_empty() || view.state.waits().has_subtasks(id) {
        return Verdict::Wait;
    }
    match (task.work, blocked.failed_subtask) {
        (Work::Run, None) => Verdict::Free,
        (Work::Run, Some(_)) if runs_anyway => Verdict::Free,
        (Work::Subtasks, None) => Verdict::End(Outcome::Succeeded),
        (Work::Run | Work::Subtasks, Some(subtask)) => {
            let message = format!("subtask {subtask} did not succeed");
            Verdict::End(Outcome::Failed(Failure::new(FailureReason::Dependency, message)))
        }
    }
}

fn standing_when_free(step: &Context<'_>, id: TaskId) -> Standing {
    let run_at = step.state().live(id).and_then(|task| task.run_at());
    match run_at {
        Some(instant) if instant > step.now().wall => Standing::Scheduled,
        Some(_) | None => Standing::Queued { queued_at: step.queue_instant() },
    }
}
