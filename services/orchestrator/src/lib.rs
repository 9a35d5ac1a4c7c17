//! The orchestrator: the engine with its event log and history, and the listeners for agents and clients.
//!
//! [`start`] brings all of it up; it runs until its [`Shutdown`] drains, and [`Running::finish`] then closes the files.

mod accept;
mod access;
mod agents;
mod below;
mod compactor;
mod config;
mod control;
mod cron;
pub mod engine;
mod event_log;
mod follower;
mod gate;
mod hub;
mod measure;
mod notify;
mod program;
mod refusal;
mod retention;
mod run_files;
mod schedules;
mod socket;
mod space;
mod start;
mod submit;
mod task_types;
mod uploads;
mod view;

pub use access::TokensFileError;
pub use below::Below;
pub use compactor::{LoadError, load, load_until};
pub use config::{Config, Error as ConfigError, EventLogPlace};
pub use notify::Options as NotifyOptions;
pub use program::run as run_program;
pub use start::{Running, StartError, start};
pub use submit::Defaults;
pub use task_types::TaskTypes;

use conductor_store::log::LogId;

/// A log's name as text.
pub(crate) fn log_id_text(id: LogId) -> String {
    format!("{:032x}", id.0)
}
