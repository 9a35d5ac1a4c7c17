//! Finding a server, and being one.

mod agent;
mod embedded;
mod find;
mod http;
mod install;
mod up;

pub use agent::{agent, agent_process};
pub use find::{Need, Server, far_target, options, refuse_far};
pub use install::{install, uninstall};
pub use up::up;
