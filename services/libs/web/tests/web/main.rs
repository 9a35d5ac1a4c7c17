//! The shared HTTP side against an orchestrator that says what a test tells it to.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod access;
mod ends;
mod garbage;
mod hosts;
mod limits;
mod orchestrator;
mod place;
mod proxies;
mod tls;
