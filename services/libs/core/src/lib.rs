//! The pure state machine of Conductor: tasks, attempts, agents, leases, the queue and everything that waits.
//!
//! Commands go in, events and effects come out. There is no clock, no randomness and no input or output in here: `now`
//! and ids arrive with the command. Inside, a command is decided against the state, which gives events; applying events
//! is the only way the state changes, and replaying the log does nothing else.

mod actor;
mod agent;
mod command;
mod event;
mod id;
mod image;
mod name;
mod schedule;
mod task;
mod time;

pub use actor::{Actor, Role};
pub use agent::{Profile, RunnerOffer};
pub use command::{AgentSay, Command, Effect, Rejection, Reply, Submit};
pub use event::{Event, EventKind, Requeue, Standing};
pub use id::{
    AgentId, BodyDigest, Incarnation, InstanceId, KeyId, Lease, ParseIdError, ParseLeaseError, RequestId,
    ScheduleId, Seq, TaskId,
};
pub use image::{AgentImage, Header, KeyImage, Part, RunImage, StageImage, TaskImage};
pub use name::{MAX_NAME_BYTES, Name, NameError};
pub use schedule::{CatchUp, Overlap, Schedule};
pub use task::{
    AUTO, AUTO_ORDER, Assignment, AttemptEnd, CancelReason, Failure, FailureReason, MOCK, NewTask,
    OnDependencyFailure, Outcome, Priority, Question, Report, Usage, Work,
};
pub use time::{Deadline, Mono, Now, Wall};
