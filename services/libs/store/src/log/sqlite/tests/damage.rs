//! Files that are not what was written: refused by name, or harmless and proven so.

use std::path::{Path, PathBuf};

use conductor_core::Seq;

use super::{OPTIONS, open_in};
use crate::database::tests_only::forget_file;
use crate::log::EventLog;
use crate::log::sqlite::{FILE, OpenError};
use crate::log::trial::{append_durably, everything, scratch, write_snapshot};

/// Tasks whose payloads are compared.
const TASKS: u64 = 60;

/// A state directory as a process left it.
struct Left {
    files: Vec<(String, Vec<u8>)>,
    told: Vec<String>,
    scratch: tempfile::TempDir,
}

impl Left {
    /// The files of a log with a snapshot, a tail and payloads, closed or in use.
    fn by(closed: bool) -> Self {
        let temp = scratch();
        let log = open_in(temp.path(), &OPTIONS).unwrap();
        for _ in 0..10 {
            append_durably(&log, 3, 200);
        }
        write_snapshot(&log, Seq(20), 50).unwrap();
        log.trim(Seq(10)).unwrap();
        // Some pages lie in the file and some in the write-ahead log, as after a while.
        log.move_pages();
        for _ in 0..10 {
            append_durably(&log, 3, 200);
        }
        let told = everything(&log, TASKS).unwrap();
        if closed {
            log.close();
        }
        let files = std::fs::read_dir(temp.path())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
            })
            .filter(|(name, _)| name.starts_with(FILE))
            .collect();
        Self { files, told, scratch: scratch() }
    }

    fn file(&self, name: &str) -> &[u8] {
        &self.files.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name} is there")).1
    }

    /// A directory with the same files, but for one: other bytes, or none at all.
    fn but(&self, name: &str, bytes: Option<&[u8]>) -> PathBuf {
        let dir = self.scratch.path().join("state");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).unwrap();
        for (found, good) in &self.files {
            let written = if found == name { bytes } else { Some(good.as_slice()) };
            if let Some(bytes) = written {
                std::fs::write(dir.join(found), bytes).unwrap();
            }
        }
        dir
    }

    /// Flips one bit each in many places of a file.
    fn flips(&self, name: &str) -> impl Iterator<Item = (usize, Vec<u8>)> {
        let good = self.file(name).to_vec();
        let step = (good.len() / 150).max(1);
        (0..good.len()).step_by(step).map(move |at| {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at / step % 8);
            (at, bad)
        })
    }
}

/// What a start makes of a directory: everything that is there, or the refusal.
fn start(dir: &Path) -> Result<Vec<String>, String> {
    let log = open_in(dir, &OPTIONS).map_err(|error| error.to_string())?;
    everything(&log, TASKS).map_err(|error| error.to_string())
}

#[track_caller]
fn assert_refused(dir: &Path, name: &str, how: &str) {
    match start(dir) {
        Ok(_) => panic!("{name} {how} and nobody noticed"),
        Err(line) => {
            assert!(line.contains(name), "{name} {how}: {line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}

#[test]
fn what_was_left_whole_is_loaded() {
    for closed in [true, false] {
        let left = Left::by(closed);
        assert!(start(&left.but("", None)).unwrap() == left.told);
    }
}

#[test]
fn a_bit_that_flipped_in_any_file_is_refused_with_the_files_name() {
    for closed in [true, false] {
        let left = Left::by(closed);
        for name in [FILE, "events.db-mark", "events.db-wal"] {
            for (at, bad) in left.flips(name) {
                assert_refused(&left.but(name, Some(&bad)), name, &format!("had a flipped bit in byte {at}"));
            }
        }
    }
}

#[test]
fn a_file_that_was_cut_is_refused_with_its_name() {
    for closed in [true, false] {
        let left = Left::by(closed);
        for name in [FILE, "events.db-mark", "events.db-wal"] {
            let good = left.file(name);
            for length in [0, 1, 31, 32, 100, 4096, good.len() / 2, good.len().saturating_sub(1)] {
                if length < good.len() {
                    let how = format!("was cut to {length} of {} bytes", good.len());
                    assert_refused(&left.but(name, Some(&good[..length])), name, &how);
                }
            }
        }
    }
}

#[test]
fn a_file_that_is_missing_is_refused_with_its_name() {
    for closed in [true, false] {
        let left = Left::by(closed);
        assert_refused(&left.but(FILE, None), FILE, "was removed");
        assert_refused(&left.but("events.db-mark", None), "events.db-mark", "was removed");
        if !closed {
            assert_refused(&left.but("events.db-wal", None), "events.db-wal", "was removed");
        }
    }
}

#[test]
fn a_history_without_its_log_is_not_started_empty() {
    let temp = scratch();
    std::fs::write(temp.path().join("history.db"), "something").unwrap();
    let refused = open_in(temp.path(), &OPTIONS).unwrap_err();
    assert!(matches!(refused, OpenError::Missing { .. }), "{refused}");
    assert!(!temp.path().join(FILE).exists());
}

#[test]
fn what_was_never_acknowledged_may_be_torn() {
    let left = Left::by(false);
    let good = left.file("events.db-wal");
    // The beginning of a frame, and a whole frame that does not check: a process was killed while it wrote.
    for torn in [vec![7; 20], vec![7; 5_000], good[32..32 + 4096 + 24].to_vec()] {
        let bytes = [good, torn.as_slice()].concat();
        assert!(start(&left.but("events.db-wal", Some(&bytes))).unwrap() == left.told);
    }
}

#[test]
fn the_index_of_the_write_ahead_log_is_made_anew() {
    let left = Left::by(false);
    for bad in [Vec::new(), vec![0xff; 32_768]] {
        assert!(start(&left.but("events.db-shm", Some(&bad))).unwrap() == left.told);
    }
}

#[test]
fn without_a_digest_a_flipped_bit_is_refused_or_changes_nothing() {
    let left = Left::by(true);
    let (mut refused, mut harmless) = (0, 0);
    for (at, bad) in left.flips(FILE) {
        let dir = left.but(FILE, Some(&bad));
        forget_file(&dir.join(FILE));
        match start(&dir) {
            Err(line) => {
                assert!(line.contains(FILE), "byte {at}: {line}");
                refused += 1;
            }
            Ok(told) => {
                assert!(told == left.told, "byte {at} changed something and nobody noticed");
                harmless += 1;
            }
        }
    }
    assert!(refused > 50, "{refused} were refused and {harmless} were harmless");
}

#[test]
fn a_newer_format_is_refused_with_both_versions() {
    let left = Left::by(true);
    let dir = left.but("", None);
    forget_file(&dir.join(FILE));
    let connection = rusqlite::Connection::open(dir.join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    let line = start(&dir).unwrap_err();
    assert!(line.contains(FILE) && line.contains("has format 2") && line.contains("up to 1"), "{line}");
}

#[test]
fn another_database_under_the_name_is_refused() {
    let temp = scratch();
    let connection = rusqlite::Connection::open(temp.path().join(FILE)).unwrap();
    connection.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(connection);
    let line = start(temp.path()).unwrap_err();
    assert!(line.contains("it is not an event log of Conductor"), "{line}");
}

#[test]
fn a_start_that_died_while_it_made_the_file_is_no_damage() {
    let temp = scratch();
    std::fs::write(temp.path().join("events.new"), "half").unwrap();
    drop(open_in(temp.path(), &OPTIONS).unwrap());
    // The file was made and the mark was not.
    let temp = scratch();
    let log = open_in(temp.path(), &OPTIONS).unwrap();
    log.close();
    drop(log);
    let path = temp.path().join(FILE);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let meta = crate::log::sqlite::schema::read_meta(&connection).unwrap().unwrap();
    let unused = crate::log::sqlite::schema::Meta { fence: 0, ..meta };
    crate::log::sqlite::schema::write_meta(&connection, unused).unwrap();
    drop(connection);
    std::fs::remove_file(temp.path().join("events.db-mark")).unwrap();
    assert_eq!(open_in(temp.path(), &OPTIONS).unwrap().status().last, Seq(0));
}
