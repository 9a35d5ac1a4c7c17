//! The rules of budgets. What a run may spend is set aside when it is assigned and settled when it ends, so that many at
//! once do not overshoot together: a budget is passed by no more than was set aside last.

use crate::budget::{Amount, DAY_SHARE, Limit, Meter, NEAR_PERCENT, Purse, Shortage, Unit};
use crate::command::Effect;
use crate::context::{Context, View};
use crate::decide::notify;
use crate::delivery::Notice;
use crate::event::EventKind;
use crate::id::{Lease, TaskId};
use crate::name::Name;
use crate::state::task::{Stage, Task};
use crate::task::{AUTO, AttemptEnd, Failure, FailureReason, Outcome, Usage, Work};

/// What a run may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// The most.
    pub(crate) limit: Limit,
    /// The running task above it out of whose amount it is taken.
    cover: Option<TaskId>,
}

/// What a task and all below it may spend.
pub(crate) fn limit_of(view: View<'_>, task: &Task) -> Limit {
    match task.work {
        Work::Run => task.account().limit.or(view.policy.budgets.task),
        // What stands for its subtasks runs nothing; each of them has a limit of its own.
        Work::Subtasks => task.account().limit,
    }
}

/// What a run of a task may spend, if it starts now; none where nothing limits it.
///
/// # Errors
/// Names the budget that has nothing left to set aside.
pub(crate) fn allowance(
    view: View<'_>,
    task: &Task,
    id: TaskId,
    meter: Meter,
) -> Result<Option<Allowance>, Shortage> {
    let rules = &view.policy.budgets;
    match meter {
        Meter::Nothing => return Ok(None),
        Meter::Tokens if task.rare.is_none() && !rules.limits_tokens() => return Ok(None),
        Meter::Tokens | Meter::Money => {}
    }
    let units = || Unit::ALL.into_iter().filter(|unit| meter == Meter::Money || *unit == Unit::Tokens);
    let mut most = Limit::default();
    let mut cover = None;
    for (purse, above) in view.state.line(id) {
        let account = above.account();
        let limits = limit_of(view, above);
        for unit in units() {
            let (spent, held_below) = (account.spent.get(unit), account.below.get(unit));
            // What a running task has set aside is for itself and all below it.
            let aside = account.held.map(|held| held.amount.get(unit));
            let (limit, room) = match (limits.get(unit), aside) {
                (None, None | Some(0)) => continue,
                (None, Some(aside)) => (aside, aside),
                (Some(limit), Some(aside)) => (limit, aside),
                (Some(limit), None) => (limit, limit.saturating_sub(spent)),
            };
            let room = room.saturating_sub(held_below);
            if room == 0 {
                return Err(Shortage { purse: Purse::Task(purse), unit, limit, spent, held: held_below });
            }
            most.lower(unit, room);
        }
        if account.held.is_some() {
            cover = Some(purse);
            break;
        }
    }
    let group = view.state.group_of(id);
    let days = [(Purse::Day, Some(rules.day))]
        .into_iter()
        .chain(group.map(|group| (Purse::Group(group.clone()), rules.groups.get(group).copied())));
    for (purse, limits) in days {
        let named = match &purse {
            Purse::Group(group) => Some(group),
            Purse::Day | Purse::Task(_) => None,
        };
        let (spent, held) = today(view, named);
        for unit in units() {
            let Some(limit) = limits.and_then(|limits| limits.get(unit)) else { continue };
            let (spent, held) = (spent.get(unit), held.get(unit));
            if cover.is_none() && spent.saturating_add(held) >= limit {
                return Err(Shortage { purse, unit, limit, spent, held });
            }
            match most.get(unit) {
                Some(_) => most.lower(unit, limit),
                None => most.set(unit, Some((limit / DAY_SHARE).max(1))),
            }
        }
    }
    Ok((!most.is_none()).then_some(Allowance { limit: most, cover }))
}

/// What is spent of a day's budgets and what is set aside.
pub(crate) fn today(view: View<'_>, group: Option<&Name>) -> (Amount, Amount) {
    let ledger = view.state.ledger();
    let day = view.policy.budgets.day_of(view.now.wall).max(view.live.day);
    (ledger.spent(day, group), ledger.held(group))
}

/// Sets aside what a run may spend.
pub(crate) fn hold(step: &mut Context<'_>, task: TaskId, lease: Lease, allowance: Allowance) {
    let Allowance { limit, cover } = allowance;
    step.emit(EventKind::BudgetHeld { task, lease, amount: limit.amount(), cover });
}

/// Settles what an attempt spent that is about to end.
pub(crate) fn settle(step: &mut Context<'_>, id: TaskId, end: &AttemptEnd, usage: &Usage) {
    let task = step.state().live(id).expect("only a live task is ended");
    let known = Amount::of(usage);
    let held = task.account().held.map(|held| held.amount);
    if held.is_none() && known.is_zero() {
        return;
    }
    let run = task.run().expect("only a running task's attempt is ended");
    let meter = step.policy().budgets.meter(&run.runner);
    if held.is_none() && meter != Meter::Money {
        return;
    }
    let (lease, started) = (run.lease, run.started);
    let amount = counted(end, usage, started, meter, held.unwrap_or_default());
    let own = match end {
        // Of what nobody knows only its share, so that another attempt may still mend it.
        AttemptEnd::Succeeded | AttemptEnd::Failed(_) => {
            let attempts = u64::from(task.max_attempts);
            let share = Amount { usd_micros: amount.usd_micros / attempts, tokens: amount.tokens / attempts };
            Amount {
                usd_micros: known.usd_micros.max(share.usd_micros),
                tokens: known.tokens.max(share.tokens),
            }
        }
        // These spend nothing of the task's attempts, so they spend of its budget only what is known.
        AttemptEnd::Crashed(_) | AttemptEnd::Stopped | AttemptEnd::Cancelled | AttemptEnd::Limited { .. } => {
            known
        }
    };
    let day = step.policy().budgets.day_of(step.now().wall);
    let group = step.state().group_of(id).expect("it is live").clone();
    let purses = [None, Some(group)];
    let before = purses.clone().map(|group| today(step.view(), group.as_ref()).0);
    step.emit(EventKind::BudgetSpent { task: id, lease, day, amount, own });
    if !amount.is_zero() {
        lower_above(step, id);
    }
    for (group, before) in purses.iter().zip(before) {
        tell_when_near(step, group.as_ref(), before);
    }
}

/// Tells the runs above a task what they may still spend.
fn lower_above(step: &mut Context<'_>, id: TaskId) {
    let view = step.view();
    let lowered = view.state.line(id).skip(1).filter_map(|(id, task)| {
        let (run, held) = (task.run()?, task.account().held?);
        let rules = &view.policy.budgets;
        let group = view.state.group_of(id).and_then(|group| rules.groups.get(group).copied());
        let limits = limit_of(view, task).or(rules.day).or(group.unwrap_or_default());
        let mut limit = Limit::default();
        for unit in Unit::ALL {
            limit.set(unit, limits.get(unit).map(|_| held.amount.get(unit)));
        }
        Some(Effect::SetLimit { agent: run.agent, lease: run.lease, limit })
    });
    let lowered: Vec<_> = lowered.collect();
    lowered.into_iter().for_each(|effect| step.effect(effect));
}

/// What an attempt counts against the day: where it does not tell, all that it might have spent.
fn counted(end: &AttemptEnd, usage: &Usage, started: bool, meter: Meter, held: Amount) -> Amount {
    let known = Amount::of(usage);
    let is_blank = known.tokens == 0 && usage.cost_usd_micros.is_none();
    let told = match end {
        AttemptEnd::Crashed(_) => !is_blank,
        AttemptEnd::Limited { .. } => true,
        // Nothing was asked of a model that refused to listen, or that was never reached.
        AttemptEnd::Failed(failure) => {
            !started
                || meter != Meter::Money
                || is_blank
                    && matches!(
                        failure.reason,
                        FailureReason::Auth
                            | FailureReason::InvalidRequest
                            | FailureReason::InvalidWorkspace
                            | FailureReason::RunnerUnavailable
                    )
        }
        AttemptEnd::Succeeded | AttemptEnd::Stopped | AttemptEnd::Cancelled => {
            !started || meter != Meter::Money
        }
    };
    if told {
        return known;
    }
    Amount {
        usd_micros: usage.cost_usd_micros.unwrap_or(held.usd_micros),
        tokens: if is_blank { held.tokens } else { known.tokens },
    }
}

/// Tells of a day's budget once it is spent for the most part.
fn tell_when_near(step: &mut Context<'_>, group: Option<&Name>, before: Amount) {
    let rules = &step.policy().budgets;
    let limits = group.map_or(Some(rules.day), |group| rules.groups.get(group).copied());
    let after = today(step.view(), group).0;
    for unit in Unit::ALL {
        let Some(limit) = limits.and_then(|limits| limits.get(unit)) else { continue };
        let near =
            |spent: Amount| u128::from(spent.get(unit)) * 100 >= u128::from(limit) * u128::from(NEAR_PERCENT);
        if near(after) && !near(before) {
            let whose = group.map_or_else(
                || "today's budget".to_owned(),
                |group| format!("today's budget of the group {group}"),
            );
            let detail =
                format!("{} of {whose} of {} are spent", unit.told(after.get(unit)), unit.told(limit));
            notify::tell(step, Notice::BudgetNear, group, None, &detail);
        }
    }
}

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
                    spends(step.view(), task)
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

/// Whether a task that waits would spend when it runs.
fn spends(view: View<'_>, task: &Task) -> bool {
    let queues = view.state.queues();
    let runner = &queues.shape(queues.place(task.place).shape).runner;
    let runs = match task.work {
        Work::Run => true,
        Work::Subtasks => false,
    };
    runs && (runner.as_str() == AUTO || view.policy.budgets.meter(runner) != Meter::Nothing)
}
