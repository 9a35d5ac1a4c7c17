//! The machine driven by commands: every event and effect that matters is looked at, and after every step the invariants
//! hold and the log replays to the same state.

mod access;
mod agents;
mod assign;
mod budgets;
mod cancel;
mod clock;
mod flow;
mod generated;
mod lanes;
mod limits;
mod links;
mod notices;
mod offspring;
mod owner;
mod questions;
mod restart;
mod retry;
mod schedules;
mod submit;
mod told;
mod world;
