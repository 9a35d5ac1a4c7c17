//! The thread that writes: one transaction and one wait for the disk per batch.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use conductor_core::Seq;
use rusqlite::{Connection, OptionalExtension};

use super::inbox::{Inbox, Next};
use super::row;
use crate::database::{Database, Fault};
use crate::log::{AppendError, Appended, Batch, Fence, Status};
use crate::record;
use crate::reserve::{Reserve, START_SHARE_BYTES};

/// Pages in the write-ahead log from which on they are moved into the file when nothing waits.
const CHECKPOINT_IDLE_PAGES: u32 = 1_000;

/// Pages in the write-ahead log from which on they are moved whatever waits.
const CHECKPOINT_PAGES: u32 = 8_000;

/// What the writer shares with the rest of the log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) status: Mutex<Status>,
    pub(super) reserve: Mutex<Reserve>,
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Gives the reserve back, all but what a start needs. Says whether that made room.
    fn release_reserve(&self) -> bool {
        let released = self.reserve.lock().unwrap_or_else(PoisonError::into_inner).release(START_SHARE_BYTES);
        if released {
            tracing::warn!(path = %self.path.display(), "the disk is full; the reserve was released");
        }
        released
    }
}

/// How writing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Batches are written.
    Ready,
    /// A batch found no room: until it is sent again, those behind it find none either.
    NoSpace,
    /// It is not known what is on disk.
    Failed,
}

/// The writer. Chores get it to themselves.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) shared: Arc<Shared>,
    fence: Fence,
    mode: Mode,
    buffer: Vec<u8>,
}

impl Writer {
    pub(super) fn new(database: Database, shared: Arc<Shared>, fence: Fence) -> Self {
        Self { database, shared, fence, mode: Mode::Ready, buffer: Vec::new() }
    }

    /// Works until the inbox is closed and empty; then closes the file.
    pub(super) fn run(mut self, inbox: &Inbox) {
        let _abandon = Abandon(inbox);
        loop {
            match inbox.poll() {
                Next::Append(batch, done) => {
                    let appended = self.append(&batch);
                    done(appended);
                    self.checkpoint_from(CHECKPOINT_PAGES);
                }
                Next::Chore(chore) => {
                    chore(&mut self);
                    self.database.note(self.shared.status().last.0);
                    self.checkpoint_from(CHECKPOINT_PAGES);
                }
                Next::Idle => {
                    self.checkpoint_from(CHECKPOINT_IDLE_PAGES);
                    inbox.wait();
                }
                Next::Closed => break,
            }
        }
        self.finish();
    }

    fn append(&mut self, batch: &Batch) -> Appended {
        let last = self.shared.status().last;
        if self.mode == Mode::Failed {
            return Appended::Failed(AppendError::Closed);
        }
        if batch.fence < self.fence {
            return Appended::Fenced;
        }
        if batch.events.is_empty() {
            return Appended::Failed(AppendError::Shape("is empty"));
        }
        if batch.expected_seq != last {
            if self.mode == Mode::NoSpace && batch.expected_seq > last {
                return Appended::NoSpace;
            }
            return self.seen_before(batch, last);
        }
        match self.write_or_release(batch) {
            Ok(()) => {
                self.mode = Mode::Ready;
                let last = batch.last_seq();
                self.note(last);
                Appended::Durable
            }
            Err(error) if is_full(&error) => {
                self.mode = Mode::NoSpace;
                Appended::NoSpace
            }
            Err(source) => {
                self.mode = Mode::Failed;
                Appended::Failed(AppendError::Write { path: self.shared.path.clone(), source: source.into() })
            }
        }
    }

    /// Answers a batch that does not follow on the last event: it may have been written before.
    fn seen_before(&mut self, batch: &Batch, last: Seq) -> Appended {
        let found: rusqlite::Result<Option<[u8; 16]>> = self
            .database
            .connection
            .prepare_cached("SELECT batch_id FROM batches WHERE first_seq = ?1")
            .and_then(|mut find| {
                find.query_row([batch.expected_seq.next().0.cast_signed()], |row| row.get(0)).optional()
            });
        match found {
            Ok(Some(id)) if id == batch.id.0.to_be_bytes() => Appended::Durable,
            Ok(_) => {
                self.mode = Mode::Failed;
                Appended::Failed(AppendError::Sequence { expected: batch.expected_seq, last })
            }
            Err(source) => {
                self.mode = Mode::Failed;
                Appended::Failed(AppendError::Write { path: self.shared.path.clone(), source: source.into() })
            }
        }
    }

    fn write_or_release(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        self.buffer.clear();
        record::encode_events(&batch.events, &mut self.buffer);
        let buffer = std::mem::take(&mut self.buffer);
        let written = self.write_full(|connection| row::write_batch(connection, batch, &buffer));
        self.buffer = buffer;
        written
    }

    /// Runs `write` in a transaction of its own; when the disk is full, once more with the reserve released.
    pub(super) fn write_full(
        &mut self,
        write: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        match self.database.transact(&write) {
            Err(error) if is_full(&error) && self.shared.release_reserve() => self.database.transact(&write),
            result => result,
        }
    }

    /// Notes how far the log got, for the next start to compare with.
    fn note(&mut self, last: Seq) {
        self.database.note(last.0);
        self.shared.update(|status| status.last = last);
    }

    /// Whether writing goes on.
    pub(super) fn is_ready(&self) -> bool {
        self.mode != Mode::Failed
    }

    /// Writes nothing any more, and leaves the files as they are.
    #[cfg(test)]
    pub(super) fn give_up(&mut self) {
        self.mode = Mode::Failed;
    }

    /// Moves pages from the write-ahead log into the file when there are as many as `pages`.
    fn checkpoint_from(&mut self, pages: u32) {
        if self.mode == Mode::Failed {
            return;
        }
        match self.database.checkpoint_from(pages) {
            Ok(()) => {}
            Err(error) if is_full(&error) => {
                self.shared.release_reserve();
            }
            Err(error) => {
                tracing::error!(path = %self.shared.path.display(), %error, "failed to move pages into the file");
                self.mode = Mode::Failed;
            }
        }
    }

    fn finish(self) {
        let Self { database, shared, mode, .. } = self;
        if mode != Mode::Failed {
            let was_full = !shared.reserve.lock().unwrap_or_else(PoisonError::into_inner).is_held();
            database.close(shared.status().last.0, was_full);
        }
    }
}

/// Answers what waits when the thread ends, also by a panic: nobody may wait for ever.
struct Abandon<'a>(&'a Inbox);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        for (_, done) in self.0.abandon() {
            done(Appended::Failed(AppendError::Closed));
        }
    }
}

/// Whether there is no room left; the transaction was not applied then.
pub(super) fn is_full(error: &rusqlite::Error) -> bool {
    Fault::of(error) == Fault::Full
}
