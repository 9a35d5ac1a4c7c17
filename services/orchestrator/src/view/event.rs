//! Events of the log as people follow them.

use conductor_core::{
    AgentId, AttemptEnd, Event, EventKind, Outcome, Requeue, ScheduleId, Seq, Standing, TaskId,
};
use conductor_protocol::event::EventView;
use conductor_protocol::task::State;

use super::{cancel_text, cancel_view, failure_view};

/// What an event is about, as far as it decides who may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A task, which has a group.
    Task(TaskId),
    /// A schedule, which has one too.
    Schedule(ScheduleId),
    /// Tasks of any group.
    Tasks,
    /// What belongs to nobody: agents, the queue.
    Everybody,
}

/// What an event is about.
pub(crate) fn subject(kind: &EventKind) -> Subject {
    match kind {
        EventKind::TaskSubmitted { task, .. } => Subject::Task(task.id),
        EventKind::TaskFreed { task, .. }
        | EventKind::TaskAssigned { task, .. }
        | EventKind::TaskStarted { task, .. }
        | EventKind::TaskAsked { task, .. }
        | EventKind::TaskAnswered { task, .. }
        | EventKind::QuestionWithdrawn { task, .. }
        | EventKind::CancelRequested { task, .. }
        | EventKind::AttemptEnded { task, .. }
        | EventKind::SecretsAsked { task, .. }
        | EventKind::SecretsUsed { task, .. }
        | EventKind::TaskTold { task, .. }
        | EventKind::MessagesTaken { task, .. }
        | EventKind::BudgetAsked { task, .. }
        | EventKind::BudgetHeld { task, .. }
        | EventKind::BudgetSpent { task, .. }
        | EventKind::TaskRequeued { task, .. }
        | EventKind::TaskPinned { task, .. }
        | EventKind::TaskFinished { task, .. } => Subject::Task(*task),
        EventKind::TasksDeleted { .. } => Subject::Tasks,
        EventKind::ScheduleAdded { schedule, .. } => Subject::Schedule(schedule.id),
        EventKind::ScheduleRemoved { schedule, .. } | EventKind::ScheduleFired { schedule, .. } => {
            Subject::Schedule(*schedule)
        }
        EventKind::AgentJoined { .. }
        | EventKind::AgentLeft { .. }
        | EventKind::AgentDrained { .. }
        | EventKind::AgentRevoked { .. }
        | EventKind::QueuePaused { .. }
        | EventKind::Began { .. }
        | EventKind::KeyBound { .. }
        | EventKind::KeyExpired { .. }
        | EventKind::LaneChanged { .. }
        | EventKind::LanesOffered { .. }
        | EventKind::LaneOpened { .. }
        | EventKind::WebhookAsked { .. }
        | EventKind::DeliveryDue { .. }
        | EventKind::DeliveryTried { .. }
        | EventKind::TokenCreated { .. }
        | EventKind::TokenRevoked { .. }
        | EventKind::TokenExpired { .. }
        | EventKind::SessionOpened { .. }
        | EventKind::SessionClosed { .. } => Subject::Everybody,
    }
}

/// One event; none when it is of no use to people.
pub(crate) fn event_view(seq: Seq, event: &Event) -> Option<EventView> {
    let task = |kind: &str, task: TaskId, state: Option<State>| {
        let id = Some(task.to_string());
        EventView { state, ..blank(seq, event, "tasks", kind, id) }
    };
    let agent = |kind: &str, agent: AgentId| blank(seq, event, "agents", kind, Some(agent.to_string()));
    let schedule =
        |kind: &str, schedule: ScheduleId| blank(seq, event, "schedules", kind, Some(schedule.to_string()));
    Some(match &event.kind {
        EventKind::TaskSubmitted { task: new, standing: at, .. } => EventView {
            group: Some(new.group.to_string()),
            name: new.name.as_deref().map(ToOwned::to_owned),
            ..task("task_submitted", new.id, Some(standing(*at)))
        },
        EventKind::TaskFreed { task: id, standing: at } => task("task_freed", *id, Some(standing(*at))),
        EventKind::TaskAssigned { task: id, agent, attempt, runner, .. } => EventView {
            agent: Some(agent.to_string()),
            attempt: Some(*attempt),
            detail: Some(runner.to_string()),
            ..task("task_assigned", *id, Some(State::Running))
        },
        EventKind::TaskStarted { task: id, .. } => task("task_started", *id, Some(State::Running)),
        EventKind::TaskAsked { task: id, .. } => task("task_asked", *id, Some(State::Waiting)),
        EventKind::TaskAnswered { task: id, .. } => task("task_answered", *id, Some(State::Running)),
        EventKind::QuestionWithdrawn { task: id, .. } => {
            task("question_withdrawn", *id, Some(State::Running))
        }
        EventKind::TaskTold { task: id, .. } => task("task_told", *id, None),
        EventKind::CancelRequested { task: id, reason, .. } => {
            EventView { detail: Some(cancel_text(reason)), ..task("cancel_requested", *id, None) }
        }
        EventKind::AttemptEnded { task: id, end, .. } => ended(task("attempt_ended", *id, None), end),
        EventKind::TaskRequeued { task: id, cause, ready_at, .. } => {
            let state = if ready_at.is_some() { State::Scheduled } else { State::Queued };
            EventView {
                detail: Some(requeue_text(*cause).to_owned()),
                ..task("task_requeued", *id, Some(state))
            }
        }
        EventKind::TaskFinished { task: id, outcome, .. } => {
            finished(task("task_finished", *id, None), outcome)
        }
        EventKind::TasksDeleted { tasks, .. } => {
            let ids: Vec<_> = tasks.iter().map(ToString::to_string).collect();
            EventView { detail: Some(ids.join(" ")), ..blank(seq, event, "tasks", "tasks_deleted", None) }
        }
        EventKind::TaskPinned { task: id, pinned, .. } => {
            task(if *pinned { "task_pinned" } else { "task_unpinned" }, *id, None)
        }
        EventKind::AgentJoined { profile } => {
            EventView { agent: Some(profile.name.to_string()), ..agent("agent_joined", profile.agent_id) }
        }
        EventKind::AgentLeft { agent: id } => agent("agent_left", *id),
        EventKind::AgentDrained { agent: id, draining, .. } => {
            agent(if *draining { "agent_drained" } else { "agent_resumed" }, *id)
        }
        EventKind::AgentRevoked { agent: id, .. } => agent("agent_revoked", *id),
        EventKind::QueuePaused { paused, .. } => {
            blank(seq, event, "queue", if *paused { "queue_paused" } else { "queue_resumed" }, None)
        }
        EventKind::ScheduleAdded { schedule: new, .. } => EventView {
            name: new.name.as_deref().map(ToOwned::to_owned),
            ..schedule("schedule_added", new.id)
        },
        EventKind::ScheduleRemoved { schedule: id, .. } => schedule("schedule_removed", *id),
        EventKind::ScheduleFired { schedule: id, task, .. } => {
            EventView { detail: task.map(|task| task.to_string()), ..schedule("schedule_fired", *id) }
        }
        EventKind::LaneChanged { lane, rests_until, open } => {
            let kind = match (open, rests_until) {
                (false, _) => "lane_closed",
                (true, Some(_)) => "lane_rests",
                (true, None) => "lane_opened",
            };
            let detail = rests_until.map(|until| until.to_string());
            EventView { detail, ..blank(seq, event, "queue", kind, Some(lane.to_string())) }
        }
        EventKind::LaneOpened { lane, .. } => {
            blank(seq, event, "queue", "lane_opened", Some(lane.to_string()))
        }
        EventKind::Began { .. }
        | EventKind::KeyBound { .. }
        | EventKind::KeyExpired { .. }
        | EventKind::LanesOffered { .. }
        | EventKind::BudgetAsked { .. }
        | EventKind::BudgetHeld { .. }
        | EventKind::BudgetSpent { .. }
        | EventKind::TokenCreated { .. }
        | EventKind::TokenRevoked { .. }
        | EventKind::TokenExpired { .. }
        | EventKind::SessionOpened { .. }
        | EventKind::SessionClosed { .. }
        | EventKind::WebhookAsked { .. }
        | EventKind::SecretsAsked { .. }
        | EventKind::SecretsUsed { .. }
        | EventKind::MessagesTaken { .. }
        | EventKind::DeliveryDue { .. }
        | EventKind::DeliveryTried { .. } => return None,
    })
}

fn blank(seq: Seq, event: &Event, topic: &str, kind: &str, id: Option<String>) -> EventView {
    EventView {
        seq: seq.0,
        at: event.at,
        topic: topic.to_owned(),
        kind: kind.to_owned(),
        id,
        state: None,
        attempt: None,
        agent: None,
        group: None,
        name: None,
        failure: None,
        detail: None,
    }
}

fn standing(standing: Standing) -> State {
    match standing {
        Standing::Blocked => State::Blocked,
        Standing::Scheduled => State::Scheduled,
        Standing::Queued { .. } => State::Queued,
    }
}

fn ended(mut view: EventView, end: &AttemptEnd) -> EventView {
    let detail = match end {
        AttemptEnd::Succeeded => "succeeded".to_owned(),
        AttemptEnd::Failed(failure) => {
            view.failure = Some(failure_view(failure));
            "failed".to_owned()
        }
        AttemptEnd::Crashed(message) => format!("crashed: {message}"),
        AttemptEnd::Stopped => "stopped".to_owned(),
        AttemptEnd::Cancelled => "cancelled".to_owned(),
        AttemptEnd::Limited { message, .. } => format!("limited: {message}"),
    };
    EventView { detail: Some(detail), ..view }
}

fn finished(view: EventView, outcome: &Outcome) -> EventView {
    match outcome {
        Outcome::Succeeded => EventView { state: Some(State::Succeeded), ..view },
        Outcome::Failed(failure) => {
            EventView { state: Some(State::Failed), failure: Some(failure_view(failure)), ..view }
        }
        Outcome::Cancelled(reason) => EventView {
            state: Some(State::Cancelled),
            failure: cancel_view(reason),
            detail: Some(cancel_text(reason)),
            ..view
        },
    }
}

fn requeue_text(cause: Requeue) -> &'static str {
    match cause {
        Requeue::Backoff => "backoff",
        Requeue::Crash => "crash",
        Requeue::Stop => "stop",
        Requeue::Limit => "limit",
        Requeue::NewSession => "new_session",
    }
}
