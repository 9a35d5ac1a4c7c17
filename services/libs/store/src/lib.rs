//! What Conductor keeps: the event log, the history and the run folders, each a narrow trait with its backends.
//!
//! Everything in here blocks. There is no async runtime: the log has threads of its own and answers by callback, reads
//! run on the caller's thread and are meant for threads that may wait.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod copy;
mod database;
pub mod format;
pub mod history;
pub mod log;
pub mod record;
mod reserve;
pub mod runs;
pub mod state_dir;
