//! The real coding agents, against model servers on loopback, through an orchestrator and an agent.
//!
//! They are looked for in the folder that CONDUCTOR_TEST_CLIS names, else in the PATH; a test of one that is not there passes
//! and says that it was skipped. scripts/test installs them where it can.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod asking;
mod failures;
mod gateway;
mod mcp;
mod place;
mod presets;
mod sessions;
mod turns;
mod types;
