//! What Conductor says to other servers: webhooks, notices, and what it asks of a forge.
//!
//! An address is checked when it is known, and what was checked is what is connected to; nothing is followed where an
//! answer points.

mod address;
mod send;
mod transfer;

pub use address::may_reach;
pub use hyper::Method;
pub use send::{Answer, Call, Outbound, Post, Reach, Refused, Resolve, system, tls};
pub use transfer::At;
