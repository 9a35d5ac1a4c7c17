//! The output hub: tells whoever follows a run's output that there is more of it. The bytes themselves are read from the
//! run folder, so that live tail and later browsing see the same.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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
    runs: Arc<Mutex<HashMap<Lease, Run>>>,
    /// Bytes of output since the start.
    bytes: Arc<AtomicU64>,
}

/// A run, and how long its output was said to be.
#[derive(Debug, Clone, Copy)]
struct Run {
    task: TaskId,
    attempt: u32,
    bytes: u64,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { notices: broadcast::channel(NOTICE_QUEUE).0, runs: Arc::default(), bytes: Arc::default() }
    }

    /// Notes which run a lease stands for.
    pub(crate) fn assigned(&self, lease: Lease, task: TaskId, attempt: u32) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= MAX_RUNS {
            let newest = runs.keys().map(|lease| lease.number).max().unwrap_or_default();
            runs.retain(|lease, _| lease.number + (MAX_RUNS as u64) / 2 > newest);
        }
        runs.entry(lease).or_insert(Run { task, attempt, bytes: 0 });
    }

    /// Tells that a run's output has so many bytes by now.
    pub(crate) fn grew(&self, lease: Lease, bytes: u64) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(run) = runs.get_mut(&lease) else { return };
        let new = bytes.saturating_sub(run.bytes);
        run.bytes += new;
        self.bytes.fetch_add(new, Ordering::Relaxed);
        let Run { task, attempt, .. } = *run;
        drop(runs);
        // Nobody may follow.
        drop(self.notices.send(Grew { task, attempt, bytes }));
    }

    /// How many bytes of output came since the start.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Follows all notices.
    pub(crate) fn follow(&self) -> broadcast::Receiver<Grew> {
        self.notices.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use conductor_core::Incarnation;

    use super::*;

    #[test]
    fn bytes_are_counted_once_however_often_a_length_is_told() {
        let hub = Hub::new();
        let lease = |number| Lease { incarnation: Incarnation(1), number };
        hub.grew(lease(1), 7);
        assert_eq!(hub.bytes(), 0, "nobody knows the run");
        hub.assigned(lease(1), TaskId(1), 1);
        hub.grew(lease(1), 100);
        hub.assigned(lease(1), TaskId(1), 1);
        hub.grew(lease(1), 100);
        hub.grew(lease(1), 130);
        hub.assigned(lease(2), TaskId(1), 2);
        hub.grew(lease(2), 5);
        assert_eq!(hub.bytes(), 135);
    }
}
