//! A world in one thread: a leader that decides in batches and writes behind, a log that keeps what was written, agents
//! with outboxes, and connections that break. Everything that happens is an [`Action`], so a sequence of them replays.
//!
//! The leader does what the engine does: it decides at most two batches ahead of the log and lets replies and effects go
//! only once their batch is durable. A crash loses what was not written, or what was written and never told.

mod action;
mod agent;
mod facts;
mod leader;
mod log;
mod world;

pub use action::{Action, Asked, End, actions};
pub use facts::Facts;
pub use world::{Flaw, World};
