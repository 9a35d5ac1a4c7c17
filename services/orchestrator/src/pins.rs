//! Runs that retention keeps: one empty file each in the state folder, which no task reaches.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use conductor_core::TaskId;

/// The folder within the state folder.
const FOLDER: &str = "pins";
/// The most runs that can be pinned.
pub(crate) const MAX_PINS: usize = 10_000;

/// The runs that retention keeps.
#[derive(Debug)]
pub(crate) struct Pins {
    folder: PathBuf,
    pinned: Mutex<HashSet<TaskId>>,
}

/// Why a run could not be pinned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There are as many as there may be.
    #[error("{MAX_PINS} runs are pinned already")]
    Full,
    /// The state folder could not be written.
    #[error("the state folder cannot be written: {0}")]
    Io(#[from] io::Error),
}

impl Pins {
    /// Reads which runs are pinned.
    pub(crate) fn load(state: &Path) -> io::Result<Self> {
        let folder = state.join(FOLDER);
        fs::create_dir_all(&folder)?;
        let mut pinned = HashSet::new();
        for entry in fs::read_dir(&folder)? {
            if let Some(task) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                pinned.insert(task);
            }
        }
        Ok(Self { folder, pinned: Mutex::new(pinned) })
    }

    /// Whether a run is pinned.
    pub(crate) fn is_pinned(&self, task: TaskId) -> bool {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).contains(&task)
    }

    /// How many are.
    pub(crate) fn count(&self) -> usize {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Pins a run, or lets it go; it stays so over a restart when this is back. Blocks.
    pub(crate) fn set(&self, task: TaskId, pinned: bool) -> Result<(), Error> {
        let path = self.folder.join(task.to_string());
        let mut known = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&task) == pinned {
            return Ok(());
        }
        if pinned && known.len() >= MAX_PINS {
            return Err(Error::Full);
        }
        if pinned {
            File::create(&path).map(drop)?
        } else {
            fs::remove_file(&path)?
        }
        File::open(&self.folder)?.sync_all()?;
        if pinned {
            known.insert(task)
        } else {
            known.remove(&task)
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_stays_so_over_a_restart_until_it_is_let_go() {
        let state = tempfile::tempdir().unwrap();
        let pins = Pins::load(state.path()).unwrap();
        pins.set(TaskId(1), true).unwrap();
        pins.set(TaskId(1), true).unwrap();
        pins.set(TaskId(2), true).unwrap();
        let pins = Pins::load(state.path()).unwrap();
        assert_eq!((pins.count(), pins.is_pinned(TaskId(1)), pins.is_pinned(TaskId(3))), (2, true, false));
        pins.set(TaskId(1), false).unwrap();
        pins.set(TaskId(1), false).unwrap();
        let pins = Pins::load(state.path()).unwrap();
        assert_eq!((pins.count(), pins.is_pinned(TaskId(1))), (1, false));
    }
}
