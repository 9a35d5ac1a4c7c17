//! What waits for the writer: batches, and chores that may wait for them.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::log::{Batch, Done};

/// Batches that may wait; more make their senders wait.
const MAX_BATCHES: usize = 8;

/// Chores that may wait; more make their senders wait.
const MAX_CHORES: usize = 2;

/// A chore is due after so many batches, however many wait.
const BATCHES_PER_CHORE: u32 = 8;

/// Something else than a batch that the writer does; its time is bounded.
pub(super) type Chore = Box<dyn FnOnce(&mut super::writer::Writer) + Send>;

/// The next thing to do.
pub(super) enum Next {
    /// Write a batch.
    Append(Arc<Batch>, Done),
    /// Do something else.
    Chore(Chore),
    /// Nothing waits right now.
    Idle,
    /// Nothing will come any more.
    Closed,
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<(Arc<Batch>, Done)>,
    chores: VecDeque<Chore>,
    batches_since_chore: u32,
    closed: bool,
}

/// The writer's inbox.
#[derive(Default)]
pub(super) struct Inbox {
    waiting: Mutex<Waiting>,
    /// Something came, or the inbox was closed.
    came: Condvar,
    /// Something was taken.
    taken: Condvar,
}

impl Inbox {
    /// Hands over a batch, or gives its callback back when the inbox is closed.
    pub(super) fn append(&self, batch: Arc<Batch>, done: Done) -> Result<(), Done> {
        let mut waiting = self.lock();
        while waiting.batches.len() >= MAX_BATCHES && !waiting.closed {
            waiting = self.taken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return Err(done);
        }
        waiting.batches.push_back((batch, done));
        self.came.notify_one();
        Ok(())
    }

    /// Hands over a chore; says whether it was taken.
    pub(super) fn chore(&self, chore: Chore) -> bool {
        let mut waiting = self.lock();
        while waiting.chores.len() >= MAX_CHORES && !waiting.closed {
            waiting = self.taken.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return false;
        }
        waiting.chores.push_back(chore);
        self.came.notify_one();
        true
    }

    /// Lets nothing more in.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
        self.taken.notify_all();
    }

    /// Lets nothing more in, and gives back the batches that nobody will write.
    pub(super) fn abandon(&self) -> VecDeque<(Arc<Batch>, Done)> {
        self.close();
        let mut waiting = self.lock();
        // Whoever waits for a chore sees that its answer will not come.
        waiting.chores.clear();
        std::mem::take(&mut waiting.batches)
    }

    /// Takes the next thing, without waiting.
    pub(super) fn poll(&self) -> Next {
        let mut waiting = self.lock();
        let chore_is_due = waiting.batches.is_empty() || waiting.batches_since_chore >= BATCHES_PER_CHORE;
        if chore_is_due && let Some(chore) = waiting.chores.pop_front() {
            waiting.batches_since_chore = 0;
            self.taken.notify_all();
            return Next::Chore(chore);
        }
        if let Some((batch, done)) = waiting.batches.pop_front() {
            waiting.batches_since_chore += 1;
            self.taken.notify_all();
            return Next::Append(batch, done);
        }
        if waiting.closed { Next::Closed } else { Next::Idle }
    }

    /// Waits until something is there.
    pub(super) fn wait(&self) {
        let mut waiting = self.lock();
        while waiting.batches.is_empty() && waiting.chores.is_empty() && !waiting.closed {
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics while it holds the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
