//! Generated lives of a log, compared with a list in memory after every step.

use std::sync::Arc;

use conductor_core::Seq;
use proptest::prelude::*;

use super::{OPTIONS, append_durably, batch, open, payload, scratch, write_snapshot};
use crate::log::sqlite::SqliteLog;
use crate::log::{EventLog, PayloadKey, Payloads, Read};
use crate::state_dir::StateDir;

#[derive(Debug, Clone)]
enum Step {
    /// Appends so many tasks with payloads.
    Append(u64),
    /// Sends the last batch again.
    Again,
    /// Deletes the payload that lies so far from the end.
    Delete(u64),
    /// Writes a snapshot of the log as far as so many percent.
    Snapshot(u64),
    /// Trims as far as so many percent.
    Trim(u64),
    /// Moves pages into the file.
    MovePages,
    /// Closes it and opens it again.
    Close,
    /// Ends as a kill does and opens it again.
    Kill,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1..40_u64).prop_map(Step::Append),
        1 => Just(Step::Again),
        2 => (0..30_u64).prop_map(Step::Delete),
        1 => (1..=100_u64).prop_map(Step::Snapshot),
        1 => (1..=100_u64).prop_map(Step::Trim),
        1 => Just(Step::MovePages),
        1 => Just(Step::Close),
        2 => Just(Step::Kill),
    ];
    proptest::collection::vec(step, 1..40)
}

/// What the log is known to hold.
#[derive(Debug, Default)]
struct Model {
    last: u64,
    snapshot: u64,
    trimmed: u64,
    /// Whose payloads were deleted.
    deleted: Vec<u64>,
}

impl Model {
    fn check(&self, log: &SqliteLog) {
        let status = log.status();
        assert_eq!(status.last, Seq(self.last));
        assert_eq!(status.snapshot.unwrap_or_default(), Seq(self.snapshot));
        // A batch that is only half to go stays.
        assert!(status.first.0 <= self.trimmed + 1, "{status:?} {self:?}");
        let mut next = Seq(self.snapshot).next();
        for stretch in log.load().unwrap().tail {
            for (seq, _) in stretch.unwrap().numbered() {
                assert_eq!(seq, next);
                next = next.next();
            }
        }
        assert_eq!(next, Seq(self.last).next());
        let Read::Events(kept) = log.read_after(Seq(status.first.0 - 1), usize::MAX).unwrap() else {
            panic!("what is kept can be read");
        };
        assert_eq!(kept.last(), Seq(self.last));
        let keys: Vec<PayloadKey> = (1..=self.last).map(|seq| PayloadKey(seq.into())).collect();
        for (seq, found) in (1..).zip(log.payloads(&keys).unwrap()) {
            let expected = (!self.deleted.contains(&seq)).then(|| payload(seq, 100).bytes);
            assert_eq!(found, expected, "payload {seq}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases()) })]

    #[test]
    fn a_log_holds_what_was_acknowledged_whatever_happens_to_it(steps in steps()) {
        let temp = scratch();
        let dir = Arc::new(StateDir::lock(temp.path()).unwrap());
        let mut log = open(&dir, &OPTIONS).unwrap();
        let mut model = Model::default();
        let mut sent = None;
        for step in steps {
            match step {
                Step::Append(tasks) => {
                    let next = batch(&log, tasks, 100);
                    append_durably(&log, tasks, 100);
                    sent = Some(next);
                    model.last += tasks;
                }
                Step::Again => {
                    // Its batch may be trimmed by now, and then nobody can tell that it was there.
                    if let Some(batch) = sent.take().filter(|batch| batch.expected_seq.0 >= model.trimmed) {
                        let fence = log.fence();
                        let again = super::append(&log, crate::log::Batch { fence, ..batch });
                        prop_assert!(matches!(again, crate::log::Appended::Durable), "{again:?}");
                    }
                }
                Step::Delete(back) => {
                    let mut next = batch(&log, 1, 100);
                    model.last += 1;
                    let gone = model.last.saturating_sub(back).max(1);
                    if gone < model.last {
                        next.deleted_payloads = vec![PayloadKey(gone.into())];
                        model.deleted.push(gone);
                    }
                    sent = None;
                    let appended = super::append(&log, next);
                    prop_assert!(matches!(appended, crate::log::Appended::Durable), "{appended:?}");
                }
                Step::Snapshot(percent) => {
                    let seq = model.last * percent / 100;
                    if seq > model.snapshot {
                        write_snapshot(&log, Seq(seq), 3).unwrap();
                        model.snapshot = seq;
                    }
                }
                Step::Trim(percent) => {
                    let upto = model.last * percent / 100;
                    model.trimmed = model.trimmed.max(upto.min(model.snapshot));
                    log.trim(Seq(upto)).unwrap();
                }
                Step::MovePages => log.move_pages(),
                Step::Close | Step::Kill => {
                    if matches!(step, Step::Close) {
                        log.close();
                    } else {
                        log.leave();
                    }
                    drop(log);
                    log = open(&dir, &OPTIONS).unwrap();
                }
            }
            model.check(&log);
        }
    }
}

/// How many lives are tried; `CONDUCTOR_TEST_SCALE` multiplies it.
fn cases() -> u32 {
    let scale = std::env::var("CONDUCTOR_TEST_SCALE").ok().and_then(|scale| scale.parse().ok());
    24 * scale.unwrap_or(1)
}
