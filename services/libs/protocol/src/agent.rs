//! What agents and the orchestrator say to each other. Whatever can repeat is a list.

use conductor_core::Lease;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use crate::text;

mod offer;
mod orders;
mod said;

pub use offer::{Egress, Hello, LimitsView, OutputHello, RunnerView, SandboxMode, SandboxView};
pub use orders::{
    After, Answered, Assign, AssignedUpload, Below, EndRun, RunLimit, SpendLimit, Tell, ToAgent, Told,
};
pub use said::{Asked, End, Finished, FromAgent, LimitClass, OutputLength, Spent, Started, Withdrawn};

/// The version of the protocol that this release speaks.
pub const VERSION: u32 = 1;

/// The first message on a connection: what the connection is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// An agent's session.
    Hello(Box<Hello>),
    /// An agent's output; it belongs to the session of the same agent and instance.
    Output(OutputHello),
}

/// What the orchestrator answers to an opening.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Come in.
    Welcome(Welcome),
    /// The output connection is open; this many bytes may be sent before more are granted.
    OutputReady {
        /// Bytes that may be sent.
        grant: u64,
    },
    /// Stay out, and why.
    Refused(Problem),
}

/// An agent is welcome.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// The version of the orchestrator.
    pub version: String,
    /// How often to send a heartbeat, in seconds.
    pub heartbeat_seconds: u64,
    /// How long a lease lives without one, in seconds.
    pub lease_seconds: u64,
    /// Leases that are not the agent's any more: their runs are to be ended and forgotten.
    #[serde(default, with = "text::display_list")]
    pub stale: Vec<Lease>,
    /// Whether to drain.
    #[serde(default)]
    pub draining: bool,
    /// The orchestrator's workspace folder, for agents on the same host.
    pub workspace: String,
    /// Names the log and the last event in it, so that a rolled-back orchestrator is noticed.
    pub log: LogPosition,
}

/// How far a log has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LogPosition {
    /// Names the log.
    pub id: String,
    /// The last event.
    pub seq: u64,
}
