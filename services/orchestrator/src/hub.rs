//! The output hub: tells whoever follows a run's output that there is more of it. The bytes themselves are read from the
//! run folder, so that live tail and later browsing see the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use conductor_core::{Lease, TaskId};
use tokio::sync::broadcast;

/// Notices that a follower may be behind before it looks at the file by itself.
const NOTICE_QUEUE: usize = 1_024;
/// Runs remembered at once; the oldest leases go first.
const MAX_RUNS: usize = 100_000;

/// A run's output grew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grew {
    pub(crate) task: TaskId,
    pub(crate) attempt: u32,
    pub(crate) bytes: u64,
}

/// The output hub; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    notices: broadcast::Sender<Grew>,
    /// Which run a lease stands for. Held only for a look or an entry.
    runs: Arc<Mutex<HashMap<Lease, (TaskId, u32)>>>,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { notices: broadcast::channel(NOTICE_QUEUE).0, runs: Arc::default() }
    }

    /// Notes which run a lease stands for.
    pub(crate) fn assigned(&self, lease: Lease, task: TaskId, attempt: u32) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MAX_RUNS {
            let newest = runs.keys().map(|lease| lease.number).max().unwrap_or_default();
            runs.retain(|lease, _| lease.number + (MAX_RUNS as u64) / 2 > newest);
        }
        runs.insert(lease, (task, attempt));
    }

    /// Tells that a run's output has so many bytes by now.
    pub(crate) fn grew(&self, lease: Lease, bytes: u64) {
        let run = self.runs.lock().unwrap_or_else(PoisonError::into_inner).get(&lease).copied();
        if let Some((task, attempt)) = run {
            // Nobody may follow.
            drop(self.notices.send(Grew { task, attempt, bytes }));
        }
    }

    /// Follows all notices.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Grew> {
        self.notices.subscribe()
    }
}
