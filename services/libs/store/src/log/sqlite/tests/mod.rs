//! What is SQLite's own; the rest is in the suite that every log passes.

mod copy;
mod damage;
mod full;
mod made;

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::{OpenError, Options, SqliteLog, open};
use crate::conformance::{self, LogPlace};
use crate::log::EventLog;
use crate::log::trial::crash::{self, Writing};
use crate::log::trial::generated::{self, Subject};
use crate::log::trial::scratch;
use crate::state_dir::StateDir;

/// A reserve that does not fill the disk of whoever runs the tests.
const OPTIONS: Options = Options { reserve_bytes: 1 << 20, free_floor_bytes: 0 };

struct TempPlace {
    dir: Arc<StateDir>,
    _temp: tempfile::TempDir,
}

impl TempPlace {
    fn new() -> Self {
        let temp = scratch();
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

/// Opens the log in a directory.
fn open_in(dir: &Path, options: &Options) -> Result<SqliteLog, OpenError> {
    open(&Arc::new(StateDir::lock(dir).unwrap()), options)
}

impl Subject for SqliteLog {
    fn leave(&self) {
        Self::leave(self);
    }

    fn move_pages(&self) {
        Self::move_pages(self);
    }
}

proptest! {
    #![proptest_config(generated::config(24))]

    #[test]
    fn a_log_holds_what_was_acknowledged_whatever_happens_to_it(steps in generated::steps()) {
        let temp = scratch();
        let dir = Arc::new(StateDir::lock(temp.path()).unwrap());
        generated::live(steps, || open(&dir, &OPTIONS).unwrap());
    }
}

/// Set for the child: where it writes.
const DIRECTORY: &str = "CONDUCTOR_TEST_CRASH_DIRECTORY";

/// What the killed process runs. Not a test by itself.
#[test]
fn the_child_that_is_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    crash::write_until_killed(|| Box::new(open_in(Path::new(&dir), &OPTIONS).unwrap()));
}

#[test]
fn what_was_acknowledged_is_there_after_a_kill() {
    let temp = tempfile::tempdir().unwrap();
    let child = Writing {
        test: "log::sqlite::tests::the_child_that_is_killed",
        environment: &[(DIRECTORY, temp.path().as_os_str())],
    };
    crash::kill_and_check(&child, || Box::new(open_in(temp.path(), &OPTIONS).unwrap()));
}
