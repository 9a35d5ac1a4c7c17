//! The command as people use it, each test in a home of its own.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod backup;
mod copied;
mod drill;
mod embedded;
mod files;
mod json;
mod mcp;
#[cfg(feature = "redis")]
mod moved;
mod outcome;
mod place;
mod proxies;
mod remote;
mod secret;
mod server;
mod tasks;
mod terminal;
mod token;
mod upkeep;
