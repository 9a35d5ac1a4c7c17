//! What an attempt spent, when it ends.

use crate::budget::{Amount, Meter, NEAR_PERCENT, Unit};
use crate::context::Context;
use crate::decide::budget::{above, today};
use crate::decide::notify;
use crate::delivery::Notice;
use crate::event::EventKind;
use crate::id::TaskId;
use crate::name::Name;
use crate::task::{AttemptEnd, FailureReason, Usage};

/// Settles what an attempt spent that is about to end.
pub(crate) fn settle(step: &mut Context<'_>, id: TaskId, end: &AttemptEnd, usage: &Usage) {
    let task = step.state().live(id).expect("only a live task is ended");
    let known = Amount::of(usage);
    let held = task.account().held;
    if held.is_none() && known.is_zero() {
        return;
    }
    let run = task.run().expect("only a running task's attempt is ended");
    let meter = step.policy().budgets.meter(&run.runner);
    if held.is_none() && meter != Meter::Money {
        return;
    }
    let (lease, started) = (run.lease, run.started);
    let is_covered = held.is_some_and(|held| held.cover.is_some());
    // What is for those that go on below it was not its own to spend.
    let mut most = held.map(|held| held.amount).unwrap_or_default();
    most.take(above::promised(step.view(), id));
    let amount = counted(end, usage, started, meter, most);
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
    if is_covered {
        above::tell_above(step, id);
    }
    for (group, before) in purses.iter().zip(before) {
        tell_when_near(step, group.as_ref(), before);
    }
}

/// What an attempt counts against the day: where it does not tell, all that it might have spent.
fn counted(end: &AttemptEnd, usage: &Usage, started: bool, meter: Meter, most: Amount) -> Amount {
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
        usd_micros: usage.cost_usd_micros.unwrap_or(most.usd_micros),
        tokens: if is_blank { most.tokens } else { known.tokens },
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
