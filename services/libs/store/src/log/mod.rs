//! The event log: what happened, in order, durable before anybody is told.
//!
//! A log holds stretches of events, each written with the payloads that came with it in one durable step, and now and
//! then a snapshot of the state. Loading is: restore the snapshot, apply the tail. The oldest stretches are trimmed once a
//! snapshot and History hold what they say.

mod ahead;
mod chunks;
mod digest;
mod error;
pub mod redis;
pub mod sqlite;
pub mod transfer;
#[cfg(test)]
mod trial;

use std::fmt;
use std::sync::Arc;

use conductor_core::{Event, Part, ScheduleId, Seq, TaskId};

pub use error::{AppendError, ReadError, SnapshotError};

/// Names a log for good. A log that was made anew has another one, whatever its events are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub u128);

/// Names a batch, so that it can be sent again when its fate is unknown. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchId(pub u128);

/// Orders those who lead. A batch under a lower fence than the log has seen is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Fence(pub u64);

/// Names a payload: the id of the task or schedule it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayloadKey(pub u128);

impl From<TaskId> for PayloadKey {
    fn from(id: TaskId) -> Self {
        Self(id.0)
    }
}

impl From<ScheduleId> for PayloadKey {
    fn from(id: ScheduleId) -> Self {
        Self(id.0)
    }
}

/// What a task or schedule is about, opaque to the log. It stays until it is deleted by a later batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Whose it is.
    pub key: PayloadKey,
    /// The bytes as they are handed out again.
    pub bytes: Vec<u8>,
}

/// What is to become durable in one step, all or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Names the batch.
    pub id: BatchId,
    /// Under which leadership.
    pub fence: Fence,
    /// The number of the last event before the batch; its own events follow on it.
    pub expected_seq: Seq,
    /// What happened; not empty.
    pub events: Vec<Event>,
    /// Payloads that come with it. A key that is there already gets the new bytes.
    pub payloads: Vec<Payload>,
    /// Payloads that go with it. A key that is not there is passed over.
    pub deleted_payloads: Vec<PayloadKey>,
}

impl Batch {
    /// The number of its last event.
    #[must_use]
    pub fn last_seq(&self) -> Seq {
        Seq(self.expected_seq.0 + self.events.len() as u64)
    }
}

/// What became of a batch.
#[derive(Debug)]
pub enum Appended {
    /// It is on disk, now or since an earlier try.
    Durable,
    /// Somebody else leads. Nothing was applied.
    Fenced,
    /// Nobody knows. The same batch, under the same id, is to be sent again.
    Unknown,
    /// There is no room, even with the reserve released. Nothing was applied; the batch may be sent again later.
    NoSpace,
    /// It cannot be known what is on disk. Nothing may be acknowledged any more; whoever leads exits and loads again.
    Failed(AppendError),
}

/// Is told what became of a batch, on a thread of the log's: it hands the answer on and does not block.
pub type Done = Box<dyn FnOnce(Appended) + Send>;

/// Events that follow each other without a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// The number of the first.
    pub first: Seq,
    /// The events.
    pub events: Vec<Event>,
}

impl Stretch {
    /// The number of the last event; the one before `first` when it is empty.
    #[must_use]
    pub fn last(&self) -> Seq {
        Seq(self.first.0 + self.events.len() as u64 - 1)
    }

    /// What of it is not before `next`; none when nothing is.
    pub(crate) fn from(mut self, next: Seq) -> Option<Self> {
        if self.last() < next {
            return None;
        }
        let before = usize::try_from(next.0.saturating_sub(self.first.0)).expect("less than its events");
        self.events.drain(..before);
        Some(Self { first: Seq(self.first.0 + before as u64), events: self.events })
    }

    /// Drops the events after `last`.
    pub(crate) fn cut_after(&mut self, last: Seq) {
        let kept = (last.0 + 1).saturating_sub(self.first.0);
        self.events.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }

    /// The events with their numbers.
    pub fn numbered(&self) -> impl Iterator<Item = (Seq, &Event)> {
        (self.first.0..).map(Seq).zip(&self.events)
    }
}

/// The parts of a snapshot, the header first.
pub type Parts = Box<dyn Iterator<Item = Result<Part, ReadError>> + Send>;

/// The events after a snapshot, in order, without gaps.
pub type Tail = Box<dyn Iterator<Item = Result<Stretch, ReadError>> + Send>;

/// What a log holds at one moment, to be read once: the snapshot first, then the tail. Both are read and checked ahead on
/// a thread of their own. After an error nothing follows.
pub struct Stored {
    /// The newest complete snapshot and the number of the last event that it holds.
    pub snapshot: Option<(Seq, Parts)>,
    /// The events after it.
    pub tail: Tail,
    /// The number of the last event.
    pub last: Seq,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let snapshot = self.snapshot.as_ref().map(|(seq, _)| *seq);
        f.debug_struct("Stored")
            .field("snapshot", &snapshot)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

/// What a reader gets that asks for events after some number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The events; none when there are no newer ones yet.
    Events(Stretch),
    /// They are gone. The oldest event that is kept has this number.
    Trimmed {
        /// The number.
        first: Seq,
    },
}

/// Where a log stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Which log it is.
    pub log: LogId,
    /// The oldest event that can be read; one past `last` when none is kept.
    pub first: Seq,
    /// The last durable event.
    pub last: Seq,
    /// The last event that the newest complete snapshot holds.
    pub snapshot: Option<Seq>,
}

impl Status {
    /// How many events a start has to apply after the snapshot.
    #[must_use]
    pub fn tail_events(&self) -> u64 {
        self.last.0 - self.snapshot.unwrap_or_default().0
    }

    /// Whether a snapshot up to `seq` says something new.
    pub(crate) fn may_begin(&self, seq: Seq) -> Result<(), SnapshotError> {
        if seq > self.last {
            return Err(SnapshotError::Shape("is ahead of the log"));
        }
        if self.snapshot.is_some_and(|newest| newest >= seq) {
            return Err(SnapshotError::Shape("is not newer than the last one"));
        }
        Ok(())
    }
}

/// How much room is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes where the log lives; none where nobody can say.
    pub free_bytes: Option<u64>,
    /// Whether the reserve is held. While it is not, the disk was full: submits are to be refused, so that what is left
    /// serves completions, cancels and snapshots.
    pub reserve_held: bool,
    /// Whether the log can be reached. While it cannot, nothing new is to be let in.
    pub is_reachable: bool,
}

/// Reads payloads. Blocks; may be used from several threads.
pub trait Payloads {
    /// Shows what is kept under `keys` one by one, in their order, with the key's place among them. A key that is not there
    /// is passed over.
    ///
    /// # Errors
    /// Says where a payload is damaged or cannot be read.
    fn visit_payloads(
        &self,
        keys: &[PayloadKey],
        visit: &mut dyn FnMut(usize, &[u8]),
    ) -> Result<(), ReadError>;

    /// Reads what is kept under `keys`, in their order; none for a key that is not there.
    ///
    /// # Errors
    /// Says where a payload is damaged or cannot be read.
    fn payloads(&self, keys: &[PayloadKey]) -> Result<Vec<Option<Vec<u8>>>, ReadError> {
        let mut found = vec![None; keys.len()];
        self.visit_payloads(keys, &mut |place, bytes| found[place] = Some(bytes.to_vec()))?;
        Ok(found)
    }
}

/// Writes a snapshot, part by part. Dropped without a commit it leaves nothing behind that counts.
pub trait SnapshotWriter: Send {
    /// Adds a part; the header first. Blocks while the log is busy.
    ///
    /// # Errors
    /// The snapshot cannot be finished then.
    fn write(&mut self, part: Part) -> Result<(), SnapshotError>;

    /// Makes the snapshot the one that is loaded.
    ///
    /// # Errors
    /// The older snapshot stays in place then.
    fn commit(self: Box<Self>) -> Result<(), SnapshotError>;
}

/// The log. Every method may be called from any thread; all but `append` and `status` block.
pub trait EventLog: Payloads + Send + Sync + fmt::Debug {
    /// Hands over a batch and returns at once; `done` is called exactly once, in the order of the batches. A few may be
    /// handed over before the first is answered; more than the log's limit make this call wait. After any answer but
    /// `Durable` the batches behind it, which build on it, are answered in the same way.
    fn append(&self, batch: Arc<Batch>, done: Done);

    /// The fence under which this opening of the log may append.
    fn fence(&self) -> Fence;

    /// Where the log stands; what was appended counts once it is durable.
    fn status(&self) -> Status;

    /// Reads what the log holds now, checking all of it.
    ///
    /// # Errors
    /// Says where the log is damaged.
    fn load(&self) -> Result<Stored, ReadError>;

    /// Reads up to `max_events` durable events after the number `after`.
    ///
    /// # Errors
    /// Says where the log is damaged or cannot be read.
    fn read_after(&self, after: Seq, max_events: usize) -> Result<Read, ReadError>;

    /// Begins a snapshot that holds everything up to `seq`, which is durable. One at a time.
    ///
    /// # Errors
    /// Another one is under way, or the log cannot write.
    fn begin_snapshot(&self, seq: Seq) -> Result<Box<dyn SnapshotWriter>, SnapshotError>;

    /// Lets go of events up to `upto`, which History durably holds, as far as the newest snapshot holds them too.
    /// Answers the oldest number that is kept.
    ///
    /// # Errors
    /// The log cannot write.
    fn trim(&self, upto: Seq) -> Result<Seq, SnapshotError>;

    /// Tells how much room is left, and takes the reserve back when there is room for it.
    ///
    /// # Errors
    /// The disk cannot be asked.
    fn space(&self) -> Result<Space, ReadError>;

    /// Finishes what was handed over and closes the files. What is called afterwards fails.
    fn close(&self);
}
