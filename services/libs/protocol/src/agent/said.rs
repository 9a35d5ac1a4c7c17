//! What an agent says.

use conductor_core::{Lease, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::RunnerView;
use crate::task::{FailureView, Resultant, UsageView};
use crate::text;

/// What an agent says: any of these, in one message. An empty one is a heartbeat.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct FromAgent {
    /// How many further tasks it can take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub credits: u32,
    /// Runs that began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub started: Vec<Started>,
    /// Attempts that are over. Each is repeated after a reconnect until it is acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished: Vec<Finished>,
    /// Questions to people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// Questions that want no answer any more. Each is repeated after a reconnect while its run goes on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Withdrawn>,
    /// How long outputs in the shared workspace are by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<OutputLength>,
    /// Set when the agent is about to stop and wants no further tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// All that it can run, where that is something else than it said last: a credential came, changed or went.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runners: Vec<RunnerView>,
    /// What runs have spent since they began, as it grows, and of all that run after each hello.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spent: Vec<Spent>,
    /// Whether a disk of its own has less free space than it must, when that changes: it is given no tasks meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_full: Option<bool>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A run began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Started {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
}

/// An attempt is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finished {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// How it ended.
    pub end: End,
    /// The exit code of the program, where one ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Whether the result was simulated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub simulated: bool,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageView>,
    /// Summary, session and files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Resultant>,
    /// The lane of the credential that the run used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// How many of the messages that people sent to it the run took, the oldest first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u32,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The runner reached its result.
    Succeeded,
    /// The runner failed.
    Failed(FailureView),
    /// What ran it died.
    Crashed {
        /// What is known of it.
        message: String,
    },
    /// The agent was stopped cleanly.
    Stopped,
    /// The run was ended because its task was cancelled.
    Cancelled,
    /// A limit of the credential, or a service that is overloaded or out of reach. The attempt is not spent.
    Limited {
        /// How long to wait, in seconds: until the reset where the runner reported one, else 0.
        rest_seconds: u64,
        /// What the runner said.
        message: String,
        /// What kind of limit it is.
        #[serde(default)]
        class: LimitClass,
    },
}

/// Why a run could not go on for now. A credential that is refused is no limit: such a run fails as `auth`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitClass {
    /// The credential is at its limit until a time that the runner reported: its lane rests until then.
    #[default]
    Reported,
    /// The credential is at its limit, and nobody knows until when: another try, later each time.
    Unreported,
    /// The service is overloaded, broken or out of reach: another try, later each time.
    Overload,
}

/// A run asks a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Names the question.
    #[serde(with = "text::display")]
    pub request_id: RequestId,
    /// `question` or `permission`.
    pub kind: String,
    /// What is asked.
    pub text: String,
    /// The tool that asks for permission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What the tool would be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
}

/// A run wants no answer to its question any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Names the question.
    #[serde(with = "text::display")]
    pub request_id: RequestId,
}

/// How long an output in the shared workspace is by now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputLength {
    /// Under which lease it is written.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Bytes in `output.log`.
    pub bytes: u64,
}

/// What a run has spent by now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Spent {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// In millionths of a US dollar; at most, where a price is not known.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub usd_micros: u64,
    /// Tokens: input, cached input and output together.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub tokens: u64,
    /// What is known of it, as its end would tell it; none where nothing was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<UsageView>,
}

fn is_nothing(number: &u64) -> bool {
    *number == 0
}
