//! What the HTTP programs of Conductor share: how they listen, what they bear with, who is let in, and how they refuse.
//!
//! A program makes a [`Site`] and an axum router whose state gives that site, and hands both to [`serve`]. Every request
//! then has passed the checks of its host and origin, stands below the limits of time and size, and cannot take the
//! server down. A handler that takes a [`Caller`] runs only for who is known, and [`Caller::control`] gives it a way to
//! the orchestrator on behalf of that one: what may be seen and done is decided there, and nowhere here.

mod attempts;
mod body;
mod caller;
mod client;
mod connection;
mod cookie;
mod guard;
mod headers;
mod hosts;
mod identities;
mod limits;
mod listener;
mod orchestrator;
mod patient;
mod refusal;
mod serve;
mod site;
mod size;
mod tls;

pub use body::{Streamed, Whole};
pub use caller::{Caller, MaybeCaller, csrf_of};
pub use client::Client;
pub use cookie::{SESSION_COOKIES, clear_session, set_session};
pub use headers::CSRF_HEADER;
pub use limits::Limits;
pub use listener::{Error as ListenError, Listener};
pub use refusal::{Refusal, Shown, method_not_allowed, not_found, range_not_satisfiable};
pub use serve::serve;
pub use site::{Options, Site, digest};
pub use size::bytes;
