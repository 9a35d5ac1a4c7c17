//! The configuration: defaults in the program, then a file, the environment and flags, each over the one before.
//!
//! Every key that Conductor will ever have in this release's line is known by name, so that a mistyped key is told
//! from one whose part is not built yet; a value that asks for such a part is refused as unavailable.

mod error;
mod git;
mod kind;
mod layer;
mod load;
mod network;
mod notify;
mod runner;
mod schema;
mod secret;
mod show;
mod storage;
mod task_type;
mod types;
mod web;

pub use conductor_protocol::submit::Permission;
pub use error::{Error, Origin, Problem};
pub use git::{Forge, Git, GitCredential};
pub use layer::Sources;
pub use load::{Loaded, load, secret_env_names};
pub use network::Network;
pub use notify::{NotifyOn, NotifyRule, NotifyTo, Reachable, Webhooks};
pub use runner::{
    Arguments, Egress, GatewayConfig, GatewaySpec, GatewayWire, Price, RunnerConfig, RunnerOutput,
    RunnerSpec, Sandbox, SandboxMode, presets,
};
pub use secret::SecretUse;
pub use show::Shown;
pub use storage::{EventLogStorage, Redis, Storage};
pub use task_type::TaskType;
pub use types::{
    Agent, Auth, AuthMode, Budgets, Config, GroupLimits, LabelLimits, LogFormat, OnOutputLimit, Orchestrator,
    Retention, Smtp, Tasks, Telemetry,
};
pub use web::{Api, Dashboard, Files, Tls};
