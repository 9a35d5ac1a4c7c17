//! Snapshots, and what is trimmed because of them.

use conductor_core::{Header, Incarnation, Part, Seq, StageImage, Wall};

use super::{Chain, LogPlace, append, assert_durable, assert_tail};
use crate::conformance::samples;
use crate::log::{EventLog, Read, SnapshotError};

fn header(seq: Seq) -> Part {
    Part::Header(Header {
        seq,
        incarnation: Incarnation(1),
        next_lease: 2,
        paused: false,
        queue_clock: Wall(3),
    })
}

fn snapshot_parts(seq: Seq, tasks: u128) -> impl Iterator<Item = Part> {
    let task = |id| Part::Task(Box::new(samples::task_image(id, StageImage::Queued { queued_at: Wall(1) })));
    std::iter::once(header(seq)).chain((0..tasks).map(task))
}

fn write_snapshot(log: &dyn EventLog, seq: Seq, tasks: u128) {
    let mut writer = log.begin_snapshot(seq).expect("a snapshot begins");
    for part in snapshot_parts(seq, tasks) {
        writer.write(part).expect("a part is written");
    }
    writer.commit().expect("a snapshot is committed");
}

#[track_caller]
fn assert_snapshot(log: &dyn EventLog, seq: Seq, tasks: u128) {
    let (found, parts) = log.load().expect("the log loads").snapshot.expect("there is a snapshot");
    assert_eq!(found, seq);
    let parts: Vec<Part> = parts.collect::<Result<_, _>>().expect("the snapshot reads");
    assert!(parts.into_iter().eq(snapshot_parts(seq, tasks)));
}

/// So many tasks that they fill several chunks.
const MANY: u128 = 30_000;

pub(super) fn a_snapshot_counts_once_it_is_committed(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(10)));
    let mut writer = log.begin_snapshot(Seq(5)).expect("a snapshot begins");
    for part in snapshot_parts(Seq(5), MANY) {
        writer.write(part).expect("a part is written");
    }
    assert!(matches!(log.begin_snapshot(Seq(6)).err(), Some(SnapshotError::Busy)));
    assert_durable(&append(&*log, chain.batch(10)));
    assert_eq!(log.status().snapshot, None);
    drop(writer);
    assert_tail(&*log, None, 20);
    write_snapshot(&*log, Seq(5), MANY);
    assert_eq!(log.status().snapshot, Some(Seq(5)));
    assert_snapshot(&*log, Seq(5), MANY);
    assert_tail(&*log, Some(Seq(5)), 20);
    log.close();
    let log = place.open();
    assert_snapshot(&*log, Seq(5), MANY);
    assert_tail(&*log, Some(Seq(5)), 20);
    // Whoever wants the tail alone, or nothing, may let go of the rest.
    drop(log.load().expect("the log loads"));
    let stored = log.load().expect("the log loads");
    drop(stored.tail);
    drop(stored.snapshot);
}

/// Events of one append, and how many appends are more than any backend reads ahead.
const LONG: (u64, u64) = (5_000, 12);

pub(super) fn a_long_tail_is_read_after_its_snapshot(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let (each, times) = LONG;
    for _ in 0..times {
        assert_durable(&append(&*log, chain.batch(each)));
    }
    write_snapshot(&*log, Seq(5), MANY);
    // Both are held, as whoever starts from them holds them: the one must not wait for the other.
    let stored = log.load().expect("the log loads");
    let (_, parts) = stored.snapshot.expect("there is a snapshot");
    let parts: Vec<Part> = parts.collect::<Result<_, _>>().expect("the snapshot reads");
    assert!(parts.into_iter().eq(snapshot_parts(Seq(5), MANY)));
    let events: usize = stored.tail.map(|stretch| stretch.expect("the tail reads").events.len()).sum();
    assert_eq!(events as u64, each * times - 5);
}

pub(super) fn a_newer_snapshot_takes_the_place_of_the_older(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(10)));
    write_snapshot(&*log, Seq(5), MANY);
    assert!(log.begin_snapshot(Seq(5)).is_err(), "an equal one says nothing new");
    write_snapshot(&*log, Seq(10), 1);
    assert_snapshot(&*log, Seq(10), 1);
    assert_tail(&*log, Some(Seq(10)), 10);
    assert!(log.begin_snapshot(Seq(9)).is_err(), "an older one is refused");
    assert!(log.begin_snapshot(Seq(11)).is_err(), "what is not durable is in no snapshot");
}

pub(super) fn a_malformed_snapshot_is_refused(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(10)));
    let begin = || log.begin_snapshot(Seq(5)).expect("a snapshot begins");
    assert!(begin().commit().is_err(), "one without a header");
    assert!(begin().write(header(Seq(6))).is_err(), "one with the header of another");
    let task = snapshot_parts(Seq(5), 1).last().expect("a task");
    assert!(begin().write(task).is_err(), "one that does not begin with its header");
    let mut twice = begin();
    twice.write(header(Seq(5))).expect("the header is written");
    assert!(twice.write(header(Seq(5))).is_err(), "one with two headers");
    drop(twice);
    assert_eq!(log.status().snapshot, None);
}

pub(super) fn only_what_a_snapshot_holds_is_trimmed(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    for _ in 0..300 {
        assert_durable(&append(&*log, chain.batch(2)));
    }
    assert_eq!(log.trim(Seq(600)).expect("trims"), Seq(1), "without a snapshot nothing goes");
    write_snapshot(&*log, Seq(500), 1);
    assert_eq!(log.trim(Seq(101)).expect("trims"), Seq(101), "half a batch stays whole");
    assert_eq!(log.status().first, Seq(101));
    assert_eq!(log.read_after(Seq(99), 10).expect("reads"), Read::Trimmed { first: Seq(101) });
    assert!(matches!(log.read_after(Seq(100), 10).expect("reads"), Read::Events(_)));
    assert_eq!(log.trim(Seq(600)).expect("trims"), Seq(501));
    assert_eq!(log.trim(Seq(50)).expect("trims"), Seq(501), "what is gone stays gone");
    assert_tail(&*log, Some(Seq(500)), 600);
    log.close();
    let log = place.open();
    assert_eq!((log.status().first, log.status().last), (Seq(501), Seq(600)));
    assert_tail(&*log, Some(Seq(500)), 600);
}

pub(super) fn a_log_without_events_left_goes_on(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(5)));
    write_snapshot(&*log, Seq(5), 2);
    assert_eq!(log.trim(Seq(5)).expect("trims"), Seq(6));
    log.close();
    let log = place.open();
    assert_eq!((log.status().first, log.status().last), (Seq(6), Seq(5)));
    assert_tail(&*log, Some(Seq(5)), 5);
    assert_eq!(log.read_after(Seq(4), 1).expect("reads"), Read::Trimmed { first: Seq(6) });
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(1)));
    assert_tail(&*log, Some(Seq(5)), 6);
}
