//! The outbox: what attempts came to, in a file before it is reported and until that is acknowledged, so that it survives
//! the death of the worker. A thread of its own writes; results that come while it does are written together.

mod frame;
mod journal;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{io, iter};

use conductor_core::Lease;
use conductor_protocol::agent::Finished;
use tokio::sync::mpsc;

use journal::Journal;

/// How long the writer waits after the disk refused before it tries again.
const RETRY: Duration = Duration::from_millis(500);

/// A result, shared between who reports it and who writes it.
pub type Entry = Arc<Finished>;

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("use {path}")]
    Use { path: PathBuf, source: io::Error },
    #[error(
        "{path} is damaged at byte {offset}: {what}; when both files of the outbox are moved away, the results in them are lost and their tasks run again"
    )]
    Damaged { path: PathBuf, offset: usize, what: &'static str },
    #[error("{path} is damaged at byte {offset}: its record is not what this release writes")]
    Unreadable { path: PathBuf, offset: usize, source: serde_json::Error },
    #[error("{path} was written by a later release (format {version})")]
    Newer { path: PathBuf, version: char },
    #[error("start the thread of the outbox")]
    Thread(#[source] io::Error),
}

/// Keeps results until they are acknowledged. Its two queues hold no more than there are slots and results that are not
/// acknowledged, because a slot waits until its result is stored.
#[derive(Debug)]
pub struct Outbox {
    orders: Sender<Order>,
    writer: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Store(Entry),
    Forget(Vec<Lease>),
    Close,
}

impl Outbox {
    /// Opens the outbox in `folder`, which exists, and gives what is in it. One that is `expected` is not made anew when it
    /// is missing. Results are sent to `stored` when they are kept.
    ///
    /// # Errors
    /// When the files cannot be used, are damaged or come from a later release.
    pub fn open(
        folder: &Path,
        expected: bool,
        stored: mpsc::Sender<Vec<Entry>>,
    ) -> Result<(Self, Vec<Entry>), Error> {
        let journal = Journal::open(folder, expected)?;
        let found = journal.live().cloned().collect();
        let (orders, receiver) = channel();
        let writer = std::thread::Builder::new()
            .name("outbox".into())
            .spawn(move || serve(journal, &receiver, &stored))
            .map_err(Error::Thread)?;
        Ok((Self { orders, writer }, found))
    }

    /// Stores a result.
    pub fn store(&self, entry: Entry) {
        self.order(Order::Store(entry));
    }

    /// Forgets results that were acknowledged. One that comes back after a crash is reported again, which is harmless.
    pub fn forget(&self, leases: Vec<Lease>) {
        if !leases.is_empty() {
            self.order(Order::Forget(leases));
        }
    }

    /// Writes what there is to write and ends the thread.
    pub fn close(self) {
        self.order(Order::Close);
        if self.writer.join().is_err() {
            tracing::error!("the outbox panicked");
        }
    }

    fn order(&self, order: Order) {
        // The writer leaves only when it is told to, or by a panic that its hook has reported.
        let _ = self.orders.send(order);
    }
}

fn serve(mut journal: Journal, orders: &Receiver<Order>, stored: &mpsc::Sender<Vec<Entry>>) {
    let mut closing = false;
    while !closing {
        let Ok(first) = orders.recv() else { return };
        let mut entries = Vec::new();
        for order in iter::once(first).chain(orders.try_iter()) {
            match order {
                Order::Store(entry) => entries.push(entry),
                Order::Forget(leases) => journal.forget(leases),
                Order::Close => closing = true,
            }
        }
        if entries.is_empty() && !(closing && journal.is_behind()) {
            continue;
        }
        let mut refused = false;
        while let Err(error) = journal.write(&entries) {
            if closing {
                tracing::error!(%error, results = entries.len(), "the outbox could not be written at the end");
                return;
            }
            if !refused {
                tracing::error!(%error, "the outbox cannot be written; finished runs wait");
            }
            refused = true;
            closing = wait(&mut journal, &mut entries, orders);
        }
        if refused {
            tracing::info!("the outbox can be written again");
        }
        // Who no longer listens is about to end and reads the file when it starts again.
        let _ = stored.blocking_send(entries);
    }
}

/// Takes orders until it is time to try again; true when the outbox is closing.
fn wait(journal: &mut Journal, entries: &mut Vec<Entry>, orders: &Receiver<Order>) -> bool {
    match orders.recv_timeout(RETRY) {
        Ok(Order::Store(entry)) => entries.push(entry),
        Ok(Order::Forget(leases)) => journal.forget(leases),
        Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => return true,
        Err(RecvTimeoutError::Timeout) => {}
    }
    false
}

#[cfg(test)]
mod tests;
