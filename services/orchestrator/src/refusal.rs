//! What the machine refuses, as users see it.

use conductor_core::{Rejection, Volume};
use conductor_protocol::{Code, Problem};

/// Where dependencies are asked for, in a task that is submitted alone.
pub(crate) const DEPENDS_ON: &str = "/depends_on";

/// The problem that tells of a rejection.
pub(crate) fn problem(rejection: &Rejection) -> Problem {
    let not_found = |what: String| Problem::new(Code::NotFound, what);
    match rejection {
        Rejection::UnknownTask(task) => not_found(format!("there is no live task {task}")),
        Rejection::UnknownDependency(task) => {
            Problem::at(DEPENDS_ON, format!("there is no task {task} to depend on"))
        }
        Rejection::DependencyCycle(task) => {
            Problem::at(DEPENDS_ON, format!("the dependencies run in a circle through {task}"))
        }
        Rejection::TaskExists(task) => Problem::new(Code::Conflict, format!("task {task} exists")),
        Rejection::BadParent(task) => Problem::at(
            "/subtasks",
            format!("task {task} may not have these subtasks: too deep, too many or not live"),
        ),
        Rejection::TooManySubtasks { parent, limit } => {
            Problem::at("/subtasks", format!("task {parent} would have more than {limit} subtasks"))
        }
        Rejection::AttemptOver(task) => {
            Problem::new(Code::Forbidden, format!("the attempt of task {task} that this token is of is over"))
        }
        Rejection::TooManyOffspring { task, limit } => {
            let detail =
                format!("task {task} has made {limit} tasks below itself, which is the limit, or would");
            Problem::new(Code::Conflict, detail)
        }
        Rejection::BudgetUsed { task, budget } => {
            let detail =
                format!("the budget of {budget} of task {task} is used up, and this would spend of it");
            Problem::new(Code::Conflict, detail)
        }
        Rejection::TooManyDependencies { task, limit } => {
            Problem::at(DEPENDS_ON, format!("task {task} depends on more than {limit} tasks"))
        }
        Rejection::TooManyWaits { limit } => {
            Problem::new(Code::QueueFull, format!("{limit} dependencies are waited for, which is the limit"))
                .retry_after(10)
        }
        Rejection::TooManyPlaces { limit } => {
            let what = "combinations of runner, required labels, group and priority";
            Problem::new(Code::QueueFull, format!("{limit} {what} are live, which is the limit"))
                .retry_after(10)
        }
        Rejection::KeyConflict(_) => Problem::new(
            Code::IdempotencyConflict,
            "the idempotency key was used for another request; take a new key for a new request",
        ),
        Rejection::TooManyKeys => {
            Problem::new(Code::QueueFull, "as many idempotency keys are kept as may be").retry_after(60)
        }
        Rejection::QueueFull { limit, group: None } => {
            Problem::new(Code::QueueFull, format!("the queue holds {limit} tasks, which is its limit"))
                .retry_after(10)
        }
        Rejection::QueueFull { limit, group: Some(group) } => {
            let detail = format!("the queue of group {group} holds {limit} tasks, which is its limit");
            Problem::new(Code::QueueFull, detail).retry_after(10)
        }
        Rejection::BodiesFull { limit_bytes } => {
            let detail = format!("the bodies of live tasks have {limit_bytes} bytes, which is their limit");
            Problem::new(Code::QueueFull, detail).retry_after(10)
        }
        Rejection::NotWaiting(task) => {
            Problem::new(Code::Conflict, format!("task {task} does not wait for this answer"))
        }
        Rejection::NotRunning(task) => Problem::new(
            Code::Conflict,
            format!("task {task} does not run now, so that nothing can be said to it"),
        ),
        Rejection::TooManyMessages { task, limit } => Problem::new(
            Code::Conflict,
            format!("{limit} messages to task {task} wait to be heard, and no more can"),
        ),
        Rejection::StillLive(task) => {
            Problem::new(Code::Conflict, format!("task {task} is not over yet; cancel it first"))
        }
        Rejection::Pinned(task) => {
            Problem::new(Code::Conflict, format!("task {task} is pinned; unpin it first"))
        }
        Rejection::TooManyPins => {
            Problem::new(Code::Conflict, "as many runs are pinned as may be; unpin some first")
        }
        Rejection::UnknownAgent(name) => not_found(format!("there is no agent {name}")),
        Rejection::NameTaken(name) => Problem::new(
            Code::Conflict,
            format!("another live agent is called {name}; give this one a name of its own"),
        ),
        Rejection::Revoked(agent) => Problem::new(Code::Forbidden, format!("agent {agent} was revoked")),
        Rejection::TooManyAgents => {
            Problem::new(Code::QueueFull, "as many agents are known as may be").retry_after(60)
        }
        Rejection::StaleSession(agent) => {
            Problem::new(Code::Conflict, format!("agent {agent} speaks on a connection that was replaced"))
        }
        Rejection::UnknownLane(lane) => not_found(format!("no runner uses the credential {lane}")),
        Rejection::UnknownSchedule(schedule) => not_found(format!("there is no schedule {schedule}")),
        Rejection::TokenExists(name) => {
            Problem::new(Code::Conflict, format!("a token is called {name} already; revoke it first"))
        }
        Rejection::UnknownToken(name) => not_found(format!("there is no token {name}")),
        Rejection::TooManyTokens { limit } => {
            Problem::new(Code::Conflict, format!("{limit} tokens are kept, which is the limit; revoke some"))
        }
        Rejection::SessionExists => Problem::new(Code::Internal, "a session has this secret already"),
        Rejection::TooManySchedules => Problem::new(Code::QueueFull, "as many schedules are kept as may be"),
    }
}

/// A volume is full.
pub(crate) fn storage_full(volume: Volume) -> Problem {
    let detail = format!(
        "the {volume} volume has no room: nothing new is accepted until space is freed; what runs goes on"
    );
    Problem::new(Code::StorageFull, detail).retry_after(10)
}

/// The event log cannot be reached.
pub(crate) fn log_away() -> Problem {
    Problem::new(
        Code::Unavailable,
        "the event log cannot be reached: nothing new is accepted until it can; what runs goes on",
    )
    .retry_after(2)
}
