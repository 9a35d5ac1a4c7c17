//! Full disks, on a small file system that only root can mount.

use std::path::Path;
use std::process::Command;

use conductor_core::Seq;

use super::open_in;
use crate::history::{self, History};
use crate::log::sqlite::Options;
use crate::log::trial::{append, append_durably, batch, everything, write_snapshot};
use crate::log::{Appended, EventLog, Payloads, Read, SnapshotError};
use crate::state_dir::StateDir;

const OPTIONS: Options = Options { reserve_bytes: 6 << 20, free_floor_bytes: 1 << 20 };

/// A file system in memory, gone at the end.
struct Small(tempfile::TempDir);

impl Small {
    /// Mounts one of so many MiB, or says why the test is skipped.
    fn of(mib: u32) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(dir)),
            _ => {
                eprintln!("skipped: mounting a small tmpfs needs root");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves nothing free.
    fn fill(&self) {
        use std::io::Write;
        let mut file =
            std::fs::File::options().create(true).append(true).open(self.path().join("filler")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.path().display());
    }
}

#[test]
fn a_full_disk_still_takes_what_the_reserve_has_room_for() {
    let Some(disk) = Small::of(24) else { return };
    let log = open_in(disk.path(), &OPTIONS).unwrap();
    append_durably(&log, 3, 100);
    assert!(log.space().unwrap().reserve_held);
    disk.fill();
    for _ in 0..20 {
        append_durably(&log, 1, 10_000);
    }
    let space = log.space().unwrap();
    assert!(!space.reserve_held, "{space:?}");
    write_snapshot(&log, Seq(3), 100).unwrap();
    // It is not taken from what is needed now.
    assert!(!log.space().unwrap().reserve_held);
    disk.free();
    assert!(log.space().unwrap().reserve_held);
    append_durably(&log, 1, 100);
}

#[test]
fn without_any_room_nothing_is_applied_and_the_same_batch_may_come_again() {
    let Some(disk) = Small::of(24) else { return };
    let log = open_in(disk.path(), &OPTIONS).unwrap();
    append_durably(&log, 3, 100);
    disk.fill();
    let refused = loop {
        let next = batch(&log, 1, 200_000);
        match append(&log, next.clone()) {
            Appended::Durable => {}
            Appended::NoSpace => break next,
            other => panic!("{other:?}"),
        }
    };
    let last = log.status().last;
    assert_eq!(last, refused.expected_seq);
    let mut behind = batch(&log, 1, 10);
    behind.expected_seq = refused.last_seq();
    assert!(
        matches!(append(&log, behind.clone()), Appended::NoSpace),
        "what builds on it has no room either"
    );
    assert!(matches!(log.read_after(Seq(0), 10).unwrap(), Read::Events(_)), "reads go on");
    let told = everything(&log, last.0 + 1).unwrap();
    assert_eq!(log.payloads(&[refused.payloads[0].key]).unwrap(), [None]);
    disk.free();
    assert!(matches!(append(&log, refused.clone()), Appended::Durable));
    assert!(matches!(append(&log, behind), Appended::Durable));
    assert_eq!(log.status().last, Seq(last.0 + 2));
    assert!(everything(&log, last.0 + 1).unwrap() != told);
    assert!(log.space().unwrap().reserve_held);
    log.close();
    drop(log);
    assert_eq!(open_in(disk.path(), &OPTIONS).unwrap().status().last, Seq(last.0 + 2));
}

#[test]
fn a_start_on_a_full_disk_serves_what_is_there() {
    for closed in [true, false] {
        let Some(disk) = Small::of(24) else { return };
        let log = open_in(disk.path(), &OPTIONS).unwrap();
        append_durably(&log, 30, 1_000);
        let told = everything(&log, 30).unwrap();
        disk.fill();
        append_durably(&log, 1, 30_000);
        if closed {
            log.close();
        } else {
            log.leave();
        }
        drop(log);
        disk.fill();
        for _ in 0..2 {
            let log = open_in(disk.path(), &OPTIONS).unwrap();
            assert!(everything(&log, 30).unwrap()[1..31] == told[1..31]);
            assert!(!log.space().unwrap().reserve_held, "it says that the disk is full");
            append_durably(&log, 1, 100);
            log.close();
            drop(log);
            disk.fill();
        }
        disk.free();
        let log = open_in(disk.path(), &OPTIONS).unwrap();
        assert!(log.space().unwrap().reserve_held);
        append_durably(&log, 1, 100);
    }
}

#[test]
fn a_snapshot_that_finds_no_room_leaves_the_older_one() {
    let Some(disk) = Small::of(24) else { return };
    let log = open_in(disk.path(), &OPTIONS).unwrap();
    append_durably(&log, 30, 100);
    write_snapshot(&log, Seq(10), 100).unwrap();
    disk.fill();
    let refused = write_snapshot(&log, Seq(20), 300_000);
    assert!(matches!(refused, Err(SnapshotError::NoSpace)), "{refused:?}");
    assert_eq!(log.status().snapshot, Some(Seq(10)));
    everything(&log, 30).unwrap();
    disk.free();
    write_snapshot(&log, Seq(20), 100).unwrap();
    assert_eq!(log.status().snapshot, Some(Seq(20)));
}

#[test]
fn a_history_without_room_goes_on_where_it_was() {
    let Some(disk) = Small::of(8) else { return };
    let dir = std::sync::Arc::new(StateDir::lock(disk.path()).unwrap());
    let history = history::sqlite::open(&dir).unwrap();
    let (events, kept) = crate::conformance::lives(3_000, 1);
    let log = crate::log::LogId(1);
    disk.fill();
    let stretch = crate::log::Stretch { first: Seq(1), events };
    let refused = history.apply(log, &stretch, &kept);
    assert!(matches!(refused, Err(history::Error::NoSpace { .. })), "{refused:?}");
    assert_eq!(history.applied(), Seq(0));
    assert_eq!(history.list(&history::Query::default()).unwrap().tasks.len(), 0);
    disk.free();
    let few = crate::log::Stretch { first: Seq(1), events: stretch.events[..1_000].to_vec() };
    assert_eq!(history.apply(log, &few, &kept).unwrap(), Seq(1_000));
    assert_eq!(history.sync().unwrap(), Seq(1_000));
}
