//! What a task uses while it runs.

use std::time::Duration;

use conductor_core::TaskId;
use conductor_protocol::Problem;

use super::super::Context;
use super::super::session::Items;
use super::read;

/// How often is looked. Nothing is written of what a run tells, so nothing wakes a follower.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Tells what a task has used whenever that has changed, until the task is over.
pub(super) async fn follow(context: &Context, task: TaskId, items: Items) -> Result<(), Problem> {
    let over = context.engine.watch(task);
    tokio::pin!(over);
    let mut told = None;
    loop {
        let used = context.engine.look(move |machine, _| machine.used(task)).await?;
        if told != Some(used) {
            items.item(&read::get(context, task).await?.usage).await?;
            told = Some(used);
        }
        tokio::select! {
            over = &mut over => return over.map(drop),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}
