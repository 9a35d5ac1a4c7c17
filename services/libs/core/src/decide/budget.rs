//! The rules of budgets. What a run may spend is set aside when it is assigned and settled when it ends, so that many at
//! once do not overshoot together: a budget is passed by no more than was set aside last.

mod above;
mod below;
mod settle;

use crate::budget::{Amount, DAY_SHARE, Limit, Meter, Purse, Shortage, Spending, Unit};
use crate::context::{Context, View};
use crate::event::EventKind;
use crate::id::{Lease, TaskId};
use crate::name::Name;
use crate::state::task::Task;
use crate::task::Work;

pub(crate) use above::tell_limit;
pub(crate) use below::{end_below, refuse_below, spends, used_up};
pub(crate) use settle::settle;

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
            let room = match (limits.get(unit), account.held.map(|held| held.amount.get(unit))) {
                (None, None | Some(0)) => continue,
                // What a running task has set aside is for itself and all below it.
                (limit, Some(aside)) => {
                    let (limit, wanted) = (limit.unwrap_or(aside), task.account().limit.get(unit));
                    above::part(view, (purse, above), (unit, limit), wanted)?
                }
                (Some(limit), None) => {
                    let (spent, held) = (account.spent.get(unit), account.below.get(unit));
                    let room = limit.saturating_sub(spent).saturating_sub(held);
                    if room == 0 {
                        return Err(Shortage { purse: Purse::Task(purse), unit, limit, spent, held });
                    }
                    room
                }
            };
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
        let (named, counts) = match &purse {
            Purse::Group(group) => (Some(group), view.state.counts_for_its_group(id, cover)),
            Purse::Day | Purse::Task(_) => (None, cover.is_none()),
        };
        let (spent, held) = today(view, named);
        for unit in units() {
            let Some(limit) = limits.and_then(|limits| limits.get(unit)) else { continue };
            let (spent, held) = (spent.get(unit), held.get(unit));
            if counts && spent.saturating_add(held) >= limit {
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
    step.live().spent.insert(lease, Spending::default());
    if cover.is_some() {
        above::tell_above(step, task);
    }
}
