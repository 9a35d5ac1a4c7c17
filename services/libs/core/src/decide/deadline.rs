//! What the clock brings.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::command::Effect;
use crate::context::Context;
use crate::decide::{access, agent, attempt, lane, settle};
use crate::event::{EventKind, Standing};
use crate::id::{AgentId, KeyId, ScheduleId, TaskId};
use crate::live::Access;
use crate::machine::pending;
use crate::name::Name;
use crate::state::task::Stage;
use crate::task::{AttemptEnd, Failure, FailureReason, Outcome};
use crate::time::Wall;

/// How many deadlines one step takes up at most, leases counted one by one.
pub const TIMEOUTS_A_STEP: usize = 1_024;

/// The machine was not running when it looks at an agent later than this share of a lease after its deadline.
const LATE_SHARE: u64 = 4;

/// One deadline that has passed.
enum Passed {
    Task(TaskId),
    RunAt(TaskId, Wall),
    Agent(AgentId),
    Key(KeyId),
    Schedule(ScheduleId),
    Access(Access),
    Lane(Name),
    /// A day ended; what waited for its budgets may go on.
    Day,
}

/// Takes up deadlines that have passed; answers whether the step's limit was reached.
pub(crate) fn timeouts(step: &mut Context<'_>) -> bool {
    let mut left = TIMEOUTS_A_STEP;
    while let Some(passed) = next_passed(step) {
        match passed {
            Passed::Task(task) => task_due(step, task),
            Passed::RunAt(task, until) => run_at_due(step, task, until),
            Passed::Agent(agent) => left = left.saturating_sub(agent_due(step, agent, left)),
            Passed::Key(key) => step.emit(EventKind::KeyExpired { key }),
            Passed::Schedule(schedule) => schedule_due(step, schedule),
            Passed::Access(due) => access::due(step, due),
            Passed::Lane(lane) => lane::due(step, &lane),
            Passed::Day => {}
        }
        settle(step);
        left = left.saturating_sub(1);
        if left == 0 {
            return true;
        }
    }
    false
}

/// Takes the next deadline that has passed out of its heap, passing over those that count no more.
fn next_passed(step: &mut Context<'_>) -> Option<Passed> {
    let now = step.now();
    while let Some((due, task)) = pop_passed(&mut step.live().tasks, now.mono) {
        if step.state().live(task).is_some_and(|task| task.due == Some(due)) {
            step.forget_due(task);
            return Some(Passed::Task(task));
        }
    }
    let live = step.live();
    if let Some((until, task)) = pop_passed(&mut live.run_at, now.wall) {
        return Some(Passed::RunAt(task, until));
    }
    if let Some((due, agent)) = pop_passed(&mut live.agents, now.mono) {
        if let Some(session) = live.sessions.get_mut(&agent).filter(|session| session.armed == Some(due)) {
            session.armed = None;
        }
        return Some(Passed::Agent(agent));
    }
    if let Some((_, key)) = pop_passed(&mut live.keys, now.mono) {
        return Some(Passed::Key(key));
    }
    if live.access.first().is_some_and(|(due_at, _)| *due_at <= now.wall) {
        return live.access.pop_first().map(|(_, due)| Passed::Access(due));
    }
    if live.lanes.first().is_some_and(|(until, _)| *until <= now.wall) {
        return live.lanes.pop_first().map(|(_, lane)| Passed::Lane(lane));
    }
    if day_passed(step) {
        return Some(Passed::Day);
    }
    let live = step.live();
    live.schedules.first().filter(|(due_at, _)| *due_at <= now.wall)?;
    live.schedules.pop_first().map(|(_, schedule)| Passed::Schedule(schedule))
}

/// Whether a day ended that something was spent on, told once.
fn day_passed(step: &mut Context<'_>) -> bool {
    let budgets = &step.policy().budgets;
    let Some(day) = step.state().ledger().day() else { return false };
    let (seen, today) = (day.max(step.view().live.day), budgets.day_of(step.now().wall));
    let has_passed = today > seen;
    if has_passed {
        step.live().day = today;
    }
    has_passed
}

fn pop_passed<T: Ord + Copy, K: Ord + Copy>(
    heap: &mut BinaryHeap<Reverse<(T, K)>>,
    now: T,
) -> Option<(T, K)> {
    let Reverse((due, _)) = heap.peek()?;
    if *due > now {
        return None;
    }
    heap.pop().map(|Reverse(entry)| entry)
}

fn task_due(step: &mut Context<'_>, id: TaskId) {
    let Some(task) = step.state().live(id) else { return };
    match &task.stage {
        Stage::Blocked(_) | Stage::Between => {}
        Stage::Scheduled { .. } => {
            let standing = Standing::Queued { queued_at: step.queue_instant() };
            step.emit(EventKind::TaskFreed { task: id, standing });
        }
        Stage::Queued { .. } => {
            let waited = seconds(task.queue_timeout_ms.unwrap_or_default());
            let why = pending(step.view(), id).map(|pending| pending.to_string()).unwrap_or_default();
            let message = format!("no agent took it within {waited}: {why}");
            let outcome = Outcome::Failed(Failure::new(FailureReason::QueueTimeout, message));
            step.emit(EventKind::TaskFinished { task: id, outcome, by: None });
        }
        Stage::Running(run) => {
            let failure = if run.question.is_some() {
                let waited = seconds(step.policy().waiting_timeout_ms);
                Failure::new(FailureReason::WaitingTimeout, format!("nobody answered within {waited}"))
            } else {
                let limit = seconds(task.timeout_ms);
                Failure::new(FailureReason::Timeout, format!("it ran longer than {limit}"))
            };
            // With a cancel asked for, this ends the task as cancelled whatever the failure says.
            let (agent, lease) = (run.agent, run.lease);
            attempt::end(step, id, AttemptEnd::Failed(failure), Box::default());
            step.effect(Effect::EndRun { agent, lease, revoked: true });
        }
    }
}

fn run_at_due(step: &mut Context<'_>, id: TaskId, until: Wall) {
    if step.state().live(id).is_some_and(|task| task.waits_until(until)) {
        let standing = Standing::Queued { queued_at: step.queue_instant() };
        step.emit(EventKind::TaskFreed { task: id, standing });
    }
}

/// Tells the engine once. The occurrence may have been put off, so its own instant counts.
fn schedule_due(step: &mut Context<'_>, schedule: ScheduleId) {
    if let Some(due_at) = step.state().schedule(schedule).map(|schedule| schedule.next_at) {
        step.effect(Effect::ScheduleDue { schedule, due_at });
    }
}

/// Looks at an agent; answers how many leases it lost.
fn agent_due(step: &mut Context<'_>, id: AgentId, limit: usize) -> usize {
    let Some(due) = agent::due(step.view(), id) else { return 0 };
    if due > step.now().mono {
        agent::arm(step, id);
        return 0;
    }
    if step.now().mono > due.after(step.policy().lease_ms / LATE_SHARE) {
        listen_again(step);
        agent::arm(step, id);
        return 0;
    }
    let Some(known) = step.state().known_agent(id) else { return 0 };
    if known.runs.is_empty() && !step.is_connected(id) {
        step.emit(EventKind::AgentLeft { agent: id });
        return 0;
    }
    let name = known.image.profile.name.clone();
    let runs: Vec<_> = known.runs.values().copied().take(limit).collect();
    let silent = format!("agent {name} was silent for {}", seconds(step.policy().lease_ms));
    for (lease, task) in &runs {
        attempt::end(step, *task, AttemptEnd::Crashed(silent.as_str().into()), Box::default());
        step.effect(Effect::EndRun { agent: id, lease: *lease, revoked: true });
    }
    step.live().counters.leases_expired += runs.len() as u64;
    if let Some(session) = step.live().sessions.get_mut(&id).filter(|session| session.connected) {
        (session.connected, session.credits) = (false, 0);
        step.effect(Effect::Disconnect { agent: id, revoked: false });
    }
    agent::arm(step, id);
    runs.len()
}

/// Nobody was heard while the machine itself did not run, as when the computer slept. Like after a restart, all agents get
/// a full time-to-live to be heard again.
fn listen_again(step: &mut Context<'_>) {
    let now = step.now().mono;
    for session in step.live().sessions.values_mut() {
        session.heard = now;
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1_000) { format!("{} s", ms / 1_000) } else { format!("{ms} ms") }
}
