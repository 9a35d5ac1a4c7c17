//! Changing what is there: cancel, answer, delete, pause, agents.

use std::sync::Arc;

use conductor_core::{Actor, CancelReason, Command, Name, Reply, TaskId};
use conductor_protocol::control::{
    Affected, AgentName, AnswerCall, Cancel, DrainAgent, Filter, Gc, GcView, ListRequest, Pin,
};
use conductor_protocol::task::State;
use conductor_protocol::{Code, Problem, limits};
use conductor_store::log::PayloadKey;

use super::super::Context;
use super::super::caller::Caller;
use super::{list, one, submit};
use crate::retention;

/// The longest reason for a cancel.
const MAX_REASON_CHARS: usize = 500;
/// The most tasks that are repeated together.
const MAX_REPEATED: usize = 10_000;

/// Ends a task and all below it.
pub(super) async fn cancel(context: &Context, actor: Arc<Actor>, call: Cancel) -> Result<Affected, Problem> {
    if call.reason.as_ref().is_some_and(|reason| reason.chars().count() > MAX_REASON_CHARS) {
        return Err(Problem::at("/reason", format!("at most {MAX_REASON_CHARS} characters")));
    }
    let reason = CancelReason::Requested(call.reason.map(Into::into));
    let command = Command::Cancel { task: call.id, reason, by: actor };
    match context.engine.command(command).await {
        Ok(applied) => match applied.reply {
            Reply::Cancelled(ids) => Ok(Affected { ids }),
            _ => Ok(Affected { ids: Vec::new() }),
        },
        Err(problem) if problem.code == Code::NotFound => Err(over(context, call.id).await?),
        Err(problem) => Err(problem),
    }
}

/// Ends all live tasks that match.
pub(super) async fn cancel_matching(
    context: &Context,
    caller: &Caller,
    mut filter: Filter,
) -> Result<Affected, Problem> {
    let live = |state: &State| !state.is_terminal();
    filter.state = match filter.state.is_empty() {
        true => State::ALL.into_iter().filter(live).collect(),
        false => filter.state.into_iter().filter(live).collect(),
    };
    if filter.state.is_empty() {
        return Err(Problem::at("/state", "only live tasks can be cancelled"));
    }
    let mut request = ListRequest { filter, limit: Some(limits::MAX_PAGE), ..ListRequest::default() };
    let mut ids = Vec::new();
    loop {
        let page = list::list(context, caller, request.clone()).await?;
        for task in page.items {
            let reason = CancelReason::Requested(None);
            let command = Command::Cancel { task: task.id, reason, by: caller.actor.clone() };
            match context.engine.command(command).await {
                Ok(applied) => {
                    if let Reply::Cancelled(ended) = applied.reply {
                        ids.extend(ended);
                    }
                }
                // It ended by itself meanwhile.
                Err(problem) if problem.code == Code::NotFound => {}
                Err(problem) => return Err(problem),
            }
        }
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => return Ok(Affected { ids }),
        }
    }
}

/// Repeats all terminal tasks that match. What only stands for its subtasks, or is not kept whole, is passed over.
pub(super) async fn retry_matching(
    context: &Context,
    caller: &Caller,
    mut filter: Filter,
) -> Result<Affected, Problem> {
    filter.state = match filter.state.is_empty() {
        true => State::ALL.into_iter().filter(|state| state.is_terminal()).collect(),
        false => filter.state.into_iter().filter(|state| state.is_terminal()).collect(),
    };
    if filter.state.is_empty() {
        return Err(Problem::at("/state", "only tasks that are over can be repeated"));
    }
    let mut request = ListRequest { filter, limit: Some(limits::MAX_PAGE), ..ListRequest::default() };
    let mut matching = Vec::new();
    loop {
        let page = list::list(context, caller, request.clone()).await?;
        matching.extend(page.items.into_iter().map(|task| task.id));
        if matching.len() > MAX_REPEATED {
            let detail = format!("more than {MAX_REPEATED} tasks match; narrow the filter");
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        match page.next_cursor {
            Some(cursor) => request.cursor = Some(cursor),
            None => break,
        }
    }
    let mut ids = Vec::new();
    // The oldest first, so that they come in the order in which they came before.
    for task in matching.into_iter().rev() {
        match submit::retry(context, caller, task).await {
            Ok(submitted) => ids.extend(submitted.ids),
            Err(problem) => match problem.code {
                Code::NotFound | Code::Conflict | Code::Gone => {}
                _ if ids.is_empty() => return Err(problem),
                _ => {
                    let detail = format!("{} tasks were repeated, then: {}", ids.len(), problem.detail);
                    return Err(Problem { detail, ..problem });
                }
            },
        }
    }
    Ok(Affected { ids })
}

/// Answers a question.
pub(super) async fn answer(context: &Context, actor: Arc<Actor>, call: AnswerCall) -> Result<(), Problem> {
    let answer_json = serde_json::to_string(&call.answer).expect("an answer that was read can be written");
    if answer_json.len() > limits::MAX_PROMPT_BYTES {
        return Err(Problem::at("/answer", format!("at most {} bytes", limits::MAX_PROMPT_BYTES)));
    }
    let command = Command::Answer {
        task: call.id,
        request_id: call.request_id,
        answer_json: answer_json.into(),
        by: actor,
    };
    match context.engine.command(command).await {
        Ok(_) => Ok(()),
        Err(problem) if problem.code == Code::NotFound => Err(over(context, call.id).await?),
        Err(problem) => Err(problem),
    }
}

/// Why nothing can be done to a task that the machine does not hold: History tells one that is over from one that never
/// was.
async fn over(context: &Context, task: TaskId) -> Result<Problem, Problem> {
    let view = one::get(context, task).await?;
    Ok(Problem::new(Code::Conflict, format!("task {task} is over: {}", view.state.as_str())))
}

/// Deletes a terminal task's record, body and folder.
pub(super) async fn delete(context: &Context, actor: Arc<Actor>, task: TaskId) -> Result<(), Problem> {
    let view = one::get(context, task).await?;
    if !view.state.is_terminal() {
        return Err(Problem::new(Code::Conflict, format!("task {task} is not over yet; cancel it first")));
    }
    let command = Command::Delete { tasks: Box::new([task]), by: Some(actor) };
    context.engine.change(command, Vec::new(), vec![PayloadKey::from(task)]).await.map(drop)
}

/// Keeps a run whatever its age, or lets it go.
pub(super) async fn pin(context: &Context, actor: Arc<Actor>, call: Pin) -> Result<(), Problem> {
    if call.pinned {
        // What nobody knows cannot be kept.
        one::get(context, call.id).await?;
    }
    let command = Command::Pin { task: call.id, pinned: call.pinned, by: actor };
    context.engine.command(command).await.map(drop)
}

/// Lets an agent take no further tasks, or take them again.
pub(super) async fn drain_agent(
    context: &Context,
    actor: Arc<Actor>,
    call: DrainAgent,
) -> Result<(), Problem> {
    let command = Command::DrainAgent { name: name(&call.name)?, draining: call.draining, by: actor };
    context.engine.command(command).await.map(drop)
}

/// Takes an agent's leases and its way in.
pub(super) async fn revoke_agent(
    context: &Context,
    actor: Arc<Actor>,
    call: AgentName,
) -> Result<(), Problem> {
    context.engine.command(Command::RevokeAgent { name: name(&call.name)?, by: actor }).await.map(drop)
}

/// Assigns nothing, or goes on.
pub(super) async fn pause(context: &Context, actor: Arc<Actor>, paused: bool) -> Result<(), Problem> {
    context.engine.command(Command::Pause { paused, by: actor }).await.map(drop)
}

/// Has a credential tried again.
pub(super) async fn open_lane(context: &Context, actor: Arc<Actor>, lane: &str) -> Result<(), Problem> {
    context.engine.command(Command::OpenLane { lane: name(lane)?, by: actor }).await.map(drop)
}

/// Deletes what retention says, now.
pub(super) async fn gc(context: &Context, call: Gc) -> Result<GcView, Problem> {
    retention::sweep(&context.retention, &context.engine, &context.follower, &context.clock, call.dry_run)
        .await
}

fn name(text: &str) -> Result<Name, Problem> {
    Name::new(text).map_err(|error| Problem::at("/name", error.to_string()))
}
