//! Schedules: what an occurrence does is decided here; when one is due, the engine works out.

use std::sync::Arc;

use crate::actor::Actor;
use crate::budget::Limit;
use crate::command::{Rejection, Reply, Submit};
use crate::context::Context;
use crate::decide::{cancel, notify, submit};
use crate::delivery::Notice;
use crate::event::EventKind;
use crate::id::{ScheduleId, TaskId};
use crate::name::Name;
use crate::schedule::{CatchUp, Overlap, Schedule};
use crate::task::{CancelReason, NewTask};
use crate::time::Wall;

/// How long an occurrence waits when its task was refused.
const TRY_AGAIN_MS: u64 = 10_000;

/// An occurrence of a schedule.
pub(crate) struct Occurrence {
    pub(crate) schedule: ScheduleId,
    pub(crate) due_at: Wall,
    pub(crate) next_at: Wall,
    pub(crate) missed: bool,
    pub(crate) task: Box<NewTask>,
    pub(crate) webhook: bool,
    /// The secrets that it names for its runs.
    pub(crate) secrets: Box<[Name]>,
    /// The budget that it names.
    pub(crate) budget: Limit,
    pub(crate) by: Arc<Actor>,
}

pub(crate) fn add(
    step: &mut Context<'_>,
    schedule: Box<Schedule>,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    let new = step.state().schedule(schedule.id).is_none();
    if new && step.state().schedule_count() >= step.policy().max_schedules {
        return Err(Rejection::TooManySchedules);
    }
    step.emit(EventKind::ScheduleAdded { schedule, by });
    Ok(Reply::Done)
}

pub(crate) fn remove(
    step: &mut Context<'_>,
    schedule: ScheduleId,
    by: Arc<Actor>,
) -> Result<Reply, Rejection> {
    if step.state().schedule(schedule).is_none() {
        return Err(Rejection::UnknownSchedule(schedule));
    }
    step.emit(EventKind::ScheduleRemoved { schedule, by });
    Ok(Reply::Done)
}

/// Handles an occurrence once; a second call for it is passed over.
pub(crate) fn fire(step: &mut Context<'_>, occurrence: Occurrence) -> Result<Reply, Rejection> {
    let Occurrence { schedule: id, due_at, next_at, missed, task, webhook, secrets, budget, by } = occurrence;
    let schedule = step.state().schedule(id).ok_or(Rejection::UnknownSchedule(id))?;
    if schedule.next_at != due_at {
        return Ok(Reply::Fired { task: None });
    }
    // An occurrence never makes itself due again at once, whatever was worked out.
    let next_at = next_at.max(due_at.after(1));
    let last = schedule.last_task.filter(|task| step.state().contains(*task));
    let passed_over = match (missed, schedule.catch_up) {
        (true, CatchUp::None) => true,
        (true, CatchUp::One) | (false, CatchUp::None | CatchUp::One) => false,
    };
    let to_cancel = match (schedule.overlap, last) {
        (Overlap::Skip, Some(_)) => return Ok(fired(step, id, None, next_at)),
        (Overlap::Cancel, last) => last,
        (Overlap::Skip | Overlap::Queue, _) => None,
    };
    if passed_over {
        return Ok(fired(step, id, None, next_at));
    }
    let made = task.id;
    let webhooks = webhook.then_some(made).into_iter().collect();
    let secrets = if secrets.is_empty() { Vec::new() } else { vec![(made, secrets)] };
    let budgets = if budget.is_none() { Vec::new() } else { vec![(made, budget)] };
    let submit = Submit { webhooks, secrets, budgets, ..Submit::of(vec![*task], by) };
    if let Err(refused) = submit::submit(step, submit) {
        let again = step.now().wall.after(TRY_AGAIN_MS);
        step.live().disarm_schedule(id);
        step.live().schedules.insert((again, id));
        return Err(refused);
    }
    if let Some(last) = to_cancel {
        cancel::end_subtree(step, last, &CancelReason::Schedule, None);
    }
    Ok(fired(step, id, Some(made), next_at))
}

/// Passes over an occurrence.
pub(crate) fn pass(
    step: &mut Context<'_>,
    id: ScheduleId,
    due_at: Wall,
    next_at: Wall,
    why: Option<&str>,
) -> Result<Reply, Rejection> {
    let schedule = step.state().schedule(id).ok_or(Rejection::UnknownSchedule(id))?;
    if schedule.next_at != due_at {
        return Ok(Reply::Fired { task: None });
    }
    if let Some(why) = why {
        let group = schedule.group.clone();
        notify::tell(step, Notice::ScheduleStopped, Some(&group), None, why);
    }
    Ok(fired(step, id, None, next_at.max(due_at.after(1))))
}

fn fired(step: &mut Context<'_>, schedule: ScheduleId, task: Option<TaskId>, next_at: Wall) -> Reply {
    step.emit(EventKind::ScheduleFired { schedule, task, next_at });
    Reply::Fired { task }
}
