//! Two that would lead.

use std::time::{Duration, Instant};

use super::{OpenError, Place};
use crate::conformance::redis_server::RedisServer;
use crate::log::trial::{append, append_durably, batch, scratch, write_snapshot};
use crate::log::{Appended, EventLog};

use conductor_core::Seq;

/// How long a newcomer tries.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often.
const PAUSE: Duration = Duration::from_millis(20);

#[test]
fn a_newcomer_is_refused_while_the_first_lives_and_told_who_that_is() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let (mut one, mut two) = (Place::called(&server, "{both}"), Place::called(&server, "{both}"));
    for place in [&mut one, &mut two] {
        place.options.lease = Duration::from_millis(400);
    }
    let log = one.log();
    append_durably(&log, 1, 10);
    // Far longer than a lease lasts without being renewed.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1_500) {
        let error = two.try_open().unwrap_err();
        let OpenError::Held { holder, left_ms, .. } = &error else { panic!("{error}") };
        assert!(holder.starts_with(&format!("process {}", std::process::id())), "{holder}");
        assert!(*left_ms <= 400);
        append_durably(&log, 1, 10);
        std::thread::sleep(PAUSE);
    }
    log.close();
    // A log that was closed gives its lease back. The second has no history, but nothing was trimmed.
    let log = two.log();
    assert!(matches!(append(&log, batch(&log, 1, 10)), Appended::Durable));
}

#[test]
fn after_the_death_of_the_first_another_place_waits_for_the_lease_and_the_same_place_does_not() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let (mut one, mut two) = (Place::called(&server, "{death}"), Place::called(&server, "{death}"));
    for place in [&mut one, &mut two] {
        place.options.lease = Duration::from_millis(400);
    }
    let log = one.log();
    append_durably(&log, 1, 10);
    log.leave();
    // Its state directory was locked by the dead one alone, so nobody else leads from there.
    let log = one.log();
    append_durably(&log, 1, 10);
    log.leave();
    let begin = Instant::now();
    let log = loop {
        match two.try_open() {
            Ok(log) => break log,
            Err(OpenError::Held { .. }) if begin.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
            Err(error) => panic!("{error}"),
        }
    };
    append_durably(&log, 1, 10);
    assert_eq!(log.status().last, Seq(3));
}

#[test]
fn who_lost_the_lease_is_fenced_off_whatever_it_believes() {
    let temp = scratch();
    let Some(server) = RedisServer::start(temp.path(), &[]) else { return };
    let (mut one, two) = (Place::called(&server, "{fenced}"), Place::called(&server, "{fenced}"));
    // It does not renew its lease in time, as one that was stopped for a while.
    one.options.lease = Duration::from_millis(1);
    let old = one.log();
    append_durably(&old, 2, 10);
    let begin = Instant::now();
    // It may have been renewed this moment.
    let new = loop {
        match two.try_open() {
            Ok(log) => break log,
            Err(OpenError::Held { .. }) if begin.elapsed() < PATIENCE => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert!(new.fence() > old.fence());
    let late = batch(&old, 1, 10);
    assert!(matches!(append(&old, late.clone()), Appended::Fenced));
    assert!(matches!(append(&old, late), Appended::Fenced));
    assert!(write_snapshot(&old, Seq(1), 1).is_err());
    append_durably(&new, 1, 10);
    assert_eq!(new.status().last, Seq(3));
}
