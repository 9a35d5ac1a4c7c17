//! The agent of Conductor: slots that run attempts in folders and process trees of their own.

pub mod outbox;
pub mod process;
pub mod run;
pub mod runner;
pub mod session;
pub mod worker;
