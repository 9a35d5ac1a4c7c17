//! An event log for tests: it keeps what it is handed until the test says what became of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use conductor_core::Seq;
use conductor_store::log::{
    Appended, Batch, Done, EventLog, Fence, LogId, PayloadKey, Payloads, Read, ReadError, SnapshotError,
    SnapshotWriter, Space, Status, Stored,
};
use tokio::sync::Notify;

/// How long a test waits for the engine before it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// The log.
#[derive(Default)]
pub(super) struct ScriptedLog {
    waiting: Mutex<VecDeque<(Arc<Batch>, Done)>>,
    appended: Notify,
}

impl std::fmt::Debug for ScriptedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedLog").finish_non_exhaustive()
    }
}

impl ScriptedLog {
    /// How many batches wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until so many batches are handed over.
    pub(super) async fn until_waiting(&self, count: usize) {
        let enough = async {
            while self.waiting() < count {
                self.appended.notified().await;
            }
        };
        tokio::time::timeout(PATIENCE, enough).await.expect("the engine appends in time");
    }

    /// Waits for the next batch and answers it; gives the batch.
    pub(super) async fn answer(&self, answer: Appended) -> Arc<Batch> {
        self.until_waiting(1).await;
        let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let (batch, done) = next.expect("a batch waits");
        done(answer);
        batch
    }
}

impl Payloads for ScriptedLog {
    fn visit_payloads(&self, _: &[PayloadKey], _: &mut dyn FnMut(usize, &[u8])) -> Result<(), ReadError> {
        Ok(())
    }
}

impl EventLog for ScriptedLog {
    fn append(&self, batch: Arc<Batch>, done: Done) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back((batch, done));
        self.appended.notify_one();
    }

    fn fence(&self) -> Fence {
        Fence(1)
    }

    fn status(&self) -> Status {
        Status { log: LogId(1), first: Seq(1), last: Seq(0), snapshot: None }
    }

    fn load(&self) -> Result<Stored, ReadError> {
        Err(ReadError::Closed)
    }

    fn read_after(&self, _: Seq, _: usize) -> Result<Read, ReadError> {
        Err(ReadError::Closed)
    }

    fn begin_snapshot(&self, _: Seq) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        Err(SnapshotError::Closed)
    }

    fn trim(&self, _: Seq) -> Result<Seq, SnapshotError> {
        Err(SnapshotError::Closed)
    }

    fn space(&self) -> Result<Space, ReadError> {
        Ok(Space { free_bytes: None, reserve_held: true, is_reachable: true })
    }

    fn close(&self) {}
}
