//! The order in which new tasks enter, and circles among them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Fresh;
use crate::command::Rejection;
use crate::context::View;
use crate::hash::IdMap;
use crate::id::TaskId;
use crate::task::NewTask;

/// The order in which the tasks enter: dependencies and parents first, and as they were asked otherwise. There is one,
/// because subtasks inherit the dependencies of their parents and nothing waits in a circle.
pub(super) fn of_entry(tasks: &[NewTask], fresh: &Fresh) -> Vec<usize> {
    let mut after = vec![Vec::new(); tasks.len()];
    let mut before = vec![0; tasks.len()];
    for (index, task) in tasks.iter().enumerate() {
        for first in task.depends_on.iter().chain(&task.parent).filter_map(|id| fresh.get(id)) {
            after[*first].push(index);
            before[index] += 1;
        }
    }
    let free = before.iter().enumerate().filter(|(_, before)| **before == 0);
    let mut free: BinaryHeap<_> = free.map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(tasks.len());
    while let Some(Reverse(index)) = free.pop() {
        order.push(index);
        for next in &after[index] {
            before[*next] -= 1;
            if before[*next] == 0 {
                free.push(Reverse(*next));
            }
        }
    }
    assert_eq!(order.len(), tasks.len(), "tasks that wait in no circle can be put in order");
    order
}

/// Refuses tasks that would wait for each other in a circle. A task waits for its dependencies and a parent for its
/// subtasks; live tasks take part where a new one comes below a live parent.
pub(super) fn check_circles(view: View<'_>, tasks: &[NewTask], fresh: &Fresh) -> Result<(), Rejection> {
    let waits = Waits::new(view, tasks, fresh);
    // A task is on the path to the one looked at, or done with.
    let mut done: IdMap<TaskId, bool> = IdMap::default();
    for task in tasks {
        let mut path = vec![(task.id, waits.of(task.id))];
        if done.contains_key(&task.id) {
            continue;
        }
        done.insert(task.id, false);
        while let Some((id, left)) = path.last_mut() {
            let Some(next) = left.pop() else {
                done.insert(*id, true);
                path.pop();
                continue;
            };
            match done.get(&next) {
                Some(true) => {}
                Some(false) => return Err(Rejection::DependencyCycle(next)),
                None => {
                    done.insert(next, false);
                    path.push((next, waits.of(next)));
                }
            }
        }
    }
    Ok(())
}

/// Who would wait for whom.
struct Waits<'v> {
    view: View<'v>,
    tasks: &'v [NewTask],
    fresh: &'v Fresh,
    new_subtasks: IdMap<TaskId, Vec<TaskId>>,
    /// Whether a circle may run through live tasks; none can while no live task waits for a new one.
    through_live: bool,
}

impl<'v> Waits<'v> {
    fn new(view: View<'v>, tasks: &'v [NewTask], fresh: &'v Fresh) -> Self {
        let mut new_subtasks: IdMap<_, Vec<_>> = IdMap::default();
        for task in tasks {
            if let Some(parent) = task.parent {
                new_subtasks.entry(parent).or_default().push(task.id);
            }
        }
        let through_live = new_subtasks.keys().any(|parent| !fresh.contains_key(parent));
        Self { view, tasks, fresh, new_subtasks, through_live }
    }

    fn of(&self, id: TaskId) -> Vec<TaskId> {
        let mut waits = self.new_subtasks.get(&id).cloned().unwrap_or_default();
        if let Some(index) = self.fresh.get(&id) {
            waits.extend(&self.tasks[*index].depends_on);
        } else if self.through_live
            && let Some(task) = self.view.state.live(id)
        {
            waits.extend(task.blocked().into_iter().flat_map(|blocked| &blocked.waits_for));
            waits.extend(self.view.state.waits().subtasks(id));
        }
        waits
    }
}
