//! Accepting tasks, all or none.

mod links;
mod order;

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::Limit;
use crate::command::{Rejection, Reply, Submit};
use crate::context::{Context, View};
use crate::decide::{budget, wiring};
use crate::event::{EventKind, Standing};
use crate::hash::IdMap;
use crate::id::{Lease, TaskId};
use crate::name::Name;
use crate::state::task::{Stage, Task};
use crate::task::{CancelReason, NewTask, OnDependencyFailure, Outcome, Work};

/// The tasks of a submit by their ids.
pub(super) type Fresh = IdMap<TaskId, usize>;

/// Accepts tasks, all or none.
pub(crate) fn submit(step: &mut Context<'_>, submit: Submit) -> Result<Reply, Rejection> {
    let Submit { mut tasks, key, settled, webhooks, secrets, budgets, by } = submit;
    let budgets: BTreeMap<TaskId, Limit> = budgets.into_iter().collect();
    let mut secrets: BTreeMap<TaskId, Box<[Name]>> = secrets.into_iter().collect();
    let ids: Box<[TaskId]> = tasks.iter().map(|task| task.id).collect();
    if let Some((key, body)) = key {
        if let Some(bound) = step.state().key(key) {
            if bound.body != body {
                return Err(Rejection::KeyConflict(key));
            }
            return Ok(Reply::Submitted { tasks: bound.tasks.clone(), repeated: true });
        }
        if step.state().key_count() >= step.policy().max_keys {
            return Err(Rejection::TooManyKeys);
        }
    }
    let settled: IdMap<TaskId, bool> = settled.into_iter().collect();
    let order = check(step.view(), &mut tasks, &settled)?;

    let has_subtasks: BTreeSet<_> = tasks.iter().filter_map(|task| task.parent).collect();
    if let Some((key, body)) = key {
        step.emit(EventKind::KeyBound { key, body, tasks: ids.clone() });
    }
    let mut tasks: Vec<_> = tasks.into_iter().map(|task| Some(Box::new(task))).collect();
    let mut doomed = Vec::new();
    for index in order {
        let task = tasks[index].take().expect("each task comes once in the order");
        let id = task.id;
        let failed = task.depends_on.iter().find(|dependency| settled.get(dependency) == Some(&false));
        if let (Some(dependency), OnDependencyFailure::Cancel) = (failed, task.on_dependency_failure) {
            doomed.push((id, *dependency));
        }
        let standing = standing(step, &task, has_subtasks.contains(&id), failed.is_some());
        if let Some(parent) = task.parent {
            hold(step, parent);
        }
        let key = key.map(|(key, _)| key);
        step.emit(EventKind::TaskSubmitted { task, standing, key, by: by.clone() });
        if webhooks.contains(&id) {
            step.emit(EventKind::WebhookAsked { task: id });
        }
        if let Some(secrets) = secrets.remove(&id) {
            step.emit(EventKind::SecretsAsked { task: id, secrets });
        }
        if let Some(limit) = budgets.get(&id) {
            step.emit(EventKind::BudgetAsked { task: id, limit: *limit });
        }
        if standing == Standing::Blocked {
            step.touch(id);
        }
    }
    for (task, dependency) in doomed {
        let outcome = Outcome::Cancelled(CancelReason::Dependency(dependency));
        step.emit(EventKind::TaskFinished { task, outcome, by: None });
    }
    Ok(Reply::Submitted { tasks: ids, repeated: false })
}

/// Accepts what a running task submits below itself. It runs on, whatever becomes of them.
pub(crate) fn submit_below(
    step: &mut Context<'_>,
    parent: TaskId,
    lease: Lease,
    mut submit: Submit,
) -> Result<Reply, Rejection> {
    let run = step.state().live(parent).and_then(|task| task.run());
    if run.is_none_or(|run| run.lease != lease || run.cancel.is_some()) {
        return Err(Rejection::AttemptOver(parent));
    }
    for task in &mut submit.tasks {
        task.parent.get_or_insert(parent);
    }
    let is_repeated = submit.key.is_some_and(|(key, _)| step.state().key(key).is_some());
    if !is_repeated {
        let limit = step.policy().max_offspring;
        let new = u32::try_from(submit.tasks.len()).unwrap_or(u32::MAX);
        let full = |(_, task): &(TaskId, &Task)| task.offspring().saturating_add(new) > limit;
        if let Some((task, _)) = step.state().line(parent).filter(|(_, task)| task.run().is_some()).find(full)
        {
            return Err(Rejection::TooManyOffspring { task, limit });
        }
        if submit.tasks.iter().any(|task| budget::spends(step.view(), &task.runner, task.work)) {
            budget::refuse_below(step.view(), parent)?;
        }
    }
    let had_any = step.state().waits().has_subtasks(parent);
    let reply = self::submit(step, submit)?;
    if !had_any {
        wiring::tell_below(step, parent);
    }
    Ok(reply)
}

/// Where a new task stands at first.
fn standing(step: &Context<'_>, task: &NewTask, has_subtasks: bool, doomed: bool) -> Standing {
    let waits = task.depends_on.iter().any(|dependency| step.state().contains(*dependency));
    if waits || doomed || has_subtasks || task.work == Work::Subtasks {
        return Standing::Blocked;
    }
    match task.run_at {
        Some(instant) if instant > step.now().wall => Standing::Scheduled,
        Some(_) | None => Standing::Queued { queued_at: step.queue_instant() },
    }
}

/// A live parent that is not blocked yet, and no attempt of which is over or under way, waits for its new subtask.
fn hold(step: &mut Context<'_>, parent: TaskId) {
    let waits = step.state().live(parent).is_some_and(|task| match task.stage {
        Stage::Queued { .. } | Stage::Scheduled { cause: None, .. } => true,
        Stage::Blocked(_) | Stage::Scheduled { cause: Some(_), .. } | Stage::Running(_) | Stage::Between => {
            false
        }
    });
    if waits {
        step.emit(EventKind::TaskFreed { task: parent, standing: Standing::Blocked });
    }
}

/// Checks everything that may be refused and answers the order in which the tasks enter.
fn check(
    view: View<'_>,
    tasks: &mut [NewTask],
    settled: &IdMap<TaskId, bool>,
) -> Result<Vec<usize>, Rejection> {
    let mut fresh = Fresh::default();
    for (index, task) in tasks.iter().enumerate() {
        if view.state.contains(task.id) || fresh.insert(task.id, index).is_some() {
            return Err(Rejection::TaskExists(task.id));
        }
    }
    check_room(view, tasks)?;
    check_places(view, tasks)?;
    let linked = |task: &NewTask| !task.depends_on.is_empty() || task.parent.is_some();
    if !tasks.iter().any(linked) {
        return Ok((0..tasks.len()).collect());
    }
    links::check_parents(view, tasks, &fresh)?;
    links::check_dependencies(view, tasks, &fresh, settled)?;
    links::inherit(tasks, &fresh);
    links::check_waits(view, tasks)?;
    order::check_circles(view, tasks, &fresh)?;
    Ok(order::of_entry(tasks, &fresh))
}

fn check_room(view: View<'_>, tasks: &[NewTask]) -> Result<(), Rejection> {
    let limit = view.policy.max_queued;
    let new = tasks.len() as u64;
    if view.state.counts().unassigned() + new > limit {
        return Err(Rejection::QueueFull { limit, group: None });
    }
    let limit_bytes = view.policy.max_queued_bytes;
    let new_bytes: u64 = tasks.iter().map(|task| u64::from(task.body_bytes)).sum();
    if view.state.counts().body_bytes + new_bytes > limit_bytes {
        return Err(Rejection::BodiesFull { limit_bytes });
    }
    if view.policy.groups.is_empty() {
        return Ok(());
    }
    let mut by_group = BTreeMap::new();
    for task in tasks {
        *by_group.entry(&task.group).or_insert(0u64) += 1;
    }
    for (group, new) in by_group {
        let Some(limit) = view.policy.groups.get(group).and_then(|limits| limits.max_queued) else {
            continue;
        };
        let waiting = view.state.queues().group_named(group);
        let waiting = waiting.map_or(0, |group| u64::from(group.tasks - group.running));
        if waiting + new > limit {
            return Err(Rejection::QueueFull { limit, group: Some(group.clone()) });
        }
    }
    Ok(())
}

fn check_places(view: View<'_>, tasks: &[NewTask]) -> Result<(), Rejection> {
    let limit = view.policy.max_places;
    let queues = view.state.queues();
    if queues.place_count() + tasks.len() <= limit {
        return Ok(());
    }
    let place =
        |task: &'_ NewTask| (task.runner.clone(), task.requires.clone(), task.group.clone(), task.priority);
    let new: BTreeSet<_> = tasks.iter().filter(|task| queues.place_of(task).is_none()).map(place).collect();
    if queues.place_count() + new.len() > limit {
        return Err(Rejection::TooManyPlaces { limit });
    }
    Ok(())
}
