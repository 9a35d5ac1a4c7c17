//! The machine driven by commands: every event and effect that matters is looked at, and after every step the invariants
//! hold and the log replays to the same state.

mod assign;
mod flow;
mod generated;
mod world;
