//! Finding a server, and being one.

mod agent;
mod embedded;
mod find;
mod http;
mod up;

pub use agent::{agent, agent_process};
pub use find::{Need, Server, options};
pub use up::up;
