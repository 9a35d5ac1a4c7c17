//! The pure state machine of Conductor: tasks, attempts, agents, leases, the queue and everything that waits.
//!
//! Commands go in, events and effects come out. There is no clock, no randomness and no input or output in here: `now`
//! and ids arrive with the command. Inside, a command is decided against the state, which gives events; applying events
//! is the only way the state changes, and replaying the log does nothing else.

mod access;
mod actor;
mod agent;
mod budget;
mod command;
mod context;
mod decide;
mod delivery;
mod event;
mod hash;
mod id;
mod image;
mod lane;
mod live;
mod machine;
mod name;
mod policy;
mod schedule;
mod state;
mod task;
mod time;

pub use access::{Groups, LoginSession, SecretDigest, Token};
pub use actor::{Actor, Role};
pub use agent::{Profile, RunnerOffer};
pub use budget::{
    Amount, Budgets, DAY_SHARE, Limit, MAX_GROUPS, Meter, NEAR_PERCENT, Purse, Shortage, Spending, Unit,
};
pub use command::{AgentSay, Command, Effect, Rejection, Reply, Submit, Volume};
pub use decide::{ASSIGNMENTS_A_STEP, LOOK_PAST, MAX_PINS, MAX_TOLD, Obstacle, TIMEOUTS_A_STEP};
pub use delivery::{Answer, Delivery, Notice, NotifyRule, REST_AFTER_TRY_MS, Route, Tried};
pub use event::{Event, EventKind, Requeue, Standing};
pub use id::{
    AgentId, BodyDigest, Incarnation, InstanceId, KeyId, Lease, ParseIdError, ParseLeaseError, RequestId,
    ScheduleId, Seq, TaskId,
};
pub use image::{
    AgentImage, BudgetImage, Header, KeyImage, LedgerImage, Offspring, Part, RunImage, SecretsImage,
    StageImage, TaskImage, ToldImage,
};
pub use lane::{AUTH_FAILURES_THAT_CLOSE, AgentLanes, FULL_TRUST, Lane, RunnerLane, Trouble};
pub use live::Counters;
pub use machine::{AgentView, Machine, Pending, Step, Unserved};
pub use name::{MAX_NAME_BYTES, Name, NameError};
pub use policy::{GroupLimits, Policy};
pub use schedule::{CatchUp, Overlap, Schedule};
pub use state::{ApplyError, Counts, Demand, GroupCount, Inconsistency, RestoreError, State};
pub use task::{
    AUTO, AUTO_ORDER, Assignment, AttemptEnd, CancelReason, Failure, FailureReason, MOCK, NewTask,
    OnDependencyFailure, Outcome, Priority, Question, Report, Told, Usage, Work,
};
pub use time::{Deadline, Mono, Now, Wall};
