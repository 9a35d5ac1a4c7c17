//! The client against an orchestrator that says what a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod connection;
mod fake;
mod link;
