//! The shared HTTP side against an orchestrator that says what a test tells it to.

mod access;
mod ends;
mod garbage;
mod hosts;
mod limits;
mod orchestrator;
mod place;
mod proxies;
mod tls;
