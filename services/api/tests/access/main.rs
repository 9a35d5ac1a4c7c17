//! Who may do what over HTTP, against a real orchestrator.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod authz;
mod control;
mod doors;
mod metrics;
mod place;
mod program;
mod tokens;
