//! The agent against a scripted orchestrator: first its worker alone, then the program as people run it.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod agent;
mod connecting;
mod document;
mod ending;
mod program;
mod results;
mod runs;
mod secrets;
mod support;
