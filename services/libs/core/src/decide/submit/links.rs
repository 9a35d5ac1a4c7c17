//! Parents and dependencies of new tasks.

use std::collections::BTreeMap;

use super::Fresh;
use crate::command::Rejection;
use crate::context::View;
use crate::hash::IdMap;
use crate::id::TaskId;
use crate::task::{NewTask, OnDependencyFailure};

/// A parent comes before its subtasks or is live, lies not too deep, and has room.
pub(super) fn check_parents(view: View<'_>, tasks: &[NewTask], fresh: &Fresh) -> Result<(), Rejection> {
    let mut depths = vec![0; tasks.len()];
    let mut subtasks: BTreeMap<TaskId, usize> = BTreeMap::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(parent) = task.parent else { continue };
        let above = match fresh.get(&parent) {
            Some(position) if *position < index => depths[*position],
            Some(_) => return Err(Rejection::BadParent(parent)),
            None => live_depth(view, parent).ok_or(Rejection::BadParent(parent))?,
        };
        depths[index] = above + 1;
        if depths[index] > view.policy.max_depth {
            return Err(Rejection::BadParent(parent));
        }
        let count = subtasks.entry(parent).or_insert_with(|| view.state.waits().subtask_count(parent));
        *count += 1;
        let limit = view.policy.max_subtasks;
        if *count > limit as usize {
            return Err(Rejection::TooManySubtasks { parent, limit });
        }
    }
    Ok(())
}

/// How deep a live task lies; none when it may have no further subtasks.
fn live_depth(view: View<'_>, id: TaskId) -> Option<u32> {
    let task = view.state.live(id)?;
    if task.run().is_some_and(|run| run.cancel.is_some()) {
        return None;
    }
    let mut depth = 0;
    let mut above = task.parent();
    while let Some(id) = above {
        depth += 1;
        above = view.state.live(id).and_then(|task| task.parent());
    }
    Some(depth)
}

/// Neither a task nor all of them together wait for more than may be.
pub(super) fn check_waits(view: View<'_>, tasks: &[NewTask]) -> Result<(), Rejection> {
    let limit = view.policy.max_dependencies;
    if let Some(task) = tasks.iter().find(|task| task.depends_on.len() > limit) {
        return Err(Rejection::TooManyDependencies { task: task.id, limit });
    }
    let limit = view.policy.max_waits;
    let new: usize = tasks.iter().map(|task| task.depends_on.len()).sum();
    if view.state.waits().count() + new > limit {
        return Err(Rejection::TooManyWaits { limit });
    }
    Ok(())
}

/// A dependency is live, new, or known to have ended.
pub(super) fn check_dependencies(
    view: View<'_>,
    tasks: &[NewTask],
    fresh: &Fresh,
    settled: &IdMap<TaskId, bool>,
) -> Result<(), Rejection> {
    for dependency in tasks.iter().flat_map(|task| &task.depends_on) {
        let known = view.state.contains(*dependency)
            || fresh.contains_key(dependency)
            || settled.contains_key(dependency);
        if !known {
            return Err(Rejection::UnknownDependency(*dependency));
        }
    }
    Ok(())
}

/// Subtasks are part of what their parent does: what holds the parent back holds them back too.
pub(super) fn inherit(tasks: &mut [NewTask], fresh: &Fresh) {
    for index in 0..tasks.len() {
        let Some(position) = tasks[index].parent.and_then(|parent| fresh.get(&parent)) else { continue };
        let (before, rest) = tasks.split_at_mut(index);
        let (parent, task) = (&before[*position], &mut rest[0]);
        task.run_at = task.run_at.max(parent.run_at);
        if parent.depends_on.is_empty() {
            continue;
        }
        if task.depends_on.is_empty() && parent.on_dependency_failure == OnDependencyFailure::Run {
            task.on_dependency_failure = OnDependencyFailure::Run;
        }
        let mut all: Vec<_> = task.depends_on.iter().chain(&parent.depends_on).copied().collect();
        all.sort_unstable();
        all.dedup();
        task.depends_on = all.into();
    }
}
