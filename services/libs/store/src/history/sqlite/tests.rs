//! What is SQLite's own; the rest is in the suite that every History passes.

mod audit;

use std::sync::Arc;

use super::open;
use crate::conformance::{self, HistoryPlace};
use crate::database::OpenError;
use crate::history::{History, Query};
use crate::log::{LogId, Stretch};
use crate::state_dir::StateDir;

pub(super) struct TempPlace {
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

#[test]
fn a_history_that_is_not_what_was_written_is_refused_with_its_name() {
    let place = TempPlace::new();
    let (events, kept) = conformance::lives(50, 1);
    let history = open(&place.dir).unwrap();
    history.apply(LogId(1), &Stretch { first: conductor_core::Seq(1), events }, &kept).unwrap();
    history.close();
    drop(history);
    let path = place.dir.path().join(super::FILE);
    let mark = place.dir.path().join("history.db-mark");
    for path in [&path, &mark] {
        let good = std::fs::read(path).unwrap();
        for at in (0..good.len()).step_by(good.len() / 40) {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            std::fs::write(path, bad).unwrap();
            let line = open(&place.dir).unwrap_err().to_string();
            assert!(line.contains(path.to_str().unwrap()), "byte {at}: {line}");
        }
        std::fs::write(path, &good[..good.len() / 2]).unwrap();
        assert!(open(&place.dir).is_err(), "{} was cut", path.display());
        std::fs::remove_file(path).unwrap();
        assert!(matches!(open(&place.dir), Err(OpenError::Missing { .. })), "{} is gone", path.display());
        std::fs::write(path, good).unwrap();
    }
    assert_eq!(open(&place.dir).unwrap().list(&Query::default()).unwrap().tasks.len(), 50);
}
