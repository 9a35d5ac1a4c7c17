//! Copies: taken while the log is written, and started from elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use conductor_core::Seq;

use super::{OPTIONS, open_in};
use crate::copy;
use crate::log::trial::{append_durably, everything, scratch, write_snapshot};
use crate::log::{EventLog, LogId, sqlite::FILE};

/// Tasks whose payloads are compared.
const TASKS: u64 = 60;

#[test]
fn a_copy_that_is_taken_while_the_log_is_written_holds_all_that_was_acknowledged_before() {
    let (temp, into, elsewhere) = (scratch(), scratch(), scratch());
    let log = Arc::new(open_in(temp.path(), &OPTIONS).unwrap());
    append_durably(&*log, 3, 200);
    let (stop, acknowledged) = (AtomicBool::new(false), AtomicU64::new(log.status().last.0));
    let copied = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                append_durably(&*log, 3, 200);
                acknowledged.store(log.status().last.0, Ordering::Release);
            }
        });
        let mut copied = None;
        for _ in 0..5 {
            let before = acknowledged.load(Ordering::Acquire);
            let taken = copy::take(temp.path(), into.path()).unwrap();
            assert!(taken.last >= Seq(before), "it ends with {}, and {before} was acknowledged", taken.last);
            copied = Some(taken);
        }
        stop.store(true, Ordering::Relaxed);
        copied.unwrap()
    });
    copy::adopt(into.path(), LogId(7)).unwrap();
    copy::move_into(into.path(), elsewhere.path()).unwrap();
    let again = open_in(elsewhere.path(), &OPTIONS).unwrap();
    let status = again.status();
    assert_eq!((status.log, status.last), (LogId(7), copied.last));
    append_durably(&again, 3, 200);
    assert_ne!(log.status().log, status.log);
}

#[test]
fn a_copy_says_what_the_log_says_and_damage_in_it_is_refused_by_name() {
    let (temp, into) = (scratch(), scratch());
    let log = open_in(temp.path(), &OPTIONS).unwrap();
    for _ in 0..10 {
        append_durably(&log, 3, 200);
    }
    write_snapshot(&log, Seq(20), 50).unwrap();
    log.trim(Seq(10)).unwrap();
    let told = everything(&log, TASKS).unwrap();
    let copied = copy::take(temp.path(), into.path()).unwrap();
    let good = std::fs::read(into.path().join(FILE)).unwrap();
    // The end of a page is where a row's bytes are, not what a tree leaves free.
    for at in (4_090..good.len()).step_by(4_096) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        std::fs::write(into.path().join(FILE), &bad).unwrap();
        let refused = copy::check(into.path()).expect_err(&format!("byte {at} was flipped")).to_string();
        assert!(refused.contains(FILE), "{refused}");
    }
    std::fs::write(into.path().join(FILE), &good).unwrap();
    assert_eq!(copy::check(into.path()).unwrap(), copied);
    let elsewhere = scratch();
    copy::adopt(into.path(), LogId(8)).unwrap();
    copy::move_into(into.path(), elsewhere.path()).unwrap();
    let again = open_in(elsewhere.path(), &OPTIONS).unwrap();
    assert_eq!(everything(&again, TASKS).unwrap(), told);
}
