//! The order in which new tasks enter, and circles among them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::Fresh;
use crate::command::Rejection;
use crate::context::View;
use crate::id::TaskId;
use crate::task::NewTask;

/// Edges from a task to those that come after it, and how many come before each.
struct Graph {
    after: Vec<Vec<usize>>,
    before: Vec<usize>,
}

impl Graph {
    fn new(size: usize, edges: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut graph = Self { after: vec![Vec::new(); size], before: vec![0; size] };
        for (first, second) in edges {
            graph.after[first].push(second);
            graph.before[second] += 1;
        }
        graph
    }

    /// The tasks with each after all that come before it, and in the order asked otherwise. Those in or behind a circle
    /// are left out.
    fn sorted(mut self) -> Vec<usize> {
        let free = self.before.iter().enumerate().filter(|(_, before)| **before == 0);
        let mut free: BinaryHeap<_> = free.map(|(index, _)| Reverse(index)).collect();
        let mut sorted = Vec::with_capacity(self.before.len());
        while let Some(Reverse(index)) = free.pop() {
            sorted.push(index);
            for next in std::mem::take(&mut self.after[index]) {
                self.before[next] -= 1;
                if self.before[next] == 0 {
                    free.push(Reverse(next));
                }
            }
        }
        sorted
    }
}

/// Each dependency among the new tasks, as (dependency, task).
fn dependencies(tasks: &[NewTask], fresh: &Fresh) -> impl Iterator<Item = (usize, usize)> {
    tasks.iter().enumerate().flat_map(move |(index, task)| {
        task.depends_on.iter().filter_map(move |dependency| Some((*fresh.get(dependency)?, index)))
    })
}

/// Each parent among the new tasks, as (parent, subtask).
fn parents(tasks: &[NewTask], fresh: &Fresh) -> impl Iterator<Item = (usize, usize)> {
    let parent = move |task: &NewTask| task.parent.and_then(|parent| fresh.get(&parent).copied());
    tasks.iter().enumerate().filter_map(move |(index, task)| Some((parent(task)?, index)))
}

/// The order in which the tasks enter: dependencies and parents first. There is one, because subtasks inherit the
/// dependencies of their parents and nothing waits in a circle.
pub(super) fn of_entry(tasks: &[NewTask], fresh: &Fresh) -> Vec<usize> {
    let edges = dependencies(tasks, fresh).chain(parents(tasks, fresh));
    let sorted = Graph::new(tasks.len(), edges).sorted();
    assert_eq!(sorted.len(), tasks.len(), "tasks that wait in no circle can be put in order");
    sorted
}

/// Refuses tasks that would wait for each other in a circle. A task waits for its dependencies and a parent for its
/// subtasks.
pub(super) fn check_circles(view: View<'_>, tasks: &[NewTask], fresh: &Fresh) -> Result<(), Rejection> {
    let waits = || {
        let subtasks = parents(tasks, fresh).map(|(parent, subtask)| (subtask, parent));
        dependencies(tasks, fresh).chain(subtasks)
    };
    let sorted = Graph::new(tasks.len(), waits()).sorted();
    if sorted.len() < tasks.len() {
        let on_circle = on_circle(tasks.len(), &sorted, waits());
        return Err(Rejection::DependencyCycle(tasks[on_circle].id));
    }
    for task in tasks {
        let above = task.parent.filter(|parent| !fresh.contains_key(parent));
        if let Some(parent) = above
            && reaches_above(view, tasks, fresh, task, parent)
        {
            return Err(Rejection::DependencyCycle(task.id));
        }
    }
    Ok(())
}

/// Finds a task that lies on a circle: whoever walks backwards through what is left over comes round.
fn on_circle(size: usize, sorted: &[usize], edges: impl Iterator<Item = (usize, usize)>) -> usize {
    let mut left_over = vec![true; size];
    for index in sorted {
        left_over[*index] = false;
    }
    let mut waits_for = vec![None; size];
    for (first, second) in edges {
        if left_over[first] && left_over[second] {
            waits_for[second] = Some(first);
        }
    }
    let mut seen = vec![false; size];
    let mut at = left_over.iter().position(|left| *left).expect("something is left over");
    while !seen[at] {
        seen[at] = true;
        at = waits_for[at].expect("what is left over waits for something left over");
    }
    at
}

/// Whether a new subtask of a live parent waits, however far off, for the parent or for what lies above it.
fn reaches_above(view: View<'_>, tasks: &[NewTask], fresh: &Fresh, task: &NewTask, parent: TaskId) -> bool {
    let mut above = BTreeSet::from([parent]);
    let mut next = view.state.live(parent).and_then(|task| task.parent());
    while let Some(id) = next {
        above.insert(id);
        next = view.state.live(id).and_then(|task| task.parent());
    }
    let mut subtasks_of = std::collections::BTreeMap::<usize, Vec<TaskId>>::new();
    for (parent, subtask) in parents(tasks, fresh) {
        subtasks_of.entry(parent).or_default().push(tasks[subtask].id);
    }
    let mut seen = BTreeSet::new();
    let mut open: Vec<_> = vec![task.id];
    while let Some(id) = open.pop() {
        if above.contains(&id) {
            return true;
        }
        if !seen.insert(id) {
            continue;
        }
        if let Some(index) = fresh.get(&id) {
            open.extend(&tasks[*index].depends_on);
            open.extend(subtasks_of.get(index).into_iter().flatten());
        } else if let Some(blocked) = view.state.live(id).and_then(|task| task.blocked()) {
            open.extend(&blocked.waits_for);
            open.extend(view.state.waits().subtasks(id));
        }
    }
    false
}
