//! The calls of the control protocol, each with the type of its answer.

use conductor_core::{RequestId, ScheduleId, TaskId};
use conductor_protocol::control::{
    AddSchedule, Affected, AgentName, AgentView, AnswerBody, AnswerCall, AuditCall, AuditPage, AuditVerified,
    Browse, BrowseView, Call, Cancel, DeliveryView, Done, DrainAgent, Events, FileCall, FilesView, Filter,
    Gc, GcView, Id, LaneName, ListRequest, Message, MetricsView, Output, Page, Pause, Pin, QueueView,
    RunnerOffer, ScheduleRef, ScheduleView, StatsView, StatusView, Submit, Submitted, TaskTypeView,
    TrendsCall, TrendsView, UsageNews, UsageOfAll, VerifyAudit, Wait,
};
use conductor_protocol::event::EventView;
use conductor_protocol::task::{TaskView, UsageView};
use serde_json::value::RawValue;

use crate::control::Control;
use crate::error::Error;
use crate::stream::{Chunks, Items, MAX_CHUNKS, MAX_ITEMS};

/// The calls. Each fails as [`Control::call`] does.
impl Control {
    /// Submits tasks, all or none.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn submit(&self, submit: Submit) -> Result<Submitted, Error> {
        self.ask(Call::Submit(submit)).await
    }

    /// Reads a task.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn get(&self, id: TaskId) -> Result<TaskView, Error> {
        self.ask(Call::Get(Id { id })).await
    }

    /// Reads a task when it has ended or time is up; the orchestrator bounds the time.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn wait(&self, id: TaskId, timeout_ms: u64) -> Result<TaskView, Error> {
        self.ask(Call::Wait(Wait { id, timeout_ms })).await
    }

    /// Reads a page of tasks.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn list(&self, request: ListRequest) -> Result<Page, Error> {
        self.ask(Call::List(Box::new(request))).await
    }

    /// Ends a task and all below it.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn cancel(&self, id: TaskId, reason: Option<String>) -> Result<Affected, Error> {
        self.ask(Call::Cancel(Cancel { id, reason })).await
    }

    /// Ends all tasks that match.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn cancel_matching(&self, filter: Filter) -> Result<Affected, Error> {
        self.ask(Call::CancelMatching(Box::new(filter))).await
    }

    /// Repeats a terminal task as a new one.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn retry(&self, id: TaskId) -> Result<Submitted, Error> {
        self.ask(Call::Retry(Id { id })).await
    }

    /// Goes on from a terminal task with a new prompt.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn message(&self, id: TaskId, text: String) -> Result<Submitted, Error> {
        self.ask(Call::Message(Message { id, text })).await
    }

    /// Answers a question: `request_id`, or the one that waits.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn answer(
        &self,
        id: TaskId,
        request_id: Option<RequestId>,
        answer: AnswerBody,
    ) -> Result<Done, Error> {
        self.ask(Call::Answer(AnswerCall { id, request_id, answer })).await
    }

    /// Deletes a terminal task's record and folder.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn delete(&self, id: TaskId) -> Result<Done, Error> {
        self.ask(Call::Delete(Id { id })).await
    }

    /// Reads what waits for a person.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn questions(&self) -> Result<Vec<TaskView>, Error> {
        self.ask(Call::Questions).await
    }

    /// Reads all agents.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn agents(&self) -> Result<Vec<AgentView>, Error> {
        self.ask(Call::Agents).await
    }

    /// Lets an agent take no further tasks, or take them again.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn drain_agent(&self, name: String, draining: bool) -> Result<Done, Error> {
        self.ask(Call::DrainAgent(DrainAgent { name, draining })).await
    }

    /// Takes an agent's leases and its way in.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn revoke_agent(&self, name: String) -> Result<Done, Error> {
        self.ask(Call::RevokeAgent(AgentName { name })).await
    }

    /// Lets the queue stand still, or go on.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn pause(&self, paused: bool) -> Result<Done, Error> {
        self.ask(Call::Pause(Pause { paused })).await
    }

    /// Has a credential tried again that was refused, or rests.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn open_lane(&self, name: String) -> Result<Done, Error> {
        self.ask(Call::OpenLane(LaneName { name })).await
    }

    /// Reads the queue.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn queue(&self) -> Result<QueueView, Error> {
        self.ask(Call::Queue).await
    }

    /// Reads numbers over time.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn stats(&self) -> Result<StatsView, Error> {
        self.ask(Call::Stats).await
    }

    /// Reads what the orchestrator says of itself.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn status(&self) -> Result<StatusView, Error> {
        self.ask(Call::Status).await
    }

    /// Adds a schedule.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn add_schedule(&self, schedule: AddSchedule) -> Result<ScheduleView, Error> {
        self.ask(Call::AddSchedule(Box::new(schedule))).await
    }

    /// Reads all schedules.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn schedules(&self) -> Result<Vec<ScheduleView>, Error> {
        self.ask(Call::Schedules).await
    }

    /// Removes a schedule.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn remove_schedule(&self, id: ScheduleId) -> Result<Done, Error> {
        self.ask(Call::RemoveSchedule(ScheduleRef { id })).await
    }

    /// Reads what a run left.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn files(&self, id: TaskId) -> Result<FilesView, Error> {
        self.ask(Call::Files(Id { id })).await
    }

    /// Looks at a place of a run's folder, or of the logs.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn browse(&self, call: Browse) -> Result<BrowseView, Error> {
        self.ask(Call::Browse(call)).await
    }

    /// Reads who did what.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn audit(&self, call: AuditCall) -> Result<AuditPage, Error> {
        self.ask(Call::Audit(call)).await
    }

    /// Checks that a stretch of the audit is as it was written.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn verify_audit(&self, call: VerifyAudit) -> Result<AuditVerified, Error> {
        self.ask(Call::VerifyAudit(call)).await
    }

    /// Keeps a run whatever its age, or lets it go.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn pin(&self, id: TaskId, pinned: bool) -> Result<Done, Error> {
        self.ask(Call::Pin(Pin { id, pinned })).await
    }

    /// Deletes what retention says now, or says what would go.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn gc(&self, dry_run: bool) -> Result<GcView, Error> {
        self.ask(Call::Gc(Gc { dry_run })).await
    }

    /// Repeats all terminal tasks that match, as new ones.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn retry_matching(&self, filter: Filter) -> Result<Affected, Error> {
        self.ask(Call::RetryMatching(Box::new(filter))).await
    }

    /// Reads what was told of a task, and to whom.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn deliveries(&self, id: TaskId) -> Result<Vec<DeliveryView>, Error> {
        self.ask(Call::Deliveries(Id { id })).await
    }

    /// Reads numbers over time, step by step.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn trends(&self, call: TrendsCall) -> Result<TrendsView, Error> {
        self.ask(Call::Trends(call)).await
    }

    /// Reads counters and histograms.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn metrics(&self) -> Result<MetricsView, Error> {
        self.ask(Call::Metrics).await
    }

    /// Reads what tasks can be run by.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn runners(&self) -> Result<Vec<RunnerOffer>, Error> {
        self.ask(Call::Runners).await
    }

    /// Reads the types that tasks can have.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn task_types(&self) -> Result<Vec<TaskTypeView>, Error> {
        self.ask(Call::TaskTypes).await
    }

    /// Reads the effective configuration, without secrets.
    ///
    /// # Errors
    /// As [`Control::ask`].
    pub async fn config(&self) -> Result<Box<RawValue>, Error> {
        self.call(Call::Config).await
    }

    /// Follows state changes.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn events(&self, events: Events) -> Result<Items<EventView>, Error> {
        self.stream(Call::Events(events), MAX_ITEMS).await.map(Items::new)
    }

    /// Follows what the runner of an attempt reported, as the lines of `events.ndjson`.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn run_events(&self, output: Output) -> Result<Items<Box<RawValue>>, Error> {
        self.stream(Call::RunEvents(output), MAX_ITEMS).await.map(Items::new)
    }

    /// Follows what a task has used so far, until it is over.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn usage(&self, id: TaskId) -> Result<Items<UsageView>, Error> {
        self.stream(Call::Usage(Id { id }), MAX_ITEMS).await.map(Items::new)
    }

    /// Follows what all tasks that run have used so far: all of it at first, then what changes.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn usage_of_all(&self) -> Result<Items<UsageNews>, Error> {
        self.stream(Call::UsageOfAll(UsageOfAll { follow: true }), MAX_ITEMS).await.map(Items::new)
    }

    /// Reads or follows the output of an attempt.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn output(&self, output: Output) -> Result<Chunks, Error> {
        self.stream(Call::Output(output), MAX_CHUNKS).await.map(Chunks::new)
    }

    /// Reads a file of the work folder.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn file(&self, id: TaskId, path: String) -> Result<Chunks, Error> {
        self.file_part(FileCall { id, path, offset: 0, limit: None }).await
    }

    /// Reads a part of a file of the work folder.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn file_part(&self, part: FileCall) -> Result<Chunks, Error> {
        self.stream(Call::File(part), MAX_CHUNKS).await.map(Chunks::new)
    }

    /// Reads what an attempt changed.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn diff(&self, output: Output) -> Result<Chunks, Error> {
        self.stream(Call::Diff(output), MAX_CHUNKS).await.map(Chunks::new)
    }
}
