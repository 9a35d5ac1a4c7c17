//! Who is told of what happens.

use crate::command::{Effect, Rejection, Reply};
use crate::context::{Context, View};
use crate::delivery::{Answer, Notice, Route, Tried, next_try};
use crate::event::EventKind;
use crate::id::{Seq, TaskId};
use crate::name::Name;
use crate::task::Outcome;

/// What is to be told because of an event that is about to happen.
pub(crate) fn follows(view: View<'_>, kind: &EventKind) -> Vec<EventKind> {
    if view.policy.notify.is_empty() && view.state.outbox().webhooks().next().is_none() {
        return Vec::new();
    }
    let (task, notice) = match kind {
        EventKind::LaneChanged { lane, open: false, .. } => {
            let due = |route| EventKind::DeliveryDue {
                task: None,
                route,
                notice: Notice::LaneClosed,
                detail: lane.as_str().into(),
            };
            return routes(view, Notice::LaneClosed, None).into_iter().map(due).collect();
        }
        EventKind::TaskFinished { task, outcome, .. } => match outcome {
            Outcome::Failed(_) => (*task, Notice::Failed),
            Outcome::Succeeded | Outcome::Cancelled(_) => (*task, Notice::Finished),
        },
        EventKind::TaskAsked { task, .. } => (*task, Notice::Waiting),
        EventKind::Began { .. }
        | EventKind::TaskSubmitted { .. }
        | EventKind::KeyBound { .. }
        | EventKind::KeyExpired { .. }
        | EventKind::TaskFreed { .. }
        | EventKind::TaskAssigned { .. }
        | EventKind::TaskStarted { .. }
        | EventKind::TaskAnswered { .. }
        | EventKind::CancelRequested { .. }
        | EventKind::AttemptEnded { .. }
        | EventKind::TaskRequeued { .. }
        | EventKind::TasksDeleted { .. }
        | EventKind::TaskPinned { .. }
        | EventKind::AgentJoined { .. }
        | EventKind::AgentLeft { .. }
        | EventKind::AgentDrained { .. }
        | EventKind::AgentRevoked { .. }
        | EventKind::QueuePaused { .. }
        | EventKind::ScheduleAdded { .. }
        | EventKind::ScheduleRemoved { .. }
        | EventKind::ScheduleFired { .. }
        | EventKind::LaneChanged { .. }
        | EventKind::LanesOffered { .. }
        | EventKind::LaneOpened { .. }
        | EventKind::BudgetSpent { .. }
        | EventKind::BudgetAsked { .. }
        | EventKind::BudgetHeld { .. }
        | EventKind::TokenCreated { .. }
        | EventKind::TokenRevoked { .. }
        | EventKind::TokenExpired { .. }
        | EventKind::SessionOpened { .. }
        | EventKind::SessionClosed { .. }
        | EventKind::WebhookAsked { .. }
        | EventKind::SecretsAsked { .. }
        | EventKind::SecretsUsed { .. }
        | EventKind::TaskTold { .. }
        | EventKind::MessagesTaken { .. }
        | EventKind::QuestionWithdrawn { .. }
        | EventKind::DeliveryDue { .. }
        | EventKind::DeliveryTried { .. } => return Vec::new(),
    };
    let group = view.state.group_of(task);
    let mut routes = routes(view, notice, group);
    if view.state.outbox().has_webhook(task) {
        routes.insert(0, Route::Webhook);
    }
    let due = |route| EventKind::DeliveryDue { task: Some(task), route, notice, detail: Box::default() };
    routes.into_iter().map(due).collect()
}

fn routes(view: View<'_>, notice: Notice, group: Option<&Name>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for rule in view.policy.notify.iter().filter(|rule| rule.tells(notice, group)) {
        // Rules that lead to the same place tell it once.
        let route = Route::Rule(rule.name.clone());
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    routes
}

/// Makes deliveries due, as many as there is room for.
pub(crate) fn make_due(step: &mut Context<'_>, due: Vec<EventKind>) {
    for kind in due {
        if step.state().delivery_count() >= step.policy().max_deliveries {
            step.live().counters.notices_dropped += 1;
            continue;
        }
        step.emit(kind);
        step.effect(Effect::Deliver);
    }
}

/// Tells of what the machine itself does not see.
pub(crate) fn notify(
    step: &mut Context<'_>,
    notice: Notice,
    task: Option<TaskId>,
    detail: &str,
) -> Result<Reply, Rejection> {
    if let Some(task) = task.filter(|task| !step.state().contains(*task)) {
        return Err(Rejection::UnknownTask(task));
    }
    let group = task.and_then(|task| step.state().group_of(task)).cloned();
    tell(step, notice, group.as_ref(), task, detail);
    Ok(Reply::Done)
}

/// Tells by all rules that tell of this in a group.
pub(crate) fn tell(
    step: &mut Context<'_>,
    notice: Notice,
    group: Option<&Name>,
    task: Option<TaskId>,
    detail: &str,
) {
    let due = |route| EventKind::DeliveryDue { task, route, notice, detail: detail.into() };
    let due = routes(step.view(), notice, group).into_iter().map(due).collect();
    make_due(step, due);
}

/// Notes what came of a try; one of a delivery that is settled already changes nothing.
pub(crate) fn tried(
    step: &mut Context<'_>,
    delivery: Seq,
    delivered: bool,
    hopeless: bool,
    answer: Box<Answer>,
) -> Reply {
    let Some(known) = step.state().delivery(delivery) else { return Reply::Done };
    let task = known.task;
    let tries = known.tries.saturating_add(1);
    let tried = match (delivered, next_try(step.now().wall, tries).filter(|_| !hopeless)) {
        (true, _) => Tried::Delivered,
        (false, Some(next_at)) => Tried::Again { next_at },
        (false, None) => Tried::GivenUp,
    };
    step.emit(EventKind::DeliveryTried { delivery, task, tried, answer });
    Reply::Done
}
