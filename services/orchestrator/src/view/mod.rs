//! What the machine and History know, as people read it.

mod agent;
mod event;
mod pending;
mod task;

pub(crate) use agent::{agent_view, queue_view};
pub(crate) use event::{Subject, event_view, subject};
pub(crate) use task::{Live, add_used, has_work, task_view, usage_view};

use conductor_core::{Actor, CancelReason, Failure, Groups, Role};
use conductor_protocol::control;
use conductor_protocol::task::{CreatedBy, FailureView};

/// A failure as people read it.
pub(crate) fn failure_view(failure: &Failure) -> FailureView {
    FailureView {
        reason: failure.reason,
        message: failure.message.to_string(),
        hint: failure.hint.as_deref().map(ToOwned::to_owned),
    }
}

/// Why a task was cancelled; only a dependency counts as a failure.
pub(crate) fn cancel_view(reason: &CancelReason) -> Option<FailureView> {
    let reason_class = conductor_core::FailureReason::Dependency;
    match reason {
        CancelReason::Dependency(task) => Some(FailureView {
            reason: reason_class,
            message: format!("task {task}, on which this one depends, did not succeed"),
            hint: Some("see why it did not; submit both anew, or let this one run all the same with on_dependency_failure: run".into()),
        }),
        CancelReason::Requested(_) | CancelReason::Parent(_) | CancelReason::Schedule => None,
    }
}

/// Why a task was cancelled, in words.
pub(crate) fn cancel_text(reason: &CancelReason) -> String {
    match reason {
        CancelReason::Requested(Some(text)) => format!("cancelled: {text}"),
        CancelReason::Requested(None) => "cancelled".into(),
        CancelReason::Parent(task) => format!("cancelled with task {task} above it"),
        CancelReason::Dependency(task) => format!("cancelled because task {task} did not succeed"),
        CancelReason::Schedule => "cancelled for the next run of its schedule".into(),
    }
}

/// A role as text.
pub(crate) fn role_text(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
        Role::Agent => "agent",
    }
}

/// A role as the control protocol has it.
pub(crate) fn role_on_wire(role: Role) -> control::Role {
    match role {
        Role::Viewer => control::Role::Viewer,
        Role::Operator => control::Role::Operator,
        Role::Admin => control::Role::Admin,
        Role::Agent => control::Role::Agent,
    }
}

/// Groups as the control protocol has them.
pub(crate) fn groups_on_wire(groups: &Groups) -> control::Groups {
    match groups {
        Groups::All => control::Groups::All,
        Groups::Only(names) => control::Groups::Only(names.iter().map(ToString::to_string).collect()),
    }
}

/// A role of the control protocol.
pub(crate) fn role_from_wire(role: control::Role) -> Role {
    match role {
        control::Role::Viewer => Role::Viewer,
        control::Role::Operator => Role::Operator,
        control::Role::Admin => Role::Admin,
        control::Role::Agent => Role::Agent,
    }
}

/// Who submitted a task.
pub(crate) fn created_by(actor: &Actor) -> CreatedBy {
    CreatedBy {
        name: actor.name.to_string(),
        role: role_text(actor.role).to_owned(),
        via: actor.via.to_string(),
    }
}
