//! Whether the indexes of the state agree with its tasks. Tests ask after every step.

use std::collections::BTreeSet;
use std::fmt;

use crate::state::State;
use crate::state::task::Stage;

/// Says where an index disagrees with the tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inconsistency(pub String);

impl fmt::Display for Inconsistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Inconsistency {}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Result<(), Inconsistency> {
    if holds { Ok(()) } else { Err(Inconsistency(what())) }
}

impl State {
    /// Checks every index against the tasks; it takes as long as there are tasks.
    ///
    /// # Errors
    /// Says where an index disagrees.
    pub fn check(&self) -> Result<(), Inconsistency> {
        for (id, task) in &self.tasks {
            ensure(!matches!(task.stage, Stage::Between), || format!("{id} is between two stages"))?;
        }
        let rebuilt = Self::restore(self.parts()).map_err(|error| Inconsistency(error.to_string()))?;
        ensure(self.queues.counts() == rebuilt.queues.counts(), || {
            format!("counts {:?} should be {:?}", self.queues.counts(), rebuilt.queues.counts())
        })?;
        ensure(self.queues.sizes() == rebuilt.queues.sizes(), || {
            format!("queues {:?} should be {:?}", self.queues.sizes(), rebuilt.queues.sizes())
        })?;
        ensure(self.waits.sizes() == rebuilt.waits.sizes(), || {
            format!("waits {:?} should be {:?}", self.waits.sizes(), rebuilt.waits.sizes())
        })?;
        ensure(self.agents == rebuilt.agents, || "agents disagree with the leases of the tasks".into())?;
        ensure(self.deliveries == rebuilt.deliveries, || {
            "deliveries disagree with when they are due".into()
        })?;
        ensure(self.questions == rebuilt.questions, || "questions disagree with the tasks".into())?;
        let running = |state: &Self| {
            let queues = &state.queues;
            (
                queues.running_by_runner().clone(),
                queues.running_by_label().clone(),
                queues.running_by_lane().clone(),
            )
        };
        ensure(running(self) == running(&rebuilt), || "running counts disagree with the tasks".into())?;
        ensure(self.groups().eq(rebuilt.groups()), || "group counts disagree with the tasks".into())?;
        ensure(self.queued_everywhere() == rebuilt.queued_everywhere(), || {
            "queues disagree with the tasks".into()
        })?;
        ensure(self.ledger == rebuilt.ledger, || {
            format!("the ledger {:?} should be {:?}", self.ledger, rebuilt.ledger)
        })?;
        for (id, task) in &self.tasks {
            let account = rebuilt.tasks.get(id).map(|task| task.account());
            ensure(account == Some(task.account()), || {
                format!("the account of {id}, {:?}, should be {account:?}", task.account())
            })?;
        }
        self.check_waits()?;
        self.check_keys()
    }

    fn queued_everywhere(&self) -> BTreeSet<(crate::state::queue::Order, crate::id::TaskId)> {
        let places = self.queues.ready();
        places.flat_map(|(_, place)| place.queue.iter().map(|(order, id)| (*order, *id))).collect()
    }

    fn check_waits(&self) -> Result<(), Inconsistency> {
        for (id, task) in &self.tasks {
            if let Some(blocked) = task.blocked() {
                let waits = !blocked.waits_for.is_empty() || self.waits.has_subtasks(*id);
                ensure(waits, || format!("{id} is blocked by nothing"))?;
            }
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), Inconsistency> {
        for (id, key) in &self.keys {
            let live = key.tasks.iter().filter(|task| self.contains(**task)).count();
            ensure(live == key.live as usize, || format!("key {id} counts {} of {live} tasks", key.live))?;
        }
        Ok(())
    }
}
