//! What the routes do, against everything that `conductor up` runs.

#![expect(clippy::unwrap_used, reason = "a test may end where it finds something else than it expects")]

mod attempts;
mod audit;
mod bytes;
mod document;
mod files;
mod groups;
mod live;
mod mcp;
mod place;
mod snippets;
mod tasks;
mod uploads;
mod usage;
mod websocket;
