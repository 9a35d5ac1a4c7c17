//! The queue and what counts against limits. A place is what tasks share that compete alike: runner, required labels,
//! group and priority. Places, shapes and groups are there only while a live task uses them.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::TaskId;
use crate::name::Name;
use crate::state::slab::Slab;
use crate::state::task::{Stage, Task};
use crate::task::{NewTask, Priority};
use crate::time::Wall;

/// A place in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PlaceId(u32);

/// A shape in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeId(u32);

/// A group in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GroupId(u32);

/// Orders the tasks of a place: by time, then by submission.
pub(crate) type Order = (Wall, crate::id::Seq);

/// What an agent must offer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shape {
    pub(crate) runner: Name,
    pub(crate) requires: Box<[Name]>,
}

/// Tasks that compete alike.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) shape: ShapeId,
    pub(crate) group: GroupId,
    pub(crate) priority: Priority,
    pub(crate) queue: BTreeMap<Order, TaskId>,
    tasks: u32,
}

/// A group with live tasks.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: Name,
    /// Live tasks.
    pub(crate) tasks: u32,
    pub(crate) running: u32,
    /// The number of the last lease given, which tells who waits longest. A hint: a snapshot does not keep it.
    pub(crate) last_served: u64,
}

/// Live tasks by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Waiting for dependencies or subtasks.
    pub blocked: u64,
    /// Waiting for an instant.
    pub scheduled: u64,
    /// Waiting for an agent.
    pub queued: u64,
    /// With an agent, those that wait for a person among them.
    pub running: u64,
    /// Waiting for a person.
    pub waiting: u64,
    /// Bytes of the payloads of all live tasks.
    pub body_bytes: u64,
}

impl Counts {
    /// Live tasks that no agent has.
    #[must_use]
    pub fn unassigned(&self) -> u64 {
        self.blocked + self.scheduled + self.queued
    }
}

/// The queue and what counts against limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queues {
    shapes: Slab<(Shape, u32)>,
    shape_ids: BTreeMap<Shape, ShapeId>,
    groups: Slab<Group>,
    group_ids: BTreeMap<Name, GroupId>,
    places: Slab<Place>,
    place_ids: BTreeMap<(ShapeId, GroupId, Priority), PlaceId>,
    ready: BTreeSet<PlaceId>,
    running_by_runner: BTreeMap<Name, u32>,
    running_by_label: BTreeMap<(Name, Name), u32>,
    running_by_lane: BTreeMap<Name, u32>,
    counts: Counts,
}

impl Queues {
    /// Finds or makes the place for a new live task and counts the task there.
    pub(crate) fn join(
        &mut self,
        runner: &Name,
        requires: &[Name],
        group: &Name,
        priority: Priority,
    ) -> PlaceId {
        let shape = Shape { runner: runner.clone(), requires: requires.into() };
        let shape_id = match self.shape_ids.get(&shape) {
            Some(id) => *id,
            None => {
                let id = ShapeId(self.shapes.insert((shape.clone(), 0)));
                self.shape_ids.insert(shape, id);
                id
            }
        };
        let group_id = match self.group_ids.get(group) {
            Some(id) => *id,
            None => {
                let name = group.clone();
                let id = GroupId(self.groups.insert(Group { name, tasks: 0, running: 0, last_served: 0 }));
                self.group_ids.insert(group.clone(), id);
                id
            }
        };
        let place_id = match self.place_ids.get(&(shape_id, group_id, priority)) {
            Some(id) => *id,
            None => {
                self.shapes.get_mut(shape_id.0).1 += 1;
                let queue = BTreeMap::new();
                let place = Place { shape: shape_id, group: group_id, priority, queue, tasks: 0 };
                let id = PlaceId(self.places.insert(place));
                self.place_ids.insert((shape_id, group_id, priority), id);
                id
            }
        };
        self.groups.get_mut(group_id.0).tasks += 1;
        self.places.get_mut(place_id.0).tasks += 1;
        place_id
    }

    /// The place of a task as it was asked.
    pub(crate) fn join_new(&mut self, asked: &NewTask) -> PlaceId {
        self.join(&asked.runner, &asked.requires, &asked.group, asked.priority)
    }

    /// A live task is no more; what only it used is dropped.
    pub(crate) fn leave(&mut self, id: PlaceId) {
        let place = self.places.get_mut(id.0);
        place.tasks -= 1;
        let (shape, group, priority, empty) = (place.shape, place.group, place.priority, place.tasks == 0);
        let members = self.groups.get_mut(group.0);
        members.tasks -= 1;
        if members.tasks == 0 {
            let gone = self.groups.remove(group.0);
            self.group_ids.remove(&gone.name);
        }
        if empty {
            self.places.remove(id.0);
            self.place_ids.remove(&(shape, group, priority));
            let users = &mut self.shapes.get_mut(shape.0).1;
            *users -= 1;
            if *users == 0 {
                let (gone, _) = self.shapes.remove(shape.0);
                self.shape_ids.remove(&gone);
            }
        }
    }

    /// A live task brings a payload.
    pub(crate) fn add_body(&mut self, bytes: u32) {
        self.counts.body_bytes += u64::from(bytes);
    }

    /// A live task's payload counts no more.
    pub(crate) fn remove_body(&mut self, bytes: u32) {
        self.counts.body_bytes -= u64::from(bytes);
    }

    /// A task begins to stand where its stage says.
    pub(crate) fn enter_stage(&mut self, id: TaskId, task: &Task) {
        match &task.stage {
            Stage::Blocked(_) => self.counts.blocked += 1,
            Stage::Scheduled { .. } => self.counts.scheduled += 1,
            Stage::Queued { queued_at } => {
                self.counts.queued += 1;
                self.places.get_mut(task.place.0).queue.insert((*queued_at, task.submitted_seq), id);
                self.ready.insert(task.place);
            }
            Stage::Running(run) => {
                self.counts.running += 1;
                self.counts.waiting += u64::from(run.question.is_some());
                let group = self.places.get(task.place.0).group;
                let group = self.groups.get_mut(group.0);
                group.running += 1;
                group.last_served = group.last_served.max(run.lease.number);
                increment(&mut self.running_by_runner, &run.runner);
                for label in task.labels() {
                    increment(&mut self.running_by_label, label);
                }
                self.enter_lane(task.lane());
            }
            Stage::Between => {}
        }
    }

    /// A task stops standing where its stage says.
    pub(crate) fn leave_stage(&mut self, task: &Task) {
        match &task.stage {
            Stage::Blocked(_) => self.counts.blocked -= 1,
            Stage::Scheduled { .. } => self.counts.scheduled -= 1,
            Stage::Queued { queued_at } => {
                self.counts.queued -= 1;
                let queue = &mut self.places.get_mut(task.place.0).queue;
                queue.remove(&(*queued_at, task.submitted_seq));
                if queue.is_empty() {
                    self.ready.remove(&task.place);
                }
            }
            Stage::Running(run) => {
                self.counts.running -= 1;
                self.counts.waiting -= u64::from(run.question.is_some());
                let group = self.places.get(task.place.0).group;
                self.groups.get_mut(group.0).running -= 1;
                decrement(&mut self.running_by_runner, &run.runner);
                for label in task.labels() {
                    decrement(&mut self.running_by_label, label);
                }
                if let Some(lane) = task.lane() {
                    decrement(&mut self.running_by_lane, lane);
                }
            }
            Stage::Between => {}
        }
    }

    /// Fills a place's queue at once, which packs it better than one by one.
    pub(crate) fn fill(&mut self, place: PlaceId, tasks: Vec<(Order, TaskId)>) {
        self.counts.queued += tasks.len() as u64;
        if !tasks.is_empty() {
            self.ready.insert(place);
        }
        self.places.get_mut(place.0).queue = tasks.into_iter().collect();
    }

    /// A question came or went with a running task.
    pub(crate) fn waiting_changed(&mut self, waits: bool, waited: bool) {
        self.counts.waiting += u64::from(waits);
        self.counts.waiting -= u64::from(waited);
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How many places are in use.
    pub(crate) fn place_count(&self) -> usize {
        self.places.len()
    }

    /// The place that a task would have, where it is in use.
    pub(crate) fn place_of(&self, asked: &NewTask) -> Option<PlaceId> {
        let shape = Shape { runner: asked.runner.clone(), requires: asked.requires.clone() };
        let shape = self.shape_ids.get(&shape)?;
        let group = self.group_ids.get(&asked.group)?;
        self.place_ids.get(&(*shape, *group, asked.priority)).copied()
    }

    pub(crate) fn place(&self, id: PlaceId) -> &Place {
        self.places.get(id.0)
    }

    pub(crate) fn shape(&self, id: ShapeId) -> &Shape {
        &self.shapes.get(id.0).0
    }

    pub(crate) fn group(&self, id: GroupId) -> &Group {
        self.groups.get(id.0)
    }

    pub(crate) fn group_named(&self, name: &Name) -> Option<&Group> {
        self.group_ids.get(name).map(|id| self.groups.get(id.0))
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.group_ids.values().map(|id| self.groups.get(id.0))
    }

    /// The places where a task is queued.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (PlaceId, &Place)> {
        self.ready.iter().map(|id| (*id, self.places.get(id.0)))
    }

    pub(crate) fn running_under(&self, runner: &Name) -> u32 {
        self.running_by_runner.get(runner).copied().unwrap_or(0)
    }

    pub(crate) fn running_by_runner(&self) -> &BTreeMap<Name, u32> {
        &self.running_by_runner
    }

    pub(crate) fn running_by_label(&self) -> &BTreeMap<(Name, Name), u32> {
        &self.running_by_label
    }

    /// A running task runs under a credential.
    pub(crate) fn enter_lane(&mut self, lane: Option<&Name>) {
        if let Some(lane) = lane {
            increment(&mut self.running_by_lane, lane);
        }
    }

    pub(crate) fn running_under_lane(&self, lane: &Name) -> u32 {
        self.running_by_lane.get(lane).copied().unwrap_or(0)
    }

    pub(crate) fn running_by_lane(&self) -> &BTreeMap<Name, u32> {
        &self.running_by_lane
    }

    /// How many shapes, groups and places are held, to see that none is left over.
    pub(crate) fn sizes(&self) -> [usize; 6] {
        [
            self.shapes.len(),
            self.shape_ids.len(),
            self.groups.len(),
            self.group_ids.len(),
            self.places.len(),
            self.place_ids.len(),
        ]
    }
}

fn increment<K: Clone + Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    match counts.get_mut(key) {
        Some(count) => *count += 1,
        None => {
            counts.insert(key.clone(), 1);
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
