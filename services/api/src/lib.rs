//! The REST, WebSocket and SSE interface of Conductor.
//!
//! [`start`] listens and serves; it reaches the orchestrator through the control protocol alone, and asks it everything on
//! behalf of who asks. `routes` has one file for each group of operations; the OpenAPI document is made from them.

mod archive;
mod browse;
mod exposition;
mod http;
mod live;
pub mod mcp;
mod measure;
mod program;
mod reference;
mod routes;
mod server;
mod submits;

pub use program::run as run_program;
pub use routes::{document, document_text};
pub use server::{Api, Config, StartError, start};
