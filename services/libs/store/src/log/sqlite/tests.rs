//! What is SQLite's own; the rest is in the suite that every log passes.

use std::sync::Arc;

use super::{Options, open};
use crate::conformance::{self, LogPlace};
use crate::log::EventLog;
use crate::state_dir::StateDir;

/// A reserve that does not fill the disk of whoever runs the tests.
const OPTIONS: Options = Options { reserve_bytes: 1 << 20, free_floor_bytes: 0 };

struct TempPlace {
    dir: Arc<StateDir>,
    _temp: tempfile::TempDir,
}

impl TempPlace {
    fn new() -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self { dir: Arc::new(StateDir::lock(temp.path()).unwrap()), _temp: temp }
    }
}

impl LogPlace for TempPlace {
    fn open(&self) -> Arc<dyn EventLog> {
        Arc::new(open(&self.dir, &OPTIONS).unwrap())
    }
}

#[test]
fn the_log_in_a_file_does_what_every_log_does() {
    conformance::event_log(TempPlace::new);
}
