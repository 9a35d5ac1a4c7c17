//! State changes as one client follows them.

use std::sync::Arc;

use conductor_protocol::control::Groups;
use tokio::sync::watch;

use super::followers::Following;
use super::hub::{Found, Shared};
use super::ring::Entry;

/// The most events that a client takes at a time.
const MAX_AT_A_TIME: usize = 256;

/// State changes as one client follows them: it holds a number, and nothing of what it has not read yet.
#[derive(Debug)]
pub(crate) struct Feed {
    shared: Arc<Shared>,
    log: Arc<str>,
    after: u64,
    groups: Groups,
    grown: watch::Receiver<u64>,
    _following: Following,
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Batch {
    /// These.
    Entries(Vec<Entry>),
    /// The client was too slow: what came after the first number is not here any more. It goes on after the second.
    Missed { after: u64, from: u64 },
    /// The log was replaced, as by a restore: what was before is of another one.
    Replaced { log: Arc<str>, from: u64 },
}

impl Feed {
    pub(super) fn new(
        (shared, following): (Arc<Shared>, Following),
        log: Arc<str>,
        after: u64,
        groups: Groups,
        grown: watch::Receiver<u64>,
    ) -> Self {
        Self { shared, log, after, groups, grown, _following: following }
    }

    /// The last number that was told of, or passed over.
    pub(crate) fn after(&self) -> u64 {
        self.after
    }

    /// Waits for what comes next; nothing when nothing comes any more. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Batch> {
        loop {
            // Marked as seen before it is read: what comes between wakes again.
            self.grown.borrow_and_update();
            match self.shared.read(&self.log, self.after, MAX_AT_A_TIME) {
                Found::Missed { head } if head == u64::MAX => {}
                Found::Missed { head } => {
                    let after = std::mem::replace(&mut self.after, head);
                    return Some(Batch::Missed { after, from: head });
                }
                Found::Replaced { log, head } => {
                    (self.log, self.after) = (Arc::clone(&log), head);
                    return Some(Batch::Replaced { log, from: head });
                }
                Found::Entries(mut entries) => {
                    if let Some(last) = entries.last() {
                        self.after = last.seq;
                        entries.retain(|entry| entry.is_for(&self.groups));
                        if entries.is_empty() {
                            // Somebody else's; there may be more.
                            continue;
                        }
                        return Some(Batch::Entries(entries));
                    }
                }
            }
            self.grown.changed().await.ok()?;
        }
    }
}
