//! The control protocol: what the API, the dashboard and the command line say to the orchestrator.
//!
//! WebSocket, JSON text. The client opens with [`Opening`] and is answered by [`Opened`]. Then it sends any number of
//! [`Request`]s, each with an id of its own choice, and may have many under way; every one is answered by exactly one
//! [`Response`] with its id, and a streaming one by any number of items before that. Bytes of files come as binary
//! [`crate::frame::ChunkFrame`]s with the request's id.

use conductor_core::{RequestId, ScheduleId, TaskId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::agent::LogPosition;
use crate::problem::Problem;
use crate::text;

mod access;
mod browse;
mod keep;
mod list;
mod metrics;
mod queue;
mod runner;
mod schedule;
mod task_type;
mod transfer;

pub use access::{
    AttemptRef, CreateToken, Groups, Identity, LoginCode, NewSession, NewToken, Presented, Role, TokenKind,
    TokenName, TokenView,
};
pub use browse::{Browse, BrowseView, EntryKind, EntryView};
pub use keep::{Gc, GcItem, GcKind, GcView, Pin};
pub use list::{Filter, ListRequest, Page, Sort};
pub use metrics::{DeliveryCounts, Histogram, MetricsView, RunnerMetrics, Volume};
pub use queue::{BudgetView, LaneName, LaneState, LaneView, QueueView, StatsView, TodayView, WantedView};
pub use runner::AgentRunner;
pub use schedule::{AddSchedule, CatchUp, LastRun, Overlap, ScheduleView};
pub use task_type::TaskTypeView;
pub use transfer::{
    AppendUpload, CreateUpload, DeliveryView, RunnerOffer, TrendStep, TrendsCall, TrendsView, UploadKind,
    UploadRef, UploadView,
};

/// The version of the protocol that this release speaks.
pub const VERSION: u32 = 1;

/// The first message of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Opening {
    /// The version it speaks.
    pub protocol: u32,
    /// The per-start key of the socket.
    pub key: String,
    /// The program and its version, for the logs.
    pub client: String,
}

/// The answer to the first message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    /// Come in.
    Welcome(Box<StatusView>),
    /// Stay out, and why.
    Refused(Problem),
}

/// A request of a client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the client; one that is not under way.
    pub id: u64,
    /// On whose behalf; the owner of the socket when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<ActorView>,
    /// What is asked.
    pub call: Call,
}

/// On whose behalf a request is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorView {
    /// The token's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may.
    #[serde(default)]
    pub groups: Groups,
    /// How it came: `cli`, `http`, `web`, `mcp`, `schedule`.
    pub via: String,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The attempt that asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptRef>,
}

/// What can be asked. The answer's type stands with each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Accept tasks, all or none. Answer: [`Submitted`].
    Submit(Submit),
    /// Accept what several asked for on their own: each is accepted or refused for itself, in the order asked.
    /// Answer: `Vec<`[`Outcome`]`>`.
    SubmitEach(Vec<Submit>),
    /// One task. Answer: [`crate::task::TaskView`].
    Get(Id),
    /// One task, when it is terminal or time is up. Answer: [`crate::task::TaskView`].
    Wait(Wait),
    /// A page of tasks, newest first. Answer: [`Page`].
    List(Box<ListRequest>),
    /// End a task and all below it. Answer: [`Affected`].
    Cancel(Cancel),
    /// End all tasks that match. Answer: [`Affected`].
    CancelMatching(Box<Filter>),
    /// Repeat a terminal task as a new one. Answer: [`Submitted`].
    Retry(Id),
    /// Go on from a terminal task with a new prompt, or say it to one that runs, as its next turn. Answer: [`Submitted`].
    Message(Message),
    /// Answer a question. Answer: [`Done`].
    Answer(AnswerCall),
    /// Delete a terminal task's record and folder. Answer: [`Done`].
    Delete(Id),
    /// What waits for a person. Answer: `Vec<`[`crate::task::TaskView`]`>`.
    Questions,
    /// All agents. Answer: `Vec<`[`AgentView`]`>`.
    Agents,
    /// Let an agent take no further tasks, or take them again. Answer: [`Done`].
    DrainAgent(DrainAgent),
    /// Take an agent's leases and its way in. Answer: [`Done`].
    RevokeAgent(AgentName),
    /// Assign nothing, or go on. Answer: [`Done`].
    Pause(Pause),
    /// Have a credential tried again that was refused, or rests.
    OpenLane(LaneName),
    /// The queue. Answer: [`QueueView`].
    Queue,
    /// Numbers over time. Answer: [`StatsView`].
    Stats,
    /// The orchestrator itself. Answer: [`StatusView`].
    Status,
    /// Add a schedule. Answer: [`ScheduleView`].
    AddSchedule(Box<AddSchedule>),
    /// All schedules. Answer: `Vec<`[`ScheduleView`]`>`.
    Schedules,
    /// Remove a schedule. Answer: [`Done`].
    RemoveSchedule(ScheduleRef),
    /// State changes after a seq, and on. Streams [`crate::event::EventView`].
    Events(Events),
    /// Output of an attempt from an offset. Streams binary frames; ends at the end of the attempt. Answer: [`OutputEnd`].
    Output(Output),
    /// What the runner reported. Streams lines of `events.ndjson` as JSON. Answer: [`OutputEnd`], after the last whole line.
    RunEvents(Output),
    /// What a run left. Answer: [`FilesView`].
    Files(Id),
    /// Bytes of one file of the work folder. Streams binary frames. Answer: [`OutputEnd`].
    File(FileCall),
    /// A place of a run's folder, or of the logs, and the names in it. Answer: [`BrowseView`].
    Browse(Browse),
    /// What a run changed. Streams binary frames. Answer: [`OutputEnd`].
    Diff(Output),
    /// Who did what. Answer: [`AuditPage`].
    Audit(AuditCall),
    /// Check that the audit is as it was written. Answer: [`AuditVerified`].
    VerifyAudit(VerifyAudit),
    /// Keep a run whatever its age, or let it go. Answer: [`Done`].
    Pin(Pin),
    /// Delete what retention says now. Answer: [`GcView`].
    Gc(Gc),
    /// Repeat all terminal tasks that match, as new ones. Answer: [`Affected`], the new tasks.
    RetryMatching(Box<Filter>),
    /// Who a secret stands for. Only for the owner of the socket. Answer: [`Identity`]; `unauthorized` for nobody.
    Authenticate(Presented),
    /// Open a session with a token or a login code. Only for the owner of the socket. Answer: [`NewSession`].
    OpenSession(Presented),
    /// End a session. Only for the owner of the socket. Answer: [`Done`].
    CloseSession(Presented),
    /// Make a code that opens one session of an admin. Answer: [`LoginCode`].
    MakeLogin,
    /// All tokens. Answer: `Vec<`[`TokenView`]`>`.
    Tokens,
    /// Make a token. Answer: [`NewToken`].
    CreateToken(CreateToken),
    /// Take a token, and every session that it opened. Answer: [`Done`].
    RevokeToken(TokenName),
    /// Begin an upload. Answer: [`UploadView`].
    CreateUpload(CreateUpload),
    /// More bytes of an upload. Answer: [`UploadView`].
    AppendUpload(AppendUpload),
    /// How far an upload is. Answer: [`UploadView`].
    Upload(UploadRef),
    /// What was told of a task, and to whom. Answer: `Vec<`[`DeliveryView`]`>`, newest first.
    Deliveries(Id),
    /// Numbers over time. Answer: [`TrendsView`].
    Trends(TrendsCall),
    /// Counters and histograms since the start, for a scrape. Answer: [`MetricsView`].
    Metrics,
    /// What tasks can be run by. Answer: `Vec<`[`RunnerOffer`]`>`.
    Runners,
    /// The types that tasks can have. Answer: `Vec<`[`TaskTypeView`]`>`.
    TaskTypes,
    /// The effective configuration, without secrets. Answer: JSON as `conductor config show` prints it.
    Config,
    /// Ends a streaming request of this client.
    Stop(StopStream),
}

/// Names a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Id {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
}

/// Tasks to accept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submit {
    /// Each a [`crate::submit::SubmitTask`].
    pub tasks: Vec<Box<RawValue>>,
    /// The idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// The tasks that were accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Submitted {
    /// In the order asked; subtasks are not among them.
    #[serde(with = "text::display_list")]
    pub ids: Vec<TaskId>,
    /// Whether they were there before: the same key had brought them, or a message was said to a task that runs.
    #[serde(default)]
    pub repeated: bool,
}

/// What became of one of several submits that came together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its tasks were accepted.
    Accepted(Submitted),
    /// None of its tasks was accepted.
    Refused(Problem),
    /// Nothing was done about it: it has to come by itself, because the others would wait for what it asks for.
    Alone,
}

/// Wait for a task.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Wait {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// How long at most; bounded by the orchestrator.
    pub timeout_ms: u64,
}

/// End a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The tasks that something was done to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Affected {
    /// The tasks.
    #[serde(with = "text::display_list")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<uuid::Uuid>))]
    pub ids: Vec<TaskId>,
}

/// Nothing further to say.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Done {}

/// A next prompt for a task that runs or is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The prompt.
    pub text: String,
}

/// An answer to a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AnswerCall {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The question; the one that waits when none is named.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text::optional_display")]
    pub request_id: Option<RequestId>,
    /// The answer.
    pub answer: AnswerBody,
}

/// An answer of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerBody {
    /// The tool may be used.
    Allow,
    /// The tool may not be used.
    Deny,
    /// Words.
    Text(String),
}

/// Names an agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentName {
    /// The agent.
    pub name: String,
}

/// Let an agent drain, or not.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrainAgent {
    /// The agent.
    pub name: String,
    /// Whether to drain.
    pub draining: bool,
}

/// Let the queue stand still, or not.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pause {
    /// Whether to stand still.
    pub paused: bool,
}

/// Names a schedule.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ScheduleRef {
    /// The schedule.
    #[serde(with = "text::display")]
    pub id: ScheduleId,
}

/// Follow state changes.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Events {
    /// The last event seen; 0 for all that are kept, none for new ones only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Whether to go on when all known are sent.
    pub follow: bool,
}

/// Read or follow a file of an attempt.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Output {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The attempt; the latest when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// Whether to wait for more until the attempt is over.
    #[serde(default)]
    pub follow: bool,
    /// How many bytes at most; the stream ends there, also when it follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// Where a stream of bytes ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct OutputEnd {
    /// The attempt that was read.
    pub attempt: u32,
    /// The offset after the last byte.
    pub offset: u64,
    /// How many bytes the file had then.
    #[serde(default)]
    pub bytes: u64,
}

/// Read a file of the work folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileCall {
    /// The task.
    #[serde(with = "text::display")]
    pub id: TaskId,
    /// The path, relative to the work folder.
    pub path: String,
    /// Where to begin.
    #[serde(default)]
    pub offset: u64,
    /// How many bytes at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What a run left.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct FilesView {
    /// The files.
    pub files: Vec<crate::task::FileView>,
    /// How many there are, also beyond the list.
    pub files_total: u64,
    /// The folder, for people on the same host.
    pub folder: String,
}

/// Ends a stream.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StopStream {
    /// The id of the streaming request.
    pub request: u64,
}

/// Read the audit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct AuditCall {
    /// Entries before this seq.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// How many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A page of the audit, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AuditPage {
    /// The entries.
    pub items: Vec<AuditEntry>,
}

/// Who did what.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct AuditEntry {
    pub seq: u64,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub at: conductor_core::Wall,
    pub action: String,
    pub subject: String,
    pub by: String,
    pub role: String,
    pub via: String,
    #[serde(default)]
    pub address: Option<String>,
}

/// Check a stretch of the audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyAudit {
    /// Records after this one; from the first on where it is 0.
    #[serde(default)]
    pub after: u64,
    /// The digest of that one, as an earlier answer had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Up to this one; to the end where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What was found of a stretch of the audit.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AuditVerified {
    /// How many records are as they were written.
    pub records: u64,
    /// How many come before the first that has a digest.
    pub undigested: u64,
    /// The last record that was looked at.
    pub through: u64,
    /// Its digest, in hexadecimal digits.
    #[serde(default)]
    pub digest: Option<String>,
    /// Whether there is more to look at.
    pub more: bool,
    /// The first record that is not as it was written.
    #[serde(default)]
    pub fault: Option<AuditFault>,
}

/// A record that is not as it was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditFault {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}

/// The answer to a request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Response {
    /// The request.
    pub id: u64,
    /// What it says.
    pub body: ResponseBody,
}

/// What an answer says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseBody {
    /// The answer; the request is done.
    Ok(Box<RawValue>),
    /// One item of a stream; more may follow.
    Item(Box<RawValue>),
    /// The request was refused or failed; it is done.
    Error(Problem),
}

/// An agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct AgentView {
    pub name: String,
    #[serde(with = "text::display")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = Uuid))]
    pub agent_id: conductor_core::AgentId,
    pub host: String,
    pub version: String,
    /// `connected`, `draining`, `gone` or `revoked`.
    pub state: String,
    pub slots: u32,
    pub free: u32,
    pub labels: Vec<String>,
    pub runners: Vec<AgentRunner>,
    /// The tasks it runs.
    #[serde(with = "text::display_list")]
    #[cfg_attr(feature = "schema", schema(value_type = Vec<uuid::Uuid>))]
    pub tasks: Vec<TaskId>,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub joined_at: conductor_core::Wall,
    /// Whether a disk of its own has less free space than it must, so that it takes no tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disk_full: bool,
}

/// The orchestrator itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct StatusView {
    pub version: String,
    pub pid: u32,
    #[serde(with = "text::instant")]
    #[cfg_attr(feature = "schema", schema(value_type = String, format = DateTime))]
    pub started_at: conductor_core::Wall,
    pub log: LogPosition,
    /// How many events History is behind.
    pub history_lag: u64,
    pub workspace: String,
    pub state_dir: String,
    pub state_free_bytes: u64,
    /// Whether submits are refused for want of space.
    pub storage_full: bool,
    pub paused: bool,
    /// Whether it is about to stop.
    pub draining: bool,
    /// Batches, events and bytes written, leases expired and stale reports refused since the start.
    pub counters: Counters,
    /// True when the orchestrator was started by `run` for what is submitted through it.
    #[serde(default)]
    pub embedded: bool,
}

/// Counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the fields speak for themselves")]
pub struct Counters {
    pub batches: u64,
    pub events: u64,
    pub leases_expired: u64,
    pub stale_reports_refused: u64,
    pub loki_dropped: u64,
}
