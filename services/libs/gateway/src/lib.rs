//! What stands between a run and the network.
//!
//! A run of a coding agent gets a token that is good for itself alone, and the address of its [`Model`] gateway, which lets
//! requests to the model through, puts the real key in, counts what is used, and ends a stream that passes a limit. An
//! egress proxy ([`Egress`]) lets a run reach the hosts that its owner allows, and never this machine or its networks.
//!
//! All of it works on one thread of its own with a runtime of its own ([`Gateways`]), so that a stream never holds up the
//! agent's heartbeat. Nothing outlives the value that opened it: with a gateway go its port, its token and its connections.

mod egress;
mod forward;
mod model;
mod places;
mod thread;
mod tls;

pub use egress::{Egress, EgressRules, HostRule, NoRule};
pub use forward::Forward;
pub use model::{ASSUMED_PRICE, Exceeded, Limit, Model, ModelOrder, Price, Used, Wire, named as price_named};
pub use places::Proxy;
pub use thread::{Error, Gateways};
