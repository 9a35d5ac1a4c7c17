//! Runs that spend with what they submit out of one amount: it was set aside for them and for all below them. Each part of
//! it is promised once, to the run itself or to one below it.

use crate::budget::{Amount, Limit, Purse, Shortage, Unit};
use crate::command::Effect;
use crate::context::{Context, View};
use crate::decide::budget::limit_of;
use crate::id::TaskId;
use crate::state::task::Task;

/// A task that names no budget wants one in so many parts of what the running task above it may spend.
const SHARE: u64 = 4;
/// A run below gets at most one in so many parts of what is free, so that the one above it can go on.
const LEAST_KEPT: u64 = 2;

/// How much a run may spend of what was set aside for a running task above it.
///
/// # Errors
/// Nothing is free, or others below it run and too little is: it waits for what they leave rather than get a crumb.
pub(super) fn part(
    view: View<'_>,
    above: (TaskId, &Task),
    (unit, limit): (Unit, u64),
    wanted: Option<u64>,
) -> Result<u64, Shortage> {
    let (id, task) = above;
    let aside = task.account().held.expect("the caller has seen it").amount.get(unit);
    let held = promised(view, id).get(unit);
    // Until a run told what it spent, which it does anew after each start of ours, that may be all.
    let told = task
        .run()
        .and_then(|run| view.live.spent.get(&run.lease))
        .map_or(aside, |told| told.amount.get(unit));
    let free = aside.saturating_sub(held).saturating_sub(told);
    let part = free / LEAST_KEPT;
    let wanted = wanted.unwrap_or(limit / SHARE);
    if part == 0 || held > 0 && part < wanted {
        let spent = task.account().spent.get(unit).saturating_add(told);
        return Err(Shortage { purse: Purse::Task(id), unit, limit, spent, held });
    }
    Ok(part.min(wanted.max(1)))
}

/// What of a running task's amount is set aside for those below it.
pub(super) fn promised(view: View<'_>, id: TaskId) -> Amount {
    let mut promised = Amount::default();
    let below = view.state.all_below(id).into_iter().filter_map(|id| view.state.live(id)?.account().held);
    below.filter(|held| held.cover == Some(id)).for_each(|held| promised.add(held.amount));
    promised
}

/// Tells the runs above a task what they may spend by now.
pub(super) fn tell_above(step: &mut Context<'_>, id: TaskId) {
    let above: Vec<_> = step.state().line(id).skip(1).map(|(id, _)| id).collect();
    above.into_iter().for_each(|id| tell_limit(step, id));
}

/// Tells a run what it may spend by now, if something is set aside for it.
pub(crate) fn tell_limit(step: &mut Context<'_>, id: TaskId) {
    let view = step.view();
    let Some((task, group)) = view.state.live(id).zip(view.state.group_of(id)) else { return };
    let Some((run, held)) = task.run().zip(task.account().held) else { return };
    let rules = &view.policy.budgets;
    let of_group = rules.groups.get(group).copied().unwrap_or_default();
    let limits = limit_of(view, task).or(rules.day).or(of_group);
    let promised = promised(view, id);
    let mut limit = Limit::default();
    for unit in Unit::ALL {
        let own = held.amount.get(unit).saturating_sub(promised.get(unit));
        limit.set(unit, limits.get(unit).map(|_| own));
    }
    let effect = Effect::SetLimit { agent: run.agent, lease: run.lease, limit };
    step.effect(effect);
}
