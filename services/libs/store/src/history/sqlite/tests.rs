//! What is SQLite's own; the rest is in the suite that every History passes.

use std::sync::Arc;

use super::open;
use crate::conformance::{self, HistoryPlace};
use crate::history::History;
use crate::state_dir::StateDir;

struct TempPlace {
    dir: Arc<StateDir>,
    _temp: tempfile::TempDir,
}

impl TempPlace {
    fn new() -> Self {
        let temp = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        Self { dir: Arc::new(StateDir::lock(temp.path()).unwrap()), _temp: temp }
    }
}

impl HistoryPlace for TempPlace {
    fn open(&self) -> Arc<dyn History> {
        Arc::new(open(&self.dir).unwrap())
    }
}

#[test]
fn the_history_in_a_file_does_what_every_history_does() {
    conformance::history(TempPlace::new);
}
