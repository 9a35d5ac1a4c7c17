//! The read model: tasks, attempts, usage and audit, for lists, search and statistics.
//!
//! History follows the log: it is fed every event once, in order and in bulk, and keeps the number of the last one in the
//! same transaction. What it applied can be read at once, and is durable after [`History::sync`]; only up to there may the
//! log be trimmed, because what History lost in a crash is read from the log again.

mod audit;
mod fold;
mod query;
mod record;
pub mod sqlite;
mod tally;

use std::fmt;
use std::path::PathBuf;

use conductor_core::{Seq, TaskId, Wall};

use crate::log::{LogId, Payloads, Stretch};

pub use audit::{AuditDigest, AuditFault, AuditStretch, AuditVerified, MAX_AUDIT_VERIFIED};
pub use query::{AuditPage, AuditQuery, Cursor, Hour, Page, Query, Sort, Stats, StatsQuery, TrendsQuery};
pub use record::{
    AttemptRecord, AttemptState, AuditRecord, DeliveryRecord, DeliveryState, State, TaskRecord, Waiting,
};
pub use tally::{BOUNDS_MS, Durations, RunnerTally, Tally};

/// The most tasks in one page.
pub const MAX_PAGE: usize = 500;

/// The most steps of time that are added up together.
pub const MAX_STEPS: usize = 1_000;

/// Minutes before the newest event for which sums are kept by the minute; older ones are kept by the hour.
pub const KEPT_MINUTES: i64 = 49 * 60;

/// Why History cannot be opened, fed or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The events do not follow on what was applied.
    #[error("events from {first} do not follow on {applied}")]
    Sequence {
        /// The first event given.
        first: Seq,
        /// The last one applied.
        applied: Seq,
    },
    /// It was fed by another log.
    #[error("{path} belongs to another event log")]
    OtherLog {
        /// The file.
        path: PathBuf,
    },
    /// What is there is not what was written.
    #[error("{path} is damaged at {place}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// There is no room.
    #[error("no room to write {path}")]
    NoSpace {
        /// The file.
        path: PathBuf,
    },
    /// The disk, its file system or the database failed.
    #[error("failed to use {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A payload could not be read.
    #[error("failed to read payloads")]
    Payloads(#[source] crate::log::ReadError),
    /// The cursor was not made by this History.
    #[error("the cursor is not one of a page")]
    Cursor,
}

/// The read model. Every method blocks and may be called from any thread; reads do not wait for `apply`.
pub trait History: Send + Sync + fmt::Debug {
    /// The log it follows; none before the first events.
    fn log(&self) -> Option<LogId>;

    /// The last event that reads can see.
    fn applied(&self) -> Seq;

    /// The last event that survives a loss of power; what the log may be trimmed to.
    fn durable(&self) -> Seq;

    /// Takes in events, all or none, and answers the last number applied. Events that were applied before are passed
    /// over. The larger the stretch (10,000 and more), the less an event costs. `payloads` is asked for the payloads of
    /// tasks that were submitted, for their search text.
    ///
    /// # Errors
    /// Nothing was applied.
    fn apply(&self, log: LogId, stretch: &Stretch, payloads: &dyn Payloads) -> Result<Seq, Error>;

    /// Makes durable what was applied before the call, and answers its last number.
    ///
    /// # Errors
    /// `durable` stays where it was.
    fn sync(&self) -> Result<Seq, Error>;

    /// Looks tasks up, in the order asked.
    ///
    /// # Errors
    /// History cannot be read.
    fn tasks(&self, ids: &[TaskId]) -> Result<Vec<Option<TaskRecord>>, Error>;

    /// Lists tasks, the newest first unless asked otherwise. Pages that follow each other by their cursor show every task
    /// that was there at the first page once, whatever arrives meanwhile.
    ///
    /// # Errors
    /// History cannot be read, or the cursor is not one of its own.
    fn list(&self, query: &Query) -> Result<Page, Error>;

    /// Adds up.
    ///
    /// # Errors
    /// History cannot be read.
    fn stats(&self, query: &StatsQuery) -> Result<Stats, Error>;

    /// Adds up step by step, the oldest first; steps in which nothing happened are among them.
    ///
    /// # Errors
    /// History cannot be read.
    fn trends(&self, query: &TrendsQuery) -> Result<Vec<Hour>, Error>;

    /// What was taken in since it was opened.
    fn tally(&self) -> Tally;

    /// Lists what was to be told of a task and what came of it, the newest first, at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// History cannot be read.
    fn deliveries(&self, task: TaskId) -> Result<Vec<DeliveryRecord>, Error>;

    /// Lists up to `limit` tasks that ended before `before`, those first that ended first.
    ///
    /// # Errors
    /// History cannot be read.
    fn ended_before(&self, before: Wall, limit: usize) -> Result<Vec<TaskId>, Error>;

    /// Lists what people and programs did, the newest first.
    ///
    /// # Errors
    /// History cannot be read.
    fn audit(&self, query: &AuditQuery) -> Result<AuditPage, Error>;

    /// Checks that records of the audit are as they were written, at most [`MAX_AUDIT_VERIFIED`] in one call.
    ///
    /// # Errors
    /// History cannot be read. A record that was changed is in the answer.
    fn verify_audit(&self, stretch: &AuditStretch) -> Result<AuditVerified, Error>;

    /// Finishes writing and closes the files. What is called afterwards fails.
    fn close(&self);
}
