//! What the engine is asked.

use conductor_core::{
    AgentId, AgentSay, Command, Lease, Machine, Now, Profile, Reply, RunnerLane, Seq, TaskId,
};
use conductor_protocol::Problem;
use conductor_store::log::{Payload, PayloadKey};
use tokio::sync::{mpsc, oneshot};

use super::dispatch::Outgoing;

/// Lets an answer go, once everything it tells of is durable.
pub(crate) type Release = Box<dyn FnOnce() + Send>;

/// Looks at the machine and says how to let the answer go.
pub(crate) type Look = Box<dyn FnOnce(&Machine, Now) -> Release + Send>;

/// A request to the engine.
pub(crate) enum Request {
    /// A command, with the payloads that become durable with it.
    Change(Box<Change>),
    /// Commands of several who asked on their own.
    ChangeEach(ChangeEach),
    /// An agent connects.
    Hello(Box<Hello>),
    /// An agent speaks.
    Agent { agent: AgentId, session: u64, says: Vec<AgentSay> },
    /// A read.
    Look(Look),
    /// Tells when a task is over.
    Watch { task: TaskId, reply: oneshot::Sender<Watched> },
}

/// A command, with the payloads that become durable with it.
pub(crate) struct Change {
    pub(crate) command: Command,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) deleted: Vec<PayloadKey>,
    pub(crate) reply: oneshot::Sender<Result<Applied, Problem>>,
}

/// Commands with their payloads, each decided for itself, and answered together.
pub(crate) struct ChangeEach {
    pub(crate) changes: Vec<(Command, Vec<Payload>)>,
    pub(crate) reply: oneshot::Sender<Vec<Result<Applied, Problem>>>,
}

/// An agent connects.
pub(crate) struct Hello {
    pub(crate) session: u64,
    pub(crate) profile: Profile,
    pub(crate) lanes: Box<[RunnerLane]>,
    pub(crate) held: Vec<Lease>,
    pub(crate) credits: u32,
    pub(crate) link: mpsc::Sender<Vec<Outgoing>>,
    pub(crate) reply: oneshot::Sender<Result<Applied, Problem>>,
}

/// A command was applied and is durable.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    /// What the machine answered.
    pub(crate) reply: Reply,
    /// The last event that the answer tells of.
    pub(crate) seq: Seq,
}

/// What became of a task that was watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// It was over already, or never was.
    NotLive,
    /// It is over now.
    Finished,
}

impl Request {
    /// Bytes that it adds to a batch.
    pub(super) fn payload_bytes(&self) -> usize {
        match self {
            Self::Change(change) => bytes_of(&change.payloads),
            Self::ChangeEach(each) => each.changes.iter().map(|(_, payloads)| bytes_of(payloads)).sum(),
            Self::Hello(_) | Self::Agent { .. } | Self::Look(_) | Self::Watch { .. } => 0,
        }
    }
}

fn bytes_of(payloads: &[Payload]) -> usize {
    payloads.iter().map(|payload| payload.bytes.len()).sum()
}
