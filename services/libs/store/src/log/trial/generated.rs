//! Generated lives of a log, compared with a list in memory after every step.

use conductor_core::Seq;
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::{append, append_durably, batch, payload, write_snapshot};
use crate::log::{Appended, Batch, EventLog, PayloadKey, Read};

/// A log that can be left as a kill leaves it.
pub(in crate::log) trait Subject: EventLog {
    /// Ends as a kill does: nothing is tidied up.
    fn leave(&self);

    /// Tidies up as it does now and then by itself.
    fn move_pages(&self);
}

#[derive(Debug, Clone)]
pub(in crate::log) enum Step {
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

pub(in crate::log) fn steps() -> impl Strategy<Value = Vec<Step>> {
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
    fn check(&self, log: &dyn EventLog) {
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

/// Lives through the steps.
pub(in crate::log) fn live<L: Subject>(steps: Vec<Step>, open: impl Fn() -> L) {
    let mut log = open();
    let mut model = Model::default();
    let mut sent: Option<Batch> = None;
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
                    let again = append(&log, Batch { fence, ..batch });
                    assert!(matches!(again, Appended::Durable), "{again:?}");
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
                let appended = append(&log, next);
                assert!(matches!(appended, Appended::Durable), "{appended:?}");
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
                log = open();
            }
        }
        model.check(&log);
    }
}

/// As many lives as a backend can bear; `CONDUCTOR_TEST_SCALE` multiplies them.
pub(in crate::log) fn config(cases: u32) -> Config {
    let scale = std::env::var("CONDUCTOR_TEST_SCALE").ok().and_then(|scale| scale.parse::<u32>().ok());
    Config { failure_persistence: None, ..Config::with_cases(cases * scale.unwrap_or(1)) }
}
