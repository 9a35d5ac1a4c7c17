//! The suites that every backend passes, as functions that panic with the name of what does not hold.

mod event_log;
mod history;
mod life;
pub mod redis_server;
pub mod samples;

pub use event_log::{LogPlace, event_log};
pub use history::{HistoryPlace, history};
pub use life::{Kept, life, lives};
