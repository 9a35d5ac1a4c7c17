//! The room on the agent's own disks: with less than there must be it asks for nothing more, and says so.

use std::path::Path;
use std::time::Duration;

use conductor_runtime::volume;
use tokio::time::Instant;

use super::settings::Settings;
use super::state::Worker;

/// How often it is looked at.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// Whether there is room, and when to look next.
#[derive(Debug)]
pub(super) struct Room {
    is_lacking: bool,
    next_look: Instant,
}

impl Room {
    pub fn new(settings: &Settings) -> Self {
        Self { is_lacking: is_lacking(settings), next_look: Instant::now() + LOOK_PAUSE }
    }

    /// Whether a disk has less free space than it must.
    pub fn is_lacking(&self) -> bool {
        self.is_lacking
    }
}

/// Looks at the disk of the run folders and at that of the results that wait for the orchestrator.
fn is_lacking(settings: &Settings) -> bool {
    // One that cannot be asked is not taken for a full one.
    let free = |folder: &Path| volume::space(folder).ok().map(|space| space.free_bytes);
    let folders = [&settings.workspace, &settings.agents];
    folders.into_iter().filter_map(|folder| free(folder)).any(|bytes| bytes < settings.free_floor_bytes)
}

impl Worker {
    /// When the room is looked at next.
    pub(super) fn next_room(&self) -> Option<Instant> {
        self.link.is_open().then_some(self.room.next_look)
    }

    /// Looks at the room, and tells the orchestrator when it came or went.
    pub(super) fn look_at_room(&mut self, now: Instant) {
        if self.next_room().is_none_or(|at| at > now) {
            return;
        }
        let was_lacking = self.room.is_lacking;
        self.room = Room::new(&self.settings);
        let is_lacking = self.room.is_lacking;
        if is_lacking == was_lacking {
            return;
        }
        if is_lacking {
            let floor_bytes = self.settings.free_floor_bytes;
            tracing::error!(
                floor_bytes,
                "a disk of this agent is below its floor of free space; it takes nothing more"
            );
        } else {
            tracing::info!("the disks of this agent have room again");
        }
        self.messages.disk_full(is_lacking);
    }
}
