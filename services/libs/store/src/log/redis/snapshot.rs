//! Snapshots: chunks in the slot that does not count, which counts once its manifest is there. And trimming.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use conductor_core::{Part, Seq};

use super::call::{self, Answer, Call, Fault, Opening};
use super::reads::{Reads, Unanswered};
use super::row;
use super::writer::Shared;
use crate::log::chunks::{Chunk, Cutter};
use crate::log::{SnapshotError, SnapshotWriter};

/// Events whose batches go together; a batch that is appended waits for one of these at most.
const EVENTS_PER_SLICE: u64 = 4_096;

/// What asks for snapshots and trims.
#[derive(Debug, Clone)]
pub(super) struct Compaction {
    pub(super) reads: Arc<Reads>,
    pub(super) shared: Arc<Shared>,
    pub(super) opening: Opening,
}

impl Compaction {
    fn call(&self, call: Call) -> Result<Answer, SnapshotError> {
        let path = || self.shared.address.shown().to_owned();
        let refused = |why: &str| SnapshotError::Write { path: path(), source: why.to_owned().into() };
        let answer = self.reads.call(call).map_err(|unanswered| match unanswered {
            Unanswered::Closed => SnapshotError::Closed,
            Unanswered::Redis(error) if Fault::of(&error) == Fault::Full => SnapshotError::NoSpace,
            Unanswered::Redis(error) => SnapshotError::Write { path: path(), source: error.into() },
        })?;
        match answer.word() {
            "done" => Ok(answer),
            "fenced" => Err(refused("another orchestrator leads on the event log")),
            "gone" => Err(refused("the event log is not there any more")),
            "current" | "incomplete" => Err(refused("the snapshot that was under way is not there any more")),
            other => Err(refused(&format!("{other:?} is not an answer"))),
        }
    }

    /// Begins a snapshot up to `seq`. `busy` is set while one is under way.
    pub(super) fn begin(
        self,
        busy: Arc<AtomicBool>,
        seq: Seq,
    ) -> Result<Box<dyn SnapshotWriter>, SnapshotError> {
        if busy.swap(true, Ordering::AcqRel) {
            return Err(SnapshotError::Busy);
        }
        let mut chunks = Chunks { compaction: self, busy, seq, slot: 0, cutter: Cutter::new(seq) };
        let Self { shared, opening, .. } = &chunks.compaction;
        shared.status().may_begin(seq)?;
        let [zero, one] = &opening.keys.snapshots;
        let answer =
            chunks.compaction.call(opening.call(&call::BEGIN_SNAPSHOT, &[&opening.keys.meta, zero, one]))?;
        chunks.slot = usize::from(answer.text(0) == "1");
        Ok(Box::new(chunks))
    }

    /// Lets batches go whose last event is at most `upto`, and answers the oldest event that is kept.
    pub(super) fn trim(&self, upto: Seq) -> Result<Seq, SnapshotError> {
        let status = self.shared.status();
        let upto = upto.min(status.snapshot.unwrap_or_default());
        let mut first = status.first;
        let mut slice = Seq(first.0.saturating_sub(1));
        while slice < upto {
            slice = Seq(slice.0 + EVENTS_PER_SLICE).min(upto);
            let keys = &self.opening.keys;
            let call = self.opening.call(&call::TRIM, &[&keys.meta, &keys.events]).arg(slice.0);
            first = self.call(call)?.number(0).map_or(first, Seq);
            self.shared.update(|status| status.first = first);
        }
        Ok(first)
    }
}

/// Cuts parts into chunks and writes them.
struct Chunks {
    compaction: Compaction,
    busy: Arc<AtomicBool>,
    seq: Seq,
    slot: usize,
    cutter: Cutter,
}

impl Chunks {
    fn flush(&mut self, chunk: Chunk) -> Result<(), SnapshotError> {
        let opening = &self.compaction.opening;
        let call = opening
            .call(&call::WRITE_CHUNK, &[&opening.keys.meta, &opening.keys.snapshots[self.slot]])
            .arg(self.slot)
            .arg(chunk.number)
            .arg(row::with_digest(chunk.crc, &chunk.body));
        self.compaction.call(call)?;
        self.cutter.reuse(chunk.body);
        Ok(())
    }
}

impl Drop for Chunks {
    fn drop(&mut self) {
        self.busy.store(false, Ordering::Release);
    }
}

impl SnapshotWriter for Chunks {
    fn write(&mut self, part: Part) -> Result<(), SnapshotError> {
        match self.cutter.add(&part)? {
            Some(chunk) => self.flush(chunk),
            None => Ok(()),
        }
    }

    fn commit(mut self: Box<Self>) -> Result<(), SnapshotError> {
        if let Some(chunk) = self.cutter.rest()? {
            self.flush(chunk)?;
        }
        let (seq, sum) = (self.seq, self.cutter.sum());
        let Compaction { opening, shared, .. } = &self.compaction;
        let [zero, one] = &opening.keys.snapshots;
        let call = opening
            .call(&call::COMMIT_SNAPSHOT, &[&opening.keys.meta, zero, one])
            .arg(self.slot)
            .arg(seq.0)
            .arg(sum.chunks)
            .arg(sum.crc);
        self.compaction.call(call)?;
        shared.update(|status| status.snapshot = Some(seq));
        Ok(())
    }
}
