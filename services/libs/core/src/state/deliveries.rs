//! What is to be told, and which tasks have a webhook.

use std::collections::{BTreeMap, BTreeSet};

use crate::delivery::{Delivery, Notice, Route, Tried};
use crate::id::{Seq, TaskId};
use crate::state::{ApplyError, State};
use crate::time::Wall;

/// What is to be told, and which tasks have a webhook.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deliveries {
    /// Live tasks that name a webhook.
    webhooks: BTreeSet<TaskId>,
    pending: BTreeMap<Seq, Delivery>,
    /// The same, by when they are due.
    due: BTreeSet<(Wall, Seq)>,
}

impl Deliveries {
    /// Notes that a live task names a webhook; answers whether that is new.
    pub(crate) fn webhook(&mut self, task: TaskId) -> bool {
        self.webhooks.insert(task)
    }

    pub(crate) fn has_webhook(&self, task: TaskId) -> bool {
        self.webhooks.contains(&task)
    }

    /// The live tasks that name a webhook.
    pub(crate) fn webhooks(&self) -> impl Iterator<Item = TaskId> + '_ {
        self.webhooks.iter().copied()
    }

    pub(crate) fn task_ended(&mut self, task: TaskId) {
        self.webhooks.remove(&task);
    }

    /// Adds one; answers whether it is new.
    pub(crate) fn add(&mut self, delivery: Delivery) -> bool {
        self.due.insert((delivery.next_at, delivery.seq));
        self.pending.insert(delivery.seq, delivery).is_none()
    }

    pub(crate) fn get(&self, seq: Seq) -> Option<&Delivery> {
        self.pending.get(&seq)
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.pending.values()
    }

    fn tried(&mut self, seq: Seq, tried: &Tried) -> bool {
        let Some(delivery) = self.pending.get_mut(&seq) else { return false };
        self.due.remove(&(delivery.next_at, seq));
        match tried {
            Tried::Delivered | Tried::GivenUp => {
                self.pending.remove(&seq);
            }
            Tried::Again { next_at } => {
                delivery.tries = delivery.tries.saturating_add(1);
                delivery.next_at = *next_at;
                self.due.insert((*next_at, seq));
            }
        }
        true
    }
}

impl State {
    pub(crate) fn delivery_due(
        &mut self,
        at: Wall,
        task: Option<TaskId>,
        route: &Route,
        notice: Notice,
        detail: &str,
    ) {
        let delivery = Delivery {
            seq: self.seq,
            made_at: at,
            task,
            route: route.clone(),
            notice,
            detail: detail.into(),
            tries: 0,
            next_at: at,
        };
        self.deliveries.add(delivery);
    }

    pub(crate) fn delivery_tried(&mut self, seq: Seq, tried: &Tried) -> Result<(), ApplyError> {
        match self.deliveries.tried(seq, tried) {
            true => Ok(()),
            false => Err(ApplyError::Delivery(seq)),
        }
    }

    pub(crate) fn webhook_asked(&mut self, task: TaskId) -> Result<(), ApplyError> {
        match self.contains(task) && self.deliveries.webhook(task) {
            true => Ok(()),
            false => Err(ApplyError::Task(task)),
        }
    }

    /// What is to be told, the earliest due first, and when.
    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> + '_ {
        self.deliveries.due.iter().filter_map(|(_, seq)| self.deliveries.get(*seq))
    }

    /// How much is to be told.
    #[must_use]
    pub fn delivery_count(&self) -> usize {
        self.deliveries.len()
    }

    /// One of those.
    #[must_use]
    pub fn delivery(&self, seq: Seq) -> Option<&Delivery> {
        self.deliveries.get(seq)
    }

    pub(crate) fn outbox(&self) -> &Deliveries {
        &self.deliveries
    }
}
