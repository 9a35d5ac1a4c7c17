//! The agent of Conductor: slots that run attempts in folders and process trees of their own.

mod args;
pub mod config;
pub mod git;
pub mod outbox;
mod output;
pub mod process;
mod program;
pub mod run;
pub mod runner;
pub mod sandbox;
pub mod session;
pub mod worker;

pub use args::Args;
pub use program::{MONITOR, dispatch, entry, keeper_program, run as run_agent};
