//! The control protocol: what the API, the dashboard and the command line say to the orchestrator.
//!
//! WebSocket, JSON text. The client opens with [`Opening`] and is answered by [`Opened`]. Then it sends any number of
//! [`Request`]s, each with an id of its own choice, and may have many under way; every one is answered by exactly one
//! [`Response`] with its id, and a streaming one by any number of items before that. Bytes of files come as binary
//! [`crate::frame::ChunkFrame`]s with the request's id.

use conductor_core::ScheduleId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

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
mod usage;

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
pub use usage::{UsageNews, UsageOfAll, UsedView};

mod agents;
mod audit;
mod status;
mod streams;
mod tasks;

pub use agents::{AgentName, AgentView, DrainAgent};
pub use audit::{AuditCall, AuditEntry, AuditFault, AuditPage, AuditVerified, VerifyAudit};
pub use status::{Counters, StatusView};
pub use streams::{Events, FileCall, FilesView, Output, OutputEnd, StopStream};
pub use tasks::{
    Affected, AnswerBody, AnswerCall, Cancel, Done, Id, Message, Outcome, Submit, Submitted, Wait,
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
    /// What a task has used so far. Streams [`crate::task::UsageView`] when it changes, until the task is over.
    Usage(Id),
    /// What all tasks that run have used so far. Streams [`UsageNews`], all at first and then what changes.
    UsageOfAll(UsageOfAll),
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
