//! Looking at the room on the volumes of the state and the workspace.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use conductor_core::Volume;
use conductor_runtime::lifecycle::Shutdown;
use conductor_runtime::volume;
use conductor_store::log::EventLog;

use crate::gate::Gate;

/// How often the free space is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What is looked at.
#[derive(Debug, Clone)]
pub(crate) struct Space {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) workspace: PathBuf,
    /// How many bytes have to be free on each volume.
    pub(crate) floor_bytes: u64,
}

impl Space {
    /// Looks once and tells the gate.
    pub(crate) fn look(&self, gate: &Gate) {
        // A volume that cannot be asked is not taken for a full one.
        let workspace = volume::space(&self.workspace).map(|space| space.free_bytes).ok();
        match self.log.space() {
            Ok(space) => {
                gate.floor(lacking(space.free_bytes, space.reserve_held, workspace, self.floor_bytes));
                gate.reach(space.is_reachable);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot tell the free space");
            }
        }
    }

    /// Keeps the gate told until the end, and then has it let nothing in.
    pub(crate) async fn watch(self, gate: Arc<Gate>, shutdown: Shutdown) {
        loop {
            let (space, told) = (self.clone(), gate.clone());
            if tokio::task::spawn_blocking(move || space.look(&told)).await.is_err() {
                tracing::error!("the look at the free space panicked");
            }
            tokio::select! {
                () = shutdown.draining() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        gate.drain(true);
    }
}

/// The volume that has less free space than it must. Where that is both, the state is named: without room for it nothing goes on.
fn lacking(
    state_bytes: Option<u64>,
    reserve_held: bool,
    workspace_bytes: Option<u64>,
    floor_bytes: u64,
) -> Option<Volume> {
    let is_below = |free: Option<u64>| free.is_some_and(|free| free < floor_bytes);
    if is_below(state_bytes) || !reserve_held {
        Some(Volume::State)
    } else {
        is_below(workspace_bytes).then_some(Volume::Workspace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_volume_below_its_floor_is_named_and_the_state_before_the_workspace() {
        let floor = 100;
        assert_eq!(lacking(Some(100), true, Some(100), floor), None);
        assert_eq!(lacking(Some(100), true, Some(99), floor), Some(Volume::Workspace));
        assert_eq!(lacking(Some(99), true, Some(99), floor), Some(Volume::State));
        assert_eq!(lacking(Some(100), false, Some(100), floor), Some(Volume::State));
        assert_eq!(lacking(None, true, None, floor), None, "nobody can tell");
    }
}
