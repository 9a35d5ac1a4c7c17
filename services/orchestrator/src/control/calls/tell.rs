//! What people tell a task that runs.

use conductor_core::{Command, RequestId, StageImage, Told};
use conductor_protocol::control::{Message, Submitted};
use conductor_protocol::limits::MAX_TOLD_BYTES;
use conductor_protocol::{Code, Problem};

use super::super::Context;
use super::super::caller::Caller;

/// Says something to a task that runs, as its next turn; none where it does not run.
pub(super) async fn tell(
    context: &Context,
    caller: &Caller,
    call: &Message,
) -> Result<Option<Submitted>, Problem> {
    let task = call.id;
    let runner = context
        .engine
        .look(move |machine, _| match machine.state().task(task)?.stage {
            StageImage::Running(run) => Some(run.runner),
            StageImage::Blocked { .. } | StageImage::Scheduled { .. } | StageImage::Queued { .. } => None,
        })
        .await?;
    let Some(runner) = runner else { return Ok(None) };
    if !context.defaults.take_messages.contains(&runner) {
        let detail =
            format!("task {task} is not over, and its runner {runner} takes no message while it runs");
        return Err(Problem::new(Code::Conflict, detail));
    }
    if call.text.len() > MAX_TOLD_BYTES {
        return Err(Problem::at("/text", format!("at most {MAX_TOLD_BYTES} bytes to a task that runs")));
    }
    let id = RequestId(uuid::Uuid::now_v7().as_u128());
    let message = Told { id, text: call.text.as_str().into() };
    match context.engine.command(Command::Tell { task, message, by: caller.actor.clone() }).await {
        Ok(_) => Ok(Some(Submitted { ids: vec![task], repeated: true })),
        // It ended meanwhile.
        Err(problem) if problem.code == Code::NotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}
