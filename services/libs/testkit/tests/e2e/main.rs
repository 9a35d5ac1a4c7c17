//! The separate programs together, as people run them: what they refuse, and what survives when they die.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod agent_crash;
mod all_killed;
mod bad_input;
mod budgets;
mod credentials;
mod damage;
mod full_volume;
mod git;
mod http;
mod orchestrator_crash;
mod redis;
mod secrets;
mod watchers;
