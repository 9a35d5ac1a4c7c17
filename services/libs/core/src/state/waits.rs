//! Who waits for whom: dependents of tasks and subtasks of parents.

use std::collections::BTreeSet;

use crate::hash::IdMap;
use crate::id::TaskId;

/// Who waits for whom.
#[derive(Debug, Clone, Default)]
pub(crate) struct Waits {
    /// Blocked tasks by the live tasks they depend on.
    dependents: IdMap<TaskId, BTreeSet<TaskId>>,
    /// Live subtasks by the task above them, which may have ended before them.
    subtasks: IdMap<TaskId, BTreeSet<TaskId>>,
    /// How many dependencies are waited for.
    count: usize,
}

impl Waits {
    /// A task waits for others.
    pub(crate) fn waits(&mut self, task: TaskId, for_tasks: &BTreeSet<TaskId>) {
        self.count += for_tasks.len();
        for dependency in for_tasks {
            self.dependents.entry(*dependency).or_default().insert(task);
        }
    }

    /// A task ended while it waited for others.
    pub(crate) fn waits_no_more(&mut self, task: TaskId, for_tasks: &BTreeSet<TaskId>) {
        self.count -= for_tasks.len();
        for dependency in for_tasks {
            remove_from(&mut self.dependents, *dependency, task);
        }
    }

    /// A task ended; answers who waited for it.
    pub(crate) fn ended(&mut self, task: TaskId) -> BTreeSet<TaskId> {
        let dependents = self.dependents.remove(&task).unwrap_or_default();
        self.count -= dependents.len();
        dependents
    }

    /// How many dependencies are waited for.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A subtask came to a parent.
    pub(crate) fn adopted(&mut self, parent: TaskId, subtask: TaskId) {
        self.subtasks.entry(parent).or_default().insert(subtask);
    }

    /// A subtask ended; answers whether it was the last.
    pub(crate) fn left(&mut self, parent: TaskId, subtask: TaskId) -> bool {
        remove_from(&mut self.subtasks, parent, subtask)
    }

    pub(crate) fn has_subtasks(&self, parent: TaskId) -> bool {
        self.subtasks.contains_key(&parent)
    }

    pub(crate) fn subtasks(&self, parent: TaskId) -> impl Iterator<Item = TaskId> {
        self.subtasks.get(&parent).into_iter().flatten().copied()
    }

    pub(crate) fn subtask_count(&self, parent: TaskId) -> usize {
        self.subtasks.get(&parent).map_or(0, BTreeSet::len)
    }

    /// How many waits and subtasks are held, to see that none is left over.
    pub(crate) fn sizes(&self) -> [usize; 3] {
        let count = |map: &IdMap<TaskId, BTreeSet<TaskId>>| map.values().map(BTreeSet::len).sum();
        [count(&self.dependents), count(&self.subtasks), self.count]
    }
}

/// Takes a member out of a set and the set out of the map when nothing is left; answers whether nothing is.
fn remove_from(map: &mut IdMap<TaskId, BTreeSet<TaskId>>, key: TaskId, member: TaskId) -> bool {
    let Some(set) = map.get_mut(&key) else { return true };
    set.remove(&member);
    let empty = set.is_empty();
    if empty {
        map.remove(&key);
    }
    empty
}
