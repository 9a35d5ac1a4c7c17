//! What is kept for how long, and the deletion of what is not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_core::{Command, TaskId, Wall};
use conductor_protocol::Problem;
use conductor_protocol::control::GcView;
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::PayloadKey;

use crate::engine::{self, Handle};
use crate::follower::Follower;

/// How often retention is looked at.
const EVERY: Duration = Duration::from_secs(600);
/// Tasks deleted together.
const TOGETHER: usize = 500;

/// What is kept for how long.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    pub(crate) workspace: PathBuf,
    /// How long work folders stay after the end of their task.
    pub(crate) work_ms: u64,
    /// How long records and run folders stay after the end of their task.
    pub(crate) runs_ms: u64,
}

impl Retention {
    /// Deletes the folders of tasks.
    pub(crate) async fn delete_runs(&self, tasks: &[TaskId]) {
        for task in tasks {
            let id = task.to_string();
            for folder in [self.workspace.join("tasks").join(&id), self.workspace.join("private").join(&id)] {
                remove(folder).await;
            }
        }
    }
}

/// Sweeps now and then until the end.
pub(crate) async fn run(
    retention: Retention,
    engine: Handle,
    follower: Follower,
    clock: Clock,
    shutdown: Shutdown,
) {
    loop {
        tokio::select! {
            () = shutdown.draining() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        match sweep(&retention, &engine, &follower, &clock, false).await {
            Ok(swept) if swept.runs + swept.work_folders > 0 => {
                tracing::info!(
                    runs = swept.runs,
                    work_folders = swept.work_folders,
                    "retention deleted old runs"
                );
            }
            Ok(_) => {}
            Err(problem) => tracing::warn!(%problem, "retention could not sweep"),
        }
    }
}

/// Deletes what is older than it may be, or only counts it.
pub(crate) async fn sweep(
    retention: &Retention,
    engine: &Handle,
    follower: &Follower,
    clock: &Clock,
    dry_run: bool,
) -> Result<GcView, Problem> {
    let now = engine::now(clock).wall;
    let before = |ms: u64| Wall(now.0.saturating_sub(i64::try_from(ms).unwrap_or(i64::MAX)));
    let seq = *engine.durable().borrow();
    follower.reach(seq).await;
    let mut view = GcView { runs: 0, work_folders: 0, dry_run };
    loop {
        let cutoff = before(retention.runs_ms);
        let limit = if dry_run { usize::MAX } else { TOGETHER };
        let ended = follower.read(move |history| history.ended_before(cutoff, limit)).await?;
        view.runs += ended.len() as u64;
        if ended.is_empty() || dry_run {
            break;
        }
        let deleted = ended.iter().copied().map(PayloadKey::from).collect();
        let command = Command::Delete { tasks: ended.into(), by: None };
        let applied = engine.change(command, Vec::new(), deleted).await?;
        follower.reach(applied.seq).await;
    }
    let cutoff = before(retention.work_ms);
    let ended = follower.read(move |history| history.ended_before(cutoff, usize::MAX)).await?;
    for task in ended {
        let folder = retention.workspace.join("tasks").join(task.to_string()).join("work");
        if exists(&folder).await {
            view.work_folders += 1;
            if !dry_run {
                remove(folder).await;
            }
        }
    }
    Ok(view)
}

async fn exists(folder: &Path) -> bool {
    tokio::fs::symlink_metadata(folder).await.is_ok()
}

/// Removes a folder with all in it; links in it are removed, not followed.
async fn remove(folder: PathBuf) {
    match tokio::fs::remove_dir_all(&folder).await {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(folder = %folder.display(), %error, "failed to delete a folder"),
    }
}
