//! The wire types of Conductor. Everything here is JSON text; bytes of output travel in binary frames beside it.
//!
//! - [`agent`]: what agents and the orchestrator say to each other (`docs/agent-protocol.md`).
//! - [`control`]: what the API, the dashboard and the command line say to the orchestrator.
//! - [`task`]: tasks as people submit and read them.
//! - [`problem`]: errors, with a closed set of codes.

pub mod agent;
pub mod control;
pub mod event;
pub mod frame;
pub mod json;
pub mod limits;
pub mod problem;
pub mod submit;
pub mod task;
pub mod text;

pub use problem::{Code, FieldError, Problem};
