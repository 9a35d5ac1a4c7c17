//! The one seam by which Conductor's programs reach an orchestrator.
//!
//! [`Target`] names a control socket, or an API that passes the protocol on, and [`Control`] is a connection to it: a cheap handle by which any number of callers
//! have requests under way at once. [`Link`] is for callers that go on when the orchestrator restarts: it connects anew and
//! repeats what may be repeated.
//!
//! Requests under way on one connection never wait for each other here, but what a stream brings has to be read: see
//! [`WhenFull`].

mod access;
mod audit;
mod beginnings;
mod calls;
mod connection;
mod control;
mod error;
mod link;
mod raw;
mod remote;
mod stream;
mod target;
mod told;
mod uploads;

pub use audit::{AuditCheck, AuditHead};
pub use beginnings::Beginnings;
pub use control::{Control, Options, WhenFull};
pub use error::Error;
pub use link::{Link, Patience};
pub use raw::{Raw, RawMessage, RawReader, RawWriter};
pub use remote::Remote;
pub use stream::{Chunk, Chunks, Items};
pub use target::Target;
pub use told::{TaskTold, Told};
