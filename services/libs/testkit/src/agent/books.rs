//! What a fake agent was given and what it has reported.

use std::collections::{BTreeMap, BTreeSet};

use conductor_core::{Lease, TaskId};
use conductor_protocol::agent::{End, Finished, ToAgent};

/// What a fake agent was given and what it has reported.
#[derive(Debug, Default)]
pub struct Books {
    working: BTreeMap<Lease, TaskId>,
    reported: BTreeMap<Lease, Finished>,
    /// Runs that the orchestrator wants ended.
    to_end: BTreeSet<Lease>,
    acknowledged: u64,
}

impl Books {
    /// What it works on.
    pub fn working(&self) -> impl Iterator<Item = (Lease, TaskId)> {
        self.working.iter().map(|(lease, task)| (*lease, *task))
    }

    /// What it works on and what was not acknowledged.
    #[must_use]
    pub fn held(&self) -> Vec<Lease> {
        self.working.keys().chain(self.reported.keys()).copied().collect()
    }

    /// What was reported and not acknowledged.
    #[must_use]
    pub fn unacknowledged(&self) -> Vec<Finished> {
        self.reported.values().cloned().collect()
    }

    /// How many reports were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether the orchestrator wants this run ended.
    #[must_use]
    pub fn is_to_end(&self, lease: Lease) -> bool {
        self.to_end.contains(&lease)
    }

    pub(super) fn take(&mut self, said: &ToAgent) {
        for lease in &said.acknowledged {
            self.acknowledged += u64::from(self.reported.remove(lease).is_some());
        }
        for end in &said.end {
            if end.revoked {
                self.forget(&[end.lease]);
            } else if self.working.contains_key(&end.lease) {
                self.to_end.insert(end.lease);
            }
        }
        self.working.extend(said.assign.iter().map(|assign| (assign.lease, assign.task)));
    }

    pub(super) fn forget(&mut self, leases: &[Lease]) {
        for lease in leases {
            self.working.remove(lease);
            self.reported.remove(lease);
            self.to_end.remove(lease);
        }
    }

    pub(super) fn finish(&mut self, lease: Lease, end: &End) -> Finished {
        self.working.remove(&lease);
        let end = if self.to_end.remove(&lease) { End::Cancelled } else { end.clone() };
        let finished = Finished {
            lease,
            end,
            exit_code: None,
            simulated: false,
            usage: None,
            result: None,
            lane: None,
            told: 0,
        };
        self.reported.insert(lease, finished.clone());
        finished
    }
}
