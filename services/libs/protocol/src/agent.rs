//! What agents and the orchestrator say to each other. Whatever can repeat is a list.

use conductor_core::{AgentId, InstanceId, Lease, RequestId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::problem::Problem;
use crate::task::{FailureView, Resultant, UsageView};
use crate::text;

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

/// An agent says what it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The version it speaks.
    pub protocol: u32,
    /// The per-start key of the socket.
    pub key: String,
    /// Kept over restarts.
    #[serde(with = "text::display")]
    pub agent_id: AgentId,
    /// New with every worker process.
    #[serde(with = "text::display")]
    pub instance: InstanceId,
    /// Unique among live agents.
    pub name: String,
    /// Where it runs.
    pub host: String,
    /// The agent's own version.
    pub version: String,
    /// How many tasks it runs at once.
    pub slots: u32,
    /// Labels that tasks may require.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What it can run.
    pub runners: Vec<RunnerView>,
    /// Leases it works on or has results of.
    #[serde(default, with = "text::display_list")]
    pub held: Vec<Lease>,
    /// How many tasks it can take now.
    pub credits: u32,
    /// Whether it works in the orchestrator's own workspace folder, so that no output needs to cross the wire.
    pub shares_workspace: bool,
    /// The furthest log position it was ever told, so that a rolled-back orchestrator learns what it lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<LogPosition>,
}

/// What an agent can run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RunnerView {
    /// The runner's name.
    pub name: String,
    /// Its version, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it could run now.
    pub ready: bool,
    /// What is missing when it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Whether its credential is there; none when it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<bool>,
    /// Names the credential, so that runners and agents that share one are known to: a name as names are, new with every
    /// value, which cannot be told from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// How its runs are confined; none where there is nothing to confine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxView>,
    /// Whether its runs ask their model through a gateway, which alone holds the credential; none when there is no credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<bool>,
}

/// How an agent confines the runs of a runner.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SandboxView {
    /// What is asked of the sandbox.
    pub mode: SandboxMode,
    /// What holds, each in a word or two; nothing where the runs are not confined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// What the agent's kernel lacks, each in a word or two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Where the runs may connect to, as far as it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// What a run may take, its whole tree; none of an agent that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsView>,
}

/// Where runs may connect to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Egress {
    /// To their model alone.
    Model,
    /// To hosts on a list as well.
    Allowlist,
    /// To whatever the machine reaches.
    #[default]
    Open,
}

impl Egress {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
        }
    }
}

/// What a run may take, its whole tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct LimitsView {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Processes, threads counted.
    pub processes: u64,
    /// Bytes in its folders.
    pub disk_bytes: u64,
    /// Bytes that it prints before it is ended.
    pub output_bytes: u64,
}

/// What is asked of a sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum SandboxMode {
    /// No run is confined.
    #[default]
    Off,
    /// A run is confined as far as the kernel can.
    BestEffort,
    /// A run that cannot be confined is refused.
    Required,
}

impl SandboxMode {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::BestEffort => "best_effort",
            Self::Required => "required",
        }
    }
}

impl RunnerView {
    /// A runner that is ready, of which nothing else is to be told.
    #[must_use]
    pub fn ready(name: impl Into<String>) -> Self {
        Self { name: name.into(), ready: true, ..Self::default() }
    }
}

/// An agent opens its output connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputHello {
    /// The version it speaks.
    pub protocol: u32,
    /// The per-start key of the socket.
    pub key: String,
    /// The agent.
    #[serde(with = "text::display")]
    pub agent_id: AgentId,
    /// Its worker process.
    #[serde(with = "text::display")]
    pub instance: InstanceId,
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
}

fn is_nothing(number: &u64) -> bool {
    *number == 0
}

/// What the orchestrator says: any of these, in one message.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ToAgent {
    /// Tasks to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assign: Vec<Assign>,
    /// Reports that were taken, or were stale: forget them.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "text::display_list")]
    pub acknowledged: Vec<Lease>,
    /// Runs to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end: Vec<EndRun>,
    /// Answers of people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// Messages of people to runs. Each is repeated after a reconnect until its run is over, and said to the next run of a task
    /// of which this one does not succeed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tell: Vec<Tell>,
    /// Runs below which tasks live, or live no more: they may wait for these, and lend their slots meanwhile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<Below>,
    /// Runs that may spend more or less than they were told before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RunLimit>,
    /// Whether to drain, when that changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<bool>,
    /// Set when the agent may not come back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
    /// Bytes of output granted beyond those before; on an output connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<u64>,
}

/// A task to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assign {
    /// The task.
    #[serde(with = "text::display")]
    pub task: TaskId,
    /// The right to work on it.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The runner that executes it; never `auto`.
    pub runner: String,
    /// The task's group: whether its secrets are for it is looked at again before each run.
    pub group: String,
    /// How long it may run.
    pub timeout_ms: u64,
    /// How the attempt before ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// The terminal task whose work it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_display")]
    pub starts_from: Option<TaskId>,
    /// The uploads that the task's files name, as far as they are there. Their bytes are in
    /// `<workspace>/private/uploads/<id>/data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploads: Vec<AssignedUpload>,
    /// The attempt's token, for a task that may submit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The most that it may spend.
    #[serde(default, skip_serializing_if = "SpendLimit::is_none")]
    pub limit: SpendLimit,
    /// The task as it was submitted, as [`crate::submit::SubmitTask`].
    pub body: Box<RawValue>,
}

/// Whether tasks live below one that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Below {
    /// The lease of the run.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Whether any live.
    pub any: bool,
}

/// What a person told a running task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Names the message.
    #[serde(with = "text::display")]
    pub id: RequestId,
    /// What was said.
    pub text: String,
}

/// A message of a person to a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tell {
    /// The lease of the run.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The message.
    pub message: Told,
}

/// The most that a run may spend; none is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendLimit {
    /// Millionths of a US dollar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
    /// Tokens: input, cached input and output together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

impl SpendLimit {
    /// Whether it limits nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run may spend by now: what it submitted spends of the same budget.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunLimit {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The most that it may spend from its beginning.
    pub limit: SpendLimit,
}

/// An upload that a task brings with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedUpload {
    /// Its name.
    pub id: uuid::Uuid,
    /// One file, a folder as a tar archive, or a git repository as a bundle.
    pub kind: crate::control::UploadKind,
    /// How many bytes it has.
    pub bytes: u64,
    /// Their SHA-256, in lowercase hex.
    pub sha256: String,
}

/// How the attempt before ended, which says what becomes of the work folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// It failed: a fresh copy, the old work kept with its attempt.
    Failure,
    /// Its worker or host died: work and session go on.
    Crash,
    /// Its agent stopped cleanly: work and session go on.
    Stop,
    /// Its credential rested: work and session go on.
    Limit,
    /// Its session was too long: the work goes on, in a new session.
    Overflow,
}

/// A run to end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EndRun {
    /// Its lease.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// Whether the lease is already gone, so that no report is wanted.
    pub revoked: bool,
}

/// An answer of a person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Answered {
    /// The lease of the run that asked.
    #[serde(with = "text::display")]
    pub lease: Lease,
    /// The question.
    #[serde(with = "text::display")]
    pub request_id: RequestId,
    /// The answer.
    pub answer: crate::control::AnswerBody,
}
