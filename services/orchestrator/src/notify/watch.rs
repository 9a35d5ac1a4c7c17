//! What the machine does not tell of by itself: tasks that nothing can run, and a disk that is full.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::{Command, Notice, TaskId, Unserved, Volume, Wall};
use conductor_runtime::lifecycle::Shutdown;

use crate::control;

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A task that nothing can run is told of when it has waited this long; agents come and go.
const PATIENCE_MS: i64 = 60_000;
/// Kinds of tasks that nothing can run, looked at together.
const MAX_UNSERVED: usize = 1_000;

/// Looks until the end. What was told of is told of again when it was well in between.
pub(crate) async fn watch(context: Arc<control::Context>, shutdown: Shutdown) {
    let mut told: HashMap<TaskId, Wall> = HashMap::new();
    let mut was_low = false;
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let lacking = context.engine.gate().lacking();
        if let Some(volume) = lacking.filter(|_| !was_low) {
            let folder = match volume {
                Volume::State => &context.state_dir,
                Volume::Workspace => &context.workspace,
            };
            let free = conductor_runtime::volume::space(folder).map_or(0, |space| space.free_bytes);
            let detail = format!("{free} bytes are free on the {volume} volume.");
            notify(&context, Notice::DiskFloor, None, detail).await;
        }
        was_low = lacking.is_some();
        let looked = context.engine.look(|machine, now| {
            let asked = machine.policy().notify.iter().any(|rule| rule.on.contains(&Notice::Unservable));
            let found = if asked { machine.unserved(MAX_UNSERVED) } else { Vec::new() };
            let long = |unserved: &Unserved| now.wall.0 - unserved.since.0 >= PATIENCE_MS;
            found.into_iter().filter(long).collect::<Vec<_>>()
        });
        let Ok(unserved) = looked.await else { return };
        told.retain(|task, since| unserved.iter().any(|now| (now.task, now.since) == (*task, *since)));
        for one in unserved {
            if told.insert(one.task, one.since).is_none() {
                notify(&context, Notice::Unservable, Some(one.task), one.why).await;
            }
        }
    }
}

async fn notify(context: &control::Context, notice: Notice, task: Option<TaskId>, detail: String) {
    let command = Command::Notify { notice, task, detail: detail.into() };
    if let Err(problem) = context.engine.command(command).await {
        tracing::warn!(%problem, "a notice could not be given");
    }
}
