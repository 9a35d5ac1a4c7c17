//! The suites that every backend passes, as functions that panic with the name of what does not hold.

mod event_log;
pub mod samples;

pub use event_log::{Place, event_log};
