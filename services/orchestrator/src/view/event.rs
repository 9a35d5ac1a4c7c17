//! Events of the log as people follow them.

use conductor_core::{AttemptEnd, Event, EventKind, Outcome, Requeue, Seq, Standing};
use conductor_protocol::event::EventView;
use conductor_protocol::task::State;

use super::{cancel_text, cancel_view, failure_view};

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Tasks,
    Agents,
    Queue,
    Schedules,
    /// Of no use to people.
    Internal,
}

/// The topic of an event.
pub(crate) fn topic_of(kind: &EventKind) -> Topic {
    match kind {
        EventKind::TaskSubmitted { .. }
        | EventKind::TaskFreed { .. }
        | EventKind::TaskAssigned { .. }
        | EventKind::TaskStarted { .. }
        | EventKind::TaskAsked { .. }
        | EventKind::TaskAnswered { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::AttemptEnded { .. }
        | EventKind::TaskRequeued { .. }
        | EventKind::TaskFinished { .. }
        | EventKind::TasksDeleted { .. } => Topic::Tasks,
        EventKind::AgentJoined { .. }
        | EventKind::AgentLeft { .. }
        | EventKind::AgentDrained { .. }
        | EventKind::AgentRevoked { .. } => Topic::Agents,
        EventKind::QueuePaused { .. } => Topic::Queue,
        EventKind::ScheduleAdded { .. }
        | EventKind::ScheduleRemoved { .. }
        | EventKind::ScheduleFired { .. } => Topic::Schedules,
        EventKind::Began { .. }
        | EventKind::KeyBound { .. }
        | EventKind::KeyExpired { .. }
        | EventKind::LaneChanged { .. }
        | EventKind::BudgetChanged { .. }
        | EventKind::WebhookTried { .. } => Topic::Internal,
    }
}

/// The events that people follow, from the number `first` on.
pub(crate) fn event_views(first: Seq, events: &[Event]) -> Vec<EventView> {
    (first.0..).zip(events).filter_map(|(seq, event)| event_view(Seq(seq), event)).collect()
}

fn event_view(seq: Seq, event: &Event) -> Option<EventView> {
    let topic = match topic_of(&event.kind) {
        Topic::Tasks => "tasks",
        Topic::Agents => "agents",
        Topic::Queue => "queue",
        Topic::Schedules => "schedules",
        Topic::Internal => return None,
    };
    let mut view = EventView {
        seq: seq.0,
        at: event.at,
        topic: topic.to_owned(),
        kind: String::new(),
        id: None,
        state: None,
        attempt: None,
        agent: None,
        group: None,
        name: None,
        failure: None,
        detail: None,
    };
    match topic_of(&event.kind) {
        Topic::Tasks => tell_task(&mut view, &event.kind),
        Topic::Agents | Topic::Queue | Topic::Schedules | Topic::Internal => {
            tell_other(&mut view, &event.kind)
        }
    }
    Some(view)
}

fn standing(standing: Standing) -> State {
    match standing {
        Standing::Blocked => State::Blocked,
        Standing::Scheduled => State::Scheduled,
        Standing::Queued { .. } => State::Queued,
    }
}

fn tell_task(view: &mut EventView, kind: &EventKind) {
    let mut say = |kind: &str, task: Option<conductor_core::TaskId>, state: Option<State>| {
        view.kind = kind.to_owned();
        view.id = task.map(|task| task.to_string());
        view.state = state;
    };
    match kind {
        EventKind::TaskSubmitted { task, standing: at, .. } => {
            say("task_submitted", Some(task.id), Some(standing(*at)));
            view.group = Some(task.group.to_string());
            view.name = task.name.as_deref().map(ToOwned::to_owned);
        }
        EventKind::TaskFreed { task, standing: at } => say("task_freed", Some(*task), Some(standing(*at))),
        EventKind::TaskAssigned { task, agent, attempt, runner, .. } => {
            say("task_assigned", Some(*task), Some(State::Running));
            view.agent = Some(agent.to_string());
            view.attempt = Some(*attempt);
            view.detail = Some(runner.to_string());
        }
        EventKind::TaskStarted { task, .. } => say("task_started", Some(*task), Some(State::Running)),
        EventKind::TaskAsked { task, .. } => say("task_asked", Some(*task), Some(State::Waiting)),
        EventKind::TaskAnswered { task, .. } => say("task_answered", Some(*task), Some(State::Running)),
        EventKind::CancelRequested { task, reason, .. } => {
            say("cancel_requested", Some(*task), None);
            view.detail = Some(cancel_text(reason));
        }
        EventKind::AttemptEnded { task, end, .. } => {
            say("attempt_ended", Some(*task), None);
            tell_end(view, end);
        }
        EventKind::TaskRequeued { task, cause, ready_at, .. } => {
            let state = if ready_at.is_some() { State::Scheduled } else { State::Queued };
            say("task_requeued", Some(*task), Some(state));
            view.detail = Some(requeue_text(*cause).to_owned());
        }
        EventKind::TaskFinished { task, outcome, .. } => {
            let state = match outcome {
                Outcome::Succeeded => State::Succeeded,
                Outcome::Failed(_) => State::Failed,
                Outcome::Cancelled(_) => State::Cancelled,
            };
            say("task_finished", Some(*task), Some(state));
            match outcome {
                Outcome::Succeeded => {}
                Outcome::Failed(failure) => view.failure = Some(failure_view(failure)),
                Outcome::Cancelled(reason) => {
                    view.failure = cancel_view(reason);
                    view.detail = Some(cancel_text(reason));
                }
            }
        }
        EventKind::TasksDeleted { tasks, .. } => {
            say("tasks_deleted", None, None);
            let ids: Vec<_> = tasks.iter().map(ToString::to_string).collect();
            view.detail = Some(ids.join(" "));
        }
        other => tell_other(view, other),
    }
}

fn tell_end(view: &mut EventView, end: &AttemptEnd) {
    match end {
        AttemptEnd::Succeeded => view.detail = Some("succeeded".into()),
        AttemptEnd::Failed(failure) => {
            view.detail = Some("failed".into());
            view.failure = Some(failure_view(failure));
        }
        AttemptEnd::Crashed(message) => view.detail = Some(format!("crashed: {message}")),
        AttemptEnd::Stopped => view.detail = Some("stopped".into()),
        AttemptEnd::Cancelled => view.detail = Some("cancelled".into()),
        AttemptEnd::Limited { message, .. } => view.detail = Some(format!("limited: {message}")),
    }
}

fn requeue_text(cause: Requeue) -> &'static str {
    match cause {
        Requeue::Backoff => "backoff",
        Requeue::Crash => "crash",
        Requeue::Stop => "stop",
        Requeue::Limit => "limit",
    }
}

fn tell_other(view: &mut EventView, kind: &EventKind) {
    let mut say = |kind: &str, id: Option<String>| {
        view.kind = kind.to_owned();
        view.id = id;
    };
    match kind {
        EventKind::AgentJoined { profile } => {
            say("agent_joined", Some(profile.agent_id.to_string()));
            view.agent = Some(profile.name.to_string());
        }
        EventKind::AgentLeft { agent } => say("agent_left", Some(agent.to_string())),
        EventKind::AgentDrained { agent, draining, .. } => {
            say(if *draining { "agent_drained" } else { "agent_resumed" }, Some(agent.to_string()));
        }
        EventKind::AgentRevoked { agent, .. } => say("agent_revoked", Some(agent.to_string())),
        EventKind::QueuePaused { paused, .. } => {
            say(if *paused { "queue_paused" } else { "queue_resumed" }, None)
        }
        EventKind::ScheduleAdded { schedule, .. } => {
            say("schedule_added", Some(schedule.id.to_string()));
            view.name = schedule.name.as_deref().map(ToOwned::to_owned);
        }
        EventKind::ScheduleRemoved { schedule, .. } => say("schedule_removed", Some(schedule.to_string())),
        EventKind::ScheduleFired { schedule, task, .. } => {
            say("schedule_fired", Some(schedule.to_string()));
            view.detail = task.map(|task| task.to_string());
        }
        EventKind::Began { .. }
        | EventKind::KeyBound { .. }
        | EventKind::KeyExpired { .. }
        | EventKind::LaneChanged { .. }
        | EventKind::BudgetChanged { .. }
        | EventKind::WebhookTried { .. }
        | EventKind::TaskSubmitted { .. }
        | EventKind::TaskFreed { .. }
        | EventKind::TaskAssigned { .. }
        | EventKind::TaskStarted { .. }
        | EventKind::TaskAsked { .. }
        | EventKind::TaskAnswered { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::AttemptEnded { .. }
        | EventKind::TaskRequeued { .. }
        | EventKind::TaskFinished { .. }
        | EventKind::TasksDeleted { .. } => {}
    }
}
