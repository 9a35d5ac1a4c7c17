//! What a running attempt may ask by its token: to submit below its task, and to see what is there. Nothing else.

use conductor_core::TaskId;
use conductor_protocol::control::{AttemptRef, Call, Id, StatusView};
use conductor_protocol::{Code, Problem, limits};

use super::Context;
use super::calls::behind;

/// What a call is to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum May {
    /// It may be asked; what it answers is held to the attempt's own tree where it is about tasks.
    Ask,
    /// It may be asked of a task of the attempt's own tree.
    See(TaskId),
    /// It may not.
    Nothing,
}

/// Lets an attempt's call through, or refuses it. What it may list is what lies below it.
///
/// # Errors
/// `forbidden` for what no attempt may ask, `unauthorized` when the attempt is over, `not_found` outside of its tree.
pub(super) async fn admit(context: &Context, attempt: AttemptRef, call: Call) -> Result<Call, Problem> {
    let may = may(&call);
    if may == May::Nothing {
        let detail = "a running task may submit below itself and read what is there, and nothing else";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    let AttemptRef { task, lease } = attempt;
    if !context.engine.look(move |machine, _| machine.state().is_held(task, lease)).await? {
        return Err(Problem::new(Code::Unauthorized, "the attempt that this token is of is over"));
    }
    if let May::See(asked) = may
        && !is_below(context, task, asked).await?
    {
        return Err(missing(asked));
    }
    match call {
        Call::List(mut list) => {
            let parent = list.filter.parent.get_or_insert_with(|| task.to_string());
            let parent =
                parent.parse().map_err(|_| Problem::at("/parent", format!("{parent:?} is not a task id")))?;
            match is_below(context, task, parent).await? {
                true => Ok(Call::List(list)),
                false => Err(missing(parent)),
            }
        }
        other => Ok(other),
    }
}

/// What each call is to an attempt. A new call does not compile without a place here.
fn may(call: &Call) -> May {
    match call {
        // These look at the attempt themselves.
        Call::Submit(_) | Call::SubmitEach(_) | Call::List(_) | Call::Status => May::Ask,
        // Ends a stream that it asked for.
        Call::Stop(_) => May::Ask,
        Call::Get(Id { id }) | Call::Usage(Id { id }) | Call::Files(Id { id }) => May::See(*id),
        Call::Wait(call) => May::See(call.id),
        Call::Output(call) | Call::RunEvents(call) | Call::Diff(call) => May::See(call.id),
        Call::File(call) => May::See(call.id),
        Call::Browse(call) => call.id.map_or(May::Nothing, May::See),
        Call::Cancel(_)
        | Call::CancelMatching(_)
        | Call::Retry(_)
        | Call::RetryMatching(_)
        | Call::Message(_)
        | Call::Answer(_)
        | Call::Delete(_)
        | Call::Questions
        | Call::Agents
        | Call::DrainAgent(_)
        | Call::RevokeAgent(_)
        | Call::Pause(_)
        | Call::OpenLane(_)
        | Call::Queue
        | Call::Stats
        | Call::AddSchedule(_)
        | Call::Schedules
        | Call::RemoveSchedule(_)
        | Call::Events(_)
        | Call::UsageOfAll(_)
        | Call::Audit(_)
        | Call::VerifyAudit(_)
        | Call::Pin(_)
        | Call::Gc(_)
        | Call::Authenticate(_)
        | Call::OpenSession(_)
        | Call::CloseSession(_)
        | Call::MakeLogin
        | Call::Tokens
        | Call::CreateToken(_)
        | Call::RevokeToken(_)
        | Call::CreateUpload(_)
        | Call::AppendUpload(_)
        | Call::Upload(_)
        | Call::Deliveries(_)
        | Call::Trends(_)
        | Call::Metrics
        | Call::Runners
        | Call::TaskTypes
        | Call::Config => May::Nothing,
    }
}

/// What an attempt is told of the orchestrator: no more than a client needs to speak with it.
pub(super) fn little(status: StatusView) -> StatusView {
    StatusView {
        version: status.version,
        log: status.log,
        started_at: status.started_at,
        ..StatusView::default()
    }
}

/// Whether a task is this one or lies below it.
pub(super) async fn is_below(context: &Context, root: TaskId, task: TaskId) -> Result<bool, Problem> {
    let mut at = task;
    for _ in 0..=limits::MAX_SUBTASK_DEPTH {
        if at == root {
            return Ok(true);
        }
        match parent(context, at).await? {
            Some(parent) => at = parent,
            None => return Ok(false),
        }
    }
    Ok(at == root)
}

/// Those that do not lie below a task.
pub(super) async fn outside(
    context: &Context,
    root: TaskId,
    tasks: &[TaskId],
) -> Result<Vec<TaskId>, Problem> {
    let mut outside = Vec::new();
    for task in tasks {
        if !is_below(context, root, *task).await? {
            outside.push(*task);
        }
    }
    Ok(outside)
}

/// The task above another: from the machine while it lives, else from History.
async fn parent(context: &Context, task: TaskId) -> Result<Option<TaskId>, Problem> {
    let look = move |machine: &conductor_core::Machine, _| {
        (machine.state().task(task).map(|image| image.parent), machine.state().seq())
    };
    let (live, seq) = context.engine.look(look).await?;
    if let Some(parent) = live {
        return Ok(parent);
    }
    let reached = context.follower.reach(seq).await;
    let records = context.follower.read(move |history| history.tasks(&[task])).await?;
    match records.into_iter().flatten().next() {
        Some(record) => Ok(record.task.parent),
        None if reached => Ok(None),
        None => Err(behind()),
    }
}

fn missing(task: TaskId) -> Problem {
    Problem::new(Code::NotFound, format!("there is no task {task}"))
}
