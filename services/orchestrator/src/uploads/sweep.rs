//! What becomes of uploads that nobody needs any more.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::TaskId;
use conductor_protocol::Problem;
use conductor_runtime::lifecycle::Shutdown;
use uuid::Uuid;

use super::Uploads;
use crate::engine::Handle;
use crate::follower::Follower;

/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(600);

impl Uploads {
    /// Sweeps now and then until the end.
    pub(crate) async fn run(self: Arc<Self>, engine: Handle, follower: Follower, shutdown: Shutdown) {
        loop {
            match self.sweep(&engine, &follower).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "uploads were removed"),
                Err(problem) => tracing::warn!(%problem, "uploads could not be swept"),
            }
            tokio::select! {
                () = shutdown.draining() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Removes uploads whose time is over and that no task has; answers how many.
    pub(crate) async fn sweep(
        self: &Arc<Self>,
        engine: &Handle,
        follower: &Follower,
    ) -> Result<usize, Problem> {
        let now_ms = self.clock.now().wall_ms;
        let due = self.change(move |disk| {
            let mut due: Vec<(Uuid, Vec<TaskId>)> = Vec::new();
            for id in disk.all()? {
                // What has no record was cut off while it was made.
                if disk.read(id)?.is_none_or(|known| known.expires_at_ms <= now_ms) {
                    due.push((id, disk.takers(id)?));
                }
            }
            Ok(due)
        });
        let due = due.await?;
        if due.is_empty() {
            return Ok(0);
        }
        let takers: Vec<TaskId> = due.iter().flat_map(|(_, takers)| takers.iter().copied()).collect();
        let asked = takers.clone();
        let (live, seq) = engine
            .look(move |machine, _| {
                let state = machine.state();
                let live: HashSet<TaskId> = asked.into_iter().filter(|task| state.contains(*task)).collect();
                (live, state.seq())
            })
            .await?;
        if !follower.reach(seq).await {
            return Ok(0);
        }
        let known = follower.read(move |history| history.tasks(&takers)).await?;
        let kept: HashSet<TaskId> =
            known.into_iter().flatten().map(|record| record.task.id).chain(live).collect();
        self.change(move |disk| {
            let mut removed = 0;
            for (id, takers) in due {
                // Somebody may have taken it since.
                if takers.iter().all(|task| !kept.contains(task)) && disk.takers(id)?.len() == takers.len() {
                    disk.remove(id)?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }
}
