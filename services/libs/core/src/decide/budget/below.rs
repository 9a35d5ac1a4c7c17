//! Tasks whose budget is used up, and what waits below them.

use crate::budget::Meter;
use crate::command::Rejection;
use crate::context::{Context, View};
use crate::decide::budget::limit_of;
use crate::event::EventKind;
use crate::id::TaskId;
use crate::name::Name;
use crate::state::task::{Stage, Task};
use crate::task::{AUTO, Failure, FailureReason, Outcome, Work};

/// Why a task has nothing left to go on with, if it has not.
pub(crate) fn used_up(view: View<'_>, id: TaskId, last: &str) -> Option<Failure> {
    let task = view.state.live(id)?;
    let (unit, limit) = limit_of(view, task).reached(task.account().spent)?;
    let budget = unit.told(limit);
    let message = format!("its attempts used its budget of {budget}, and it may not go on; the last: {last}");
    Some(failure(message))
}

fn failure(message: String) -> Failure {
    let hint = Some("give it more with a larger budget_usd or budget_tokens".into());
    Failure { hint, ..Failure::new(FailureReason::Budget, message) }
}

/// Refuses what is submitted below a task when a budget above it is used up: it would wait for ever.
///
/// # Errors
/// Names the task whose budget it is.
pub(crate) fn refuse_below(view: View<'_>, parent: TaskId) -> Result<(), Rejection> {
    for (id, task) in view.state.line(parent) {
        let mut spent = task.account().spent;
        // A run for which nothing is set aside spends nothing of a budget.
        let run = task.run().filter(|_| task.account().held.is_some());
        if let Some(told) = run.and_then(|run| view.live.spent.get(&run.lease)) {
            spent.add(told.amount);
        }
        if let Some((unit, limit)) = limit_of(view, task).reached(spent) {
            return Err(Rejection::BudgetUsed { task: id, budget: unit.told(limit) });
        }
    }
    Ok(())
}

/// Ends what waits below tasks whose budget is used up, and would spend.
pub(crate) fn end_below(step: &mut Context<'_>, above: &[TaskId]) {
    for top in above {
        let Some(task) = step.state().live(*top) else { continue };
        let Some((unit, limit)) = limit_of(step.view(), task).reached(task.account().spent) else { continue };
        let message = format!("the budget of {} of the task {top} above it is used up", unit.told(limit));
        let mut open: Vec<_> = step.state().subtasks(*top).collect();
        while let Some(id) = open.pop() {
            let Some(task) = step.state().live(id) else { continue };
            let waits = match task.stage {
                Stage::Blocked(_) | Stage::Scheduled { .. } | Stage::Queued { .. } => {
                    spends(step.view(), runner(step.view(), task), task.work)
                }
                Stage::Running(_) | Stage::Between => false,
            };
            if waits {
                let outcome = Outcome::Failed(failure(message.clone()));
                step.emit(EventKind::TaskFinished { task: id, outcome, by: None });
            } else {
                open.extend(step.state().subtasks(id));
            }
        }
    }
}

/// Whether a task spends when it runs.
pub(crate) fn spends(view: View<'_>, runner: &Name, work: Work) -> bool {
    match work {
        Work::Run => runner.as_str() == AUTO || view.policy.budgets.meter(runner) != Meter::Nothing,
        Work::Subtasks => false,
    }
}

fn runner<'a>(view: View<'a>, task: &Task) -> &'a Name {
    let queues = view.state.queues();
    &queues.shape(queues.place(task.place).shape).runner
}
