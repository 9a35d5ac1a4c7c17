//! Who may do what over HTTP, against a real orchestrator.

mod authz;
mod doors;
mod metrics;
mod place;
mod program;
mod tokens;
