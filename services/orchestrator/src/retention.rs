//! What is kept for how long, and the deletion of what is not.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use conductor_core::{Command, TaskId, Wall};
use conductor_protocol::Problem;
use conductor_protocol::control::{GcKind, GcView};
use conductor_runtime::clock::Clock;
use conductor_runtime::lifecycle::Shutdown;
use conductor_store::log::PayloadKey;
use conductor_store::runs::Directory;

use crate::engine::{self, Handle};
use crate::follower::Follower;

/// The tasks whose runs stay whatever their age.
type Pins = BTreeSet<TaskId>;

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
    /// How full the workspace's volume may be; beyond it runs without a work folder go before their time.
    pub(crate) max_volume_percent: u8,
}

impl Retention {
    /// How full the workspace's volume is, when that is too full.
    fn too_full_percent(&self) -> Option<u8> {
        match conductor_runtime::volume::space(&self.workspace) {
            Ok(space) => Some(space.used_percent()).filter(|percent| *percent > self.max_volume_percent),
            Err(error) => {
                tracing::warn!(%error, "cannot tell how full the workspace's volume is");
                None
            }
        }
    }

    /// Deletes the folders of tasks.
    pub(crate) async fn delete_runs(&self, tasks: &[TaskId]) {
        for task in tasks.iter().copied() {
            self.delete(task, Directory::delete).await;
        }
    }

    async fn delete(&self, task: TaskId, delete: fn(&Directory, TaskId) -> std::io::Result<()>) {
        let runs = Directory::new(&self.workspace);
        match tokio::task::spawn_blocking(move || delete(&runs, task)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%task, %error, "failed to delete a folder of a run"),
            Err(_) => tracing::error!(%task, "the deletion of a run's folder panicked"),
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

/// Deletes what is older than it may be, or only says what would go and why.
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
    let pins = engine.look(|machine, _| machine.state().pins().clone()).await?;
    follower.reach(seq).await;
    let mut view = GcView { dry_run, ..GcView::default() };
    // What is newer than that still has its work folder, and is never taken for want of space.
    let (runs, early, work) =
        (before(retention.runs_ms), before(retention.work_ms), before(retention.work_ms));
    if dry_run {
        let due = due(&pins, follower, runs, usize::MAX).await?;
        view.pinned = due.kept;
        view.tell(&due.tasks, GcKind::Run, "it ended longer ago than retention.runs_days");
        view.runs = due.tasks.len() as u64;
        if let Some(percent) = retention.too_full_percent() {
            let known: HashSet<TaskId> = due.tasks.into_iter().collect();
            let mut next = self::due(&pins, follower, early, known.len() + TOGETHER).await?.tasks;
            next.retain(|task| !known.contains(task));
            let most = retention.max_volume_percent;
            let why = format!(
                "the workspace's volume is {percent} % full, retention.max_volume_percent is {most}: the oldest go until it is not"
            );
            view.tell(&next, GcKind::RunUntilRoom, &why);
        }
    } else {
        while let deleted @ 1.. = delete_ended(retention, engine, follower, runs).await? {
            view.runs += deleted;
        }
        while retention.too_full_percent().is_some()
            && let deleted @ 1.. = delete_ended(retention, engine, follower, early).await?
        {
            tracing::warn!(
                runs = deleted,
                "runs were deleted before their time: the workspace's volume is too full"
            );
            view.runs += deleted;
        }
        // Nothing else is left that is as old.
        view.pinned = due(&pins, follower, runs, 1).await?.kept;
    }
    sweep_work(retention, &pins, follower, (work, runs), &mut view).await?;
    Ok(view)
}

/// Tasks that ended before an instant, and how many of them are pinned and stay.
struct Due {
    tasks: Vec<TaskId>,
    kept: u64,
}

/// At most so many tasks that ended before an instant and may go, those first that ended first.
async fn due(pins: &Pins, follower: &Follower, cutoff: Wall, most: usize) -> Result<Due, Problem> {
    let asked = most.saturating_add(pins.len());
    let mut tasks = follower.read(move |history| history.ended_before(cutoff, asked)).await?;
    let all = tasks.len();
    tasks.retain(|task| !pins.contains(task));
    let kept = (all - tasks.len()) as u64;
    tasks.truncate(most);
    Ok(Due { tasks, kept })
}

/// Deletes some tasks that ended before an instant, those first that ended first; answers how many.
async fn delete_ended(
    retention: &Retention,
    engine: &Handle,
    follower: &Follower,
    cutoff: Wall,
) -> Result<u64, Problem> {
    // One that is pinned since is refused, and so are those with it until the next sweep.
    let pins = engine.look(|machine, _| machine.state().pins().clone()).await?;
    let ended = due(&pins, follower, cutoff, TOGETHER).await?.tasks;
    if ended.is_empty() {
        return Ok(0);
    }
    let deleted = ended.iter().copied().map(PayloadKey::from).collect();
    let command = Command::Delete { tasks: ended.clone().into(), by: None };
    let applied = engine.change(command, Vec::new(), deleted).await?;
    // The folders go by the event too; here they are gone before the volume is looked at again.
    retention.delete_runs(&ended).await;
    follower.reach(applied.seq).await;
    Ok(ended.len() as u64)
}

/// Deletes, or tells, the work folders of tasks that ended before an instant; those that ended before the second go whole.
async fn sweep_work(
    retention: &Retention,
    pins: &Pins,
    follower: &Follower,
    (cutoff, whole): (Wall, Wall),
    view: &mut GcView,
) -> Result<(), Problem> {
    let tasks = retention.workspace.join("tasks");
    let with_work = tokio::task::spawn_blocking(move || with_work(&tasks)).await.unwrap_or_default();
    for together in with_work.chunks(TOGETHER) {
        let ids = together.to_vec();
        let records = follower.read(move |history| history.tasks(&ids)).await?;
        let old = |at: Option<Wall>| at.is_some_and(|at| at < cutoff && at >= whole);
        for record in records.into_iter().flatten().filter(|record| old(record.finished_at)) {
            let task = record.task.id;
            if pins.contains(&task) {
                view.pinned += 1;
                continue;
            }
            view.work_folders += 1;
            if view.dry_run {
                view.tell(&[task], GcKind::WorkFolder, "it ended longer ago than retention.work_hours");
            } else {
                retention.delete(task, Directory::delete_work).await;
            }
        }
    }
    Ok(())
}

/// The tasks that have a work folder.
fn with_work(tasks: &Path) -> Vec<TaskId> {
    let Ok(entries) = std::fs::read_dir(tasks) else { return Vec::new() };
    entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let task = entry.file_name().to_str()?.parse().ok()?;
            entry.path().join("work").symlink_metadata().is_ok().then_some(task)
        })
        .collect()
}
