//! What can go wrong with a log.

use std::path::PathBuf;

use conductor_core::Seq;

/// Why the log cannot say what is on disk.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The disk or its file system failed.
    #[error("failed to write {path}")]
    Write {
        /// The file, or the address of the server.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The batch does not follow on what is there.
    #[error("the batch follows on event {expected}, but the log ends with {last}")]
    Sequence {
        /// What the batch follows on.
        expected: Seq,
        /// Where the log ends.
        last: Seq,
    },
    /// The log ends before what was acknowledged: it came back as it was earlier.
    #[error(
        "{path} ends with event {last}, but event {acknowledged} was acknowledged: what came after is lost"
    )]
    Lost {
        /// The address of the server.
        path: PathBuf,
        /// Where the log ends.
        last: Seq,
        /// Where it ended.
        acknowledged: Seq,
    },
    /// The batch is empty or larger than can be kept.
    #[error("the batch {0}")]
    Shape(&'static str),
    /// The log was closed, or failed before.
    #[error("the log is closed")]
    Closed,
}

/// Why something cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What is there is not what was written.
    #[error("{path} is damaged at {place}: {what}")]
    Damaged {
        /// The file, or the address of the server.
        path: PathBuf,
        /// Where in it.
        place: String,
        /// What is wrong.
        what: String,
    },
    /// The disk or its file system failed.
    #[error("failed to read {path}")]
    Read {
        /// The file or folder, or the address of the server.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Why a snapshot could not be written or events not be trimmed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Another snapshot is being written.
    #[error("another snapshot is being written")]
    Busy,
    /// There is no room for it.
    #[error("there is no room for it")]
    NoSpace,
    /// The parts do not begin with a header of the right number.
    #[error("the snapshot {0}")]
    Shape(&'static str),
    /// The disk or its file system failed.
    #[error("failed to write {path}")]
    Write {
        /// The file, or the address of the server.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}
