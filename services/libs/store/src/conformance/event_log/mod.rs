//! What every log does.

mod snapshots;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use conductor_core::{Event, Seq, Wall};

use super::samples;
use crate::log::{Appended, Batch, BatchId, EventLog, Fence, Payload, PayloadKey, Read, Stretch};

/// How long anything may take before the suite calls it stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where one log can be kept and opened again; a new one is empty.
pub trait LogPlace {
    /// Opens the log that is kept here. The one that was opened before is closed by then.
    fn open(&self) -> Arc<dyn EventLog>;
}

/// A case and its name.
type Case = (&'static str, fn(&dyn LogPlace));

const CASES: &[Case] = &[
    ("an_empty_log_has_nothing", an_empty_log_has_nothing),
    ("what_is_durable_is_loaded_again", what_is_durable_is_loaded_again),
    ("a_batch_that_is_sent_again_is_applied_once", a_batch_that_is_sent_again_is_applied_once),
    ("a_batch_that_does_not_follow_fails_and_so_do_later_ones", a_batch_that_does_not_follow_fails),
    ("a_lower_fence_is_refused", a_lower_fence_is_refused),
    ("batches_are_answered_in_their_order", batches_are_answered_in_their_order),
    ("payloads_live_until_they_are_deleted", payloads_live_until_they_are_deleted),
    ("readers_get_every_event_once", readers_get_every_event_once),
    ("a_snapshot_counts_once_it_is_committed", snapshots::a_snapshot_counts_once_it_is_committed),
    (
        "a_newer_snapshot_takes_the_place_of_the_older",
        snapshots::a_newer_snapshot_takes_the_place_of_the_older,
    ),
    ("a_long_tail_is_read_after_its_snapshot", snapshots::a_long_tail_is_read_after_its_snapshot),
    ("a_malformed_snapshot_is_refused", snapshots::a_malformed_snapshot_is_refused),
    ("only_what_a_snapshot_holds_is_trimmed", snapshots::only_what_a_snapshot_holds_is_trimmed),
    ("a_log_without_events_left_goes_on", snapshots::a_log_without_events_left_goes_on),
    ("a_closed_log_answers", a_closed_log_answers),
];

/// Runs the whole suite; `make` makes a new place for each case.
///
/// # Panics
/// When a case does not hold.
pub fn event_log<P: LogPlace>(make: impl Fn() -> P) {
    for (name, case) in CASES {
        eprintln!("event log: {name}");
        case(&make());
    }
}

/// Builds batches that follow each other.
struct Chain {
    fence: Fence,
    last: Seq,
    next_id: u128,
}

impl Chain {
    fn on(log: &dyn EventLog) -> Self {
        let last = log.status().last;
        Self { fence: log.fence(), last, next_id: 1 + u128::from(last.0) * 1_000 }
    }

    fn batch(&mut self, events: u64) -> Batch {
        let ids = (self.last.0 + 1..).take(usize::try_from(events).expect("a small number"));
        let events: Vec<Event> = ids.map(event).collect();
        let id = BatchId(self.next_id);
        self.next_id += 1;
        let expected_seq = self.last;
        self.last = Seq(self.last.0 + events.len() as u64);
        Batch {
            id,
            fence: self.fence,
            expected_seq,
            events,
            payloads: Vec::new(),
            deleted_payloads: Vec::new(),
        }
    }
}

/// The event that the suite puts at a place, told apart by its number.
fn event(seq: u64) -> Event {
    samples::submitted(u128::from(seq), Wall(i64::try_from(seq).expect("a small number")))
}

fn send(log: &dyn EventLog, batch: Batch) -> Receiver<Appended> {
    let (answer, answered) = channel();
    log.append(Arc::new(batch), Box::new(move |appended| answer.send(appended).expect("the suite waits")));
    answered
}

fn append(log: &dyn EventLog, batch: Batch) -> Appended {
    send(log, batch).recv_timeout(PATIENCE).expect("every batch is answered")
}

#[track_caller]
fn assert_durable(appended: &Appended) {
    assert!(matches!(appended, Appended::Durable), "{appended:?}");
}

#[track_caller]
fn assert_tail(log: &dyn EventLog, snapshot: Option<Seq>, last: u64) {
    let stored = log.load().expect("the log loads");
    assert_eq!(stored.last, Seq(last));
    assert_eq!(stored.snapshot.as_ref().map(|(seq, _)| *seq), snapshot);
    let mut next = snapshot.unwrap_or_default().next();
    for stretch in stored.tail {
        for (seq, found) in stretch.expect("the tail reads").numbered() {
            assert_eq!(seq, next);
            assert_eq!(*found, event(seq.0));
            next = next.next();
        }
    }
    assert_eq!(next, Seq(last).next());
}

fn an_empty_log_has_nothing(place: &dyn LogPlace) {
    let log = place.open();
    let status = log.status();
    assert_eq!((status.first, status.last, status.snapshot), (Seq(1), Seq(0), None));
    assert_tail(&*log, None, 0);
    assert_eq!(
        log.read_after(Seq(0), 10).expect("reads"),
        Read::Events(Stretch { first: Seq(1), events: Vec::new() })
    );
    let id = status.log;
    let fence = log.fence();
    log.close();
    let again = place.open();
    assert_eq!(again.status().log, id, "a log keeps its id");
    assert!(again.fence() > fence, "each opening has a fence of its own");
}

fn what_is_durable_is_loaded_again(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    for events in [1, 100, 3, 5_000] {
        assert_durable(&append(&*log, chain.batch(events)));
        assert_eq!(log.status().last, chain.last);
    }
    assert_tail(&*log, None, chain.last.0);
    log.close();
    let log = place.open();
    assert_eq!((log.status().first, log.status().last), (Seq(1), chain.last));
    assert_tail(&*log, None, chain.last.0);
    let mut chain = Chain::on(&*log);
    assert_durable(&append(&*log, chain.batch(2)));
    assert_tail(&*log, None, chain.last.0);
}

fn a_batch_that_is_sent_again_is_applied_once(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let first = chain.batch(3);
    assert_durable(&append(&*log, first.clone()));
    assert_durable(&append(&*log, first.clone()));
    let second = chain.batch(2);
    assert_durable(&append(&*log, second.clone()));
    assert_durable(&append(&*log, first));
    assert_durable(&append(&*log, second));
    assert_tail(&*log, None, 5);
    assert_durable(&append(&*log, chain.batch(1)));
}

fn a_batch_that_does_not_follow_fails(place: &dyn LogPlace) {
    for expected in [0, 2, 9] {
        let log = place.open();
        let mut chain = Chain::on(&*log);
        if chain.last == Seq(0) {
            assert_durable(&append(&*log, chain.batch(3)));
        }
        let good = chain.batch(1);
        let wrong = Batch { expected_seq: Seq(expected), id: BatchId(u128::MAX), ..good.clone() };
        assert!(matches!(append(&*log, wrong), Appended::Failed(_)), "following on {expected}");
        // The one who sent it has lost track: nothing of it may be taken any more.
        assert!(matches!(append(&*log, good), Appended::Failed(_)));
        log.close();
        assert_tail(&*place.open(), None, 3);
    }
}

fn a_lower_fence_is_refused(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let batch = chain.batch(1);
    let stale = Batch { fence: Fence(batch.fence.0 - 1), ..batch.clone() };
    assert!(matches!(append(&*log, stale), Appended::Fenced));
    assert_durable(&append(&*log, batch));
}

fn batches_are_answered_in_their_order(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let (answer, answered) = channel();
    for number in 0..50 {
        let answer = answer.clone();
        let done = Box::new(move |appended| answer.send((number, appended)).expect("the suite waits"));
        log.append(Arc::new(chain.batch(1 + number % 3)), done);
    }
    for number in 0..50 {
        let (found, appended) = answered.recv_timeout(PATIENCE).expect("every batch is answered");
        assert_eq!(found, number);
        assert_durable(&appended);
    }
    assert_tail(&*log, None, chain.last.0);
}

fn payloads_live_until_they_are_deleted(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let key = |number: u64| PayloadKey(u128::from(number) << 64);
    let payload =
        |number: u64, length: usize| Payload { key: key(number), bytes: vec![number as u8; length] };
    let mut batch = chain.batch(1);
    batch.payloads = vec![payload(3, 1 << 20), payload(1, 0), payload(2, 150)];
    assert_durable(&append(&*log, batch));
    let keys = [key(1), key(9), key(3), key(2)];
    let expected = [Some(0), None, Some(1 << 20), Some(150)];
    let lengths = |log: &dyn EventLog| -> Vec<Option<usize>> {
        let found = log.payloads(&keys).expect("payloads read");
        found.iter().map(|payload| payload.as_ref().map(Vec::len)).collect()
    };
    assert_eq!(lengths(&*log), expected);
    log.close();
    let log = place.open();
    assert_eq!(lengths(&*log), expected);
    let mut chain = Chain::on(&*log);
    let mut batch = chain.batch(1);
    batch.payloads = vec![payload(2, 7)];
    batch.deleted_payloads = vec![key(3), key(8)];
    assert_durable(&append(&*log, batch));
    assert_eq!(lengths(&*log), [Some(0), None, None, Some(7)]);
    assert!(log.payloads(&[]).expect("nothing reads").is_empty());
}

fn readers_get_every_event_once(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    for events in [1, 7, 30, 2] {
        assert_durable(&append(&*log, chain.batch(events)));
    }
    for max in [1, 3, 1_000] {
        let mut after = Seq(0);
        loop {
            let Read::Events(stretch) = log.read_after(after, max).expect("reads") else {
                panic!("nothing was trimmed");
            };
            assert_eq!(stretch.first, after.next());
            assert!(stretch.events.len() <= max);
            if stretch.events.is_empty() {
                break;
            }
            for (seq, found) in stretch.numbered() {
                assert_eq!(*found, event(seq.0));
            }
            after = stretch.last();
        }
        assert_eq!(after, Seq(40));
    }
}

fn a_closed_log_answers(place: &dyn LogPlace) {
    let log = place.open();
    let mut chain = Chain::on(&*log);
    let handed_over = send(&*log, chain.batch(1));
    log.close();
    assert_durable(&handed_over.recv_timeout(PATIENCE).expect("what was handed over is finished"));
    assert!(matches!(append(&*log, chain.batch(1)), Appended::Failed(_)));
    assert!(log.payloads(&[PayloadKey(1)]).is_err());
    assert!(log.read_after(Seq(0), 1).is_err());
    assert!(log.begin_snapshot(Seq(1)).is_err());
    log.close();
}
