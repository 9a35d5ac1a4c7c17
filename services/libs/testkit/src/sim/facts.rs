//! What the log says happened, and what must be true of it.

use std::collections::{BTreeMap, BTreeSet};

use conductor_core::{AttemptEnd, Event, EventKind, KeyId, Lease, Outcome, State, TaskId};

/// What the log says happened.
#[derive(Debug, Default)]
pub struct Facts {
    accepted: BTreeSet<TaskId>,
    finished: BTreeMap<TaskId, Outcome>,
    /// The tasks accepted under each key.
    bound: BTreeMap<KeyId, Box<[TaskId]>>,
    given: BTreeMap<Lease, TaskId>,
    ended: BTreeMap<Lease, AttemptEnd>,
}

impl Facts {
    /// Learns of an event that comes after `before`.
    pub(super) fn learn(&mut self, event: &Event, before: &State) {
        match &event.kind {
            EventKind::TaskSubmitted { task, .. } => {
                assert!(self.accepted.insert(task.id), "{} is accepted once", task.id);
            }
            EventKind::KeyBound { key, tasks, .. } => {
                let again = self.bound.insert(*key, tasks.clone());
                assert_eq!(again, None, "what is asked twice under a key is done once");
            }
            EventKind::TaskAssigned { task, lease, .. } => {
                let again = self.given.insert(*lease, *task);
                assert_eq!(again, None, "{lease} is given once");
                let image = before.task(*task).expect("only a live task is assigned (I2)");
                let queued = matches!(image.stage, conductor_core::StageImage::Queued { .. });
                assert!(queued, "{task} has no other live lease (I4)");
            }
            EventKind::AttemptEnded { task, lease, end, .. } => {
                assert_eq!(self.given.get(lease), Some(task));
                let again = self.ended.insert(*lease, end.clone());
                assert_eq!(again, None, "what was done under {lease} is accepted once (I3)");
            }
            EventKind::TaskFinished { task, outcome, .. } => {
                let again = self.finished.insert(*task, outcome.clone());
                assert_eq!(again, None, "{task} is finished once (I2)");
            }
            _ => {}
        }
    }

    /// Checks what must be true after every batch.
    pub(super) fn check(&self, state: &State) {
        state.check().expect("the indexes agree with the tasks");
        assert_eq!(state.len() + self.finished.len(), self.accepted.len());
        for task in &self.accepted {
            assert_ne!(state.contains(*task), self.finished.contains_key(task), "{task} is live or finished");
        }
    }

    /// Whether a task was accepted and is still live or finished (I1).
    pub(super) fn keeps(&self, task: TaskId) -> bool {
        self.accepted.contains(&task)
    }

    /// How tasks ended.
    pub fn finished(&self) -> &BTreeMap<TaskId, Outcome> {
        &self.finished
    }

    /// How attempts ended.
    pub fn ended(&self) -> &BTreeMap<Lease, AttemptEnd> {
        &self.ended
    }
}
