//! The agent with real processes: monitor, worker, keepers and slots, as the `lab` example puts them together.

#![expect(clippy::unwrap_used, reason = "what goes wrong here fails a test")]

mod escapes;
mod lab;
mod limits;
mod network;
mod runs;
mod simulations;
mod trees;
